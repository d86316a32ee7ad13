/*
 * What existing clients depend on, row by row of clients.tsv; the list of results is the report.
 *
 * Rows are done in order and share variables: ids of runs that earlier rows made. A request is
 *
 *   METHOD PATH          sent as that client sends it
 *   UNTIL METHOD PATH    the same, again until it is as wanted
 *   TELL                 the body is a command for the scripted runtime
 *   CHECK NAME           one of the functions below, for what is no single request
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/clock.h"
#include "tests/support/agent.h"
#include "tests/support/expect.h"
#include "tests/support/shape.h"
#include "tests/support/sse.h"

#define TABLE "tests/integration/clients.tsv"

enum { ROWS_MAX = 400, COLUMNS = 6, UNTIL_MS = 20000, WAIT_MS = 20000, FRESH_IDS = 12 };

struct row {
    char *client; /* console, playground, sdk, operations; "-": something that rows need */
    char *needs;
    char *request, *body, *status, *claims;
    char *name; /* of the test */
};

static struct world world;
static struct agent *agent; /* listens for cancel callbacks */
static struct sse sse;
static struct shape_vars vars;
static struct row rows[ROWS_MAX];
static size_t rows_n;

/* Every stream is quick to say that it lives. */
static const char *const fcgi_env[] = {"STREAM_SSE_HEARTBEAT_MS=1000", NULL};
static const char *const observerd_env[] = {"SESSION_DISCOVERY_ENABLED=true",
                                            "SIGNALS_ENABLED=true", NULL};

static const char *
var(const char *name)
{
    for (size_t i = 0; i < vars.n; i++)
        if (strcmp(vars.vars[i].name, name) == 0)
            return vars.vars[i].value;
    fail_msg("no row has made a %s", name);
    return "";
}

/* --- requests ----------------------------------------------------------------------------------
 */

/* As its server-side proxy hands on what the browser sends, bodies or not. */
#define CONSOLE_HEADERS                                                                            \
    "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en\r\n"                     \
    "Content-Type: application/json\r\nX-Forwarded-For: 10.0.0.7\r\nX-Forwarded-Host: console\r\n" \
    "X-Forwarded-Port: 3000\r\nX-Forwarded-Proto: http\r\nSec-Fetch-Mode: cors\r\n"                \
    "Cookie: theme=dark\r\nUser-Agent: Mozilla/5.0"

static bool
request_row(const struct row *row, const char *request, struct http_reply *r, char *why,
            size_t size)
{
    AUTO_BUF path = {0};
    AUTO_BUF body = {0};
    AUTO_BUF claims = {0};
    struct err err = {0};
    char method[16];
    bool has_body = strcmp(row->body, "-") != 0;
    size_t n = strcspn(request, " ");

    snprintf(method, sizeof method, "%.*s", (int)n, request);
    shape_fill(&vars, request + n + 1, &path);
    shape_fill(&vars, has_body ? row->body : "", &body);
    shape_fill(&vars, row->claims, &claims);
    struct http_request q = {
        .method = method,
        .path = buf_cstr(&path),
        .body = has_body ? buf_cstr(&body) : NULL,
        .body_len = body.len,
        .without_key = strcmp(row->client, "operations") == 0,
    };
    /* With a body the client of the tests writes the content type itself. */
    if (!has_body && strcmp(row->client, "console") == 0)
        q.header = CONSOLE_HEADERS;
    if (!http_send(&world.http, &q, r, &err)) {
        snprintf(why, size, "no answer: %s", err.msg);
        return false;
    }
    if (r->status != (int)strtol(row->status, NULL, 10)) {
        snprintf(why, size, "status %d: %.300s", r->status, buf_cstr(&r->body));
        return false;
    }
    if (r->status / 100 == 2 && r->status != 204 && !r->json &&
        strcmp(row->client, "console") == 0 && row->claims[0] != '$') {
        snprintf(why, size, "a success without JSON: %.300s", buf_cstr(&r->body));
        return false;
    }
    return shape_holds(r, buf_cstr(&claims), &vars, why, size);
}

