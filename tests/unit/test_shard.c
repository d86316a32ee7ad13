/*
 * Two shards with all their threads, a Postgres, and a runtime made of variables: gRPC, which no
 * race detector can see into, is left out.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utlist.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/ambient.h"
#include "observerd/claim.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/unit/postgres_stage.h"

#define MODE           "macp.mode.decision.v1"
#define SESSION_PREFIX "0b6f3c6e-1111-4222-8333-"

enum {
    SHARD_PATIENCE_MS = 60000,
    SHARDS = 2,
    RUNS = 20,
    ENVELOPES = 200,
    LARGE_EVERY = 40,
    LARGE = 70000, /* bytes: beyond what an ordinary lane takes */
    STARTED_MS = 1700000000,
};

/* --- a runtime of variables ------------------------------------------------------------------ */

struct rt_call {
    struct rt_call *next;
    enum rt_unary method;
    long session;
    bool cancelled;
    rt_reply_fn *done;
    void *ctx;
};

struct rt_stream {
    struct rt_stream *next;
    long session;
    int64_t at; /* ordinal of the last envelope given */
    bool parked, cancelled;
    struct rt_stream_ops ops;
    void *ctx;
};

struct rt_queue {
    pthread_mutex_t mu;
    pthread_cond_t ring;
    bool rung, stopping;
    /* queue thread only */
    struct rt_call *calls;
    struct rt_stream *streams;
};

/* How far each session has come: its shard's thread only. */
static int64_t given[RUNS];

static long
session_number(const char *session_id)
{
    return strtol(session_id + sizeof SESSION_PREFIX - 1, NULL, 10);
}

const char *
rt_code_name(enum rt_code code)
{
    return code == RT_OK ? "OK" : "some code";
}

bool
rt_queue_new(const struct rt_options *o UNUSED, struct rt_queue **out, struct err *err UNUSED)
{
    struct rt_queue *q = xcalloc(1, sizeof *q);
    pthread_condattr_t attr;

    pthread_mutex_init(&q->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->ring, &attr);
    pthread_condattr_destroy(&attr);
    *out = q;
    return true;
}

void
rt_queue_free(struct rt_queue *q)
{
    pthread_cond_destroy(&q->ring);
    pthread_mutex_destroy(&q->mu);
    free(q);
}

void
rt_queue_wake(struct rt_queue *q)
{
    pthread_mutex_lock(&q->mu);
    q->rung = true;
    pthread_mutex_unlock(&q->mu);
    pthread_cond_signal(&q->ring);
}

void
rt_queue_stop(struct rt_queue *q)
{
    pthread_mutex_lock(&q->mu);
    q->stopping = true;
    pthread_mutex_unlock(&q->mu);
    pthread_cond_signal(&q->ring);
}

struct rt_call *
rt_call_start(struct rt_queue *q, enum rt_unary method, const ProtobufCMessage *request,
              rt_reply_fn *done, void *ctx)
{
    struct rt_call *call = xcalloc(1, sizeof *call);

    call->method = method;
    if (method == RT_GET_SESSION)
        call->session = session_number(
            ((const Macp__V1__GetSessionRequest *)(const void *)request)->session_id);
    call->done = done;
    call->ctx = ctx;
    LL_APPEND(q->calls, call);
    return call;
}

