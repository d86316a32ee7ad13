/* Rows that change or break under the observer, and requests that meet. */
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

#include "tests/support/crowd.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"
#define PLANNER  "agent://planner"

enum { RUNS = 6, ENVELOPES = 12, POSTERS = 12, LARGE = 1 << 20 };

static struct world world;

static void
instance(bool up)
{
    struct err err = {0};

    if (up)
        expect_ok(world_start_instance(&world, 0, &err), &err, "start the observer");
    else
        world_stop_instance(&world, 0, SIGKILL, 1000);
}

/* --- stored state ---------------------------------------------------------------------------- */

/* What the next owner finds of the stored projections, run by run. */
static void
damage_projections(const struct crowd *c)
{
    static const char *const damage[RUNS] = {
        "timeline = '{}', decision = '[]'", /* no state */
        "participants = '\"\"', run_summary = 'null'",
        "schema_version = 1, signals = '{}'",                /* of an older program */
        "schema_version = schema_version + 1, graph = '{}'", /* of a newer one */
        "version = 1", /* behind: its tail is folded onto it */
        NULL,          /* gone */
    };

    for (size_t i = 0; i < c->n; i++) {
        const char *run = c->runs[i].run;

        if (damage[i])
            expect_sql(&world, "1",
                       "with u as (update macp.run_projections p set %s from macp.runs r where "
                       "r.run_key = p.run_key and r.id = '%s' returning 1) select count(*) from u",
                       damage[i], run);
        else
            expect_sql(&world, "1",
                       "with d as (delete from macp.run_projections p using macp.runs r where "
                       "r.run_key = p.run_key and r.id = '%s' returning 1) select count(*) from d",
                       run);
    }
}

static void
damaged_stored_state_is_folded_anew_by_the_next_owner(void **state)
{
    struct crowd c;

    (void)state;
    crowd_post(&c, &world, RUNS);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .open = true});
    crowd_pumped(&c);
    crowd_wait_stored(&c, RUNS * ENVELOPES);
    expect_sql_becomes(&world, "6",
                       "select count(*) from macp.run_projections p join macp.runs r using "
                       "(run_key) where r.id = any('%s')",
                       buf_cstr(&c.list));
    instance(false);
    damage_projections(&c);
    instance(true);
    for (size_t i = 0; i < c.n; i++)
        crowd_send(&c, i, "Commitment");
    crowd_expect_whole(&c, "damaged projections");
    for (size_t i = 0; i < c.n; i++)
        expect_state_is_fold(&world, c.runs[i].run);
    crowd_free(&c);
}

/* --- runs that go ---------------------------------------------------------------------------- */

static void
signal_of(const char *session, const char *id)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "cmd",
                                                 "send", "type", "Signal", "sender", PLANNER,
                                                 "messageId", id, "payload", "signal_type", "late",
                                                 "correlation_session_id", session)));
}

static void
run_deleted_in_its_owners_hands_takes_nothing_more_and_harms_no_other(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    struct crowd c;
    char path[80];
    struct err err;

    (void)state;
    crowd_post(&c, &world, 2);
    crowd_pump(&c, &(struct crowd_load){.n = 1, .envelopes = ENVELOPES});
    crowd_pumped(&c);
    expect_status(&world, c.runs[0].run, "completed");
    snprintf(path, sizeof path, "/runs/%s", c.runs[0].run);
    expect_ok(
        http_send(&world.http, &(struct http_request){.method = "DELETE", .path = path}, &r, &err),
        &err, "delete");
    assert_int_equal(r.status, 204);
    signal_of(c.runs[0].session, "after-the-deletion");
    crowd_pump(&c, &(struct crowd_load){.first = 1, .envelopes = ENVELOPES});
    crowd_pumped(&c);
    expect_status(&world, c.runs[1].run, "completed");
    expect_stored_once(&world, c.runs[1].run, c.runs[1].session);
    expect_sql(&world, "0", "select count(*) from macp.runs where id = '%s'", c.runs[0].run);
    expect_sql(&world, "0",
               "select count(*) from macp.run_events_raw e where not exists (select from "
               "macp.runs r where r.run_key = e.run_key)");
    assert_true(process_alive(&world.instances[0].process));
    crowd_free(&c);
}

struct deletion {
    struct http http;
    char path[80];
    int status;
};

static void *
delete_run(void *arg)
{
    struct deletion *d = arg;
    AUTO_HTTP_REPLY r = {0};
    struct err err;

    if (http_send(&d->http, &(struct http_request){.method = "DELETE", .path = d->path}, &r, &err))
        d->status = r.status;
    return NULL;
}

