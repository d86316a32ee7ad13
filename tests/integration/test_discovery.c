/* Sessions that nobody posted become runs: each session one, whoever sees it, however often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"
#define PLANNER  "agent://planner"
#define REVIEWER "agent://reviewer"
#define MINIMAL  "decision.minimal"

enum { MINIMAL_ENVELOPES = 6, OPEN_TIMEOUT_MS = 1500, LATENCIES = 40 };

static const char *const on[] = {"SESSION_DISCOVERY_ENABLED=true", NULL};
static const char *const on_without_backfill[] = {"SESSION_DISCOVERY_ENABLED=true",
                                                  "DISCOVERY_BACKFILL_MS=0", NULL};
static const char *const off[] = {"SESSION_DISCOVERY_ENABLED=false", NULL};
static struct world world;

/* --- the agents' side --------------------------------------------------------------------- */

static void
command(json_t *what)
{
    json_decref(expect_control(&world, what));
}

static void
about(const char *verb, const char *session)
{
    command(json_pack("{s:s, s:s}", "cmd", verb, "session", session));
}

static void
set(const char *name, json_t *value)
{
    command(json_pack("{s:s, s:o}", "cmd", "set", name, value));
}

static void
say(const char *session, const char *sender, const char *type, json_t *payload)
{
    command(json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "cmd", "send", "session", session, "mode",
                      DECISION, "type", type, "sender", sender, "payload", payload));
}

static void
open_session(const char *session)
{
    say(session, PLANNER, "SessionStart",
        json_pack("{s:s, s:[s,s], s:s, s:s, s:i}", "intent", "discovery", "participants", PLANNER,
                  REVIEWER, "mode_version", "1.0.0", "configuration_version", "config.default",
                  "ttl_ms", 600000));
}

static void
decide(const char *session)
{
    say(session, REVIEWER, "Proposal",
        json_pack("{s:s, s:s}", "proposal_id", "p1", "option", "blue"));
    say(session, PLANNER, "Commitment",
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "commitment_id", "c1", "action",
                  "decision.selected", "authority_scope", "session", "reason", "agreed",
                  "mode_version", "1.0.0", "configuration_version", "config.default",
                  "outcome_positive", 1));
}

static void
open_new(char session[WORLD_SESSION_LEN])
{
    expect_new_session(session);
    open_session(session);
}

/* --- what must have become of it ------------------------------------------------------------ */

/* The session's only run has come to this status; its id. */
static void
expect_one_run(const char *session, const char *origin, const char *status, char id[UUID_LEN])
{
    char text[200];
    struct err err = {0};

    snprintf(text, sizeof text, "1 %s %s", origin, status);
    expect_sql_becomes(&world, text,
                       "select concat_ws(' ', count(*), min(origin), min(status)) from macp.runs "
                       "where session_id = '%s'",
                       session);
    expect_ok(world_sql(&world, id, UUID_LEN, &err,
                        "select id from macp.runs where session_id = '%s'", session),
              &err, "id");
}

static void
expect_no_run(const char *session)
{
    expect_sql(&world, "0", "select count(*) from macp.runs where session_id = '%s'", session);
}

static void
expect_discovered(const char *session, const char *status)
{
    char id[UUID_LEN];

    expect_one_run(session, "discovered", status, id);
}

/* A session that opens now has its run, so everything that was seen before it was dealt with. */
static void
expect_all_seen(void)
{
    char session[WORLD_SESSION_LEN];

    open_new(session);
    expect_discovered(session, "running");
}

static void
restart_observer(const char *const *env)
{
    struct err err = {0};

    assert_int_equal(world_stop_observerd(&world, process_slow(8000)), 0);
    world.options.observerd_env = env;
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_sql_becomes(&world, "1",
                       "select count(*) from macp.observer_instances where alive_until > now()");
}

static long
calls(const char *method)
{
    json_t *answer = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    long n = (long)json_integer_value(json_object_get(json_object_get(answer, "total"), method));

    json_decref(answer);
    return n;
}

static void
expect_called(const char *method, long at_least)
{
    int64_t deadline = clock_mono_ms() + process_slow(15000);

    while (calls(method) < at_least) {
        if (clock_mono_ms() >= deadline)
            fail_msg("%s was called %ld times, not %ld", method, calls(method), at_least);
        process_pause(10);
    }
}

