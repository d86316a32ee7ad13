/* Event streams as clients see them: through the web server, over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/sse.h"
#include "tests/support/stream_load.h"

#define DECISION "macp.mode.decision.v1"

enum { WAIT_MS = 20000, LONG_MS = 90000 };

static struct world world;
static enum web_kind web;
static struct sse sse;
static struct posted finished; /* a run that was over before any test */

static int
fresh_clients(void **state)
{
    (void)state;
    sse_init(&sse, &world.http);
    return 0;
}

static int
drop_clients(void **state)
{
    (void)state;
    sse_fini(&sse);
    return 0;
}

/* --- conditions ------------------------------------------------------------------------------- */

static bool
all_answered(struct sse *s, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < s->n; i++)
        if (!s->clients[i]->status)
            return false;
    return true;
}

static bool
all_ended(struct sse *s, void *ctx)
{
    (void)ctx;
    return sse_ended(s) == s->n;
}

static bool
all_done(struct sse *s, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < s->n; i++)
        if (s->clients[i]->state != SSE_DONE)
            return false;
    return true;
}

/* The first client has so many frames of a kind. */
struct wanted {
    char kind;
    size_t n;
};

static bool
first_has(struct sse *s, void *ctx)
{
    const struct wanted *w = ctx;
    size_t n = 0;

    for (const char *p = buf_cstr(&s->clients[0]->kinds); *p; p++)
        n += *p == w->kind || (w->kind == 'e' && *p == 'E');
    return n >= w->n;
}

static void
wait_for(bool (*condition)(struct sse *s, void *ctx), void *ctx, const char *what)
{
    if (!sse_until(&sse, condition, ctx, process_slow(WAIT_MS)))
        fail_msg("not in time: %s (%zu of %zu ended; the first client saw %zu events: %.60s)", what,
                 sse_ended(&sse), sse.n, sse.clients[0]->n, buf_cstr(&sse.clients[0]->kinds));
}

static void
newest_first(void)
{
    struct sse_client *c = sse.clients[sse.n - 1];

    sse.clients[sse.n - 1] = sse.clients[0];
    sse.clients[0] = c;
}

/* What the client saw is what the events endpoint lists behind `after`, each once, in order. */
static void
expect_complete(const struct sse_client *c, int64_t after)
{
    struct err err = {0};
    char what[128];

    if (!stream_load_complete(&world, c, after, what, sizeof what, &err))
        fail_msg("run %s: %s", c->run, err.code ? err.msg : what);
}

static json_int_t
pump(const char *const *sessions, int n, int envelopes, int rate, int payload_bytes)
{
    struct err err = {0};
    json_int_t job = 0;

    expect_ok(stream_load_pump(&world, sessions, n, envelopes, rate, payload_bytes, &job, &err),
              &err, "pump");
    return job;
}

static void
pumped(json_int_t job)
{
    struct err err = {0};

    expect_ok(stream_load_pumped(&world, job, &err), &err, "pump");
}

static void
signal_handlers(int sig)
{
    int pid = world_handler_pid(&world);

    assert_true(pid > 0);
    kill(pid, sig);
}

/* --- one client --------------------------------------------------------------------------------*/

static void
watched_run_sends_snapshot_events_and_final_state_then_closes(void **state)
{
    struct posted run;
    struct sse_client *c;
    const char *kinds;
    size_t n;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    c = sse_add(&sse, run.run, "stream", "?includeSnapshot=true&afterSeq=1");
    sse_connect(c, 0);
    wait_for(first_has, &(struct wanted){'s', 1}, "the first snapshot");
    expect_played(&world, "decision.positive", run.session, json_pack("{s:i}", "delayMs", 30));
    wait_for(all_done, NULL, "the end of the stream");
    kinds = buf_cstr(&c->kinds);
    n = strlen(kinds);
    assert_int_equal(kinds[0], 's');
    assert_true(n > 4);
    assert_string_equal(kinds + n - 2, "Es");
    assert_true(c->ended_well);
    assert_false(c->id_elsewhere);
    assert_int_equal(c->snapshot_seq, c->last_seq);
    expect_complete(c, 1);
}

