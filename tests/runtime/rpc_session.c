/* Unary calls about sessions. */
#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "shared/arena.h"
#include "shared/clock.h"
#include "tests/runtime/borrow.h"
#include "tests/runtime/identity.h"
#include "tests/runtime/rpc.h"
#include "tests/runtime/session.h"
#include "tests/runtime/world.h"

#define PAGE_TOKEN "after:"

void
rpc_send(struct call *c, const void *request)
{
    const Macp__V1__SendRequest *r = request;
    const Macp__V1__Envelope *e = r->envelope;
    Macp__V1__MACPError error = MACP__V1__MACPERROR__INIT;
    Macp__V1__Ack ack = MACP__V1__ACK__INIT;
    Macp__V1__SendResponse m = MACP__V1__SEND_RESPONSE__INIT;
    struct verdict v = {.code = "UNAUTHENTICATED", .name = "Unauthenticated"};

    if (!e)
        return call_fail(c, GRPC_STATUS_INVALID_ARGUMENT, "SendRequest needs an envelope");
    if (c->identity)
        session_accept(c->world, c->identity, e, ACCEPT_PLAIN, &v);
    ack.ok = v.ok;
    ack.duplicate = v.duplicate;
    ack.message_id = e->message_id;
    ack.session_id = e->session_id;
    ack.accepted_at_unix_ms = clock_wall_ms();
    ack.session_state = (Macp__V1__SessionState)v.state;
    if (!v.ok) {
        error.code = borrow(v.code);
        error.message = borrow(v.name);
        error.session_id = e->session_id;
        error.message_id = e->message_id;
        ack.error = &error;
    }
    m.ack = &ack;
    call_reply(c, &m);
}

/* The session, or NULL with the call ended. */
static struct session *
find_or_fail(struct call *c, const char *id)
{
    struct session *s = session_find(c->world, id);

    if (!s)
        call_fail(c, GRPC_STATUS_NOT_FOUND, "Session '%s' not found", id);
    return s;
}

void
rpc_get_session(struct call *c, const void *request)
{
    const Macp__V1__GetSessionRequest *r = request;
    Macp__V1__GetSessionResponse m = MACP__V1__GET_SESSION_RESPONSE__INIT;
    struct session *s = find_or_fail(c, r->session_id);
    struct arena a = {0};

    if (!s)
        return;
    if (!session_visible_to(s, c->identity))
        return call_fail(c, GRPC_STATUS_PERMISSION_DENIED, "FORBIDDEN: session access denied");
    session_touch(c->world, s);
    m.metadata = session_metadata(s, &a);
    call_reply(c, &m);
    arena_fini(&a);
}

struct control {
    const char *verb;
    bool (*apply)(struct world *w, struct session *s);
    bool terminal_is_fine; /* on a session that has ended: ok, with its state */
};

static void
control_session(struct call *c, const char *id, const struct control *k)
{
    Macp__V1__MACPError error = MACP__V1__MACPERROR__INIT;
    Macp__V1__Ack ack = MACP__V1__ACK__INIT;
    Macp__V1__CancelSessionResponse m = MACP__V1__CANCEL_SESSION_RESPONSE__INIT;
    struct session *s = find_or_fail(c, id);

    if (!s)
        return;
    if (!session_controlled_by(c->world, s, c->identity))
        return call_fail(c, GRPC_STATUS_PERMISSION_DENIED,
                         "FORBIDDEN: only the session initiator or policy-delegated roles can %s",
                         k->verb);
    session_touch(c->world, s);
    ack.session_id = s->id;
    ack.accepted_at_unix_ms = clock_wall_ms();
    ack.ok = k->apply(c->world, s) || (k->terminal_is_fine && session_is_terminal(s));
    if (ack.ok) {
        ack.session_state = (Macp__V1__SessionState)s->state;
    } else {
        error.code = borrow("SESSION_NOT_OPEN");
        error.message = borrow("SessionNotOpen");
        error.session_id = s->id;
        ack.error = &error;
    }
    /* The three responses have the same single field with the same number. */
    m.ack = &ack;
    call_reply(c, &m);
}

void
rpc_cancel_session(struct call *c, const void *request)
{
    static const struct control k = {"cancel", session_cancel, true};

    control_session(c, ((const Macp__V1__CancelSessionRequest *)request)->session_id, &k);
}

void
rpc_suspend_session(struct call *c, const void *request)
{
    static const struct control k = {"suspend", session_suspend, false};

    control_session(c, ((const Macp__V1__SuspendSessionRequest *)request)->session_id, &k);
}

void
rpc_resume_session(struct call *c, const void *request)
{
    static const struct control k = {"resume", session_resume, false};

    control_session(c, ((const Macp__V1__ResumeSessionRequest *)request)->session_id, &k);
}

/* Where the page begins: behind the id the token names. False for a token we never gave out. */
static bool
page_start(const char *token, struct session *const *all, size_t n, size_t *start)
{
    *start = 0;
    if (!*token)
        return true;
    if (strncmp(token, PAGE_TOKEN, strlen(PAGE_TOKEN)) != 0)
        return false;
    while (*start < n && strcmp(all[*start]->id, token + strlen(PAGE_TOKEN)) <= 0)
        ++*start;
    return true;
}

void
rpc_list_sessions(struct call *c, const void *request)
{
    const Macp__V1__ListSessionsRequest *r = request;
    const struct settings *set = &c->world->settings;
    Macp__V1__ListSessionsResponse m = MACP__V1__LIST_SESSIONS_RESPONSE__INIT;
    bool paged = set->page_cap > 0;
    int64_t size = r->page_size ? r->page_size : set->page_default;
    struct arena a = {0};
    size_t n;
    size_t start = 0;
    struct session **all = session_list(c->world, &a, &n);

    if (paged && (r->page_size < 0 || !page_start(r->page_token, all, n, &start))) {
        arena_fini(&a);
        return call_fail(c, GRPC_STATUS_INVALID_ARGUMENT, "bad page_size or page_token");
    }
    if (size > set->page_cap)
        size = set->page_cap;

    size_t end = paged && start + (size_t)size < n ? start + (size_t)size : n;

    m.sessions = arena_alloc(&a, (n + 1) * sizeof(*m.sessions));
    for (size_t i = start; i < end; i++)
        m.sessions[m.n_sessions++] = session_metadata(all[i], &a);
    if (end < n && end > start)
        m.next_page_token = arena_printf(&a, PAGE_TOKEN "%s", all[end - 1]->id);
    call_reply(c, &m);
    arena_fini(&a);
}
