/* The closed list of event types, and what an event takes from its JSON form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/event.h"
#include "shared/json.h"

static json_t *
parse(const char *text)
{
    json_t *v = jv_parse(text, strlen(text));

    assert_non_null(v);
    return v;
}

static void
test_every_type_has_a_name_that_parses_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENT__COUNT; i++) {
        const char *name = event_type_name((enum event_type)i);

        assert_non_null(strchr(name, '.'));
        assert_int_equal(event_type_parse(name), i);
    }
}

static void
test_foreign_types_are_unknown(void **state)
{
    static const char *const foreign[] = {"", "run", "run.created ", "Run.created",
                                          "message.custom"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        assert_int_equal(event_type_parse(foreign[i]), EVENT_UNKNOWN);
    assert_int_equal(event_type_parse(NULL), EVENT_UNKNOWN);
    assert_string_equal(event_type_name(EVENT_UNKNOWN), "unknown");
}

static void
test_subject_needs_kind_and_id(void **state)
{
    static const struct {
        const char *kind, *id;
        bool present;
    } cases[] = {{"run", "r", true},
                 {"run", "", false},
                 {"", "r", false},
                 {NULL, "r", false},
                 {"run", NULL, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event e = {.subject_kind = "old", .subject_id = "old"};

        event_set_subject(&e, cases[i].kind, cases[i].id);
        assert_int_equal(e.subject_kind != NULL, cases[i].present);
        assert_int_equal(e.subject_id != NULL, cases[i].present);
    }
}

static void
test_list_gives_empty_events_and_drops_their_data(void **state)
{
    struct event_list list = {0};
    json_t *kept;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct event *e = event_list_add(&list, EVENT_MESSAGE_SENT, 1772359200000 + i);

        assert_int_equal(e->type, EVENT_MESSAGE_SENT);
        assert_int_equal(e->seq, 0);
        assert_null(e->id);
        assert_true(json_is_object(e->data));
    }
    assert_int_equal(list.n, 20);
    assert_string_equal(list.items[19].ts, "2026-03-01T10:00:00.019Z");
    kept = json_incref(list.items[3].data);
    event_list_reset(&list);
    assert_int_equal(list.n, 0);
    assert_true(list.cap >= 20);
    assert_int_equal(kept->refcount, 1);
    json_decref(kept);
    event_list_fini(&list);
    assert_null(list.items);
}

static void
test_reads_every_member(void **state)
{
    AUTO_JSON *v = parse(
        "{\"id\":\"i\",\"runId\":\"r\",\"seq\":7,\"ts\":\"2026-03-01T10:00:00.250Z\","
        "\"type\":\"signal.emitted\",\"subject\":{\"kind\":\"signal\",\"id\":\"m-1\"},"
        "\"source\":{\"kind\":\"runtime\",\"name\":\"rust-runtime\",\"rawType\":\"Signal\"},"
        "\"trace\":{\"traceId\":\"t\",\"spanId\":\"s\"},\"costModel\":\"c\",\"data\":{\"a\":1}}");
    struct event e;

    (void)state;
    assert_true(event_read(v, &e));
    assert_string_equal(e.id, "i");
    assert_int_equal(e.seq, 7);
    assert_int_equal(e.ts_ms, 1772359200250);
    assert_string_equal(e.ts, "2026-03-01T10:00:00.250Z");
    assert_int_equal(e.type, EVENT_SIGNAL_EMITTED);
    assert_null(e.type_name);
    assert_string_equal(e.subject_kind, "signal");
    assert_string_equal(e.subject_id, "m-1");
    assert_string_equal(e.source_kind, EVENT_SOURCE_RUNTIME);
    assert_string_equal(e.source_name, EVENT_RUNTIME_NAME);
    assert_string_equal(e.raw_type, "Signal");
    assert_string_equal(e.trace_id, "t");
    assert_string_equal(e.span_id, "s");
    assert_null(e.parent_span_id);
    assert_string_equal(e.cost_model, "c");
    assert_int_equal(json_object_size(e.data), 1);
    json_decref(e.data);
}

static void
test_keeps_the_name_of_a_foreign_type(void **state)
{
    AUTO_JSON *v =
        parse("{\"id\":null,\"seq\":1,\"ts\":\"2026-03-01T10:00:00Z\","
              "\"type\":\"message.custom\",\"subject\":{\"kind\":\"message\",\"id\":\"\"},"
              "\"data\":{}}");
    struct event e;

    (void)state;
    assert_true(event_read(v, &e));
    assert_int_equal(e.type, EVENT_UNKNOWN);
    assert_string_equal(e.type_name, "message.custom");
    assert_null(e.id);
    assert_null(e.subject_id);
    json_decref(e.data);
}

static void
test_refuses_what_is_no_event(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"seq\":1,\"ts\":\"2026-03-01T10:00:00Z\",\"type\":\"run.created\"}",
        "{\"seq\":1,\"ts\":\"2026-03-01T10:00:00Z\",\"type\":\"run.created\",\"data\":[]}",
        "{\"seq\":\"1\",\"ts\":\"2026-03-01T10:00:00Z\",\"type\":\"run.created\",\"data\":{}}",
        "{\"seq\":1e300,\"ts\":\"2026-03-01T10:00:00Z\",\"type\":\"run.created\",\"data\":{}}",
        "{\"seq\":1,\"ts\":\"yesterday\",\"type\":\"run.created\",\"data\":{}}",
        "{\"seq\":1,\"ts\":\"2026-03-01T10:00:00Z\",\"type\":4,\"data\":{}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_JSON *v = parse(bad[i]);
        struct event e = {.seq = 99};

        assert_false(event_read(v, &e));
        assert_int_equal(e.seq, 99);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_has_a_name_that_parses_back),
        cmocka_unit_test(test_foreign_types_are_unknown),
        cmocka_unit_test(test_subject_needs_kind_and_id),
        cmocka_unit_test(test_list_gives_empty_events_and_drops_their_data),
        cmocka_unit_test(test_reads_every_member),
        cmocka_unit_test(test_keeps_the_name_of_a_foreign_type),
        cmocka_unit_test(test_refuses_what_is_no_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
