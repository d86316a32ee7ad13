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
        char actor[AUTH_ACTOR_LEN] = "";

        if (auth_check(a, cases[i].header, actor) != cases[i].want)
            fail_msg("%s", cases[i].header);
        assert_int_equal(*actor != '\0', cases[i].want == AUTH_OK);
    }
    auth_free(a);
}

static void
the_actor_is_the_start_of_the_keys_hash(void **state UNUSED)
{
    struct auth *a = auth_new(&(struct config_list){2, keys});
    char bare[AUTH_ACTOR_LEN], bearer[AUTH_ACTOR_LEN], other[AUTH_ACTOR_LEN];

    assert_int_equal(auth_check(a, "first-key-0123456789", bare), AUTH_OK);
    assert_int_equal(auth_check(a, "Bearer first-key-0123456789", bearer), AUTH_OK);
    assert_int_equal(auth_check(a, "second-key-0123456789", other), AUTH_OK);
    assert_string_equal(bare, "key-ed60d752");
    assert_string_equal(bearer, bare);
    assert_string_not_equal(other, bare);
    auth_free(a);
}

static void
without_keys_everybody_is_let_in(void **state UNUSED)
{
    struct auth *a = auth_new(&(struct config_list){0, NULL});
    char actor[AUTH_ACTOR_LEN] = "";

    assert_int_equal(auth_check(a, NULL, actor), AUTH_OK);
    assert_int_equal(auth_check(a, "Bearer anything", actor), AUTH_OK);
    assert_string_equal(actor, "");
    auth_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_judged),
        cmocka_unit_test(the_actor_is_the_start_of_the_keys_hash),
        cmocka_unit_test(without_keys_everybody_is_let_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
