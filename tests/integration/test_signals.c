/* Signals and progress: every one that belongs to a run is an event of it, once, without an
 * ordinal. */
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
#define PLANNER  "agent://planner"
#define REVIEWER "agent://reviewer"

static struct world world;

/* --- the agents' side --------------------------------------------------------------------- */

static void
send_command(json_t *command)
{
    json_decref(expect_control(&world, command));
}

static void
say(const struct posted *run, const char *sender, const char *type, json_t *payload)
{
    send_command(json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "cmd", "send", "session", run->session,
                           "mode", DECISION, "type", type, "sender", sender, "payload", payload));
}

static void
open_session(const struct posted *run)
{
    say(run, PLANNER, "SessionStart",
        json_pack("{s:s, s:[s,s], s:s, s:s, s:i}", "intent", "signals", "participants", PLANNER,
                  REVIEWER, "mode_version", "1.0.0", "configuration_version", "config.default",
                  "ttl_ms", 600000));
}

static void
decide(const struct posted *run)
{
    say(run, REVIEWER, "Proposal", json_pack("{s:s, s:s}", "proposal_id", "p1", "option", "blue"));
    say(run, PLANNER, "Commitment",
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "commitment_id", "c1", "action",
                  "decision.selected", "authority_scope", "session", "reason", "agreed",
                  "mode_version", "1.0.0", "configuration_version", "config.default",
                  "outcome_positive", 1));
}

/* correlation NULL: the signal names no session. */
static void
signal_from(const char *sender, const char *correlation, const char *message_id)
{
    json_t *payload =
        json_pack("{s:s, s:s, s:f}", "signal_type", "note", "data", "{\"n\":1}", "confidence", 0.5);

    if (correlation)
        json_object_set_new(payload, "correlation_session_id", json_string(correlation));
    send_command(json_pack("{s:s, s:s, s:s, s:s, s:o}", "cmd", "send", "type", "Signal", "sender",
                           sender, "messageId", message_id, "payload", payload));
}

static void
progress(const struct posted *run, const char *message_id)
{
    send_command(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:f, s:s}}", "cmd", "send",
                           "session", run->session, "mode", DECISION, "type", "Progress", "sender",
                           REVIEWER, "messageId", message_id, "payload", "progress_token", "work",
                           "progress", 0.5, "message", "half way"));
}

/* --- what must have become of it ------------------------------------------------------------ */

/* The types of the events that the message has made, in order. */
static void
expect_events(const struct posted *run, const char *message_id, const char *wanted)
{
    expect_sql_becomes(
        &world, wanted,
        "select coalesce(string_agg(c.type, ' ' order by c.seq), '') from "
        "macp.run_events_raw e join macp.run_events_canonical c on c.run_key = e.run_key and "
        "c.seq > e.seq and c.seq < coalesce((select min(n.seq) from macp.run_events_raw n where "
        "n.run_key = e.run_key and n.seq > e.seq), 1000000) join macp.runs r on r.run_key = "
        "e.run_key where r.id = '%s' and e.message_id = '%s' and c.type not like 'run.%%'",
        run->run, message_id);
}

static void
expect_signal(const struct posted *run, const char *message_id)
{
    expect_events(run, message_id, "message.received signal.emitted");
}

/* Envelopes of the session that came by the watch: how many, all of them without an ordinal. */
static void
expect_ambient(const struct posted *run, const char *wanted)
{
    expect_sql_becomes(&world, wanted,
                       "select count(*) || ' ' || count(e.ordinal) from macp.run_events_raw e join "
                       "macp.runs r using (run_key) where r.id = '%s' and e.source = 'ambient'",
                       run->run);
}

static void
expect_in_table(const char *session, const char *message_id, const char *wanted)
{
    expect_sql_becomes(&world, wanted,
                       "select count(*) from macp.ambient_envelopes where session_id = '%s' and "
                       "message_id = '%s'",
                       session, message_id);
}

/* So many signal watches were opened since the counters were reset. */
static void
watched_by(int n)
{
    for (int i = 0; i < 1000; i++) {
        json_t *counters = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
        json_int_t opened =
            json_integer_value(json_object_get(json_object_get(counters, "total"), "WatchSignals"));

        json_decref(counters);
        if (opened >= n)
            return;
        process_pause(10);
    }
    fail_msg("signals are not watched by %d", n);
}

/* --- tests -------------------------------------------------------------------------------- */

