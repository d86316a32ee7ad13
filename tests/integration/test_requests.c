/* What the API refuses, how it says so, and that a refused request leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define MODE    "macp.mode.decision.v1"
#define UNKNOWN "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11"

static struct world world;
static enum web_kind web;

/* --- POST /runs: one member at a time ------------------------------------------------------- */

struct bad_member {
    const char *path;  /* of the member in a good descriptor; the last step may be new */
    const char *value; /* JSON; NULL removes the member */
    size_t repeat;     /* the value is a string of that many letters instead */
    int status;
    const char *says; /* part of the message */
};

#define ONE_OF "must be one of the following values: "

// clang-format off
static const struct bad_member bad_members[] = {
    {"mode",                       NULL,          0, 400, "mode " ONE_OF "live, sandbox"},
    {"mode",                       "\"test\"",    0, 400, "mode " ONE_OF "live, sandbox"},
    {"mode",                       "1",           0, 400, "mode " ONE_OF "live, sandbox"},
    {"kickoff",                    "[]",          0, 400, "property kickoff should not exist"},
    {"runtime",                    NULL,          0, 400, "runtime should not be null or undefined"},
    {"runtime",                    "\"rust\"",    0, 400, "runtime must be either object or array"},
    {"runtime",                    "[]",          0, 400, "must be an object"},
    {"runtime.kind",               "7",           0, 400, "runtime.kind must be a string"},
    {"runtime.kind",               "\"other\"",   0, 400, "runtime provider 'other' is not registered"},
    {"runtime.kind",               NULL,         65, 400, "must be shorter than or equal to 64 characters"},
    {"runtime.host",               "\"x\"",       0, 400, "runtime.property host should not exist"},
    {"session",                    NULL,          0, 400, "session should not be null or undefined"},
    {"session",                    "true",        0, 400, "session must be either object or array"},
    {"session.modeName",           NULL,          0, 400, "session.modeName should not be empty"},
    {"session.modeName",           "\"\"",        0, 400, "session.modeName should not be empty"},
    {"session.modeName",           NULL,        256, 400, "must be shorter than or equal to 255 characters"},
    {"session.modeVersion",        "1",           0, 400, "session.modeVersion must be a string"},
    {"session.modeVersion",        NULL,         65, 400, "must be shorter than or equal to 64 characters"},
    {"session.configurationVersion", NULL,      129, 400, "must be shorter than or equal to 128 characters"},
    {"session.policyVersion",      "{}",          0, 400, "session.policyVersion must be a string"},
    {"session.ttlMs",              NULL,          0, 400, "session.ttlMs must be a positive number"},
    {"session.ttlMs",              "\"5\"",       0, 400, "session.ttlMs must be an integer number"},
    {"session.ttlMs",              "0",           0, 400, "session.ttlMs must be a positive number"},
    {"session.ttlMs",              "-5",          0, 400, "session.ttlMs must be a positive number"},
    {"session.ttlMs",              "1.5",         0, 400, "session.ttlMs must be an integer number"},
    {"session.sessionId",          "5",           0, 400, "session.sessionId must be a string"},
    {"session.sessionId",          "\"too-short\"", 0, 400, "session.sessionId must be a UUID v4/v7 or base64url 22+ chars"},
    {"session.sessionId",          "\"has blanks and is long enough\"", 0, 400, "session.sessionId must be a UUID v4/v7 or base64url 22+ chars"},
    {"session.sessionId",          NULL,        256, 400, "must be shorter than or equal to 255 characters"},
    {"session.participants",       NULL,          0, 400, "session.participants must be an array"},
    {"session.participants",       "[]",          0, 400, "session.participants must contain at least 1 elements"},
    {"session.participants",       "{}",          0, 400, "session.participants must be an array"},
    {"session.participants",       "[\"a\"]",     0, 400, "must be either object or array"},
    {"session.participants",       "[{\"id\":\"\"}]", 0, 400, "session.participants.0.id should not be empty"},
    {"session.participants",       "[{\"id\":1}]", 0, 400, "session.participants.0.id must be a string"},
    {"session.participants",       "[{\"id\":\"a\",\"role\":\"x\"}]", 0, 400, "session.participants.0.property role should not exist"},
    {"session.metadata",           "[]",          0, 400, "session.metadata must be an object"},
    {"session.kickoff",            "[]",          0, 400, "session.property kickoff should not exist"},
    {"execution",                  "1",           0, 400, "execution must be either object or array"},
    {"execution.tags",             "\"a\"",       0, 400, "execution.tags must be an array"},
    {"execution.tags",             "[1]",         0, 400, "execution.each value in tags must be a string"},
    {"execution.tags",             "[\"a\\u0000b\"]", 0, 400, ""},
    {"execution.idempotencyKey",   "5",           0, 400, "execution.idempotencyKey must be a string"},
    {"execution.idempotencyKey",   NULL,        256, 400, "must be shorter than or equal to 255 characters"},
    {"execution.idempotencyKey",   "\"k\\u0000\"", 0, 400, ""},
    {"execution.requester",        "{\"actorType\":\"robot\"}", 0, 400, "execution.requester.actorType " ONE_OF "user, service, system"},
    {"execution.color",            "1",           0, 400, "execution.property color should not exist"},
};

