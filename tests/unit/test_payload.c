/* Payload bytes: the table, the strict walk, presence, and what hostile bytes become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "observerd/payload.h"
#include "shared/buf.h"
#include "shared/json.h"

#define DECISION "macp.mode.decision.v1"
#define TASK     "macp.mode.task.v1"

/* The decoded value as JSON text; "-" when absent. */
static char *
decoded(const char *mode, const char *type, const void *bytes, size_t n, const char **type_name)
{
    char *exact = malloc(n + !n); /* nothing behind it: reading on is found by the sanitizer */
    struct payload p;
    struct buf out = {0};

    if (n)
        memcpy(exact, bytes, n);
    p = payload_decode(mode, type, exact, n);
    free(exact);
    if (type_name)
        *type_name = p.type_name;
    if (p.value)
        jv_write(&out, p.value);
    else
        buf_char(&out, '-');
    json_decref(p.value);
    return buf_steal(&out);
}

static void
check(const char *mode, const char *type, const void *bytes, size_t n, const char *want)
{
    char *got = decoded(mode, type, bytes, n, NULL);

    if (strcmp(got, want) != 0)
        fail_msg("%s gives %s, not %s", type, got, want);
    free(got);
}

#define CHECK(mode, type, bytes, want) check((mode), (type), "" bytes, sizeof(bytes) - 1, (want))
/* Malformed as a message: the text wrapper shows it. */
#define CHECK_TEXT(mode, type, bytes)                                                              \
    do {                                                                                           \
        char *got_ = decoded((mode), (type), "" bytes, sizeof(bytes) - 1, NULL);                   \
        if (!strstr(got_, "\"encoding\":\"text\""))                                                \
            fail_msg("%s was taken as a message: %s", #bytes, got_);                               \
        free(got_);                                                                                \
    } while (0)

static void
test_every_row_has_kinds_that_the_walk_knows(void **state)
{
    char key[PAYLOAD_KEY_LEN];

    (void)state;
    assert_int_equal(payload_types_count, 31);
    for (size_t i = 0; i < payload_types_count; i++) {
        const ProtobufCMessageDescriptor *d = payload_types[i].descriptor;

        assert_ptr_equal(payload_descriptor(d->name), d);
        for (unsigned f = 0; f < d->n_fields; f++) {
            ProtobufCType t = d->fields[f].type;
            bool repeated = d->fields[f].label == PROTOBUF_C_LABEL_REPEATED;

            payload_key(d->fields[f].name, key, sizeof key);
            assert_true(strlen(key) < sizeof key - 1); /* not cut */
            if (t != PROTOBUF_C_TYPE_STRING && t != PROTOBUF_C_TYPE_MESSAGE)
                assert_false(repeated); /* packed scalars are not read */
            assert_true(t == PROTOBUF_C_TYPE_STRING || t == PROTOBUF_C_TYPE_MESSAGE ||
                        t == PROTOBUF_C_TYPE_BYTES || t == PROTOBUF_C_TYPE_DOUBLE ||
                        t == PROTOBUF_C_TYPE_BOOL || t == PROTOBUF_C_TYPE_UINT32 ||
                        t == PROTOBUF_C_TYPE_INT64);
        }
    }
    assert_null(payload_descriptor("macp.v1.Envelope"));
}

static void
test_types_are_found_by_mode_then_core(void **state)
{
    const char *name;

    (void)state;
    free(decoded("macp.mode.quorum.v1", "Reject", "", 0, &name));
    assert_string_equal(name, "macp.modes.quorum.v1.RejectPayload");
    free(decoded("macp.mode.proposal.v1", "Reject", "", 0, &name));
    assert_string_equal(name, "macp.modes.proposal.v1.RejectPayload");
    free(decoded("anything", "Signal", "", 0, &name));
    assert_string_equal(name, "macp.v1.SignalPayload");
    free(decoded(TASK, "Vote", "x", 1, &name));
    assert_null(name); /* other modes' types are invisible */
    free(decoded("", "signal", "x", 1, &name));
    assert_null(name); /* case matters */
}

static void
test_defaults_are_absent_and_the_last_value_wins(void **state)
{
    (void)state;
    CHECK(DECISION, "Vote", "\x0a\x00\x12\x01y", "{\"vote\":\"y\"}");
    CHECK(DECISION, "Vote", "\x0a\x01p\x0a\x01q", "{\"proposalId\":\"q\"}");
    CHECK(DECISION, "Vote", "\x0a\x01p\x0a\x00", "{}");
    CHECK(TASK, "TaskFail", "\x28\x02", "{\"retryable\":true}");
    CHECK(TASK, "TaskFail", "\x28\x00", "{}");
    CHECK(TASK, "TaskRequest", "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
          "{\"deadlineUnixMs\":-1}");
    CHECK(TASK, "TaskUpdate", "\x19\0\0\0\0\0\0\0\x80", "{}"); /* minus zero */
    CHECK(TASK, "TaskUpdate", "\x19\0\0\0\0\0\0\xf8\x7f", "{\"progress\":null}");
    CHECK("macp.mode.quorum.v1", "ApprovalRequest", "\x28\x83\x80\x80\x80\x10",
          "{\"requiredApprovals\":3}"); /* low 32 bits */
}

static void
test_outcome_of_a_commitment_is_always_there(void **state)
{
    (void)state;
    CHECK(DECISION, "Commitment", "", "{\"outcomePositive\":false}");
    CHECK(DECISION, "Commitment", "\x40\x00", "{\"outcomePositive\":false}");
    CHECK(DECISION, "Commitment", "\x40\x01", "{\"outcomePositive\":true}");
    CHECK(DECISION, "Commitment", "\x40\x01\x40\x00", "{\"outcomePositive\":false}");
}

static void
test_messages_lists_and_maps(void **state)
{
    (void)state;
    CHECK("", "SessionStart", "\x12\x00\x12\x01x", "{\"participants\":[\"\",\"x\"]}");
    CHECK("", "SessionStart", "\x3a\x00\x3a\x03\x0a\x01u", "{\"roots\":[{},{\"uri\":\"u\"}]}");
    CHECK("", "SessionStart", "\x4a\x06\x0a\x01k\x12\x01z\x4a\x05\x0a\x01k\x12\x00\x4a\x00",
          "{\"extensions\":{\"k\":\"\",\"\":\"\"}}");
    /* a second sub-message replaces the first */
    CHECK(DECISION, "Commitment", "\x4a\x03\x0a\x01s\x4a\x03\x12\x01h",
          "{\"supersedes\":{\"commitmentHash\":\"h\"},\"outcomePositive\":false}");
}

static void
test_unknown_fields_and_other_wire_types_are_skipped(void **state)
{
    (void)state;
    CHECK(DECISION, "Vote", "\x0a\x01p\x78\x01\xf9\x01\1\2\3\4\5\6\7\x08\xfd\x01\1\2\3\4",
          "{\"proposalId\":\"p\"}");
    CHECK(DECISION, "Vote", "\x08\x05\x12\x01y", "{\"vote\":\"y\"}"); /* a varint for a string */
    CHECK(DECISION, "Vote", "\xa3\x01\x0a\x01q\xa4\x01\x0a\x01p", "{\"proposalId\":\"p\"}");
}

static void
test_malformed_bytes_become_text(void **state)
{
    (void)state;
    CHECK_TEXT(DECISION, "Vote", "\x0a\x05p");                                    /* too short */
    CHECK_TEXT(DECISION, "Vote", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"); /* huge */
    CHECK_TEXT(DECISION, "Vote", "\x0a");
    CHECK_TEXT(DECISION, "Vote", "\x0a\x02\xc3(");        /* no UTF-8 */
    CHECK_TEXT(DECISION, "Vote", "\x0a\x03\xed\xa0\x80"); /* an encoded surrogate */
    CHECK_TEXT(DECISION, "Vote", "\x00\x00");             /* field number 0 */
    CHECK_TEXT(DECISION, "Vote", "\x0e");                 /* wire type 6 */
    CHECK_TEXT(DECISION, "Vote", "\x0f");                 /* wire type 7 */
    CHECK_TEXT(DECISION, "Vote", "\x0c");                 /* end of no group */
    CHECK_TEXT(DECISION, "Vote", "\xa3\x01");             /* a group without end */
    CHECK_TEXT(DECISION, "Vote", "\xa3\x01\xac\x01");     /* closed by another number */
    CHECK_TEXT(DECISION, "Vote", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"); /* 11 bytes */
    CHECK_TEXT(DECISION, "Vote", "\x80\x80\x80\x80\x10"); /* a tag of 33 bits */
    CHECK_TEXT(TASK, "TaskUpdate", "\x19\1\2\3");
    CHECK_TEXT("", "SessionStart", "\x3a\x02\x0a\x05"); /* inside a sub-message */
    CHECK_TEXT("", "SessionStart", "\x4a\x03\x0a\x01\xff");
}

static void
test_groups_nest_a_hundred_deep_and_no_deeper(void **state)
{
    (void)state;
    for (int depth = 100; depth <= 101; depth++) {
        AUTO_BUF bytes = {0};
        char *got;

        for (int i = 0; i < depth; i++)
            buf_lit(&bytes, "\xa3\x01");
        for (int i = 0; i < depth; i++)
            buf_lit(&bytes, "\xa4\x01");
        got = decoded(DECISION, "Vote", bytes.p, bytes.len, NULL);
        if (depth == 100)
            assert_string_equal(got, "{}");
        else
            assert_non_null(strstr(got, "\"encoding\":\"text\""));
        free(got);
    }
}

static void
test_json_comes_first_where_it_starts_like_json(void **state)
{
    const char *name;
    char *got;

    (void)state;
    CHECK(DECISION, "Vote", "{\"vote\":\"y\"}",
          "{\"json\":{\"vote\":\"y\"},\"encoding\":\"json\"}");
    CHECK("x", "Custom", " 1.50 ", "{\"json\":1.5,\"encoding\":\"json\"}");
    CHECK("x", "Custom", "a\0b",
          "{\"text\":\"a\xEF\xBF\xBD"
          "b\",\"encoding\":\"text\",\"payloadBase64\":\"YQBi\"}");
    CHECK("x", "Custom", "", "-");
    got = decoded("ext.multi_round.v1", "Contribute", "{\"value\":\"v\"}", 13, &name);
    assert_string_equal(name, "__json__");
    free(got);
    got = decoded("ext.multi_round.v1", "Contribute", "\x0a\x01v", 3, &name);
    assert_string_equal(name, "macp.modes.multi_round.v1.ContributePayload");
    assert_string_equal(got, "{\"value\":\"v\"}");
    free(got);
    got = decoded("ext.multi_round.v1", "Contribute", "", 0, &name);
    assert_string_equal(name, "__json__");
    assert_string_equal(got, "-");
    free(got);
}

static void
test_inner_payload_is_the_object_in_a_json_wrapper(void **state)
{
    AUTO_JSON *wrapped = json_pack("{s:{s:i},s:s}", "json", "a", 1, "encoding", "json");
    AUTO_JSON *array = json_pack("{s:[i],s:s}", "json", 1, "encoding", "json");
    AUTO_JSON *plain = json_pack("{s:{s:i}}", "json", "a", 1);

    (void)state;
    assert_ptr_equal(payload_inner(wrapped), json_object_get(wrapped, "json"));
    assert_ptr_equal(payload_inner(array), array);
    assert_ptr_equal(payload_inner(plain), plain);
    assert_null(payload_inner(NULL));
}

static void
test_members_tell_which_of_them_are_bytes(void **state)
{
    const ProtobufCMessageDescriptor *start = payload_descriptor("macp.v1.SessionStartPayload");
    const ProtobufCMessageDescriptor *signal = payload_descriptor("macp.v1.SignalPayload");

    (void)state;
    assert_int_equal(payload_member_kind(start, "extensions"), PAYLOAD_BYTES_MAP);
    assert_int_equal(payload_member_kind(start, "roots"), PAYLOAD_PLAIN);
    assert_int_equal(payload_member_kind(signal, "data"), PAYLOAD_BYTES);
    assert_int_equal(payload_member_kind(signal, "signalType"), PAYLOAD_PLAIN);
    assert_int_equal(payload_member_kind(signal, "nothing"), PAYLOAD_PLAIN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_kinds_that_the_walk_knows),
        cmocka_unit_test(test_types_are_found_by_mode_then_core),
        cmocka_unit_test(test_defaults_are_absent_and_the_last_value_wins),
        cmocka_unit_test(test_outcome_of_a_commitment_is_always_there),
        cmocka_unit_test(test_messages_lists_and_maps),
        cmocka_unit_test(test_unknown_fields_and_other_wire_types_are_skipped),
        cmocka_unit_test(test_malformed_bytes_become_text),
        cmocka_unit_test(test_groups_nest_a_hundred_deep_and_no_deeper),
        cmocka_unit_test(test_json_comes_first_where_it_starts_like_json),
        cmocka_unit_test(test_inner_payload_is_the_object_in_a_json_wrapper),
        cmocka_unit_test(test_members_tell_which_of_them_are_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
