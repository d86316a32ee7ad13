/* Bodies against field tables: one row per rule, the exact texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/descriptor.h"
#include "fcgi/validate.h"

#define RUNTIME "\"runtime\":{\"kind\":\"rust\"}"
#define SESSION_BASE                                                                               \
    "\"modeName\":\"m\",\"modeVersion\":\"\",\"configurationVersion\":\"\",\"ttlMs\":1"
#define SESSION               "\"session\":{" SESSION_BASE ",\"participants\":[{\"id\":\"a\"}]}"
#define WITH_SESSION(members) "{\"mode\":\"live\"," RUNTIME ",\"session\":{" members "}}"
#define WITH_PARTICIPANTS(p)  WITH_SESSION(SESSION_BASE ",\"participants\":" p)
#define WITH_EXECUTION(e)     "{\"mode\":\"live\"," RUNTIME "," SESSION ",\"execution\":" e "}"
#define NESTED                "must be either object or array"

static const struct {
    const char *what, *body, *texts;
} cases[] = {
    {"smallest", "{\"mode\":\"live\"," RUNTIME "," SESSION "}", ""},
    {"nothing", "{}",
     "\"mode must be one of the following values: live, sandbox\","
     "\"runtime should not be null or undefined\",\"session should not be null or undefined\""},
    {"array body", "[]",
     "\"mode must be one of the following values: live, sandbox\","
     "\"runtime should not be null or undefined\",\"session should not be null or undefined\""},
    {"mode type", "{\"mode\":1," RUNTIME "," SESSION "}",
     "\"mode must be one of the following values: live, sandbox\""},
    {"runtime null", "{\"mode\":\"live\",\"runtime\":null," SESSION "}",
     "\"runtime should not be null or undefined\",\"nested property runtime " NESTED "\""},
    {"runtime text", "{\"mode\":\"live\",\"runtime\":\"x\"," SESSION "}",
     "\"nested property runtime " NESTED "\""},
    {"runtime array", "{\"mode\":\"live\",\"runtime\":[]," SESSION "}",
     "\"runtime must be an object\""},
    {"kind missing", "{\"mode\":\"live\",\"runtime\":{}," SESSION "}",
     "\"runtime.kind must be a string\""},
    {"kind empty", "{\"mode\":\"live\",\"runtime\":{\"kind\":\"\"}," SESSION "}", ""},
    {"version type", "{\"mode\":\"live\",\"runtime\":{\"kind\":\"k\",\"version\":1}," SESSION "}",
     "\"runtime.version must be a string\""},
    {"version null",
     "{\"mode\":\"live\",\"runtime\":{\"kind\":\"k\",\"version\":null}," SESSION "}", ""},
    {"session empty", WITH_SESSION(""),
     "\"session.modeName should not be empty\",\"session.modeName must be a string\","
     "\"session.modeVersion must be a string\",\"session.configurationVersion must be a string\","
     "\"session.ttlMs must be a positive number\",\"session.ttlMs must be an integer number\","
     "\"session.Maximum 1000 participants per session\","
     "\"session.participants must contain at least 1 elements\","
     "\"session.participants must be an array\""},
    {"blank mode name",
     WITH_SESSION("\"modeName\":\" \",\"modeVersion\":\"\","
                  "\"configurationVersion\":\"\",\"ttlMs\":1,"
                  "\"participants\":[{\"id\":\"a\"}]"),
     ""},
    {"empty mode name",
     WITH_SESSION("\"modeName\":\"\",\"modeVersion\":\"\","
                  "\"configurationVersion\":\"\",\"ttlMs\":1,"
                  "\"participants\":[{\"id\":\"a\"}]"),
     "\"session.modeName should not be empty\""},
    {"number as mode name",
     WITH_SESSION("\"modeName\":5,\"modeVersion\":\"\","
                  "\"configurationVersion\":\"\",\"ttlMs\":1,"
                  "\"participants\":[{\"id\":\"a\"}]"),
     "\"session.modeName must be a string\""},
    {"ttl text",
     WITH_SESSION("\"modeName\":\"m\",\"modeVersion\":\"\","
                  "\"configurationVersion\":\"\",\"ttlMs\":\"5\","
                  "\"participants\":[{\"id\":\"a\"}]"),
     "\"session.ttlMs must be a positive number\",\"session.ttlMs must be an integer number\""},
    {"ttl zero",
     WITH_SESSION("\"modeName\":\"m\",\"modeVersion\":\"\","
                  "\"configurationVersion\":\"\",\"ttlMs\":0,"
                  "\"participants\":[{\"id\":\"a\"}]"),
     "\"session.ttlMs must be a positive number\""},
    {"ttl fraction",
     WITH_SESSION("\"modeName\":\"m\",\"modeVersion\":\"\","
                  "\"configurationVersion\":\"\",\"ttlMs\":1.5,"
                  "\"participants\":[{\"id\":\"a\"}]"),
     "\"session.ttlMs must be an integer number\""},
    {"ttl exponent",
     WITH_SESSION("\"modeName\":\"m\",\"modeVersion\":\"\","
                  "\"configurationVersion\":\"\",\"ttlMs\":1e3,"
                  "\"participants\":[{\"id\":\"a\"}]"),
     ""},
    {"no participants", WITH_PARTICIPANTS("[]"),
     "\"session.participants must contain at least 1 elements\""},
    {"participants null", WITH_PARTICIPANTS("null"),
     "\"session.Maximum 1000 participants per session\","
     "\"session.participants must contain at least 1 elements\","
     "\"session.participants must be an array\","
     "\"session.each value in nested property participants " NESTED "\""},
    {"participant text", WITH_PARTICIPANTS("[\"a\",{\"id\":\"b\"},null]"),
     "\"session.participants.each value in nested property participants " NESTED "\","
     "\"session.participants.each value in nested property participants " NESTED "\""},
    {"participant id", WITH_PARTICIPANTS("[{\"id\":\"a\"},{},{\"id\":\"\"},{\"id\":5}]"),
     "\"session.participants.1.id should not be empty\","
     "\"session.participants.1.id must be a string\","
     "\"session.participants.2.id should not be empty\","
     "\"session.participants.3.id must be a string\""},
    {"metadata array",
     WITH_SESSION(SESSION_BASE ",\"participants\":[{\"id\":\"a\"}],"
                               "\"metadata\":[]"),
     "\"session.metadata must be an object\""},
    {"anything in metadata",
     WITH_SESSION(SESSION_BASE ",\"participants\":[{\"id\":\"a\"}],"
                               "\"metadata\":{\"x\":{\"y\":[1]}}"),
     ""},
    {"execution text", WITH_EXECUTION("\"x\""), "\"nested property execution " NESTED "\""},
    {"execution null", WITH_EXECUTION("null"), ""},
    {"key type", WITH_EXECUTION("{\"idempotencyKey\":1}"),
     "\"execution.idempotencyKey must be a string\""},
    {"tags text", WITH_EXECUTION("{\"tags\":\"a\"}"),
     "\"execution.tags must be an array\",\"execution.each value in tags must be a string\""},
    {"tags mixed", WITH_EXECUTION("{\"tags\":[\"a\",1]}"),
     "\"execution.each value in tags must be a string\""},
    {"requester text", WITH_EXECUTION("{\"requester\":1}"),
     "\"execution.nested property requester " NESTED "\""},
    {"requester", WITH_EXECUTION("{\"requester\":{\"actorId\":1,\"actorType\":\"x\"}}"),
     "\"execution.requester.actorId must be a string\","
     "\"execution.requester.actorType must be one of the following values: user, service, "
     "system\""},
    {"unknown first, all levels",
     "{\"kickoff\":1,\"mode\":\"x\",\"runtime\":{\"kind\":\"k\",\"a\":1},"
     "\"session\":{" SESSION_BASE ",\"context\":1,\"participants\":[{\"id\":\"a\",\"role\":1}]},"
     "\"execution\":{\"requester\":{\"b\":1}}}",
     "\"property kickoff should not exist\",\"runtime.property a should not exist\","
     "\"session.property context should not exist\","
     "\"session.participants.0.property role should not exist\","
     "\"execution.requester.property b should not exist\","
     "\"mode must be one of the following values: live, sandbox\""},
    {"NUL in a text", WITH_EXECUTION("{\"idempotencyKey\":\"a\\u0000\"}"),
     "\"execution.idempotencyKey must not contain null characters\""},
    {"NUL in tags", WITH_EXECUTION("{\"tags\":[\"\\u0000\"]}"),
     "\"execution.tags must not contain null characters\""},
    {"NUL deep in metadata",
     WITH_SESSION(SESSION_BASE ",\"participants\":[{\"id\":\"a\"}],"
                               "\"metadata\":{\"x\":[{\"y\":\"\\u0000\"}]}"),
     "\"session.metadata must not contain null characters\""},
};

static json_t *
parse(const char *body)
{
    json_error_t e;
    json_t *v = json_loads(body, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &e);

    if (!v)
        fail_msg("%s: %s", body, e.text);
    return v;
}

static void
bodies_give_their_texts(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *v = parse(cases[i].body);
        AUTO_TEXTS texts = {0};

        body_validate(v, &descriptor_schema, &texts);
        if (strcmp(buf_cstr(&texts.json), cases[i].texts) != 0)
            fail_msg("%s:\n got %s\nwant %s", cases[i].what, buf_cstr(&texts.json), cases[i].texts);
        json_decref(v);
    }
}

static void
strings_are_limited_in_characters(void **state UNUSED)
{
    static const struct {
        const char *format, *name;
        int max;
    } limits[] = {
        {"{\"mode\":\"live\",\"runtime\":{\"kind\":\"%s\"}," SESSION "}", "runtime.kind", 64},
        {WITH_EXECUTION("{\"idempotencyKey\":\"%s\"}"), "execution.idempotencyKey", 255},
        {WITH_PARTICIPANTS("[{\"id\":\"%s\"}]"), "session.participants.0.id", 255},
        {WITH_SESSION(SESSION_BASE ",\"sessionId\":\"%s\",\"participants\":[{\"id\":\"a\"}]"),
         "session.sessionId", 255},
        {WITH_SESSION(SESSION_BASE ",\"policyVersion\":\"%s\",\"participants\":[{\"id\":\"a\"}]"),
         "session.policyVersion", 128},
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        for (int over = 0; over <= 1; over++) {
            char text[3 * 256 + 1] = "", want[256] = "";
            struct buf body = {0};
            const char *mark = strstr(limits[i].format, "%s");
            AUTO_TEXTS texts = {0};
            json_t *v;

            /* three bytes each: bytes would be counted otherwise */
            for (int n = 0; n < limits[i].max + over; n++)
                memcpy(text + 3 * n, "\xe2\x9c\x93", 4);
            if (over)
                snprintf(want, sizeof want, "\"%s must be shorter than or equal to %d characters\"",
                         limits[i].name, limits[i].max);
            buf_add(&body, limits[i].format, (size_t)(mark - limits[i].format));
            buf_str(&body, text);
            buf_str(&body, mark + 2);
            v = parse(buf_cstr(&body));
            body_validate(v, &descriptor_schema, &texts);
            assert_string_equal(buf_cstr(&texts.json), want);
            json_decref(v);
            buf_fini(&body);
        }
}