/* --- one session ----------------------------------------------------------------------------- */

static void
session_nobody_posted_becomes_a_run_with_its_id(void **state)
{
    char session[WORLD_SESSION_LEN];
    json_t *run, *request, *body;

    (void)state;
    expect_new_session(session);
    expect_played(&world, MINIMAL, session, NULL);
    run = expect_run(&world, session); /* the API waits for what is about to be written */
    json_decref(run);
    expect_status(&world, session, "completed");
    assert_int_equal(expect_stored_once(&world, session, session), MINIMAL_ENVELOPES);
    expect_state_is_fold(&world, session);
    assert_int_equal(expect_event_count(&world, session, "run.created"), 1);
    assert_int_equal(expect_event_count(&world, session, "artifact.created"), 0);

    run = expect_run(&world, session);
    request = json_object_get(json_object_get(run, "metadata"), "executionRequest");
    assert_string_equal(json_string_value(json_object_get(run, "mode")), "live");
    assert_string_equal(json_string_value(json_object_get(run, "runtimeKind")), "rust");
    assert_string_equal(json_string_value(json_object_get(run, "runtimeSessionId")), session);
    assert_string_equal(json_string_value(json_object_get(run, "sourceKind")), "session-discovery");
    assert_int_equal(json_array_size(json_object_get(run, "tags")), 0);
    assert_int_equal(strlen(json_string_value(json_object_get(run, "traceId"))), 32);
    body = json_object_get(request, "session");
    assert_string_equal(json_string_value(json_object_get(request, "mode")), "live");
    assert_string_equal(json_string_value(json_object_get(body, "sessionId")), session);
    assert_string_equal(json_string_value(json_object_get(body, "modeName")), DECISION);
    assert_string_equal(json_string_value(json_object_get(body, "modeVersion")), "1.0.0");
    /* From the runtime's start to an end that is counted from the sender's clock. */
    assert_in_range(json_integer_value(json_object_get(body, "ttlMs")), 590000, 600000);
    assert_int_equal(json_array_size(json_object_get(body, "participants")), 2);
    body = json_object_get(body, "metadata");
    assert_string_equal(json_string_value(json_object_get(body, "source")), "session-discovery");
    assert_true(json_string_length(json_object_get(body, "initiator")) > 0);
    assert_int_equal(json_string_length(json_object_get(body, "discoveredAt")), 24);
    json_decref(run);

    expect_sql(&world, "t",
               "select c.data = jsonb_build_object('status', 'queued', 'modeName', r.mode_name, "
               "'runtimeKind', 'rust', 'sessionId', r.session_id, 'traceId', r.trace_id) and "
               "c.trace_id = r.trace_id from macp.run_events_canonical c join macp.runs r using "
               "(run_key) where r.id = '%s' and c.seq = 1 and c.type = 'run.created'",
               session);
    expect_sql(&world, "2",
               "select count(*) from macp.run_participants join macp.runs using (run_key) where "
               "id = '%s' and declared",
               session);
}

static void
session_id_that_is_no_uuid_names_the_run(void **state)
{
    static const char session[] = "Zm9vYmFyYmF6-cXV1eF9hYmM_A";
    char name[100], wanted[UUID_LEN], id[UUID_LEN];

    (void)state;
    expect_played(&world, MINIMAL, session, NULL);
    expect_one_run(session, "discovered", "completed", id);
    snprintf(name, sizeof name, "macp:session:%s", session);
    uuid_v5(UUID_NAMESPACE_URL, name, wanted);
    assert_string_equal(id, wanted);
    assert_int_equal(expect_stored_once(&world, id, session), MINIMAL_ENVELOPES);
}

static void
what_happens_to_a_discovered_session_happens_to_its_run(void **state)
{
    char suspended[WORLD_SESSION_LEN], cancelled[WORLD_SESSION_LEN], expired[WORLD_SESSION_LEN];

    (void)state;
    open_new(suspended);
    open_new(cancelled);
    open_new(expired);
    expect_discovered(suspended, "running");
    about("suspend", suspended);
    expect_discovered(suspended, "suspended");
    about("cancel", cancelled);
    expect_discovered(cancelled, "cancelled");
    about("expire", expired);
    expect_discovered(expired, "failed");
    expect_sql(&world, "runtime session expired",
               "select error_message from macp.runs where session_id = '%s'", expired);
    about("resume", suspended);
    expect_discovered(suspended, "running");
    decide(suspended);
    expect_discovered(suspended, "completed");
    assert_int_equal(expect_stored_once(&world, suspended, suspended), 3);
}

