#include "tests/runtime/session.h"

#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/macros.h"
#include "tests/runtime/identity.h"
#include "tests/runtime/judge.h"
#include "tests/runtime/mode.h"
#include "tests/runtime/policy.h"
#include "tests/runtime/world.h"

enum { DAY_MS = 86400000 };
static const int64_t max_suspend_default_ms = 7LL * DAY_MS;

/* A lifecycle event that is told some time after it happened. */
struct late_event {
    struct late_event *next;
    int64_t due_ms; /* monotonic */
    int type;
    char *session_id;
};

struct session *
session_find(struct world *w, const char *id)
{
    return keymap_get(&w->sessions, id);
}

struct session *
session_ref(struct session *s)
{
    s->refs++;
    return s;
}

void
session_unref(struct session *s)
{
    if (!s || --s->refs > 0)
        return;
    for (uint64_t i = 0; i < s->count; i++) {
        struct accepted *a = &s->history[i];

        grpc_slice_unref(a->live);
        grpc_slice_unref(a->replay);
        free(a->message_id);
        free(a->message_type);
        free(a->sender);
    }
    for (size_t i = 0; i < s->n_activity; i++)
        free(s->activity[i].participant);
    keymap_fini(&s->seen);
    macp__v1__session_start_payload__free_unpacked(s->start, NULL);
    free(s->history);
    free(s->activity);
    free(s->initiator);
    free(s->policy_id);
    free(s->id);
    free(s);
}

bool
session_is_terminal(const struct session *s)
{
    return s->state == SESSION_RESOLVED || s->state == SESSION_EXPIRED ||
           s->state == SESSION_CANCELLED;
}

bool
session_has_participant(const struct session *s, const char *sender)
{
    for (size_t i = 0; i < s->start->n_participants; i++) {
        if (strcmp(s->start->participants[i], sender) == 0)
            return true;
    }
    return false;
}

bool
session_visible_to(const struct session *s, const struct identity *id)
{
    return id->is_observer || strcmp(s->initiator, id->sender) == 0 ||
           session_has_participant(s, id->sender);
}

bool
session_controlled_by(struct world *w, const struct session *s, const struct identity *id)
{
    const struct policy *p = policy_find(&w->policies, s->policy_id);

    return strcmp(s->initiator, id->sender) == 0 ||
           (p && policy_names(p, id->sender, session_has_participant(s, id->sender)));
}

uint64_t
session_available(const struct session *s)
{
    return s->hold_until_ms ? s->count - 1 : s->count;
}

/* ---- lifecycle ---- */

static void
publish(struct world *w, const char *session_id, int type)
{
    bus_publish(&w->lifecycle, (struct bus_event){
                                   .type = type,
                                   .session_id = xstrdup(session_id),
                                   .at_ms = clock_wall_ms(),
                                   .message = grpc_empty_slice(),
                               });
}

static void
publish_late(struct world *w, const char *session_id, int type, int64_t delay_ms)
{
    struct late_event *e = xcalloc(1, sizeof(*e));

    *e = (struct late_event){w->late, clock_mono_ms() + delay_ms, type, xstrdup(session_id)};
    w->late = e;
}

static void
end(struct world *w, struct session *s, enum session_state state, int type)
{
    s->state = state;
    publish(w, s->id, type);
}

static void
compact(struct world *w, struct session *s)
{
    /* Subscribers that are attached already have what was broadcast: only new ones are refused. */
    if (w->settings.compaction)
        s->compacted = true;
}

static bool
overdue(const struct session *s)
{
    int64_t now = clock_wall_ms();
    int64_t cap = s->start->max_suspend_ms ? s->start->max_suspend_ms : max_suspend_default_ms;

    return (s->state == SESSION_OPEN && s->expires_ms <= now) ||
           (s->state == SESSION_SUSPENDED && now - s->suspended_ms > cap);
}

void
session_touch(struct world *w, struct session *s)
{
    if (overdue(s))
        end(w, s, SESSION_EXPIRED, LIFECYCLE_EXPIRED);
}