void
rt_call_cancel(struct rt_call *call)
{
    call->cancelled = true;
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
rt_session_subscribe(struct rt_queue *q, const char *session_id, int64_t after,
                     const struct rt_stream_ops *ops, void *ctx)
{
    struct rt_stream *s = xcalloc(1, sizeof *s);

    s->session = session_number(session_id);
    s->at = after;
    s->ops = *ops;
    s->ctx = ctx;
    LL_APPEND(q->streams, s);
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
    s->cancelled = true;
}

void
rt_stream_distrust(struct rt_stream *s UNUSED)
{
}

bool
rt_stream_is_open(const struct rt_stream *s UNUSED)
{
    return true;
}

/* The session is over when everything of it was given. */
static void
answer(const struct rt_call *call)
{
    Macp__V1__GetSessionResponse response = MACP__V1__GET_SESSION_RESPONSE__INIT;
    Macp__V1__InitializeResponse hello = MACP__V1__INITIALIZE_RESPONSE__INIT;
    Macp__V1__SessionMetadata meta = MACP__V1__SESSION_METADATA__INIT;
    Macp__V1__ParticipantActivity activity = MACP__V1__PARTICIPANT_ACTIVITY__INIT;
    Macp__V1__ParticipantActivity *activities[] = {&activity};
    char id[sizeof SESSION_PREFIX + 12];
    struct rt_status ok = {.code = RT_OK};
    bool over = given[call->session] == ENVELOPES;

    if (call->method == RT_INITIALIZE) {
        call->done(call->ctx, &ok, &hello.base);
        return;
    }
    snprintf(id, sizeof id, SESSION_PREFIX "%012ld", call->session);
    meta.session_id = id;
    meta.mode = (char *)MODE;
    meta.initiator = (char *)"agent-a";
    meta.state = over ? MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED
                      : MACP__V1__SESSION_STATE__SESSION_STATE_OPEN;
    meta.started_at_unix_ms = STARTED_MS;
    meta.expires_at_unix_ms = clock_wall_ms() + 600000;
    activity.participant_id = (char *)"agent-a";
    activity.message_count = over ? ENVELOPES - 1 : 0;
    meta.n_participant_activity = 1;
    meta.participant_activity = activities;
    response.metadata = &meta;
    call->done(call->ctx, &ok, &response.base);
}

static bool
answer_calls(struct rt_queue *q)
{
    bool any = q->calls != NULL;

    while (q->calls) {
        struct rt_call *call = q->calls;

        LL_DELETE(q->calls, call);
        if (!call->cancelled)
            answer(call);
        free(call);
    }
    return any;
}

static const char *
type_of(int64_t ordinal)
{
    if (ordinal == 1)
        return "SessionStart";
    return ordinal == ENVELOPES ? "Commitment" : "Vote";
}

static void
give_next(struct rt_stream *s)
{
    Macp__V1__StreamSessionResponse m = MACP__V1__STREAM_SESSION_RESPONSE__INIT;
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;
    char session[sizeof SESSION_PREFIX + 12], id[32];
    int64_t ordinal = ++s->at;
    int width = ordinal % LARGE_EVERY == LARGE_EVERY / 2 ? LARGE : 1;
    AUTO_BUF payload = {0};
    uint8_t *bytes;
    size_t n;

    snprintf(session, sizeof session, SESSION_PREFIX "%012ld", s->session);
    snprintf(id, sizeof id, "m-%lld", (long long)ordinal);
    if (ordinal > 1 && ordinal < ENVELOPES)
        buf_printf(&payload, "{\"vote\":\"approve\",\"reason\":\"%0*d\"}", width, 0);
    e.macp_version = (char *)"1.0";
    e.mode = (char *)MODE;
    e.message_type = (char *)type_of(ordinal);
    e.message_id = id;
    e.session_id = session;
    e.sender = (char *)"agent-a";
    e.payload.len = payload.len;
    e.payload.data = (uint8_t *)payload.p;
    m.response_case = MACP__V1__STREAM_SESSION_RESPONSE__RESPONSE_ENVELOPE;
    m.envelope = &e;
    n = protobuf_c_message_get_packed_size(&m.base);
    bytes = xmalloc(n);
    protobuf_c_message_pack(&m.base, bytes);
    given[s->session] = ordinal;
    s->parked = true; /* whoever holds it back may resume it at once */
    if (s->ops.message(s->ctx, bytes, n))
        s->parked = false;
    free(bytes);
}

/* One envelope each. */
static bool
serve_streams(struct rt_queue *q)
{
    struct rt_stream *s, *next;
    bool any = false;

    LL_FOREACH_SAFE(q->streams, s, next)
    {
        if (!s->cancelled && !s->parked && s->at < ENVELOPES) {
            give_next(s);
            any = true;
        }
        if (s->cancelled) {
            LL_DELETE(q->streams, s);
            free(s);
        }
    }
    return any;
}

/* Nothing comes any more, whoever waits. */
static void
end_all(struct rt_queue *q)
{
    struct rt_stream *s, *next;
    struct rt_call *call, *after;

    LL_FOREACH_SAFE(q->streams, s, next)
    free(s);
    LL_FOREACH_SAFE(q->calls, call, after)
    free(call);
}

void
rt_queue_run(struct rt_queue *q, int64_t (*tick)(void *ctx), void *ctx)
{
    int64_t due = 0; /* clock_mono_ms */
    bool busy = false;

    for (;;) {
        struct timespec until = {due / 1000, due % 1000 * 1000000};
        bool rung, stopping;

        pthread_mutex_lock(&q->mu);
        while (!busy && !q->rung && !q->stopping && clock_mono_ms() < due)
            pthread_cond_timedwait(&q->ring, &q->mu, &until);
        rung = q->rung;
        stopping = q->stopping;
        q->rung = false;
        pthread_mutex_unlock(&q->mu);
        if (stopping)
            break;
        if (rung || clock_mono_ms() >= due)
            due = tick(ctx);
        busy = answer_calls(q);
        busy = serve_streams(q) || busy;
    }
    end_all(q);
}

/* --- the program around the shards ----------------------------------------------------------- */

static struct mailbox control, orders;
static struct notifier notifier;
static struct ambient *ambient;
static struct claim *claim;
static struct shard *shards[SHARDS];
static atomic_bool quiet;
/* Of who asks. */
static int open_orders;
static int answers; /* about runs that were there */

static int
start(void **state UNUSED)
{
    static const char *const settings[] = {NULL};

    return open_postgres(settings);
}

static void
start_shards(void)
{
    struct err err;

    mailbox_init(&control, 1000, ignore_wake, NULL);
    mailbox_init(&orders, 1000, ignore_wake, NULL);
    notifier_init(&notifier, ignore_wake, NULL);
    ambient = ambient_start(cfg, shards, SHARDS);
    claim = claim_new(cfg, db);
    for (size_t i = 0; i < SHARDS; i++)
        ok(shard_start(&(struct shard_options){.cfg = cfg,
                                               .notifier = &notifier,
                                               .alive_until_ms = &claim->alive_until_ms,
                                               .control = &control,
                                               .ambient = ambient,
                                               .number = i,
                                               .instance_id = claim->instance_id},
                       &shards[i], &err),
           &err);
    claim->shards = shards;
    claim->n_shards = SHARDS;
}

static void
read_control(void)
{
    for (struct mail *mail = mailbox_take_all(&control), *next; mail; mail = next) {
        next = mail->next;
        free(mail);
    }
}

static void
stop_shards(void)
{
    ambient_quiet(ambient);
    for (size_t i = 0; i < SHARDS; i++) {
        assert_true(shard_stop(shards[i], process_slow(SHARD_PATIENCE_MS)));
        assert_true(shards[i]->held_tokens > 0); /* its decoder was asked */
    }
    ambient_stop(ambient, process_slow(SHARD_PATIENCE_MS));
    for (size_t i = 0; i < SHARDS; i++)
        shard_free(shards[i]);
    mailbox_fini(&control);
    mailbox_fini(&orders);
    notifier_fini(&notifier);
    claim_free(claim);
}

/* --- what others want meanwhile -------------------------------------------------------------- */

static void
post(struct shard *to, struct mail *mail)
{
    if (!shard_post(to, mail))
        BUG("a shard's inbox is full");
}

static void
bother(struct shard *to, const char *session_id, int64_t run_key)
{
    struct shard_wake *wake = xcalloc(1, sizeof *wake + strlen(session_id) + 1);
    struct shard_order *order = xcalloc(1, sizeof *order);

    wake->mail.kind = SHARD_WAKE;
    memcpy(wake->session_id, session_id, strlen(session_id) + 1);
    post(to, &wake->mail);
    order->mail.kind = SHARD_ORDER;
    order->run_key = run_key;
    order->kind = ORDER_READY;
    order->since_ms = clock_mono_ms();
    order->reply = &orders;
    open_orders++;
    post(to, &order->mail);
}

static bool
all_answered(void *ctx UNUSED)
{
    for (struct mail *mail = mailbox_take_all(&orders), *next; mail; mail = next) {
        next = mail->next;
        answers += ((struct shard_order *)mail)->answer != ORDER_UNKNOWN;
        open_orders--;
        free(mail);
    }
    return open_orders == 0;
}

static void *
bother_main(void *arg UNUSED)
{
    static const char signal[] = "\x1a\x06Signal\x22\x03s-1\x32\x07"
                                 "agent-a";
    char session_id[sizeof SESSION_PREFIX + 12];

    for (long i = 0; !atomic_load(&quiet); i = (i + 1) % RUNS) {
        snprintf(session_id, sizeof session_id, SESSION_PREFIX "%012ld", i);
        for (size_t k = 0; k < SHARDS; k++)
            bother(shards[k], session_id, i + 1);
        ambient_received(ambient, session_id, signal, sizeof signal - 1);
        if (!process_poll(all_answered, NULL, process_slow(SHARD_PATIENCE_MS)))
            break; /* what is open is noticed */
    }
    return NULL;
}

/* --- the test ------------------------------------------------------------------------------- */

static bool
all_completed(void *ctx UNUSED)
{
    struct err err;

    ok(claim_heartbeat(claim, &err), &err);
    ok(claim_due(claim, &err), &err);
    read_control();
    return number("select count(*) from macp.runs where status = 'completed'") == RUNS;
}

static void
test_runs_of_two_shards_are_stored_once_and_in_order_while_others_ask(void **state UNUSED)
{
    pthread_t bothering;
    struct err err;

    ok(db_script(admin,
                 "insert into macp.runs (id, session_id, origin, mode, mode_name, runtime_kind,"
                 " trace_id, descriptor) select gen_random_uuid(), '" SESSION_PREFIX
                 "' || lpad(n::text, 12, '0'), 'posted', 'live', '" MODE "', 'rust',"
                 " '0af7651916cd43dd8448eb211c80319c', '{}' from generate_series(0, 19) n;"
                 "insert into macp.run_observers (run_key, day) select run_key, day from macp.runs",
                 &err),
       &err);
    start_shards();
    assert_int_equal(pthread_create(&bothering, NULL, bother_main, NULL), 0);
    assert_true(process_poll(all_completed, NULL, process_slow(SHARD_PATIENCE_MS)));
    atomic_store(&quiet, true);
    pthread_join(bothering, NULL);
    stop_shards();
    assert_int_equal(number("select sum(cursor) from macp.run_observers"), RUNS * ENVELOPES);
    assert_int_equal(number("select count(*) from macp.run_events_raw where source = 'session'"),
                     RUNS * ENVELOPES);
    assert_int_equal(number("select count(*) from (select ordinal, message_id, row_number() over"
                            " (partition by run_key order by seq) n from macp.run_events_raw"
                            " where source = 'session') r"
                            " where ordinal <> n or message_id <> 'm-' || n"),
                     0);
    assert_int_equal(open_orders, 0);
    assert_true(answers > 0);
    assert_true(number("select count(*) from macp.run_events_raw where source = 'ambient'") > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_of_two_shards_are_stored_once_and_in_order_while_others_ask),
    };

    return cmocka_run_group_tests(tests, start, close_postgres);
}
