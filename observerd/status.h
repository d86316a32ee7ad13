/*
 * status.h - is this process alive, and can it do its work?
 *
 * Purpose    threads say that they turn; the probes and the supervisor are told what follows from
 *            that. Alive: every loop has turned lately. Ready: besides, Postgres took the last
 *            heartbeat, the runtime answered lately, and the process is not leaving.
 * Ownership  struct status is the caller's (status_init, status_fini); slots are lent.
 * Errors     none.
 * Threads    any: everything in it is atomic or constant.
 */
#ifndef MACP_OBSERVERD_STATUS_H
#define MACP_OBSERVERD_STATUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"

/* Who turns. A shard's slot is STATUS_SHARDS plus its number. */
enum { STATUS_CONTROL, STATUS_WATCH, STATUS_SHARDS };

struct status {
    _Atomic int64_t *turned_ms; /* clock_mono_ms of each loop's last turn */
    size_t n;
    _Atomic int64_t stored_until_ms; /* Postgres counts us as alive until then */
    _Atomic int64_t answered_ms;     /* the runtime's last answer */
    atomic_bool draining;
    const char *instance_id;
    int64_t stuck_ms; /* a loop that has not turned for so long is stuck */
};

void status_init(struct status *s, size_t n_shards, int64_t stuck_ms);
void status_fini(struct status *s);

/* A loop has turned; NULL is fine. */
void status_turn(_Atomic int64_t *slot);

bool status_is_alive(const struct status *s);
bool status_is_ready(const struct status *s);
/* The same with reasons, as JSON objects. */
void status_write_alive(const struct status *s, struct buf *out);
void status_write_ready(const struct status *s, struct buf *out);

#endif
