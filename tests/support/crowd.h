/*
 * crowd.h - many runs under load, and what must be stored of them whatever went wrong.
 *
 * Purpose    post runs, pump envelopes into their sessions in the background, look how far the
 *            rows are, and compare all of it with the runtime's own log at the end.
 * Ownership  struct crowd is the caller's; crowd_free releases it. The world outlives it.
 * Errors     what does not hold ends the running cmocka test with a sentence.
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_CROWD_H
#define MACP_TESTS_SUPPORT_CROWD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/buf.h"
#include "tests/support/expect.h"

enum { CROWD_PUMPS = 8 };

struct crowd {
    struct world *w;
    struct posted *runs;
    size_t n;
    json_int_t jobs[CROWD_PUMPS]; /* pumps at work */
    size_t n_jobs;
    struct buf list; /* the run ids as the text of an SQL array */
};

/* Post n runs. */
void crowd_post(struct crowd *c, struct world *w, size_t n);
void crowd_free(struct crowd *c);

/* --- load ---------------------------------------------------------------------------------- */

struct crowd_load {
    size_t first, n; /* these runs; n 0: all from first on */
    int envelopes;   /* per session, all counted */
    int rate;        /* of all together per second; 0: flat out */
    int payload;     /* bytes of each; 0: few */
    bool open;       /* without the commitment */
    bool watched;    /* only when every session is being read */
};

/* In the background, several beside each other; crowd_pumped waits for all of them. */
void crowd_pump(struct crowd *c, const struct crowd_load *load);
/* Whether a pump is still at work. */
bool crowd_is_pumping(struct crowd *c);
void crowd_pumped(struct crowd *c);
/* One Evaluation, or the Commitment that ends the session. */
void crowd_send(struct crowd *c, size_t run, const char *type);
/* Envelopes stored of all runs. */
long crowd_stored(struct crowd *c);
void crowd_wait_stored(struct crowd *c, long at_least);
/* How many of the runs the instance owns. */
long crowd_owned(struct crowd *c, const char *instance_id);
/* Until every session that is not over has a subscriber at the runtime. */
void crowd_wait_subscribed(struct crowd *c);
/* Until it owns exactly so many; how long that took in milliseconds. Fails after limit_ms. */
long crowd_wait_owned(struct crowd *c, const char *instance_id, long runs, int limit_ms);
/* Until every run has the status; another end fails at once. */
void crowd_wait_status(struct crowd *c, const char *status);

/* --- verdict ------------------------------------------------------------------------------- */

struct crowd_audit {
    long runs;
    long accepted; /* envelopes that the runtime's log holds */
    long stored;   /* rows of session envelopes */
    long lost;     /* neither stored nor named by a gap row */
    long doubled;  /* stored more than once, or stored and named as missing */
    long foreign;  /* rows that are not the runtime's envelope of that number, or out of order */
    long gaps;     /* gap rows */
    long missing;  /* envelopes named by gap rows */
    long unproven; /* gap rows of sessions that could still be replayed */
    long holes;    /* runs whose numbers are not 1..last_seq, each once */
    long endings;  /* runs without exactly one last event that fits their status */
};

/*
 * Compare all runs with the runtime, the current life of their sessions. late_commitment: a
 * Commitment that arrives behind the gap that counts it may be stored as well.
 */
void crowd_audit(struct crowd *c, bool late_commitment, struct crowd_audit *out);
void crowd_print_audit(const char *what, const struct crowd_audit *a);
/* Nothing lost, doubled, foreign or unproven, numbers and ends right. Gaps may be. */
void crowd_expect_honest(const struct crowd_audit *a);
/* Completed, honest, and without any gap. */
void crowd_expect_whole(struct crowd *c, const char *what);

/*
 * Note in a table which connection moved a run's numbers and who owned the run then; from now on.
 * crowd_expect_owners_only_wrote: each write by an instance was the owner's.
 */
void crowd_witness(struct world *w);
void crowd_expect_owners_only_wrote(struct world *w);
/* Every observer ends; all runs are folded anew from their events. */
void crowd_refold(struct world *w);
/* Every observer ends; then refolding all events must not change any stored projection. */
void crowd_expect_projections_are_refolds(struct world *w);

#endif
