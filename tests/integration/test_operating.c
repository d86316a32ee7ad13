/* What operators see: metrics of one process and of all, health, notices to the supervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/exposition.h"
#include "tests/support/notify_socket.h"
#include "tests/support/receiver.h"

#define DECISION "macp.mode.decision.v1"

enum { PUBLISHED_WITHIN_MS = 10000, INSTANCES = 2 };

static struct world world;

/* --- metrics --------------------------------------------------------------------------------- */

struct wanted {
    const char *series;
    double value, last;
};

static bool
metrics_show(void *ctx)
{
    struct wanted *wanted = ctx;
    AUTO_HTTP_REPLY reply = {0};
    struct err err = {0};

    expect_ok(http_get(&world.http, &reply, &err, "/metrics"), &err, "metrics");
    assert_int_equal(reply.status, 200);
    wanted->last = exposition_value(buf_cstr(&reply.body), wanted->series);
    return wanted->last == wanted->value;
}

static void
expect_metric(const char *series, double value)
{
    struct wanted wanted = {.series = series, .value = value};

    if (!process_poll(metrics_show, &wanted, process_slow(PUBLISHED_WITHIN_MS)))
        fail_msg("%s is %g, not %g", series, wanted.last, value);
}

/* Every run is some observer's; the API's page knows what all of them counted. */
static void
metrics_of_all_observers_add_up(void **state)
{
    struct posted runs[6];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        expect_posted(&world, DECISION, NULL, &runs[i]);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        expect_played(&world, "decision.minimal", runs[i].session, NULL);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        expect_status(&world, runs[i].run, "completed");
    expect_metric("run_state_transitions_total{status=\"queued\"}", ARRAY_LEN(runs));
    expect_metric("run_state_transitions_total{status=\"completed\"}", ARRAY_LEN(runs));
    expect_metric(
        "macp_run_duration_seconds_bucket{terminal_status=\"completed\",mode_name=\"" DECISION
        "\",le=\"+Inf\"}",
        ARRAY_LEN(runs));
    expect_metric("macp_inbound_messages_total{mode=\"" DECISION
                  "\",message_type=\"SessionStart\"}",
                  ARRAY_LEN(runs));
    expect_metric("macp_outbound_messages_total{category=\"observer\",status=\"subscribed\"}",
                  ARRAY_LEN(runs));
    expect_metric("macp_observer_leases{state=\"held\"}", ARRAY_LEN(runs));
    expect_metric("macp_observer_leases{state=\"claimable\"}", 0);
    expect_metric("macp_watch_connected{stream=\"sessions\"}", INSTANCES);
    expect_metric("macp_watch_connected{stream=\"signals\"}", INSTANCES);
    expect_metric("active_runtime_streams", 0);
}

/* --- each observer's own page ------------------------------------------------------------------
 */

static void
ask(int port, const char *path, int status, struct http_reply *reply)
{
    struct err err = {0};
    struct http client;

    http_init(&client, port, "", 5000);
    http_reply_fini(reply);
    *reply = (struct http_reply){0};
    expect_ok(http_get(&client, reply, &err, "%s", path), &err, path);
    assert_int_equal(reply->status, status);
}

static void
expect_well_formed(const struct http_reply *reply)
{
    char why[300];

    if (!exposition_check(buf_cstr(&reply->body), why, sizeof why))
        fail_msg("%s", why);
}

static void
pages_of_all_processes_are_well_formed(void **state)
{
    static const char series[] =
        "macp_inbound_messages_total{mode=\"" DECISION "\",message_type=\"Commitment\"}";
    AUTO_HTTP_REPLY reply = {0};
    struct posted run;
    double sum = 0;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    for (size_t i = 0; i < INSTANCES; i++) {
        double value;

        ask(world.instances[i].metrics_port, "/metrics", 200, &reply);
        expect_well_formed(&reply);
        value = exposition_value(buf_cstr(&reply.body), series);
        sum += value > 0 ? value : 0;
        ask(world.instances[i].metrics_port, "/healthz", 200, &reply);
        ask(world.instances[i].metrics_port, "/readyz", 200, &reply);
        assert_string_equal(json_string_value(json_object_get(reply.json, "instance")),
                            world.instances[i].id);
    }
    assert_true(sum >= 1);
    expect_metric(series, sum);
    ask(world.web_port, "/metrics", 200, &reply);
    expect_well_formed(&reply);
}

