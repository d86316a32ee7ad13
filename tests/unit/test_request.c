/* Requests: percent decoding, and bodies by their content type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/request.h"
#include "shared/json.h"

#define JSON_TYPE "application/json"
#define FORM_TYPE "application/x-www-form-urlencoded"

static void
percent_escapes_decode(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool plus;
        const char *want; /* NULL: refused */
    } cases[] = {
        {"", false, ""},
        {"abc", false, "abc"},
        {"a%20b", false, "a b"},
        {"%41%4a%4A", false, "AJJ"},
        {"a+b", false, "a+b"},
        {"a+b", true, "a b"},
        {"%2B", true, "+"},
        {"%25zz", false, "%zz"},
        {"%c3%bc", false, "\xc3\xbc"},
        {"%2F", false, "/"},
        {"%", false, NULL},
        {"%4", false, NULL},
        {"a%", false, NULL},
        {"%g0", false, NULL},
        {"%0g", false, NULL},
        {"%00", false, NULL},
        {"%ff", false, NULL},
        {"%c3", false, NULL},
        {"%ed%a0%80", false, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        const char *got =
            request_decode(&arena, cases[i].text, strlen(cases[i].text), cases[i].plus);

        if (!got != !cases[i].want || (got && strcmp(got, cases[i].want) != 0))
            fail_msg("%s: %s", cases[i].text, got ? got : "refused");
        arena_fini(&arena);
    }
}

static const struct {
    const char *type, *encoding, *body;
    enum err_code code; /* ERR_NONE: parsed */
    const char *want;   /* document, or message */
} bodies[] = {
    {NULL, NULL, "", ERR_NONE, "{}"},
    {JSON_TYPE, NULL, "", ERR_NONE, "{}"},
    {JSON_TYPE, NULL, "{\"a\":1}", ERR_NONE, "{\"a\":1}"},
    {"Application/JSON; charset=UTF-8", NULL, "{\"a\":1}", ERR_NONE, "{\"a\":1}"},
    {"application/json ;charset=\"utf-8\"", NULL, "[1]", ERR_NONE, "[1]"},
    {JSON_TYPE, "identity", "{}", ERR_NONE, "{}"},
    {JSON_TYPE, NULL, "\xef\xbb\xbf{\"a\":1}", ERR_NONE, "{\"a\":1}"},
    {JSON_TYPE, NULL, "{\"a\":1,\"a\":2}", ERR_NONE, "{\"a\":2}"},
    {JSON_TYPE, NULL, "{\"a\":\"\xff\"}", ERR_NONE, "{\"a\":\"\xef\xbf\xbd\"}"},
    {JSON_TYPE, NULL, "{\"a\":\"\\ud800\"}", ERR_NONE, "{\"a\":\"\xef\xbf\xbd\"}"},
    {JSON_TYPE, NULL, "{\"a\":1e999}", ERR_NONE, "{\"a\":null}"},
    {JSON_TYPE, NULL, "{\"a\":12345678901234567890}", ERR_NONE, "{\"a\":12345678901234567000}"},
    {"text/plain", NULL, "{\"a\":1}", ERR_NONE, "{}"},
    {"application/vnd.api+json", NULL, "{\"a\":1}", ERR_NONE, "{}"},
    {"application/jsonx", NULL, "{\"a\":1}", ERR_NONE, "{}"},
    {FORM_TYPE, NULL, "a=1&b=x+y%21&a=2&c", ERR_NONE,
     "{\"a\":[\"1\",\"2\"],\"b\":\"x y!\",\"c\":\"\"}"},
    {FORM_TYPE, NULL, "&&=x&a=1", ERR_NONE, "{\"a\":\"1\"}"},
    {FORM_TYPE, NULL, "a=%zz", ERR_VALIDATION, "Failed to decode form body"},
    {JSON_TYPE, NULL, "1", ERR_VALIDATION, NULL},
    {JSON_TYPE, NULL, "null", ERR_VALIDATION, NULL},
    {JSON_TYPE, NULL, "\"x\"", ERR_VALIDATION, NULL},
    {JSON_TYPE, NULL, "{\"a\":}", ERR_VALIDATION, NULL},
    {JSON_TYPE, NULL, "{} x", ERR_VALIDATION, NULL},
    {JSON_TYPE "; charset=iso-8859-1", NULL, "{}", ERR_MEDIA_TYPE,
     "unsupported charset \"iso-8859-1\""},
    {JSON_TYPE, "gzip", "{}", ERR_MEDIA_TYPE, "unsupported content encoding \"gzip\""},
};

