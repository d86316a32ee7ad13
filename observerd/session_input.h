/*
 * session_input.h - inside session.h: the inputs, the handlers of each state, what they share.
 *
 * Purpose    the state machine's files: session.c (table, life, the end), session_await.c,
 *            session_stream.c, session_drain.c, session_spool.c.
 * Ownership, Errors, Threads: as session.h.
 */
#ifndef MACP_OBSERVERD_SESSION_INPUT_H
#define MACP_OBSERVERD_SESSION_INPUT_H

#include "macp/v1/core.pb-c.h"
#include "observerd/session.h"
#include "shared/log.h"

enum input_kind {
    INPUT_TIMER,
    INPUT_WAKE,      /* something happened on the runtime */
    INPUT_SNAPSHOT,  /* GetSession answered */
    INPUT_NO_ANSWER, /* GetSession failed */
    INPUT_ENVELOPE,
    INPUT_ERROR, /* an error inside the stream */
    INPUT_STREAM_OVER,
    INPUT_AMBIENT,   /* an envelope of the signal watch */
    INPUT_ORDER,     /* somebody wants something of the run */
    INPUT_COMMITTED, /* the batch with the end, or the close, is stored */
    INPUT__COUNT
};

struct input {
    const Macp__V1__SessionMetadata *meta; /* INPUT_SNAPSHOT */
    const struct rt_status *status;        /* INPUT_NO_ANSWER, INPUT_STREAM_OVER */
    const char *text;                      /* INPUT_ENVELOPE: message type; INPUT_ERROR: message */
    struct ambient_mail *ambient;          /* INPUT_AMBIENT */
    struct shard_order *order;             /* INPUT_ORDER */
    const char *code; /* INPUT_ERROR: prose or a code, by the release of the runtime */
};

typedef void input_fn(struct session *s, const struct input *in);

/* --- handlers, by state ------------------------------------------------------------------- */

input_fn session_await_look, session_await_snapshot, session_await_no_answer, session_await_order,
    session_stream_look, session_stream_check, session_stream_snapshot, session_stream_no_answer,
    session_stream_envelope, session_stream_error, session_stream_over, session_stream_order,
    session_drain_look, session_drain_over, session_drain_error;

/* --- what they share ----------------------------------------------------------------------- */

void session_handle(struct session *s, enum input_kind kind, const struct input *in);
void session_wait_until(struct session *s, int64_t mono_ms);
/* Uniform between 0 and max: instances and runs must not act in step. */
int64_t session_random_ms(int64_t max);
int64_t session_doubled(int64_t base, int times, int64_t max);
void session_log(const struct session *s, enum log_level level, const char *what,
                 const char *detail);

/* Ask the runtime for the session; the answer is an input. */
void session_ask(struct session *s);
/* Envelopes that the runtime says it has accepted: all participants' messages and the start. */
int64_t session_accepted_count(const Macp__V1__SessionMetadata *meta);
/* Compare what the runtime says with what is stored, follow it, and plan the next look. */
void session_follow(struct session *s, const Macp__V1__SessionMetadata *meta);
void session_plan_check(struct session *s);
/* Arm the timer for whatever comes first. */
void session_rearm(struct session *s);

/* Record that the stream opens, and open it at the cursor; the second alone when it is recorded. */
void session_subscribe(struct session *s);
/* From now on its missing is a fault. */
void session_want_stream(struct session *s);
void session_open_stream(struct session *s);
void session_close_stream(struct session *s);
/* A stream that was opened for the run before it was ours; at: ordinal of the last one read. */
void session_take_stream(struct session *s, struct rt_stream *stream, int64_t at);
/* The session is bound: what came before that is read first, then the stream goes on. */
void session_go_on_reading(struct session *s);
/* The stream ended because its next message is larger than we accept: leave it out, and say so. */
bool session_leave_out(struct session *s, const struct rt_status *status);
/* The base of "history before ordinal N was compacted", 0 when the text is another one. */
int64_t session_compacted_before(const char *text);
/* What was compacted before we read it is a gap, and the count goes on behind it. */
void session_compacted(struct session *s, int64_t to);

/* What comes while the shard spools. False: it is full, read no more. */
bool session_spool(struct session *s, const void *bytes, size_t n);
/* What ended the stream only counts when nothing is ahead of the run: it is opened again then. */
bool session_comes_again(struct session *s, const struct rt_status *status);
/* Put what waits where it belongs by now. False: there is still no room. */
bool session_spool_waiting(struct session *s);
/* All that was ahead of the run is recorded: the runtime's word counts again. */
void session_caught_up(struct session *s);

void session_lane_init(struct session *s);
/* An envelope of that size is recorded in the other lane only; the move is under way. */
bool session_must_move(struct session *s, size_t n);
/* True: the envelope is too large for the ordinary lane and waits for the other one; read no more.
 */
bool session_hold(struct session *s, const void *bytes, size_t n);
/* A state that has grown large moves the run, too. */
void session_weigh_projection(struct session *s, size_t n);
/* Record the envelope that waits in whatever lane the run is, unless the run has ended. */
bool session_let_in(struct session *s, const char **message_type);
void session_forget_held(struct session *s);

/* The verdict is known: wait for the last envelopes, then end. */
void session_start_drain(struct session *s, enum run_status verdict,
                         const Macp__V1__SessionMetadata *meta);
/* The run's last transaction; nothing says "ended" before it is committed. */
void session_end(struct session *s, enum run_status to, const char *message, const char *reason);

#endif
