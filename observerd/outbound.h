/*
 * outbound.h - HTTP requests to addresses that people gave us: callbacks, webhooks, token services.
 *
 * Purpose    one thread that makes all outgoing HTTP requests without blocking anybody. http and
 *            https only, no redirects, no proxy. Which addresses may be reached is decided on the
 *            address that is connected to, so a name that resolves elsewhere later does not help:
 *            link-local, metadata and multicast addresses never, private and loopback ones as
 *            OUTBOUND_ALLOW says.
 * Ownership  struct outbound is heap memory of main. A request is copied before the function
 *            returns; a reply lives until its function returns.
 * Errors     every accepted request is answered exactly once, with a failure when it was refused,
 *            timed out or could not be made; texts name no secret and no query string.
 * Threads    outbound_send from any; replies come in the thread of outbound and must not block.
 */
#ifndef MACP_OBSERVERD_OUTBOUND_H
#define MACP_OBSERVERD_OUTBOUND_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/config.h"
#include "shared/err.h"

struct outbound;

struct outbound_request {
    const char *url;
    const char *const *headers; /* "Name: value", n of them */
    size_t n_headers;
    const char *body; /* NULL: GET, else POST */
    size_t body_len;
    int timeout_ms;   /* of everything, the connection included */
    bool trusted;     /* the operator's own address (token service): every address is allowed */
};

struct outbound_reply {
    int status;        /* of the HTTP answer; 0: there is none */
    const char *error; /* why, when status is 0; "" otherwise */
    bool refused;      /* the address is not allowed: trying again is pointless */
    bool timed_out;
    const char *body; /* the first OUTBOUND_REPLY_MAX bytes, NUL-ended */
    size_t body_len;
    int took_ms;
};

enum { OUTBOUND_REPLY_MAX = 65536 };

typedef void outbound_done_fn(void *ctx, const struct outbound_reply *reply);

bool outbound_start(const struct config *cfg, struct outbound **out, struct err *err) MUST_CHECK;
/* False: too many are waiting, nothing was accepted and done is not called. */
bool outbound_send(struct outbound *o, const struct outbound_request *request,
                   outbound_done_fn *done, void *ctx) MUST_CHECK;
/* What is still under way is answered as a failure. NULL is fine. */
void outbound_stop(struct outbound *o);

#endif
