/*
 * The state machine of a run, driven cell by cell: a runtime and a writer made of variables stand
 * behind it, and what each input appends to the batch is looked at.
 */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"

#define SESSION "0b6f3c6e-1111-4222-8333-944455556666"
#define RUN     "0b6f3c6e-aaaa-4bbb-8ccc-9ddddeeeefff"

enum { STARTED_MS = 1700000000, MAX_CALLS = 8, MAX_STREAMS = 32 };

/* --- a runtime of variables ------------------------------------------------------------------ */

struct rt_call {
    bool live;
    enum rt_unary method;
    rt_reply_fn *done;
    void *ctx;
};

struct rt_stream {
    bool live, open, parked;
    int64_t after;
    struct rt_stream_ops ops;
    void *ctx;
};

static struct rt_call calls[MAX_CALLS];
static struct rt_stream streams[MAX_STREAMS];
static int n_streams;

struct rt_call *
rt_call_start(struct rt_queue *q UNUSED, enum rt_unary method,
              const ProtobufCMessage *request UNUSED, rt_reply_fn *done, void *ctx)
{
    for (int i = 0; i < MAX_CALLS; i++)
        if (!calls[i].live) {
            calls[i] = (struct rt_call){true, method, done, ctx};
            return &calls[i];
        }
    fail_msg("too many calls");
    return NULL;
}

void
rt_call_cancel(struct rt_call *call)
{
    call->live = false;
}

struct rt_stream *
rt_session_subscribe(struct rt_queue *q UNUSED, const char *session_id, int64_t after,
                     const struct rt_stream_ops *ops, void *ctx)
{
    struct rt_stream *s = &streams[n_streams++];

    assert_true(n_streams < MAX_STREAMS);
    assert_string_equal(session_id, SESSION);
    *s = (struct rt_stream){true, true, false, after, *ops, ctx};
    return s;
}

void
rt_stream_resume(struct rt_stream *s)
{
    s->parked = false;
}

void
rt_stream_cancel(struct rt_stream *s)
{
    s->live = false;
}

bool
rt_stream_is_open(const struct rt_stream *s)
{
    return s->open;
}

const char *
rt_code_name(enum rt_code code)
{
    return code == RT_OK ? "OK" : "some code";
}

/* What the shard could call, and does not here. */
struct rt_stream *
rt_sessions_watch(struct rt_queue *q UNUSED, const struct rt_stream_ops *ops UNUSED,
                  void *ctx UNUSED)
{
    return NULL;
}

struct rt_stream *
rt_signals_watch(struct rt_queue *q UNUSED, const struct rt_stream_ops *ops UNUSED,
                 void *ctx UNUSED)
{
    return NULL;
}

bool
rt_queue_new(const struct config *cfg UNUSED, struct rt_queue **out UNUSED, struct err *err)
{
    return err_set(err, ERR_CONFIG, "no queue here");
}

void
rt_queue_free(struct rt_queue *q UNUSED)
{
}

void
rt_queue_run(struct rt_queue *q UNUSED, int64_t (*tick)(void *ctx) UNUSED, void *ctx UNUSED)
{
}

void
rt_queue_wake(struct rt_queue *q UNUSED)
{
}

void
rt_queue_stop(struct rt_queue *q UNUSED)
{
}

/* --- a writer of variables ------------------------------------------------------------------- */

struct writer {
    struct batch batch;
    bool full, locked;
    bool behind; /* what was added is not stored yet */
};

static struct writer writer, bulk;

bool
writer_is_past(struct writer *w, uint64_t serial)
{
    return !w->behind || serial == 0;
}

struct batch *
writer_lock(struct writer *w)
{
    assert_false(w->locked);
    w->locked = true;
    return &w->batch;
}

void
writer_unlock(struct writer *w)
{
    assert_true(w->locked);
    w->locked = false;
}

bool
writer_is_full(struct writer *w)
{
    return w->full;
}

bool
writer_is_idle(struct writer *w)
{
    return batch_is_empty(&w->batch);
}

size_t
writer_take_results(struct writer *w UNUSED, struct writer_result *out UNUSED, size_t max UNUSED)
{
    return 0;
}

void
writer_forget(struct writer *w, int64_t run_key, int64_t fence UNUSED)
{
    batch_drop_run(&w->batch, run_key);
}

struct writer *
writer_start(const struct writer_options *o UNUSED)
{
    return NULL;
}

bool
writer_stop(struct writer *w UNUSED, int64_t limit_ms UNUSED)
{
    return true;
}

/* --- the stage ----------------------------------------------------------------------------- */

static struct config *cfg;
static struct shard shard;
static struct session *s;

static void
hello_due(struct timer *t UNUSED)
{
}

static int
load_config(void **state UNUSED)
{
    char *envp[] = {(char *)"MACP_ENV=development", (char *)"DATABASE_URL=postgres://u@h/d", NULL};
    struct config_report report = {0};
    bool ok = config_load(CONFIG_OBSERVERD, envp, &cfg, &report);

    log_open("test", LOG_SILENT);
    config_report_fini(&report);
    return ok ? 0 : -1;
}

static int
unload_config(void **state UNUSED)
{
    config_free(cfg);
    return 0;
}

static int
open_stage(void **state UNUSED)
{
    memset(calls, 0, sizeof calls);
    memset(streams, 0, sizeof streams);
    n_streams = 0;
    writer = (struct writer){.full = false};
    batch_init(&writer.batch);
    writer.batch.serial = 1;
    bulk = (struct writer){.full = false};
    batch_init(&bulk.batch);
    bulk.batch.serial = 1;
    shard = (struct shard){.o = {.cfg = cfg}, .writers = {&writer, &bulk}, .ready = true};
    shard.modes = json_array();
    for (int lane = 0; lane < LANE__COUNT; lane++)
        shard.parked_tail[lane] = &shard.parked_head[lane];
    shard.hello_timer.fire = hello_due;
    s = NULL;
    return 0;
}