/* --- the supervisor ----------------------------------------------------------------------------
 */

struct line {
    struct notify_socket *socket;
    const char *begin;
    int nth;
};

static bool
is_heard(void *ctx)
{
    const struct line *l = ctx;

    return notify_socket_heard(l->socket, l->begin, l->nth) != NULL;
}

static void
expect_heard(struct notify_socket *socket, const char *begin, int nth)
{
    if (!process_poll(is_heard, &(struct line){socket, begin, nth}, process_slow(10000)))
        fail_msg("no %s for the %d. time in\n%s", begin, nth, buf_cstr(&socket->heard));
}

static void
supervisor_is_told_of_start_life_and_end(void **state)
{
    char socket_env[200];
    const char *env[] = {socket_env, "WATCHDOG_USEC=1000000", NULL};
    AUTO_HTTP_REPLY reply = {0};
    struct notify_socket socket;
    struct err err = {0};

    (void)state;
    expect_ok(notify_socket_open(&socket, world.dir, &err), &err, "socket");
    snprintf(socket_env, sizeof socket_env, "NOTIFY_SOCKET=%s", socket.path);
    world.options.observerd_env = env;
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_heard(&socket, "READY=1", 1);
    ask(world.metrics_port, "/readyz", 200, &reply);
    expect_heard(&socket, "WATCHDOG=1", 3);
    assert_non_null(notify_socket_heard(&socket, "STATUS=", 1));
    assert_int_equal(world_stop_observerd(&world, process_slow(10000)), 0);
    expect_heard(&socket, "STOPPING=1", 1);
    notify_socket_close(&socket);
    world.options.observerd_env = NULL;
}

/* --- settings that change ----------------------------------------------------------------------
 */

static char env_file[160];

