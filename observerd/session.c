#include "observerd/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/ambient.h"
#include "observerd/heir.h"
#include "observerd/record.h"
#include "observerd/refold.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"

enum { LINGER_MS = 60000 }; /* the run stays ours for late ambient envelopes */

static input_fn end_committed, linger_over, close_committed, hand_over_look, ambient, over, ignore;

/* What a session does with an input, by its state. */
static input_fn *const behaviour[SESSION_STATE__COUNT][INPUT__COUNT] = {
    // clang-format off
    /*                      TIMER        WAKE          SNAPSHOT         NO_ANSWER         ENVELOPE         ERROR         STREAM_OVER  AMBIENT  ORDER  COMMITTED */
    [SESSION_AWAITING]  = {session_await_look,  session_await_look,   session_await_snapshot,  session_await_no_answer,  ignore,          ignore,       ignore, ignore, session_await_order, ignore},
    [SESSION_STREAMING] = {session_stream_look, session_stream_check, session_stream_snapshot, session_stream_no_answer, session_stream_envelope, session_stream_error, session_stream_over, ambient, session_stream_order, ignore},
    [SESSION_DRAINING]  = {session_drain_look,  ignore,       ignore,          ignore,           session_drain_look,      session_drain_error,  session_drain_over, ambient, over, ignore},
    [SESSION_ENDING]    = {ignore,      ignore,       ignore,          ignore,           ignore,          ignore,       ignore, ambient, over, end_committed},
    [SESSION_LINGERING] = {linger_over, ignore,       ignore,          ignore,           ignore,          ignore,       ignore, ambient, over, ignore},
    [SESSION_CLOSING]   = {ignore,      ignore,       ignore,          ignore,           ignore,          ignore,       ignore, ignore, over, close_committed},
    [SESSION_HANDING]   = {hand_over_look, ignore,    ignore,          ignore,           ignore,          ignore,       ignore, ignore, ignore, ignore},
    // clang-format on
};

void
session_handle(struct session *s, enum input_kind kind, const struct input *in)
{
    static const struct input nothing;

    behaviour[s->state][kind](s, in ? in : &nothing);
}

static void
ignore(struct session *s, const struct input *in)
{
    (void)s;
    (void)in;
}

void
session_wait_until(struct session *s, int64_t mono_ms)
{
    timer_set(&s->shard->timers, &s->timer, mono_ms);
}

/* Uniform between 0 and max: instances and runs must not act in step. */
int64_t
session_random_ms(int64_t max)
{
    return max > 0 ? random() % (max + 1) : 0;
}

int64_t
session_doubled(int64_t base, int times, int64_t max)
{
    for (; times > 0 && base < max; times--)
        base *= 2;
    return base < max ? base : max;
}

void
session_log(const struct session *s, enum log_level level, const char *what, const char *detail)
{
    struct log_ctx ctx = {.run_id = s->run.run_id, .session_id = s->run.session_id};

    log_line(level, &ctx, "%s%s%s", what, detail && detail[0] ? ": " : "", detail ? detail : "");
}

/* --- asking for the session ---------------------------------------------------------------- */

static void
answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct session *s = ctx;
    const Macp__V1__GetSessionResponse *response = (const void *)reply;
    struct rt_status missing = {RT_INTERNAL, "the runtime's answer has no session"};
    bool again = s->look_again;

    s->call = NULL;
    if (status->code == RT_OK)
        s->known_ms = s->asked_ms;
    s->look_again = false;
    s->old_answer = again;
    arena_reset(&s->shard->arena);
    if (status->code == RT_OK && response->metadata)
        session_handle(s, INPUT_SNAPSHOT, &(struct input){.meta = response->metadata});
    else
        session_handle(s, INPUT_NO_ANSWER,
                       &(struct input){.status = status->code == RT_OK ? &missing : status});
    /* Woken while the question was on its way: the answer may be older than the news. */
    if (again && !s->call && s->state == SESSION_AWAITING)
        session_wait_until(s, clock_mono_ms());
    else if (again && !s->call && s->state == SESSION_STREAMING)
        session_ask(s);
}