static int
close_stage(void **state UNUSED)
{
    if (s)
        session_drop(s);
    assert_int_equal(shard.counts.streams_wanted, 0);
    assert_int_equal(shard.counts.streams_open, 0);
    assert_null(shard.by_key);
    assert_null(shard.by_session);
    assert_null(shard.parked_head[LANE_ORDINARY]);
    timer_cancel(&shard.timers, &shard.hello_timer);
    assert_int_equal(shard.timers.n, 0);
    timers_fini(&shard.timers);
    event_list_fini(&shard.events);
    arena_fini(&shard.arena);
    json_decref(shard.modes);
    batch_fini(&writer.batch);
    batch_fini(&bulk.batch);
    return 0;
}

/* A claimed run, as the database had it. */
static void
adopt(enum run_status status, int64_t cursor, int64_t seq)
{
    struct run_seed *seed = xcalloc(1, sizeof *seed);

    seed->run_key = 7;
    seed->fence = 3;
    seed->day = 20000;
    memcpy(seed->run_id, RUN, UUID_LEN);
    seed->session_id = xstrdup(SESSION);
    seed->trace_id = xstrdup("0af7651916cd43dd8448eb211c80319c");
    seed->runtime_kind = xstrdup("rust");
    seed->mode_name = xstrdup("macp.mode.decision.v1");
    seed->mode_version = xstrdup("1.0.0");
    seed->configuration_version = xstrdup("1");
    seed->policy_version = xstrdup("");
    seed->participants = json_pack("[s]", "agent-a");
    seed->posted = true;
    seed->status = status;
    seed->cursor = cursor;
    seed->seq = seq;
    seed->poll_remaining_ms = 60000;
    seed->projection = projection_new(RUN);
    seed->known = json_object();
    if (status >= RUN_RUNNING) {
        seed->session_started_ms = STARTED_MS;
        snprintf(seed->session_state, sizeof seed->session_state, "SESSION_STATE_OPEN");
    }
    shard.counts.runs++;
    session_adopt(&shard, seed);
    s = shard.by_key;
    assert_non_null(s);
}

/* The writer takes the batch; what was in it is forgotten. */
static void
swap(void)
{
    uint64_t serial = writer.batch.serial;

    batch_reset(&writer.batch);
    writer.batch.serial = serial + 1;
}

static int
rows(enum batch_table t)
{
    return writer.batch.tables[t].n;
}

static const char *
column(enum batch_table t, int number)
{
    static char text[1024];
    const struct rows *r = &writer.batch.tables[t];
    size_t at = 0;

    text[0] = '\0';
    for (int row = 0; row < r->n; row++) {
        size_t n;
        const char *v = rows_value(r, number, row, &n);

        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", row ? "," : "", (int)n, v);
    }
    return text;
}

/* Types of the canonical events in the batch, in their order. */
#define EVENTS column(BATCH_CANONICAL, 4)

static const struct batch_run *
entry(void)
{
    assert_int_equal(writer.batch.n_runs, 1);
    return &writer.batch.runs[0];
}

static int64_t
int8_of(enum batch_table t, int number, int row)
{
    uint64_t net;
    size_t n;
    const char *p = rows_value(&writer.batch.tables[t], number, row, &n);

    assert_int_equal(n, 8);
    memcpy(&net, p, 8);
    return (int64_t)be64toh(net);
}

/* The run waits for something: an armed timer that is not in the past, or an answer. */
static void
assert_waits(void)
{
    assert_true(s->timer.place || s->call);
    if (s->timer.place)
        assert_true(s->timer.due_ms >= clock_mono_ms() - 50);
}

static void
assert_nothing_stored(void)
{
    assert_true(batch_is_empty(&writer.batch));
}

/* --- what the runtime does ---------------------------------------------------------------------
 */

static struct rt_call *
asked(void)
{
    struct rt_call *found = NULL;

    for (int i = 0; i < MAX_CALLS; i++)
        if (calls[i].live) {
            assert_null(found); /* never two at a time */
            assert_int_equal(calls[i].method, RT_GET_SESSION);
            found = &calls[i];
        }
    return found;
}

static void
refuse(enum rt_code code, const char *text)
{
    struct rt_call *call = asked();
    struct rt_status status = {.code = code};

    assert_non_null(call);
    snprintf(status.text, sizeof status.text, "%s", text);
    call->live = false;
    call->done(call->ctx, &status, NULL);
}

static void
answer_with(Macp__V1__SessionState state, int64_t started_ms, int64_t messages, int64_t expires_ms)
{
    Macp__V1__GetSessionResponse response = MACP__V1__GET_SESSION_RESPONSE__INIT;
    Macp__V1__SessionMetadata meta = MACP__V1__SESSION_METADATA__INIT;
    Macp__V1__ParticipantActivity activity = MACP__V1__PARTICIPANT_ACTIVITY__INIT;
    Macp__V1__ParticipantActivity *activities[] = {&activity};
    struct rt_status ok = {.code = RT_OK};
    struct rt_call *call = asked();

    assert_non_null(call);
    meta.session_id = (char *)SESSION;
    meta.mode = (char *)"macp.mode.decision.v1";
    meta.initiator = (char *)"agent-a";
    meta.state = state;
    meta.started_at_unix_ms = started_ms;
    meta.expires_at_unix_ms = expires_ms;
    activity.message_count = (uint32_t)messages;
    meta.n_participant_activity = 1;
    meta.participant_activity = activities;
    response.metadata = &meta;
    call->live = false;
    call->done(call->ctx, &ok, &response.base);
}

/* messages: accepted ones behind SessionStart. */
#define ANSWER(state, messages)                                                                    \
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_##state, STARTED_MS, messages,              \
                clock_wall_ms() + 600000)

static struct rt_stream *
stream(void)
{
    assert_non_null(s->stream);
    assert_true(s->stream->live);
    return s->stream;
}

static void
send_packed(struct rt_stream *to, const Macp__V1__StreamSessionResponse *m)
{
    size_t n = macp__v1__stream_session_response__get_packed_size(m);
    uint8_t *bytes = xmalloc(n);

    macp__v1__stream_session_response__pack(m, bytes);
    to->parked = !to->ops.message(to->ctx, bytes, n);
    free(bytes);
}

