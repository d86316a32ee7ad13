/* What every answer has in common: headers, keys and their roles, rate limits, HEAD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define MODE    "macp.mode.decision.v1"
#define UNKNOWN "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11"
#define ORIGIN  "http://console.example:3000"

/* Each key has its own counters, so a test that counts uses one that no other test uses. */
#define READER   "key-of-somebody-who-reads"
#define OPERATOR "key-of-somebody-who-operates"
#define COUNTED  "key-of-somebody-who-counts"
#define LIMIT    20
#define TEXT(x)  #x
#define STR(x)   TEXT(x)

static const char *const fcgi_env[] = {
    "AUTH_API_KEYS=" WORLD_API_KEY ",reader:read:" READER ",operator:operate:" OPERATOR
    ",counted:read:" COUNTED,
    "THROTTLE_LIMIT=" STR(LIMIT),
    "TRUSTED_PROXIES=127.0.0.1/32",
    "CORS_ORIGIN=" ORIGIN,
    "DOCS_ENABLED=false",
    NULL,
};

static struct world world;
static struct posted run;

/* --- requests ----------------------------------------------------------------------------------
 */

static void
call(const char *method, const char *path, const char *header, bool without_key,
     struct http_reply *r)
{
    struct err err = {0};

    expect_ok(
        http_send(&world.http,
                  &(struct http_request){
                      .method = method, .path = path, .header = header, .without_key = without_key},
                  r, &err),
        &err, path);
}

/* With a key of its own instead of the world's. */
static int
status_as(const char *key, const char *method, const char *path, const char *body)
{
    AUTO_HTTP_REPLY r = {0};
    struct http http;
    struct err err = {0};

    http_init(&http, world.http.port, key, world.http.timeout_ms);
    expect_ok(http_send(&http,
                        &(struct http_request){.method = method,
                                               .path = path,
                                               .body = body,
                                               .body_len = body ? strlen(body) : 0},
                        &r, &err),
              &err, path);
    return r.status;
}

static void
expect_header(const struct http_reply *r, const char *name, const char *wanted)
{
    char value[512];

    if (strcmp(http_header(r, name, value, sizeof value), wanted) != 0)
        fail_msg("%s is \"%s\" and not \"%s\" in\n%s", name, value, wanted, buf_cstr(&r->headers));
}

/* --- headers -----------------------------------------------------------------------------------
 */

/* One target for each way an answer is made. */
static const struct {
    const char *method, *path;
    bool without_key;
    int status;
} answers[] = {
    {"GET", "/runs/{run}", false, 200},
    {"GET", "/runs/{run}", true, 401},
    {"GET", "/runs/nope", false, 400},
    {"GET", "/runs?limit=0", false, 400},
    {"GET", "/runs/" UNKNOWN "/export", false, 404},
    {"GET", "/nope", true, 404},
    {"PUT", "/runs", false, 404},
    {"POST", "/runs/{run}/context", false, 410},
    {"GET", "/healthz", true, 200},
    {"GET", "/metrics", true, 200},
    {"GET", "/runs/{run}/export/stream", false, 200},
    {"HEAD", "/runs/{run}", false, 200},
    {"DELETE", "/webhooks/" UNKNOWN, false, 204},
};

static const char *
path_of(const char *template, char *out, size_t size)
{
    const char *mark = strstr(template, "{run}");

    if (mark)
        snprintf(out, size, "%.*s%s%s", (int)(mark - template), template, run.run,
                 mark + strlen("{run}"));
    else
        snprintf(out, size, "%s", template);
    return out;
}

static void
every_answer_carries_the_common_headers_and_is_not_compressed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        AUTO_HTTP_REPLY r = {0};
        char path[256];

        call(answers[i].method, path_of(answers[i].path, path, sizeof path),
             "x-request-id: mine-1\r\nAccept-Encoding: gzip, deflate, br", answers[i].without_key,
             &r);
        if (r.status != answers[i].status)
            fail_msg("%s %s: %d %.300s", answers[i].method, path, r.status, buf_cstr(&r.body));
        expect_header(&r, "x-request-id", "mine-1");
        expect_header(&r, "Access-Control-Allow-Origin", ORIGIN);
        expect_header(&r, "Access-Control-Allow-Credentials", "true");
        expect_header(&r, "Vary", "Origin");
        expect_header(&r, "X-Content-Type-Options", "nosniff");
        expect_header(&r, "Content-Encoding", "");
        expect_header(&r, "X-Powered-By", "");
        expect_header(&r, "Server", "");
    }
}