static void
signals_among_a_sessions_messages_are_events_once_and_take_no_ordinal(void **state)
{
    struct posted run;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "odd.signals", run.session, NULL);
    expect_status(&world, run.run, "completed");
    /* One signal names the session, two progress messages carry it; the other three do not. */
    expect_ambient(&run, "3 0");
    expect_sql(&world, "3",
               "select cursor from macp.run_observers join macp.runs using (run_key) where id = "
               "'%s'",
               run.run);
    assert_int_equal(expect_stored_once(&world, run.run, run.session), 3);
    assert_int_equal(expect_event_count(&world, run.run, "signal.emitted"), 1);
    assert_int_equal(expect_event_count(&world, run.run, "progress.reported"), 2);
    expect_state_is_fold(&world, run.run);
}

static void
every_script_keeps_its_count_of_signals(void **state)
{
    static const struct {
        const char *script, *ambient;
    } scripts[] = {{"decision.minimal", "0 0"}, {"odd.signals", "3 0"}};
    struct posted runs[ARRAY_LEN(scripts)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        expect_posted(&world, DECISION, NULL, &runs[i]);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        expect_played(&world, scripts[i].script, runs[i].session, NULL);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        expect_status(&world, runs[i].run, "completed");
        expect_ambient(&runs[i], scripts[i].ambient);
    }
}

static void
known_participants_are_not_announced_again(void **state)
{
    struct posted run;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    open_session(&run);
    expect_status(&world, run.run, "running");
    signal_from(PLANNER, run.session, "known-1");
    signal_from("agent://stranger", run.session, "stranger-1");
    expect_signal(&run, "known-1");
    expect_events(&run, "stranger-1", "participant.seen message.received signal.emitted");
    assert_int_equal(expect_event_count(&world, run.run, "participant.seen"), 3);
}

static void
repeated_signal_is_one_event(void **state)
{
    struct posted run;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    open_session(&run);
    expect_status(&world, run.run, "running");
    for (int i = 0; i < 3; i++)
        signal_from(PLANNER, run.session, "again");
    progress(&run, "p-1");
    signal_from(REVIEWER, run.session, "again"); /* another sender's id is another message */
    expect_events(&run, "p-1", "message.received progress.reported");
    expect_ambient(&run, "3 0");
    decide(&run);
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_event_count(&world, run.run, "signal.emitted"), 2);
}

static void
signal_before_the_run_is_posted_waits_in_the_table_for_it(void **state)
{
    struct posted run;

    (void)state;
    expect_new_session(run.session);
    signal_from(PLANNER, run.session, "early-1");
    signal_from(PLANNER, run.session, "early-2");
    expect_in_table(run.session, "early-2", "1");
    expect_posted(&world, DECISION, run.session, &run);
    signal_from(PLANNER, run.session, "early-3"); /* posted, but its session is not open yet */
    expect_in_table(run.session, "early-3", "1");
    open_session(&run);
    expect_status(&world, run.run, "running");
    expect_signal(&run, "early-1");
    expect_signal(&run, "early-2");
    expect_signal(&run, "early-3");
    expect_ambient(&run, "3 0");
    expect_sql(&world, "early-1 early-2 early-3",
               "select string_agg(message_id, ' ' order by seq) from macp.run_events_raw join "
               "macp.runs using (run_key) where id = '%s' and source = 'ambient'",
               run.run);
    expect_sql_becomes(&world, "0",
                       "select count(*) from macp.ambient_envelopes where session_id = '%s'",
                       run.session);
    decide(&run);
    expect_status(&world, run.run, "completed");
    expect_stored_once(&world, run.run, run.session);
    expect_state_is_fold(&world, run.run);
}

static void
signal_after_the_end_is_still_an_event(void **state)
{
    struct posted run;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    open_session(&run);
    decide(&run);
    expect_status(&world, run.run, "completed");
    signal_from(REVIEWER, run.session, "late-1");
    expect_signal(&run, "late-1");
    expect_sql(&world, "t",
               "select e.seq > (select seq from macp.run_events_canonical c where c.run_key = "
               "e.run_key and c.type = 'run.completed') from macp.run_events_raw e join macp.runs "
               "using (run_key) where id = '%s' and message_id = 'late-1'",
               run.run);
    expect_state_is_fold(&world, run.run);
}

