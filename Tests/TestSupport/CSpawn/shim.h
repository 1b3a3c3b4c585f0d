#pragma once
#include <spawn.h>

// glibc declares these two for programs that define _GNU_SOURCE before their first header; Swift's module of glibc does not.
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *folder);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
