#include "tests/runtime/subscribe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "tests/runtime/borrow.h"
#include "tests/runtime/rpc.h"
#include "tests/runtime/session.h"
#include "tests/runtime/world.h"

void
subscribe_detach(struct call *c)
{
    struct position *at = &c->at;

    listener_leave(&c->listener);
    if (at->session) {
        at->session->n_subscribers--;
        session_unref(at->session);
        at->session = NULL;
    }
    for (size_t i = 0; i < at->n_errors; i++)
        grpc_slice_unref(at->errors[i]);
    at->n_errors = 0;
    for (size_t i = 0; at->snapshot && at->snapshot[i]; i++)
        free(at->snapshot[i]);
    free(at->snapshot);
    at->snapshot = NULL;
}

/* An error that leaves the stream open. Code and message are the same prose. */
static void
say_error(struct call *c, const char *text)
{
    Macp__V1__MACPError error = MACP__V1__MACPERROR__INIT;
    Macp__V1__StreamSessionResponse m = MACP__V1__STREAM_SESSION_RESPONSE__INIT;

    if (c->at.n_errors == CALL_ERRORS)
        return;
    error.code = error.message = borrow(text);
    if (c->at.session)
        error.session_id = c->at.session->id;
    m.response_case = MACP__V1__STREAM_SESSION_RESPONSE__RESPONSE_ERROR;
    m.error = &error;
    c->at.errors[c->at.n_errors++] = server_encode(&m);
    call_wake(c);
}

static void
bind(struct call *c, struct session *s, uint64_t next)
{
    struct position *at = &c->at;

    if (!at->session) {
        at->session = session_ref(s);
        s->n_subscribers++;
        listener_join(&s->subscribers, &c->listener);
        pthread_cond_broadcast(&c->world->changed);
    }
    at->attached = session_available(s);
    at->next = next < at->attached ? next : at->attached;
}

static void
replay_from(struct call *c, struct session *s, uint64_t after)
{
    const struct settings *set = &c->world->settings;
    uint64_t overlap = (uint64_t)set->overlap;

    if (s->compacted && after < s->count) {
        char text[160];

        bind(c, s, set->compaction_race ? s->count - 1 : s->count);
        snprintf(text, sizeof(text),
                 "session history before ordinal %" PRIu64 " was compacted; resume with "
                 "after_sequence >= %" PRIu64 " or re-read state via GetSession",
                 s->count, s->count);
        say_error(c, text);
        return;
    }
    bind(c, s, after > overlap ? after - overlap : 0);
    c->at.say_nothing = set->unset_oneof;
    call_wake(c);
}

static void
subscribe(struct call *c, const Macp__V1__StreamSessionRequest *r)
{
    struct session *s = session_find(c->world, r->subscribe_session_id);

    if (c->at.session && strcmp(c->at.session->id, r->subscribe_session_id) != 0)
        return call_fail(c, GRPC_STATUS_INVALID_ARGUMENT,
                         "StreamSession may only carry envelopes for one session_id");
    if (!s)
        return call_fail(c, GRPC_STATUS_NOT_FOUND, "Session '%s' not found",
                         r->subscribe_session_id);
    session_touch(c->world, s);
    if (c->world->settings.deny || !session_visible_to(s, c->identity))
        return say_error(c, "FORBIDDEN: caller is not a declared participant or observer for this "
                            "session");
    replay_from(c, s, r->after_sequence);
}

/* Which refusals end an agent's stream; the others are said inline. */
static grpc_status_code
status_of(const char *code)
{
    static const struct {
        const char *code;
        grpc_status_code status;
    } table[] = {
        {"UNAUTHENTICATED", GRPC_STATUS_UNAUTHENTICATED},
        {"SESSION_NOT_FOUND", GRPC_STATUS_NOT_FOUND},
        {"SESSION_ALREADY_EXISTS", GRPC_STATUS_ALREADY_EXISTS},
        {"PAYLOAD_TOO_LARGE", GRPC_STATUS_RESOURCE_EXHAUSTED},
        {"RATE_LIMITED", GRPC_STATUS_RESOURCE_EXHAUSTED},
        {"INVALID_ENVELOPE", GRPC_STATUS_INVALID_ARGUMENT},
        {"INVALID_SESSION_ID", GRPC_STATUS_INVALID_ARGUMENT},
        {"MODE_NOT_SUPPORTED", GRPC_STATUS_INVALID_ARGUMENT},
        {"UNSUPPORTED_PROTOCOL_VERSION", GRPC_STATUS_INVALID_ARGUMENT},
        {"INVALID_POLICY_DEFINITION", GRPC_STATUS_INVALID_ARGUMENT},
        {"FORBIDDEN", GRPC_STATUS_PERMISSION_DENIED},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(table[i].code, code) == 0)
            return table[i].status;
    }
    return GRPC_STATUS_FAILED_PRECONDITION;
}

