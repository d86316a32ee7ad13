/* Replies: error bodies of every shape, headers, CORS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/app.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"

static const struct {
    enum err_code code;
    const char *message, *body;
} errors[] = {
    {ERR_VALIDATION, "Validation failed (uuid is expected)",
     "{\"message\":\"Validation failed (uuid is expected)\",\"error\":\"Bad Request\","
     "\"statusCode\":400}"},
    {ERR_UNAUTHORIZED, "Missing Authorization header",
     "{\"message\":\"Missing Authorization header\",\"error\":\"Unauthorized\","
     "\"statusCode\":401}"},
    {ERR_NOT_FOUND, "run x not found",
     "{\"message\":\"run x not found\",\"error\":\"Not Found\",\"statusCode\":404}"},
    {ERR_CONFLICT, "m", "{\"message\":\"m\",\"error\":\"Conflict\",\"statusCode\":409}"},
    {ERR_TOO_LARGE, "request entity too large",
     "{\"message\":\"request entity too large\",\"error\":\"Payload Too Large\","
     "\"statusCode\":413}"},
    {ERR_MEDIA_TYPE, "m",
     "{\"message\":\"m\",\"error\":\"Unsupported Media Type\",\"statusCode\":415}"},
    {ERR_SESSION_EXISTS, "session s already belongs to run r",
     "{\"statusCode\":409,\"errorCode\":\"SESSION_ALREADY_EXISTS\","
     "\"message\":\"session s already belongs to run r\"}"},
    {ERR_ENDPOINT_REMOVED, "m",
     "{\"statusCode\":410,\"errorCode\":\"ENDPOINT_REMOVED\",\"message\":\"m\"}"},
    {ERR_RATE_LIMITED, "ThrottlerException: Too Many Requests",
     "{\"statusCode\":429,\"errorCode\":\"INTERNAL_ERROR\","
     "\"message\":\"ThrottlerException: Too Many Requests\"}"},
    /* causes inside the server stay inside */
    {ERR_INTERNAL, "secret",
     "{\"statusCode\":500,\"errorCode\":\"INTERNAL_ERROR\",\"message\":\"Internal server error\"}"},
    {ERR_SQL, "column \"x\" does not exist",
     "{\"statusCode\":500,\"errorCode\":\"INTERNAL_ERROR\",\"message\":\"Internal server error\"}"},
    {ERR_DB, "connection to 10.1.2.3 refused",
     "{\"statusCode\":503,\"errorCode\":\"DATABASE_UNAVAILABLE\","
     "\"message\":\"database unavailable\"}"},
    {ERR_RUNTIME, "breaker is open",
     "{\"statusCode\":503,\"errorCode\":\"RUNTIME_UNAVAILABLE\",\"message\":\"breaker is open\"}"},
    /* whatever a client sent comes back as valid JSON */
    {ERR_VALIDATION, "a\"\\\n\xff",
     "{\"message\":\"a\\\"\\\\\\n\xef\xbf\xbd\",\"error\":\"Bad Request\",\"statusCode\":400}"},
};

static void
errors_have_their_bodies(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct buf b = {0};
        struct err err;

        err_set(&err, errors[i].code, "%s", errors[i].message);
        reply_error_body(&b, &err);
        assert_string_equal(buf_cstr(&b), errors[i].body);
        buf_fini(&b);
    }
}

/* --- one request with its reply ------------------------------------------------------------- */

struct fixture {
    struct config config;
    struct app app;
    struct arena arena;
    struct reply reply;
    struct request rq;
    struct buf head;
};

static void
fixture_init(struct fixture *f, const char **origins, size_t n, char *const *env)
{
    memset(f, 0, sizeof *f);
    f->config.cors_origin = (struct config_list){n, origins};
    f->app.config = &f->config;
    request_init(&f->rq, &f->app, &f->arena, env);
    f->rq.reply = &f->reply;
}

static void
fixture_fini(struct fixture *f)
{
    reply_fini(&f->reply);
    buf_fini(&f->head);
    arena_fini(&f->arena);
}

