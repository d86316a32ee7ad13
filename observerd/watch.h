/*
 * watch.h - the thread that listens to what happens on the runtime as a whole.
 *
 * Purpose    keeps WatchSessions open: wakes the run whose session is mentioned, so that polling
 *            is only the safety net, and tells discovery which sessions there are. What the stream
 *            cannot tell (an event without its session, a kind of event of later releases, what
 *            happened while it was down) is read from a list of all sessions. Listens to signals;
 *            keeps the catalog fresh.
 * Ownership  struct watch is heap memory of main; what the options point to is borrowed.
 * Errors     watch_start fails on unusable options; a lost watch is opened again with backoff.
 * Threads    a thread of its own: the runtime cuts a watcher that is 64 events behind, so nothing
 *            here may wait for Postgres.
 */
#ifndef MACP_OBSERVERD_WATCH_H
#define MACP_OBSERVERD_WATCH_H

#include <stddef.h>

#include "shared/config.h"
#include "shared/err.h"

struct ambient;
struct discovery;
struct mailbox;
struct rt_options;
struct shard;
struct watch;

struct watch_options {
    const struct config *cfg;
    const struct rt_options *runtime;
    struct shard *const *shards;
    size_t n_shards;
    struct mailbox *control;
    struct discovery *discovery; /* NULL: sessions without a run are nobody's business */
    struct ambient *ambient;     /* NULL: no signals */
    _Atomic int64_t *turned_ms;  /* see status_turn; NULL: nobody asks */
};

bool watch_start(const struct watch_options *o, struct watch **out, struct err *err) MUST_CHECK;
void watch_stop(struct watch *w);

#endif