/* Whole requests: method, target, content type, body. */
struct bad_request {
    const char *method, *target, *content_type, *body;
    int status;
    const char *says;
    const char *header;
    bool without_key;
};

static const struct bad_request bad_requests[] = {
    {"POST", "/runs", NULL, "{",                    400, "", NULL, false},
    {"POST", "/runs", NULL, "{\"mode\":}",          400, "", NULL, false},
    {"POST", "/runs", NULL, "[1,",                  400, "", NULL, false},
    {"POST", "/runs", NULL, "\"text\"",             400, "", NULL, false},
    {"POST", "/runs", NULL, "null",                 400, "", NULL, false},
    {"POST", "/runs", NULL, "{}",                   400, "mode " ONE_OF "live, sandbox", NULL, false},
    {"POST", "/runs", NULL, "[]",                   400, "", NULL, false},
    {"POST", "/runs", "text/plain", "{\"mode\":\"live\"}", 400, "mode " ONE_OF "live, sandbox", NULL, false},
    {"POST", "/runs", "application/json; charset=latin1", "{}", 415, "", NULL, false},
    {"POST", "/runs", NULL, "{}",                   401, "Missing Authorization header", NULL, true},
    {"POST", "/runs", NULL, "{",                    401, "Missing Authorization header", NULL, true},
    {"GET",  "/runs", NULL, NULL,                   401, "Missing Authorization header", NULL, true},
    {"GET",  "/runs", NULL, NULL,                   401, "Invalid authorization token", "Authorization: Bearer wrong", true},
    {"GET",  "/runs", NULL, NULL,                   401, "Invalid authorization token", "Authorization: bearer " WORLD_API_KEY, true},
    {"GET",  "/runs", NULL, NULL,                   401, "Invalid authorization token", "Authorization: Bearer", true},
    {"GET",  "/nope?x=1", NULL, NULL,               404, "Cannot GET /nope?x=1", NULL, true},
    {"PUT",  "/runs", NULL, "{}",                   404, "Cannot PUT /runs", NULL, false},
    {"DELETE", "/healthz", NULL, NULL,              404, "Cannot DELETE /healthz", NULL, false},
    {"GET",  "/runs/not-a-uuid", NULL, NULL,        400, "Validation failed (uuid is expected)", NULL, false},
    {"GET",  "/runs/%zz", NULL, NULL,               400, "Failed to decode param '%zz'", NULL, false},
    {"GET",  "/runs/" UNKNOWN, NULL, NULL,          404, "run " UNKNOWN " not found", NULL, false},
    {"GET",  "/runs/" UNKNOWN "/state", NULL, NULL, 404, "run " UNKNOWN " not found", NULL, false},
    {"GET",  "/runs?limit=201", NULL, NULL,         400, "limit must not be greater than 200", NULL, false},
    {"GET",  "/runs?limit=0", NULL, NULL,           400, "limit must not be less than 1", NULL, false},
    {"GET",  "/runs?limit=", NULL, NULL,            400, "limit must not be less than 1", NULL, false},
    {"GET",  "/runs?limit=ten", NULL, NULL,         400, "limit must be an integer number", NULL, false},
    {"GET",  "/runs?offset=-1", NULL, NULL,         400, "offset must not be less than 0", NULL, false},
    {"GET",  "/runs?status=done", NULL, NULL,       400, "status " ONE_OF "queued, starting", NULL, false},
    {"GET",  "/runs?sortBy=name", NULL, NULL,       400, "sortBy " ONE_OF "createdAt, updatedAt", NULL, false},
    {"GET",  "/runs?sortOrder=up", NULL, NULL,      400, "sortOrder " ONE_OF "asc, desc", NULL, false},
    {"GET",  "/runs?createdAfter=yesterday", NULL, NULL, 400, "createdAfter must be a valid ISO 8601 date string", NULL, false},
    {"GET",  "/runs/" UNKNOWN "/events?afterSeq=-1", NULL, NULL, 400, "afterSeq must not be less than 0", NULL, false},
    {"GET",  "/runs/" UNKNOWN "/events?afterSeq=2147483648", NULL, NULL, 400, "must not be greater than 2147483647", NULL, false},
    {"GET",  "/runs/" UNKNOWN "/events?limit=x", NULL, NULL, 400, "limit must be an integer number", NULL, false},
    {"GET",  "/runs/" UNKNOWN "/events?afterTs=2026-W05", NULL, NULL, 400, "afterTs must be a valid ISO 8601 date string", NULL, false},
    {"POST", "/runs/" UNKNOWN "/messages", NULL, "{\"any\":1}", 410, "POST /runs/:id/messages has been removed", NULL, false},
    {"POST", "/runs/" UNKNOWN "/signal", NULL, "{}", 410, "POST /runs/:id/signal has been removed", NULL, false},
    {"POST", "/runs/" UNKNOWN "/context", NULL, "{}", 410, "POST /runs/:id/context has been removed", NULL, false},
    {"POST", "/runs/nope/messages", NULL, "{}",     400, "Validation failed (uuid is expected)", NULL, false},
    {"POST", "/runs/" UNKNOWN "/messages", NULL, "{}", 401, "Missing Authorization header", NULL, true},
};
// clang-format on

