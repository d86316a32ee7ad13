/* What people change about a run while it is observed: its owner does it, and goes on reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/json.h"
#include "tests/support/crowd.h"
#include "tests/support/folds.h"
#include "tests/support/scene.h"

enum {
    RUNS = 3,
    ENVELOPES = 60,
    RATE = 120,
    LARGE = 2000,
    LOADED = 240,
    RACERS = 6,
    RACES = 4,
    ARTIFACTS = 50,
    POSTERS = 5,
    COMMAND_MS = 60000
};

static struct world world;
static size_t observing; /* which of two instances */

static void
instance(size_t i, bool up)
{
    struct err err = {0};

    if (up)
        expect_ok(world_start_instance(&world, i, &err), &err, "start an observer");
    else
        world_stop_instance(&world, i, SIGKILL, 1000);
}

/* Killed in the middle of what it does not answer; the other one takes over. */
static void
freeze(void)
{
    kill(world.instances[observing].process.pid, SIGSTOP);
}

static void
replace(void)
{
    instance(observing, false);
    observing = 1 - observing;
    instance(observing, true);
}

static json_int_t
subscriptions(void)
{
    json_t *counters = expect_control(&world, json_pack("{s:s}", "cmd", "counters"));
    json_int_t n =
        json_integer_value(json_object_get(json_object_get(counters, "total"), "StreamSession"));

    json_decref(counters);
    return n;
}

static void
compaction(bool on)
{
    json_decref(
        expect_control(&world, json_pack("{s:s, s:b}", "cmd", "set", "compaction", (int)on)));
}

/* --- folding anew ------------------------------------------------------------------------------
 */

static void
wait_for_states(const struct crowd *c)
{
    expect_sql_becomes(&world, "t",
                       "select count(*) = %zu from macp.run_projections p join macp.runs using "
                       "(run_key) where id = any('%s') and p.version > 20",
                       c->n, buf_cstr(&c->list));
}

/* All that is folded, without making it unreadable: whoever loads it goes on with it. */
static void
damage(const struct crowd *c)
{
    expect_sql(&world, "t",
               "with keys as (select run_key from macp.runs where id = any('%s')), p as (update "
               "macp.run_projections set decision = '{}', participants = '[]', llm = '{}' where "
               "run_key in (select run_key from keys) returning 1), m as (update macp.run_metrics "
               "set event_count = 7, proposal_count = 1000, total_tokens = 5 where run_key in "
               "(select run_key from keys) returning 1), v as (delete from macp.run_votes where "
               "run_key in (select run_key from keys)), s as (insert into macp.run_signals "
               "(run_key, seq, ts, name) select run_key, 1, now(), 'never' from keys returning 1), "
               "w as (update macp.run_participants set messages = 99 where run_key in (select "
               "run_key from keys)) select (select count(*) from p) = %zu and (select count(*) "
               "from m) = %zu and (select count(*) from s) = %zu",
               buf_cstr(&c->list), c->n, c->n, c->n);
}

static json_t *
rebuild(const char *run, int status)
{
    char path[128];

    snprintf(path, sizeof path, "/runs/%s/projection/rebuild", run);
    return expect_post(&world, status, path, NULL);
}

static void
expect_no_gap(void)
{
    expect_sql(&world, "0", "select count(*) from macp.observer_gaps");
}

/* Whoever loads damaged rows stores them again with every batch, until it is told. */
static void
owner_that_goes_by_damaged_rows_is_told_and_goes_on_reading(void **state)
{
    struct crowd crowd;
    json_int_t before;

    (void)state;
    crowd_post(&crowd, &world, RUNS);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE, .open = true});
    wait_for_states(&crowd);
    instance(observing, false);
    damage(&crowd);
    instance(observing, true);
    crowd_wait_stored(&crowd, RUNS * ENVELOPES / 2);
    crowd_wait_subscribed(&crowd);
    compaction(true);
    before = subscriptions();
    for (size_t i = 0; i < RUNS; i++) {
        json_t *made = rebuild(crowd.runs[i].run, 201);

        assert_true(json_is_true(json_object_get(made, "rebuilt")));
        assert_true(json_integer_value(json_object_get(made, "latestSeq")) > 5);
        json_decref(made);
        expect_sql(&world, "0",
                   "select count(*) from macp.run_signals join macp.runs using (run_key) where id "
                   "= '%s' and name = 'never'",
                   crowd.runs[i].run);
        expect_sql(&world, "1",
                   "select count(*) from macp.audit_log where action = 'projection.rebuilt' and "
                   "resource_id = '%s' and actor like 'key-%%' and request_id is not null",
                   crowd.runs[i].run);
    }
    crowd_pumped(&crowd);
    crowd_wait_stored(&crowd, RUNS * ENVELOPES);
    for (size_t i = 0; i < RUNS; i++) {
        expect_state_is_fold(&world, crowd.runs[i].run);
        crowd_send(&crowd, i, "Commitment");
    }
    crowd_expect_whole(&crowd, "rebuilt");
    assert_int_equal(subscriptions(), before);
    compaction(false);
    expect_no_gap();
    crowd_free(&crowd);
}