void
session_ask(struct session *s)
{
    Macp__V1__GetSessionRequest request = MACP__V1__GET_SESSION_REQUEST__INIT;

    if (s->call) {
        s->look_again = true;
        return;
    }
    request.session_id = s->run.session_id;
    s->asked_ms = clock_mono_ms();
    s->call = rt_call_start(s->shard->queue, RT_GET_SESSION, &request.base, answered, s);
    rt_call_trace(s->call, s->trace.traceparent);
}

/* Envelopes that the runtime says it has accepted: all participants' messages and the start. */
int64_t
session_accepted_count(const Macp__V1__SessionMetadata *meta)
{
    int64_t n = 1;

    for (size_t i = 0; i < meta->n_participant_activity; i++)
        n += meta->participant_activity[i]->message_count;
    return n;
}

/* --- the end ----------------------------------------------------------------------------- */

void
session_close_stream(struct session *s)
{
    const char *type;

    session_let_in(s, &type);
    if (s->stream)
        rt_stream_cancel(s->stream);
    s->stream = NULL;
    if (s->parked && !s->waiting.len)
        shard_forget_parked(s->shard, s);
    if (s->stream_counted) {
        s->stream_counted = false;
        s->shard->counts.streams_open--;
    }
}

/* The run's last transaction; nothing says "ended" before it is committed. */
void
session_end(struct session *s, enum run_status to, const char *message, const char *reason)
{
    struct record r;
    const char *type;

    session_let_in(s, &type);
    timer_cancel(&s->shard->timers, &s->timer);
    record_begin(&r, s);
    record_ended(&r, to, message, reason);
    record_end(&r);
    record_projection(s);
    s->state = SESSION_ENDING;
    if (message)
        session_log(s, LOG_INFO, "run failed", message);
}

static void
want_no_stream(struct session *s)
{
    if (s->stream_wanted)
        s->shard->counts.streams_wanted--;
    s->stream_wanted = false;
}

static void
end_committed(struct session *s, const struct input *in)
{
    (void)in;
    session_close_stream(s);
    want_no_stream(s);
    s->state = SESSION_LINGERING;
    session_wait_until(s, clock_mono_ms() + LINGER_MS);
}

static void
linger_over(struct session *s, const struct input *in)
{
    struct record r;

    (void)in;
    record_projection(s); /* late signals */
    s->state = SESSION_CLOSING;
    record_begin(&r, s);
    record_closed(&r);
    record_end(&r);
}

static void
close_committed(struct session *s, const struct input *in)
{
    (void)in;
    session_drop(s);
}

/* --- signals ----------------------------------------------------------------------------- */

/* A run that ended without its session has none that a signal could be about. */
static bool
is_bound(const struct session *s)
{
    return strcmp(s->run.session_state, "SESSION_STATE_UNSPECIFIED") != 0;
}

static void
ambient(struct session *s, const struct input *in)
{
    if (!is_bound(s))
        return;
    record_ambient(s, in->ambient);
    in->ambient->taken = true;
}

void
session_ambient(struct session *s, struct ambient_mail *mail)
{
    session_handle(s, INPUT_AMBIENT, &(struct input){.ambient = mail});
}

void
session_look_for_signals(struct session *s)
{
    if (is_bound(s))
        ambient_look(s->shard->o.ambient, s->shard, s->run.session_id);
}

/* --- orders ------------------------------------------------------------------------------ */

static void
over(struct session *s, const struct input *in)
{
    (void)s;
    in->order->answer = ORDER_OVER;
}

static void
trace(struct session *s, struct shard_order *order)
{
    struct record r;

    s->run.posted = true;
    record_begin(&r, s);
    record_trace(&r);
    record_end(&r);
    order->answer = ORDER_DONE;
}

static bool
was_appended(const struct session *s, int64_t command_id)
{
    for (size_t i = s->n_appended; i-- > 0;)
        if (s->appended[i] == command_id)
            return true;
    return false;
}

static void
append(struct session *s, struct shard_order *order)
{
    order->answer = ORDER_DONE;
    if (was_appended(s, order->reply_to))
        return;
    if (s->n_appended == s->cap_appended) {
        s->cap_appended = s->cap_appended ? s->cap_appended * 2 : 8;
        s->appended = xrealloc(s->appended, s->cap_appended * sizeof *s->appended);
    }
    s->appended[s->n_appended++] = order->reply_to;
    record_appended(s, order->args, order->reply_to);
}