/* Everything a request could have left behind, as one text to compare. */
static void
stored(char *out, size_t size)
{
    struct err err = {0};

    expect_ok(world_sql(&world, out, size, &err,
                        "select concat_ws(' ', (select count(*) from macp.runs),"
                        " (select count(*) from macp.run_observers),"
                        " (select count(*) from macp.run_events_canonical),"
                        " (select count(*) from macp.run_projections),"
                        " (select count(*) from macp.commands),"
                        " (select count(*) from macp.session_tombstones),"
                        " (select count(*) from macp.audit_log))"),
              &err, "count rows");
}

/* The message may be one text or a list of them. */
static bool
message_contains(const json_t *body, const char *part)
{
    const json_t *message = json_object_get(body, "message");
    const json_t *line;
    size_t i;

    if (json_is_string(message))
        return strstr(json_string_value(message), part) != NULL;
    json_array_foreach (message, i, line)
        if (json_is_string(line) && strstr(json_string_value(line), part))
            return true;
    return false;
}

/* Prints what is wrong; false when anything is. */
static bool
refused(const char *what, const struct http_request *q, int status, const char *says)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    if (!http_send(&world.http, q, &r, &err)) {
        print_error("%s: no answer: %s\n", what, err.msg);
        return false;
    }
    if (r.status == status && message_contains(r.json, says) &&
        json_integer_value(json_object_get(r.json, "statusCode")) == status)
        return true;
    print_error("%s: wanted %d with \"%s\", got %d %.300s\n", what, status, says, r.status,
                buf_cstr(&r.body));
    return false;
}