static void
send_sized(struct rt_stream *to, const char *type, const char *id, const char *session,
           size_t payload)
{
    Macp__V1__StreamSessionResponse m = MACP__V1__STREAM_SESSION_RESPONSE__INIT;
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;

    e.macp_version = (char *)"1.0";
    e.mode = (char *)"macp.mode.decision.v1";
    e.message_type = (char *)type;
    e.message_id = (char *)id;
    e.session_id = (char *)session;
    e.sender = (char *)"agent-a";
    e.payload.len = payload;
    e.payload.data = xcalloc(payload + 1, 1);
    m.response_case = MACP__V1__STREAM_SESSION_RESPONSE__RESPONSE_ENVELOPE;
    m.envelope = &e;
    send_packed(to, &m);
    free(e.payload.data);
}

static void
send_to(struct rt_stream *to, const char *type, const char *id, const char *session)
{
    send_sized(to, type, id, session, 0);
}

static void
envelope(const char *type, const char *id)
{
    send_to(stream(), type, id, SESSION);
}

static void
inline_error(const char *code, const char *message)
{
    Macp__V1__StreamSessionResponse m = MACP__V1__STREAM_SESSION_RESPONSE__INIT;
    Macp__V1__MACPError e = MACP__V1__MACPERROR__INIT;

    e.code = (char *)code;
    e.message = (char *)message;
    m.response_case = MACP__V1__STREAM_SESSION_RESPONSE__RESPONSE_ERROR;
    m.error = &e;
    send_packed(stream(), &m);
}

static void
end_stream(enum rt_code code, const char *text)
{
    struct rt_stream *over = stream();
    struct rt_status status = {.code = code};

    snprintf(status.text, sizeof status.text, "%s", text);
    over->live = false;
    over->ops.closed(over->ctx, &status);
}

static void
fire(void)
{
    assert_true(s->timer.place > 0);
    timer_cancel(&shard.timers, &s->timer);
    s->timer.fire(&s->timer);
}

static void
commit(void)
{
    swap();
    session_committed(s, &(struct writer_result){.run_key = 7, .fence = 3});
}

/* A run with its session open and one envelope stored, nothing in flight, nothing in the batch. */
static void
streaming(void)
{
    adopt(RUN_QUEUED, 0, 1);
    ANSWER(OPEN, 0);
    envelope("SessionStart", "m1");
    assert_int_equal(s->state, SESSION_STREAMING);
    assert_int_equal(s->run.cursor, 1);
    assert_null(asked());
    swap();
}

static void
draining(Macp__V1__SessionState state, int64_t messages)
{
    streaming();
    session_wake(s);
    answer_with(state, STARTED_MS, messages, 0);
    assert_int_equal(s->state, SESSION_DRAINING);
    swap();
}

/* --- awaiting ----------------------------------------------------------------------------------
 */

static void
test_awaiting_queued_run_starts_when_the_runtime_is_known(void **state UNUSED)
{
    shard.ready = false;
    adopt(RUN_QUEUED, 0, 1);
    assert_nothing_stored();
    assert_null(asked());
    assert_waits();
    shard.ready = true;
    fire();
    assert_string_equal(EVENTS, "run.started");
    assert_int_equal(entry()->transitions, 1);
    assert_int_equal(entry()->status, RUN_STARTING);
    assert_non_null(asked());
}

static void
test_awaiting_wake_asks_at_once_and_again_after_an_answer_on_its_way(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    refuse(RT_NOT_FOUND, "");
    assert_null(asked());
    session_wake(s);
    assert_non_null(asked());
    session_wake(s); /* the answer may be older than this news */
    refuse(RT_NOT_FOUND, "");
    assert_true(s->timer.due_ms <= clock_mono_ms());
    assert_nothing_stored();
}

static void
test_awaiting_first_sight_binds_runs_and_subscribes_from_the_start(void **state UNUSED)
{
    adopt(RUN_QUEUED, 0, 1);
    swap();
    ANSWER(OPEN, 4);
    assert_int_equal(s->state, SESSION_STREAMING);
    assert_string_equal(EVENTS, "session.bound,participant.seen,session.state.changed,"
                                "session.stream.opened,artifact.created");
    assert_string_equal(column(BATCH_RAW, 3), "status");
    assert_int_equal(rows(BATCH_BOUND), 1);
    assert_int_equal(rows(BATCH_ARTIFACTS), 1);
    assert_int_equal(entry()->transitions, 2);
    assert_int_equal(entry()->status, RUN_RUNNING);
    assert_int_equal(entry()->new_seq - entry()->old_seq, 6);
    assert_int_equal(entry()->new_cursor, 0);
    assert_int_equal(stream()->after, 0);
    assert_waits();
}

static void
test_awaiting_bound_half_way_goes_on(void **state UNUSED)
{
    adopt(RUN_BINDING_SESSION, 0, 2);
    ANSWER(OPEN, 0);
    assert_int_equal(entry()->status, RUN_RUNNING);
}

static void
test_awaiting_unspecified_state_waits_on(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    ANSWER(UNSPECIFIED, 0);
    assert_int_equal(s->state, SESSION_AWAITING);
    assert_nothing_stored();
    assert_waits();
}

static void
test_awaiting_fails_at_the_deadline_and_not_before(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    refuse(RT_NOT_FOUND, "");
    assert_nothing_stored();
    fire();
    s->open_by_ms = clock_mono_ms() - 1;
    refuse(RT_NOT_FOUND, "");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_OPEN_TIMEOUT);
    assert_true(entry()->terminal);
    assert_non_null(entry()->projection);
}