/* Its votes are too large for the lane of ordinary runs. */
static void
large_run_is_folded_while_it_grows(void **state)
{
    struct crowd crowd;
    json_int_t before;

    (void)state;
    crowd_post(&crowd, &world, 1);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = LARGE, .rate = LARGE / 2, .open = true});
    crowd_wait_stored(&crowd, LARGE / 2);
    before = subscriptions();
    json_decref(rebuild(crowd.runs[0].run, 201));
    expect_sql(&world, "t",
               "select pg_column_size(array_agg(v)) > 65536 from macp.run_votes v join macp.runs "
               "using (run_key) where id = '%s'",
               crowd.runs[0].run);
    crowd_pumped(&crowd);
    json_decref(rebuild(crowd.runs[0].run, 201));
    assert_int_equal(subscriptions(), before);
    crowd_send(&crowd, 0, "Commitment");
    crowd_expect_whole(&crowd, "large");
    crowd_free(&crowd);
}

struct racer {
    pthread_t thread;
    struct http http;
    const char *run;
    int refused;
};

static void *
race(void *arg)
{
    struct racer *r = arg;
    char path[128];

    snprintf(path, sizeof path, "/runs/%s/projection/rebuild", r->run);
    for (int i = 0; i < RACES; i++) {
        AUTO_HTTP_REPLY reply = {0};
        struct err err;

        if (!http_send(&r->http, &(struct http_request){.method = "POST", .path = path}, &reply,
                       &err) ||
            (reply.status != 201 && reply.status != 202))
            r->refused++;
    }
    return NULL;
}

static void
start_command(struct process *p, const char *run)
{
    const char *const args[3] = {"rebuild", run, NULL};
    struct err err = {0};

    expect_ok(world_start_command(&world, p, "rebuild", args, &err), &err, "rebuild");
}

/* Over HTTP, by the command, and by the run's end, all at once. */
static void
rebuilding_at_once_by_many_changes_nothing(void **state)
{
    struct racer racers[RACERS];
    struct process command = {0};
    struct crowd crowd;

    (void)state;
    crowd_post(&crowd, &world, 1);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    crowd_wait_stored(&crowd, 5);
    start_command(&command, crowd.runs[0].run);
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.http = world.http, .run = crowd.runs[0].run};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_int_equal(racers[i].refused, 0);
    }
    assert_int_equal(process_stop(&command, 0, process_slow(COMMAND_MS)), 0);
    crowd_pumped(&crowd);
    crowd_expect_whole(&crowd, "raced");
    json_decref(rebuild(crowd.runs[0].run, 201)); /* it is over, and still its owner's */
    expect_state_is_fold(&world, crowd.runs[0].run);
    expect_no_gap();
    crowd_free(&crowd);
}

/* What was asked for and not answered is carried out when Postgres is back. */
static void
rebuilding_while_postgres_restarts_ends_well(void **state)
{
    struct racer racers[RACERS];
    struct crowd crowd;
    struct err err = {0};

    (void)state;
    crowd_post(&crowd, &world, 1);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = LOADED, .rate = RATE, .open = true});
    crowd_wait_stored(&crowd, 5);
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.http = world.http, .run = crowd.runs[0].run};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    expect_ok(world_restart_postgres(&world, &err), &err, "restart Postgres");
    for (size_t i = 0; i < RACERS; i++)
        pthread_join(racers[i].thread, NULL);
    crowd_pumped(&crowd);
    expect_sql_becomes(&world, "0",
                       "select count(*) from macp.commands where state in ('requested', "
                       "'running')");
    json_decref(rebuild(crowd.runs[0].run, 201));
    expect_state_is_fold(&world, crowd.runs[0].run);
    crowd_send(&crowd, 0, "Commitment");
    crowd_expect_whole(&crowd, "restarted");
    crowd_free(&crowd);
}

