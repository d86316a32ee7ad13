/* Value rules of event data: texts, parsing, numbers, conversions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/json.h"

#define FFFD "\xEF\xBF\xBD"

static void
test_invalid_utf8_is_replaced_by_maximal_subparts(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"a\xC3\xA9\xF0\x9F\x98\x80", "a\xC3\xA9\xF0\x9F\x98\x80"},
        {"\x80", FFFD},
        {"\xC0\xAF", FFFD FFFD},                   /* overlong */
        {"\xE2\x82", FFFD},                        /* cut at the end: one subpart */
        {"\xE2\x82x", FFFD "x"},                   /* cut by another character */
        {"\xF0\x9F\x98", FFFD},                    /* three of four bytes */
        {"\xED\xA0\x80", FFFD FFFD FFFD},          /* an encoded surrogate */
        {"\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD}, /* above the last code point */
        {"\xFF\xFE", FFFD FFFD},
        {"\xEF\xBB\xBFx", "\xEF\xBB\xBFx"}, /* a byte order mark stays */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF out = {0};
        bool clean = strcmp(cases[i].in, cases[i].out) == 0;

        jv_clean(&out, cases[i].in, strlen(cases[i].in));
        assert_string_equal(buf_cstr(&out), cases[i].out);
        assert_int_equal(jv_is_clean(cases[i].in, strlen(cases[i].in)), clean);
        assert_int_equal(jv_is_utf8(cases[i].in, strlen(cases[i].in)), clean);
    }
}

static void
test_nul_is_replaced_but_valid_utf8(void **state)
{
    AUTO_BUF out = {0}, quoted = {0};
    AUTO_JSON *v = jv_string("a\0b", 3);

    (void)state;
    jv_clean(&out, "a\0b", 3);
    jv_write_text(&quoted, "a\0\"", 3);
    assert_string_equal(buf_cstr(&out), "a" FFFD "b");
    assert_string_equal(buf_cstr(&quoted), "\"a" FFFD "\\\"\"");
    assert_string_equal(json_string_value(v), "a" FFFD "b");
    assert_true(jv_is_utf8("a\0b", 3));
    assert_false(jv_is_clean("a\0b", 3));
    assert_int_equal(jv_text_chars("a\xC3\xA9\xF0\x9F\x98\x80"), 3);
}

