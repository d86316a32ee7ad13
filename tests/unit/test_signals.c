/* Which session an ambient envelope belongs to, and what tells it from others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/envelope.h"
#include "observerd/signals.h"

struct correlated {
    const char *type, *session, *payload, *wanted;
};

// clang-format off
static const struct correlated texts[] = {
    {"Signal",   "s-1", "",                                                    "s-1"},
    {"Signal",   "",    "",                                                    ""},
    {"Signal",   "",    "{\"correlationSessionId\":\"s-2\"}",                  "s-2"},
    {"Signal",   "",    "{\"correlation_session_id\":\"s-3\"}",                "s-3"},
    {"Signal",   "",    "{\"correlationSessionId\":\"\",\"correlation_session_id\":\"s-4\"}", "s-4"},
    {"Signal",   "",    "{\"correlationSessionId\":7}",                        ""},
    {"Signal",   "",    "[\"correlationSessionId\"]",                          ""},
    {"Signal",   "",    "{\"correlationSessionId\":\"s-5\"",                   ""}, /* cut short */
    {"Anything", "",    "{\"correlationSessionId\":\"s-6\"}",                  "s-6"},
    {"Anything", "",    "plain words",                                         ""},
    {"Progress", "",    "",                                                    ""},
    {"Signal",   "s-7", "{\"correlationSessionId\":\"s-8\"}",                  "s-7"},
};
// clang-format on

static void
session_is_the_envelopes_own_or_the_one_its_payload_names(void **state)
{
    struct arena a = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct envelope e = {.message_type = texts[i].type,
                             .mode = "",
                             .session_id = texts[i].session,
                             .payload = texts[i].payload,
                             .payload_len = strlen(texts[i].payload)};

        assert_string_equal(signals_session_of(&e, &a), texts[i].wanted);
    }
    arena_fini(&a);
}

static size_t
pack_signal(const char *message_id, const char *correlation, uint8_t *out, size_t cap)
{
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;
    Macp__V1__SignalPayload p = MACP__V1__SIGNAL_PAYLOAD__INIT;
    uint8_t payload[256];

    p.signal_type = (char *)(uintptr_t) "note";
    p.correlation_session_id = (char *)(uintptr_t)correlation;
    assert_true(macp__v1__signal_payload__get_packed_size(&p) <= sizeof payload);
    e.macp_version = (char *)(uintptr_t) "1.0";
    e.message_type = (char *)(uintptr_t) "Signal";
    e.message_id = (char *)(uintptr_t)message_id;
    e.sender = (char *)(uintptr_t) "agent://planner";
    e.timestamp_unix_ms = 1772359200525;
    e.payload.len = macp__v1__signal_payload__pack(&p, payload);
    e.payload.data = payload;
    assert_true(macp__v1__envelope__get_packed_size(&e) <= cap);
    return macp__v1__envelope__pack(&e, out);
}

static void
protobuf_signal_is_read_whole_and_correlated(void **state)
{
    struct arena a = {0};
    struct envelope e;
    uint8_t bytes[512];
    size_t n = pack_signal("m-1", "s-9", bytes, sizeof bytes);

    (void)state;
    assert_true(envelope_read(bytes, n, &a, &e));
    assert_string_equal(e.message_type, "Signal");
    assert_string_equal(e.message_id, "m-1");
    assert_string_equal(e.sender, "agent://planner");
    assert_string_equal(e.mode, "");
    assert_int_equal(e.timestamp_unix_ms, 1772359200525);
    assert_string_equal(signals_session_of(&e, &a), "s-9");
    /* One byte short it is still read as far as it goes. */
    assert_false(envelope_read(bytes, n - 1, &a, &e));
    assert_string_equal(e.sender, "agent://planner");
    arena_fini(&a);
}

static void
identity_is_the_id_or_the_hash_of_all_bytes(void **state)
{
    struct arena a = {0};
    struct envelope e;
    uint8_t one[2048], other[2048];
    char long_id[700];
    size_t n, m;

    (void)state;
    n = pack_signal("m-1", "s-1", one, sizeof one);
    assert_true(envelope_read(one, n, &a, &e));
    assert_string_equal(envelope_identity(&a, &e, one, n), "m-1");

    n = pack_signal("", "s-1", one, sizeof one);
    m = pack_signal("", "s-2", other, sizeof other);
    assert_true(envelope_read(one, n, &a, &e));
    assert_memory_equal(envelope_identity(&a, &e, one, n), "sha256:", 7);
    assert_string_equal(envelope_identity(&a, &e, one, n), envelope_identity(&a, &e, one, n));
    assert_string_not_equal(envelope_identity(&a, &e, one, n), envelope_identity(&a, &e, other, m));

    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    n = pack_signal(long_id, "s-1", one, sizeof one);
    assert_true(envelope_read(one, n, &a, &e));
    assert_int_equal(strlen(envelope_identity(&a, &e, one, n)), 7 + 64);
    assert_string_equal(envelope_identity(&a, &e, one, n), envelope_key(&a, long_id));
    arena_fini(&a);
}

static void
short_texts_are_their_own_keys(void **state)
{
    struct arena a = {0};

    (void)state;
    assert_null(envelope_key(&a, NULL));
    assert_string_equal(envelope_key(&a, ""), "");
    assert_string_equal(envelope_key(&a, "abc"), "abc");
    arena_fini(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_is_the_envelopes_own_or_the_one_its_payload_names),
        cmocka_unit_test(protobuf_signal_is_read_whole_and_correlated),
        cmocka_unit_test(identity_is_the_id_or_the_hash_of_all_bytes),
        cmocka_unit_test(short_texts_are_their_own_keys),
    };

    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
