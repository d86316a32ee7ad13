/* Spans: what is sampled, what a collector gets, what happens without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observerd/tracer.h"
#include "shared/clock.h"
#include "shared/meter.h"
#include "tests/support/exposition.h"
#include "tests/support/process.h"
#include "tests/support/receiver.h"

#define LOW                                                                                        \
    "0000000000000000"                                                                             \
    "1000000000000000" /* 1/8 of the way */
#define HIGH                                                                                       \
    "0000000000000000"                                                                             \
    "f000000000000000"

static struct receiver collector;
static struct outbound *outbound;
static struct config *plain;

static struct config *
settings(const char *endpoint, const char *sampler, const char *share)
{
    char lines[4][300];
    char *envp[] = {(char *)"MACP_ENV=development",
                    (char *)"OTEL_ENABLED=true",
                    (char *)"OTEL_RESOURCE_ATTRIBUTES=team=blue,zone=\"a\"",
                    (char *)"OTEL_EXPORTER_OTLP_HEADERS=x-team=blue",
                    lines[0],
                    lines[1],
                    lines[2],
                    NULL};
    struct config_report report = {0};
    struct config *cfg;

    snprintf(lines[0], sizeof lines[0], "OTEL_EXPORTER_OTLP_ENDPOINT=%s", endpoint);
    snprintf(lines[1], sizeof lines[1], "OTEL_TRACES_SAMPLER=%s", sampler);
    snprintf(lines[2], sizeof lines[2], "OTEL_TRACES_SAMPLER_ARG=%s", share);
    if (!config_load(CONFIG_OBSERVERD, envp, &cfg, &report))
        fail_msg("%s", report.items[0].text);
    config_report_fini(&report);
    return cfg;
}

static double
counted(const char *outcome)
{
    AUTO_BUF page = {0};
    char series[100];
    double n;

    snprintf(series, sizeof series, "macp_observer_spans_total{outcome=\"%s\"}", outcome);
    meters_write_page(meters_own(), &page);
    n = exposition_value(buf_cstr(&page), series);
    return n < 0 ? 0 : n;
}

static void
samplers_decide_by_trace_id(void **state)
{
    static const struct {
        const char *sampler, *share;
        bool low, high;
    } cases[] = {
        {"always_on", "0", true, true},
        {"always_off", "1", false, false},
        {"traceidratio", "1", true, true},
        {"traceidratio", "0", false, false},
        {"traceidratio", "0.5", true, false},
        {"parentbased_always_on", "0", true, true},
        {"parentbased_always_off", "1", false, false},
        {"parentbased_traceidratio", "0.5", true, false},
    };

    (void)state;
    assert_false(tracer_samples(NULL, LOW));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *cfg = settings("http://127.0.0.1:1", cases[i].sampler, cases[i].share);
        struct tracer *t = tracer_new(cfg);

        if (tracer_samples(t, LOW) != cases[i].low || tracer_samples(t, HIGH) != cases[i].high)
            fail_msg("%s %s", cases[i].sampler, cases[i].share);
        assert_false(tracer_samples(t, "short"));
        tracer_free(t);
        config_free(cfg);
    }
}

static void
without_endpoint_there_is_no_tracer(void **state)
{
    struct config *cfg = settings("", "always_on", "1");

    (void)state;
    assert_null(tracer_new(cfg));
    tracer_add(NULL, &(struct span){.name = "nothing"});
    tracer_send(NULL, outbound);
    tracer_drain(NULL, outbound, 1000);
    tracer_free(NULL);
    config_free(cfg);
}

static json_t *
at(json_t *v, const char *key, size_t i)
{
    v = json_array_get(json_object_get(v, key), i);
    assert_non_null(v);
    return v;
}

static void
has_text(json_t *attributes_of, const char *key, const char *text)
{
    json_t *a;
    size_t i;

    json_array_foreach (json_object_get(attributes_of, "attributes"), i, a)
        if (strcmp(json_string_value(json_object_get(a, "key")), key) == 0) {
            assert_string_equal(
                json_string_value(json_object_get(json_object_get(a, "value"), "stringValue")),
                text);
            return;
        }
    fail_msg("no attribute %s", key);
}

