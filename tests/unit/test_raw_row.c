/* Raw bodies: protobuf bytes back to the JSON that exports show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/raw_row.h"

#define EMPTY_TAIL "\"timestampUnixMs\":0,\"payloadBase64\":\"\"}"

static const struct {
    const char *source, *bytes;
    size_t n;
    bool whole;
    const char *json;
} cases[] = {
#define BYTES(s) s, sizeof(s) - 1
    {"session",
     BYTES("\x0a\x03"
           "1.0"
           "\x12\x01"
           "m"
           "\x1a\x04Vote"
           "\x22\x01i"
           "\x2a\x01s"
           "\x32\x01w"
           "\x38\x92\xdf\xdc\xc6\xca\x33"
           "\x42\x03\x0a\x01p"),
     true,
     "{\"macpVersion\":\"1.0\",\"mode\":\"m\",\"messageType\":\"Vote\",\"messageId\":\"i\","
     "\"sessionId\":\"s\","
     "\"sender\":\"w\",\"timestampUnixMs\":1772359200658,\"payloadBase64\":\"CgFw\"}"},
    {"ambient", BYTES(""), true,
     "{\"macpVersion\":\"\",\"mode\":\"\",\"messageType\":\"\",\"messageId\":\"\",\"sessionId\":"
     "\"\",\"sender\":\"\"," EMPTY_TAIL},
    /* the last value wins, unknown fields and foreign wire types are passed over, text is cleaned
     */
    {"session",
     BYTES("\x0a\x01x"
           "\x0a\x02"
           "\"\xff"
           "\x10\x05"
           "\x9a\x06\x01z"),
     true,
     "{\"macpVersion\":\"\\\"\xef\xbf\xbd\",\"mode\":\"\",\"messageType\":\"\",\"messageId\":\"\","
     "\"sessionId\":\"\","
     "\"sender\":\"\"," EMPTY_TAIL},
    /* cut off: what could be read, and the caller is told */
    {"session",
     BYTES("\x0a\x01x"
           "\x12\x7f"
           "m"),
     false,
     "{\"macpVersion\":\"x\",\"mode\":\"\",\"messageType\":\"\",\"messageId\":\"\",\"sessionId\":"
     "\"\",\"sender\":\"\"," EMPTY_TAIL},
    {"snapshot",
     BYTES("\x0a\x01s"
           "\x12\x01m"
           "\x18\x02"
           "\x20\x05"
           "\x5a\x01i"
           "\x6a\x01"
           "a"
           "\x6a\x01"
           "b"),
     true,
     "{\"sessionId\":\"s\",\"mode\":\"m\",\"state\":\"SESSION_STATE_RESOLVED\",\"startedAtUnixMs\":"
     "5,"
     "\"expiresAtUnixMs\":0,\"modeVersion\":\"\",\"configurationVersion\":\"\",\"policyVersion\":"
     "\"\","
     "\"initiator\":\"i\",\"extensionKeys\":[\"a\",\"b\"]}"},
    {"snapshot",
     BYTES("\x18\x09"
           "\x62\x01"
           "c"),
     true,
     "{\"sessionId\":\"\",\"mode\":\"\",\"state\":9,\"startedAtUnixMs\":0,\"expiresAtUnixMs\":0,"
     "\"modeVersion\":\"\",\"configurationVersion\":\"\",\"policyVersion\":\"\",\"initiator\":\"\","
     "\"contextId\":\"c\"}"},
    {"inline-error",
     BYTES("\x12\x04oops"
           "\x22\x01m"),
     true, "{\"code\":\"UNKNOWN\",\"message\":\"oops\",\"sessionId\":\"\",\"messageId\":\"m\"}"},
    {"status", BYTES("{\"status\":\"opened\"}"), true, "{\"status\":\"opened\"}"},
};

static void
bodies_become_the_json_of_their_source(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b = {0};

        if (raw_payload_write(cases[i].source, cases[i].bytes, cases[i].n, &b) != cases[i].whole)
            fail_msg("case %zu: whole or not", i);
        assert_string_equal(buf_cstr(&b), cases[i].json);
        buf_fini(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_become_the_json_of_their_source),
    };

    return cmocka_run_group_tests_name("raw_row", tests, NULL, NULL);
}
