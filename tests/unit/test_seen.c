/* What was seen is known, what was not is not, while the table grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "observerd/seen.h"
#include "shared/macros.h"

static void
test_each_envelope_is_new_once(void **state UNUSED)
{
    enum { N = 20000 };
    struct seen s = {0};
    char id[32];

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            snprintf(id, sizeof id, "message-%d", i);
            assert_int_equal(seen_add(&s, id, "Vote", "agent"), round == 0);
        }
    assert_int_equal(s.n, N);
    assert_true(s.cap >= 2 * s.n);
    assert_true(s.cap <= 8 * s.n);
    assert_int_equal(s.cap & (s.cap - 1), 0);
    seen_fini(&s);
    assert_null(s.slots);
}

static void
test_id_type_and_sender_count_together(void **state UNUSED)
{
    static const struct {
        const char *id, *type, *sender;
        bool is_new;
    } cases[] = {
        {"m1", "Vote", "a", true},      {"m1", "Vote", "a", false}, {"m1", "Vote", "b", true},
        {"m1", "Proposal", "a", true},  {"m2", "Vote", "a", true},  {"", "Vote", "a", true},
        {"m1V", "ote", "a", true}, /* where one ends matters */
        {"m1", "Votea", "", true},      {"m1Vote", "", "a", true},  {"", "", "", true},
        {"m1", "Proposal", "a", false}, {"m1", "Votea", "", false},
    };
    struct seen s = {0};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(seen_add(&s, cases[i].id, cases[i].type, cases[i].sender),
                         cases[i].is_new);
    seen_fini(&s);
}

static void
test_emptied_set_knows_nothing(void **state UNUSED)
{
    struct seen s = {0};

    assert_true(seen_add(&s, "m", "t", "s"));
    seen_fini(&s);
    assert_true(seen_add(&s, "m", "t", "s"));
    seen_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_envelope_is_new_once),
        cmocka_unit_test(test_id_type_and_sender_count_together),
        cmocka_unit_test(test_emptied_set_knows_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