static void
until_row(const struct row *row, const char *request)
{
    int64_t deadline = clock_mono_ms() + process_slow(UNTIL_MS);
    char why[1024];

    for (;;) {
        AUTO_HTTP_REPLY r = {0};

        if (request_row(row, request, &r, why, sizeof why))
            return;
        if (clock_mono_ms() >= deadline)
            fail_msg("%s: %s", row->request, why);
        process_pause(20);
    }
}

static void
tell_row(const struct row *row)
{
    AUTO_BUF text = {0};
    json_t *command;

    shape_fill(&vars, row->body, &text);
    command = json_loads(buf_cstr(&text), 0, NULL);
    if (!command)
        fail_msg("no command: %s", buf_cstr(&text));
    json_decref(expect_control(&world, command));
}

/* --- checks ------------------------------------------------------------------------------------
 */

static void
new_session(char out[WORLD_SESSION_LEN])
{
    expect_new_session(out);
}

static void
play_in_background(const char *script, const char *session, int delay_ms)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:s, s:i, s:b}", "cmd", "play",
                                                 "script", script, "session", session, "delayMs",
                                                 delay_ms, "wait", 0)));
}

/* The console asks while the agents are still opening their session. */
static void
early_requests_are_held_until_discovery_has_the_run(void)
{
    static const char *const parts[] = {"", "/state"};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char session[WORLD_SESSION_LEN];

        new_session(session);
        play_in_background("decision.minimal", session, 20);
        json_decref(expect_get(&world, 200, "/runs/%s%s", session, parts[i]));
    }
}

static void
unknown_run_is_refused_after_a_second_at_most(void)
{
    enum { MOST_MS = 1000, SLACK_MS = 4000 }; /* the machine may be busy with other things */
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    expect_ok(http_get(&world.http, &r, &err, "/runs/%s", var("unknown")), &err, "GET run");
    assert_int_equal(r.status, 404);
    assert_true(r.elapsed_us / 1000 < MOST_MS + process_slow(SLACK_MS));
}

/* A signal that was sent before its session exists at the runtime is an event of the run. */
static void
signals_before_the_run_are_kept(void)
{
    char session[WORLD_SESSION_LEN];

    new_session(session);
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:f, s:s}}", "cmd", "send",
                                         "type", "Signal", "sender", "agent://planner", "payload",
                                         "signal_type", "session.started", "data", "{}",
                                         "confidence", 0.5, "correlation_session_id", session)));
    expect_played(&world, "decision.minimal", session, NULL);
    expect_sql_becomes(&world, "1",
                       "select count(*) from macp.run_events_canonical e join macp.runs r using "
                       "(run_key) where r.id = '%s' and e.type = 'signal.emitted'",
                       session);
}

/* --- checks of streams --- */

static bool
first_saw(struct sse *s, void *wanted)
{
    const char *kinds = buf_cstr(&s->clients[0]->kinds), *p = wanted;

    for (; *p; p++, kinds++) {
        kinds = strchr(kinds, *p);
        if (!kinds)
            return false;
    }
    return true;
}

static bool
first_ended(struct sse *s, void *ctx)
{
    (void)ctx;
    return s->clients[0]->state == SSE_DONE;
}

static struct sse_client *
follow(const char *run, const char *query)
{
    struct sse_client *c = sse_add(&sse, run, "stream", query);

    sse_connect(c, 0);
    return c;
}

/* Frames of these kinds, in this order, others between them. */
static void
see(const char *wanted)
{
    char text[16];

    snprintf(text, sizeof text, "%s", wanted);
    if (!sse_until(&sse, first_saw, text, process_slow(WAIT_MS)))
        fail_msg("frames %.200s, wanted %s", buf_cstr(&sse.clients[0]->kinds), wanted);
}