static void
a_thousand_participants_are_the_limit(void **state UNUSED)
{
    for (int n = 1000; n <= 1001; n++) {
        json_t *v = parse(WITH_PARTICIPANTS("[]"));
        json_t *list = json_object_get(json_object_get(v, "session"), "participants");
        AUTO_TEXTS texts = {0};

        for (int i = 0; i < n; i++)
            json_array_append_new(list, json_pack("{s:s}", "id", "same"));
        body_validate(v, &descriptor_schema, &texts);
        assert_string_equal(buf_cstr(&texts.json),
                            n == 1000 ? "" : "\"session.Maximum 1000 participants per session\"");
        json_decref(v);
    }
}

static void
texts_are_bounded_for_hostile_bodies(void **state UNUSED)
{
    json_t *v = json_object();
    AUTO_TEXTS texts = {0};
    char name[16];

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "x%d", i);
        json_object_set_new(v, name, json_true());
    }
    body_validate(v, &descriptor_schema, &texts);
    assert_int_equal(texts.n, 1000);
    json_decref(v);
}

static void
validate_reports_a_missing_session_itself(void **state UNUSED)
{
    json_t *v = parse("{\"mode\":\"live\"," RUNTIME "}");
    AUTO_TEXTS texts = {0};

    body_validate(v, &descriptor_validate_schema, &texts);
    assert_int_equal(texts.n, 0);
    body_validate(v, &descriptor_schema, &texts);
    assert_int_equal(texts.n, 1);
    json_decref(v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_give_their_texts),
        cmocka_unit_test(strings_are_limited_in_characters),
        cmocka_unit_test(a_thousand_participants_are_the_limit),
        cmocka_unit_test(texts_are_bounded_for_hostile_bodies),
        cmocka_unit_test(validate_reports_a_missing_session_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