static void
test_awaiting_outage_stops_the_clock_and_is_stored(void **state UNUSED)
{
    static const enum rt_code codes[] = {RT_UNAVAILABLE,     RT_DEADLINE_EXCEEDED, RT_INTERNAL,
                                         RT_UNAUTHENTICATED, RT_UNKNOWN,           RT_CANCELLED,
                                         RT_ABORTED,         RT_RESOURCE_EXHAUSTED};
    int64_t open_by;

    adopt(RUN_STARTING, 0, 2);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        refuse(codes[i], "away");
        assert_waits();
        shard.ready = true;
        fire();
    }
    assert_nothing_stored();
    /* it has lasted 50 s, and the deadline would have passed */
    open_by = s->open_by_ms = clock_mono_ms() - 1000;
    s->outage_from_ms = s->outage_noted_ms = clock_mono_ms() - 50000;
    refuse(RT_UNAVAILABLE, "away");
    assert_int_equal(s->state, SESSION_AWAITING);
    assert_true(entry()->observer);
    assert_in_range(entry()->poll_remaining_ms, 48900, 49000);
    swap();
    shard.ready = true;
    fire();
    refuse(RT_NOT_FOUND, "");
    assert_int_equal(s->state, SESSION_AWAITING);
    assert_in_range(s->open_by_ms - open_by, 50000, 50100);
    assert_in_range(entry()->poll_remaining_ms, 48800, 49100);
}

static void
test_awaiting_unavailable_runtime_is_greeted_before_it_is_asked_again(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    shard.hello_at_ms = clock_mono_ms(); /* it has just said hello, too */
    refuse(RT_UNAVAILABLE, "away");
    assert_false(shard.ready);
    assert_true(shard.hello_timer.place > 0);
    assert_true(shard.hello_timer.due_ms > clock_mono_ms() + 500); /* no spinning */
    fire();
    assert_null(asked());
}

static void
test_awaiting_third_refusal_of_our_identity_fails_the_run(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    for (int i = 0; i < 2; i++) {
        refuse(RT_PERMISSION_DENIED, "FORBIDDEN: session access denied");
        assert_int_equal(s->state, SESSION_AWAITING);
        fire();
    }
    refuse(RT_PERMISSION_DENIED, "FORBIDDEN: session access denied");
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_FORBIDDEN);
}

static void
test_awaiting_incompatible_runtime_or_mode_fails_the_run(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    refuse(RT_UNIMPLEMENTED, "what?");
    assert_string_equal(entry()->failure_reason, RUN_REASON_INCOMPATIBLE);
    session_drop(s);
    swap();
    json_array_append_new(shard.modes, json_string("another.mode"));
    adopt(RUN_QUEUED, 0, 1);
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_MODE);
    assert_null(asked());
}

/* --- streaming: the stream ---------------------------------------------------------------------
 */

static void
test_streaming_envelope_gets_the_next_ordinal(void **state UNUSED)
{
    streaming();
    envelope("Proposal", "m2");
    assert_string_equal(column(BATCH_RAW, 3), "session");
    assert_int_equal(int8_of(BATCH_RAW, 5, 0), 2);
    assert_int_equal(entry()->old_cursor, 1);
    assert_int_equal(entry()->new_cursor, 2);
    assert_true(rows(BATCH_CANONICAL) > 0);
    assert_null(asked());
}

static void
test_streaming_duplicates_and_strangers_leave_no_trace(void **state UNUSED)
{
    streaming();
    envelope("SessionStart", "m1");
    send_to(stream(), "Proposal", "m2", "another-session");
    assert_nothing_stored();
    assert_int_equal(s->run.cursor, 1);
}

static void
test_streaming_unreadable_envelope_is_stored_and_counts(void **state UNUSED)
{
    static const uint8_t bytes[] = {0x0a, 0x03, 0x0a, 0x7f, 'x'}; /* a field longer than it is */

    streaming();
    assert_true(stream()->ops.message(stream()->ctx, bytes, sizeof bytes));
    assert_int_equal(rows(BATCH_RAW), 1);
    assert_int_equal(s->run.cursor, 2);
}

static void
test_streaming_hints_ask_even_when_an_older_question_is_on_its_way(void **state UNUSED)
{
    streaming();
    envelope("Commitment", "m2");
    assert_non_null(asked());
    session_wake(s); /* while it is in flight */
    ANSWER(OPEN, 1); /* from before the commitment */
    assert_non_null(asked());
    ANSWER(RESOLVED, 1);
    assert_int_equal(s->state, SESSION_DRAINING);
}

static void
test_streaming_full_batch_parks_the_stream(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Proposal", "m2");
    assert_true(stream()->parked);
    assert_ptr_equal(shard.parked_head[LANE_ORDINARY], s);
    shard_forget_parked(&shard, s);
    session_unpark(s);
    assert_false(stream()->parked);
    assert_int_equal(s->run.cursor, 2); /* what had been read is not read again */
}

static void
move(void)
{
    assert_true(s->move.place > 0);
    timer_cancel(&shard.timers, &s->move);
    s->move.fire(&s->move);
}

/* --- lanes -------------------------------------------------------------------------------- */

enum { LARGE = 100000 };

static void
test_large_envelope_waits_until_the_ordinary_lane_is_past_the_run(void **state UNUSED)
{
    int64_t cursor;

    streaming();
    cursor = s->run.cursor;
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    assert_true(stream()->parked);
    assert_int_equal(s->run.cursor, cursor); /* nothing of it is written anywhere */
    move();
    assert_int_equal(s->lane, LANE_ORDINARY);
    assert_true(s->move.place);
    writer.behind = false;
    move();
    assert_int_equal(s->lane, LANE_BULK);
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_int_equal(bulk.batch.tables[BATCH_RAW].n, 1);
    assert_int_equal(bulk.batch.runs[0].old_cursor, cursor);
    assert_false(stream()->parked);
    send_sized(stream(), "Proposal", "m3", SESSION, LARGE); /* it stays there */
    assert_int_equal(s->run.cursor, cursor + 2);
    assert_int_equal(bulk.batch.tables[BATCH_RAW].n, 2);
}