static void
signal_of_no_session_stays_in_the_table(void **state)
{
    (void)state;
    signal_from(PLANNER, NULL, "nobodys-1");
    signal_from(PLANNER, NULL, "nobodys-1");
    signal_from(PLANNER, "", "nobodys-2");
    expect_in_table("", "nobodys-1", "1");
    expect_in_table("", "nobodys-2", "1");
    expect_sql(&world, "0",
               "select count(*) from macp.run_events_raw where message_id like 'nobodys%%'");
}

static void
burst_of_signals_is_stored_whole_and_in_order(void **state)
{
    enum { BURST = 300 };
    struct posted run;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    open_session(&run);
    expect_status(&world, run.run, "running");
    for (int i = 0; i < BURST; i++) {
        char id[32];

        snprintf(id, sizeof(id), "burst-%04d", i);
        signal_from(i % 2 ? PLANNER : REVIEWER, run.session, id);
    }
    expect_ambient(&run, "300 0");
    expect_sql(&world, "t",
               "select array_agg(message_id order by seq) = array_agg(message_id order by "
               "message_id) from macp.run_events_raw e join macp.runs r using (run_key) where r.id "
               "= '%s' and source = 'ambient'",
               run.run);
    decide(&run);
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_event_count(&world, run.run, "signal.emitted"), BURST);
    expect_stored_once(&world, run.run, run.session);
    expect_state_is_fold(&world, run.run);
}

static void
signals_wait_while_postgres_is_away(void **state)
{
    enum { MANY = 500 }; /* more events than the observer holds in memory for a run */
    struct posted run;
    struct err err = {0};

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    open_session(&run);
    expect_status(&world, run.run, "running");
    world_stop_postgres(&world);
    for (int i = 0; i < MANY; i++) {
        char id[32];

        snprintf(id, sizeof(id), "waiting-%d", i);
        signal_from(PLANNER, run.session, id);
    }
    signal_from(PLANNER, NULL, "no-postgres-1");
    signal_from(PLANNER, "unheard-of", "no-postgres-2");
    expect_ok(world_start_postgres(&world, &err), &err, "postgres");
    expect_ambient(&run, "500 0");
    expect_in_table("", "no-postgres-1", "1");
    expect_in_table("unheard-of", "no-postgres-2", "1");
    expect_sql_becomes(&world, "0",
                       "select count(*) from macp.ambient_envelopes where session_id = '%s'",
                       run.session);
    signal_from(PLANNER, run.session, "back");
    expect_signal(&run, "back");
    expect_ambient(&run, "501 0");
    decide(&run);
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_event_count(&world, run.run, "signal.emitted"), MANY + 1);
    expect_stored_once(&world, run.run, run.session);
    expect_sql(&world, "0",
               "select count(*) from macp.observer_gaps where detail like '%%dropped%%'");
}

static void
old_rows_of_sessions_are_forgotten_and_others_stay(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(world_stop_observerd(&world, 8000), 0);
    expect_sql(&world, "3",
               "with new as (insert into macp.ambient_envelopes (session_id, sender, message_type, "
               "message_id, received_at, body) values ('forgotten', 'a', 'Signal', 'old', now() - "
               "interval '25 hours', ''), ('forgotten', 'a', 'Signal', 'young', now() - interval "
               "'23 hours', ''), ('', 'a', 'Signal', 'old', now() - interval '25 hours', '') "
               "returning 1) select count(*) from new");
    json_decref(expect_control(&world, json_pack("{s:s}", "cmd", "reset")));
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
    expect_in_table("forgotten", "old", "0");
    expect_in_table("forgotten", "young", "1");
    expect_in_table("", "old", "1");
    watched_by(1);
}

static void
signals_of_a_restart_are_known_to_the_next_owner(void **state)
{
    struct posted run;
    struct err err = {0};

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    open_session(&run);
    expect_status(&world, run.run, "running");
    signal_from(PLANNER, run.session, "before-1");
    expect_signal(&run, "before-1");
    assert_int_equal(world_stop_observerd(&world, 8000), 0);
    json_decref(expect_control(&world, json_pack("{s:s}", "cmd", "reset")));
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
    expect_sql_becomes(&world, "1",
                       "select count(*) from macp.run_events_canonical c join macp.runs r using "
                       "(run_key) where r.id = '%s' and c.source_name = 'run-recovery'",
                       run.run);
    watched_by(1);
    signal_from(PLANNER, run.session, "before-1");
    signal_from(PLANNER, run.session, "behind-1");
    expect_signal(&run, "behind-1");
    expect_ambient(&run, "2 0");
}

/* --- interruptions and several instances ----------------------------------------------------- */