static void
request_ids_that_are_no_header_value_are_replaced(void **state)
{
    static const char *const bad[] = {"x-request-id:", "x-request-id: a\tb", "x-request-id: \xff"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_HTTP_REPLY r = {0};
        char id[128];

        call("GET", "/healthz", bad[i], true, &r);
        if (!uuid_is_valid(http_header(&r, "x-request-id", id, sizeof id)))
            fail_msg("%s became %s", bad[i], id);
    }
}

static void
preflight_is_answered_on_every_path_without_key_or_request_id(void **state)
{
    static const char *const paths[] = {"/runs", "/nope", "/runs/x/y/z", "*"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO_HTTP_REPLY r = {0};

        call("OPTIONS", paths[i],
             "Origin: http://elsewhere.example\r\n"
             "Access-Control-Request-Headers: authorization,x-request-id",
             true, &r);
        if (strcmp(paths[i], "*") == 0)
            continue; /* about the web server itself: any answer will do */
        assert_int_equal(r.status, 204);
        assert_int_equal(r.body.len, 0);
        expect_header(&r, "Access-Control-Allow-Origin", ORIGIN);
        expect_header(&r, "Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE");
        expect_header(&r, "Access-Control-Allow-Headers", "authorization,x-request-id");
        expect_header(&r, "Vary", "Origin, Access-Control-Request-Headers");
        expect_header(&r, "x-request-id", "");
    }
}

static void
head_answers_like_get_without_a_body(void **state)
{
    static const char *const paths[] = {
        "/runs",         "/runs/{run}", "/runs/{run}/state", "/runs/" UNKNOWN "/metrics",
        "/runs?limit=x", "/healthz",    "/runtime/modes",    "/nope"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO_HTTP_REPLY get = {0};
        AUTO_HTTP_REPLY head = {0};
        AUTO_HTTP_REPLY again = {0};
        char path[256], type[128], length[32];

        path_of(paths[i], path, sizeof path);
        do { /* the run may begin in between */
            call("GET", path, NULL, false, &get);
            call("HEAD", path, NULL, false, &head);
            call("GET", path, NULL, false, &again);
        } while (get.body.len != again.body.len);
        if (head.status != get.status || head.body.len > 0)
            fail_msg("HEAD %s: %d with %zu bytes, GET: %d", path, head.status, head.body.len,
                     get.status);
        expect_header(&head, "Content-Type", http_header(&get, "Content-Type", type, sizeof type));
        /* The message of an unknown path names the method. */
        if (strcmp(path, "/nope") != 0)
            expect_header(&head, "Content-Length",
                          http_header(&get, "Content-Length", length, sizeof length));
    }
    assert_int_equal(status_as(WORLD_API_KEY, "HEAD", "/runs/compare/x", NULL), 404);
}

static void
description_is_not_there_when_it_is_switched_off(void **state)
{
    static const char *const paths[] = {"/docs", "/docs-json", "/docs-yaml"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO_HTTP_REPLY r = {0};
        char wanted[128];

        call("GET", paths[i], NULL, true, &r);
        assert_int_equal(r.status, 404);
        snprintf(wanted, sizeof wanted, "Cannot GET %s", paths[i]);
        assert_string_equal(json_string_value(json_object_get(r.json, "message")), wanted);
    }
}

/* --- traces ------------------------------------------------------------------------------------
 */