/* --- what was there before ---------------------------------------------------------------------
 */

static void
sessions_that_are_there_at_the_start_are_taken_in_their_state(void **state)
{
    char resolved[WORLD_SESSION_LEN], suspended[WORLD_SESSION_LEN], cancelled[WORLD_SESSION_LEN],
        expired[WORLD_SESSION_LEN], open[WORLD_SESSION_LEN];
    struct err err = {0};

    (void)state;
    assert_int_equal(world_stop_observerd(&world, process_slow(8000)), 0);
    expect_new_session(resolved);
    expect_played(&world, MINIMAL, resolved, NULL);
    open_new(suspended);
    about("suspend", suspended);
    open_new(cancelled);
    about("cancel", cancelled);
    open_new(expired);
    about("expire", expired);
    open_new(open);
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_discovered(resolved, "completed");
    expect_discovered(suspended, "suspended");
    expect_discovered(cancelled, "cancelled");
    expect_discovered(expired, "failed");
    expect_discovered(open, "running");
    assert_int_equal(expect_stored_once(&world, resolved, resolved), MINIMAL_ENVELOPES);
    assert_int_equal(expect_stored_once(&world, cancelled, cancelled), 1);
    expect_state_is_fold(&world, resolved);
    expect_sql(&world, "runtime session expired",
               "select error_message from macp.runs where session_id = '%s'", expired);
}

static void
history_that_is_gone_when_a_session_is_found_is_a_gap(void **state)
{
    char session[WORLD_SESSION_LEN];
    struct err err = {0};

    (void)state;
    assert_int_equal(world_stop_observerd(&world, process_slow(8000)), 0);
    set("compaction", json_true());
    expect_new_session(session);
    expect_played(&world, MINIMAL, session, NULL);
    set("compaction", json_false());
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
    expect_discovered(session, "completed");
    expect_sql(&world, "compacted 1 6",
               "select concat_ws(' ', kind, from_ordinal, to_ordinal) from macp.observer_gaps join "
               "macp.runs using (run_key) where id = '%s'",
               session);
    expect_state_is_fold(&world, session);
}

static void
ended_sessions_stay_out_without_backfill_and_open_ones_do_not(void **state)
{
    char ended[WORLD_SESSION_LEN], open[WORLD_SESSION_LEN];

    (void)state;
    restart_observer(off);
    expect_new_session(ended);
    expect_played(&world, MINIMAL, ended, NULL);
    open_new(open);
    command(json_pack("{s:s}", "cmd", "reset"));
    restart_observer(on_without_backfill);
    expect_discovered(open, "running");
    expect_called("ListSessions", 1);
    expect_all_seen();
    expect_no_run(ended);
    restart_observer(on);
    expect_discovered(ended, "completed");
}

static void
deleted_run_does_not_come_back(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    char session[WORLD_SESSION_LEN], path[WORLD_SESSION_LEN + 16];
    struct err err = {0};

    (void)state;
    expect_new_session(session);
    expect_played(&world, MINIMAL, session, NULL);
    expect_discovered(session, "completed");
    snprintf(path, sizeof path, "/runs/%s", session);
    expect_ok(
        http_send(&world.http, &(struct http_request){.method = "DELETE", .path = path}, &r, &err),
        &err, path);
    assert_in_range(r.status, 200, 204);
    command(json_pack("{s:s}", "cmd", "reset"));
    restart_observer(on);
    expect_called("ListSessions", 1);
    expect_all_seen();
    expect_no_run(session);
}

/* The protocol knows no longest id. Neither what waits for its run nor what is left of it is lost.
 */