static void
test_held_envelope_is_recorded_when_its_stream_ends(void **state UNUSED)
{
    int64_t cursor;

    streaming();
    cursor = s->run.cursor;
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    end_stream(RT_UNAVAILABLE, "Socket closed");
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_int_equal(s->held.len, 0);
    writer.behind = false;
    move(); /* the move itself goes on */
    assert_int_equal(s->lane, LANE_BULK);
    assert_int_equal(s->run.cursor, cursor + 1);
}

static void
test_held_envelope_is_recorded_when_the_program_stops(void **state UNUSED)
{
    int64_t cursor;

    streaming();
    cursor = s->run.cursor;
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    session_drain(s);
    assert_int_equal(s->run.cursor, cursor + 1);
    assert_false(s->move.place);
}

static void
test_held_envelope_is_forgotten_with_a_lost_run(void **state UNUSED)
{
    streaming();
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    writer.batch.events = 0;
    session_drop(s);
    s = NULL;
    assert_int_equal(writer.batch.events, 0);
    assert_int_equal(shard.timers.n, 0);
}

static void
test_drain_waits_for_a_run_that_moves(void **state UNUSED)
{
    streaming();
    writer.behind = true;
    send_sized(stream(), "Commitment", "m2", SESSION, LARGE);
    session_wake(s);
    ANSWER(RESOLVED, 1);
    assert_int_equal(s->state, SESSION_DRAINING);
    s->drain_until_ms = clock_mono_ms() - 1;
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    writer.behind = false;
    move();
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(bulk.batch.tables[BATCH_GAPS].n, 0);
}

/* --- the stream's end ------------------------------------------------------------------------ */

static void
test_streaming_stream_that_ends_while_parked_is_not_parked_any_more(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Proposal", "m2");
    end_stream(RT_UNAVAILABLE, "Socket closed");
    assert_null(shard.parked_head[LANE_ORDINARY]);
    assert_false(s->parked);
}

static void
test_streaming_compacted_history_is_a_gap_and_its_last_message_is_counted_once(void **state UNUSED)
{
    static const struct {
        const char *code, *text;
    } cases[] = {
        {"session history before ordinal 9 was compacted; resume with after_sequence >= 9",
         "session history before ordinal 9 was compacted; resume with after_sequence >= 9"},
        {"INVALID_ENVELOPE", "session history before ordinal 9 was compacted; resume with"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        streaming();
        inline_error(cases[i].code, cases[i].text);
        assert_string_equal(column(BATCH_GAPS, 1), "compacted");
        assert_int_equal(int8_of(BATCH_GAPS, 3, 0), 2);
        assert_int_equal(int8_of(BATCH_GAPS, 4, 0), 9);
        assert_int_equal(entry()->new_cursor, 9);
        assert_non_null(s->stream);
        assert_non_null(asked());
        swap();
        envelope("Commitment", "m9");
        assert_int_equal(int8_of(BATCH_RAW, 5, 0), 9);
        assert_int_equal(s->run.cursor, 9);
        session_drop(s);
        s = NULL;
        swap();
    }
}

static void
test_streaming_refused_subscription_closes_and_is_tried_later(void **state UNUSED)
{
    static const struct {
        const char *code, *text;
    } cases[] = {
        {"FORBIDDEN: caller is not a declared participant",
         "FORBIDDEN: caller is not a declared participant"},
        {"FORBIDDEN", "caller is not a declared participant"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        streaming();
        inline_error(cases[i].code, cases[i].text);
        assert_null(s->stream);
        assert_string_equal(entry()->observer_state, "forbidden");
        assert_true(s->reconnect_at_ms > clock_mono_ms() + 50000);
        assert_waits();
        session_drop(s);
        s = NULL;
        swap();
    }
}

static void
test_streaming_other_inline_error_is_stored_and_takes_no_ordinal(void **state UNUSED)
{
    streaming();
    inline_error("POLICY_DENIED", "no");
    assert_string_equal(column(BATCH_RAW, 3), "inline-error");
    assert_non_null(strstr(EVENTS, "message.send_failed"));
    assert_int_equal(s->run.cursor, 1);
    assert_non_null(s->stream);
}

static void
test_streaming_lost_stream_comes_back_at_the_cursor(void **state UNUSED)
{
    static const enum rt_code codes[] = {RT_OK,      RT_UNAVAILABLE, RT_INTERNAL,       RT_UNKNOWN,
                                         RT_ABORTED, RT_CANCELLED,   RT_UNAUTHENTICATED};

    streaming();
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        end_stream(codes[i], "gone");
        assert_string_equal(EVENTS, "session.stream.opened"); /* the notice */
        assert_string_equal(entry()->observer_state, "disconnected");
        assert_non_null(asked());
        assert_waits();
        s->reconnect_at_ms = clock_mono_ms();
        fire();
        assert_int_equal(stream()->after, 1);
        envelope("Signal", ""); /* something comes: all is well again */
        assert_string_equal(entry()->observer_state, "ok");
        s->run.cursor = 1;
        s->stream_failures = 0;
        ANSWER(OPEN, 0);
        swap();
    }
}

static void
test_streaming_being_cut_for_lag_costs_no_time_three_times(void **state UNUSED)
{
    streaming();
    for (int i = 0; i < 3; i++) {
        end_stream(RT_RESOURCE_EXHAUSTED, "StreamSession receiver fell behind by 3 envelopes");
        assert_nothing_stored();
        assert_true(s->reconnect_at_ms <= clock_mono_ms());
        fire();
        swap();
    }
    end_stream(RT_RESOURCE_EXHAUSTED, "StreamSession receiver fell behind by 3 envelopes");
    assert_int_equal(s->stream_failures, 1);
    assert_string_equal(EVENTS, "session.stream.opened");
}

static void
test_streaming_oversize_message_is_left_out_as_a_gap(void **state UNUSED)
{
    streaming();
    end_stream(RT_RESOURCE_EXHAUSTED, "Received message larger than max (99 vs. 10)");
    assert_string_equal(column(BATCH_GAPS, 1), "oversize");
    assert_int_equal(s->run.cursor, 2);
    fire();
    assert_int_equal(stream()->after, 2);
}

static void
test_streaming_status_of_compaction_moves_on_but_never_in_circles(void **state UNUSED)
{
    static const char text[] = "session history before ordinal 9 was compacted; resume with";

    streaming();
    end_stream(RT_FAILED_PRECONDITION, text);
    assert_string_equal(column(BATCH_GAPS, 1), "compacted");
    fire();
    assert_int_equal(stream()->after, 9);
    swap();
    end_stream(RT_FAILED_PRECONDITION, text); /* nothing new: as any failure */
    assert_int_equal(rows(BATCH_GAPS), 0);
    assert_int_equal(s->stream_failures, 1);
    assert_waits();
}

static void
test_streaming_runtime_that_cannot_stream_is_only_asked(void **state UNUSED)
{
    streaming();
    end_stream(RT_UNIMPLEMENTED, "no");
    assert_string_equal(entry()->observer_state, "degraded");
    assert_non_null(asked());
    ANSWER(OPEN, 5);
    s->check_at_ms = clock_mono_ms();
    fire();
    assert_int_equal(n_streams, 1);
    assert_non_null(asked());
    assert_waits();
}

static void
test_streaming_denied_status_is_tried_after_a_minute(void **state UNUSED)
{
    streaming();
    end_stream(RT_PERMISSION_DENIED, "FORBIDDEN");
    assert_string_equal(entry()->observer_state, "forbidden");
    assert_true(s->reconnect_at_ms > clock_mono_ms() + 50000);
}

/* --- streaming: answers ------------------------------------------------------------------------
 */

static void
test_streaming_timer_asks_and_stays_armed(void **state UNUSED)
{
    streaming();
    s->check_at_ms = clock_mono_ms();
    fire();
    assert_non_null(asked());
    assert_waits();
    refuse(RT_UNAVAILABLE, "away");
    assert_waits();
    assert_nothing_stored();
    s->quiet_since_ms = clock_mono_ms() - cfg->stream_idle_timeout_ms;
    fire();
    assert_non_null(asked());
    assert_waits();
}

static void
test_streaming_suspends_and_resumes_with_the_session(void **state UNUSED)
{
    streaming();
    session_wake(s);
    ANSWER(SUSPENDED, 0);
    assert_string_equal(EVENTS, "session.state.changed,run.suspended");
    assert_string_equal(column(BATCH_RAW, 3), "snapshot");
    assert_int_equal(entry()->status, RUN_SUSPENDED);
    swap();
    session_wake(s);
    ANSWER(SUSPENDED, 0);
    assert_int_equal(rows(BATCH_CANONICAL), 0);
    session_wake(s);
    ANSWER(OPEN, 0);
    assert_string_equal(EVENTS, "session.state.changed,run.resumed");
    assert_int_equal(entry()->status, RUN_RUNNING);
}

static void
test_streaming_same_answer_stores_nothing(void **state UNUSED)
{
    int64_t expires = clock_wall_ms() + 600000;

    streaming();
    session_wake(s);
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, STARTED_MS, 0, expires);
    swap();
    session_wake(s);
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, STARTED_MS, 0, expires);
    assert_int_equal(rows(BATCH_CANONICAL) + rows(BATCH_RAW), 0);
    assert_false(writer.batch.n_runs && writer.batch.runs[0].observer);
}