static void
trace_id_is_the_callers_or_a_random_one_never_zeros(void **state)
{
    static const struct {
        const char *header, *trace; /* NULL: another one */
    } cases[] = {
        {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "4bf92f3577b34da6a3ce929d0e0e4736"},
        {"traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01", NULL},
        {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-01", NULL},
        {"traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL},
        {NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *d = world_descriptor(MODE, NULL);
        char *body = json_dumps(d, JSON_COMPACT);
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};
        const char *trace;

        expect_ok(http_send(&world.http,
                            &(struct http_request){.path = "/runs",
                                                   .body = body,
                                                   .body_len = strlen(body),
                                                   .header = cases[i].header},
                            &r, &err),
                  &err, "POST /runs");
        assert_int_equal(r.status, 201);
        trace = json_string_value(json_object_get(r.json, "traceId"));
        assert_non_null(trace);
        assert_int_equal(strspn(trace, "0123456789abcdef"), 32);
        assert_int_not_equal(strspn(trace, "0"), 32);
        if (cases[i].trace)
            assert_string_equal(trace, cases[i].trace);
        else
            assert_string_not_equal(trace, cases[0].trace);
        free(body);
        json_decref(d);
    }
}

/* --- keys and roles ----------------------------------------------------------------------------
 */

static const struct {
    const char *method, *path, *body;
    int reader, writer, admin; /* status by role */
} roles[] = {
    {"GET", "/runs", NULL, 200, 200, 200},
    {"GET", "/audit", NULL, 200, 200, 200},
    {"GET", "/webhooks", NULL, 200, 200, 200},
    {"POST", "/runs/compare", "{}", 400, 400, 400},
    {"POST", "/runs/validate", "{}", 400, 400, 400},
    {"POST", "/runs/batch/export", "{\"runIds\":[]}", 201, 201, 201},
    {"POST", "/runs", "{}", 403, 400, 400},
    {"POST", "/runs/" UNKNOWN "/archive", NULL, 403, 404, 404},
    {"POST", "/runs/" UNKNOWN "/artifacts", "{}", 403, 400, 400},
    {"POST", "/runs/batch/archive", "{\"runIds\":[]}", 403, 201, 201},
    {"POST", "/runs/batch/delete", "{\"runIds\":[]}", 403, 403, 201},
    {"DELETE", "/runs/" UNKNOWN, NULL, 403, 403, 404},
    {"POST", "/webhooks", "{}", 403, 403, 400},
    {"PATCH", "/webhooks/" UNKNOWN, "{}", 403, 403, 404},
    {"DELETE", "/webhooks/" UNKNOWN, NULL, 403, 403, 204},
    {"GET", "/nope", NULL, 404, 404, 404},
};

static void
keys_may_do_what_their_role_lets_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        const char *method = roles[i].method, *path = roles[i].path, *body = roles[i].body;
        int reader = status_as(READER, method, path, body);
        int writer = status_as(OPERATOR, method, path, body);
        int admin = status_as(WORLD_API_KEY, method, path, body);

        if (reader != roles[i].reader || writer != roles[i].writer || admin != roles[i].admin)
            fail_msg("%s %s: %d %d %d, wanted %d %d %d", method, path, reader, writer, admin,
                     roles[i].reader, roles[i].writer, roles[i].admin);
    }
}

static void
refusal_of_a_role_is_403_and_names_what_is_needed(void **state)
{
    AUTO_HTTP_REPLY r = {0};

    (void)state;
    call("DELETE", "/runs/" UNKNOWN, "Authorization: Bearer " READER, true, &r);
    assert_int_equal(r.status, 403);
    assert_string_equal(buf_cstr(&r.body), "{\"statusCode\":403,\"errorCode\":\"FORBIDDEN\","
                                           "\"message\":\"this needs a key with the role admin\"}");
}

static void
audit_names_the_key_that_did_it(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "/runs/%s/archive", run.run);
    assert_int_equal(status_as(OPERATOR, "POST", path, NULL), 201);
    expect_sql(&world, "operator",
               "select actor from macp.audit_log where action = 'run.archived' and resource_id = "
               "'%s' order by audit_key desc limit 1",
               run.run);
}

/* A world of handlers and database only: nothing here needs more. */
static void
without_keys_nobody_needs_one_and_any_origin_gets_no_credentials(void **state)
{
    static const char *const open_env[] = {"AUTH_API_KEYS=", "CORS_ORIGIN=*", NULL};
    struct world bare;
    struct http http;
    struct err err = {0};
    AUTO_HTTP_REPLY r = {0};

    (void)state;
    expect_ok(world_start(&bare,
                          &(struct world_options){.cluster = world.postgres,
                                                  .fcgi_env = open_env,
                                                  .without_runtime = true,
                                                  .without_observerd = true},
                          &err),
              &err, "bare world");
    http_init(&http, bare.http.port, "", bare.http.timeout_ms);
    expect_ok(http_get(&http, &r, &err, "/runs"), &err, "GET /runs");
    world_stop(&bare);
    assert_int_equal(r.status, 200);
    expect_header(&r, "Access-Control-Allow-Origin", "*");
    expect_header(&r, "Access-Control-Allow-Credentials", "");
    expect_header(&r, "Vary", "");
    assert_non_null(strstr(buf_cstr(&r.headers), "X-RateLimit-Limit: "));
}

/* --- rate limits -------------------------------------------------------------------------------
 */