static void
session_id_too_long_for_an_index_is_observed_like_any_other(void **state)
{
    enum { LENGTH = 4000 };
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    char session[LENGTH + 1], id[UUID_LEN], path[UUID_LEN + 16];
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < LENGTH; i++) { /* nothing of it can be compressed */
        random = random * 1664525 + 1013904223;
        session[i] = alphabet[random >> 26];
    }
    session[LENGTH] = '\0';
    command(json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "cmd", "send", "type", "Signal",
                      "sender", PLANNER, "messageId", "early", "payload", "signal_type", "note",
                      "correlation_session_id", session));
    expect_sql_becomes(&world, "1", "select count(*) from macp.ambient_envelopes");
    open_session(session);
    expect_one_run(session, "discovered", "running", id);
    expect_sql_becomes(&world, "0", "select count(*) from macp.ambient_envelopes");
    decide(session);
    expect_status(&world, id, "completed");
    expect_stored_once(&world, id, session);
    assert_int_equal(expect_event_count(&world, id, "signal.emitted"), 1);
    snprintf(path, sizeof path, "/runs/%s", id);
    expect_ok(
        http_send(&world.http, &(struct http_request){.method = "DELETE", .path = path}, &r, &err),
        &err, path);
    assert_int_equal(r.status, 204);
    command(json_pack("{s:s}", "cmd", "reset"));
    restart_observer(on);
    expect_called("ListSessions", 1);
    expect_all_seen();
    expect_no_run(session);
}

/* --- the same session posted --------------------------------------------------------------------
 */

static void
posted_run_is_woken_by_its_session_and_stays_the_only_one(void **state)
{
    struct posted run;
    char id[UUID_LEN];

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, MINIMAL, run.session, NULL);
    expect_one_run(run.session, "posted", "completed", id);
    assert_string_equal(id, run.run);
    assert_int_equal(expect_stored_once(&world, run.run, run.session), MINIMAL_ENVELOPES);
    expect_all_seen();
    expect_one_run(run.session, "posted", "completed", id);
}

static void
session_that_ends_while_its_posted_run_is_starting_completes_it(void **state)
{
    struct posted run;
    char id[UUID_LEN];

    (void)state;
    set("headersDelayMs", json_integer(300));
    expect_posted(&world, DECISION, NULL, &run);
    expect_sql_becomes(&world, "starting", "select status from macp.runs where id = '%s'", run.run);
    expect_played(&world, MINIMAL, run.session, NULL);
    set("headersDelayMs", json_integer(0));
    expect_one_run(run.session, "posted", "completed", id);
    assert_int_equal(expect_stored_once(&world, run.run, run.session), MINIMAL_ENVELOPES);
    expect_state_is_fold(&world, run.run);
}

static void
posting_a_discovered_session_adopts_its_run(void **state)
{
    char session[WORLD_SESSION_LEN], key[UUID_LEN], id[UUID_LEN];
    struct posted run, again;
    json_t *descriptor, *row;

    (void)state;
    uuid_v4(key);
    open_new(session);
    expect_discovered(session, "running");
    descriptor = world_descriptor(DECISION, session);
    json_object_set_new(descriptor, "execution",
                        json_pack("{s:s, s:[s,s]}", "idempotencyKey", key, "tags", "a", "b"));
    json_object_set_new(json_object_get(descriptor, "session"), "metadata",
                        json_pack("{s:s, s:s, s:{s:s}}", "source", "test", "environment", "staging",
                                  "cancelCallback", "url", "http://127.0.0.1:9/cancel"));
    expect_posted_as(&world, json_incref(descriptor), &run);
    assert_string_equal(run.run, session);
    assert_string_equal(run.session, session);
    expect_one_run(session, "adopted", "running", id);
    expect_posted_as(&world, descriptor, &again); /* by its key */
    assert_string_equal(again.run, session);
    row = expect_run(&world, session);
    assert_string_equal(json_string_value(json_object_get(row, "sourceKind")), "test");
    assert_string_equal(json_string_value(json_object_get(row, "idempotencyKey")), key);
    assert_int_equal(json_array_size(json_object_get(row, "tags")), 2);
    json_decref(row);
    expect_sql(&world, "staging http://127.0.0.1:9/cancel 60000",
               "select concat_ws(' ', environment, callback_url, descriptor -> 'session' ->> "
               "'ttlMs') from macp.runs where id = '%s'",
               session);
    /* A posted run has it; it comes once, and its observer is not disturbed by it. */
    expect_sql_becomes(&world, "1 trace",
                       "select concat_ws(' ', count(*), min(kind)) from macp.run_artifacts a join "
                       "macp.runs r using (run_key) where r.id = '%s'",
                       session);
    assert_int_equal(expect_event_count(&world, session, "artifact.created"), 1);
    decide(session);
    expect_one_run(session, "adopted", "completed", id);
    assert_int_equal(expect_stored_once(&world, session, session), 3);
    expect_sql(&world, "0",
               "select count(*) from macp.run_events_canonical e join macp.runs r "
               "using (run_key) where r.id = '%s' and e.data->>'status' = 'recovered'",
               session);
    expect_sql(
        &world, "1 done",
        "select concat_ws(' ', count(*), min(details->>'outcome')) from macp.audit_log where "
        "action = 'run.adopted' and resource_id = '%s'",
        session);
    descriptor = world_descriptor(DECISION, session);
    json_decref(expect_post(&world, 409, "/runs", descriptor));
    json_decref(descriptor);
}