/* What a text parses to, written again; NULL: it is no JSON. */
static const struct {
    const char *in, *out;
} parse_cases[] = {
    {"null", "null"},
    {" \t\r\n[ 1 , 2.50 ] ", "[1,2.5]"},
    {"{\"b\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":2}"},
    {"\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""},
    {"\"\\ud83d\"", "\"" FFFD "\""},
    {"\"\\ud83d\\u0041\"", "\"" FFFD "A\""},
    {"\"\\ud83d\\ud83d\\ude00\"", "\"" FFFD "\xF0\x9F\x98\x80\""},
    {"\"\\ude00x\"", "\"" FFFD "x\""},
    {"\"\\u0000\"", "\"" FFFD "\""},
    {"{\"\\u0000\":1}", "{\"" FFFD "\":1}"},
    {"\"\\\\ud83d\"", "\"\\\\ud83d\""}, /* a backslash, then letters */
    {"\"\xFF\"", "\"" FFFD "\""},
    {"\"\xED\xA0\x80\"", "\"" FFFD FFFD FFFD "\""},
    {"[1e999,-1e999,1]", "[null,null,1]"},
    {"[1e999,\"1e999\"]", "[null,\"1e999\"]"},
    {"1e-999", "0"},
    {"-0", "0"},
    {"12345678901234567890", "12345678901234567000"},
    {"1E5", "100000"},
    {"\"\\u2028\\/\\b\\f\\n\\r\\t\\\"\\\\\\u0007\"",
     "\"\xE2\x80\xA8/\\b\\f\\n\\r\\t\\\"\\\\\\u0007\""},
    {"", NULL},
    {" ", NULL},
    {"nul", NULL},
    {"NaN", NULL},
    {"Infinity", NULL},
    {"-", NULL},
    {"+1", NULL},
    {"01", NULL},
    {".5", NULL},
    {"1.", NULL},
    {"01e999", NULL},
    {"1e999-3", NULL},
    {"-1e999x", NULL},
    {"0x1p99999", NULL},
    {"[1,]", NULL},
    {"[1", NULL},
    {"{\"a\"}", NULL},
    {"1 2", NULL},
    {"\"a\nb\"", NULL},
    {"\"\\x41\"", NULL},
    {"\"\\u12\"", NULL},
    {"\"\\u", NULL},
    {"\"\\", NULL},
    {"\"\\ud83d\\u", NULL},
    {"\xEF\xBB\xBF{}", NULL},
    {"'a'", NULL},
    {" \t\r\n[-0, 12, -9007199254740991, 1e14, 123456789012345] ",
     "[0,12,-9007199254740991,100000000000000,123456789012345]"},
    {"\v1", NULL},
    {" \n", NULL},
};

static void
test_texts_parse_as_clients_parse_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
        size_t n = strlen(parse_cases[i].in);
        char *exact = malloc(n + !n); /* no NUL behind it: reading on is found by the sanitizer */
        AUTO_JSON *v = NULL;
        AUTO_BUF out = {0};

        memcpy(exact, parse_cases[i].in, n);
        v = jv_parse(exact, n);
        free(exact);
        if (v)
            jv_write(&out, v);
        if (!parse_cases[i].out && v)
            fail_msg("%s parsed as %s", parse_cases[i].in, buf_cstr(&out));
        if (parse_cases[i].out && !v)
            fail_msg("%s did not parse", parse_cases[i].in);
        if (v)
            assert_string_equal(buf_cstr(&out), parse_cases[i].out);
    }
}

static void
test_known_text_stands_wherever_its_value_does(void **state)
{
    AUTO_JSON *v = json_pack("{s:[i], s:i}", "a", 1, "b", 2);
    AUTO_JSON *around = json_pack("{s:O, s:[O, i]}", "x", v, "y", v, 3);
    AUTO_BUF known = {0}, out = {0};

    (void)state;
    buf_lit(&known, "KNOWN");
    jv_write_around(&out, around, v, &known);
    assert_string_equal(buf_cstr(&out), "{\"x\":KNOWN,\"y\":[KNOWN,3]}");
    buf_reset(&out);
    jv_write_around(&out, around, NULL, NULL);
    assert_string_equal(buf_cstr(&out),
                        "{\"x\":{\"a\":[1],\"b\":2},\"y\":[{\"a\":[1],\"b\":2},3]}");
}

static void
test_nul_bytes_are_never_json(void **state)
{
    (void)state;
    assert_null(jv_parse("3\0", 2));
    assert_null(jv_parse("\0003", 2));
    assert_null(jv_parse("\"\0\"", 3));
    assert_null(jv_parse("[]\0", 3));
}

static void
test_depth_is_bounded(void **state)
{
    AUTO_BUF deep = {0}, bomb = {0}, quoted = {0};
    AUTO_JSON *v = NULL, *text = NULL;

    (void)state;
    for (int i = 0; i < JV_MAX_DEPTH; i++)
        buf_char(&deep, '[');
    for (int i = 0; i < JV_MAX_DEPTH; i++)
        buf_char(&deep, ']');
    v = jv_parse(buf_cstr(&deep), deep.len);
    assert_non_null(v);
    buf_char(&bomb, '[');
    buf_add(&bomb, deep.p, deep.len);
    buf_char(&bomb, ']');
    assert_null(jv_parse(buf_cstr(&bomb), bomb.len));
    buf_char(&quoted, '"');
    buf_add(&quoted, bomb.p, bomb.len);
    buf_char(&quoted, '"');
    text = jv_parse(buf_cstr(&quoted), quoted.len); /* brackets in strings do not nest */
    assert_non_null(text);
}

