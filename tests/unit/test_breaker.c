/* The breaker towards the runtime: what opens it, who may probe, what it remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "observerd/breaker.h"
#include "shared/json.h"

enum { THRESHOLD = 3, RESET_MS = 1000 };

static int64_t now_ms;
static int changes;

static int64_t
mono(void)
{
    return now_ms;
}

static int64_t
wall(void)
{
    return 1700000000000 + now_ms;
}

static void
changed(void *ctx UNUSED)
{
    changes++;
}

static struct breaker *
new_breaker(void)
{
    now_ms = 0;
    changes = 0;
    return breaker_new(&(struct breaker_options){.threshold = THRESHOLD,
                                                 .reset_ms = RESET_MS,
                                                 .mono_ms = mono,
                                                 .wall_ms = wall,
                                                 .changed = changed});
}

static void
fail_times(struct breaker *b, int n)
{
    for (int i = 0; i < n; i++)
        breaker_failed(b);
}

static bool
admits(struct breaker *b)
{
    uint64_t ticket;

    return breaker_admit(b, &ticket);
}

/* "STATE reason|STATE reason ..." */
static void
expect_history(struct breaker *b, const char *wanted)
{
    AUTO_BUF text = {0}, seen = {0};
    AUTO_JSON *list = NULL;
    json_t *entry;
    size_t i;

    breaker_read(b, &text);
    list = jv_parse(text.p, text.len);
    assert_true(json_is_array(list));
    json_array_foreach (list, i, entry)
        buf_printf(&seen, "%s%s %s", i ? "|" : "", jv_cstr(jv_get(entry, "state")),
                   jv_cstr(jv_get(entry, "reason")));
    assert_string_equal(buf_cstr(&seen), wanted);
}

static void
failures_in_a_row_open_it_and_a_success_between_does_not(void **state UNUSED)
{
    struct breaker *b = new_breaker();

    fail_times(b, THRESHOLD - 1);
    breaker_succeeded(b);
    fail_times(b, THRESHOLD - 1);
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    assert_true(admits(b));
    assert_int_equal(changes, 0);
    breaker_failed(b);
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
    assert_false(admits(b));
    assert_int_equal(changes, 1);
    expect_history(b, "CLOSED initial|OPEN 3 consecutive failures");
    breaker_free(b);
}

static void
one_probe_at_a_time_goes_through_after_the_reset_time(void **state UNUSED)
{
    struct breaker *b = new_breaker();
    uint64_t probe;

    fail_times(b, THRESHOLD);
    now_ms = RESET_MS - 1;
    assert_false(admits(b));
    now_ms = RESET_MS;
    assert_true(breaker_admit(b, &probe));
    assert_int_equal(breaker_state(b), BREAKER_HALF_OPEN);
    assert_false(admits(b));
    breaker_succeeded(b);
    assert_true(admits(b));
    assert_true(admits(b));
    expect_history(b, "CLOSED initial|OPEN 3 consecutive failures|HALF_OPEN reset timeout after "
                      "1000ms|CLOSED half-open probe succeeded");
    assert_int_equal(changes, 3);
    breaker_free(b);
}

static void
failed_probe_opens_it_again_for_the_whole_time(void **state UNUSED)
{
    struct breaker *b = new_breaker();

    fail_times(b, THRESHOLD);
    now_ms = RESET_MS + 500;
    assert_true(admits(b));
    breaker_failed(b);
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
    now_ms += RESET_MS - 1;
    assert_false(admits(b));
    now_ms += 1;
    assert_true(admits(b));
    expect_history(b, "CLOSED initial|OPEN 3 consecutive failures|HALF_OPEN reset timeout after "
                      "1500ms|OPEN 4 consecutive failures|HALF_OPEN reset timeout after 1000ms");
    breaker_free(b);
}

static void
probe_that_was_given_up_makes_room_for_another(void **state UNUSED)
{
    struct breaker *b = new_breaker();
    uint64_t before, probe, other;

    assert_true(breaker_admit(b, &before));
    fail_times(b, THRESHOLD);
    now_ms = RESET_MS;
    assert_true(breaker_admit(b, &probe));
    breaker_withdrawn(b, before); /* is not the probe */
    assert_false(admits(b));
    breaker_withdrawn(b, probe);
    assert_true(breaker_admit(b, &other));
    assert_false(admits(b));
    assert_int_equal(breaker_state(b), BREAKER_HALF_OPEN);
    breaker_free(b);
}