static void
test_streaming_another_life_of_the_session_is_read_from_its_start(void **state UNUSED)
{
    streaming();
    session_wake(s);
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, STARTED_MS + 1, 2, 0);
    assert_string_equal(column(BATCH_GAPS, 1), "reset");
    assert_int_equal(entry()->epoch, 1);
    assert_int_equal(entry()->new_cursor, 0);
    fire();
    assert_int_equal(stream()->after, 0);
    swap();
    envelope("SessionStart", "m1"); /* the same id in another epoch is another envelope */
    assert_int_equal(int8_of(BATCH_RAW, 5, 0), 1);
}

/* The question at the limit is asked once, not as fast as the thread can. */
static void
test_streaming_behind_for_long_subscribes_again(void **state UNUSED)
{
    streaming();
    session_wake(s);
    ANSWER(OPEN, 5);
    assert_true(s->behind_since_ms > 0);
    s->behind_since_ms = s->check_at_ms = clock_mono_ms() - 5001;
    fire();
    assert_non_null(asked());
    assert_true(s->timer.due_ms > clock_mono_ms());
    ANSWER(OPEN, 5);
    assert_null(s->stream);
    fire();
    assert_int_equal(n_streams, 2);
    assert_int_equal(stream()->after, 1);
}

static void
test_streaming_behind_because_parked_keeps_the_stream(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Proposal", "m2");
    session_wake(s);
    ANSWER(OPEN, 5);
    s->behind_since_ms = clock_mono_ms() - 6000;
    session_wake(s);
    ANSWER(OPEN, 5);
    assert_int_equal(n_streams, 1);
    assert_non_null(s->stream);
}

static void
forget(bool committed, int64_t expired_ago_ms)
{
    streaming();
    if (committed)
        envelope("Commitment", "m2");
    else
        session_wake(s);
    if (expired_ago_ms)
        s->run.session_expires_ms = clock_wall_ms() - expired_ago_ms;
    swap();
    for (int i = 0; i < 2; i++) {
        refuse(RT_NOT_FOUND, "");
        assert_int_equal(s->state, SESSION_STREAMING);
        assert_waits();
        s->check_at_ms = clock_mono_ms();
        fire();
    }
    s->missing_since_ms -= 5000;
    refuse(RT_NOT_FOUND, "");
    assert_int_equal(s->state, SESSION_ENDING);
}

static void
test_streaming_forgotten_session_ends_by_what_is_known(void **state UNUSED)
{
    forget(true, 0);
    assert_string_equal(EVENTS, "run.completed");
    assert_string_equal(column(BATCH_GAPS, 1), "forgotten");
    session_drop(s);
    swap();
    forget(false, 0);
    assert_string_equal(EVENTS, "run.failed");
    assert_string_equal(entry()->failure_reason, RUN_REASON_FORGOTTEN);
    session_drop(s);
    swap();
    forget(false, 1000);
    assert_string_equal(entry()->failure_reason, RUN_REASON_SESSION_EXPIRED);
}