/* Stopped, so that it neither answers nor counts as dead. */
static void
rebuild_that_its_owner_does_not_live_to_see_is_the_next_ones(void **state)
{
    struct crowd crowd;
    json_t *open;
    const char *id;

    (void)state;
    crowd_post(&crowd, &world, 1);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = ENVELOPES, .open = true});
    crowd_pumped(&crowd);
    wait_for_states(&crowd);
    damage(&crowd);
    freeze();
    open = rebuild(crowd.runs[0].run, 504);
    id = json_string_value(json_object_get(json_object_get(open, "metadata"), "commandId"));
    replace();
    expect_sql_becomes(&world, "done", "select state from macp.commands where id = %s", id);
    json_decref(open);
    expect_sql(&world, "1",
               "select count(*) from macp.audit_log where action = 'projection.rebuilt' and "
               "resource_id = '%s'",
               crowd.runs[0].run);
    expect_state_is_fold(&world, crowd.runs[0].run);
    crowd_send(&crowd, 0, "Commitment");
    crowd_expect_whole(&crowd, "taken over");
    crowd_free(&crowd);
}

/* It may have been let go after somebody has asked for it. */
static void
command_about_a_run_that_nobody_has_in_memory_says_so(void **state)
{
    struct posted run;

    (void)state;
    expect_posted(&world, "macp.mode.decision.v1", NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    expect_sql(&world, "1",
               "with c as (update macp.run_observers o set closed = true, owner = null from "
               "macp.runs r where r.run_key = o.run_key and r.id = '%s' returning o.run_key), i as "
               "(insert into macp.commands (run_key, kind, deadline) select run_key, 'rebuild', "
               "now() + interval '1 hour' from c returning 1) select count(*) from i",
               run.run);
    expect_sql_becomes(&world, "done unobserved",
                       "select state || ' ' || (result ->> 'outcome') from macp.commands join "
                       "macp.runs using (run_key) where runs.id = '%s'",
                       run.run);
    json_decref(rebuild(run.run, 201));
    expect_state_is_fold(&world, run.run);
}

/* --- artifacts ---------------------------------------------------------------------------------
 */

struct poster {
    pthread_t thread;
    struct http http;
    const char *run;
    int refused;
    int64_t slowest_ms;
};

static int
add_artifact(struct http *http, const char *run, int64_t *took_ms)
{
    static const char body[] = "{\"kind\":\"log\",\"label\":\"seen\"}";
    AUTO_HTTP_REPLY reply = {0};
    struct err err = {0};
    char path[128];

    snprintf(path, sizeof path, "/runs/%s/artifacts", run);
    if (!http_send(http,
                   &(struct http_request){
                       .method = "POST", .path = path, .body = body, .body_len = sizeof body - 1},
                   &reply, &err))
        return 0;
    *took_ms = reply.elapsed_us / 1000;
    return reply.status;
}

static void *
post_artifacts(void *arg)
{
    struct poster *p = arg;

    for (int i = 0; i < ARTIFACTS / POSTERS; i++) {
        int64_t took_ms = 0;

        if (add_artifact(&p->http, p->run, &took_ms) != 201)
            p->refused++;
        p->slowest_ms = took_ms > p->slowest_ms ? took_ms : p->slowest_ms;
    }
    return NULL;
}

static void
expect_artifacts(const char *run, int n)
{
    expect_sql(&world, "t",
               "select count(*) = %d and bool_and(exists (select from macp.run_events_canonical e "
               "where e.run_key = a.run_key and e.type = 'artifact.created' and e.subject_id = "
               "a.id::text)) from macp.run_artifacts a join macp.runs r using (run_key) where r.id "
               "= '%s'",
               n, run);
    assert_int_equal(expect_event_count(&world, run, "artifact.created"), n);
}

/* The owner numbers their events itself: it neither loads the run anew nor leaves its stream. */
static void
artifacts_of_an_observed_run_leave_its_stream_open(void **state)
{
    struct poster posters[POSTERS];
    struct crowd crowd;
    json_int_t before;
    int64_t slowest_ms = 0;

    (void)state;
    compaction(true);
    crowd_post(&crowd, &world, 1);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = LOADED, .rate = RATE, .open = true});
    crowd_wait_stored(&crowd, 5);
    crowd_wait_subscribed(&crowd);
    before = subscriptions();
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.http = world.http, .run = crowd.runs[0].run};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_artifacts, &posters[i]), 0);
    }
    for (size_t i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].refused, 0);
        slowest_ms = posters[i].slowest_ms > slowest_ms ? posters[i].slowest_ms : slowest_ms;
    }
    print_message("          the slowest of %d took %lld ms\n", ARTIFACTS, (long long)slowest_ms);
    expect_artifacts(crowd.runs[0].run, ARTIFACTS + 1); /* the first one leads to the trace */
    crowd_pumped(&crowd);
    crowd_send(&crowd, 0, "Commitment");
    crowd_expect_whole(&crowd, "with artifacts");
    assert_int_equal(subscriptions(), before);
    expect_state_is_fold(&world, crowd.runs[0].run);
    expect_sql(&world, "0", "select count(*) from macp.audit_log where action = 'run.appended'");
    compaction(false);
    expect_no_gap();
    crowd_free(&crowd);
}