bool
session_cancel(struct world *w, struct session *s)
{
    if (session_is_terminal(s))
        return false;
    end(w, s, SESSION_CANCELLED, LIFECYCLE_CANCELLED);
    compact(w, s);
    return true;
}

bool
session_suspend(struct world *w, struct session *s)
{
    if (s->state != SESSION_OPEN)
        return false;
    s->suspended_ms = clock_wall_ms();
    end(w, s, SESSION_SUSPENDED, LIFECYCLE_SUSPENDED);
    return true;
}

bool
session_resume(struct world *w, struct session *s)
{
    if (s->state != SESSION_SUSPENDED)
        return false;
    s->expires_ms += clock_wall_ms() - s->suspended_ms;
    end(w, s, SESSION_OPEN, LIFECYCLE_RESUMED);
    return true;
}

bool
session_expire(struct world *w, struct session *s, bool now)
{
    if (session_is_terminal(s))
        return false;
    s->expires_ms = clock_wall_ms() - 1;
    if (now) {
        end(w, s, SESSION_EXPIRED, LIFECYCLE_EXPIRED);
        compact(w, s);
    }
    return true;
}

void
session_evict(struct world *w, struct session *s)
{
    w->held -= s->hold_until_ms != 0;
    s->hold_until_ms = 0;
    keymap_remove(&w->sessions, s->id);
    session_unref(s);
}

void
session_forget_all(struct world *w)
{
    struct arena a = {0};
    size_t n;
    struct session **all = session_list(w, &a, &n);

    for (size_t i = 0; i < n; i++)
        session_evict(w, all[i]);
    keymap_fini(&w->sessions);
    while (w->late) {
        struct late_event *e = w->late;

        w->late = e->next;
        free(e->session_id);
        free(e);
    }
    arena_fini(&a);
}

static void
tick_late_events(struct world *w, int64_t now)
{
    struct late_event **at = &w->late;

    while (*at) {
        struct late_event *e = *at;

        if (e->due_ms > now) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        publish(w, e->session_id, e->type);
        free(e->session_id);
        free(e);
    }
}

static void
tick_held_envelopes(struct world *w, int64_t now)
{
    for (size_t i = 0; w->held > 0 && i < w->sessions.cap; i++) {
        struct session *s = w->sessions.slots[i].value;

        if (s && s->hold_until_ms && s->hold_until_ms <= now) {
            s->hold_until_ms = 0;
            w->held--;
            listener_wake_all(&s->subscribers);
        }
    }
}

void
session_tick(struct world *w)
{
    int64_t now = clock_mono_ms();
    int64_t wall = clock_wall_ms();
    struct arena a = {0};
    size_t n;

    tick_late_events(w, now);
    tick_held_envelopes(w, now);
    if (now < w->next_sweep_ms)
        return;
    w->next_sweep_ms = now + w->settings.sweep_ms;

    struct session **all = session_list(w, &a, &n);

    for (size_t i = 0; i < n; i++) {
        struct session *s = all[i];

        /* Suspended sessions over their cap are noticed only when somebody touches them. */
        if (s->state == SESSION_OPEN && s->expires_ms <= wall)
            (void)session_expire(w, s, true);
        if (session_is_terminal(s) && s->started_ms + w->settings.retention_ms < wall)
            session_evict(w, s);
    }
    arena_fini(&a);
}

/* ---- history ---- */

static grpc_slice
encode_response(const Macp__V1__Envelope *e)
{
    Macp__V1__StreamSessionResponse m = MACP__V1__STREAM_SESSION_RESPONSE__INIT;

    m.response_case = MACP__V1__STREAM_SESSION_RESPONSE__RESPONSE_ENVELOPE;
    m.envelope = (Macp__V1__Envelope *)(uintptr_t)e;

    grpc_slice slice = grpc_slice_malloc(macp__v1__stream_session_response__get_packed_size(&m));
    macp__v1__stream_session_response__pack(&m, GRPC_SLICE_START_PTR(slice));
    return slice;
}