static void
test_streaming_runtime_gone_for_ever_ends_a_session_that_must_be_dead(void **state UNUSED)
{
    streaming();
    s->run.session_expires_ms = clock_wall_ms() - 1000;
    session_wake(s);
    refuse(RT_UNAVAILABLE, "away");
    assert_int_equal(s->state, SESSION_STREAMING); /* it may be suspended */
    s->run.session_expires_ms = clock_wall_ms() - (int64_t)8 * 24 * 3600000;
    session_wake(s);
    refuse(RT_UNAVAILABLE, "away");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_string_equal(entry()->failure_reason, RUN_REASON_SESSION_EXPIRED);
}

/* --- draining and the end ----------------------------------------------------------------------
 */

static void
test_draining_ends_with_the_last_message(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 2);
    envelope("Proposal", "m2");
    assert_int_equal(s->state, SESSION_DRAINING);
    envelope("Commitment", "m3");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_non_null(strstr(EVENTS, "session.state.changed,run.completed"));
    assert_string_equal(column(BATCH_RAW, 3), "session,session,snapshot");
    assert_int_equal(rows(BATCH_GAPS), 0);
    assert_true(entry()->terminal);
    assert_int_equal(entry()->status, RUN_COMPLETED);
    assert_non_null(entry()->projection);
}

static void
test_draining_limit_makes_a_gap_of_what_did_not_come(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    assert_waits();
    s->drain_until_ms = clock_mono_ms();
    fire();
    assert_string_equal(EVENTS, "session.state.changed,run.completed");
    assert_int_equal(int8_of(BATCH_GAPS, 3, 0), 2);
    assert_int_equal(int8_of(BATCH_GAPS, 4, 0), 5);
}

static void
test_draining_waits_for_what_a_parked_stream_holds(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED, 2);
    writer.full = true;
    envelope("Proposal", "m2");
    assert_true(s->parked);
    s->drain_until_ms = s->quiet_since_ms = clock_mono_ms() - 60000; /* Postgres is away for long */
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    writer.full = false;
    shard_forget_parked(&shard, s);
    session_unpark(s);
    envelope("Vote", "m3");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(rows(BATCH_GAPS), 0);
}

static void
test_draining_silence_counts_from_an_open_stream_on(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED, 2);
    s->quiet_since_ms = clock_mono_ms() - 1000;
    stream()->open = false; /* still connecting: that is not silence */
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    stream()->open = true;
    s->quiet_since_ms = clock_mono_ms() - 1000;
    fire();
    assert_non_null(strstr(EVENTS, "run.failed"));
    assert_string_equal(entry()->failure_reason, RUN_REASON_SESSION_EXPIRED);
    assert_int_equal(rows(BATCH_GAPS), 1);
}

static void
test_draining_complete_count_by_a_gap_waits_for_the_last_message(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    inline_error("INVALID_ENVELOPE", "session history before ordinal 5 was compacted; resume");
    assert_int_equal(s->state, SESSION_DRAINING);
    assert_int_equal(rows(BATCH_GAPS), 1);
    envelope("Commitment", "m5");
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(s->run.cursor, 5);
    assert_int_equal(rows(BATCH_GAPS), 1);
}

static void
test_draining_lost_stream_is_opened_again(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    end_stream(RT_UNAVAILABLE, "gone");
    assert_null(s->stream);
    s->reconnect_at_ms = clock_mono_ms();
    fire();
    assert_int_equal(stream()->after, 1);
    assert_waits();
    end_stream(RT_UNIMPLEMENTED, "no");
    s->reconnect_at_ms = clock_mono_ms();
    fire();
    assert_null(s->stream);
    s->drain_until_ms = clock_mono_ms();
    fire();
    assert_int_equal(s->state, SESSION_ENDING);
}

static void
test_draining_ignores_news_and_late_answers(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 4);
    session_wake(s);
    assert_null(asked());
    session_handle(s, INPUT_NO_ANSWER, &(struct input){.status = &(struct rt_status){RT_OK, ""}});
    session_handle(s, INPUT_COMMITTED, NULL);
    assert_int_equal(s->state, SESSION_DRAINING);
    assert_nothing_stored();
    assert_waits();
}

static void
test_first_sight_of_an_ended_session_walks_all_the_way(void **state UNUSED)
{
    static const struct {
        Macp__V1__SessionState seen;
        const char *event;
        enum run_status status;
    } cases[] = {
        {MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, "run.completed", RUN_COMPLETED},
        {MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED, "run.failed", RUN_FAILED},
        {MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED, "run.cancelled", RUN_CANCELLED},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        adopt(RUN_QUEUED, 0, 1);
        answer_with(cases[i].seen, STARTED_MS, 0, 0);
        assert_int_equal(s->state, SESSION_DRAINING);
        envelope("SessionStart", "m1");
        assert_int_equal(s->state, SESSION_ENDING);
        assert_string_equal(strrchr(EVENTS, ',') + 1, cases[i].event);
        assert_int_equal(entry()->transitions, 4);
        assert_int_equal(entry()->status, cases[i].status);
        session_drop(s);
        s = NULL;
        swap();
    }
}

static void
test_ending_takes_nothing_more_and_waits_for_the_commit(void **state UNUSED)
{
    draining(MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, 1);
    envelope("Commitment", "m2");
    assert_int_equal(s->state, SESSION_ENDING);
    swap();
    envelope("Vote", "m3"); /* nothing of the session may follow the end */
    session_wake(s);
    assert_nothing_stored();
    assert_non_null(s->stream); /* nothing says ended before it is committed */
    commit();
    assert_int_equal(s->state, SESSION_LINGERING);
    assert_null(s->stream);
    assert_waits();
}