static void
cors_echoes_the_matching_origin(void **state UNUSED)
{
    static const char *one[] = {"http://a"}, *two[] = {"http://a", "http://b"}, *any[] = {"*"};
    static const struct {
        const char **origins;
        size_t n;
        const char *origin, *want;
    } cases[] = {
        {one, 1, NULL,
         "Access-Control-Allow-Origin: http://a\r\n"
         "Access-Control-Allow-Credentials: true\r\n"},
        {one, 1, "http://evil",
         "Access-Control-Allow-Origin: http://a\r\n"
         "Access-Control-Allow-Credentials: true\r\n"},
        {two, 2, "http://b",
         "Access-Control-Allow-Origin: http://b\r\n"
         "Access-Control-Allow-Credentials: true\r\n"},
        {two, 2, "http://evil",
         "Access-Control-Allow-Origin: http://a\r\n"
         "Access-Control-Allow-Credentials: true\r\n"},
        {any, 1, "http://evil", "Access-Control-Allow-Origin: *\r\n"},
        {NULL, 0, "http://a", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};

        reply_write_cors(&b, &(struct config_list){cases[i].n, cases[i].origins}, cases[i].origin);
        assert_string_equal(buf_cstr(&b), cases[i].want);
        buf_fini(&b);
    }
}

static void
json_replies_carry_the_common_headers(void **state UNUSED)
{
    static const char *origins[] = {"http://a"};
    char *const env[] = {(char[]){"REQUEST_METHOD=GET"}, (char[]){"REQUEST_URI=/nope?x=1"}, NULL};
    struct fixture f;

    fixture_init(&f, origins, 1, env);
    f.rq.request_id = "r-1";
    reply_header(&f.rq, "Location", "/x");
    reply_no_route(&f.rq);
    reply_write_head(&f.rq, &f.head);
    assert_string_equal(buf_cstr(&f.reply.body), "{\"message\":\"Cannot GET /nope?x=1\","
                                                 "\"error\":\"Not Found\",\"statusCode\":404}");
    assert_string_equal(buf_cstr(&f.head), "Status: 404\r\n"
                                           "Content-Type: application/json; charset=utf-8\r\n"
                                           "Content-Length: 71\r\n"
                                           "Access-Control-Allow-Origin: http://a\r\n"
                                           "Access-Control-Allow-Credentials: true\r\n"
                                           "Vary: Origin\r\n"
                                           "x-request-id: r-1\r\n"
                                           "X-Content-Type-Options: nosniff\r\n"
                                           "Location: /x\r\n\r\n");
    fixture_fini(&f);
}

static void
preflight_has_no_body_and_no_request_id(void **state UNUSED)
{
    static const char *origins[] = {"http://a"};
    char *const env[] = {(char[]){"REQUEST_METHOD=OPTIONS"}, (char[]){"REQUEST_URI=/any"},
                         (char[]){"HTTP_ACCESS_CONTROL_REQUEST_HEADERS=x-a, x-b"}, NULL};
    struct fixture f;

    fixture_init(&f, origins, 1, env);
    reply_preflight(&f.rq);
    reply_write_head(&f.rq, &f.head);
    assert_string_equal(buf_cstr(&f.head),
                        "Status: 204\r\nContent-Length: 0\r\n"
                        "Access-Control-Allow-Origin: http://a\r\n"
                        "Access-Control-Allow-Credentials: true\r\n"
                        "X-Content-Type-Options: nosniff\r\n"
                        "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"
                        "Access-Control-Allow-Headers: x-a, x-b\r\n"
                        "Vary: Origin, Access-Control-Request-Headers\r\n\r\n");
    fixture_fini(&f);
}

