/* WatchSessions and WatchSignals: positions on the two buses. */
#include <inttypes.h>
#include <stdlib.h>

#include "macp/v1/core.pb-c.h"
#include "shared/arena.h"
#include "tests/runtime/rpc.h"
#include "tests/runtime/session.h"
#include "tests/runtime/world.h"

enum { ODD_EVENT = 99, ODD_STATE = 77 };

/* How far behind a watcher may be: the switch, but never more than the bus can hold. */
static uint64_t
depth_of(int64_t setting)
{
    return setting <= 0 || setting >= BUS_CAP ? BUS_CAP - 1 : (uint64_t)setting;
}

static bool
fell_behind(struct call *c, const struct bus *b, int64_t setting, const char *what)
{
    uint64_t depth = depth_of(setting);
    uint64_t behind = b->count - c->at.next;

    if (behind <= depth)
        return false;
    call_fail(c, GRPC_STATUS_RESOURCE_EXHAUSTED, "%s receiver fell behind by %" PRIu64 " %s",
              c->method->name, behind - depth, what);
    return true;
}

void
rpc_watch_signals(struct call *c, const void *request)
{
    (void)request;
    c->at.next = c->world->signals.count;
    listener_join(&c->world->signals.listeners, &c->listener);
}

bool
rpc_watch_signals_pull(struct call *c, struct outgoing *out)
{
    const struct bus *b = &c->world->signals;

    if (c->at.next == b->count || fell_behind(c, b, c->world->settings.signal_lag, "signals"))
        return false;
    out->slice = grpc_slice_ref(bus_at(b, c->at.next)->message);
    out->more = ++c->at.next < b->count;
    return true;
}

void
rpc_watch_sessions(struct call *c, const void *request)
{
    struct arena a = {0};
    size_t n;
    struct session **all = session_list(c->world, &a, &n);

    (void)request;
    c->at.next = c->world->lifecycle.count;
    listener_join(&c->world->lifecycle.listeners, &c->listener);
    c->at.snapshot = xcalloc(n + 1, sizeof(*c->at.snapshot));
    for (size_t i = 0; i < n; i++)
        c->at.snapshot[i] = xstrdup(all[i]->id);
    arena_fini(&a);
}

/* The session is read now, not when the event happened; one that is gone leaves the event bare. */
static grpc_slice
encode_event(struct call *c, int type, const char *session_id, int64_t at_ms, bool odd)
{
    Macp__V1__SessionLifecycleEvent event = MACP__V1__SESSION_LIFECYCLE_EVENT__INIT;
    Macp__V1__WatchSessionsResponse m = MACP__V1__WATCH_SESSIONS_RESPONSE__INIT;
    struct session *s = session_find(c->world, session_id);
    struct arena a = {0};
    grpc_slice slice;

    event.event_type = (Macp__V1__SessionLifecycleEvent__EventType)type;
    event.observed_at_unix_ms = at_ms ? at_ms : s ? s->started_ms : 0;
    if (s && !c->world->settings.omit_session)
        event.session = session_metadata(s, &a);
    if (odd) {
        event.event_type = (Macp__V1__SessionLifecycleEvent__EventType)ODD_EVENT;
        if (event.session)
            event.session->state = (Macp__V1__SessionState)ODD_STATE;
    }
    m.event = &event;
    slice = server_encode(&m);
    arena_fini(&a);
    return slice;
}

bool
rpc_watch_sessions_pull(struct call *c, struct outgoing *out)
{
    const struct bus *b = &c->world->lifecycle;
    struct position *at = &c->at;
    const struct bus_event *e;

    while (at->snapshot && at->snapshot[at->snapshot_next]) {
        const char *id = at->snapshot[at->snapshot_next++];

        if (!session_find(c->world, id))
            continue; /* evicted since */
        out->slice = encode_event(c, LIFECYCLE_CREATED, id, 0, false);
        out->more = at->snapshot[at->snapshot_next] != NULL || at->next < b->count;
        return true;
    }
    if (at->next == b->count || fell_behind(c, b, c->world->settings.watch_lag, "events"))
        return false;
    e = bus_at(b, at->next);
    if (c->world->settings.unknown_enums && !at->greeted) {
        at->greeted = true;
        *out = (struct outgoing){encode_event(c, e->type, e->session_id, e->at_ms, true), true};
        return true;
    }
    at->greeted = false;
    out->slice = encode_event(c, e->type, e->session_id, e->at_ms, false);
    out->more = ++at->next < b->count;
    return true;
}
