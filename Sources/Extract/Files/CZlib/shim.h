#ifndef ETLCTL_CZLIB_SHIM_H
#define ETLCTL_CZLIB_SHIM_H

#include <zlib.h>

#endif
