/* What the vectors of the metrics leave open: prices, freezing times, both forms of the summary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/json.h"
#include "shared/metrics.h"

#define START_MS 1772359200000 /* 2026-03-01T10:00:00.000Z */

static void
fold(struct metrics *m, enum event_type type, int64_t after_ms, const char *model, const char *data)
{
    struct event e = {.type = type, .cost_model = model};

    event_set_time(&e, START_MS + after_ms);
    e.data = jv_parse(data, strlen(data));
    assert_non_null(e.data);
    metrics_fold(m, &e, NULL);
    json_decref(e.data);
}

static void
assert_summary(const struct metrics *m, bool all, const char *expected_end)
{
    AUTO_BUF out = {0};
    AUTO_JSON *v = NULL;

    metrics_write(m, "r", all, &out);
    v = jv_parse(out.p, out.len);
    assert_non_null(v);
    assert_true(out.len > strlen(expected_end));
    assert_string_equal(out.p + out.len - strlen(expected_end), expected_end);
}

static void
test_unknown_members_are_left_out_or_null(void **state)
{
    struct metrics m = {0};

    (void)state;
    assert_summary(&m, false, ",\"totalTokens\":0,\"estimatedCostUsd\":0}");
    assert_summary(&m, true,
                   ",\"estimatedCostUsd\":0,\"firstEventAt\":null,\"lastEventAt\":null,"
                   "\"durationMs\":null,\"sessionState\":null}");
}

static void
test_duration_passes_32_bits(void **state)
{
    struct metrics m = {0};

    (void)state;
    fold(&m, EVENT_RUN_CREATED, 0, NULL, "{}");
    fold(&m, EVENT_PARTICIPANT_SEEN, 3000000000, NULL, "{}");
    assert_summary(&m, false, ",\"durationMs\":3000000000}");
}

static void
test_end_moves_a_frozen_row_once(void **state)
{
    struct metrics m = {0};

    (void)state;
    fold(&m, EVENT_RUN_CREATED, 0, NULL, "{}");
    fold(&m, EVENT_SESSION_STATE_CHANGED, 10, NULL, "{\"state\":\"SESSION_STATE_EXPIRED\"}");
    fold(&m, EVENT_MESSAGE_RECEIVED, 20, NULL, "{}");
    assert_int_equal(m.last_event_ms, START_MS + 10);
    fold(&m, EVENT_RUN_FAILED, 30, NULL, "{}");
    assert_int_equal(m.last_event_ms, START_MS + 30);
    fold(&m, EVENT_RUN_CANCELLED, 40, NULL, "{}");
    assert_int_equal(m.last_event_ms, START_MS + 30);
    assert_int_equal(m.event_count, 5);
    assert_true(m.frozen && m.ended);
}

static void
test_state_shows_the_last_one_even_after_the_end(void **state)
{
    struct metrics m = {0};

    (void)state;
    fold(&m, EVENT_SESSION_STATE_CHANGED, 0, NULL, "{\"state\":\"SESSION_STATE_RESOLVED\"}");
    fold(&m, EVENT_SESSION_STATE_CHANGED, 1, NULL, "{\"state\":\"SESSION_STATE_OPEN\"}");
    assert_string_equal(m.session_state, "SESSION_STATE_OPEN");
    fold(&m, EVENT_SESSION_STATE_CHANGED, 2, NULL, "{\"state\":7}");
    assert_string_equal(m.session_state, "SESSION_STATE_OPEN");
}

static void
test_long_state_is_cut_between_code_points(void **state)
{
    struct metrics m = {0};

    (void)state;
    fold(&m, EVENT_SESSION_STATE_CHANGED, 0, NULL,
         "{\"state\":\"12345678901234567890123456789012345678\xC3\xA9\xC3\xA9\"}");
    assert_string_equal(m.session_state, "12345678901234567890123456789012345678");
}

static void
test_price_is_that_of_the_model_before_redaction(void **state)
{
    static const struct {
        const char *cost_model, *shown;
        double cost;
    } cases[] = {
        {"gpt-4o", "[REDACTED]", 12.5}, {NULL, "gpt-4o", 12.5},          {NULL, "GPT-4o", 4},
        {NULL, "claude-3-opus", 90},    {"gpt-4o-mini", "gpt-4o", 0.75},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct metrics m = {0};
        AUTO_BUF data = {0};

        buf_printf(&data,
                   "{\"decodedPayload\":{\"promptTokens\":1000000,"
                   "\"completionTokens\":1000000,\"model\":\"%s\"}}",
                   cases[i].shown);
        fold(&m, EVENT_LLM_CALL_COMPLETED, 0, cases[i].cost_model, data.p);
        assert_true(m.estimated_cost_usd == cases[i].cost);
        assert_true(m.total_tokens == 2000000);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_members_are_left_out_or_null),
        cmocka_unit_test(test_duration_passes_32_bits),
        cmocka_unit_test(test_end_moves_a_frozen_row_once),
        cmocka_unit_test(test_state_shows_the_last_one_even_after_the_end),
        cmocka_unit_test(test_long_state_is_cut_between_code_points),
        cmocka_unit_test(test_price_is_that_of_the_model_before_redaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
