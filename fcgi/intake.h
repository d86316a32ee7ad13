/*
 * intake.h - the thread that waits for requests which have not come whole.
 *
 * Purpose    a client that sends its body slowly costs a connection and the memory for what it
 *            has sent, never a worker: workers pass such connections on and get them back when
 *            the request is there, or when it was waited for long enough.
 * Ownership  intake_start returns heap memory for intake_free. intake_pass takes the descriptor;
 *            an arrival that is taken is the taker's (arrival_free), with its descriptor.
 * Errors     none: who leaves is forgotten. At most INTAKE_CONNECTIONS and INTAKE_BYTES wait;
 *            beyond, the one that has waited longest comes back as it is, to be refused.
 * Threads    intake_pass, intake_take and intake_ready_fd from workers. What waits is the
 *            thread's own. There is no bound on what is ready, because workers take that before
 *            they accept, so nothing is added meanwhile.
 *
 *   worker ── connection ──► intake ── request ──► any worker
 */
#ifndef MACP_FCGI_INTAKE_H
#define MACP_FCGI_INTAKE_H

#include "fcgi/arrival.h"
#include "shared/macros.h"

enum {
    INTAKE_MS = 15000, /* from the connection to the end of the body, however it trickles */
    INTAKE_CONNECTIONS = 512,
    INTAKE_BYTES = 64 << 20,
};

struct intake;

struct intake *intake_start(void) MUST_CHECK;
/*
 * No worker passes anything on any more: what has begun may still come, but not for long. All of
 * it is there to be taken when this returns.
 */
void intake_end(struct intake *in);
/* Behind intake_end; nothing may be left. */
void intake_free(struct intake *in);

/* Nothing has been read from the connection. */
void intake_pass(struct intake *in, int fd);
/* Readable while somebody should call intake_take. */
int intake_ready_fd(const struct intake *in);
/* NULL: somebody else was faster. */
struct arrival *intake_take(struct intake *in) MUST_CHECK;

#endif