static void
collector_gets_spans_of_a_trace(void **state)
{
    char url[100], run_span[TRACER_ID_LEN], again[TRACER_ID_LEN], value[100];
    AUTO_BUF events = {0};
    struct config *cfg;
    struct tracer *t;
    json_t *root, *spans, *span, *resource;
    double before = counted("exported");

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/status/200", collector.port);
    cfg = settings(url, "always_on", "1");
    t = tracer_new(cfg);
    tracer_run_id("6f06ccae-bd8f-48c8-aa95-11744c274815", run_span);
    tracer_run_id("6f06ccae-bd8f-48c8-aa95-11744c274815", again);
    assert_string_equal(run_span, again);
    assert_int_equal(strlen(run_span), 16);
    tracer_event(&events, "signal.emitted", 1700000000123,
                 (struct span_attribute[]){{.key = "seq", .number = 7}, {0}});
    tracer_event(&events, "policy.denied", 1700000000124,
                 (struct span_attribute[]){{"errorCode", "a \"quoted\" one"}, {0}});
    tracer_add(t, &(struct span){.name = "stream.handle_raw_event",
                                 .trace_id = LOW,
                                 .parent_id = run_span,
                                 .start_us = 1700000000000001,
                                 .end_us = 1700000000000002,
                                 .attributes = {{"macp.message_type", "Vote\n"}}});
    tracer_add(t, &(struct span){.name = "run.lifecycle",
                                 .trace_id = LOW,
                                 .id = run_span,
                                 .start_us = 1700000000000000,
                                 .end_us = 1600000000000000, /* a clock that was set back */
                                 .error = "it went wrong",
                                 .events = buf_cstr(&events)});
    tracer_drain(t, outbound, process_slow(10000));
    assert_int_equal(receiver_count(&collector, "/status/200/v1/traces"), 1);
    {
        AUTO_RECEIVED got = {0};

        assert_true(receiver_get(&collector, "/status/200/v1/traces", 0, &got));
        assert_string_equal(received_header(&got, "Content-Type", value, sizeof value),
                            "application/json");
        assert_string_equal(received_header(&got, "x-team", value, sizeof value), "blue");
        root = json_loads(buf_cstr(&got.body), 0, NULL);
    }
    assert_non_null(root);
    resource = at(root, "resourceSpans", 0);
    has_text(json_object_get(resource, "resource"), "service.name", "macp-control-plane");
    has_text(json_object_get(resource, "resource"), "team", "blue");
    has_text(json_object_get(resource, "resource"), "zone", "\"a\"");
    spans = json_object_get(at(resource, "scopeSpans", 0), "spans");
    assert_int_equal(json_array_size(spans), 2);
    span = json_array_get(spans, 0);
    assert_string_equal(json_string_value(json_object_get(span, "traceId")), LOW);
    assert_string_equal(json_string_value(json_object_get(span, "parentSpanId")), run_span);
    assert_int_equal(json_string_length(json_object_get(span, "spanId")), 16);
    assert_string_equal(json_string_value(json_object_get(span, "startTimeUnixNano")),
                        "1700000000000001000");
    has_text(span, "macp.message_type", "Vote\n");
    span = json_array_get(spans, 1);
    assert_string_equal(json_string_value(json_object_get(span, "spanId")), run_span);
    assert_null(json_object_get(span, "parentSpanId"));
    assert_string_equal(json_string_value(json_object_get(span, "endTimeUnixNano")),
                        "1700000000000000000");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(span, "status"), "code")),
                     2);
    has_text(at(span, "events", 1), "errorCode", "a \"quoted\" one");
    assert_int_equal(counted("exported") - before, 2);
    json_decref(root);
    tracer_free(t);
    config_free(cfg);
}

/* Memory is bounded, nobody waits, and what is lost is counted. */
static void
collector_that_is_away_costs_spans_only(void **state)
{
    struct span span = {.name = "s", .trace_id = HIGH, .start_us = 1, .end_us = 2};
    double dropped = counted("dropped"), exported = counted("exported");
    struct config *cfg;
    struct tracer *t;
    char url[100];

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/status/503,200", collector.port);
    cfg = settings(url, "always_on", "1");
    t = tracer_new(cfg);
    for (int i = 0; i < 3000; i++)
        tracer_add(t, &span);
    assert_int_equal(counted("dropped") - dropped, 3000 - 2048);
    tracer_drain(t, outbound, process_slow(10000)); /* 503 */
    assert_int_equal(counted("dropped") - dropped, 3000);
    tracer_add(t, &span);
    tracer_send(t, outbound); /* not now: it has just failed */
    assert_int_equal(receiver_count(&collector, "/status/503,200/v1/traces"), 1);
    tracer_drain(t, outbound, process_slow(10000));
    assert_int_equal(counted("exported") - exported, 1);
    tracer_free(t);
    config_free(cfg);
}

static int
start(void **state)
{
    struct err err = {0};

    (void)state;
    plain = settings("", "always_on", "1");
    return receiver_start(&collector, 0, &err) && outbound_start(plain, &outbound, &err) ? 0 : -1;
}

static int
stop(void **state)
{
    (void)state;
    outbound_stop(outbound);
    receiver_stop(&collector);
    config_free(plain);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samplers_decide_by_trace_id),
        cmocka_unit_test(without_endpoint_there_is_no_tracer),
        cmocka_unit_test(collector_gets_spans_of_a_trace),
        cmocka_unit_test(collector_that_is_away_costs_spans_only),
    };

    return cmocka_run_group_tests_name("tracer", tests, start, stop);
}
