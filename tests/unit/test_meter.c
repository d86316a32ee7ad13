/* What the programs count: the page, the published text, sums over processes, bounded labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "shared/meter.h"

static void
has(const struct buf *page, const char *line)
{
    const char *at = strstr(buf_cstr(page), line);

    if (!at || (at != page->p && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line %s in\n%s", line, buf_cstr(page));
}

static bool
mentions(const struct buf *page, const char *text)
{
    return strstr(buf_cstr(page), text) != NULL;
}

static void
families_are_declared_before_anything_is_counted(void **state)
{
    struct meters *m = meters_new();
    AUTO_BUF page = {0};

    (void)state;
    meters_write_page(m, &page);
    for (int id = 0; id < METER__COUNT; id++) {
        const struct meter_row *row = meter_row((enum meter_id)id);
        char type[128];

        snprintf(type, sizeof type, "# TYPE %s %s", row->name,
                 row->kind == METER_COUNTER                               ? "counter"
                 : row->kind == METER_SECONDS || row->kind == METER_SIZES ? "histogram"
                                                                          : "gauge");
        has(&page, type);
    }
    has(&page, "circuit_breaker_state 0");
    has(&page, "macp_observer_lag_seconds_bucket{le=\"+Inf\"} 0");
    has(&page, "macp_observer_lag_seconds_count 0");
    assert_false(mentions(&page, "macp_observer_gaps_total{"));
    meters_free(m);
}

static void
values_appear_under_their_labels(void **state)
{
    AUTO_BUF page = {0};

    (void)state;
    meter_add(METER_GAPS, 2, "compacted");
    meter_add(METER_GAPS, 1, "compacted");
    meter_add(METER_INBOUND_MESSAGES, 1, "macp.mode.task.v1", "TaskUpdate");
    meter_add(METER_INBOUND_MESSAGES, 1, "", "");
    meter_put(METER_SPOOL_BYTES, 4096);
    meter_put(METER_SPOOL_BYTES, 12);
    meter_observe(METER_RUN_DURATION, 1500000, "completed", "macp.mode.task.v1");
    meter_observe(METER_RUN_DURATION, 100000, "completed", "macp.mode.task.v1");
    meter_observe(METER_BATCH_ROWS, 20000);
    meters_write_page(meters_own(), &page);
    has(&page, "macp_observer_gaps_total{kind=\"compacted\"} 3");
    has(&page,
        "macp_inbound_messages_total{mode=\"macp.mode.task.v1\",message_type=\"TaskUpdate\"} 1");
    has(&page, "macp_inbound_messages_total{mode=\"unknown\",message_type=\"unknown\"} 1");
    has(&page, "macp_observer_spool_bytes 12");
    has(&page,
        "macp_run_duration_seconds_bucket{terminal_status=\"completed\",mode_name=\"macp.mode."
        "task.v1\",le=\"0.1\"} 1");
    has(&page,
        "macp_run_duration_seconds_bucket{terminal_status=\"completed\",mode_name=\"macp.mode."
        "task.v1\",le=\"2\"} 2");
    has(&page, "macp_run_duration_seconds_sum{terminal_status=\"completed\",mode_name=\"macp.mode."
               "task.v1\"} 1.600000");
    has(&page, "macp_observer_batch_rows_bucket{le=\"10000\"} 0");
    has(&page, "macp_observer_batch_rows_bucket{le=\"+Inf\"} 1");
}

static void
labels_are_bounded_and_printable(void **state)
{
    AUTO_BUF page = {0}, json = {0};
    struct meters *copy = meters_new();
    int series = 0;
    char name[200];

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "made-up-%d", i);
        meter_add(METER_SIGNALS, 1, name);
    }
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    meter_add(METER_STREAM_ERRORS, 1, name);
    meter_add(METER_STREAM_ERRORS, 1, "a\"b\n\xff");
    meters_write_page(meters_own(), &page);
    for (const char *at = buf_cstr(&page); (at = strstr(at, "macp_signals_total{")); at++)
        series++;
    assert_int_equal(series, METER_SERIES_MAX + 1);
    has(&page, "macp_signals_total{signal_type=\"other\"} 136");
    has(&page, "macp_stream_errors_total{grpc_code=\"a\\\"b??\"} 1");
    name[63] = '\0';
    assert_true(mentions(&page, name));
    meters_write_json(meters_own(), &json);
    assert_true(meters_merge(copy, json.p, json.len));
    meters_free(copy);
}

static void
several_processes_add_up(void **state)
{
    static const char a[] =
        "{\"active_runtime_streams\":[[[],3]],\"circuit_breaker_state\":[[[],2]],"
        "\"macp_observer_gaps_total\":[[[\"signals\"],5]],"
        "\"macp_run_duration_seconds\":[[[\"failed\",\"m\"],2000000,1,0,0,0,0,0,0,0,0,0,0,1]]}";
    static const char b[] =
        "{\"active_runtime_streams\":[[[],4]],\"circuit_breaker_state\":[[[],1]],"
        "\"macp_observer_gaps_total\":[[[\"signals\"],1],[[\"signals\",\"more\"],9],[[7],9]],"
        "\"macp_run_duration_seconds\":[[[\"failed\",\"m\"],1,1,1],7],"
        "\"macp_of_the_future\":[[[],1]]}";
    struct meters *sum = meters_new();
    AUTO_BUF page = {0};

    (void)state;
    assert_true(meters_merge(sum, a, sizeof a - 1));
    assert_true(meters_merge(sum, b, sizeof b - 1));
    assert_false(meters_merge(sum, "[]", 2));
    assert_false(meters_merge(sum, "{", 1));
    meters_write_page(sum, &page);
    has(&page, "active_runtime_streams 7");
    has(&page, "circuit_breaker_state 2");
    has(&page, "macp_observer_gaps_total{kind=\"signals\"} 6");
    has(&page, "macp_run_duration_seconds_bucket{terminal_status=\"failed\",mode_name=\"m\",le=\"+"
               "Inf\"} 2");
    assert_false(mentions(&page, "future"));
    meters_free(sum);
}

static void *
count_much(void *arg)
{
    char name[32];

    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "kind-%d", i % 40);
        meter_add(METER_DUPLICATES, 1, name);
    }
    return arg;
}

static void
threads_count_at_the_same_time(void **state)
{
    AUTO_BUF page = {0};
    pthread_t threads[4];
    char line[100];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    meters_write_page(meters_own(), &page);
    for (int i = 0; i < 40; i++) {
        snprintf(line, sizeof line, "macp_observer_duplicates_total{source=\"kind-%d\"} 2000", i);
        has(&page, line);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_declared_before_anything_is_counted),
        cmocka_unit_test(values_appear_under_their_labels),
        cmocka_unit_test(labels_are_bounded_and_printable),
        cmocka_unit_test(several_processes_add_up),
        cmocka_unit_test(threads_count_at_the_same_time),
    };

    return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}
