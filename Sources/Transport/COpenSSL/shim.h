#ifndef ETLCTL_COPENSSL_SHIM_H
#define ETLCTL_COPENSSL_SHIM_H

#include <openssl/evp.h>

#endif
