#ifndef ETLCTL_CDEFLATE_SHIM_H
#define ETLCTL_CDEFLATE_SHIM_H

#include <libdeflate.h>

#endif
