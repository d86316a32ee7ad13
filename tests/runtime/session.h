/*
 * session.h - sessions, their accepted envelopes, and the rules of acceptance.
 *
 * Purpose    the one way into a session's history, used by Send, agents' streams, scripts and pump.
 *            The history is also every subscriber's queue: a subscriber is a position in it.
 * Ownership  counted: the table of the world holds one reference until eviction, each subscription
 *            one more. Envelopes are kept encoded, as the response that carries them.
 * Errors     a refused envelope is a struct verdict with the wire's code and name, not an err.
 * Threads    under the world's lock.
 */
#ifndef MACP_RUNTIME_SESSION_H
#define MACP_RUNTIME_SESSION_H

#include <grpc/slice.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "macp/v1/core.pb-c.h"
#include "macp/v1/envelope.pb-c.h"
#include "shared/arena.h"
#include "tests/runtime/bus.h"
#include "tests/runtime/keymap.h"

struct mode;
struct identity;
struct world;

/* Short names for the wire's long ones. */
enum session_state {
    SESSION_UNSPECIFIED = MACP__V1__SESSION_STATE__SESSION_STATE_UNSPECIFIED,
    SESSION_OPEN = MACP__V1__SESSION_STATE__SESSION_STATE_OPEN,
    SESSION_RESOLVED = MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED,
    SESSION_EXPIRED = MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED,
    SESSION_SUSPENDED = MACP__V1__SESSION_STATE__SESSION_STATE_SUSPENDED,
    SESSION_CANCELLED = MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED,
};

enum lifecycle {
    LIFECYCLE_CREATED = MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_CREATED,
    LIFECYCLE_RESOLVED = MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_RESOLVED,
    LIFECYCLE_EXPIRED = MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_EXPIRED,
    LIFECYCLE_SUSPENDED = MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_SUSPENDED,
    LIFECYCLE_RESUMED = MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_RESUMED,
    LIFECYCLE_CANCELLED = MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_CANCELLED,
};

struct accepted {
    grpc_slice live;   /* StreamSessionResponse as broadcast */
    grpc_slice replay; /* ... as replayed: a timestamp of 0 became the acceptance time */
    char *message_id;
    char *message_type;
    char *sender;
};

struct activity {
    char *participant;
    int64_t last_ms;
    uint32_t count;
};

struct session {
    unsigned refs;
    char *id;
    const struct mode *mode;
    enum session_state state;
    char *initiator;
    Macp__V1__SessionStartPayload *start; /* as sent */
    char *policy_id;                      /* resolved */
    int64_t started_ms;
    int64_t expires_ms;
    int64_t suspended_ms; /* when the current pause began */
    bool compacted;       /* new subscribers cannot have the history any more */

    struct accepted *history; /* ordinal n lies at n - 1 */
    uint64_t count;
    uint64_t cap;
    struct keymap seen;    /* message_id -> something not NULL */
    int64_t hold_until_ms; /* monotonic; until then the last envelope is withheld; 0: nothing is */

    struct activity *activity;
    size_t n_activity;

    struct listener subscribers;
    size_t n_subscribers;
};

struct verdict {
    bool ok;
    bool duplicate;
    const char *code; /* refused: the wire's error code */
    const char *name; /* ... and the runtime's own name of the case */
    enum session_state state;
    struct session *session; /* borrowed; NULL for signals and progress without a session */
    uint64_t ordinal;        /* of the accepted envelope, else 0 */
};

enum accept_flags {
    ACCEPT_PLAIN = 0,
    ACCEPT_FORCED = 1, /* skip roles and payload checks: what other runtimes might let through */
};

struct session *session_find(struct world *w, const char *id);
struct session *session_ref(struct session *s);
void session_unref(struct session *s);

/* Judge one envelope and, if it is good, store and broadcast it. e is only read. */
void session_accept(struct world *w, const struct identity *id, const Macp__V1__Envelope *e,
                    enum accept_flags flags, struct verdict *out);

bool session_is_terminal(const struct session *s);
bool session_has_participant(const struct session *s, const char *sender);
/* May this identity read the session? */
bool session_visible_to(const struct session *s, const struct identity *id);
/* May it cancel, suspend and resume? */
bool session_controlled_by(struct world *w, const struct session *s, const struct identity *id);
/* Expire it if its time has come (what reading or sending does as a side effect). */
void session_touch(struct world *w, struct session *s);

/* Transitions without any check of rights. False when the state does not allow it. */
bool session_cancel(struct world *w, struct session *s);
bool session_suspend(struct world *w, struct session *s);
bool session_resume(struct world *w, struct session *s);
/* Put the deadline into the past; with now, expire at once as the sweep would. */
bool session_expire(struct world *w, struct session *s, bool now);

/* How many envelopes live subscribers may have (withholds the last one while it is held back). */
uint64_t session_available(const struct session *s);

/* Timer: expiry, eviction, events whose time has come. */
void session_tick(struct world *w);
void session_evict(struct world *w, struct session *s);
void session_forget_all(struct world *w);

/* All sessions in order of their id; the array lives in the arena. */
struct session **session_list(struct world *w, struct arena *a, size_t *count);
/* Wire form; everything in it is borrowed from the session or lives in the arena. */
Macp__V1__SessionMetadata *session_metadata(const struct session *s, struct arena *a);
const char *session_state_name(enum session_state state);
/* For the control socket: state, count and, on demand, every accepted envelope. */
json_t *session_json(const struct session *s, bool with_history);

#endif