static void
write_settings(const char *text)
{
    FILE *f = fopen(env_file, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static bool
log_says(void *ctx)
{
    char *log = process_log_tail(world.observerd.log, 1 << 16);
    bool said = strstr(log, ctx) != NULL;

    free(log);
    return said;
}

static void
expect_logged(const char *text)
{
    if (!process_poll(log_says, (void *)text, process_slow(10000)))
        fail_msg("not in the log: %s", text);
}

static void
reload_changes_what_may_change(void **state)
{
    struct notify_socket socket;
    struct err err = {0};
    char socket_env[200];
    const char *env[] = {socket_env, NULL};
    struct posted run;

    (void)state;
    for (size_t i = 0; i < INSTANCES; i++) /* whose run it is shall be no question */
        assert_int_equal(world_stop_instance(&world, i, SIGTERM, process_slow(10000)), 0);
    expect_ok(notify_socket_open(&socket, world.dir, &err), &err, "socket");
    snprintf(socket_env, sizeof socket_env, "NOTIFY_SOCKET=%s", socket.path);
    snprintf(env_file, sizeof env_file, "%s/settings", world.dir);
    write_settings("STREAM_BACKOFF_MAX_MS=200\n");
    world.options.observerd_env = env;
    world.options.observerd_env_file = env_file;
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_heard(&socket, "READY=1", 1);

    /* A run that is held already is redacted from then on, too. */
    expect_posted(&world, DECISION, NULL, &run);
    expect_sql_becomes(&world, "starting", "select status from macp.runs where id = '%s'", run.run);
    write_settings("STREAM_BACKOFF_MAX_MS=200\nLOG_LEVEL=debug\nMACP_REDACT_PATTERNS=bl.e\n"
                   "OBSERVERD_BATCH_EVENTS=7\n");
    process_signal(&world.observerd, SIGHUP);
    expect_heard(&socket, "RELOADING=1", 1);
    expect_heard(&socket, "READY=1", 2);
    expect_logged("LOG_LEVEL: is now \\\"debug\\\", was \\\"info\\\"");
    expect_logged("OBSERVERD_BATCH_EVENTS: has changed; that takes effect at the next start");
    expect_sql_becomes(&world, "debug 1000",
                       "select concat_ws(' ', config ->> 'LOG_LEVEL', config ->> "
                       "'OBSERVERD_BATCH_EVENTS') from macp.observer_instances where alive_until "
                       "> now()");

    write_settings("LOG_LEVEL=loud\n");
    process_signal(&world.observerd, SIGHUP);
    expect_heard(&socket, "READY=1", 3);
    expect_logged("reload refused");
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    expect_sql(&world, "t",
               "select count(*) filter (where data::text like '%%[REDACTED]%%') > 0 and count(*) "
               "filter (where data::text like '%%blue%%') = 0 from macp.run_events_canonical join "
               "macp.runs r using (run_key) where r.id = '%s'",
               run.run);
    assert_int_equal(world_stop_observerd(&world, process_slow(10000)), 0);
    notify_socket_close(&socket);
}

/* --- traces ------------------------------------------------------------------------------------
 */

/* The span of that name in what the collector got; NULL: not there yet. New reference. */
static json_t *
find_span(struct receiver *collector, const char *name, const char *trace_id)
{
    for (size_t i = 0;; i++) {
        AUTO_RECEIVED got = {0};
        json_t *root, *spans, *span, *found = NULL;
        size_t n;

        if (!receiver_get(collector, "/status/200/v1/traces", i, &got))
            return NULL;
        assert_non_null(root = json_loads(buf_cstr(&got.body), 0, NULL));
        assert_int_equal(
            json_unpack(root, "{s:[{s:[{s:o}]}]}", "resourceSpans", "scopeSpans", "spans", &spans),
            0);
        json_array_foreach (spans, n, span)
            if (strcmp(json_string_value(json_object_get(span, "name")), name) == 0 &&
                strcmp(json_string_value(json_object_get(span, "traceId")), trace_id) == 0) {
                found = json_incref(span);
                break; /* there may be several */
            }
        json_decref(root);
        if (found)
            return found;
    }
}

struct awaited_span {
    struct receiver *collector;
    const char *name, *trace_id;
    json_t *found;
};

static bool
span_is_there(void *ctx)
{
    struct awaited_span *a = ctx;

    a->found = find_span(a->collector, a->name, a->trace_id);
    return a->found != NULL;
}

static json_t *
expect_span(struct receiver *collector, const char *name, const char *trace_id)
{
    struct awaited_span a = {collector, name, trace_id, NULL};

    if (!process_poll(span_is_there, &a, process_slow(10000)))
        fail_msg("no span %s of trace %s", name, trace_id);
    return a.found;
}

static void
spans_of_a_run_reach_the_collector_under_its_trace(void **state)
{
    static const char *const children[] = {"runtime.await_session_open", "stream.handle_raw_event"};
    char endpoint[100], traceparent[128];
    const char *env[] = {"OTEL_ENABLED=true", endpoint, NULL}, *own;
    struct receiver collector;
    struct err err = {0};
    struct posted run;
    json_t *span, *counters;

    (void)state;
    expect_ok(receiver_start(&collector, 0, &err), &err, "collector");
    snprintf(endpoint, sizeof endpoint,
             "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:%d/status/200", collector.port);
    world.options.observerd_env = env;
    world.options.observerd_env_file = NULL;
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    span = expect_span(&collector, "run.lifecycle", run.trace);
    own = json_string_value(json_object_get(span, "spanId"));
    for (size_t i = 0; i < ARRAY_LEN(children); i++) {
        json_t *child = expect_span(&collector, children[i], run.trace);

        assert_string_equal(json_string_value(json_object_get(child, "parentSpanId")), own);
        json_decref(child);
    }
    counters = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    snprintf(traceparent, sizeof traceparent, "00-%s-%s-01", run.trace, own);
    assert_string_equal(json_string_value(json_object_get(counters, "traceparent")), traceparent);
    json_decref(counters);
    json_decref(span);
    assert_int_equal(world_stop_observerd(&world, process_slow(10000)), 0);
    receiver_stop(&collector);
    world.options.observerd_env = NULL;
}

static int
start(void **state)
{
    struct world_options options = {.without_observerd = true};
    struct err err = {0};

    (void)state;
    expect_ok(world_start(&world, &options, &err), &err, "start");
    for (size_t i = 0; i < INSTANCES; i++)
        expect_ok(world_start_instance(&world, i, &err), &err, "start an observer");
    expect_ok(world_wait_ready(&world, &err), &err, "ready");
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    world_stop(&world);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_of_all_observers_add_up),
        cmocka_unit_test(pages_of_all_processes_are_well_formed),
        cmocka_unit_test(supervisor_is_told_of_start_life_and_end),
        cmocka_unit_test(reload_changes_what_may_change),
        cmocka_unit_test(spans_of_a_run_reach_the_collector_under_its_trace),
    };

    return cmocka_run_group_tests_name("operating", tests, start, stop);
}
