#ifndef ETLCTL_CCURL_SHIM_H
#define ETLCTL_CCURL_SHIM_H

#include <curl/curl.h>

#endif
