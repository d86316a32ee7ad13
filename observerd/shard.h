/*
 * shard.h - one queue thread with its runs, and the writer threads behind it.
 *
 * Purpose    everything that a set of runs needs, so that nothing about a run is shared: its
 *            streams, its state, its place in the batch.
 * Ownership  struct shard is heap memory of main. Sessions belong to the queue thread.
 * Errors     shard_start fails on unusable options.
 * Threads    shard_post, shard_drain, shard_stop: the control thread or the watch; the struct's
 *            fields: the queue thread only.
 */
#ifndef MACP_OBSERVERD_SHARD_H
#define MACP_OBSERVERD_SHARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "observerd/mailbox.h"
#include "observerd/notifier.h"
#include "observerd/redact.h"
#include "observerd/runtime.h"
#include "observerd/timers.h"
#include "observerd/writer.h"
#include "shared/arena.h"
#include "shared/config.h"
#include "shared/event.h"
#include "shared/price.h"

struct ambient;
struct decoder;
struct heir;
struct refold;
struct session;
struct spool;
struct tracer;
struct spool_record;

enum shard_mail {
    SHARD_ADOPT,   /* struct run_seed */
    SHARD_WAKE,    /* struct shard_wake */
    SHARD_DRAIN,   /* struct mail */
    SHARD_AMBIENT, /* struct ambient_mail: yours? */
    SHARD_LOOK,    /* struct mail: the signal watch was away, look what others have stored */
    SHARD_INHERIT, /* struct heir_mail: another instance's run shall become ours, see heir.h */
    SHARD_UNHEIR,  /* struct run_mail: it does not */
    SHARD_LET_IN,  /* struct run_mail: another instance reads this run's session; give it the run */
    SHARD_HANDED,  /* struct run_mail: it is the other one's now, or (not yes) nobody's */
    SHARD_DECODED, /* struct decoded: a large payload that a session asked about */
    SHARD_LEAVE,   /* struct mail: let go what has no stream that could be missed */
    SHARD_RELOAD,  /* struct shard_reload */
    SHARD_ORDER,   /* struct shard_order: somebody wants something of a run */
    SHARD_SETTLED, /* struct mail: the runs of the spool that are ours have all come */
};

/* Something happened to a session: look now. */
struct shard_wake {
    struct mail mail;
    char session_id[]; /* NUL-ended */
};

enum order_kind {
    ORDER_READY,      /* may the session end now, or would something of it be lost? */
    ORDER_END,        /* cancel the run if its session was not seen yet */
    ORDER_END_ANYWAY, /* cancel the run, whatever its session does */
    ORDER_TRACE,      /* the run counts as posted now: it gets its artifact */
    ORDER_APPEND,     /* the run gets events that a handler has for it */
    ORDER_TAIL,       /* keep what is recorded from now on: the run is being folded anew */
    ORDER_REFOLDED,   /* take the fold for what the run has in memory, and store it */
};

enum order_answer {
    ORDER_UNKNOWN,  /* the run is not here */
    ORDER_AWAITING, /* its session was not seen yet */
    ORDER_BEHIND,   /* it is observed, but not everything of it may have been read, or folded */
    ORDER_UP_TO_DATE,
    ORDER_DONE, /* it is in a batch */
    ORDER_OVER, /* it was ending or had ended */
};

/* Comes back as mail of reply_kind with its answer. */
struct shard_order {
    struct mail mail;
    int64_t run_key;
    enum order_kind kind;
    int64_t since_ms; /* what was known before does not count */
    struct mailbox *reply;
    int reply_kind;
    int64_t reply_to; /* the asker's own: the command's id */
    enum order_answer answer;
    int64_t day, seq;      /* ORDER_TAIL's answer: the run's day, the last number before the tail */
    struct refold *refold; /* ORDER_REFOLDED: the mail's; NULL when the run has taken it */
    char *args;            /* ORDER_APPEND: the command's, as JSON; heap */
};

void shard_order_free(struct shard_order *order);

/* Other settings from now on; they and the earlier ones are borrowed for the shard's life. */
struct shard_reload {
    struct mail mail;
    const struct config *cfg;
    const struct redactor *redactor;
};

/* What the queue thread tells the control thread. */
enum control_mail {
    CONTROL_RELEASE, /* struct run_release: let the run go, it is taken anew */
    CONTROL_CATALOG, /* struct catalog_row, see catalog.h */
    CONTROL_CLAIM,   /* struct mail: there are new runs */
    CONTROL_HEIR,   /* struct run_mail: we read a session that we shall inherit, or (not yes) cannot
                     */
    CONTROL_STORED, /* struct run_mail: nothing of the run is unstored, it may be handed over */
};

/* What threads tell each other about one run that changes hands. */
struct run_mail {
    struct mail mail;
    int64_t run_key, fence;
    int64_t ordinal; /* the heir holds everything behind it */
    bool yes;
};

struct run_release {
    struct mail mail;
    int64_t run_key, fence;
    bool soon; /* nothing is wrong with the run: claim it again at once */
};

struct shard_counts {
    _Atomic int runs, streams_wanted, streams_open;
};