static json_t *
member_value(const struct bad_member *bad)
{
    if (bad->repeat) {
        char *text = xmalloc(bad->repeat + 1);
        json_t *value;

        memset(text, 'a', bad->repeat);
        text[bad->repeat] = '\0';
        value = json_string(text);
        free(text);
        return value;
    }
    return bad->value ? json_loads(bad->value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
}

static json_t *
with_member(const struct bad_member *bad)
{
    json_t *root = world_descriptor(MODE, NULL);
    json_t *at = root;
    json_t *value = member_value(bad);
    const char *step = bad->path;

    for (const char *dot; (dot = strchr(step, '.')); step = dot + 1) {
        char name[64];

        snprintf(name, sizeof(name), "%.*s", (int)(dot - step), step);
        if (!json_object_get(at, name))
            json_object_set_new(at, name, json_object());
        at = json_object_get(at, name);
    }
    if (value)
        json_object_set_new(at, step, value);
    else
        json_object_del(at, step);
    return root;
}

static void
descriptor_with_one_bad_member_is_400_and_stores_nothing(void **state)
{
    char before[128], after[128];
    int bad = 0;

    (void)state;
    stored(before, sizeof(before));
    for (size_t i = 0; i < ARRAY_LEN(bad_members); i++) {
        const struct bad_member *m = &bad_members[i];
        json_t *descriptor = with_member(m);
        char *text = json_dumps(descriptor, JSON_COMPACT);
        char what[128];

        snprintf(what, sizeof(what), "%s = %s%zu", m->path, m->value ? m->value : "", m->repeat);
        bad += !refused(
            what, &(struct http_request){.path = "/runs", .body = text, .body_len = strlen(text)},
            m->status, m->says);
        free(text);
        json_decref(descriptor);
    }
    stored(after, sizeof(after));
    assert_string_equal(before, after);
    assert_int_equal(bad, 0);
}

static void
bad_requests_get_their_documented_status_and_store_nothing(void **state)
{
    char before[128], after[128];
    int bad = 0;

    (void)state;
    stored(before, sizeof(before));
    for (size_t i = 0; i < ARRAY_LEN(bad_requests); i++) {
        const struct bad_request *q = &bad_requests[i];
        /* Apache looks at escapes itself, and has only words of its own. */
        const char *says = web == WEB_APACHE && strstr(q->target, "%zz") ? "Bad Request" : q->says;
        char what[160];

        snprintf(what, sizeof(what), "%s %s %.40s", q->method, q->target, q->body ? q->body : "");
        bad += !refused(what,
                        &(struct http_request){.method = q->method,
                                               .path = q->target,
                                               .content_type = q->content_type,
                                               .body = q->body,
                                               .body_len = q->body ? strlen(q->body) : 0,
                                               .header = q->header,
                                               .without_key = q->without_key},
                        q->status, says);
    }
    stored(after, sizeof(after));
    assert_string_equal(before, after);
    assert_int_equal(bad, 0);
}

/* --- size and shape of bodies --------------------------------------------------------------- */

/* A good descriptor padded by blanks to exactly size bytes. */
static char *
padded_descriptor(size_t size)
{
    json_t *descriptor = world_descriptor(MODE, NULL);
    char *text = json_dumps(descriptor, JSON_COMPACT);
    size_t len = strlen(text);
    char *body = xmalloc(size + 1);

    assert_true(len < size);
    memset(body, ' ', size);
    memcpy(body, text, len);
    body[size] = '\0';
    free(text);
    json_decref(descriptor);
    return body;
}

static void
body_of_one_mebibyte_is_taken_and_one_byte_more_is_413(void **state)
{
    const size_t limit = 1024 * 1024;
    char *body = padded_descriptor(limit + 1);
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    char before[128], after[128];

    (void)state;
    stored(before, sizeof(before));
    assert_true(
        refused("body of 1 MiB + 1",
                &(struct http_request){.path = "/runs", .body = body, .body_len = limit + 1}, 413,
                "request entity too large"));
    stored(after, sizeof(after));
    assert_string_equal(before, after);
    expect_ok(http_send(&world.http,
                        &(struct http_request){.path = "/runs", .body = body, .body_len = limit},
                        &r, &err),
              &err, "body of 1 MiB");
    assert_int_equal(r.status, 201);
    free(body);
}

static void
json_nested_beyond_reason_is_400(void **state)
{
    enum { DEPTH = 100000 };
    char *body = xmalloc(DEPTH + 1);

    (void)state;
    memset(body, '[', DEPTH);
    body[DEPTH] = '\0';
    assert_true(refused("deep nesting",
                        &(struct http_request){.path = "/runs", .body = body, .body_len = DEPTH},
                        400, ""));
    free(body);
}

/* --- idempotency and sessions --------------------------------------------------------------- */

static void
repeating_an_idempotency_key_answers_the_first_run_and_stores_nothing(void **state)
{
    struct posted first, second;
    char before[128], after[128];

    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *d = world_descriptor(MODE, NULL);

        json_object_set_new(d, "execution", json_pack("{s:s}", "idempotencyKey", "the-same-key"));
        if (i == 1) {
            stored(before, sizeof(before));
            /* The rest of a repeat is ignored, differences included. */
            json_object_set_new(json_object_get(d, "session"), "ttlMs", json_integer(1));
        }
        expect_posted_as(&world, d, i == 0 ? &first : &second);
    }
    stored(after, sizeof(after));
    assert_string_equal(first.run, second.run);
    assert_string_equal(first.session, second.session);
    assert_string_equal(first.trace, second.trace);
    /* The run may have moved on meanwhile, so events are not compared. */
    assert_int_equal(strtol(before, NULL, 10), strtol(after, NULL, 10));
    expect_sql(&world, "1",
               "select count(*) from macp.runs where idempotency_key = 'the-same-key'");
}