static void
headers_are_those_of_an_event_stream(void **state)
{
    static const char *const lines[] = {
        "Content-Type: text/event-stream\r\n",
        "Cache-Control: private, no-cache, no-store, must-revalidate, max-age=0, no-transform\r\n",
        "X-Accel-Buffering: no\r\n",
        "Access-Control-Allow-Origin: ",
        "x-request-id: ",
        "X-RateLimit-Limit: ",
    };
    struct sse_client *c = sse_add(&sse, finished.run, "stream", "");

    (void)state;
    sse_connect(c, 0);
    wait_for(all_answered, NULL, "headers");
    assert_int_equal(c->status, 200);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strcasestr(buf_cstr(&c->head), lines[i]))
            fail_msg("no %s in %s", lines[i], buf_cstr(&c->head));
    assert_null(strcasestr(buf_cstr(&c->head), "Content-Encoding"));
}

static void
client_of_a_finished_run_is_kept_with_heartbeats(void **state)
{
    struct sse_client *c = sse_add(&sse, finished.run, "stream", "?heartbeatMs=1000&afterSeq=1");

    (void)state;
    sse_connect(c, 0);
    wait_for(first_has, &(struct wanted){'h', 2}, "two heartbeats");
    assert_int_equal(c->state, SSE_OPEN);
    assert_int_equal(buf_cstr(&c->kinds)[0], 's');
    assert_true(c->terminal);
    expect_complete(c, 1);
}

/* What a stream of the finished run begins with; E is its last event. */
struct begin_case {
    const char *query;
    int64_t last_event_id; /* 0: no header; -1: the run's last event */
    bool snapshot, events;
};

static const struct begin_case begin_cases[] = {
    {"?heartbeatMs=1000", 0, true, false},
    {"?heartbeatMs=1000&afterSeq=0", 5, true, false}, /* even 0 wins over the header */
    {"?heartbeatMs=1000&includeSnapshot=false", 0, false, false},
    {"?heartbeatMs=1000&includeSnapshot=0&afterSeq=5", 0, false, true},
    {"?heartbeatMs=1000", 5, true, true},
    {"?heartbeatMs=1000&afterSeq=5", 99999, true, true},
    {"?heartbeatMs=1000&includeSnapshot=false", -1, false, false},
    {"?heartbeatMs=1000&afterSeq=99999999999", 0, true, false},
};

static void
begin_of_a_stream_depends_on_cursor_and_snapshot_wish(void **state)
{
    int64_t last = expect_sql_int(&world,
                                  "select max(seq) from macp.run_events_canonical join macp.runs r "
                                  "using (run_key) where r.id = '%s'",
                                  finished.run);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(begin_cases); i++) {
        const struct begin_case *b = &begin_cases[i];
        struct sse_client *c = sse_add(&sse, finished.run, "stream", b->query);
        int64_t after = b->last_event_id < 0 ? last : b->last_event_id;
        char wanted[8];

        newest_first();
        sse_connect(c, after);
        wait_for(first_has, &(struct wanted){'h', 1}, "a heartbeat");
        snprintf(wanted, sizeof wanted, "%s%s", b->snapshot ? "s" : "", b->events ? "e" : "h");
        if (strncmp(buf_cstr(&c->kinds), wanted, strlen(wanted)) != 0 ||
            (b->events ? c->last_seq != last : c->n > 0))
            fail_msg("%s (Last-Event-ID %lld): frames %s, wanted %s", b->query, (long long)after,
                     buf_cstr(&c->kinds), wanted);
        if (b->events)
            expect_complete(c, 5);
        sse_disconnect(c);
    }
}

static bool
first_has_all(struct sse *s, void *ctx)
{
    return s->clients[0]->n >= *(const size_t *)ctx;
}

/* A page of history ends where enough bytes are on their way: the next one shall not read again
 * what this one left. */