static void
stream_begins_with_the_state_and_no_history(void)
{
    const struct sse_client *c = follow(var("hosted"), "?includeSnapshot=true&afterSeq=0");

    see("sh");
    assert_int_equal(buf_cstr(&c->kinds)[0], 's');
    assert_int_equal(c->n, 0);
    assert_true(c->snapshot_seq > 0);
    assert_non_null(strcasestr(buf_cstr(&c->head), "Content-Type: text/event-stream"));
    assert_null(strcasestr(buf_cstr(&c->head), "Content-Encoding"));
}

static void
stream_of_an_ended_run_stays_open_with_named_heartbeats(void)
{
    const struct sse_client *c = follow(var("hosted"), "?includeSnapshot=true&afterSeq=0");

    see("shh");
    assert_int_equal(c->state, SSE_OPEN);
}

static void
stream_goes_on_behind_the_last_seen_event(void)
{
    const struct sse_client *c = follow(var("hosted"), "?includeSnapshot=true&afterSeq=5");

    see("eE");
    assert_true(c->events[0].seq > 5);
    assert_false(c->disorder);
    assert_false(c->id_elsewhere);
    assert_int_equal(c->events[c->n - 1].seq, c->snapshot_seq);
}

static void
watched_run_sends_snapshots_with_its_events_and_ends_once_with_the_final_state(void)
{
    char session[WORLD_SESSION_LEN];
    const struct sse_client *c;
    const char *kinds;

    new_session(session);
    play_in_background("decision.hosted", session, 60);
    c = follow(session, "?includeSnapshot=true&afterSeq=0");
    if (!sse_until(&sse, first_ended, NULL, process_slow(WAIT_MS)))
        fail_msg("the stream of an ended run goes on: %s", buf_cstr(&c->kinds));
    kinds = buf_cstr(&c->kinds);
    assert_int_equal(c->status, 200);
    assert_string_equal(kinds + strlen(kinds) - 2, "Es");
    assert_non_null(strstr(kinds, "es"));
    assert_true(c->ended_well);
    assert_int_equal(c->snapshot_seq, c->last_seq);
}

static void
stream_of_an_unknown_run_is_404_and_no_stream(void)
{
    const struct sse_client *c = follow(var("unknown"), "?includeSnapshot=true&afterSeq=0");

    if (!sse_until(&sse, first_ended, NULL, process_slow(WAIT_MS)))
        fail_msg("no answer");
    assert_int_equal(c->status, 404);
    assert_null(strcasestr(buf_cstr(&c->head), "text/event-stream"));
}

/* --- checks of what is no request of one client --- */

/* One of the SDKs reads exactly as many bytes as are announced and compares the target as it is. */
static void
cancel_callback_is_what_the_agents_read(void)
{
    json_t *descriptor = world_descriptor("macp.mode.decision.v1", NULL);
    char url[256], request[4096], wanted[256];
    struct posted run;

    json_object_set_new(json_object_get(descriptor, "session"), "metadata",
                        json_pack("{s:{s:s, s:s}}", "cancelCallback", "url",
                                  agent_url(agent, "/ok", url, sizeof url), "bearer",
                                  "of-the-agent"));
    expect_posted_as(&world, descriptor, &run);
    snprintf(url, sizeof url, "/runs/%s/cancel", run.run);
    descriptor = json_pack("{s:s}", "reason", "enough");
    json_decref(expect_post(&world, 201, url, descriptor));
    json_decref(descriptor);
    assert_int_equal(agent_calls(agent, "/ok"), 1);
    agent_last(agent, request, sizeof request);
    snprintf(wanted, sizeof wanted, "{\"runId\":\"%s\",\"reason\":\"enough\"}", run.run);
    if (strncmp(request, "POST /ok HTTP/1.1\r\n", 19) != 0 ||
        !strcasestr(request, "\r\nContent-Type: application/json\r\n") ||
        !strcasestr(request, "\r\nContent-Length: ") || strcasestr(request, "Transfer-Encoding") ||
        !strcasestr(request, "\r\nAuthorization: Bearer of-the-agent\r\n") ||
        !strstr(request, wanted))
        fail_msg("%s", request);
}

