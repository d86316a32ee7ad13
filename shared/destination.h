/*
 * destination.h - where callbacks and webhooks may go.
 *
 * Purpose    the one rule about addresses that people gave us, asked twice: by macp-fcgi when one
 *            is stored, as far as its text tells; by macp-observerd about every address that is
 *            connected to, because names may resolve to anything. Link-local, multicast,
 *            unspecified and metadata addresses are refused always, private and loopback ones
 *            unless OUTBOUND_ALLOW lists the network or the host name.
 * Ownership  arguments are borrowed.
 * Errors     ERR_VALIDATION with the reason, which names no address.
 * Threads    any.
 */
#ifndef MACP_SHARED_DESTINATION_H
#define MACP_SHARED_DESTINATION_H

#include <stdbool.h>

#include "shared/address.h"
#include "shared/config.h"
#include "shared/err.h"
#include "shared/macros.h"

/* http or https, no user information, a host that is not forbidden as it is written. */
bool destination_check_url(const char *url, const struct config *config,
                           struct err *err) MUST_CHECK;
/* The address that host, as the URL has it, led to. */
bool destination_check_address(const struct address *a, const char *host,
                               const struct config *config, struct err *err) MUST_CHECK;

#endif
