/* A session of every kind ends as the run it must be, with every envelope stored once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"

enum { OPEN_TIMEOUT_MS = 6000 };

struct played {
    const char *script;
    const char *mode;
    const char *status;  /* the run's end */
    const char *outcome; /* outcome_positive: t, f or nothing */
};

// clang-format off
static const struct played every_script[] = {
    {"decision.minimal",     DECISION,                "completed", "t"},
    {"decision.positive",    DECISION,                "completed", "t"},
    {"decision.negative",    DECISION,                "completed", "f"},
    {"decision.hosted",      DECISION,                "completed", "t"},
    {"proposal.positive",    "macp.mode.proposal.v1", "completed", "t"},
    {"proposal.negative",    "macp.mode.proposal.v1", "completed", "f"},
    {"task.positive",        "macp.mode.task.v1",     "completed", "t"},
    {"task.negative",        "macp.mode.task.v1",     "completed", "f"},
    {"handoff.positive",     "macp.mode.handoff.v1",  "completed", "t"},
    {"handoff.negative",     "macp.mode.handoff.v1",  "completed", "f"},
    {"handoff.implicit",     "macp.mode.handoff.v1",  "completed", "t"},
    {"handoff.silent",       "macp.mode.handoff.v1",  "completed", "t"},
    {"quorum.positive",      "macp.mode.quorum.v1",   "completed", "t"},
    {"quorum.negative",      "macp.mode.quorum.v1",   "completed", "f"},
    {"multi_round.positive", "ext.multi_round.v1",    "completed", "t"},
    {"multi_round.json",     "ext.multi_round.v1",    "completed", "t"},
    {"multi_round.negative", "ext.multi_round.v1",    "completed", "f"},
    {"extension.positive",   "ext.demo.v1",           "completed", "t"},
    {"odd.payloads",         DECISION,                "completed", "t"},
    {"odd.refusals",         DECISION,                "completed", "t"},
    {"odd.signals",          DECISION,                "completed", "t"},
    {"session.suspend",      DECISION,                "completed", "t"},
    {"session.cancel",       DECISION,                "cancelled", ""},
    {"session.suspend_cancel", DECISION,              "cancelled", ""},
    {"session.expire",       DECISION,                "failed",    ""},
};
// clang-format on

static struct world world;
static struct posted runs[ARRAY_LEN(every_script)];
static struct posted never_opened; /* posted first, looked at last: its time-out runs meanwhile */

/* Prints what is wrong; false when anything is. */
static bool
ended_as(const struct posted *run, const struct played *p)
{
    struct err err = {0};
    char outcome[8] = "";

    if (!world_wait_status(&world, run->run, p->status, 20000, NULL, &err) ||
        !world_sql(&world, outcome, sizeof(outcome), &err,
                   "select case outcome_positive when true then 't' when false then 'f' else '' "
                   "end from macp.runs where id = '%s'",
                   run->run)) {
        print_error("%s: %s\n", p->script, err.msg);
        return false;
    }
    if (strcmp(outcome, p->outcome) == 0)
        return true;
    print_error("%s: outcome_positive is '%s', wanted '%s'\n", p->script, outcome, p->outcome);
    return false;
}

static void
posted_before_the_agents_open_every_script_ends_right_and_is_stored_once(void **state)
{
    int bad = 0;

    (void)state;
    expect_posted(&world, DECISION, NULL, &never_opened);
    for (size_t i = 0; i < ARRAY_LEN(every_script); i++)
        expect_posted(&world, every_script[i].mode, NULL, &runs[i]);
    for (size_t i = 0; i < ARRAY_LEN(every_script); i++)
        expect_played(&world, every_script[i].script, runs[i].session, NULL);
    for (size_t i = 0; i < ARRAY_LEN(every_script); i++)
        bad += !ended_as(&runs[i], &every_script[i]);
    assert_int_equal(bad, 0);
    for (size_t i = 0; i < ARRAY_LEN(every_script); i++)
        assert_true(expect_stored_once(&world, runs[i].run, runs[i].session) > 0);
}

static void
state_of_every_script_is_the_fold_of_its_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(every_script); i++)
        expect_state_is_fold(&world, runs[i].run);
}