static void
count_activity(struct session *s, const char *sender, int64_t now)
{
    for (size_t i = 0; i < s->n_activity; i++) {
        if (strcmp(s->activity[i].participant, sender) == 0) {
            s->activity[i].last_ms = now;
            s->activity[i].count++;
            return;
        }
    }
    s->activity = xrealloc(s->activity, (s->n_activity + 1) * sizeof(*s->activity));
    s->activity[s->n_activity++] = (struct activity){xstrdup(sender), now, 1};
}

static void
append(struct session *s, const struct identity *id, const Macp__V1__Envelope *e)
{
    Macp__V1__Envelope stored = *e;
    int64_t now = clock_wall_ms();

    stored.sender = id->sender;
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 8;
        s->history = xrealloc(s->history, s->cap * sizeof(*s->history));
    }

    struct accepted *a = &s->history[s->count++];

    a->live = encode_response(&stored);
    if (stored.timestamp_unix_ms) {
        a->replay = grpc_slice_ref(a->live);
    } else {
        stored.timestamp_unix_ms = now;
        a->replay = encode_response(&stored);
    }
    a->message_id = xstrdup(e->message_id);
    a->message_type = xstrdup(e->message_type);
    a->sender = xstrdup(id->sender);
    keymap_put(&s->seen, a->message_id, s);
    if (s->count > 1)
        count_activity(s, id->sender, now);
}

/* ---- acceptance: judge.c finds the reason to refuse, the rest stores ---- */

static void
broadcast_signal(struct world *w, const struct identity *id, const Macp__V1__Envelope *e)
{
    Macp__V1__WatchSignalsResponse m = MACP__V1__WATCH_SIGNALS_RESPONSE__INIT;
    Macp__V1__Envelope sent = *e;

    sent.sender = id->sender;
    m.envelope = &sent;

    grpc_slice slice = grpc_slice_malloc(macp__v1__watch_signals_response__get_packed_size(&m));
    macp__v1__watch_signals_response__pack(&m, GRPC_SLICE_START_PTR(slice));
    bus_publish(&w->signals, (struct bus_event){.message = slice});
}

static void
open_session(struct world *w, const struct identity *id, const Macp__V1__Envelope *e,
             Macp__V1__SessionStartPayload *start, struct verdict *out)
{
    struct session *s = xcalloc(1, sizeof(*s));
    int64_t now = clock_wall_ms();

    s->refs = 1;
    s->id = xstrdup(e->session_id);
    s->mode = mode_find(e->mode);
    s->state = SESSION_OPEN;
    s->initiator = xstrdup(id->sender);
    s->start = start;
    s->policy_id = xstrdup(*start->policy_version ? start->policy_version : POLICY_DEFAULT);
    s->started_ms = now;
    s->expires_ms = (e->timestamp_unix_ms ? e->timestamp_unix_ms : now) + start->ttl_ms;
    listener_list_init(&s->subscribers);
    append(s, id, e);
    keymap_put(&w->sessions, s->id, s);
    publish(w, s->id, LIFECYCLE_CREATED);
    *out = (struct verdict){.ok = true, .state = s->state, .session = s, .ordinal = 1};
}

/* The two tellers of a Commitment travel on different streams, in either order. */
static void
resolve(struct world *w, struct session *s)
{
    int64_t gap = w->settings.resolved_gap_ms;

    s->state = SESSION_RESOLVED;
    compact(w, s);
    if (w->settings.resolved_first) {
        publish(w, s->id, LIFECYCLE_RESOLVED);
        if (gap) {
            s->hold_until_ms = clock_mono_ms() + gap;
            w->held++;
        }
        listener_wake_all(&s->subscribers);
        return;
    }
    listener_wake_all(&s->subscribers);
    if (gap)
        publish_late(w, s->id, LIFECYCLE_RESOLVED, gap);
    else
        publish(w, s->id, LIFECYCLE_RESOLVED);
}

void
session_accept(struct world *w, const struct identity *id, const Macp__V1__Envelope *e,
               enum accept_flags flags, struct verdict *out)
{
    struct judgement j = {0};

