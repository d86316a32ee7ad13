/*
 * outbound.h - HTTP requests to addresses that people gave us: callbacks, webhooks, token services.
 *
 * Purpose    one thread that makes all outgoing HTTP requests without blocking anybody. http and
 *            https only (certificates are verified), no redirects, no proxy, no cookies. Which
 *            addresses may be reached is decided on each address that is connected to
 *            (shared/destination.h), so a name that resolves elsewhere later does not help.
 * Ownership  struct outbound is heap memory of main. A request is copied before the function
 *            returns; a reply lives until its function returns.
 * Errors     every accepted request is answered exactly once, with a failure when it was refused,
 *            timed out or could not be made; texts name no secret, no address and no query string.
 * Threads    outbound_send from any; replies come in the thread of outbound and must not block,
 *            but may send. Nobody else may send once outbound_stop is called.
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
    int timeout_ms; /* of everything; connecting to what is not trusted has at most 2 s of it */
    bool trusted;   /* the operator's own address (token service): every address is allowed */
};

struct outbound_reply {
    int status;        /* of the HTTP answer; 0: there is none, or not all of it */
    const char *error; /* why, when status is 0; "" otherwise */
    bool refused;      /* the address is not allowed: trying again is pointless */
    bool timed_out;
    bool stopped;     /* the program is stopping: nothing is known about the address */
    const char *body; /* the first OUTBOUND_REPLY_MAX bytes, NUL-ended */
    size_t body_len;
    int retry_after_s; /* what the answer asks for; 0: nothing */
    int took_ms;
};

enum {
    OUTBOUND_REPLY_MAX = 65536,
    OUTBOUND_MAX = 2048, /* requests that are not answered yet */
};

typedef void outbound_done_fn(void *ctx, const struct outbound_reply *reply);

bool outbound_start(const struct config *cfg, struct outbound **out, struct err *err) MUST_CHECK;
/* False: too many are waiting, nothing was accepted and done is not called. */
bool outbound_send(struct outbound *o, const struct outbound_request *request,
                   outbound_done_fn *done, void *ctx) MUST_CHECK;
/* What is still under way is answered as a failure. NULL is fine. */
void outbound_stop(struct outbound *o);

#endif
