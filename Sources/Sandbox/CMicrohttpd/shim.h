#ifndef ETLCTL_CMICROHTTPD_SHIM_H
#define ETLCTL_CMICROHTTPD_SHIM_H

#include <microhttpd.h>

#endif
