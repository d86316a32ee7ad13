/*
 * refold.h - a run's state, metrics and facts, made anew from its stored events.
 *
 * Purpose    what the command `rebuild` and a live run's owner share. The command reads all events
 *            under the run's lock. An owner goes on observing meanwhile: struct tail keeps what it
 *            records from then on, and is folded last, in its own thread.
 * Ownership  both are heap memory of whoever holds them; the events are copied.
 * Errors     refold_read: as db_run.
 * Threads    one owner at a time.
 *
 * Model names that were redacted before they were stored cannot be priced again: such calls cost
 * what an unknown model costs.
 */
#ifndef MACP_OBSERVERD_REFOLD_H
#define MACP_OBSERVERD_REFOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/batch.h"
#include "shared/arena.h"
#include "shared/db.h"
#include "shared/event.h"
#include "shared/facts.h"
#include "shared/metrics.h"
#include "shared/price.h"
#include "shared/projection.h"

struct refold {
    int64_t run_key, day;
    int64_t seq;    /* folded up to here */
    int64_t events; /* so many of them */
    struct projection *projection;
    struct facts facts;
    struct metrics metrics;
    struct batch rows; /* of fact tables; whoever stores a part resets it */
    struct arena arena;
};

struct refold *refold_new(const char *run_id, int64_t run_key, int64_t day) MUST_CHECK;
/* NULL is fine. */
void refold_free(struct refold *r);

/*
 * Fold the next thousand stored events, none behind up_to. *more: there are others, else r->seq is
 * up_to, or the last number when up_to is beyond it.
 */
bool refold_read(struct refold *r, struct db *db, const struct price_list *prices, int64_t up_to,
                 bool *more, struct err *err) MUST_CHECK;

/* Events of a run as they are recorded, in their order. */
struct tail {
    int64_t after; /* the number before the first one */
    int64_t began_ms;
    struct tail_event *events;
    size_t n, cap, bytes;
    struct arena arena;
};

struct tail *tail_new(int64_t after) MUST_CHECK;
/* NULL is fine. */
void tail_free(struct tail *t);
/* data: its text. False: there are too many, or nobody has asked for long; it is not kept. */
bool tail_add(struct tail *t, const struct event *e, const char *data, size_t n) MUST_CHECK;
void refold_tail(struct refold *r, const struct tail *t, const struct price_list *prices);

#endif