static void
begin_tail(struct session *s, struct shard_order *order)
{
    tail_free(s->tail);
    s->tail = tail_new(s->run.seq);
    order->day = s->run.day;
    order->seq = s->run.seq;
    order->answer = ORDER_DONE;
}

/* Large facts belong into the other lane, where the run is the next time that somebody asks. */
static void
take_refolded(struct session *s, struct shard_order *order)
{
    struct refold *fold = order->refold;
    bool fits = s->tail && s->tail->after == fold->seq;

    if (!fits ||
        (s->state == SESSION_STREAMING && session_must_move(s, batch_fact_bytes(&fold->rows)))) {
        order->answer = ORDER_BEHIND;
        return;
    }
    record_refolded(s, fold, order->reply_to);
    refold_free(fold);
    order->refold = NULL;
    order->answer = ORDER_DONE;
}

void
session_order(struct session *s, struct shard_order *order)
{
    bool ours = s->state != SESSION_CLOSING && s->state != SESSION_HANDING;

    switch (order->kind) {
    case ORDER_TRACE:
        if (ours)
            trace(s, order);
        break;
    case ORDER_APPEND:
        if (ours)
            append(s, order);
        break;
    case ORDER_TAIL:
        if (ours)
            begin_tail(s, order);
        break;
    case ORDER_REFOLDED:
        if (ours)
            take_refolded(s, order);
        break;
    default:
        session_handle(s, INPUT_ORDER, &(struct input){.order = order});
    }
}

/* --- another instance's turn --------------------------------------------------------------- */

/* What the next owner must know, and nothing after it. */
static void
store_last(struct session *s)
{
    if (s->call)
        rt_call_cancel(s->call);
    s->call = NULL;
    timer_cancel(&s->shard->timers, &s->timer);
    if (s->state == SESSION_AWAITING && s->outage_from_ms) {
        struct record r; /* the time the runtime was away is given back by whoever comes next */

        record_begin(&r, s);
        record_observer(&r);
        record_end(&r);
    }
    record_projection(s);
    session_forget_held(s);
}

static void
start_handing(struct session *s)
{
    store_last(s);
    want_no_stream(s);
    s->state = SESSION_HANDING;
    session_wait_until(s, clock_mono_ms());
}

void
session_hand_over(struct session *s, int64_t ordinal)
{
    if (s->state != SESSION_STREAMING || s->held_up || s->ahead || ordinal > s->run.cursor)
        return;
    s->has_heir = true;
    start_handing(s);
}

void
session_leave(struct session *s)
{
    if ((s->state == SESSION_AWAITING && !s->stream && !s->ahead) || s->state == SESSION_LINGERING)
        start_handing(s);
}

/* What the stream brings meanwhile is not recorded: the heir reads it, too. */
static void
hand_over_look(struct session *s, const struct input *in)
{
    enum { LOOK_MS = 5 };
    const struct run_mail stored = {.run_key = s->run.run_key, .fence = s->run.fence};

    (void)in;
    if (!writer_is_past(session_writer(s), s->batch_serial))
        session_wait_until(s, clock_mono_ms() + LOOK_MS);
    else if (!s->has_heir)
        shard_let_go(s->shard, s, false);
    else if (!run_mail_post(s->shard->o.control, CONTROL_STORED, &stored))
        session_wait_until(s, clock_mono_ms() + LOOK_MS);
}

/* --- life -------------------------------------------------------------------------------- */

void
run_seed_free(struct run_seed *seed)
{
    free(seed->session_id);
    free(seed->trace_id);
    free(seed->runtime_kind);
    free(seed->mode_name);
    free(seed->mode_version);
    free(seed->configuration_version);
    free(seed->policy_version);
    json_decref(seed->participants);
    json_decref(seed->known);
    projection_free(seed->projection);
    facts_fini(&seed->facts);
    seen_fini(&seed->seen);
}

static void
timer_fired(struct timer *t)
{
    session_handle((struct session *)((char *)t - offsetof(struct session, timer)), INPUT_TIMER,
                   NULL);
}

static void
flush_due(struct timer *t)
{
    enum { AGAIN_MS = 20 };
    struct session *s = (struct session *)((char *)t - offsetof(struct session, flush));

    /* The states of thousands of runs are no less than their events: they wait for room, too. */
    if (writer_is_full(session_writer(s)))
        timer_set(&s->shard->timers, t, clock_mono_ms() + AGAIN_MS);
    else
        record_projection(s);
}

