/*
 * session.h - one observed run: await the session's opening, subscribe, store, drain, end.
 *
 * Purpose    the state machine of a run as a table of states and inputs, and what each step
 *            writes. All of a step goes into one batch, so one transaction.
 * Ownership  a session belongs to its shard's queue thread. session_adopt takes the seed over.
 * Errors     none come out: what fails is retried, recorded or ends the run.
 * Threads    the queue thread.
 *
 *   AWAITING --first sight--> STREAMING --verdict--> DRAINING --drained--> ENDING --committed-->
 *   LINGERING --a minute later--> CLOSING --committed--> gone
 *   AWAITING, STREAMING, LINGERING --wanted by another instance--> HANDING --stored--> gone
 *
 * The run's own sequence numbers and cursor live here and in the row; the guard of every batch
 * proves that they agree.
 */
#ifndef MACP_OBSERVERD_SESSION_H
#define MACP_OBSERVERD_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "observerd/mailbox.h"
#include "observerd/normalize.h"
#include "observerd/run_trace.h"
#include "observerd/seen.h"
#include "observerd/timers.h"
#include "shared/facts.h"
#include "shared/metrics.h"
#include "shared/run.h"
#include "shared/uuid.h"

struct ambient_mail;
struct decoded;
struct projection;
struct rt_call;
struct rt_stream;
struct shard;
struct shard_order;
struct spool_record;
struct tail;
struct writer;
struct writer_result;

/* A claimed run as it stands in the database. */
struct run_seed {
    struct mail mail; /* SHARD_ADOPT */
    int64_t run_key, fence;
    int64_t day; /* days since 1970 */
    char run_id[UUID_LEN];
    char *session_id, *trace_id;
    char *runtime_kind, *mode_name, *mode_version, *configuration_version, *policy_version;
    json_t *participants; /* declared ids, array of strings */
    bool posted;          /* not discovered: has declared participants and a trace artifact */
    bool traced;          /* the artifact is there */
    enum run_status status;
    int64_t started_ms; /* wall clock, 0: not yet */
    int epoch;
    int64_t cursor, seq;
    char session_state[40];
    int64_t session_started_ms, session_expires_ms;
    int64_t poll_remaining_ms; /* until the session must have opened */
    struct projection *projection;
    struct facts facts; /* participants, as far as the projection */
    struct metrics metrics;
    json_t *known;    /* announced participants, an object used as a set */
    struct seen seen; /* envelopes stored in this epoch */
    bool has_commitment;
};

void run_seed_free(struct run_seed *seed);

enum session_state {
    SESSION_AWAITING,
    SESSION_STREAMING,
    SESSION_DRAINING,
    SESSION_ENDING,
    SESSION_LINGERING,
    SESSION_CLOSING,
    SESSION_HANDING,
    SESSION_STATE__COUNT
};

struct session {
    struct run_seed run; /* what is stored or in a batch; the seed's fields, kept current */
    struct shard *shard;
    enum session_state state;
    UT_hash_handle by_key, by_session;
    struct normalizer normalizer;
    struct run_trace trace;

    int lane;        /* enum shard_lane: whose batches the run's rows go into */
    bool held_up;    /* not reading: it changes lanes, or a large payload is being decoded */
    struct buf held; /* the large envelope that waits meanwhile */
    bool decoding;
    uint64_t held_token;     /* tells its decoded payload from others' */
    struct decoded *decoded; /* NULL: not (yet) */
    struct timer move;
    uint64_t batch_serial; /* where the run's entry in the pending batch is */
    size_t batch_index;

    struct timer timer, flush;
    struct rt_call *call; /* GetSession in flight */
    int64_t asked_ms;     /* when it was asked */
    int64_t known_ms;     /* as of when what the runtime says is known */
    struct rt_stream *stream;
    /* while Postgres is away, see session_spool.c */
    int64_t ahead;      /* envelopes behind the cursor that are in the spool, or waiting for it */
    struct buf waiting; /* the last of them, when the spool is full */
    int64_t waiting_ms; /* when it came */
    bool read_again;    /* the stream has said what only counts when nothing is ahead any more */

