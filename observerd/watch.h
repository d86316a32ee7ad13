/*
 * watch.h - the thread that listens to what happens on the runtime as a whole.
 *
 * Purpose    keeps WatchSessions open and wakes the run whose session is mentioned, so that
 *            polling is only the safety net; listens to signals; keeps the catalog fresh.
 * Ownership  struct watch is heap memory of main.
 * Errors     watch_start fails on unusable options; a lost watch is opened again with backoff.
 * Threads    a thread of its own: the runtime cuts a watcher that is 64 events behind, so nothing
 *            here may wait for Postgres.
 */
#ifndef MACP_OBSERVERD_WATCH_H
#define MACP_OBSERVERD_WATCH_H

#include "observerd/shard.h"

struct watch;

bool watch_start(const struct config *cfg, struct shard **shards, size_t n_shards,
                 struct mailbox *control, struct ambient *ambient, struct watch **out,
                 struct err *err) MUST_CHECK;
void watch_stop(struct watch *w);

#endif