static const struct {
    double v;
    const char *text;
} number_cases[] = {
    {0, "0"},
    {-0.0, "0"},
    {1, "1"},
    {-42, "-42"},
    {0.1, "0.1"},
    {-0.25, "-0.25"},
    {0.1 + 0.2, "0.30000000000000004"},
    {7.000000000000001, "7.000000000000001"},
    {1.0 / 3, "0.3333333333333333"},
    {100.5, "100.5"},
    {123456.789, "123456.789"},
    {1e-6, "0.000001"},
    {1.5e-6, "0.0000015"},
    {1e-7, "1e-7"},
    {1.25e-7, "1.25e-7"},
    {999999999999999, "999999999999999"},
    {1e15, "1000000000000000"},
    {9007199254740993.0, "9007199254740992"},
    {9223372036854775807.0, "9223372036854776000"},
    {12345678901234567890.0, "12345678901234567000"},
    {1e20, "100000000000000000000"},
    {1e21, "1e+21"},
    {1.5e300, "1.5e+300"},
    {5e-324, "5e-324"},
    {2.2250738585072014e-308, "2.2250738585072014e-308"},
    {2.225073858507201e-308, "2.225073858507201e-308"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {0x1p-44, "5.684341886080802e-14"}, /* a power of two: nearest 16 digits are not it */
    {0x1p-24, "5.960464477539063e-8"},
    {NAN, "NaN"},
    {INFINITY, "Infinity"},
    {-INFINITY, "-Infinity"},
};

static void
test_numbers_print_in_the_shortest_form_that_reads_back(void **state)
{
    char text[JV_NUMBER_LEN];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(number_cases); i++)
        assert_string_equal(jv_number_text(number_cases[i].v, text), number_cases[i].text);
}

static void
test_every_power_of_two_reads_back(void **state)
{
    char text[JV_NUMBER_LEN];

    (void)state;
    for (int e = -1074; e <= 1023; e++) {
        double v = ldexp(1, e);

        assert_true(strtod(jv_number_text(v, text), NULL) == v);
        assert_true(strlen(text) < JV_NUMBER_LEN - 1);
    }
}

static void
test_what_is_not_finite_is_null_in_json(void **state)
{
    AUTO_JSON *null = jv_real(NAN), *number = jv_real(0.5);
    AUTO_BUF out = {0};

    (void)state;
    jv_write_number(&out, INFINITY);
    assert_string_equal(buf_cstr(&out), "null");
    assert_true(json_is_null(null));
    assert_true(json_real_value(number) == 0.5);
}

/* A JSON text and what it is as text and as number. */
static const struct {
    const char *json, *text;
    double number;
} convert_cases[] = {
    {"\"x\"", "x", NAN},
    {"\"\"", "", 0},
    {"\" \\t\\n\"", " \t\n", 0},
    {"\" 12 \"", " 12 ", 12},
    {"\"1e3\"", "1e3", 1000},
    {"\"-.5\"", "-.5", -0.5},
    {"\"5.\"", "5.", 5},
    {"\".\"", ".", NAN},
    {"\"1e\"", "1e", NAN},
    {"\"1_0\"", "1_0", NAN},
    {"\"++1\"", "++1", NAN},
    {"\"0x1F\"", "0x1F", 31},
    {"\"0o17\"", "0o17", 15},
    {"\"0B11\"", "0B11", 3},
    {"\"0x\"", "0x", NAN},
    {"\"0b2\"", "0b2", NAN},
    {"\"-0x1\"", "-0x1", NAN},
    {"\"0x20000000000001\"", "0x20000000000001", 9007199254740992}, /* a tie goes to even */
    {"\"0x200000000000010000001\"", "0x200000000000010000001", 0x20000000000002p28}, /* above */
    {"\"inf\"", "inf", NAN},
    {"\"nan\"", "nan", NAN},
    {"\"Infinity\"", "Infinity", INFINITY},
    {"\"-Infinity\"", "-Infinity", -INFINITY},
    {"\"1e999\"", "1e999", INFINITY},
    {"1.50", "1.5", 1.5},
    {"1e21", "1e+21", 1e21},
    {"true", "true", 1},
    {"false", "false", 0},
    {"null", "null", 0},
    {"{\"a\":1}", "[object Object]", NAN},
    {"[]", "", 0},
    {"[7]", "7", 7},
    {"[[\" 7 \"]]", " 7 ", 7},
    {"[1,null,[2,\"a\"],{}]", "1,,2,a,[object Object]", NAN},
};

