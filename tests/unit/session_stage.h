/*
 * session_stage.h - where the state machine of a run is driven cell by cell.
 *
 * Purpose    a runtime and a writer made of variables stand behind a session, so that a test sees
 *            what each input appends to the batch. One test program includes it once: it defines
 *            the functions of runtime.h and writer.h.
 * Ownership, Errors, Threads: one program, one thread; a failed expectation ends the test.
 */
#ifndef MACP_TESTS_UNIT_SESSION_STAGE_H
#define MACP_TESTS_UNIT_SESSION_STAGE_H

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observerd/decoder.h"
#include "observerd/envelope.h"
#include "observerd/heir.h"
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
    bool distrusted;
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

void
rt_call_trace(struct rt_call *call UNUSED, const char *traceparent UNUSED)
{
}

void
rt_stream_trace(struct rt_stream *s UNUSED, const char *traceparent UNUSED)
{
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
rt_stream_give(struct rt_stream *s, const struct rt_stream_ops *ops, void *ctx)
{
    s->ops = *ops;
    s->ctx = ctx;
}

void
rt_stream_cancel(struct rt_stream *s)
{
    s->live = false;
}

void
rt_stream_distrust(struct rt_stream *s)
{
    s->distrusted = true;
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
rt_watch_open(struct rt_queue *q UNUSED, enum rt_watch what UNUSED,
              const struct rt_stream_ops *ops UNUSED, void *ctx UNUSED)
{
    return NULL;
}

bool
rt_queue_new(const struct rt_options *o UNUSED, struct rt_queue **out UNUSED, struct err *err)
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

/* --- a decoder that answers when it is told to -------------------------------------------------
 */

static bool decodes; /* else it has too much to do */
static struct decoded *asked_decoder;

bool
decoder_ask(struct decoder *d UNUSED, int64_t run_key, uint64_t token, const void *bytes, size_t n)
{
    struct arena arena = {0};
    struct envelope e;

    if (!decodes)
        return false;
    assert_null(asked_decoder);
    asked_decoder = xcalloc(1, sizeof *asked_decoder);
    asked_decoder->run_key = run_key;
    asked_decoder->token = token;
    assert_true(envelope_read(bytes, n, &arena, &e));
    asked_decoder->payload = payload_decode(e.mode, e.message_type, e.payload, e.payload_len);
    buf_lit(&asked_decoder->text, "{\"decoded\":\"elsewhere\"}");
    arena_fini(&arena);
    return true;
}

void
decoded_free(struct decoded *decoded)
{
    json_decref(decoded->payload.value);
    buf_fini(&decoded->text);
    free(decoded);
}

void
decoder_release(struct decoder *d UNUSED, struct decoded *decoded)
{
    if (decoded)
        decoded_free(decoded);
}

struct decoder *
decoder_start(struct mailbox *reply UNUSED, int kind UNUSED)
{
    return NULL;
}

void
decoder_stop(struct decoder *d UNUSED)
{
}

/* --- a writer of variables ------------------------------------------------------------------- */

struct writer {
    struct batch batch;
    bool full, locked;
    bool behind; /* what was added is not stored yet */
    int64_t stuck_ms;
};

static struct writer writer, bulk;

bool
writer_is_past(struct writer *w, uint64_t serial)
{
    return !w->behind || serial == 0;
}

int64_t
writer_stuck_ms(struct writer *w)
{
    return w->stuck_ms;
}

uint64_t
writer_last_serial(struct writer *w)
{
    return w->batch.serial - batch_is_empty(&w->batch);
}

void
writer_copy_logs(struct writer *w, struct buf *out)
{
    buf_add(out, w->batch.log.p, w->batch.log.len);
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

void
writer_end_by(struct writer *w UNUSED, int64_t mono_ms UNUSED)
{
}

bool
writer_stop(struct writer *w UNUSED, int64_t limit_ms UNUSED)
{
    return true;
}

/* --- the stage ----------------------------------------------------------------------------- */

static struct config *cfg;
static struct shard shard;
static struct mailbox control;
static struct session *s;

static inline void
hello_due(struct timer *t UNUSED)
{
}

static inline void
no_wake(void *ctx UNUSED)
{
}

static inline int
load_config(void **state UNUSED)
{
    char *envp[] = {(char *)"MACP_ENV=development", (char *)"DATABASE_URL=postgres://u@h/d", NULL};
    struct config_report report = {0};
    bool ok = config_load(CONFIG_OBSERVERD, envp, &cfg, &report);

    log_open("test", LOG_SILENT);
    config_report_fini(&report);
    return ok ? 0 : -1;
}

static inline int
unload_config(void **state UNUSED)
{
    config_free(cfg);
    return 0;
}

static inline int
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
    mailbox_init(&control, 100, no_wake, NULL);
    shard = (struct shard){
        .o = {.cfg = cfg, .control = &control}, .writers = {&writer, &bulk}, .ready = true};
    shard.modes = json_array();
    for (int lane = 0; lane < LANE__COUNT; lane++)
        shard.parked_tail[lane] = &shard.parked_head[lane];
    shard.hello_timer.fire = hello_due;
    s = NULL;
    return 0;
}

static inline int
close_stage(void **state UNUSED)
{
    if (s)
        session_drop(s);
    assert_int_equal(shard.counts.streams_wanted, 0);
    assert_int_equal(shard.counts.streams_open, 0);
    assert_null(shard.by_key);
    assert_null(shard.by_session);
    assert_null(shard.parked_head[LANE_ORDINARY]);
    heir_close_all(&shard);
    mailbox_fini(&control);
    timer_cancel(&shard.timers, &shard.hello_timer);
    assert_int_equal(shard.timers.n, 0);
    timers_fini(&shard.timers);
    event_list_fini(&shard.events);
    arena_fini(&shard.arena);
    json_decref(shard.modes);
    batch_fini(&writer.batch);
    batch_fini(&bulk.batch);
    decodes = false;
    if (asked_decoder)
        decoded_free(asked_decoder);
    asked_decoder = NULL;
    return 0;
}

/* A claimed run, as the database had it. */
static inline void
adopt_run(bool posted, enum run_status status, int64_t cursor, int64_t seq)
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
    seed->posted = posted;
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

static inline void
adopt(enum run_status status, int64_t cursor, int64_t seq)
{
    adopt_run(true, status, cursor, seq);
}

/* One that nobody posted. */
static inline void
adopt_discovered(void)
{
    adopt_run(false, RUN_QUEUED, 0, 1);
}

/* The writer takes the batch; what was in it is forgotten. */
static inline void
swap(void)
{
    uint64_t serial = writer.batch.serial;

    batch_reset(&writer.batch);
    writer.batch.serial = serial + 1;
}

static inline int
rows(enum batch_table t)
{
    return writer.batch.tables[t].n;
}

static inline const char *
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

static inline const struct batch_run *
entry(void)
{
    assert_int_equal(writer.batch.n_runs, 1);
    return &writer.batch.runs[0];
}

static inline int64_t
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
static inline void
assert_waits(void)
{
    assert_true(s->timer.place || s->call);
    if (s->timer.place)
        assert_true(s->timer.due_ms >= clock_mono_ms() - 50);
}

static inline void
assert_nothing_stored(void)
{
    assert_true(batch_is_empty(&writer.batch));
}

/* --- what the runtime does ---------------------------------------------------------------------
 */

static inline struct rt_call *
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

static inline void
refuse(enum rt_code code, const char *text)
{
    struct rt_call *call = asked();
    struct rt_status status = {.code = code};

    assert_non_null(call);
    snprintf(status.text, sizeof status.text, "%s", text);
    call->live = false;
    call->done(call->ctx, &status, NULL);
}

static inline void
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

/* What an order from outside is answered. */
static inline enum order_answer
order(enum order_kind kind, int64_t since_ms)
{
    struct shard_order o = {.kind = kind, .since_ms = since_ms, .answer = ORDER_UNKNOWN};

    session_order(s, &o);
    return o.answer;
}

/* messages: accepted ones behind SessionStart. */
#define ANSWER(state, messages)                                                                    \
    answer_with(MACP__V1__SESSION_STATE__SESSION_STATE_##state, STARTED_MS, messages,              \
                clock_wall_ms() + 600000)

static inline struct rt_stream *
stream(void)
{
    assert_non_null(s->stream);
    assert_true(s->stream->live);
    return s->stream;
}

static inline void
send_packed(struct rt_stream *to, const Macp__V1__StreamSessionResponse *m)
{
    size_t n = macp__v1__stream_session_response__get_packed_size(m);
    uint8_t *bytes = xmalloc(n);

    macp__v1__stream_session_response__pack(m, bytes);
    to->parked = !to->ops.message(to->ctx, bytes, n);
    free(bytes);
}

static inline void
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

static inline void
send_to(struct rt_stream *to, const char *type, const char *id, const char *session)
{
    send_sized(to, type, id, session, 0);
}

static inline void
envelope(const char *type, const char *id)
{
    send_to(stream(), type, id, SESSION);
}

static inline void
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

static inline void
end_stream(enum rt_code code, const char *text)
{
    struct rt_stream *over = stream();
    struct rt_status status = {.code = code};

    snprintf(status.text, sizeof status.text, "%s", text);
    over->live = false;
    over->ops.closed(over->ctx, &status);
}

static inline void
fire(void)
{
    assert_true(s->timer.place > 0);
    timer_cancel(&shard.timers, &s->timer);
    s->timer.fire(&s->timer);
}

static inline void
commit(void)
{
    swap();
    session_committed(s, &(struct writer_result){.run_key = 7, .fence = 3});
}

/* A run with its session open and one envelope stored, nothing in flight, nothing in the batch. */
static inline void
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

static inline void
draining(Macp__V1__SessionState state, int64_t messages)
{
    streaming();
    session_wake(s);
    answer_with(state, STARTED_MS, messages, 0);
    assert_int_equal(s->state, SESSION_DRAINING);
    swap();
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

#endif