static void
long_events_are_not_read_again_for_each_page(void **state)
{
    enum { EVENTS = 60, READ_MAX = 600 };
    static const char read[] =
        "select coalesce(sum(t.idx_scan), 0) from pg_stat_all_tables t join pg_class c on "
        "c.reltoastrelid = t.relid where c.relname like 'run_events_canonical%'";
    size_t wanted = EVENTS;
    struct posted run;
    struct sse_client *c;
    long before, now;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    expect_sql(&world, "60",
               "with moved as (update macp.run_observers o set last_seq = 1000 + 60, owner = null, "
               "closed = true from macp.runs r where r.id = '%s' and o.run_key = r.run_key "
               "returning o.run_key, o.day), made as (insert into macp.run_events_canonical (day, "
               "run_key, seq, ts, type, source_kind, source_name, data) select day, run_key, 1000 "
               "+ n, now(), 'message.sent', 'runtime', 'x', jsonb_build_object('text', (select "
               "string_agg(md5(n || ' ' || i), '') from generate_series(1, 3200) i)) from moved, "
               "generate_series(1, 60) n returning 1) select count(*) from made",
               run.run);
    before = expect_sql_int(&world, "%s", read);
    c = sse_add(&sse, run.run, "stream", "?includeSnapshot=false&afterSeq=1000");
    sse_connect(c, 0);
    wait_for(first_has_all, &wanted, "all events");
    assert_false(c->disorder);
    /* Once for the run's state, and what the pages read; counted a little later. */
    while ((now = expect_sql_int(&world, "%s", read)) < before + 2 * EVENTS)
        process_pause(50);
    if (now - before > READ_MAX)
        fail_msg("%ld events were read to send %d", now - before, EVENTS);
}

/* --- refusals --------------------------------------------------------------------------------- */

struct refusal {
    const char *run; /* NULL: the finished one */
    const char *what;
    int status;
    const char *text; /* in the body */
};

#define UNKNOWN "00000000-0000-4000-8000-000000000000"

static const struct refusal refusals[] = {
    {UNKNOWN, "/stream", 404, "run " UNKNOWN " not found"},
    {UNKNOWN, "/replay/stream", 404, "run " UNKNOWN " not found"},
    {"nonsense", "/stream", 400, "uuid is expected"},
    {NULL, "/stream?afterSeq=-1", 400, "afterSeq must not be less than 0"},
    {NULL, "/stream?afterSeq=x", 400, "afterSeq must be an integer number"},
    {NULL, "/stream?heartbeatMs=999", 400, "heartbeatMs must not be less than 1000"},
    {NULL, "/stream?heartbeatMs=x", 400, "heartbeatMs must be an integer number"},
    {NULL, "/stream?includeSnapshot=maybe", 400, "includeSnapshot must be a boolean value"},
    {NULL, "/replay/stream?mode=fast", 400,
     "mode must be one of the following values: instant, timed, step"},
    {NULL, "/replay/stream?speed=0", 400, "speed must not be less than 0.1"},
    {NULL, "/replay/stream?speed=x", 400,
     "speed must be a number conforming to the specified constraints"},
    {NULL, "/replay/stream?fromSeq=0", 400, "fromSeq must not be less than 1"},
    {NULL, "/replay/stream?toSeq=0.5", 400, "toSeq must not be less than 1"},
};

static void
what_cannot_be_streamed_is_refused_in_json_before_any_frame(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        char path[256];
        json_t *body;
        char *text;

        snprintf(path, sizeof path, "/runs/%s%s", refusals[i].run ? refusals[i].run : finished.run,
                 refusals[i].what);
        body = expect_get(&world, refusals[i].status, "%s", path);
        text = json_dumps(body, 0);
        if (!text || !strstr(text, refusals[i].text))
            fail_msg("%s: %s", path, text ? text : "no JSON");
        free(text);
        json_decref(body);
    }
}

static void
full_process_answers_503_until_somebody_leaves(void **state)
{
    static const char *const fcgi_env[] = {"FCGI_STREAMS=2", NULL};
    struct world small;
    struct sse few;
    struct err err = {0};
    AUTO_HTTP_REPLY r = {0};
    char value[32];
    struct posted run;
    int64_t deadline;

    (void)state;
    expect_ok(world_start(&small,
                          &(struct world_options){
                              .cluster = world.postgres, .web = web, .fcgi_env = fcgi_env},
                          &err),
              &err, "small world");
    expect_posted(&small, DECISION, NULL, &run);
    sse_init(&few, &small.http);
    /* Apache learns at a second write that a client has left: heartbeats are quick. */
    for (int i = 0; i < 2; i++)
        sse_connect(sse_add(&few, run.run, "stream", "?heartbeatMs=1000"), 0);
    assert_true(sse_until(&few, all_answered, NULL, process_slow(WAIT_MS)));
    expect_ok(http_get(&small.http, &r, &err, "/runs/%s/stream", run.run), &err, "third");
    assert_int_equal(r.status, 503);
    assert_string_equal(json_string_value(json_object_get(r.json, "errorCode")), "RATE_LIMITED");
    assert_true(strtol(http_header(&r, "Retry-After", value, sizeof value), NULL, 10) > 0);

    sse_disconnect(few.clients[0]);
    sse_add(&few, run.run, "stream", "");
    deadline = clock_mono_ms() + process_slow(WAIT_MS);
    while (few.clients[2]->status != 200 && clock_mono_ms() < deadline) {
        if (few.clients[2]->state != SSE_OPEN)
            sse_connect(few.clients[2], 0);
        sse_turn(&few, 20);
    }
    assert_int_equal(few.clients[2]->status, 200);
    sse_fini(&few);
    world_stop(&small);
}

