/*
 * record.h - what a step of a session writes: numbered, folded, put into the batch.
 *
 * Purpose    every change of a run goes through here, so sequence numbers, metrics, projection,
 *            status and rows cannot disagree.
 * Ownership  borrows its arguments. Everything between record_begin and record_end lands in one
 *            batch, so in one transaction.
 * Errors     none. Threads: the run's queue thread; the pending batch is locked in between.
 */
#ifndef MACP_OBSERVERD_RECORD_H
#define MACP_OBSERVERD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/batch.h"
#include "observerd/session.h"

struct record {
    struct session *s;
    struct batch *batch;
    struct batch_run *run;
    int64_t now_ms; /* wall clock: the time of everything in it */
};

void record_begin(struct record *r, struct session *s);
void record_end(struct record *r);

/* queued -> starting. */
void record_started(struct record *r);
/* -> binding_session -> running, with the session's own data. */
void record_bound(struct record *r, const Macp__V1__SessionMetadata *meta);
/* The subscription is made; nothing has been read from it yet. */
void record_stream_opened(struct record *r);
/* The artifact that leads from a posted run to its trace, unless it is there. */
void record_trace(struct record *r);
/* An event of our own about the stream: reconnecting, recovered. */
void record_stream_notice(struct record *r, const char *source, const char *status,
                          const char *detail);
/* A session state other than the recorded one becomes a raw event and its canonical one. */
void record_snapshot(struct record *r, const Macp__V1__SessionMetadata *meta);
void record_suspended(struct record *r);
void record_resumed(struct record *r);
/* completed, failed (message and reason given) or cancelled, with all steps that lead there. */
void record_ended(struct record *r, enum run_status to, const char *message, const char *reason);
void record_gap(struct record *r, const char *kind, int64_t from, int64_t to, const char *detail);
/* Where to look again after a restart: epoch, states, the await deadline. */
void record_observer(struct record *r);
void record_closed(struct record *r);

/*
 * One accepted envelope, as it travelled: gets the next ordinal. False for a duplicate, which is
 * dropped and counts for nothing. decoded: its payload, when another thread has decoded it; may be
 * NULL. *message_type lives until the arena is reset.
 */
bool record_envelope(struct session *s, const void *bytes, size_t n, const struct decoded *decoded,
                     const char **message_type);
/* The same in two steps, with the spool in between: whether it is new, and what it is later. */
bool record_is_new(struct session *s, const void *bytes, size_t n);
void record_spooled(struct session *s, const void *bytes, size_t n, int64_t received_ms,
                    const char **message_type);
struct ambient_mail;
struct decoded;
/*
 * One envelope of the signal watch, straight or out of its table: no ordinal, the cursor stays. A
 * duplicate on either way is dropped.
 */
void record_ambient(struct session *s, const struct ambient_mail *mail);
/* An error inside the stream; consumes no ordinal. The texts live until the arena is reset. */
void record_inline_error(struct session *s, const void *bytes, size_t n, const char **code,
                         const char **message);

/*
 * Events that a handler has for the run, see shared/command.h. In the same transaction the command
 * that brings them ends.
 */
void record_appended(struct session *s, const char *args, int64_t command_id);
struct refold;
/*
 * The run's state, metrics and facts are those of the fold and of the session's tail behind it, and
 * are stored. In the same transaction the command that wanted it ends.
 */
void record_refolded(struct session *s, struct refold *fold, int64_t command_id);

/* Put the projection and the participants that changed into the batch now, if anything did. */
void record_projection(struct session *s);

/* The name of a session state as clients know it; static. */
const char *session_state_name(int state);

#endif