static void
interruption_of_the_watch_is_noted_as_a_gap(void **state)
{
    struct posted run;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    open_session(&run);
    expect_status(&world, run.run, "running");
    /* As if another instance had heard and stored it meanwhile. */
    expect_sql(&world, "1",
               "with gone as (delete from macp.observer_gaps where kind = 'signals') select 1");
    expect_sql(
        &world, "stored",
        "with new as (insert into macp.ambient_envelopes (session_id, sender, message_type, "
        "message_id, received_at, body) values ('%s', 'agent://planner', 'Signal', 'heard', now(), "
        "'\\x0a03312e301a065369676e616c22056865617264320f6167656e743a2f2f706c616e6e6572') "
        "returning 1) select 'stored' from new",
        run.session);
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cut", "what", "connections")));
    expect_sql_becomes(&world, "1 t t",
                       "select concat_ws(' ', count(*), bool_and(run_key is null), bool_and(to_ts "
                       ">= from_ts)) from macp.observer_gaps where kind = 'signals'");
    /* Being back, the owner looks at what others have stored. */
    expect_sql_becomes(&world, "1",
                       "select count(*) from macp.run_events_raw join macp.runs using (run_key) "
                       "where id = '%s' and source = 'ambient' and message_id = 'heard'",
                       run.run);
    signal_from(PLANNER, run.session, "after-the-gap");
    expect_signal(&run, "after-the-gap");
}

static void
two_instances_make_one_event_and_the_heir_makes_the_rest(void **state)
{
    enum { RUNS = 6 };
    struct posted runs[RUNS];
    struct err err = {0};

    (void)state;
    assert_int_equal(world_stop_observerd(&world, 8000), 0);
    json_decref(expect_control(&world, json_pack("{s:s}", "cmd", "reset")));
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
    expect_ok(world_start_second_observerd(&world, &err), &err, "second observerd");
    watched_by(2);
    for (int i = 0; i < RUNS; i++) {
        expect_posted(&world, DECISION, NULL, &runs[i]);
        open_session(&runs[i]);
    }
    for (int i = 0; i < RUNS; i++)
        expect_status(&world, runs[i].run, "running");
    for (int i = 0; i < RUNS; i++)
        signal_from(PLANNER, runs[i].session, "heard-by-both");
    for (int i = 0; i < RUNS; i++) {
        expect_signal(&runs[i], "heard-by-both");
        expect_in_table(runs[i].session, "heard-by-both",
                        "1"); /* by the one that does not own it */
    }
    world_kill_observerd(&world);
    for (int i = 0; i < RUNS; i++)
        signal_from(PLANNER, runs[i].session, "heard-by-one");
    for (int i = 0; i < RUNS; i++) {
        expect_signal(&runs[i], "heard-by-one");
        expect_ambient(&runs[i], "2 0");
        decide(&runs[i]);
    }
    for (int i = 0; i < RUNS; i++) {
        expect_status(&world, runs[i].run, "completed");
        expect_ambient(&runs[i], "2 0");
        expect_stored_once(&world, runs[i].run, runs[i].session);
    }
    assert_int_equal(world_stop_second_observerd(&world, 8000), 0);
}

static int
set_up(void **state)
{
    if (scene_open(state, &world, &(struct world_options){0}, SCENE_READY) != 0)
        return -1;
    watched_by(1);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_among_a_sessions_messages_are_events_once_and_take_no_ordinal),
        cmocka_unit_test(every_script_keeps_its_count_of_signals),
        cmocka_unit_test(known_participants_are_not_announced_again),
        cmocka_unit_test(repeated_signal_is_one_event),
        cmocka_unit_test(signal_before_the_run_is_posted_waits_in_the_table_for_it),
        cmocka_unit_test(signal_after_the_end_is_still_an_event),
        cmocka_unit_test(signal_of_no_session_stays_in_the_table),
        cmocka_unit_test(burst_of_signals_is_stored_whole_and_in_order),
        cmocka_unit_test(signals_wait_while_postgres_is_away),
        cmocka_unit_test(old_rows_of_sessions_are_forgotten_and_others_stay),
        cmocka_unit_test(signals_of_a_restart_are_known_to_the_next_owner),
        cmocka_unit_test(interruption_of_the_watch_is_noted_as_a_gap),
        cmocka_unit_test(two_instances_make_one_event_and_the_heir_makes_the_rest),
    };

    return cmocka_run_group_tests_name("signals", tests, set_up, scene_close);
}
