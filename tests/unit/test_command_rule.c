/* What an answer means for a command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "observerd/command_rule.h"

#define OPEN      MACP__V1__SESSION_STATE__SESSION_STATE_OPEN
#define SUSPENDED MACP__V1__SESSION_STATE__SESSION_STATE_SUSPENDED
#define RESOLVED  MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED
#define EXPIRED   MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED
#define CANCELLED MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED
#define NO_STATE  MACP__V1__SESSION_STATE__SESSION_STATE_UNSPECIFIED

enum { NO, YES, NO_ACK };

static const enum command_kind about_sessions[] = {COMMAND_CANCEL, COMMAND_SUSPEND, COMMAND_RESUME};

static enum command_next
after_call(struct command_facts f, enum rt_code code, int said)
{
    Macp__V1__Ack ack = MACP__V1__ACK__INIT;

    ack.ok = said == YES;
    return command_after_call(&f, code, said == NO_ACK ? NULL : &ack);
}

static void
yes_of_the_runtime_is_to_be_confirmed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(about_sessions); i++)
        assert_int_equal(after_call((struct command_facts){about_sessions[i]}, RT_OK, YES),
                         COMMAND_NEXT_CONFIRM);
}

/* It may be what is wanted already, or not there at all. */
static void
no_of_the_runtime_is_looked_into(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(about_sessions); i++) {
        struct command_facts f = {about_sessions[i]};

        assert_int_equal(after_call(f, RT_OK, NO), COMMAND_NEXT_ASK);
        assert_int_equal(after_call(f, RT_OK, NO_ACK), COMMAND_NEXT_ASK);
        assert_int_equal(after_call(f, RT_NOT_FOUND, NO_ACK), COMMAND_NEXT_ASK);
        assert_int_equal(after_call(f, RT_FAILED_PRECONDITION, NO_ACK), COMMAND_NEXT_ASK);
    }
}

static void
other_statuses_fail_and_cancel_only_where_that_is_wanted(void **state)
{
    static const enum rt_code codes[] = {RT_PERMISSION_DENIED, RT_UNAVAILABLE, RT_UNAUTHENTICATED,
                                         RT_DEADLINE_EXCEEDED, RT_INTERNAL,    RT_UNIMPLEMENTED};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct command_facts cancel = {COMMAND_CANCEL}, suspend = {COMMAND_SUSPEND};

        assert_int_equal(after_call(cancel, codes[i], NO_ACK), COMMAND_NEXT_FAIL);
        cancel.awaiting = true;
        assert_int_equal(after_call(cancel, codes[i], NO_ACK), COMMAND_NEXT_FAIL);
        cancel.optimistic = suspend.optimistic = true;
        assert_int_equal(after_call(cancel, codes[i], NO_ACK), COMMAND_NEXT_END);
        assert_int_equal(after_call(suspend, codes[i], NO_ACK), COMMAND_NEXT_FAIL);
    }
}