static void
test_values_turn_into_texts_and_numbers_as_in_javascript(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(convert_cases); i++) {
        AUTO_JSON *v = jv_parse(convert_cases[i].json, strlen(convert_cases[i].json));
        AUTO_BUF text = {0};
        double want = convert_cases[i].number, got = jv_num(v), finite = -1;

        assert_non_null(v);
        jv_str(&text, v);
        assert_string_equal(buf_cstr(&text), convert_cases[i].text);
        if (!(isnan(want) ? isnan(got) : got == want))
            fail_msg("%s is %g, not %g", convert_cases[i].json, got, want);
        assert_int_equal(jv_opt_num(v, &finite), isfinite(want) && !json_is_null(v));
    }
}

static void
test_absent_values_have_their_own_rules(void **state)
{
    AUTO_JSON *v = jv_parse("{\"n\":null,\"z\":0,\"e\":\"\",\"a\":[]}", 30);
    AUTO_BUF text = {0};

    (void)state;
    assert_true(isnan(jv_num(NULL)));
    jv_str(&text, NULL);
    assert_string_equal(buf_cstr(&text), "undefined");
    assert_true(jv_nullish(jv_get(v, "missing")));
    assert_true(jv_nullish(jv_get(v, "n")));
    assert_false(jv_nullish(jv_get(v, "z")));
    assert_false(jv_truthy(jv_get(v, "z")));
    assert_false(jv_truthy(jv_get(v, "e")));
    assert_true(jv_truthy(jv_get(v, "a")));
    assert_ptr_equal(jv_first_of(v, "missing", "n", "e", "z"), jv_get(v, "e"));
    assert_null(jv_first_of(v, "missing", "n"));
    assert_null(jv_get(jv_get(v, "a"), "length"));
    jv_put(v, "z", NULL); /* sets nothing */
    assert_non_null(jv_get(v, "z"));
}

static void
test_base64_padding_is_optional_and_the_alphabet_strict(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"YQ==", "a"},
        {"YQ", "a"},
        {"YWI=", "ab"},
        {"YWI", "ab"},
        {"YWJj", "abc"},
        {"+/+/", "\xFB\xFF\xBF"},
        {"A", NULL},
        {"YQ=", "a"},
        {"YQ===", NULL},
        {"Y=Q=", NULL},
        {"YQ\n", NULL},
        {"-_-_", NULL},
        {" YQ==", NULL},
        {"=", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF out = {0};
        bool ok = jv_base64_decode(cases[i].in, strlen(cases[i].in), &out);

        if (ok != (cases[i].out != NULL))
            fail_msg("%s: %s", cases[i].in, ok ? "decoded" : "refused");
        if (ok)
            assert_string_equal(buf_cstr(&out), cases[i].out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invalid_utf8_is_replaced_by_maximal_subparts),
        cmocka_unit_test(test_nul_is_replaced_but_valid_utf8),
        cmocka_unit_test(test_texts_parse_as_clients_parse_them),
        cmocka_unit_test(test_known_text_stands_wherever_its_value_does),
        cmocka_unit_test(test_nul_bytes_are_never_json),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_numbers_print_in_the_shortest_form_that_reads_back),
        cmocka_unit_test(test_every_power_of_two_reads_back),
        cmocka_unit_test(test_what_is_not_finite_is_null_in_json),
        cmocka_unit_test(test_values_turn_into_texts_and_numbers_as_in_javascript),
        cmocka_unit_test(test_absent_values_have_their_own_rules),
        cmocka_unit_test(test_base64_padding_is_optional_and_the_alphabet_strict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
