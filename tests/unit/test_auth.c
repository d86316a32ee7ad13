/* API keys: which headers are let in, and as whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/auth.h"

static const char *keys[] = {"first-key-0123456789", "second-key-0123456789"};

static void
headers_are_judged(void **state UNUSED)
{
    static const struct {
        const char *header;
        enum auth_outcome want;
    } cases[] = {
        {NULL, AUTH_MISSING},
        {"", AUTH_MISSING},
        {"Bearer", AUTH_WRONG},
        {"Bearer ", AUTH_WRONG},
        {"Bearer first-key-0123456789", AUTH_OK},
        {"Bearer second-key-0123456789", AUTH_OK},
        {"first-key-0123456789", AUTH_OK},
        {"bearer first-key-0123456789", AUTH_WRONG},
        {"Bearer  first-key-0123456789", AUTH_WRONG},
        {"Bearer first-key-0123456789 ", AUTH_WRONG},
        {"Bearer first-key-012345678", AUTH_WRONG},
        {"Bearer first-key-01234567890", AUTH_WRONG},
        {"Bearer FIRST-KEY-0123456789", AUTH_WRONG},
        {"Bearer first-key-0123456789,second-key-0123456789", AUTH_WRONG},
        {"Basic Zmlyc3Q=", AUTH_WRONG},
    };
    struct auth *a = auth_new(&(struct config_list){2, keys});

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct auth_caller caller = {0};

        if (auth_check(a, cases[i].header, &caller) != cases[i].want)
            fail_msg("%s", cases[i].header);
        assert_int_equal(caller.actor[0] != '\0', cases[i].want == AUTH_OK);
    }
    auth_free(a);
}

static void
nameless_keys_are_called_by_their_hash_and_may_do_everything(void **state UNUSED)
{
    struct auth *a = auth_new(&(struct config_list){2, keys});
    struct auth_caller bare, bearer, other;

    assert_int_equal(auth_check(a, "first-key-0123456789", &bare), AUTH_OK);
    assert_int_equal(auth_check(a, "Bearer first-key-0123456789", &bearer), AUTH_OK);
    assert_int_equal(auth_check(a, "second-key-0123456789", &other), AUTH_OK);
    assert_string_equal(bare.actor, "key-ed60d752");
    assert_string_equal(bearer.actor, bare.actor);
    assert_string_not_equal(other.actor, bare.actor);
    assert_int_equal(bare.role, API_ROLE_ADMIN);
    auth_free(a);
}

static void
named_keys_have_their_name_and_role(void **state UNUSED)
{
    static const char *named[] = {"grafana:read:first-key-0123456789",
                                  "ci:operate:second-key-0123456789"};
    struct auth *a = auth_new(&(struct config_list){2, named});
    struct auth_caller caller;

    assert_int_equal(auth_check(a, "Bearer first-key-0123456789", &caller), AUTH_OK);
    assert_string_equal(caller.actor, "grafana");
    assert_int_equal(caller.role, API_ROLE_READ);
    assert_int_equal(auth_check(a, "second-key-0123456789", &caller), AUTH_OK);
    assert_string_equal(caller.actor, "ci");
    assert_int_equal(caller.role, API_ROLE_OPERATE);
    /* What stands in the configuration is not the key. */
    assert_int_equal(auth_check(a, named[0], &caller), AUTH_WRONG);
    auth_free(a);
}

static void
without_keys_everybody_is_let_in_as_nobody(void **state UNUSED)
{
    struct auth *a = auth_new(&(struct config_list){0, NULL});
    struct auth_caller caller;

    assert_int_equal(auth_check(a, NULL, &caller), AUTH_OK);
    assert_int_equal(auth_check(a, "Bearer anything", &caller), AUTH_OK);
    assert_string_equal(caller.actor, "anonymous");
    assert_int_equal(caller.role, API_ROLE_ADMIN);
    auth_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_judged),
        cmocka_unit_test(nameless_keys_are_called_by_their_hash_and_may_do_everything),
        cmocka_unit_test(named_keys_have_their_name_and_role),
        cmocka_unit_test(without_keys_everybody_is_let_in_as_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
