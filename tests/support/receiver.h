/*
 * receiver.h - an HTTP server on the loopback that is called: a webhook's endpoint, a callback.
 *
 * Purpose    notes every request byte for byte and answers as the path says, badly on demand.
 * Ownership  struct receiver is the caller's; receiver_stop frees what was noted. What
 *            receiver_get gives is the caller's (received_fini).
 * Errors     receiver_start: false + *err.
 * Threads    any may ask; requests are answered in threads of its own, one for each.
 *
 * Paths (what follows a ? does not count):
 *   /status/500,200  these statuses, one request after the other; the last one stays
 *   /echo            201 with the request as the body
 *   /redirect        302 to /echo
 *   /busy            503 with Retry-After: 7
 *   /hang            no answer until the client gives up or the receiver stops
 *   /drip, /huge     an answer that does not end: slowly, fast
 *   /headers         one whose headers do not end
 *   /cut, /no-http   one that ends too early; something else than HTTP
 *   others           the connection is closed without an answer
 */
#ifndef MACP_TESTS_SUPPORT_RECEIVER_H
#define MACP_TESTS_SUPPORT_RECEIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"

struct received {
    struct buf path; /* with the query */
    struct buf head; /* request line and headers, as they came */
    struct buf body;
    int64_t at_ms; /* clock_mono_ms */
    int status;    /* it was answered with; 0: badly, or not at all */
};

struct receiver {
    int listener, stop, port; /* on all addresses */
    pthread_t thread;
    atomic_int connections, answering;
    atomic_int hanging; /* requests to /hang that have no answer */

    pthread_mutex_t mu;
    struct received *list;
    size_t n;
};

/* port 0: a free one. */
bool receiver_start(struct receiver *r, int port, struct err *err) MUST_CHECK;
void receiver_stop(struct receiver *r);

/* Requests whose path begins so. */
size_t receiver_count(struct receiver *r, const char *path);
/* Poll until there are n of them; false when the time is up. */
bool receiver_wait(struct receiver *r, const char *path, size_t n, int timeout_ms);
/* The i-th of them, copied; false when there is none. */
bool receiver_get(struct receiver *r, const char *path, size_t i, struct received *out) MUST_CHECK;

void received_fini(struct received *r);
#define AUTO_RECEIVED CLEANUP(received_fini) struct received
/* Value of a header into out, "" when there is none. Returns out. */
const char *received_header(const struct received *r, const char *name, char *out, size_t size);

#endif