static void
posting_a_session_that_nobody_observes_any_more_adds_the_artifact(void **state)
{
    char session[WORLD_SESSION_LEN];
    struct posted run;

    (void)state;
    open_new(session);
    expect_discovered(session, "running");
    decide(session);
    expect_status(&world, session, "completed");
    /* A minute is long: as it is then. */
    expect_sql(&world, "",
               "update macp.run_observers set closed = true, owner = null, fence = fence + 1 where "
               "run_key = (select run_key from macp.runs where id = '%s')",
               session);
    expect_posted(&world, DECISION, session, &run);
    assert_string_equal(run.run, session);
    assert_int_equal(expect_event_count(&world, session, "artifact.created"), 1);
    expect_sql(
        &world, "1 Root run trace",
        "select concat_ws(' ', count(*), min(label)) from macp.run_artifacts a join "
        "macp.runs r using (run_key) where r.id = '%s' and a.inline->>'traceId' = r.trace_id",
        session);
    expect_stored_once(&world, session, session);
}

static void
posted_and_discovered_at_once_is_one_run(void **state)
{
    enum { SESSIONS = 60 };
    char sessions[SESSIONS][WORLD_SESSION_LEN];
    json_t *ids = json_array(), *answer;
    json_int_t job;

    (void)state;
    for (int i = 0; i < SESSIONS; i++) {
        expect_new_session(sessions[i]);
        json_array_append_new(ids, json_string(sessions[i]));
    }
    answer = expect_control(&world, json_pack("{s:s, s:o, s:i, s:i, s:b}", "cmd", "pump", "ids",
                                              ids, "envelopes", 4, "rate", 400, "wait", 0));
    job = json_integer_value(json_object_get(answer, "job"));
    json_decref(answer);
    for (int i = 0; i < SESSIONS; i++) {
        struct posted run;

        expect_posted(&world, DECISION, sessions[i], &run);
        expect_sql(&world, "1", "select count(*) from macp.runs where session_id = '%s'",
                   sessions[i]);
        expect_sql(&world, sessions[i], "select session_id from macp.runs where id = '%s'",
                   run.run);
    }
    command(json_pack("{s:s, s:I, s:b}", "cmd", "job", "id", job, "wait", 1));
    for (int i = 0; i < SESSIONS; i++) {
        char id[UUID_LEN];
        struct err err = {0};

        expect_sql_becomes(&world, "1 completed",
                           "select concat_ws(' ', count(*), min(status)) from macp.runs where "
                           "session_id = '%s'",
                           sessions[i]);
        expect_ok(world_sql(&world, id, sizeof id, &err,
                            "select id from macp.runs where session_id = '%s'", sessions[i]),
                  &err, "id");
        assert_int_equal(expect_stored_once(&world, id, sessions[i]), 4);
    }
}

static void
session_that_opens_after_its_run_has_given_up_gets_another_run(void **state)
{
    struct posted run, again;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    expect_status(&world, run.run, "failed");
    expect_sql(&world, "open_timeout", "select failure_reason from macp.runs where id = '%s'",
               run.run);
    open_session(run.session);
    expect_status(&world, run.session, "running"); /* a run of its own, with the session's id */
    expect_sql(&world, "discovered failed",
               "select concat_ws(' ', (select origin from macp.runs where id = '%s'), (select "
               "status from macp.runs where id = '%s'))",
               run.session, run.run);
    expect_posted(&world, DECISION, run.session, &again);
    assert_string_equal(again.run, run.session);
    decide(run.session);
    expect_status(&world, run.session, "completed");
    assert_int_equal(expect_stored_once(&world, run.session, run.session), 3);
    expect_sql(&world, "2", "select count(*) from macp.runs where session_id = '%s'", run.session);
}