/* --- coming back ------------------------------------------------------------------------------ */

static void
resumed_client_sees_every_event_once(void **state)
{
    static const char *const ways[] = {"header", "query"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct posted run;
        struct sse_client *c;
        char query[64];
        json_int_t job;

        expect_posted(&world, DECISION, NULL, &run);
        c = sse_add(&sse, run.run, "stream", "?afterSeq=1");
        newest_first();
        sse_connect(c, 0);
        job = pump((const char *const[]){run.session}, 1, 60, 100, 300);
        for (int times = 1; times <= 4; times++) {
            wait_for(first_has, &(struct wanted){'e', (size_t)times * 12}, "more events");
            sse_disconnect(c);
            snprintf(query, sizeof query, "?afterSeq=%lld", (long long)c->last_seq);
            buf_reset(&c->path);
            buf_printf(&c->path, "/runs/%s/stream%s", run.run, i == 0 ? "" : query);
            sse_connect(c, i == 0 ? c->last_seq : 0);
        }
        pumped(job);
        wait_for(all_ended, NULL, ways[i]);
        expect_complete(c, 1);
    }
}

/* From here on the header says where to go on; a number in the query would win over it. */
static void
resume_by_header(struct sse_client *c)
{
    c->resume = true;
    buf_reset(&c->path);
    buf_printf(&c->path, "/runs/%s/stream", c->run);
}

static bool
was_cut(struct sse *s, void *ctx)
{
    char *log = process_log_tail(world.handlers.pid ? world.handlers.log : world.web.log, 4096);
    bool cut = strstr(log, "an event stream is cut") != NULL;

    (void)s;
    (void)ctx;
    free(log);
    return cut;
}

static void
slow_reader_is_cut_and_resumes_without_loss(void **state)
{
    struct posted run;
    struct sse_client *slow, *quick;
    json_int_t job;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    quick = sse_add(&sse, run.run, "stream", "?afterSeq=1");
    slow = sse_add(&sse, run.run, "stream", "?afterSeq=1&includeSnapshot=false");
    slow->receive_buffer = 4096;
    slow->pause = true;
    sse_connect(slow, 0);
    sse_connect(quick, 0);
    wait_for(first_has, &(struct wanted){'s', 1}, "the quick one's snapshot");
    job = pump((const char *const[]){run.session}, 1, 400, 200, 20000);
    wait_for(first_has, &(struct wanted){'E', 1}, "the end for the quick one");
    pumped(job);
    expect_complete(quick, 1);

    wait_for(was_cut, NULL, "the cut");
    sse_pause(slow, false);
    sse_disconnect(quick);
    quick->state = SSE_DONE;
    wait_for(all_done, NULL, "the end of the slow one");
    if (slow->terminal)
        fail_msg("the slow reader was not cut: it got %zu bytes", slow->bytes);
    resume_by_header(slow);
    sse_connect(slow, slow->last_seq);
    wait_for(all_ended, NULL, "the rest");
    expect_complete(slow, 1);
}

/* --- restarts ----------------------------------------------------------------------------------
 */

enum { RESTART_RUNS = 5, RESTART_CLIENTS = 50 };

