/* Patterns: which are taken, what they mean, and that a hostile text cannot stall a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "observerd/redact.h"
#include "observerd/redact_syntax.h"
#include "shared/clock.h"
#include "shared/json.h"

#define M REDACT_MARKER

static struct redactor *
one(const char *pattern)
{
    struct redactor *r = NULL;
    struct err err = {0};

    if (!redact_new(&pattern, 1, &r, &err))
        fail_msg("%s", err.msg);
    return r;
}

static void
test_patterns_mean_what_they_mean_in_javascript(void **state)
{
    static const struct {
        const char *pattern, *in, *out;
    } cases[] = {
        {"a$", "a\n", "a\n"},
        {"^a", "a\na", M "\na"},
        {"\\d+", "1\xD9\xA3", M "\xD9\xA3"}, /* ASCII digits only */
        {"\\w", "\xC3\xA9", "\xC3\xA9"},
        {"(?<name>a)\\k<name>", "aab", M "b"},
        {"(a)\\1", "aab", M "b"},
        {"(?:(a)|b)\\1", "b", M}, /* an unset group matches nothing */
        {"\\u00e9", "\xC3\xA9", M},
        {"\\ud83d\\ude00", "\xF0\x9F\x98\x80", M},
        {"\\u{1F600}", "\xF0\x9F\x98\x80", M},
        {"\\x41\\cI\\0?", "A\t", M},
        {"\\v", "\v\n", M "\n"},
        {"[\\b]", "\b", M},
        {"[[:alpha:]]", "a]b]:]", M "b]" M}, /* a class of those characters, then a bracket */
        {"[^]", "a", M},
        {"[]|a", "a", M},
        {"a{,2}", "a{,2}aa", M "aa"},
        {"a{2}", "aaa", M "a"},
        {"x{", "x{", M},
        {"a+?", "aa", M M},
        {"\\/\\-\\.", "/-.", M},
        {"x*", "axb", M "a" M M "b" M},
        {".", "\xF0\x9F\x98\x80\n", M "\n"},
        {"(?<!a)b", "abb", "ab" M},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct redactor *r = one(cases[i].pattern);
        AUTO_JSON *in = json_string(cases[i].in), *out = redact_value(r, in);

        if (strcmp(json_string_value(out), cases[i].out) != 0)
            fail_msg("%s on %s gives %s", cases[i].pattern, cases[i].in, json_string_value(out));
        redact_free(r);
    }
}

static void
test_what_has_no_counterpart_is_refused_by_name(void **state)
{
    static const char *const patterns[] = {
        "[a",       "(",       ")",           "*a",    "a**",      "a++",
        "a{2}+",    "(?i)a",   "(?>a)",       "(?#x)", "(?P<n>a)", "(*UTF)a",
        "a\\",      "\\K",     "\\Qa\\E",     "\\A",   "\\p{L}",   "\\R",
        "\\u12",    "\\ud83d", "\\u{110000}", "\\xg1", "\\c1",     "\\07",
        "[\\1]",    "\\2",     "\\k<n>",      "\\kn",  "[z-a]",    "(?<n>a)(?<n>b)",
        "a{99999}", "\xFF",    "(?<=a+)b",    "[\\B]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct redactor *r = NULL;
        struct err err = {0};

        if (redact_new(&patterns[i], 1, &r, &err))
            fail_msg("%s was taken", patterns[i]);
        assert_null(r);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.msg, patterns[i]));
    }
}

static void
test_no_pattern_left_is_no_redactor(void **state)
{
    const char *const blank[] = {"", "  \t"};
    struct redactor *r = NULL;
    AUTO_JSON *v = json_string("secret"), *same = NULL;

    (void)state;
    assert_true(redact_new(blank, 2, &r, NULL));
    assert_null(r);
    same = redact_value(r, v);
    assert_ptr_equal(same, v);
    assert_int_equal(redact_blown(r), 0);
}

static void
test_untouched_values_are_shared_not_copied(void **state)
{
    struct redactor *r = one("secret");
    AUTO_JSON *v = json_pack("{s:[s,i],s:{s:s}}", "a", "x", 1, "b", "k", "a secret");
    AUTO_JSON *out = redact_value(r, v);

    (void)state;
    assert_ptr_equal(json_object_get(out, "a"), json_object_get(v, "a"));
    assert_string_equal(jv_cstr(jv_get(jv_get(out, "b"), "k")), "a " M);
    assert_string_equal(jv_cstr(jv_get(jv_get(v, "b"), "k")), "a secret");
    redact_free(r);
}

/* A text of n characters c, then a tail. */
static json_t *
long_text(char c, size_t n, const char *tail)
{
    AUTO_BUF text = {0};

    memset(buf_reserve(&text, n), c, n);
    text.len = n;
    buf_str(&text, tail);
    return json_stringn(text.p, text.len);
}

static void
test_a_pattern_that_explodes_redacts_the_whole_text_and_counts(void **state)
{
    static const struct {
        const char *pattern, *tail;
        size_t n;
    } cases[] = {
        {"(a+)+$", "!", 64},                   /* exponential */
        {"[a-z]+@[a-z]+", " @", 400 * 1000},   /* quadratic, without a single step back */
        {"(?:a|b)*c", "! c", 3 * 1000 * 1000}, /* deep */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct redactor *r = one(cases[i].pattern);
        AUTO_JSON *v = long_text('a', cases[i].n, cases[i].tail), *out = NULL;
        int64_t before = clock_mono_ms();

        out = redact_value(r, v);
        if (strcmp(json_string_value(out), M) != 0)
            fail_msg("%s was not stopped", cases[i].pattern);
        assert_int_equal(redact_blown(r), 1);
        assert_true(clock_mono_ms() - before < 60 * 1000);
        redact_free(r);
    }
}

static void
test_markers_cannot_blow_a_text_up_without_bound(void **state)
{
    const char *const patterns[] = {"x*", "y*", "z*"};
    struct redactor *r = NULL;
    AUTO_JSON *v = long_text('a', 200 * 1000, ""), *out = NULL;

    (void)state;
    assert_true(redact_new(patterns, 3, &r, NULL));
    out = redact_value(r, v);
    assert_true(json_string_length(out) < 40 * 1024 * 1024);
    assert_true(redact_blown(r) > 0);
    redact_free(r);
}

static void
test_a_long_text_without_matches_stays_as_it_is(void **state)
{
    struct redactor *r = one("\\b\\d{3}-\\d{2}-\\d{4}\\b");
    AUTO_JSON *v = long_text('a', 1000 * 1000, "1"), *out = redact_value(r, v);

    (void)state;
    assert_ptr_equal(out, v);
    assert_int_equal(redact_blown(r), 0);
    redact_free(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_mean_what_they_mean_in_javascript),
        cmocka_unit_test(test_what_has_no_counterpart_is_refused_by_name),
        cmocka_unit_test(test_no_pattern_left_is_no_redactor),
        cmocka_unit_test(test_untouched_values_are_shared_not_copied),
        cmocka_unit_test(test_a_pattern_that_explodes_redacts_the_whole_text_and_counts),
        cmocka_unit_test(test_markers_cannot_blow_a_text_up_without_bound),
        cmocka_unit_test(test_a_long_text_without_matches_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
