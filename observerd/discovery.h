/*
 * discovery.h - runs for sessions that nobody posted.
 *
 * Purpose    "this session exists" becomes a run, unless the session has one: level-triggered, so
 *            saying it again, by any number of instances, changes nothing. Who creates a run tells
 *            the control thread, which claims it at once.
 * Ownership  struct discovery is heap memory of main; what is seen is copied.
 * Errors     none come out. Postgres being away: what was seen waits, within a bound. A session
 *            that Postgres refuses is tried again with backoff and does not disturb the others.
 *            What cannot wait or is given up is seen again in the next list of all sessions.
 * Threads    a thread of its own with one connection; discovery_saw and discovery_missed from the
 *            watch, discovery_id from any.
 */
#ifndef MACP_OBSERVERD_DISCOVERY_H
#define MACP_OBSERVERD_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/mailbox.h"
#include "shared/config.h"
#include "shared/uuid.h"

struct discovery;

struct discovery *discovery_start(const struct config *cfg, struct mailbox *control) MUST_CHECK;
/* End the thread, free; what waits is seen again by whoever observes next. NULL is fine. */
void discovery_stop(struct discovery *d);

/* The session exists with this metadata. */
void discovery_saw(struct discovery *d, const Macp__V1__SessionMetadata *meta);
/* Something that was seen had to be forgotten since the last call: list all sessions again. */
bool discovery_missed(struct discovery *d) MUST_CHECK;

/*
 * The id of a session's run: the session id when it is a UUID, else a UUID named by it. When that
 * one is taken (the session's id is used again, or is another run's id), the one named by the id
 * and the start of this life of the session.
 */
void discovery_id(const char *session_id, char out[UUID_LEN]);
void discovery_id_of_life(const char *session_id, int64_t started_ms, char out[UUID_LEN]);

/* Whether a session in this state is worth a run: one that has ended only when it began lately. */
bool discovery_is_wanted(const Macp__V1__SessionMetadata *meta, int64_t backfill_ms,
                         int64_t now_ms) MUST_CHECK;

#endif