    *out = (struct verdict){0};
    judge_envelope(w, id, e, flags, &j);
    out->session = j.session;
    if (j.code) {
        out->code = j.code;
        out->name = j.name;
        return;
    }
    out->ok = true;
    switch (j.kind) {
    case JUDGED_AMBIENT:
        broadcast_signal(w, id, e);
        out->state = SESSION_OPEN; /* whatever the session's state */
        return;
    case JUDGED_DUPLICATE:
        out->duplicate = true;
        out->state = j.session->state;
        return;
    case JUDGED_START:
        open_session(w, id, e, j.start, out);
        return;
    case JUDGED_MESSAGE:
    case JUDGED_COMMITMENT:
        append(j.session, id, e);
        out->ordinal = j.session->count;
        if (j.kind == JUDGED_COMMITMENT)
            resolve(w, j.session);
        else
            listener_wake_all(&j.session->subscribers);
        out->state = j.session->state;
        return;
    }
}

/* ---- what others see ---- */

static int
session_compare(const void *a, const void *b)
{
    return strcmp((*(struct session *const *)a)->id, (*(struct session *const *)b)->id);
}

struct session **
session_list(struct world *w, struct arena *a, size_t *count)
{
    struct session **out = arena_alloc(a, (w->sessions.count + 1) * sizeof(*out));

    *count = 0;
    for (size_t i = 0; i < w->sessions.cap; i++) {
        if (w->sessions.slots[i].key)
            out[(*count)++] = w->sessions.slots[i].value;
    }
    qsort(out, *count, sizeof(*out), session_compare);
    return out;
}

Macp__V1__SessionMetadata *
session_metadata(const struct session *s, struct arena *a)
{
    const Macp__V1__SessionStartPayload *start = s->start;
    Macp__V1__SessionMetadata *m = arena_alloc(a, sizeof(*m));

    macp__v1__session_metadata__init(m);
    m->session_id = s->id;
    m->mode = arena_strdup(a, s->mode->name);
    m->state = (Macp__V1__SessionState)s->state;
    m->started_at_unix_ms = s->started_ms;
    m->expires_at_unix_ms = s->expires_ms;
    m->mode_version = *start->mode_version ? start->mode_version : arena_strdup(a, MODE_VERSION);
    m->configuration_version = start->configuration_version;
    m->policy_version = s->policy_id;
    m->n_participants = start->n_participants;
    m->participants = start->participants;
    m->initiator = s->initiator;
    m->context_id = start->context_id;
    m->participant_activity = arena_alloc(a, (s->n_activity + 1) * sizeof(void *));
    for (size_t i = 0; i < s->n_activity; i++) {
        Macp__V1__ParticipantActivity *p = arena_alloc(a, sizeof(*p));

        macp__v1__participant_activity__init(p);
        p->participant_id = s->activity[i].participant;
        p->last_message_at_unix_ms = s->activity[i].last_ms;
        p->message_count = s->activity[i].count;
        m->participant_activity[m->n_participant_activity++] = p;
    }
    m->extension_keys = arena_alloc(a, (start->n_extensions + 1) * sizeof(char *));
    for (size_t i = 0; i < start->n_extensions; i++)
        m->extension_keys[m->n_extension_keys++] = start->extensions[i]->key;
    return m;
}

const char *
session_state_name(enum session_state state)
{
    const ProtobufCEnumValue *v =
        protobuf_c_enum_descriptor_get_value(&macp__v1__session_state__descriptor, (int)state);

    return v ? v->name + strlen("SESSION_STATE_") : "?";
}

json_t *
session_json(const struct session *s, bool with_history)
{
    json_t *out = json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:I, s:I}", "session", s->id, "mode",
                            s->mode->name, "state", session_state_name(s->state), "accepted",
                            (json_int_t)s->count, "subscribers", (json_int_t)s->n_subscribers,
                            "compacted", s->compacted, "startedAt", (json_int_t)s->started_ms,
                            "expiresAt", (json_int_t)s->expires_ms);

    if (!with_history)
        return out;

    json_t *list = json_array();

    for (uint64_t i = 0; i < s->count; i++) {
        const struct accepted *a = &s->history[i];

        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s}", "ordinal",
                                              (json_int_t)(i + 1), "messageId", a->message_id,
                                              "messageType", a->message_type, "sender", a->sender));
    }
    json_object_set_new(out, "history", list);
    return out;
}