/* All pages, asked for by their cursors again as the console does, are all events once. */
static void
pages_of_all_events_join(void)
{
    enum { PAGE = 40, PAGES_MOST = 500 };
    json_t *seen = json_object();
    json_int_t cursor = 0;
    int pages = 0;
    long stored;

    do {
        json_t *page = expect_get(&world, 200, "/events?limit=%d&afterTs=2001-01-01&afterSeq=%lld",
                                  PAGE, (long long)cursor);
        const json_t *event;
        size_t i;

        json_array_foreach (json_object_get(page, "data"), i, event) {
            const char *id = json_string_value(json_object_get(event, "id"));

            if (json_object_get(seen, id))
                fail_msg("event %s comes twice", id);
            json_object_set_new(seen, id, json_true());
        }
        cursor = json_integer_value(json_object_get(page, "nextCursor"));
        json_decref(page);
    } while (cursor && ++pages < PAGES_MOST);
    stored = expect_sql_int(&world, "select count(*) from macp.run_events_canonical");
    assert_int_equal(json_object_size(seen), stored);
    json_decref(seen);
}

static void
series_have_as_many_labels_as_figures(void)
{
    json_t *overview = expect_get(&world, 200, "/dashboard/overview?window=24h"), *chart;
    const char *name;

    json_object_foreach (json_object_get(overview, "charts"), name, chart)
        if (json_array_size(json_object_get(chart, "labels")) !=
            json_array_size(json_object_get(chart, "data")))
            fail_msg("%s", name);
    json_decref(overview);
}

/* Last: other rows need the runtime. */
static void
runtime_health_is_200_when_the_runtime_is_gone(void)
{
    json_t *health;

    world_kill_runtime(&world);
    /* As it is a minute later. */
    expect_sql(&world, "",
               "update macp.runtime_catalog set fetched_at = fetched_at - interval '1 minute'");
    health = expect_get(&world, 200, "/runtime/health");
    assert_true(json_is_false(json_object_get(health, "ok")));
    assert_string_equal(json_string_value(json_object_get(health, "runtimeKind")), "rust");
    json_decref(health);
    json_decref(expect_get(&world, 200, "/readyz"));
    json_decref(expect_get(&world, 200, "/dashboard/overview"));
    json_decref(expect_get(&world, 200, "/runtime/modes"));
}

static const struct {
    const char *name;
    void (*run)(void);
} checks[] = {
#define CHECK(name)                                                                                \
    {                                                                                              \
#name, name                                                                                \
    }
    CHECK(early_requests_are_held_until_discovery_has_the_run),
    CHECK(unknown_run_is_refused_after_a_second_at_most),
    CHECK(signals_before_the_run_are_kept),
    CHECK(stream_begins_with_the_state_and_no_history),
    CHECK(stream_of_an_ended_run_stays_open_with_named_heartbeats),
    CHECK(stream_goes_on_behind_the_last_seen_event),
    CHECK(watched_run_sends_snapshots_with_its_events_and_ends_once_with_the_final_state),
    CHECK(stream_of_an_unknown_run_is_404_and_no_stream),
    CHECK(cancel_callback_is_what_the_agents_read),
    CHECK(pages_of_all_events_join),
    CHECK(series_have_as_many_labels_as_figures),
    CHECK(runtime_health_is_200_when_the_runtime_is_gone),
#undef CHECK
};

static void
check_row(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        if (strcmp(checks[i].name, name) == 0) {
            checks[i].run();
            return;
        }
    fail_msg("no check is called %s", name);
}

/* --- rows --------------------------------------------------------------------------------------
 */