static void
second_look_decides_by_the_sessions_state(void **state)
{
    static const struct {
        enum command_kind kind;
        Macp__V1__SessionState state;
        enum command_next wanted;
    } cases[] = {
        {COMMAND_CANCEL, OPEN, COMMAND_NEXT_FAIL},
        {COMMAND_CANCEL, SUSPENDED, COMMAND_NEXT_FAIL},
        {COMMAND_CANCEL, CANCELLED, COMMAND_NEXT_CONFIRM},
        {COMMAND_CANCEL, RESOLVED, COMMAND_NEXT_CONFIRM},
        {COMMAND_CANCEL, EXPIRED, COMMAND_NEXT_CONFIRM},
        {COMMAND_CANCEL, NO_STATE, COMMAND_NEXT_FAIL},
        {COMMAND_SUSPEND, SUSPENDED, COMMAND_NEXT_CONFIRM},
        {COMMAND_SUSPEND, OPEN, COMMAND_NEXT_FAIL},
        {COMMAND_SUSPEND, RESOLVED, COMMAND_NEXT_FAIL},
        {COMMAND_RESUME, OPEN, COMMAND_NEXT_CONFIRM},
        {COMMAND_RESUME, SUSPENDED, COMMAND_NEXT_FAIL},
        {COMMAND_RESUME, EXPIRED, COMMAND_NEXT_FAIL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(
            command_after_look(&(struct command_facts){cases[i].kind}, RT_OK, cases[i].state),
            cases[i].wanted);
}

static void
session_that_never_was_ends_only_a_run_that_awaits_it(void **state)
{
    struct command_facts f = {COMMAND_CANCEL};

    (void)state;
    assert_int_equal(command_after_look(&f, RT_NOT_FOUND, NO_STATE), COMMAND_NEXT_FAIL);
    f.awaiting = true;
    assert_int_equal(command_after_look(&f, RT_NOT_FOUND, NO_STATE), COMMAND_NEXT_END);
    assert_int_equal(command_after_look(&f, RT_UNAVAILABLE, NO_STATE), COMMAND_NEXT_FAIL);
    assert_int_equal(command_after_look(&f, RT_OK, OPEN), COMMAND_NEXT_FAIL);
}

static void
agents_yes_is_a_promise_unless_nothing_else_can_end_the_run(void **state)
{
    struct command_facts plain = {COMMAND_CANCEL}, awaiting = {COMMAND_CANCEL, .awaiting = true};
    struct command_facts optimistic = {COMMAND_CANCEL, .optimistic = true};
    static const int refusals[] = {0, 100, 199, 300, 302, 404, 500, 503};

    (void)state;
    for (int status = 200; status < 300; status += 33) {
        assert_int_equal(command_after_callback(&plain, status), COMMAND_NEXT_CONFIRM);
        assert_int_equal(command_after_callback(&awaiting, status), COMMAND_NEXT_END);
        assert_int_equal(command_after_callback(&optimistic, status), COMMAND_NEXT_END);
    }
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        assert_int_equal(command_after_callback(&plain, refusals[i]), COMMAND_NEXT_FAIL);
        assert_int_equal(command_after_callback(&awaiting, refusals[i]), COMMAND_NEXT_FAIL);
        assert_int_equal(command_after_callback(&optimistic, refusals[i]), COMMAND_NEXT_FAIL);
    }
}

static void
run_confirms_what_it_has_become(void **state)
{
    (void)state;
    for (int status = 0; status < RUN_STATUS__COUNT; status++) {
        bool ended = run_status_is_terminal((enum run_status)status);

        assert_int_equal(command_is_confirmed(COMMAND_CANCEL, (enum run_status)status), ended);
        assert_int_equal(command_is_confirmed(COMMAND_SUSPEND, (enum run_status)status),
                         ended || status == RUN_SUSPENDED);
        assert_int_equal(command_is_confirmed(COMMAND_RESUME, (enum run_status)status),
                         ended || status == RUN_RUNNING);
    }
}

static void
every_kind_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < COMMAND__COUNT; i++) {
        enum command_kind kind;

        assert_true(command_kind_parse(command_kind_name((enum command_kind)i), &kind));
        assert_int_equal(kind, i);
        assert_non_null(strchr(command_audit_action((enum command_kind)i), '.'));
        assert_true(strlen(command_audit_resource((enum command_kind)i)) > 0);
    }
    assert_false(command_kind_parse("", &(enum command_kind){0}));
    assert_false(command_kind_parse("send", &(enum command_kind){0}));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yes_of_the_runtime_is_to_be_confirmed),
        cmocka_unit_test(no_of_the_runtime_is_looked_into),
        cmocka_unit_test(other_statuses_fail_and_cancel_only_where_that_is_wanted),
        cmocka_unit_test(second_look_decides_by_the_sessions_state),
        cmocka_unit_test(session_that_never_was_ends_only_a_run_that_awaits_it),
        cmocka_unit_test(agents_yes_is_a_promise_unless_nothing_else_can_end_the_run),
        cmocka_unit_test(run_confirms_what_it_has_become),
        cmocka_unit_test(every_kind_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests_name("command rule", tests, NULL, NULL);
}