static void
every_run_starts_and_ends_by_the_same_events_once(void **state)
{
    static const char *const once[] = {"run.created", "run.started", "session.bound"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(every_script); i++) {
        char ended[32];

        for (size_t k = 0; k < ARRAY_LEN(once); k++)
            assert_int_equal(expect_event_count(&world, runs[i].run, once[k]), 1);
        snprintf(ended, sizeof(ended), "run.%s", every_script[i].status);
        assert_int_equal(expect_event_count(&world, runs[i].run, ended), 1);
        assert_int_equal(expect_event_count(&world, runs[i].run, "message.sent"), 0);
    }
}

/* Nothing that comes from the session stream may stand behind the end of the run. */
static void
run_end_is_the_last_thing_of_the_session(void **state)
{
    (void)state;
    expect_sql(&world, "0",
               "select count(*) from macp.run_events_raw e where e.source = 'session' and e.seq > "
               "(select min(c.seq) from macp.run_events_canonical c where c.run_key = e.run_key "
               "and c.type in ('run.completed', 'run.failed', 'run.cancelled'))");
}

static void
posted_after_the_session_opened_it_is_followed_from_its_first_envelope(void **state)
{
    char session[WORLD_SESSION_LEN];
    struct posted run;
    json_t *job;

    (void)state;
    expect_new_session(session);
    job = expect_control(&world, json_pack("{s:s, s:s, s:s, s:i, s:b}", "cmd", "play", "script",
                                           "decision.positive", "session", session, "delayMs", 40,
                                           "wait", 0));
    json_decref(job);
    expect_posted(&world, DECISION, session, &run);
    expect_status(&world, run.run, "completed");
    assert_true(expect_stored_once(&world, run.run, session) > 5);
    expect_state_is_fold(&world, run.run);
}

static void
posted_after_the_session_ended_it_is_read_to_its_end(void **state)
{
    static const struct played over[] = {
        {"decision.positive", DECISION, "completed", "t"},
        {"proposal.negative", "macp.mode.proposal.v1", "completed", "f"},
        {"session.cancel", DECISION, "cancelled", ""},
        {"session.expire", DECISION, "failed", ""},
    };
    struct posted late[ARRAY_LEN(over)];
    int bad = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(over); i++) {
        char session[WORLD_SESSION_LEN];

        expect_new_session(session);
        expect_played(&world, over[i].script, session, NULL);
        expect_posted(&world, over[i].mode, session, &late[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(over); i++)
        bad += !ended_as(&late[i], &over[i]);
    assert_int_equal(bad, 0);
    for (size_t i = 0; i < ARRAY_LEN(over); i++) {
        assert_true(expect_stored_once(&world, late[i].run, late[i].session) > 0);
        expect_state_is_fold(&world, late[i].run);
    }
    expect_sql(&world, "RUN_FAILED session_expired",
               "select error_code || ' ' || failure_reason from macp.runs where id = '%s'",
               late[3].run);
}

static void
say(const struct posted *run, const char *sender, const char *type, json_t *payload)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "cmd", "send",
                                                 "session", run->session, "mode", DECISION, "type",
                                                 type, "sender", sender, "payload", payload)));
}

static void
tell_runtime(const struct posted *run, const char *verb)
{
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", verb, "session", run->session)));
}

/* A session that is open and observed, and that nobody but the test moves. */
static void
observed(struct posted *run)
{
    expect_posted(&world, DECISION, NULL, run);
    say(run, "agent://planner", "SessionStart",
        json_pack("{s:s, s:[s,s], s:s, s:s, s:i}", "intent", "wait", "participants",
                  "agent://planner", "agent://reviewer", "mode_version", "1.0.0",
                  "configuration_version", "config.default", "ttl_ms", 600000));
    expect_status(&world, run->run, "running");
}

static void
suspended_session_suspends_the_run_and_resuming_runs_it_again(void **state)
{
    struct posted run;

    (void)state;
    observed(&run);
    tell_runtime(&run, "suspend");
    expect_status(&world, run.run, "suspended");
    tell_runtime(&run, "resume");
    expect_status(&world, run.run, "running");
    say(&run, "agent://reviewer", "Proposal",
        json_pack("{s:s, s:s}", "proposal_id", "p1", "option", "blue"));
    say(&run, "agent://planner", "Commitment",
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "commitment_id", "c1", "action",
                  "decision.selected", "authority_scope", "session", "reason", "resumed",
                  "mode_version", "1.0.0", "configuration_version", "config.default",
                  "outcome_positive", 1));
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_event_count(&world, run.run, "run.suspended"), 1);
    assert_int_equal(expect_event_count(&world, run.run, "run.resumed"), 1);
    assert_int_equal(expect_stored_once(&world, run.run, run.session), 3);
    expect_state_is_fold(&world, run.run);
}