static void
limit_is_per_key_and_route_and_says_when_to_come_back(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    char value[64];

    (void)state;
    for (int i = 1; i <= LIMIT; i++) {
        /* Different ids of one route share its counter; refused requests count too. */
        call("GET", i % 2 ? "/runs/" UNKNOWN "/metrics" : "/runs/nope/metrics",
             "Authorization: Bearer " COUNTED, true, &r);
        assert_int_equal(r.status, i % 2 ? 404 : 400);
        expect_header(&r, "X-RateLimit-Limit", STR(LIMIT));
        assert_int_equal(
            strtol(http_header(&r, "X-RateLimit-Remaining", value, sizeof value), NULL, 10),
            LIMIT - i);
        assert_true(strtol(http_header(&r, "X-RateLimit-Reset", value, sizeof value), NULL, 10) >
                    0);
    }
    call("GET", "/runs/" UNKNOWN "/metrics", "Authorization: Bearer " COUNTED, true, &r);
    assert_int_equal(r.status, 429);
    assert_string_equal(buf_cstr(&r.body),
                        "{\"statusCode\":429,\"errorCode\":\"INTERNAL_ERROR\",\"message\":"
                        "\"ThrottlerException: Too Many Requests\"}");
    assert_true(strtol(http_header(&r, "Retry-After", value, sizeof value), NULL, 10) > 0);
    expect_header(&r, "X-RateLimit-Limit", "");
    assert_int_equal(status_as(COUNTED, "GET", "/runs/" UNKNOWN "/traces", NULL), 404);
    assert_int_equal(status_as(WORLD_API_KEY, "GET", "/runs/" UNKNOWN "/metrics", NULL), 404);
}

static void
probes_and_unknown_paths_are_never_limited(void **state)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics", "/nope"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        for (int n = 0; n < LIMIT + 5; n++) {
            AUTO_HTTP_REPLY r = {0};

            call("GET", paths[i], NULL, true, &r);
            assert_int_equal(r.status, strcmp(paths[i], "/nope") == 0 ? 404 : 200);
            expect_header(&r, "X-RateLimit-Limit", "");
        }
}

static void
wrong_keys_are_limited_by_the_address_behind_the_trusted_proxy(void **state)
{
    AUTO_HTTP_REPLY r = {0};

    (void)state;
    for (int i = 0; i <= LIMIT; i++) {
        call("GET", i % 2 ? "/runs" : "/audit",
             "Authorization: Bearer guess\r\nX-Forwarded-For: 10.9.8.7", true, &r);
        assert_int_equal(r.status, i < LIMIT ? 401 : 429);
    }
    call("GET", "/runs", "Authorization: Bearer guess\r\nX-Forwarded-For: 10.9.8.6", true, &r);
    assert_int_equal(r.status, 401);
    /* A right key is not locked out by others at its address. */
    call("GET", "/audit", "Authorization: Bearer " READER "\r\nX-Forwarded-For: 10.9.8.7", true,
         &r);
    assert_int_equal(r.status, 200);
}

/* --- set-up ------------------------------------------------------------------------------------
 */

static void
run_to_ask_about_is_there(void **state)
{
    (void)state;
    expect_posted(&world, MODE, NULL, &run);
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.fcgi_env = fcgi_env}, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_to_ask_about_is_there),
        cmocka_unit_test(every_answer_carries_the_common_headers_and_is_not_compressed),
        cmocka_unit_test(request_ids_that_are_no_header_value_are_replaced),
        cmocka_unit_test(preflight_is_answered_on_every_path_without_key_or_request_id),
        cmocka_unit_test(head_answers_like_get_without_a_body),
        cmocka_unit_test(description_is_not_there_when_it_is_switched_off),
        cmocka_unit_test(trace_id_is_the_callers_or_a_random_one_never_zeros),
        cmocka_unit_test(keys_may_do_what_their_role_lets_them),
        cmocka_unit_test(refusal_of_a_role_is_403_and_names_what_is_needed),
        cmocka_unit_test(audit_names_the_key_that_did_it),
        cmocka_unit_test(without_keys_nobody_needs_one_and_any_origin_gets_no_credentials),
        cmocka_unit_test(limit_is_per_key_and_route_and_says_when_to_come_back),
        cmocka_unit_test(probes_and_unknown_paths_are_never_limited),
        cmocka_unit_test(wrong_keys_are_limited_by_the_address_behind_the_trusted_proxy),
    };

    return cmocka_run_group_tests_name("http", tests, set_up, scene_close);
}