static void
session_id_that_is_used_again_gets_another_run(void **state)
{
    char session[WORLD_SESSION_LEN], id[UUID_LEN], wanted[UUID_LEN], started[32];
    char name[WORLD_SESSION_LEN + 64];
    struct err err = {0};

    (void)state;
    expect_new_session(session);
    expect_played(&world, MINIMAL, session, NULL);
    expect_discovered(session, "completed");
    about("evict", session);
    expect_played(&world, MINIMAL, session, NULL);
    expect_sql_becomes(&world, "2 completed completed",
                       "select concat_ws(' ', count(*), min(status), max(status)) from macp.runs "
                       "where session_id = '%s'",
                       session);
    expect_ok(world_sql(&world, id, sizeof id, &err,
                        "select id from macp.runs where session_id = '%s' and id <> '%s'", session,
                        session),
              &err, "id");
    expect_ok(world_sql(&world, started, sizeof started, &err,
                        "select session_started_ms from macp.run_observers join macp.runs using "
                        "(run_key) where id = '%s'",
                        id),
              &err, "start");
    snprintf(name, sizeof name, "macp:session:%s:%s", session, started);
    uuid_v5(UUID_NAMESPACE_URL, name, wanted);
    assert_string_equal(id, wanted);
    assert_int_equal(expect_stored_once(&world, id, session), MINIMAL_ENVELOPES);
}

/* --- a watch that cannot tell everything ---------------------------------------------------------
 */

static void
events_without_a_session_or_of_another_kind_lead_to_the_list(void **state)
{
    char sessions[12][WORLD_SESSION_LEN], odd[WORLD_SESSION_LEN];

    (void)state;
    set("pageCap", json_integer(5)); /* the list has several pages */
    set("omitSession", json_true());
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++)
        open_new(sessions[i]);
    for (size_t i = 0; i < ARRAY_LEN(sessions); i++)
        expect_discovered(sessions[i], "running");
    about("cancel", sessions[0]); /* the run learns it from the list, too */
    expect_discovered(sessions[0], "cancelled");
    set("omitSession", json_false());
    set("unknownEnums", json_true());
    expect_new_session(odd);
    expect_played(&world, MINIMAL, odd, NULL);
    expect_discovered(odd, "completed");
    set("unknownEnums", json_false());
    set("pageCap", json_integer(1000));
    assert_int_equal(expect_stored_once(&world, odd, odd), MINIMAL_ENVELOPES);
}

static void
session_that_opened_while_the_watch_was_down_is_found(void **state)
{
    char session[WORLD_SESSION_LEN];

    (void)state;
    set("failMethod", json_string("WatchSessions"));
    command(json_pack("{s:s, s:s}", "cmd", "cut", "what", "connections"));
    expect_new_session(session);
    expect_played(&world, MINIMAL, session, NULL);
    set("failMethod", json_string(""));
    expect_discovered(session, "completed");
    assert_int_equal(expect_stored_once(&world, session, session), MINIMAL_ENVELOPES);
}

static void
session_that_was_seen_and_is_gone_is_a_failed_run(void **state)
{
    char session[WORLD_SESSION_LEN], kept[WORLD_SESSION_LEN];
    struct err err = {0};

    (void)state;
    command(json_pack("{s:s}", "cmd", "reset"));
    restart_observer(on);
    expect_called("WatchSessions", 1);
    world_stop_postgres(&world);
    open_new(session);
    open_new(kept);
    process_pause(200); /* nothing can be seen from here: the event is on its way to the observer */
    about("evict", session);
    expect_ok(world_start_postgres(&world, &err), &err, "start Postgres");
    expect_discovered(kept, "running");
    expect_discovered(session, "failed");
    expect_sql(&world, "runtime_forgot_session",
               "select failure_reason from macp.runs where session_id = '%s'", session);
}

