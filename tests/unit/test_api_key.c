/* Entries of AUTH_API_KEYS: which have a name and a role, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/api_key.h"

#define KEY "0123456789abcdef"

static void
entries_split_into_name_role_and_key(void **state UNUSED)
{
    static const struct {
        const char *entry, *name, *secret;
        enum api_role role;
    } cases[] = {
        {KEY, NULL, KEY, API_ROLE_ADMIN},
        {"grafana:read:" KEY, "grafana", KEY, API_ROLE_READ},
        {"ci.nightly-2_b:operate:" KEY, "ci.nightly-2_b", KEY, API_ROLE_OPERATE},
        {"ops:admin:" KEY, "ops", KEY, API_ROLE_ADMIN},
        {"ops:admin:a:b:" KEY, "ops", "a:b:" KEY, API_ROLE_ADMIN},
        /* keys that merely contain colons */
        {"grafana:" KEY, NULL, "grafana:" KEY, API_ROLE_ADMIN},
        {":read:" KEY, NULL, ":read:" KEY, API_ROLE_ADMIN},
        {"a::" KEY, NULL, "a::" KEY, API_ROLE_ADMIN},
        {"a:B1:" KEY, NULL, "a:B1:" KEY, API_ROLE_ADMIN},
        {"a=b:read:" KEY, NULL, "a=b:read:" KEY, API_ROLE_ADMIN},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct api_key key;
        const char *reason = api_key_parse(cases[i].entry, &key);

        if (reason)
            fail_msg("%s %s", cases[i].entry, reason);
        assert_int_equal(key.role, cases[i].role);
        assert_string_equal(key.secret, cases[i].secret);
        if (!cases[i].name)
            assert_null(key.name);
        else if (key.name_len != strlen(cases[i].name) ||
                 memcmp(key.name, cases[i].name, key.name_len) != 0)
            fail_msg("%s: name %.*s", cases[i].entry, (int)key.name_len, key.name);
    }
}

static void
bad_entries_are_refused_with_a_reason(void **state UNUSED)
{
    static const struct {
        const char *entry, *reason;
    } cases[] = {
        {"short", "16 to 256"},
        {"grafana:read:short", "16 to 256"},
        {"grafana:read:", "16 to 256"},
        {"grafana:read:with a blank in it", "printable"},
        {"grafana:reader:" KEY, "role read, operate or admin"},
        {"an-0123456789-0123456789-012345678:read:" KEY, "at most 32"},
        {"anonymous:read:" KEY, "anonymous"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct api_key key;
        const char *reason = api_key_parse(cases[i].entry, &key);

        if (!reason || !strstr(reason, cases[i].reason))
            fail_msg("%s: %s", cases[i].entry, reason ? reason : "taken");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_split_into_name_role_and_key),
        cmocka_unit_test(bad_entries_are_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
