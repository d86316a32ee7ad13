/*
 * address.h - IP addresses and networks.
 *
 * Purpose    one notion of networks for trusted proxies and for the rule about destinations.
 * Ownership  plain values. Errors: parsers return false. Threads: any.
 *
 * IPv4 is kept as IPv4-mapped IPv6, so that both spellings of an address are the same address.
 */
#ifndef MACP_SHARED_ADDRESS_H
#define MACP_SHARED_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/config.h"
#include "shared/macros.h"

struct sockaddr;

struct address {
    uint8_t bytes[16];
};

/* A numeric address, IPv6 with or without brackets, IPv4 also in its old short forms. */
bool address_parse(const char *text, struct address *out) MUST_CHECK;
/* False when it is of another family than IPv4 and IPv6. */
bool address_of_socket(const struct sockaddr *sa, struct address *out) MUST_CHECK;
/* network is "address" or "address/bits"; false when it is neither or does not hold a. */
bool address_in(const struct address *a, const char *network) MUST_CHECK;
bool address_in_any(const struct address *a, const struct config_list *networks) MUST_CHECK;

#endif
