/* Times: the text form, what is accepted as input, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/clock.h"

static void
test_text_form(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1709210096789, "2024-02-29T12:34:56.789Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char text[CLOCK_TEXT_LEN];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t back;

        assert_ptr_equal(clock_text(cases[i].ms, text), text);
        assert_string_equal(text, cases[i].text);
        assert_true(clock_parse(text, &back));
        assert_true(back == cases[i].ms);
    }
}

static void
test_far_times_do_not_overflow_the_text(void **state)
{
    static const int64_t cases[] = {INT64_MAX, INT64_MIN, 253402300800000, -62167219200001};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_TEXT_LEN + 1] = {[CLOCK_TEXT_LEN] = '#'};

        clock_text(cases[i], text);
        assert_int_equal(strlen(text), CLOCK_TEXT_LEN - 1);
        assert_int_equal(text[CLOCK_TEXT_LEN], '#');
    }
}

static void
test_accepted_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"2024-02-29", 1709164800000},
        {"2024-02-29T12:34", 1709210040000},
        {"2024-02-29T12:34:56", 1709210096000},
        {"2024-02-29T12:34:56Z", 1709210096000},
        {"2024-02-29t12:34:56z", 1709210096000},
        {"2024-02-29 12:34:56", 1709210096000},
        {"2024-02-29T12:34:56.7Z", 1709210096700},
        {"2024-02-29T12:34:56,78Z", 1709210096780},
        {"2024-02-29T12:34:56.789999999Z", 1709210096789},
        {"2024-02-29 12:34:56.789123+00", 1709210096789},
        {"2024-02-29T14:34:56.789+02:00", 1709210096789},
        {"2024-02-29T14:34:56.789+0200", 1709210096789},
        {"2024-02-29T07:04:56.789-05:30", 1709210096789},
        {"2024-03-01T00:00:00+23:59", 1709164860000},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second */
        {"0001-01-01", -62135596800000},
        {"1900-02-28", -2203977600000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 7;

        if (!clock_parse(cases[i].text, &ms) || ms != cases[i].ms)
            fail_msg("%s gave %lld", cases[i].text, (long long)ms);
    }
}

static void
test_refused_texts(void **state)
{
    static const char *const cases[] = {
        "",
        "now",
        "2024",
        "2024-02",
        "2024-2-29",
        "24-02-29",
        "2024/02/29",
        "2023-02-29",
        "1900-02-29",
        "2024-04-31",
        "2024-00-10",
        "2024-13-10",
        "2024-01-00",
        "2024-01-32",
        "0000-01-01",
        " 2024-02-29",
        "2024-02-29 ",
        "2024-02-29Z",
        "2024-02-29T",
        "2024-02-29T12",
        "2024-02-29T12:",
        "2024-02-29T24:00:00Z",
        "2024-02-29T12:60:00Z",
        "2024-02-29T12:34:61Z",
        "2024-02-29T12:34:56.Z",
        "2024-02-29T12:34:56+",
        "2024-02-29T12:34:56+2",
        "2024-02-29T12:34:56+02:",
        "2024-02-29T12:34:56+02:0",
        "2024-02-29T12:34:56+24:00",
        "2024-02-29T12:34:56+02:60",
        "2024-02-29T12:34:56ZZ",
        "2024-02-29T12:34:56 Z",
        "-2024-02-29",
        "2024-02-29T-1:00",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 7;

        if (clock_parse(cases[i], &ms))
            fail_msg("accepted \"%s\"", cases[i]);
        assert_true(ms == 7); /* untouched on failure */
    }
}

static void
test_clocks_run(void **state)
{
    int64_t mono = clock_mono_us(), mono_ms = clock_mono_ms();

    (void)state;
    assert_true(clock_wall_ms() > 1700000000000);
    assert_true(llabs(clock_wall_us() / 1000 - clock_wall_ms()) < 5000);
    assert_true(llabs(mono / 1000 - mono_ms) < 5000);
    assert_true(clock_mono_us() >= mono);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_form),
        cmocka_unit_test(test_far_times_do_not_overflow_the_text),
        cmocka_unit_test(test_accepted_forms),
        cmocka_unit_test(test_refused_texts),
        cmocka_unit_test(test_clocks_run),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
