/*
 * share.h - how many workers may wait for something outside at the same time.
 *
 * Purpose    a worker that waits for a run to appear, or for a reader that is slow, holds a place.
 *            There are places for half of the workers: the others go on answering.
 * Ownership  plain values.
 * Errors     none.
 * Threads    any.
 */
#ifndef MACP_FCGI_SHARE_H
#define MACP_FCGI_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "shared/macros.h"

struct share {
    atomic_int taken;
    int places;
};

/* False: all places are taken. */
static inline MUST_CHECK bool
share_enter(struct share *s)
{
    if (atomic_fetch_add(&s->taken, 1) < s->places)
        return true;
    atomic_fetch_sub(&s->taken, 1);
    return false;
}

static inline void
share_leave(struct share *s)
{
    atomic_fetch_sub(&s->taken, 1);
}

#endif
