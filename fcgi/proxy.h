/*
 * proxy.h - who the client is when proxies stand before us.
 *
 * Ownership  arguments are borrowed. Errors: none. Threads: any.
 */
#ifndef MACP_FCGI_PROXY_H
#define MACP_FCGI_PROXY_H

#include <stddef.h>

#include "shared/config.h"

/*
 * Address of the client: peer, unless peer is a trusted proxy; then the last entry of its
 * X-Forwarded-For that is none. Lends from either argument's memory or copies into out.
 */
const char *proxy_client(const char *peer, const char *forwarded_for,
                         const struct config_list *trusted, char *out, size_t out_len);

#endif