/* Clients per run come back by themselves; something is restarted when a part has been seen. */
static void
watch_through(void (*restart)(void))
{
    struct posted runs[RESTART_RUNS];
    const char *sessions[RESTART_RUNS];
    struct err err = {0};
    char what[128] = "";
    json_int_t job;

    for (int i = 0; i < RESTART_RUNS; i++) {
        expect_posted(&world, DECISION, NULL, &runs[i]);
        sessions[i] = runs[i].session;
    }
    for (int i = 0; i < RESTART_CLIENTS; i++) {
        struct sse_client *c = sse_add(&sse, runs[i % RESTART_RUNS].run, "stream", "?afterSeq=1");

        sse_connect(c, 0);
    }
    wait_for(all_answered, NULL, "answers");
    for (size_t i = 0; i < sse.n; i++)
        resume_by_header(sse.clients[i]);
    wait_for(first_has, &(struct wanted){'e', 1}, "a first event");
    job = pump(sessions, RESTART_RUNS, 100, 100, 300);
    wait_for(first_has, &(struct wanted){'e', 60}, "events before the restart");
    restart();
    if (!sse_until(&sse, all_ended, NULL, process_slow(LONG_MS)))
        fail_msg("%zu of %zu clients saw the end", sse_ended(&sse), sse.n);
    pumped(job);
    if (!stream_load_all_complete(&world, &sse, 1, what, sizeof what, &err))
        fail_msg("%s", err.code ? err.msg : what);
}

static void
restart_handler(void)
{
    signal_handlers(SIGTERM);
}

static void
kill_handler(void)
{
    signal_handlers(SIGKILL);
}

static void
restart_observer(void)
{
    struct err err = {0};

    assert_int_equal(world_stop_observerd(&world, process_slow(WAIT_MS)), 0);
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
}

static void
restart_postgres(void)
{
    struct err err = {0};

    expect_ok(world_restart_postgres(&world, &err), &err, "Postgres");
}

static void
clients_go_on_through_a_restart_of_the_handlers(void **state)
{
    (void)state;
    watch_through(restart_handler);
    for (size_t i = 0; i < sse.n; i++)
        assert_true(sse.clients[i]->connects > 1);
}

static void
clients_go_on_through_a_crash_of_the_handlers(void **state)
{
    (void)state;
    watch_through(kill_handler);
}

static void
streams_stay_open_through_a_restart_of_the_observer(void **state)
{
    (void)state;
    watch_through(restart_observer);
    for (size_t i = 0; i < sse.n; i++)
        assert_int_equal(sse.clients[i]->connects, 1);
}

static void
streams_stay_open_through_a_restart_of_postgres(void **state)
{
    (void)state;
    watch_through(restart_postgres);
    for (size_t i = 0; i < sse.n; i++)
        assert_int_equal(sse.clients[i]->connects, 1);
}

static void
stop_ends_every_stream_properly(void **state)
{
    struct err err = {0};

    (void)state;
    for (int i = 0; i < 20; i++)
        sse_connect(sse_add(&sse, finished.run, "stream", ""), 0);
    wait_for(all_answered, NULL, "answers");
    signal_handlers(SIGTERM);
    wait_for(all_done, NULL, "ends");
    for (size_t i = 0; i < sse.n; i++)
        assert_true(sse.clients[i]->ended_well);
    expect_ok(world_wait_ready(&world, &err), &err, "the successor");
}

/* --- replay ------------------------------------------------------------------------------------
 */

struct replay_case {
    const char *query;
    int64_t last_event_id;
    int64_t after, to;         /* 0: no end */
    int64_t least_ms, most_ms; /* it was played with 30 ms between two of its ten envelopes */
};

static const struct replay_case replay_cases[] = {
    {"?mode=instant", 0, 0, 0, 0, 0},
    {"?mode=step", 0, 0, 0, 0, 0},
    {"?mode=instant&fromSeq=5&toSeq=20", 0, 4, 20, 0, 0},
    {"?mode=instant&fromSeq=4.5&toSeq=20.5", 0, 4, 20, 0, 0},
    {"?mode=instant&fromSeq=20&toSeq=5", 0, 19, 5, 0, 0},
    {"?mode=instant", 9, 9, 0, 0, 0}, /* a browser that comes back */
    {"?fromSeq=5", 0, 4, 0, 250, 0},
    {"?mode=timed&speed=0.5&fromSeq=5", 0, 4, 0, 500, 0},
    {"?speed=1000", 0, 0, 0, 0, 250},
};

