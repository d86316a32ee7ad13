/*
 * ambient.h - signals and progress on their way to a run, and the table that holds the others.
 *
 * Purpose    an envelope of the signal watch is offered to the shards one after the other; the one
 *            that has a run with its session makes events of it. What nobody here takes (another
 *            instance's run, a session that no run is bound to yet, no session at all) is stored
 *            in ambient_envelopes, where the owner of a run looks when it gets the run, when the
 *            session is bound and when the watch was interrupted.
 * Ownership  struct ambient is heap memory of main. A mail belongs to whoever holds it; the
 *            functions that take one over say so.
 * Errors     Postgres being away is no error: what is to be stored waits, within a bound; beyond
 *            it envelopes are dropped, counted, logged and noted as a gap.
 * Threads    a thread of its own with one connection; all functions from any thread.
 *
 * Nothing falls between the hand-over of a run and the table: a look is made after everything that
 * was to be stored before it, and once more a little later, because another shard or instance may
 * still be storing what it had been given.
 */
#ifndef MACP_OBSERVERD_AMBIENT_H
#define MACP_OBSERVERD_AMBIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/mailbox.h"
#include "shared/config.h"

struct ambient;
struct shard;

/* One envelope; SHARD_AMBIENT in a shard's mailbox. */
struct ambient_mail {
    struct mail mail;
    int64_t ambient_key; /* 0: it is not in the table */
    int64_t received_ms; /* wall clock */
    size_t hops;         /* shards that were asked */
    bool taken;          /* it is an event of a run now, or was one already */
    const char *session_id;
    const uint8_t *bytes;
    size_t n;
    char data[]; /* what the two point to */
};

/* shards is the caller's array; its elements need not be there before the first call. */
struct ambient *ambient_start(const struct config *cfg, struct shard *const *shards,
                              size_t n_shards) MUST_CHECK;
/* From now on no shard gets anything from here. */
void ambient_quiet(struct ambient *a);
/* Store what waits within the time, end the thread, free. NULL is fine. */
void ambient_stop(struct ambient *a, int64_t limit_ms);

/* An envelope was received; session_id "" when it belongs to none. Copies. */
void ambient_received(struct ambient *a, const char *session_id, const void *bytes, size_t n);
/* This shard has no use for it: the next one, or the table. Takes the mail over. */
void ambient_pass(struct ambient *a, struct ambient_mail *m);
/* To the table at once. Takes the mail over. */
void ambient_keep(struct ambient *a, struct ambient_mail *m);
/* The session is this shard's: what the table holds of it shall come to the shard. NULL is fine. */
void ambient_look(struct ambient *a, struct shard *shard, const char *session_id);
/* The watch was interrupted, and is there again: note the gap, let every shard look. */
void ambient_interrupted(struct ambient *a, int64_t from_ms, int64_t to_ms, const char *detail);

#endif
