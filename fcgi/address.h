/*
 * address.h - IP addresses, networks, and where callbacks may go.
 *
 * Purpose    one notion of networks for trusted proxies and for the rule about outbound targets:
 *            link-local, multicast, unspecified and metadata addresses never; private and
 *            loopback ones only when listed.
 * Ownership  plain values.
 * Errors     parsers return false.
 * Threads    any.
 *
 * IPv4 is kept as IPv4-mapped IPv6, so that both spellings of an address are the same address.
 */
#ifndef MACP_FCGI_ADDRESS_H
#define MACP_FCGI_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/config.h"
#include "shared/err.h"
#include "shared/macros.h"

struct address {
    uint8_t bytes[16];
};

/* A numeric address, IPv6 with or without brackets, IPv4 also in its old short forms. */
bool address_parse(const char *text, struct address *out) MUST_CHECK;
/* network is "address" or "address/bits"; false when it is neither or does not hold a. */
bool address_in(const struct address *a, const char *network) MUST_CHECK;
bool address_in_any(const struct address *a, const struct config_list *networks) MUST_CHECK;

/*
 * Address of the client: peer, unless peer is a trusted proxy; then the last entry of its
 * X-Forwarded-For that is none. Lends from either argument's memory or copies into out.
 */
const char *address_of_client(const char *peer, const char *forwarded_for,
                              const struct config_list *trusted, char *out, size_t out_len);

/*
 * Whether a callback may go to this URL, as far as the text tells: http or https, no user
 * information, host not forbidden. Names are resolved and checked again when they are used.
 */
bool outbound_check_url(const char *url, const struct config *config, struct err *err) MUST_CHECK;

#endif