static void
empty_idempotency_key_is_no_key(void **state)
{
    struct posted posted[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *d = world_descriptor(MODE, NULL);

        json_object_set_new(d, "execution", json_pack("{s:s}", "idempotencyKey", ""));
        expect_posted_as(&world, d, &posted[i]);
    }
    assert_string_not_equal(posted[0].run, posted[1].run);
    assert_string_not_equal(posted[0].session, posted[1].session);
}

static void
session_of_another_run_is_409(void **state)
{
    struct posted first;
    json_t *again, *answer;
    char text[512];

    (void)state;
    expect_posted(&world, MODE, NULL, &first);
    again = world_descriptor(MODE, first.session);
    answer = expect_post(&world, 409, "/runs", again);
    assert_string_equal(json_string_value(json_object_get(answer, "errorCode")),
                        "SESSION_ALREADY_EXISTS");
    snprintf(text, sizeof(text), "session %s already belongs to run %s", first.session, first.run);
    assert_string_equal(json_string_value(json_object_get(answer, "message")), text);
    expect_sql(&world, "1", "select count(*) from macp.runs where session_id = '%s'",
               first.session);
    json_decref(answer);
    json_decref(again);
}

static void
accepted_descriptor_is_answered_with_ids_and_a_location(void **state)
{
    json_t *d = world_descriptor(MODE, NULL);
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    char location[128], wanted[128];

    (void)state;
    expect_ok(http_post(&world.http, "/runs", d, &r, &err), &err, "POST /runs");
    json_decref(d);
    assert_int_equal(r.status, 201);

    const char *run = json_string_value(json_object_get(r.json, "runId"));
    const char *trace = json_string_value(json_object_get(r.json, "traceId"));

    assert_non_null(run);
    assert_non_null(trace);
    assert_true(uuid_is_valid(run));
    assert_true(uuid_is_valid(json_string_value(json_object_get(r.json, "sessionId"))));
    assert_string_equal(json_string_value(json_object_get(r.json, "status")), "queued");
    assert_int_equal(strspn(trace, "0123456789abcdef"), 32);
    assert_int_not_equal(strspn(trace, "0"), 32);
    snprintf(wanted, sizeof(wanted), "/runs/%s", run);
    assert_string_equal(http_header(&r, "Location", location, sizeof(location)), wanted);
}

static void
callback_bearer_comes_back_in_no_answer(void **state)
{
    json_t *d = world_descriptor(MODE, NULL);
    struct posted posted;
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    (void)state;
    json_object_set_new(json_object_get(d, "session"), "metadata",
                        json_pack("{s:{s:s,s:s}}", "cancelCallback", "url",
                                  "http://127.0.0.1:9/cancel", "bearer", "very-secret-bearer"));
    expect_posted_as(&world, d, &posted);
    expect_ok(http_get(&world.http, &r, &err, "/runs/%s", posted.run), &err, "GET run");
    assert_int_equal(r.status, 200);
    assert_null(strstr(buf_cstr(&r.body), "very-secret-bearer"));
    assert_non_null(strstr(buf_cstr(&r.body), "[REDACTED]"));
    expect_ok(http_get(&world.http, &r, &err, "/runs?limit=200"), &err, "GET runs");
    assert_null(strstr(buf_cstr(&r.body), "very-secret-bearer"));
}