static void
row_holds(void **state)
{
    const struct row *row = *state;
    AUTO_HTTP_REPLY r = {0};
    char why[1024] = "";

    sse_init(&sse, &world.http);
    if (strcmp(row->request, "TELL") == 0)
        tell_row(row);
    else if (strncmp(row->request, "CHECK ", 6) == 0)
        check_row(row->request + 6);
    else if (strncmp(row->request, "UNTIL ", 6) == 0)
        until_row(row, row->request + 6);
    else if (!request_row(row, row->request, &r, why, sizeof why))
        fail_msg("%s: %s", row->request, why);
}

static int
row_over(void **state)
{
    (void)state;
    sse_fini(&sse);
    return 0;
}

static void
read_row(const char *line, int number)
{
    struct row *row = &rows[rows_n];
    char **columns[COLUMNS] = {&row->client, &row->needs,  &row->request,
                               &row->body,   &row->status, &row->claims};

    if (rows_n == ROWS_MAX)
        BUG("more than %d rows", ROWS_MAX);
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t n = strcspn(line, "\t\n");

        *columns[i] = strndup(line, n);
        line += n + (line[n] == '\t');
        if (i + 1 < COLUMNS && line[-1] != '\t')
            BUG("%s:%d has %zu columns and not %d", TABLE, number, i + 1, COLUMNS);
    }
    if (asprintf(&row->name, "%-10s %s  [%s]", row->client, row->needs, row->request) < 0)
        BUG("out of memory");
    rows_n++;
}

static void
read_table(void)
{
    FILE *f = fopen(TABLE, "r");
    char *line = NULL;
    size_t size = 0;
    int number = 0;

    if (!f)
        BUG("%s is not there; tests run from the top of the tree", TABLE);
    while (getline(&line, &size, f) > 0) {
        number++;
        if (*line != '#' && *line != '\n')
            read_row(line, number);
    }
    free(line);
    fclose(f);
}

static void
forget_table(void)
{
    for (size_t i = 0; i < rows_n; i++) {
        struct row *row = &rows[i];

        free(row->client);
        free(row->needs);
        free(row->request);
        free(row->body);
        free(row->status);
        free(row->claims);
        free(row->name);
    }
}

/* --- set-up ------------------------------------------------------------------------------------
 */

static void
set_vars(void)
{
    int64_t now = clock_wall_ms();
    char text[CLOCK_TEXT_LEN], name[16], id[UUID_LEN];

    shape_set(&vars, "unknown", "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11");
    /* The other side of the console's link for comparing. */
    shape_set(&vars, "demo", "11111111-1111-4111-8111-111111111111");
    for (int i = 1; i <= FRESH_IDS; i++) {
        uuid_v4(id);
        snprintf(name, sizeof name, "new%d", i);
        shape_set(&vars, name, id);
    }
    shape_set(&vars, "hour_ago", clock_text(now - 3600000, text));
    clock_text(now - 86400000, text)[10] = '\0';
    shape_set(&vars, "yesterday", text);
    clock_text(now + 86400000, text)[10] = '\0';
    shape_set(&vars, "tomorrow", text);
}

static int
set_up(void **state)
{
    /* An identity that may manage policies and opens sessions that it may steer. */
    const struct world_options options = {
        .fcgi_env = fcgi_env, .observerd_env = observerd_env, .runtime_bearer = "tok-operator"};
    struct err err = {0};

    (void)state;
    set_vars();
    if (world_start(&world, &options, &err) && world_wait_ready(&world, &err) &&
        agent_start(world.control_path, &agent, &err))
        return 0;
    print_error("%s\n", err.msg);
    world_stop(&world);
    return -1;
}

static int
tear_down(void **state)
{
    (void)state;
    agent_stop(agent);
    world_stop(&world);
    return 0;
}

int
main(void)
{
    static struct CMUnitTest tests[ROWS_MAX];
    int failed;

    read_table();
    for (size_t i = 0; i < rows_n; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, row_holds, NULL, row_over, &rows[i]};
    failed = _cmocka_run_group_tests("clients", tests, rows_n, set_up, tear_down);
    forget_table();
    return failed;
}