/*
 * A run writes through one lane at a time. What takes Postgres long (a payload of a mebibyte, the
 * state of a thousand participants) must not make ordinary runs wait for its commit.
 */
enum shard_lane { LANE_ORDINARY, LANE_BULK, LANE__COUNT };

/* Borrowed for the shard's life. */
struct shard_options {
    const struct config *cfg;
    const struct rt_options *runtime;
    const struct redactor *redactor; /* NULL: none */
    const struct price_list *prices;
    struct notifier *notifier;
    const _Atomic int64_t *alive_until_ms;
    struct mailbox *control;
    struct ambient *ambient;    /* NULL: signals are off */
    struct tracer *tracer;      /* NULL: no traces */
    _Atomic int64_t *turned_ms; /* see status_turn; NULL: nobody asks */
    size_t number;              /* of the shard */
    const char *instance_id;
};

struct shard {
    struct shard_options o;
    pthread_t thread;
    struct rt_queue *queue;
    struct writer *writers[LANE__COUNT];
    struct decoder *decoder;
    struct mailbox inbox;
    struct shard_counts counts;

    /* queue thread only */
    uint64_t held_tokens; /* handed out */
    struct timers timers;
    struct spool *spool;                 /* NULL: streams wait when Postgres does */
    int64_t spool_retry_ms;              /* it was full; not before */
    uint64_t spool_stored[LANE__COUNT];  /* batches with the last of what was read from it */
    int64_t spool_metered;               /* as published */
    bool settled;                        /* a run of the spool that is not here is not ours */
    struct session *by_key, *by_session; /* hashes */
    struct heir *heirs;                  /* hash, see heir.h */
    /* waiting for room, first in, first out */
    struct session *parked_head[LANE__COUNT], **parked_tail[LANE__COUNT];
    struct arena arena;       /* of the envelope in hand */
    struct event_list events; /* of the envelope in hand */
    bool draining;
    atomic_bool spooling; /* not all of the spool is recorded: what streams bring goes there */
    atomic_bool drained;  /* streams are closed, what is left to store is in the batch */

    /* the runtime, as this shard sees it */
    struct timer hello_timer;
    struct rt_call *hello;
    bool ready;
    int hello_failures;
    int64_t hello_at_ms; /* last answer */
    char *capabilities;  /* JSON, NULL: not known yet */
    json_t *modes;       /* array of supported modes; empty: all */

    /* GetSession calls are bounded however many runs wait: a token bucket */
    double tokens;
    int64_t tokens_at_ms;
};

bool shard_start(const struct shard_options *o, struct shard **out, struct err *err) MUST_CHECK;
/* Ownership of the mail passes only when true. */
bool shard_post(struct shard *s, struct mail *mail) MUST_CHECK;
/* Who has the run, when it is here at all. */
static inline struct shard *
shard_of(struct shard *const *shards, size_t n, int64_t run_key)
{
    return shards[(uint64_t)run_key % n];
}
/* Close streams, commit what is there, end the threads. False: rows were left behind. */
bool shard_stop(struct shard *s, int64_t limit_ms);
/* Stopped, and nobody posts any more: until then mail is taken and never read. NULL is fine. */
void shard_free(struct shard *s);

/* One of the mails about a run, to a shard or to control; false: not posted. */
bool run_mail_post(struct mailbox *to, int kind, const struct run_mail *what) MUST_CHECK;

/* --- for its sessions ----------------------------------------------------------------------- */

/* A GetSession call may be made now; else *wait_ms says when to ask again. */
bool shard_may_poll(struct shard *s, int64_t *wait_ms);
/* A unary call failed because the runtime cannot be reached: say hello again before polling. */
void shard_runtime_lost(struct shard *s);
/* The mode is offered, or the runtime offers everything. */
bool shard_mode_is_supported(const struct shard *s, const char *mode);
/* The session's stream may not read on; it is resumed when there is room. */
void shard_park(struct shard *s, struct session *session);
void shard_forget_parked(struct shard *s, struct session *session);
/* Streams go into the spool, because Postgres is away or what is in there comes first. */
bool shard_is_spooling(const struct shard *s);
/* False: the spool is full, or the disk. */
bool shard_spool(struct shard *s, const struct spool_record *r) MUST_CHECK;
/* How many envelopes behind the cursor wait for the run in the spool. */
int64_t shard_spooled(const struct shard *s, int64_t run_key, int epoch, int64_t cursor);
/* The run is free from here on, storing nothing more: for another instance, or to be loaded anew.
 */
void shard_let_go(struct shard *s, struct session *session, bool soon);

/* --- between shard.c and shard_spool.c -------------------------------------------------------- */

struct session *shard_find(struct shard *s, int64_t run_key);
bool shard_spool_open(struct shard *s, struct err *err) MUST_CHECK;
/* Fill it, empty it, whatever is due. */
void shard_spool_turn(struct shard *s);
bool shard_spool_has_room(const struct shard *s);
/* What is in batches, so that the process may end before it is committed. */
bool shard_spool_batches(struct shard *s) MUST_CHECK;

#endif