static void
time_alone_ends_open(void **state UNUSED)
{
    struct breaker *b = new_breaker();

    fail_times(b, THRESHOLD);
    now_ms = RESET_MS;
    assert_int_equal(breaker_state(b), BREAKER_HALF_OPEN);
    assert_int_equal(changes, 2);
    breaker_free(b);
}

static void
late_failures_of_earlier_calls_keep_it_open_longer(void **state UNUSED)
{
    struct breaker *b = new_breaker();

    fail_times(b, THRESHOLD);
    now_ms = RESET_MS / 2;
    breaker_failed(b);
    now_ms = RESET_MS;
    assert_false(admits(b));
    now_ms = RESET_MS / 2 + RESET_MS;
    assert_true(admits(b));
    expect_history(b, "CLOSED initial|OPEN 3 consecutive failures|HALF_OPEN reset timeout after "
                      "1000ms");
    breaker_free(b);
}

static void
late_success_of_an_earlier_call_closes_it(void **state UNUSED)
{
    struct breaker *b = new_breaker();

    fail_times(b, THRESHOLD);
    breaker_succeeded(b);
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    expect_history(b, "CLOSED initial|OPEN 3 consecutive failures|CLOSED success");
    breaker_free(b);
}

static void
stream_that_answers_allows_a_probe_and_no_more(void **state UNUSED)
{
    struct breaker *b = new_breaker();

    breaker_sign_of_life(b);
    fail_times(b, THRESHOLD);
    breaker_sign_of_life(b);
    breaker_sign_of_life(b);
    assert_true(admits(b));
    assert_false(admits(b));
    breaker_failed(b);
    assert_false(admits(b));
    expect_history(b, "CLOSED initial|OPEN 3 consecutive failures|HALF_OPEN a stream answers|"
                      "OPEN 4 consecutive failures");
    breaker_free(b);
}

static void
operator_closes_it_and_the_count_begins_anew(void **state UNUSED)
{
    struct breaker *b = new_breaker();

    fail_times(b, THRESHOLD);
    breaker_reset(b);
    assert_true(admits(b));
    fail_times(b, THRESHOLD - 1);
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    breaker_reset(b); /* nothing to reset: no entry */
    expect_history(b, "CLOSED initial|OPEN 3 consecutive failures|CLOSED manual reset");
    breaker_free(b);
}

static void
history_keeps_the_last_two_hundred(void **state UNUSED)
{
    struct breaker *b = new_breaker();
    AUTO_BUF text = {0};
    AUTO_JSON *list = NULL;

    for (int i = 0; i < BREAKER_HISTORY_MAX; i++) {
        now_ms += 1;
        fail_times(b, THRESHOLD);
        breaker_reset(b);
    }
    assert_int_equal(breaker_read(b, &text), BREAKER_CLOSED);
    list = jv_parse(text.p, text.len);
    assert_int_equal(json_array_size(list), BREAKER_HISTORY_MAX);
    assert_string_equal(jv_cstr(jv_get(json_array_get(list, 0), "state")), "OPEN");
    assert_string_equal(jv_cstr(jv_get(json_array_get(list, 0), "enteredAt")),
                        "2023-11-14T22:13:20.101Z");
    assert_string_equal(jv_cstr(jv_get(json_array_get(list, 199), "enteredAt")),
                        "2023-11-14T22:13:20.200Z");
    breaker_free(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it_and_a_success_between_does_not),
        cmocka_unit_test(one_probe_at_a_time_goes_through_after_the_reset_time),
        cmocka_unit_test(failed_probe_opens_it_again_for_the_whole_time),
        cmocka_unit_test(probe_that_was_given_up_makes_room_for_another),
        cmocka_unit_test(time_alone_ends_open),
        cmocka_unit_test(late_failures_of_earlier_calls_keep_it_open_longer),
        cmocka_unit_test(late_success_of_an_earlier_call_closes_it),
        cmocka_unit_test(stream_that_answers_allows_a_probe_and_no_more),
        cmocka_unit_test(operator_closes_it_and_the_count_begins_anew),
        cmocka_unit_test(history_keeps_the_last_two_hundred),
    };

    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
