/*
 * tls.h - the files that RUNTIME_TLS_* names, read and checked.
 *
 * Purpose    what cannot be used is said at the start, not by every handshake.
 * Ownership  struct tls is the caller's; a zeroed one is empty and valid; tls_fini frees it and
 *            wipes the key.
 * Errors     false + *err names the setting; nothing of the key is in it.
 * Threads    any.
 */
#ifndef MACP_OBSERVERD_TLS_H
#define MACP_OBSERVERD_TLS_H

#include "shared/buf.h"
#include "shared/config.h"
#include "shared/err.h"

struct tls { /* PEM; empty: not given */
    struct buf authorities, certificate, key;
};

#define AUTO_TLS CLEANUP(tls_fini) struct tls

bool tls_load(struct tls *tls, const struct config *cfg, struct err *err) MUST_CHECK;
void tls_fini(struct tls *tls);

#endif
