/* The life of a run: names, and which status may follow which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "shared/run.h"

static void
names_are_read_back(void **state UNUSED)
{
    static const char *const wanted[RUN_STATUS__COUNT] = {
        [RUN_QUEUED] = "queued",       [RUN_STARTING] = "starting",
        [RUN_RUNNING] = "running",     [RUN_BINDING_SESSION] = "binding_session",
        [RUN_SUSPENDED] = "suspended", [RUN_COMPLETED] = "completed",
        [RUN_FAILED] = "failed",       [RUN_CANCELLED] = "cancelled",
    };

    for (enum run_status s = 0; s < RUN_STATUS__COUNT; s++) {
        enum run_status back = RUN_STATUS__COUNT;

        assert_string_equal(run_status_name(s), wanted[s]);
        assert_true(run_status_parse(wanted[s], &back));
        assert_int_equal(back, s);
    }
}

static void
other_names_are_refused(void **state UNUSED)
{
    static const char *const names[] = {"", "Queued", "running ", "done", "run", "canceled"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum run_status s = RUN_SUSPENDED;

        assert_false(run_status_parse(names[i], &s));
        assert_int_equal(s, RUN_SUSPENDED);
    }
}

static void
three_statuses_are_terminal(void **state UNUSED)
{
    for (enum run_status s = 0; s < RUN_STATUS__COUNT; s++)
        assert_int_equal(run_status_is_terminal(s),
                         s == RUN_COMPLETED || s == RUN_FAILED || s == RUN_CANCELLED);
}

/* The whole relation, row = from, column = to, in the order of the enum. */
static void
transitions_are_exactly_these(void **state UNUSED)
{
    static const char *const allowed[RUN_STATUS__COUNT] = {
        /*                          q s b r u c f x */
        [RUN_QUEUED] = "01000011",          [RUN_STARTING] = "00100011",
        [RUN_BINDING_SESSION] = "00010011", [RUN_RUNNING] = "00001111",
        [RUN_SUSPENDED] = "00010111",       [RUN_COMPLETED] = "00000000",
        [RUN_FAILED] = "00000000",          [RUN_CANCELLED] = "00000000",
    };

    for (enum run_status from = 0; from < RUN_STATUS__COUNT; from++)
        for (enum run_status to = 0; to < RUN_STATUS__COUNT; to++)
            if (run_transition_allowed(from, to) != (allowed[from][to] == '1'))
                fail_msg("%s -> %s", run_status_name(from), run_status_name(to));
}

/* From wherever a run is, legal steps lead to every later status. */
static void
each_step_towards_a_target_is_legal(void **state UNUSED)
{
    for (enum run_status from = RUN_QUEUED; from <= RUN_SUSPENDED; from++)
        for (enum run_status to = from + 1; to < RUN_STATUS__COUNT; to++) {
            enum run_status at = from;
            int steps = 0;

            while (at != to && steps++ < RUN_STATUS__COUNT) {
                enum run_status next = run_next_towards(at, to);

                if (!run_transition_allowed(at, next))
                    fail_msg("%s -> %s on the way to %s", run_status_name(at),
                             run_status_name(next), run_status_name(to));
                at = next;
            }
            assert_int_equal(at, to);
        }
}

static void
the_way_is_the_shortest(void **state UNUSED)
{
    static const struct {
        enum run_status from, to, next;
    } cases[] = {
        {RUN_QUEUED, RUN_RUNNING, RUN_STARTING},
        {RUN_STARTING, RUN_COMPLETED, RUN_BINDING_SESSION},
        {RUN_BINDING_SESSION, RUN_SUSPENDED, RUN_RUNNING},
        {RUN_QUEUED, RUN_FAILED, RUN_FAILED},
        {RUN_BINDING_SESSION, RUN_CANCELLED, RUN_CANCELLED},
        {RUN_RUNNING, RUN_SUSPENDED, RUN_SUSPENDED},
        {RUN_SUSPENDED, RUN_RUNNING, RUN_RUNNING},
        {RUN_SUSPENDED, RUN_COMPLETED, RUN_COMPLETED},
        {RUN_RUNNING, RUN_COMPLETED, RUN_COMPLETED},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(run_next_towards(cases[i].from, cases[i].to), cases[i].next);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_back),
        cmocka_unit_test(other_names_are_refused),
        cmocka_unit_test(three_statuses_are_terminal),
        cmocka_unit_test(transitions_are_exactly_these),
        cmocka_unit_test(each_step_towards_a_target_is_legal),
        cmocka_unit_test(the_way_is_the_shortest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
