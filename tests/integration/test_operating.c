/* What operators see: metrics of one process and of all, health, notices to the supervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"

#define DECISION "macp.mode.decision.v1"

enum { PUBLISHED_WITHIN_MS = 10000, INSTANCES = 2 };

static struct world world;

/* --- metrics --------------------------------------------------------------------------------- */

/* The value of a series, -1 when the page has none of that name and labels. */
static double
value_of(const struct buf *page, const char *series)
{
    size_t n = strlen(series);

    for (const char *at = buf_cstr(page); (at = strstr(at, series)); at += n)
        if ((at == page->p || at[-1] == '\n') && at[n] == ' ')
            return strtod(at + n, NULL);
    return -1;
}

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
    wanted->last = value_of(&reply.body, wanted->series);
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
    };

    return cmocka_run_group_tests_name("operating", tests, start, stop);
}