static void
session_that_postgres_refuses_does_not_disturb_the_others(void **state)
{
    char session[WORLD_SESSION_LEN], refused[WORLD_SESSION_LEN];
    struct err err = {0};

    (void)state;
    expect_new_session(refused);
    expect_sql(&world, "", /* the last one says nothing */
               "create function macp.refuse() returns trigger language plpgsql as $$ begin raise "
               "exception 'refused'; end $$;"
               "create trigger refuse before insert on macp.runs for each row when (new.session_id "
               "= '%s') execute function macp.refuse()",
               refused);
    open_session(refused);
    expect_new_session(session);
    expect_played(&world, MINIMAL, session, NULL);
    expect_discovered(session, "completed");
    assert_int_equal(expect_stored_once(&world, session, session), MINIMAL_ENVELOPES);
    expect_no_run(refused);
    expect_ok(db_script(world.db, "drop function macp.refuse() cascade", &err), &err,
              "refuse no more");
    expect_discovered(refused, "running");
}

static void
without_discovery_posted_runs_are_woken_and_others_left_alone(void **state)
{
    char session[WORLD_SESSION_LEN], id[UUID_LEN];
    struct posted run;

    (void)state;
    restart_observer(off);
    expect_called("WatchSessions", 1);
    expect_new_session(session);
    expect_played(&world, MINIMAL, session, NULL);
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, MINIMAL, run.session, NULL);
    expect_one_run(run.session, "posted", "completed", id);
    expect_no_run(session);
    restart_observer(on);
    expect_discovered(session, "completed");
}

/* --- many ------------------------------------------------------------------------------------- */

/* All sessions of a pump with this prefix: one complete run each. */
static void
expect_all_complete(const char *prefix, int sessions, int envelopes)
{
    char wanted[100];

    snprintf(wanted, sizeof wanted, "%d %d %d", sessions, sessions, sessions);
    expect_sql_becomes(&world, wanted,
                       "select concat_ws(' ', count(*), count(distinct session_id), count(*) "
                       "filter (where status = 'completed')) from macp.runs where session_id like "
                       "'%s-%%'",
                       prefix);
    snprintf(wanted, sizeof wanted, "%d", sessions);
    expect_sql(
        &world, wanted,
        "select count(*) from macp.runs r join macp.run_observers o using (run_key) where "
        "session_id like '%s-%%' and o.cursor = %d and (select count(*) = %d and min(ordinal)"
        " = 1 and max(ordinal) = %d from macp.run_events_raw e where e.run_key = r.run_key "
        "and e.source = 'session') and (select count(*) from (select seq from "
        "macp.run_events_raw e where e.run_key = r.run_key union select seq from "
        "macp.run_events_canonical c where c.run_key = r.run_key) n) = o.last_seq and not "
        "exists (select from macp.observer_gaps g where g.run_key = r.run_key)",
        prefix, envelopes, envelopes, envelopes);
}

static void
pump(const char *prefix, int sessions, int envelopes, int rate)
{
    command(json_pack("{s:s, s:i, s:i, s:i, s:s}", "cmd", "pump", "sessions", sessions, "envelopes",
                      envelopes, "rate", rate, "prefix", prefix));
}

static void
five_hundred_sessions_opened_at_once_are_discovered_and_complete(void **state)
{
    int64_t began = clock_mono_ms();

    (void)state;
    pump("flood", 500, 12, 0);
    expect_all_complete("flood", 500, 12);
    print_message("500 sessions of 12 envelopes stored in %lld ms\n",
                  (long long)(clock_mono_ms() - began));
}

/* The runtime drops what it has when a session ends: whoever subscribes later finds nothing. */
static void
sessions_of_a_second_are_read_before_their_history_is_dropped(void **state)
{
    (void)state;
    set("compaction", json_true());
    pump("short", 50, 8, 400);
    set("compaction", json_false());
    expect_all_complete("short", 50, 8);
}