static void
replay_sends_the_events_of_its_bounds_at_its_speed_and_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replay_cases); i++) {
        const struct replay_case *k = &replay_cases[i];
        struct sse_client *c = sse_add(&sse, finished.run, "replay/stream", k->query);
        long wanted = expect_sql_int(
            &world,
            "select count(*) from macp.run_events_canonical join macp.runs r using (run_key) "
            "where r.id = '%s' and seq > %lld and (%lld = 0 or seq <= %lld)",
            finished.run, (long long)k->after, (long long)k->to, (long long)k->to);
        int64_t began = clock_mono_ms(), took;

        sse_connect(c, k->last_event_id);
        wait_for(all_done, NULL, k->query);
        took = clock_mono_ms() - began;
        if ((long)c->n != wanted || c->disorder || c->kinds.len != c->n || !c->ended_well)
            fail_msg("%s: status %d, %zu events, wanted %ld (%s)%s", k->query, c->status, c->n,
                     wanted, buf_cstr(&c->kinds), c->ended_well ? "" : ", broken off");
        if (took < k->least_ms || (k->most_ms && took > process_slow((int)k->most_ms)))
            fail_msg("%s took %lld ms", k->query, (long long)took);
    }
}

/* --- many
 * ---------------------------------------------------------------------------------------*/

static void
thousand_subscribers_of_fifty_busy_runs_get_everything(void **state)
{
    struct stream_load load;
    struct err err = {0};
    char what[128] = "";

    (void)state;
    expect_ok(stream_load_run(&world,
                              &(struct stream_load_spec){.runs = 50,
                                                         .subscribers = 1000,
                                                         .envelopes = 40,
                                                         .rate = process_slow(1) > 1 ? 100 : 500,
                                                         .timeout_ms = process_slow(LONG_MS)},
                              &load, &err),
              &err, "load");
    if (!stream_load_all_complete(&world, &load.sse, 1, what, sizeof what, &err))
        fail_msg("%s", err.code ? err.msg : what);
    print_message("1000 subscribers: %zu frames, from the envelope to the client p50 %lld ms, "
                  "p99 %lld ms\n",
                  load.frames, (long long)load.p50_ms, (long long)load.p99_ms);
    stream_load_fini(&load);
}

/* ------------------------------------------------------------------------------------------------*/

static int
start(void **state)
{
    static const char *const fcgi_env[] = {"FCGI_STREAMS=1200", NULL};
    struct err err = {0};

    (void)state;
    if (!world_start(&world, &(struct world_options){.web = web, .fcgi_env = fcgi_env}, &err) ||
        !world_wait_ready(&world, &err)) {
        print_error("%s\n", err.msg);
        return -1;
    }
    expect_posted(&world, DECISION, NULL, &finished);
    expect_played(&world, "decision.positive", finished.session, json_pack("{s:i}", "delayMs", 30));
    expect_status(&world, finished.run, "completed");
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    world_stop(&world);
    return 0;
}

#define WITH_CLIENTS(test) cmocka_unit_test_setup_teardown(test, fresh_clients, drop_clients)

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_CLIENTS(watched_run_sends_snapshot_events_and_final_state_then_closes),
        WITH_CLIENTS(headers_are_those_of_an_event_stream),
        WITH_CLIENTS(client_of_a_finished_run_is_kept_with_heartbeats),
        WITH_CLIENTS(begin_of_a_stream_depends_on_cursor_and_snapshot_wish),
        WITH_CLIENTS(long_events_are_not_read_again_for_each_page),
        cmocka_unit_test(what_cannot_be_streamed_is_refused_in_json_before_any_frame),
        cmocka_unit_test(full_process_answers_503_until_somebody_leaves),
        WITH_CLIENTS(resumed_client_sees_every_event_once),
        WITH_CLIENTS(slow_reader_is_cut_and_resumes_without_loss),
        WITH_CLIENTS(clients_go_on_through_a_restart_of_the_handlers),
        WITH_CLIENTS(clients_go_on_through_a_crash_of_the_handlers),
        WITH_CLIENTS(streams_stay_open_through_a_restart_of_the_observer),
        WITH_CLIENTS(streams_stay_open_through_a_restart_of_postgres),
        WITH_CLIENTS(stop_ends_every_stream_properly),
        WITH_CLIENTS(replay_sends_the_events_of_its_bounds_at_its_speed_and_ends),
        cmocka_unit_test(thousand_subscribers_of_fifty_busy_runs_get_everything),
    };

    if (!web_read_arguments(argc, argv, &web))
        return 2;
    return cmocka_run_group_tests(tests, start, stop);
}