/* The owner's transaction holds the run when the deletion comes, and has an event in it. */
static void
run_deleted_while_its_owner_writes_leaves_nothing(void **state)
{
    struct db *owner = db_new(world.admin_url, "test-owner", process_slow(20000));
    struct deletion d = {.http = world.http};
    struct err err = {0};
    struct crowd c;
    char sql[700];
    pthread_t thread;
    long key;

    (void)state;
    crowd_post(&c, &world, 1);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES});
    crowd_pumped(&c);
    expect_status(&world, c.runs[0].run, "completed");
    key = expect_sql_int(&world, "select run_key from macp.runs where id = '%s'", c.runs[0].run);
    snprintf(sql, sizeof sql,
             "begin; select 1 from macp.run_observers where run_key = %ld for update; insert into "
             "macp.run_events_canonical (day, run_key, seq, ts, type, source_kind, source_name, "
             "data) select day, run_key, 9999, now(), 'signal.emitted', 'runtime', 'late', '{}' "
             "from macp.runs where run_key = %ld",
             key, key);
    expect_ok(db_script(owner, sql, &err), &err, "write as the owner does");
    snprintf(d.path, sizeof d.path, "/runs/%s", c.runs[0].run);
    assert_int_equal(pthread_create(&thread, NULL, delete_run, &d), 0);
    expect_sql_becomes(&world, "1",
                       "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and "
                       "query like '%%run_observers%%'");
    expect_ok(db_script(owner, "commit", &err), &err, "commit");
    pthread_join(thread, NULL);
    assert_int_equal(d.status, 204);
    expect_sql(&world, "0", "select count(*) from macp.run_events_canonical where run_key = %ld",
               key);
    db_close(owner);
    crowd_free(&c);
}

/* --- too large ------------------------------------------------------------------------------- */

static void
envelope_beyond_the_limit_is_one_gap_and_the_rest_is_stored(void **state)
{
    char *large = malloc(LARGE + 1);
    struct crowd c;

    (void)state;
    memset(large, 'x', LARGE); /* as large as the runtime takes; the envelope is around it */
    large[LARGE] = '\0';
    crowd_post(&c, &world, 1);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .open = true});
    crowd_pumped(&c);
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "cmd",
                                                 "send", "session", c.runs[0].session, "mode",
                                                 DECISION, "type", "Evaluation", "sender", PLANNER,
                                                 "text", large, "forced", 1)));
    free(large);
    crowd_send(&c, 0, "Evaluation");
    crowd_send(&c, 0, "Commitment");
    expect_status(&world, c.runs[0].run, "completed");
    expect_sql(&world, "oversize 13-13",
               "select string_agg(format('%%s %%s-%%s', kind, from_ordinal, to_ordinal), ',') from "
               "macp.observer_gaps g join macp.runs r using (run_key) where r.id = '%s'",
               c.runs[0].run);
    expect_sql(&world, "14", /* the others */
               "select count(*) from macp.run_events_raw e join macp.runs r using (run_key) where "
               "r.id = '%s' and source = 'session'",
               c.runs[0].run);
    crowd_free(&c);
}

/* --- requests that meet ---------------------------------------------------------------------- */

struct poster {
    pthread_t thread;
    struct http http;
    json_t *descriptor;
    int status;
    char run[UUID_LEN];
};

static void *
post(void *arg)
{
    struct poster *p = arg;
    AUTO_HTTP_REPLY r = {0};
    const char *run;
    struct err err;

    if (http_post(&p->http, "/runs", p->descriptor, &r, &err)) {
        p->status = r.status;
        run = json_string_value(json_object_get(r.json, "runId"));
        snprintf(p->run, sizeof p->run, "%s", run ? run : "");
    }
    return NULL;
}

static void
posts_with_one_key_at_once_are_one_run(void **state)
{
    struct poster posters[POSTERS] = {0};

    (void)state;
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i].http = world.http;
        posters[i].descriptor = world_descriptor(DECISION, NULL);
        json_object_set_new(posters[i].descriptor, "execution",
                            json_pack("{s:s}", "idempotencyKey", "all-at-once"));
    }
    for (size_t i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post, &posters[i]), 0);
    for (size_t i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    for (size_t i = 0; i < POSTERS; i++) {
        assert_int_equal(posters[i].status, 201);
        assert_string_equal(posters[i].run, posters[0].run);
        json_decref(posters[i].descriptor);
    }
    expect_sql(&world, "1", "select count(*) from macp.runs where idempotency_key = 'all-at-once'");
}

static int
set_up(void **state)
{
    static const char *const env[] = {"RUNTIME_GRPC_MAX_MESSAGE_BYTES=1048576", NULL};

    return scene_open(state, &world,
                      &(struct world_options){.without_observerd = true, .observerd_env = env},
                      SCENE_INSTANCE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_stored_state_is_folded_anew_by_the_next_owner),
        cmocka_unit_test(run_deleted_in_its_owners_hands_takes_nothing_more_and_harms_no_other),
        cmocka_unit_test(run_deleted_while_its_owner_writes_leaves_nothing),
        cmocka_unit_test(envelope_beyond_the_limit_is_one_gap_and_the_rest_is_stored),
        cmocka_unit_test(posts_with_one_key_at_once_are_one_run),
    };

    return cmocka_run_group_tests_name("rows", tests, set_up, scene_close);
}
