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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_back),
        cmocka_unit_test(other_names_are_refused),
        cmocka_unit_test(three_statuses_are_terminal),
        cmocka_unit_test(transitions_are_exactly_these),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