static void
test_lingering_run_closes_and_goes(void **state UNUSED)
{
    adopt(RUN_COMPLETED, 5, 20);
    assert_int_equal(s->state, SESSION_LINGERING);
    session_wake(s);
    assert_nothing_stored();
    fire();
    assert_int_equal(s->state, SESSION_CLOSING);
    assert_true(entry()->closed);
    assert_int_equal(entry()->new_seq, 20);
    session_wake(s);
    commit();
    assert_null(shard.by_key);
    s = NULL;
}

/* --- life --------------------------------------------------------------------------------------
 */

static void
test_resumed_run_goes_on_at_its_cursor(void **state UNUSED)
{
    adopt(RUN_RUNNING, 12, 40);
    assert_string_equal(EVENTS, "session.stream.opened,session.stream.opened");
    assert_int_equal(rows(BATCH_ARTIFACTS), 0);
    assert_int_equal(stream()->after, 12);
    assert_int_equal(entry()->old_cursor, 12);
    assert_non_null(asked());
    assert_waits();
}

static void
test_drained_run_leaves_its_deadline_without_the_outage(void **state UNUSED)
{
    adopt(RUN_STARTING, 0, 2);
    s->open_by_ms = clock_mono_ms() + 1000;
    s->outage_from_ms = s->outage_noted_ms = clock_mono_ms() - 5000;
    session_drain(s);
    assert_in_range(entry()->poll_remaining_ms, 5900, 6000);
    assert_null(asked());
}

static void
test_dropped_run_leaves_nothing_behind(void **state UNUSED)
{
    streaming();
    writer.full = true;
    envelope("Commitment", "m2"); /* parked, a call in flight, timers armed */
    assert_non_null(asked());
    session_drop(s);
    s = NULL;
    assert_null(asked());
    assert_false(streams[0].live);
    assert_int_equal(shard.timers.n, 0);
    assert_int_equal(shard.counts.runs, 0);
}

static void
test_compaction_texts(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t base;
    } cases[] = {
        {"session history before ordinal 12 was compacted; resume with after_sequence >= 12", 12},
        {"FAILED_PRECONDITION: history before ordinal 1 was compacted", 1},
        {"history before ordinal 0 was compacted", 0},
        {"history before ordinal -4 was compacted", 0},
        {"history before ordinal x was compacted", 0},
        {"history before ordinal 12", 0},
        {"", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(session_compacted_before(cases[i].text), cases[i].base);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_awaiting_queued_run_starts_when_the_runtime_is_known),
        T(test_awaiting_wake_asks_at_once_and_again_after_an_answer_on_its_way),
        T(test_awaiting_first_sight_binds_runs_and_subscribes_from_the_start),
        T(test_awaiting_bound_half_way_goes_on),
        T(test_awaiting_unspecified_state_waits_on),
        T(test_awaiting_fails_at_the_deadline_and_not_before),
        T(test_awaiting_outage_stops_the_clock_and_is_stored),
        T(test_awaiting_unavailable_runtime_is_greeted_before_it_is_asked_again),
        T(test_awaiting_third_refusal_of_our_identity_fails_the_run),
        T(test_awaiting_incompatible_runtime_or_mode_fails_the_run),
        T(test_streaming_envelope_gets_the_next_ordinal),
        T(test_streaming_duplicates_and_strangers_leave_no_trace),
        T(test_streaming_unreadable_envelope_is_stored_and_counts),
        T(test_streaming_hints_ask_even_when_an_older_question_is_on_its_way),
        T(test_streaming_full_batch_parks_the_stream),
        T(test_large_envelope_waits_until_the_ordinary_lane_is_past_the_run),
        T(test_held_envelope_is_recorded_when_its_stream_ends),
        T(test_held_envelope_is_recorded_when_the_program_stops),
        T(test_held_envelope_is_forgotten_with_a_lost_run),
        T(test_drain_waits_for_a_run_that_moves),
        T(test_streaming_stream_that_ends_while_parked_is_not_parked_any_more),
        T(test_streaming_compacted_history_is_a_gap_and_its_last_message_is_counted_once),
        T(test_streaming_refused_subscription_closes_and_is_tried_later),
        T(test_streaming_other_inline_error_is_stored_and_takes_no_ordinal),
        T(test_streaming_lost_stream_comes_back_at_the_cursor),
        T(test_streaming_being_cut_for_lag_costs_no_time_three_times),
        T(test_streaming_oversize_message_is_left_out_as_a_gap),
        T(test_streaming_status_of_compaction_moves_on_but_never_in_circles),
        T(test_streaming_runtime_that_cannot_stream_is_only_asked),
        T(test_streaming_denied_status_is_tried_after_a_minute),
        T(test_streaming_timer_asks_and_stays_armed),
        T(test_streaming_suspends_and_resumes_with_the_session),
        T(test_streaming_same_answer_stores_nothing),
        T(test_streaming_another_life_of_the_session_is_read_from_its_start),
        T(test_streaming_behind_for_long_subscribes_again),
        T(test_streaming_behind_because_parked_keeps_the_stream),
        T(test_streaming_forgotten_session_ends_by_what_is_known),
        T(test_streaming_runtime_gone_for_ever_ends_a_session_that_must_be_dead),
        T(test_draining_ends_with_the_last_message),
        T(test_draining_limit_makes_a_gap_of_what_did_not_come),
        T(test_draining_waits_for_what_a_parked_stream_holds),
        T(test_draining_silence_counts_from_an_open_stream_on),
        T(test_draining_complete_count_by_a_gap_waits_for_the_last_message),
        T(test_draining_lost_stream_is_opened_again),
        T(test_draining_ignores_news_and_late_answers),
        T(test_first_sight_of_an_ended_session_walks_all_the_way),
        T(test_ending_takes_nothing_more_and_waits_for_the_commit),
        T(test_lingering_run_closes_and_goes),
        T(test_resumed_run_goes_on_at_its_cursor),
        T(test_drained_run_leaves_its_deadline_without_the_outage),
        T(test_dropped_run_leaves_nothing_behind),
        T(test_compaction_texts),
    };

    return cmocka_run_group_tests(tests, load_config, unload_config);
}