/* The stream that was opened before the run was ours, unless it has come too far. */
static bool
inherit_stream(struct session *s)
{
    struct rt_stream *stream;
    int64_t at;

    if (!heir_take(s->shard, s->run.run_key, &stream, &at))
        return false;
    if (at > s->run.cursor) {
        rt_stream_cancel(stream);
        return false;
    }
    session_take_stream(s, stream, at);
    return true;
}

/* A run that was observed before goes on at its cursor. */
static void
resume(struct session *s)
{
    struct record r;

    s->state = SESSION_STREAMING;
    record_begin(&r, s);
    record_stream_notice(&r, "run-recovery", "recovered", "stream resumed after restart");
    record_end(&r);
    s->stream_failures = 1; /* not the first subscription: no second trace artifact */
    if (!inherit_stream(s)) {
        s->doubtful = true;
        s->reconnect_at_ms = clock_mono_ms();
    }
    session_ask(s);
    session_plan_check(s);
    session_rearm(s);
}

void
session_adopt(struct shard *shard, struct run_seed *seed)
{
    struct session *s = xcalloc(1, sizeof *s);
    int64_t now = clock_mono_ms();

    s->run = *seed;
    free(seed);
    s->shard = shard;
    s->observer_state = "ok";
    s->normalizer = (struct normalizer){s->run.session_id, s->run.known, shard->o.redactor};
    s->timer.fire = timer_fired;
    s->flush.fire = flush_due;
    session_lane_init(s);
    run_trace_begin(s);
    s->open_by_ms = now + s->run.poll_remaining_ms;
    s->lag_window_ms = now;
    s->ahead = shard_spooled(shard, s->run.run_key, s->run.epoch, s->run.cursor);
    HASH_ADD(by_key, shard->by_key, run.run_key, sizeof s->run.run_key, s);
    HASH_ADD_KEYPTR(by_session, shard->by_session, s->run.session_id, strlen(s->run.session_id), s);
    session_look_for_signals(s);
    if (run_status_is_terminal(s->run.status)) {
        s->state = SESSION_LINGERING;
        session_wait_until(s, now + LINGER_MS);
        return;
    }
    if (s->run.fence > 1)
        meter_add(METER_RECOVERIES, 1, "success");
    if (s->run.status == RUN_RUNNING || s->run.status == RUN_SUSPENDED) {
        session_want_stream(s);
        resume(s);
        return;
    }
    s->state = SESSION_AWAITING;
    if (!s->run.posted)
        session_open_stream(s); /* it was seen, and may be over before it is asked for */
    session_await_look(s, NULL);
}

void
session_wake(struct session *s)
{
    session_handle(s, INPUT_WAKE, NULL);
}

void
session_committed(struct session *s, const struct writer_result *r)
{
    (void)r;
    session_handle(s, INPUT_COMMITTED, NULL);
}

void
session_drop(struct session *s)
{
    struct shard *shard = s->shard;

    if (s->call)
        rt_call_cancel(s->call);
    session_forget_held(s);
    buf_fini(&s->waiting);
    session_close_stream(s);
    timer_cancel(&shard->timers, &s->timer);
    timer_cancel(&shard->timers, &s->flush);
    want_no_stream(s);
    shard->counts.runs--;
    HASH_DELETE(by_key, shard->by_key, s);
    HASH_DELETE(by_session, shard->by_session, s);
    buf_fini(&s->first);
    run_trace_fini(&s->trace);
    tail_free(s->tail);
    free(s->appended);
    if (s->verdict_meta)
        protobuf_c_message_free_unpacked(&s->verdict_meta->base, NULL);
    run_seed_free(&s->run);
    free(s);
}

void
session_drain(struct session *s)
{
    if (!session_spool_waiting(s))
        session_log(s, LOG_ERROR, "an envelope is not stored, the spool is full", NULL);
    buf_fini(&s->waiting);
    session_close_stream(s);
    store_last(s);
}

void
session_unpark(struct session *s)
{
    s->parked = false;
    if (!session_spool_waiting(s))
        shard_park(s->shard, s);
    else if (s->stream && !s->held_up)
        rt_stream_resume(s->stream);
}
