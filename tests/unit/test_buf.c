/* The text buffer: growth, ownership and every escape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/buf.h"

static void
test_an_empty_buffer_is_an_empty_text(void **state)
{
    AUTO_BUF b = {0};
    char *text;

    (void)state;
    assert_string_equal(buf_cstr(&b), "");
    buf_reset(&b);
    buf_add(&b, NULL, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_fini(&b);
    buf_reserve(&b, 0);
    assert_string_equal(buf_cstr(&b), ""); /* reserved, nothing added */
    text = buf_steal(&b);
    assert_string_equal(text, "");
    free(text);
    text = buf_steal(&b);
    assert_string_equal(text, "");
    free(text);
}

static void
test_a_shrunk_buffer_keeps_its_text_and_grows_again(void **state)
{
    AUTO_BUF b = {0};

    (void)state;
    buf_shrink(&b);
    assert_string_equal(buf_cstr(&b), "");
    buf_reserve(&b, 100000);
    buf_str(&b, "small");
    buf_shrink(&b);
    assert_true(b.cap < 100);
    buf_str(&b, " again");
    assert_string_equal(buf_cstr(&b), "small again");
}

static void
test_growth_keeps_the_text_and_its_end(void **state)
{
    AUTO_BUF b = {0};

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        buf_char(&b, (char)('a' + i % 26));
        assert_int_equal(b.len, i + 1);
        assert_true(b.cap > b.len);
        assert_int_equal(b.p[b.len], 0);
    }
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
}

static void
test_reset_keeps_the_capacity(void **state)
{
    AUTO_BUF b = {0};
    size_t cap;

    (void)state;
    buf_printf(&b, "%0500d", 1);
    cap = b.cap;
    buf_reset(&b);
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, cap);
}

static void
test_steal_leaves_an_empty_buffer(void **state)
{
    AUTO_BUF b = {0};
    char *text;

    (void)state;
    buf_str(&b, "kept");
    text = buf_steal(&b);
    assert_string_equal(text, "kept");
    assert_null(b.p);
    buf_lit(&b, "next");
    assert_string_equal(buf_cstr(&b), "next");
    assert_string_equal(text, "kept");
    free(text);
}

static void
test_numbers_and_formats(void **state)
{
    AUTO_BUF b = {0};

    (void)state;
    buf_int(&b, 0);
    buf_char(&b, ' ');
    buf_int(&b, INT64_MIN);
    buf_char(&b, ' ');
    buf_int(&b, INT64_MAX);
    buf_printf(&b, " %s-%03d%s", "x", 7, "");
    buf_printf(&b, "%s", "");
    assert_string_equal(buf_cstr(&b), "0 -9223372036854775808 9223372036854775807 x-007");
}

static void
test_format_longer_than_the_room(void **state)
{
    AUTO_BUF b = {0};

    (void)state;
    buf_lit(&b, "head ");
    buf_printf(&b, "%*s|", 3000, "x");
    assert_int_equal(b.len, 5 + 3001);
    assert_string_equal(b.p + 5 + 2999, "x|");
}

static void
test_bytes_may_hold_nul(void **state)
{
    AUTO_BUF b = {0};

    (void)state;
    buf_add(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.p, "a\0b", 4);
}

static void
test_json_strings(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"\"\\", "\"\\\"\\\\\""},
        {"/", "\"/\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\""},
        {"end\n", "\"end\\n\""},
        {NULL, "null"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF b = {0};

        buf_json(&b, cases[i].in);
        assert_string_equal(buf_cstr(&b), cases[i].out);
    }
}

static void
test_json_of_counted_bytes(void **state)
{
    AUTO_BUF b = {0};

    (void)state;
    buf_json_n(&b, "a\0bcd", 3);
    assert_string_equal(buf_cstr(&b), "\"a\\u0000b\"");
}

static void
test_prometheus_labels(void **state)
{
    AUTO_BUF b = {0};

    (void)state;
    buf_prom(&b, "a\"b\\c\nd\te");
    assert_string_equal(buf_cstr(&b), "a\\\"b\\\\c\\nd\te");
}

static void
test_base64_vectors(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } cases[] = {
        {"", 0, ""},
        {"f", 1, "Zg=="},
        {"fo", 2, "Zm8="},
        {"foo", 3, "Zm9v"},
        {"foob", 4, "Zm9vYg=="},
        {"fooba", 5, "Zm9vYmE="},
        {"foobar", 6, "Zm9vYmFy"},
        {"\xfb\xff\xbf", 3, "+/+/"},
        {"\0\0", 2, "AAA="},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF b = {0};

        buf_base64(&b, cases[i].in, cases[i].n);
        assert_string_equal(buf_cstr(&b), cases[i].out);
        assert_int_equal(b.len, strlen(cases[i].out));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(test_a_shrunk_buffer_keeps_its_text_and_grows_again),
        cmocka_unit_test(test_growth_keeps_the_text_and_its_end),
        cmocka_unit_test(test_reset_keeps_the_capacity),
        cmocka_unit_test(test_steal_leaves_an_empty_buffer),
        cmocka_unit_test(test_numbers_and_formats),
        cmocka_unit_test(test_format_longer_than_the_room),
        cmocka_unit_test(test_bytes_may_hold_nul),
        cmocka_unit_test(test_json_strings),
        cmocka_unit_test(test_json_of_counted_bytes),
        cmocka_unit_test(test_prometheus_labels),
        cmocka_unit_test(test_base64_vectors),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