    struct session *next_parked;
    bool parked, stream_counted;
    bool stream_wanted; /* not before there is a session to read */

    /* awaiting */
    int64_t open_by_ms;      /* monotonic */
    int64_t outage_from_ms;  /* 0: the runtime answers */
    int64_t outage_noted_ms; /* when the deadline without it was last stored */
    int attempts, forbidden_answers;
    bool look_again;  /* there was a reason to ask while GetSession was in flight */
    bool old_answer;  /* ... and what it says now may be older than that reason */
    struct buf first; /* came on a stream that was opened before the session was bound */

    /* streaming */
    int64_t check_at_ms, reconnect_at_ms, quiet_since_ms, opened_at_ms;
    int64_t behind_since_ms; /* the runtime accepted more than we have; 0: not */
    int64_t lag_window_ms;
    int lags, stream_failures, missing_answers;
    int64_t missing_since_ms;
    bool stream_refused; /* the runtime cannot stream: only polling is left */
    int64_t skip;  /* envelopes that come first on an inherited stream and are stored already */
    bool doubtful; /* the session may have begun anew since the last stream: ask, then subscribe */
    const char *observer_state;

    /* draining */
    enum run_status verdict;
    const char *reason;                             /* failed before it was ever seen open */
    struct Macp__V1__SessionMetadata *verdict_meta; /* heap */
    int64_t drain_until_ms;
    int drain_failures;
    bool read_anew;       /* over another connection, because the first one brought nothing more */
    int64_t compacted_to; /* last ordinal the runtime said it has compacted, 0: none */
    int64_t expected;     /* ordinals the runtime has accepted as far as it says, 0: unknown */

    bool has_heir; /* handing: another instance reads the session, and gets the run */

    bool dirty; /* the projection has changed since it was last put into a batch */

    /* Commands whose events it has recorded: they may come again before their rows say so. */
    int64_t *appended;
    size_t n_appended, cap_appended;
    /* What was recorded since somebody began to fold the run anew; NULL: nobody does. */
    struct tail *tail;
};

/* The writer of its lane. */
struct writer *session_writer(const struct session *s);
/* Take a claimed run over. */
void session_adopt(struct shard *shard, struct run_seed *seed);
/* Its session was seen on the runtime: look now. */
void session_wake(struct session *s);
/* A signal of its session: taken, unless it is too early or too late. */
void session_ambient(struct session *s, struct ambient_mail *mail);
/* Somebody wants something of the run: sets the order's answer. */
void session_order(struct session *s, struct shard_order *order);
/* Let what the table of signals holds for it come. */
void session_look_for_signals(struct session *s);
/* What became of its batch. */
void session_committed(struct session *s, const struct writer_result *r);
/* The run is somebody else's, or must be loaded anew: forget it, storing nothing more. */
void session_drop(struct session *s);
/* The program stops: close the stream, put the last state into the batch. */
void session_drain(struct session *s);
/*
 * Another instance reads the session behind that ordinal: nothing more is written here, and control
 * is told when all is stored. The stream stays open until it answers. Comes again if it is too
 * early.
 */
void session_hand_over(struct session *s, int64_t ordinal);
/* Free the run, once it is stored, if it has no stream of which anything could be missed. */
void session_leave(struct session *s);
enum session_replay { SESSION_REPLAYED, SESSION_REPLAY_LATER, SESSION_REPLAY_BROKEN };

/*
 * The record of the run that is in front of the spool: recorded, or not needed any more. Later:
 * there is no room. Broken: one before it is missing, the run must be loaded anew.
 */
enum session_replay session_replay(struct session *s, const struct spool_record *r);
/* Spooling begins: a large envelope that waits to change lanes goes with the others. */
void session_spool_held(struct session *s);
/* The large payload that was asked about; taken over. */
void session_decoded(struct session *s, struct decoded *decoded);
/* There is room again: read on. */
void session_unpark(struct session *s);

#endif