static void
what_is_repeated_is_kept_and_what_is_long_is_warned_of(void **state)
{
    enum { LONGEST_MS = 86400000 };
    json_t *d = world_descriptor(MODE, NULL), *session = json_object_get(d, "session"), *answer;
    struct posted posted;

    (void)state;
    json_object_set_new(d, "execution", json_pack("{s:[s,s]}", "tags", "twice", "twice"));
    json_object_set_new(session, "participants", json_pack("[{s:s},{s:s}]", "id", "a", "id", "a"));
    json_object_set_new(session, "ttlMs", json_integer(LONGEST_MS + 1));
    answer = expect_post(&world, 201, "/runs/validate", d);
    assert_true(json_is_true(json_object_get(answer, "valid")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(answer, "warnings"), 0)),
                        "session.ttlMs is above the runtime's maximum of 86400000");
    json_decref(answer);
    expect_posted_as(&world, d, &posted);
    answer = expect_run(&world, posted.run);
    assert_int_equal(json_array_size(json_object_get(answer, "tags")), 2);
    session = json_object_get(json_object_get(answer, "metadata"), "executionRequest");
    session = json_object_get(session, "session");
    assert_int_equal(json_array_size(json_object_get(session, "participants")), 2);
    json_decref(answer);
}

/* n characters of four bytes each, no two alike: nothing of it can be compressed. */
static json_t *
characters(size_t n)
{
    uint32_t random = 1;
    AUTO_BUF text = {0};

    for (size_t i = 0; i < n; i++) {
        random = random * 1664525 + 1013904223;
        buf_printf(&text, "\xf0%c%c%c", 0x90 + (int)(random >> 27), 0x80 + (int)(random >> 20 & 63),
                   0x80 + (int)(random >> 14 & 63));
    }
    return json_stringn(buf_cstr(&text), text.len);
}

static json_t *
tagged(size_t length)
{
    json_t *d = world_descriptor(MODE, NULL);

    json_object_set_new(json_object_get(d, "session"), "metadata",
                        json_pack("{s:o,s:o,s:o,s:o}", "source", characters(5000), "sourceRef",
                                  characters(5000), "environment", characters(5000), "scenarioRef",
                                  characters(5000)));
    json_object_set_new(
        d, "execution",
        json_pack("{s:[o],s:o}", "tags", characters(length), "idempotencyKey", characters(255)));
    return d;
}

/* Lists find runs by these: no index may break off the insert, whatever they are made of. */
static void
longest_texts_are_stored_and_longer_tags_refused(void **state)
{
    enum { LONGEST = 512 };
    static const char says[] = "execution.each value in tags must be shorter than or equal to 512";
    json_t *longer = tagged(LONGEST + 1), *answer;
    struct posted posted;

    (void)state;
    expect_posted_as(&world, tagged(LONGEST), &posted);
    answer = expect_post(&world, 400, "/runs", longer);
    assert_memory_equal(json_string_value(json_object_get(answer, "message")), says,
                        sizeof says - 1);
    json_decref(answer);
    answer = expect_post(&world, 201, "/runs/validate", longer);
    assert_true(json_is_false(json_object_get(answer, "valid")));
    json_decref(answer);
    json_decref(longer);
}

/* --- always ---------------------------------------------------------------------------------- */

static void
request_id_is_echoed_or_made(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    char id[128];

    (void)state;
    expect_ok(http_send(&world.http,
                        &(struct http_request){.path = "/runs", .header = "x-request-id: mine-1"},
                        &r, &err),
              &err, "GET /runs");
    assert_string_equal(http_header(&r, "x-request-id", id, sizeof(id)), "mine-1");
    expect_ok(http_get(&world.http, &r, &err, "/runs"), &err, "GET /runs");
    assert_true(uuid_is_valid(http_header(&r, "x-request-id", id, sizeof(id))));
}

static void
options_needs_no_key_and_allows_the_configured_origin(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    char value[256];

    (void)state;
    expect_ok(http_send(&world.http,
                        &(struct http_request){.method = "OPTIONS",
                                               .path = "/anything",
                                               .header = "Origin: http://localhost:3000",
                                               .without_key = true},
                        &r, &err),
              &err, "OPTIONS");
    assert_int_equal(r.status, 204);
    assert_string_equal(http_header(&r, "Access-Control-Allow-Origin", value, sizeof(value)),
                        "http://localhost:3000");
    assert_string_equal(http_header(&r, "Access-Control-Allow-Methods", value, sizeof(value)),
                        "GET,HEAD,PUT,PATCH,POST,DELETE");
}