static void
two_observers_make_one_run_of_each_session(void **state)
{
    struct err err = {0};

    (void)state;
    expect_ok(world_start_second_observerd(&world, &err), &err, "start the second observerd");
    expect_sql_becomes(&world, "2",
                       "select count(*) from macp.observer_instances where alive_until > now()");
    expect_called("WatchSessions", 2);
    pump("twice", 200, 6, 2000);
    expect_all_complete("twice", 200, 6);
    expect_sql(&world, "200",
               "select count(*) from macp.run_events_canonical join macp.runs using (run_key) "
               "where session_id like 'twice-%%' and type = 'run.created'");
    assert_int_equal(world_stop_second_observerd(&world, process_slow(8000)), 0);
}

/* --- how soon ----------------------------------------------------------------------------------
 */

static long
subscribers(void)
{
    json_t *answer = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    long n = (long)json_integer_value(json_object_get(answer, "subscribers"));

    json_decref(answer);
    return n;
}

static int
by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void
new_session_is_subscribed_soon(void **state)
{
    int64_t took[LATENCIES];

    (void)state;
    for (int i = 0; i < LATENCIES; i++) {
        char session[WORLD_SESSION_LEN];
        long before = subscribers();
        int64_t began;

        expect_new_session(session);
        began = clock_mono_us();
        open_session(session);
        while (subscribers() <= before)
            if (clock_mono_us() - began > (int64_t)process_slow(5000) * 1000)
                fail_msg("nobody subscribes to a session that was opened");
        took[i] = clock_mono_us() - began;
    }
    qsort(took, LATENCIES, sizeof took[0], by_size);
    print_message("opened to subscribed: median %.1f ms, 95%% %.1f ms, worst %.1f ms\n",
                  (double)took[LATENCIES / 2] / 1000, (double)took[LATENCIES * 95 / 100] / 1000,
                  (double)took[LATENCIES - 1] / 1000);
    assert_true(took[LATENCIES / 2] < (int64_t)process_slow(250) * 1000);
}

static int
set_up(void **state)
{
    static char timeout[64];
    static const char *const fcgi[] = {timeout, NULL};

    snprintf(timeout, sizeof timeout, "SESSION_POLL_TIMEOUT_MS=%d", OPEN_TIMEOUT_MS);

    return scene_open(state, &world, &(struct world_options){.observerd_env = on, .fcgi_env = fcgi},
                      SCENE_READY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_nobody_posted_becomes_a_run_with_its_id),
        cmocka_unit_test(session_id_that_is_no_uuid_names_the_run),
        cmocka_unit_test(what_happens_to_a_discovered_session_happens_to_its_run),
        cmocka_unit_test(new_session_is_subscribed_soon),
        cmocka_unit_test(sessions_that_are_there_at_the_start_are_taken_in_their_state),
        cmocka_unit_test(history_that_is_gone_when_a_session_is_found_is_a_gap),
        cmocka_unit_test(ended_sessions_stay_out_without_backfill_and_open_ones_do_not),
        cmocka_unit_test(deleted_run_does_not_come_back),
        cmocka_unit_test(session_id_too_long_for_an_index_is_observed_like_any_other),
        cmocka_unit_test(posted_run_is_woken_by_its_session_and_stays_the_only_one),
        cmocka_unit_test(session_that_ends_while_its_posted_run_is_starting_completes_it),
        cmocka_unit_test(posting_a_discovered_session_adopts_its_run),
        cmocka_unit_test(posting_a_session_that_nobody_observes_any_more_adds_the_artifact),
        cmocka_unit_test(posted_and_discovered_at_once_is_one_run),
        cmocka_unit_test(session_that_opens_after_its_run_has_given_up_gets_another_run),
        cmocka_unit_test(session_id_that_is_used_again_gets_another_run),
        cmocka_unit_test(events_without_a_session_or_of_another_kind_lead_to_the_list),
        cmocka_unit_test(session_that_opened_while_the_watch_was_down_is_found),
        cmocka_unit_test(session_that_was_seen_and_is_gone_is_a_failed_run),
        cmocka_unit_test(session_that_postgres_refuses_does_not_disturb_the_others),
        cmocka_unit_test(without_discovery_posted_runs_are_woken_and_others_left_alone),
        cmocka_unit_test(five_hundred_sessions_opened_at_once_are_discovered_and_complete),
        cmocka_unit_test(sessions_of_a_second_are_read_before_their_history_is_dropped),
        cmocka_unit_test(two_observers_make_one_run_of_each_session),
    };

    return cmocka_run_group_tests_name("discovery", tests, set_up, scene_close);
}