static void
run_ends_with_its_session(const char *verb, const char *status, struct posted *run)
{
    observed(run);
    tell_runtime(run, verb);
    expect_status(&world, run->run, status);
    assert_int_equal(expect_stored_once(&world, run->run, run->session), 1);
    expect_state_is_fold(&world, run->run);
}

static void
cancelled_session_cancels_the_run(void **state)
{
    struct posted run;

    (void)state;
    run_ends_with_its_session("cancel", "cancelled", &run);
    expect_sql(&world, "t", "select error_code is null from macp.runs where id = '%s'", run.run);
}

static void
expired_session_fails_the_run_and_says_so(void **state)
{
    struct posted run;
    json_t *row;

    (void)state;
    run_ends_with_its_session("expire", "failed", &run);
    row = expect_run(&world, run.run);
    assert_string_equal(json_string_value(json_object_get(row, "errorCode")), "RUN_FAILED");
    assert_string_equal(json_string_value(json_object_get(row, "errorMessage")),
                        "runtime session expired");
    json_decref(row);
    expect_sql(&world, "session_expired", "select failure_reason from macp.runs where id = '%s'",
               run.run);
}

static void
signals_and_progress_take_no_ordinal_and_do_not_end_anything(void **state)
{
    struct posted run = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(every_script); i++)
        if (strcmp(every_script[i].script, "odd.signals") == 0)
            run = runs[i];
    /* SessionStart, Proposal, Commitment: nothing else of that script is of the session. */
    assert_int_equal(expect_stored_once(&world, run.run, run.session), 3);
}

static void
unsupported_mode_is_accepted_and_then_fails_the_run(void **state)
{
    struct posted run;
    json_t *row;
    const char *message;

    (void)state;
    expect_posted(&world, "macp.mode.unheard_of.v1", NULL, &run);
    expect_status(&world, run.run, "failed");
    row = expect_run(&world, run.run);
    message = json_string_value(json_object_get(row, "errorMessage"));
    assert_non_null(message);
    assert_non_null(
        strstr(message, "Runtime does not support mode 'macp.mode.unheard_of.v1'. Supported: "));
    assert_non_null(strstr(message, DECISION));
    json_decref(row);
    expect_sql(&world, "mode_unsupported", "select failure_reason from macp.runs where id = '%s'",
               run.run);
}

static void
session_that_nobody_opens_fails_the_run_at_its_deadline(void **state)
{
    json_t *row;
    char wanted[512];

    (void)state;
    expect_status(&world, never_opened.run, "failed");
    row = expect_run(&world, never_opened.run);
    snprintf(wanted, sizeof(wanted),
             "timed out after %dms waiting for initiator agent to open session %s", OPEN_TIMEOUT_MS,
             never_opened.session);
    assert_string_equal(json_string_value(json_object_get(row, "errorMessage")), wanted);
    json_decref(row);
    expect_sql(&world, "open_timeout", "select failure_reason from macp.runs where id = '%s'",
               never_opened.run);
}

static int
set_up(void **state)
{
    static const char *const timeout[] = {"SESSION_POLL_TIMEOUT_MS=6000", NULL};

    return scene_open(state, &world,
                      &(struct world_options){.observerd_env = timeout, .fcgi_env = timeout}, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posted_before_the_agents_open_every_script_ends_right_and_is_stored_once),
        cmocka_unit_test(state_of_every_script_is_the_fold_of_its_events),
        cmocka_unit_test(every_run_starts_and_ends_by_the_same_events_once),
        cmocka_unit_test(run_end_is_the_last_thing_of_the_session),
        cmocka_unit_test(posted_after_the_session_opened_it_is_followed_from_its_first_envelope),
        cmocka_unit_test(posted_after_the_session_ended_it_is_read_to_its_end),
        cmocka_unit_test(suspended_session_suspends_the_run_and_resuming_runs_it_again),
        cmocka_unit_test(cancelled_session_cancels_the_run),
        cmocka_unit_test(expired_session_fails_the_run_and_says_so),
        cmocka_unit_test(signals_and_progress_take_no_ordinal_and_do_not_end_anything),
        cmocka_unit_test(unsupported_mode_is_accepted_and_then_fails_the_run),
        cmocka_unit_test(session_that_nobody_opens_fails_the_run_at_its_deadline),
    };

    return cmocka_run_group_tests_name("sessions", tests, set_up, scene_close);
}