static void
artifact_is_there_when_the_owner_is_not_and_its_event_follows(void **state)
{
    struct crowd crowd;
    int64_t took_ms;

    (void)state;
    crowd_post(&crowd, &world, 1);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = 10, .open = true});
    crowd_pumped(&crowd);
    crowd_wait_stored(&crowd, 10);
    freeze();
    assert_int_equal(add_artifact(&world.http, crowd.runs[0].run, &took_ms), 201);
    expect_sql(&world, "2",
               "select count(*) from macp.run_artifacts join macp.runs r using (run_key) where "
               "r.id = '%s'",
               crowd.runs[0].run);
    replace();
    expect_sql_becomes(&world, "done",
                       "select state from macp.commands join macp.runs r using (run_key) where "
                       "r.id = '%s' and kind = 'append'",
                       crowd.runs[0].run);
    expect_artifacts(crowd.runs[0].run, 2);
    crowd_send(&crowd, 0, "Commitment");
    crowd_expect_whole(&crowd, "taken over with an artifact");
    crowd_free(&crowd);
}

/* At once, and also when somebody was asked who has let the run go meanwhile. */
static void
artifacts_of_a_run_that_nobody_observes_need_no_owner(void **state)
{
    static const char id[] = "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11";
    struct posted run;
    int64_t took_ms;

    (void)state;
    expect_posted(&world, "macp.mode.decision.v1", NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    expect_sql(&world, "",
               "update macp.run_observers o set closed = true, owner = null from macp.runs r where "
               "r.run_key = o.run_key and r.id = '%s'",
               run.run);
    assert_int_equal(add_artifact(&world.http, run.run, &took_ms), 201);
    expect_artifacts(run.run, 2);
    expect_sql(&world, "0",
               "select count(*) from macp.commands join macp.runs r using (run_key) where r.id = "
               "'%s'",
               run.run);
    expect_sql(&world, "1",
               "with r as (select run_key from macp.runs where id = '%s'), a as (insert into "
               "macp.run_artifacts (id, run_key, kind, label) select '%s', run_key, 'log', 'x' "
               "from r), c as (insert into macp.commands (run_key, kind, deadline, args) select "
               "run_key, 'append', 'infinity', '{\"events\":[{\"type\":\"artifact.created\","
               "\"subjectKind\":\"artifact\",\"subjectId\":\"%s\",\"sourceName\":"
               "\"observability-controller\",\"data\":{}}]}' from r returning 1) select count(*) "
               "from c",
               run.run, id, id);
    expect_sql_becomes(&world, "done",
                       "select state from macp.commands join macp.runs r using (run_key) where "
                       "r.id = '%s'",
                       run.run);
    expect_artifacts(run.run, 3);
    expect_stored_once(&world, run.run, run.session);
    expect_state_is_fold(&world, run.run);
    json_decref(rebuild(run.run, 201)); /* what is stored was left behind */
}

/* --- at the end --------------------------------------------------------------------------------
 */

static void
everything_is_what_refolding_gives(void **state)
{
    char *before;

    (void)state;
    for (size_t i = 0; i < WORLD_INSTANCES; i++)
        if (world.instances[i].process.pid > 0)
            world_stop_instance(&world, i, SIGTERM, process_slow(10000));
    before = folds_now(&world);
    crowd_refold(&world);
    folds_expect_same(&world, before);
    free(before);
}

static int
set_up(void **state)
{
    static const char *const fcgi_env[] = {"COMMAND_WAIT_MS=3000", "FCGI_THREADS=16", NULL};

    return scene_open(state, &world,
                      &(struct world_options){.without_observerd = true, .fcgi_env = fcgi_env},
                      SCENE_INSTANCE | SCENE_READY | SCENE_WITNESS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owner_that_goes_by_damaged_rows_is_told_and_goes_on_reading),
        cmocka_unit_test(large_run_is_folded_while_it_grows),
        cmocka_unit_test(rebuilding_at_once_by_many_changes_nothing),
        cmocka_unit_test(rebuilding_while_postgres_restarts_ends_well),
        cmocka_unit_test(rebuild_that_its_owner_does_not_live_to_see_is_the_next_ones),
        cmocka_unit_test(command_about_a_run_that_nobody_has_in_memory_says_so),
        cmocka_unit_test(artifacts_of_an_observed_run_leave_its_stream_open),
        cmocka_unit_test(artifact_is_there_when_the_owner_is_not_and_its_event_follows),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(artifacts_of_a_run_that_nobody_observes_need_no_owner),
        cmocka_unit_test(everything_is_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("live", tests, set_up, scene_close);
}