static void
a_header_cannot_be_smuggled_through_the_preflight(void **state UNUSED)
{
    char *const env[] = {(char[]){"REQUEST_METHOD=OPTIONS"},
                         (char[]){"HTTP_ACCESS_CONTROL_REQUEST_HEADERS=a\r\nSet-Cookie: x"}, NULL};
    struct fixture f;

    fixture_init(&f, NULL, 0, env);
    reply_preflight(&f.rq);
    reply_write_head(&f.rq, &f.head);
    assert_null(strstr(buf_cstr(&f.head), "Set-Cookie"));
    fixture_fini(&f);
}

static void
validation_lists_all_texts(void **state UNUSED)
{
    char *const env[] = {(char[]){"REQUEST_METHOD=GET"}, NULL};
    struct fixture f;

    fixture_init(&f, NULL, 0, env);
    reply_validation(&f.rq, "\"a\",\"b\"");
    assert_string_equal(buf_cstr(&f.reply.body), "{\"message\":[\"a\",\"b\"],"
                                                 "\"error\":\"Bad Request\",\"statusCode\":400}");
    fixture_fini(&f);
}

/* --- replies in parts ------------------------------------------------------------------------- */

struct sent {
    size_t bytes;
    int parts;
    bool fails;
};

static bool
take_part(void *ctx, const struct request *rq)
{
    struct sent *sent = ctx;

    sent->bytes += rq->reply->body.len;
    sent->parts++;
    return !sent->fails;
}

static void
long_bodies_leave_in_parts(void **state UNUSED)
{
    enum { PIECES = 1000, PIECE = 1000 };
    static char *env[] = {NULL};
    struct sent sent = {0};
    struct fixture f;
    struct err err;
    struct buf *b;

    fixture_init(&f, NULL, 0, env);
    f.reply.part = take_part;
    f.reply.part_ctx = &sent;
    b = reply_typed(&f.rq, 200, REPLY_LINES);
    for (int i = 0; i < PIECES; i++) {
        char piece[PIECE];

        memset(piece, 'x', sizeof piece);
        piece[PIECE - 1] = '\n';
        buf_add(b, piece, sizeof piece);
        assert_true(reply_flush(&f.rq, &err));
        assert_true(b->len < 100000);
    }
    assert_true(f.reply.started && sent.parts > 5);
    assert_int_equal(sent.bytes + b->len, PIECES * PIECE);
    reply_write_head(&f.rq, &f.head);
    assert_non_null(strstr(buf_cstr(&f.head), "Content-Type: application/x-ndjson\r\n"));
    assert_null(strstr(buf_cstr(&f.head), "Content-Length"));
    sent.fails = true;
    for (int i = 0; i < PIECES; i++)
        buf_add(b, "0123456789012345678901234567890123456789012345678901234567890123456789", 70);
    assert_false(reply_flush(&f.rq, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_true(f.reply.broken);
    fixture_fini(&f);
}

static void
late_error_is_a_last_line_or_cuts_the_reply(void **state UNUSED)
{
    static char *env[] = {NULL};
    struct fixture f;
    struct err err;

    err_set(&err, ERR_DB, "10.0.0.1 refused");
    fixture_init(&f, NULL, 0, env);
    buf_str(reply_typed(&f.rq, 200, REPLY_LINES), "{\"a\":1}\n{\"half\":");
    reply_late_error(&f.rq, &err);
    assert_string_equal(buf_cstr(&f.reply.body),
                        "{\"a\":1}\n{\"type\":\"error\",\"message\":\"database unavailable\"}\n");
    assert_false(f.reply.broken);
    reply_json(&f.rq, 200);
    reply_late_error(&f.rq, &err);
    assert_true(f.reply.broken);
    fixture_fini(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_their_bodies),
        cmocka_unit_test(cors_echoes_the_matching_origin),
        cmocka_unit_test(json_replies_carry_the_common_headers),
        cmocka_unit_test(preflight_has_no_body_and_no_request_id),
        cmocka_unit_test(a_header_cannot_be_smuggled_through_the_preflight),
        cmocka_unit_test(validation_lists_all_texts),
        cmocka_unit_test(long_bodies_leave_in_parts),
        cmocka_unit_test(late_error_is_a_last_line_or_cuts_the_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