static void
health_needs_no_key_and_says_ready(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    json_t *body;

    (void)state;
    expect_ok(http_send(&world.http,
                        &(struct http_request){.path = "/healthz", .without_key = true}, &r, &err),
              &err, "GET /healthz");
    assert_int_equal(r.status, 200);
    assert_true(json_is_true(json_object_get(r.json, "ok")));
    assert_string_equal(json_string_value(json_object_get(r.json, "service")),
                        "macp-control-plane");
    body = expect_get(&world, 200, "/readyz");
    assert_string_equal(json_string_value(json_object_get(body, "database")), "ok");
    assert_non_null(json_object_get(body, "runtime"));
    assert_non_null(json_object_get(body, "streamConsumer"));
    assert_string_equal(json_string_value(json_object_get(body, "circuitBreaker")), "CLOSED");
    json_decref(body);
}

/* A connection to the web server on which so much has been sent. */
static int
begin_request(const char *text)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)world.web_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t n = (ssize_t)strlen(text);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    return fd;
}

static void
unfinished_requests_hold_nobody_up(void **state)
{
    static const char *const beginnings[] = {
        "GET /runs HTTP/1.1\r\nHost: t\r\nX-Reque",
        "POST /runs HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
        "Authorization: Bearer " WORLD_API_KEY "\r\nContent-Length: 1000\r\n\r\n{\"mode\":",
    };
    /* Apache passes bodies on while they arrive, and so holds threads of macp-fcgi. */
    const size_t n = web == WEB_APACHE ? 1 : ARRAY_LEN(beginnings);
    enum { EACH = 20 }; /* more than there are threads */
    int fds[ARRAY_LEN(beginnings) * EACH];
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = begin_request(beginnings[i % n]);
    for (int i = 0; i < 10; i++) {
        expect_ok(http_get(&world.http, &r, &err, "/runs"), &err, "GET /runs");
        assert_int_equal(r.status, 200);
        /* One that waited for a body to come would take as long as that may take. */
        assert_true(r.elapsed_us / 1000 < process_slow(2000));
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

static void
streams_are_served_by_a_process_that_stays_and_refused_by_others(void **state)
{
    const bool stays = web != WEB_CGI;
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    struct posted run;
    char path[128], type[64];

    (void)state;
    expect_posted(&world, MODE, NULL, &run);
    snprintf(path, sizeof(path), "/runs/%s/stream", run.run);
    expect_ok(
        http_send(&world.http, &(struct http_request){.method = "HEAD", .path = path}, &r, &err),
        &err, "HEAD stream");
    assert_int_equal(r.status, stays ? 200 : 501);
    assert_string_equal(http_header(&r, "Content-Type", type, sizeof(type)),
                        stays ? "text/event-stream" : "application/json; charset=utf-8");
}

static void
command_is_waited_for_by_whoever_answers(void **state)
{
    (void)state;
    json_decref(expect_post(&world, 200, "/admin/circuit-breaker/reset", NULL));
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.web = web}, 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptor_with_one_bad_member_is_400_and_stores_nothing),
        cmocka_unit_test(bad_requests_get_their_documented_status_and_store_nothing),
        cmocka_unit_test(body_of_one_mebibyte_is_taken_and_one_byte_more_is_413),
        cmocka_unit_test(json_nested_beyond_reason_is_400),
        cmocka_unit_test(accepted_descriptor_is_answered_with_ids_and_a_location),
        cmocka_unit_test(repeating_an_idempotency_key_answers_the_first_run_and_stores_nothing),
        cmocka_unit_test(empty_idempotency_key_is_no_key),
        cmocka_unit_test(session_of_another_run_is_409),
        cmocka_unit_test(callback_bearer_comes_back_in_no_answer),
        cmocka_unit_test(what_is_repeated_is_kept_and_what_is_long_is_warned_of),
        cmocka_unit_test(longest_texts_are_stored_and_longer_tags_refused),
        cmocka_unit_test(request_id_is_echoed_or_made),
        cmocka_unit_test(options_needs_no_key_and_allows_the_configured_origin),
        cmocka_unit_test(health_needs_no_key_and_says_ready),
        cmocka_unit_test(command_is_waited_for_by_whoever_answers),
        cmocka_unit_test(unfinished_requests_hold_nobody_up),
        cmocka_unit_test(streams_are_served_by_a_process_that_stays_and_refused_by_others),
    };

    if (!web_read_arguments(argc, argv, &web))
        return 2;
    return cmocka_run_group_tests_name("requests", tests, set_up, scene_close);
}