/* The body as one block of exactly its size, so that reading behind it shows. */
static bool
parse(const char *type, const char *encoding, const char *body, size_t n, struct request *rq,
      struct arena *arena, struct err *err)
{
    char *env[] = {
        (char[]){"REQUEST_METHOD=POST"}, type ? arena_printf(arena, "CONTENT_TYPE=%s", type) : NULL,
        encoding ? arena_printf(arena, "HTTP_CONTENT_ENCODING=%s", encoding) : NULL, NULL};
    char *copy = arena_strndup(arena, body, n);
    bool ok;

    request_init(rq, NULL, arena, env);
    rq->body = copy;
    rq->body_len = n;
    ok = request_parse_body(rq, err);
    rq->body = NULL;
    return ok;
}

static void
bodies_parse_by_their_type(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct arena arena = {0};
        struct request rq;
        struct err err = {0};
        struct buf text = {0};
        bool ok = parse(bodies[i].type, bodies[i].encoding, bodies[i].body, strlen(bodies[i].body),
                        &rq, &arena, &err);

        if (ok != (bodies[i].code == ERR_NONE) || (!ok && err.code != bodies[i].code))
            fail_msg("%s: %s", bodies[i].body, ok ? "parsed" : err.msg);
        if (ok)
            jv_write(&text, rq.document);
        if (bodies[i].want)
            assert_string_equal(ok ? buf_cstr(&text) : err.msg, bodies[i].want);
        buf_fini(&text);
        request_fini(&rq);
        arena_fini(&arena);
    }
}

static void
bodies_beyond_their_limits_are_refused(void **state UNUSED)
{
    struct arena arena = {0};
    struct request rq;
    struct err err;
    char *big = calloc(1, REQUEST_FORM_MAX + 1);

    memset(big, 'a', REQUEST_FORM_MAX + 1);
    assert_true(parse(FORM_TYPE, NULL, big, REQUEST_FORM_MAX, &rq, &arena, &err));
    request_fini(&rq);
    assert_false(parse(FORM_TYPE, NULL, big, REQUEST_FORM_MAX + 1, &rq, &arena, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    request_fini(&rq);

    request_init(&rq, NULL, &arena, (char *[]){NULL});
    rq.body_state = REQUEST_BODY_TOO_LARGE;
    assert_false(request_parse_body(&rq, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    rq.body_state = REQUEST_BODY_CUT;
    assert_false(request_parse_body(&rq, &err));
    assert_int_equal(err.code, ERR_VALIDATION);
    free(big);
    arena_fini(&arena);
}

static void
a_raw_nul_byte_is_no_json(void **state UNUSED)
{
    static const char body[] = "{\"a\":\"x\0y\"}";
    struct arena arena = {0};
    struct request rq;
    struct err err;

    assert_false(parse(JSON_TYPE, NULL, body, sizeof body - 1, &rq, &arena, &err));
    assert_int_equal(err.code, ERR_VALIDATION);
    request_fini(&rq);
    arena_fini(&arena);
}

/* Validation must be able to name the field. */
static void
an_escaped_nul_survives_parsing(void **state UNUSED)
{
    static const char body[] = "{\"a\":\"x\\u0000y\"}";
    struct arena arena = {0};
    struct request rq;
    struct err err;

    assert_true(parse(JSON_TYPE, NULL, body, sizeof body - 1, &rq, &arena, &err));
    assert_int_equal(json_string_length(json_object_get(rq.document, "a")), 3);
    request_fini(&rq);
    arena_fini(&arena);
}

static void
the_target_splits_at_its_first_question_mark(void **state UNUSED)
{
    char *env[] = {(char[]){"REQUEST_METHOD=GET"}, (char[]){"REQUEST_URI=/a/b?c=d?e"},
                   (char[]){"REMOTE_ADDR=192.0.2.1"}, NULL};
    struct arena arena = {0};
    struct request rq;

    request_init(&rq, NULL, &arena, env);
    assert_string_equal(rq.path, "/a/b");
    assert_string_equal(rq.query, "c=d?e");
    assert_string_equal(rq.address, "192.0.2.1");
    assert_int_equal(rq.method, HTTP_GET);
    assert_null(request_env(&rq, "REMOTE"));
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_escapes_decode),
        cmocka_unit_test(bodies_parse_by_their_type),
        cmocka_unit_test(bodies_beyond_their_limits_are_refused),
        cmocka_unit_test(a_raw_nul_byte_is_no_json),
        cmocka_unit_test(an_escaped_nul_survives_parsing),
        cmocka_unit_test(the_target_splits_at_its_first_question_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