/* An agent that sends on its stream: it gets its own accepted envelopes back, and no Ack. */
static void
send_on_stream(struct call *c, const Macp__V1__StreamSessionRequest *r)
{
    struct verdict v;

    if (c->at.session && strcmp(c->at.session->id, r->envelope->session_id) != 0)
        return call_fail(c, GRPC_STATUS_INVALID_ARGUMENT,
                         "StreamSession may only carry envelopes for one session_id");
    session_accept(c->world, c->identity, r->envelope, ACCEPT_PLAIN, &v);
    if (v.ok) {
        if (v.ordinal && !c->at.session) {
            bind(c, v.session, v.ordinal - 1);
            c->at.attached = c->at.next;
            call_wake(c);
        }
        return;
    }

    grpc_status_code status = status_of(v.code);
    if (status == GRPC_STATUS_PERMISSION_DENIED || status == GRPC_STATUS_FAILED_PRECONDITION)
        say_error(c, v.code);
    else
        call_fail(c, status, "%s: %s", v.code, v.name);
}

void
rpc_stream_session(struct call *c, const void *request)
{
    const Macp__V1__StreamSessionRequest *r = request;
    struct tally *t = &c->identity->tally;

    if (!r) {
        t->half_closes++;
        c->at.half_closed = true;
        c->at.flush_to = c->at.session ? c->at.session->count : 0;
        call_wake(c);
        return;
    }
    t->frames++;
    t->envelope_frames += r->envelope != NULL;
    t->subscribes += *r->subscribe_session_id != '\0';
    if ((r->envelope != NULL) == (*r->subscribe_session_id != '\0'))
        return call_fail(c, GRPC_STATUS_INVALID_ARGUMENT,
                         "StreamSession frame needs either an envelope or subscribe_session_id");
    if (r->envelope)
        send_on_stream(c, r);
    else
        subscribe(c, r);
}

static bool
fell_behind(struct call *c)
{
    const struct position *at = &c->at;
    uint64_t depth = (uint64_t)c->world->settings.lag;
    uint64_t behind = at->session->count - at->next;

    /* Replay is written at leisure; what was broadcast meanwhile is not. */
    if (depth == 0 || at->next < at->attached || behind <= depth)
        return false;
    call_fail(c, GRPC_STATUS_RESOURCE_EXHAUSTED,
              "StreamSession receiver fell behind by %" PRIu64 " envelopes", behind - depth);
    return true;
}

bool
rpc_stream_session_pull(struct call *c, struct outgoing *out)
{
    struct position *at = &c->at;
    uint64_t limit = at->session ? session_available(at->session) : 0;

    if (at->half_closed && at->flush_to < limit)
        limit = at->flush_to;
    if (at->say_nothing) {
        at->say_nothing = false;
        *out = (struct outgoing){grpc_empty_slice(), false};
        return true;
    }
    if (at->n_errors > 0) {
        *out = (struct outgoing){at->errors[0], at->n_errors > 1 || at->next < limit};
        memmove(&at->errors[0], &at->errors[1], --at->n_errors * sizeof(at->errors[0]));
        return true;
    }
    if (at->session && at->next < limit) {
        const struct accepted *a = &at->session->history[at->next];

        if (fell_behind(c))
            return false;
        out->slice = grpc_slice_ref(at->next < at->attached ? a->replay : a->live);
        out->more = ++at->next < limit;
        return true;
    }
    if (at->half_closed && (!at->session || at->next >= at->flush_to))
        call_fail(c, GRPC_STATUS_OK, "%s", "");
    return false;
}
