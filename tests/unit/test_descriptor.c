/* From a posted document to columns: ids, tags, metadata, and where the secret goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/descriptor.h"

#define SID "abcdefghijklmnopqrstuvwx"

static const char *loopback[] = {"127.0.0.0/8"};
static const struct config config = {.runtime_kind = "rust", .outbound_allow = {1, loopback}};

static bool
draft(struct arena *arena, const char *mode, const char *metadata, const char *execution,
      json_t **document, struct run_draft *out, struct err *err)
{
    json_error_t e;
    char *text = arena_printf(arena,
                              "{\"mode\":\"%s\",\"runtime\":{\"kind\":\"rust\"},\"session\":{"
                              "\"sessionId\":\"" SID "\",\"modeName\":\"m\",\"metadata\":%s},"
                              "\"execution\":%s}",
                              mode, metadata, execution);

    *document = json_loads(text, JSON_DECODE_INT_AS_REAL, &e);
    if (!*document)
        fail_msg("%s: %s", text, e.text);
    return descriptor_draft(arena, *document, NULL, &config, out, err);
}

static void
session_ids_are_judged(void **state UNUSED)
{
    static const struct {
        const char *id;
        bool want;
    } ids[] = {
        {"", false},
        {"too-short", false},
        {"abcdefghijklmnopqrstu", false},
        {"abcdefghijklmnopqrstuv", true},
        {"AZaz09_-AZaz09_-AZaz09", true},
        {"6f06ccae-bd8f-48c8-aa95-11744c274815", true},
        {"6F06CCAE-BD8F-08C8-0A95-11744C274815", true},
        {"abcdefghijklmnopqrstuv.", false},
        {"abcdefghijklmnopqrstuv ", false},
        {"abcdefghijklmnopqrst\xc3\xbcv", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (descriptor_session_id_ok(ids[i].id) != ids[i].want)
            fail_msg("%s", ids[i].id);
}

static void
trace_ids_follow_a_valid_traceparent(void **state UNUSED)
{
    static const char valid[] = "0af7651916cd43dd8448eb211c80319c";
    static const struct {
        const char *header;
        bool followed;
    } cases[] = {
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false},
        {"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false},
        {"", false},
        {NULL, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char a[TRACE_ID_LEN], b[TRACE_ID_LEN];

        descriptor_trace_id(cases[i].header, a);
        descriptor_trace_id(cases[i].header, b);
        if ((strcmp(a, valid) == 0) != cases[i].followed)
            fail_msg("%s: %s", cases[i].header, a);
        assert_int_equal(strspn(a, "0123456789abcdef"), 32);
        assert_true(strspn(a, "0") < 32);
        assert_int_equal(strcmp(a, b) == 0, cases[i].followed);
    }
}

static void
tags_keep_their_order_and_sandbox_is_added_once(void **state UNUSED)
{
    static const struct {
        const char *mode, *execution, *want;
    } cases[] = {
        {"live", "null", "[]"},
        {"live", "{\"tags\":null}", "[]"},
        {"live", "{\"tags\":[\"b\",\"a\",\"b\"]}", "[\"b\",\"a\",\"b\"]"},
        {"sandbox", "{}", "[\"sandbox\"]"},
        {"sandbox", "{\"tags\":[\"x\"]}", "[\"x\",\"sandbox\"]"},
        {"sandbox", "{\"tags\":[\"sandbox\",\"x\"]}", "[\"sandbox\",\"x\"]"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct run_draft d;
        struct err err;
        json_t *v;

        assert_true(draft(&arena, cases[i].mode, "{}", cases[i].execution, &v, &d, &err));
        assert_string_equal(d.tags, cases[i].want);
        json_decref(v);
        arena_fini(&arena);
    }
}

static void
metadata_lifts_what_lists_filter_by(void **state UNUSED)
{
    struct arena arena = {0};
    struct run_draft d;
    struct err err;
    json_t *v;

    assert_true(draft(&arena, "live",
                      "{\"source\":\"ui\",\"sourceRef\":7,\"environment\":\"prod\","
                      "\"scenarioRef\":\"s@1\",\"cancellationDelegated\":0,\"cancelCallback\":\"\","
                      "\"other\":1}",
                      "{\"requester\":{\"actorId\":\"me\"},\"idempotencyKey\":\"\"}", &v, &d,
                      &err));
    assert_string_equal(d.metadata, "{\"requester\":{\"actorId\":\"me\"},"
                                    "\"environment\":\"prod\",\"scenarioRef\":\"s@1\"}");
    assert_string_equal(d.source_kind, "ui");
    assert_string_equal(d.source_ref, "7");
    assert_string_equal(d.environment, "prod");
    assert_string_equal(d.scenario_ref, "s@1");
    assert_false(d.cancel_delegated);
    assert_null(d.idempotency_key);
    assert_null(d.callback_url);
    json_decref(v);
    arena_fini(&arena);
}

static void
the_bearer_is_only_in_its_own_field(void **state UNUSED)
{
    struct arena arena = {0};
    struct run_draft d;
    struct err err;
    json_t *v;

    assert_true(draft(&arena, "live",
                      "{\"cancelCallback\":{\"url\":\"http://127.0.0.1/c\",\"bearer\":\"TOP\"},"
                      "\"cancellationDelegated\":{}}",
                      "{}", &v, &d, &err));
    assert_string_equal(d.callback_url, "http://127.0.0.1/c");
    assert_string_equal(d.callback_bearer, "TOP");
    assert_true(d.cancel_delegated);
    assert_null(strstr(d.metadata, "TOP"));
    assert_null(strstr(d.descriptor, "TOP"));
    assert_null(strstr(d.event_data, "TOP"));
    assert_string_equal(d.metadata, "{\"cancelCallback\":{\"url\":\"http://127.0.0.1/c\","
                                    "\"bearer\":\"[REDACTED]\"},\"cancellationDelegated\":{}}");
    json_decref(v);
    arena_fini(&arena);
}

static void
unfit_descriptors_are_refused(void **state UNUSED)
{
    static const struct {
        const char *metadata, *message;
    } cases[] = {
        {"{\"cancelCallback\":{\"url\":\"http://u:p@127.0.0.1/\"}}",
         "session.metadata.cancelCallback.url is not allowed: it must not contain user "
         "information"},
        {"{\"cancelCallback\":{\"url\":\"http://10.0.0.1/\"}}",
         "session.metadata.cancelCallback.url is not allowed: its host is private and not listed "
         "in OUTBOUND_ALLOW"},
        {"{\"cancelCallback\":{\"url\":\"gopher://x/\"}}",
         "session.metadata.cancelCallback.url is not allowed: only http and https are supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct run_draft d;
        struct err err;
        json_t *v;

        assert_false(draft(&arena, "live", cases[i].metadata, "{}", &v, &d, &err));
        assert_int_equal(err.code, ERR_VALIDATION);
        assert_string_equal(err.msg, cases[i].message);
        json_decref(v);
        arena_fini(&arena);
    }
}

static void
a_missing_session_id_is_filled_in(void **state UNUSED)
{
    json_t *v = json_pack("{s:s,s:{s:s},s:{s:s,s:s}}", "mode", "live", "runtime", "kind", "rust",
                          "session", "modeName", "m", "sessionId", "");
    struct arena arena = {0};
    struct run_draft d;
    struct err err;

    assert_true(descriptor_draft(&arena, v, NULL, &config, &d, &err));
    assert_true(uuid_is_valid(d.session_id));
    assert_non_null(strstr(d.descriptor, d.session_id));
    assert_non_null(strstr(d.event_data, d.session_id));
    assert_non_null(strstr(d.event_data, d.trace_id));
    json_decref(v);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_ids_are_judged),
        cmocka_unit_test(trace_ids_follow_a_valid_traceparent),
        cmocka_unit_test(tags_keep_their_order_and_sandbox_is_added_once),
        cmocka_unit_test(metadata_lifts_what_lists_filter_by),
        cmocka_unit_test(the_bearer_is_only_in_its_own_field),
        cmocka_unit_test(unfit_descriptors_are_refused),
        cmocka_unit_test(a_missing_session_id_is_filled_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
