/* Deliveries outlive the process that was to make them, and endpoints that do not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/receiver.h"

#define DECISION "macp.mode.decision.v1"

enum { WAIT_MS = 20000, STOP_WITHIN_MS = 8000 };

static const char *const quick[] = {"WEBHOOK_TIMEOUT_MS=900",
                                    "WEBHOOK_RETRY_SCHEDULE=1,1,1,1,1,1,1,1,1,1,1,1", NULL};
/* One that fails twice is given up. */
static const char *const strict[] = {"WEBHOOK_TIMEOUT_MS=60000", "WEBHOOK_RETRY_SCHEDULE=1", NULL};
/* Attempts outlast the program's end. */
static const char *const patient[] = {"WEBHOOK_TIMEOUT_MS=60000", "OBSERVERD_DRAIN_MS=1500", NULL};

static struct world world;
static struct receiver receiver;

/* --- steps ----------------------------------------------------------------------------------- */

static void
start(size_t instance)
{
    struct err err = {0};

    world.instances[instance].id[0] = '\0';
    expect_ok(world_start_instance(&world, instance, &err), &err, "start an observer");
}

static void
kill_instance(size_t instance)
{
    assert_int_equal(world_stop_instance(&world, instance, SIGKILL, 1000), 128 + SIGKILL);
}

/* The only webhook there is; earlier ones and their deliveries go. */
static void
subscribe_only(int port, const char *path)
{
    struct err err = {0};
    json_t *body;
    char url[128];

    expect_ok(db_script(world.db, "delete from macp.webhooks", &err), &err, "delete webhooks");
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    body = json_pack("{s:s, s:s}", "url", url, "secret", "hook-secret");
    json_decref(expect_post(&world, 201, "/webhooks", body));
    json_decref(body);
}

static void
complete_a_run(void)
{
    struct posted run;

    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
}

static void
put_deliveries(int n)
{
    char count[16];

    snprintf(count, sizeof count, "%d", n);
    expect_sql(
        &world, count,
        "with made as (insert into macp.webhook_deliveries (public_id, webhook_key, "
        "run_key, run_version, event, body) select gen_random_uuid(), webhook_key, 0 - n, 1, "
        "'run.completed', '{}' from macp.webhooks, generate_series(1, %d) n returning 1) "
        "select count(*) from made",
        n);
}

static void
wait_for_requests(const char *path, size_t n)
{
    if (!receiver_wait(&receiver, path, n, process_slow(WAIT_MS)))
        fail_msg("%s: %zu requests came, not %zu", path, receiver_count(&receiver, path), n);
}

/* The header of the i-th request to the path. */
static void
header_of(const char *path, size_t i, const char *name, char *out, size_t size)
{
    AUTO_RECEIVED r = {0};

    assert_true(receiver_get(&receiver, path, i, &r));
    received_header(&r, name, out, size);
}

static bool
nobody_hangs(void *ctx)
{
    (void)ctx;
    return atomic_load(&receiver.hanging) == 0;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void
what_a_killed_process_had_committed_the_next_one_delivers(void **state)
{
    static const char path[] = "/status/200?after";
    int port = process_free_port();
    struct receiver late;
    struct err err = {0};

    (void)state;
    subscribe_only(port, path);
    start(0);
    complete_a_run();
    expect_sql_becomes(
        &world, "2 t",
        "select count(*) || ' ' || case when max(attempts) > 0 then 't' else 'f' end "
        "from macp.webhook_deliveries where status = 'pending'");
    kill_instance(0);
    expect_ok(receiver_start(&late, port, &err), &err, "start a receiver");
    start(1);
    assert_true(receiver_wait(&late, path, 2, process_slow(WAIT_MS)));
    for (size_t i = 0; i < 2; i++) {
        AUTO_RECEIVED r = {0};
        char event[64];

        assert_true(receiver_get(&late, path, i, &r));
        received_header(&r, "X-MACP-Event", event, sizeof event);
        assert_string_equal(event, i ? "run.completed" : "run.started");
    }
    expect_sql_becomes(&world, "2",
                       "select count(*) from macp.webhook_deliveries where status = 'delivered'");
    kill_instance(1);
    receiver_stop(&late);
}

static void
an_attempt_that_nobody_settled_is_made_again_under_the_same_id(void **state)
{
    static const char path[] = "/hang?killed";
    char first[UUID_LEN], second[UUID_LEN];

    (void)state;
    subscribe_only(receiver.port, path);
    start(0);
    put_deliveries(1);
    wait_for_requests(path, 1);
    kill_instance(0);
    start(1);
    wait_for_requests(path, 2);
    header_of(path, 0, "X-MACP-Delivery", first, sizeof first);
    header_of(path, 1, "X-MACP-Delivery", second, sizeof second);
    assert_string_equal(first, second);
    kill_instance(1);
}

/* Processes that die may not use up a delivery's attempts: nobody knows what would have come of
 * them. */
static void
attempts_that_nobody_settled_do_not_count(void **state)
{
    static const char path[] = "/hang?died";

    (void)state;
    world.options.observerd_env = strict;
    subscribe_only(receiver.port, path);
    put_deliveries(1);
    for (size_t i = 0; i < 3; i++) {
        start(0);
        wait_for_requests(path, i + 1);
        kill_instance(0);
        expect_sql(&world, "pending 0",
                   "with over as (update macp.webhook_deliveries set lease_until = now() returning "
                   "status, attempts) select status || ' ' || attempts from over");
    }
    expect_sql(&world, "1",
               "with moved as (update macp.webhooks set url = 'http://127.0.0.1:%d' || "
               "'/status/500,200?died' returning 1) select count(*) from moved",
               receiver.port);
    start(0);
    expect_sql_becomes(&world, "delivered 2",
                       "select status || ' ' || attempts from macp.webhook_deliveries");
    kill_instance(0);
    world.options.observerd_env = quick;
}

static void
a_process_that_leaves_gives_its_attempts_back_at_once(void **state)
{
    static const char path[] = "/hang?stopped";
    int64_t stopped_ms;

    (void)state;
    world.options.observerd_env = patient;
    subscribe_only(receiver.port, path);
    start(0);
    put_deliveries(1);
    wait_for_requests(path, 1);
    assert_int_equal(world_stop_instance(&world, 0, SIGTERM, process_slow(STOP_WITHIN_MS)), 0);
    stopped_ms = clock_mono_ms();
    expect_sql(&world, "pending 0 t",
               "select concat_ws(' ', status, attempts, next_attempt_at <= now() and lease_until "
               "<= now()) "
               "from macp.webhook_deliveries");
    start(1);
    wait_for_requests(path, 2);
    /* Its lease would have been three minutes. */
    assert_true(clock_mono_ms() - stopped_ms < process_slow(WAIT_MS));
    kill_instance(1);
    world.options.observerd_env = quick;
}

static void
two_instances_deliver_each_once(void **state)
{
    enum { MANY = 300 };
    static const char path[] = "/status/200?shared";

    (void)state;
    world.options.observerd_env = patient; /* however crowded the machine is */
    subscribe_only(receiver.port, path);
    start(0);
    start(1);
    put_deliveries(MANY);
    expect_sql_becomes(
        &world, "300",
        "select count(*) from macp.webhook_deliveries where status = 'delivered' and "
        "attempts = 1");
    assert_int_equal(receiver_count(&receiver, path), MANY);
    kill_instance(0);
    kill_instance(1);
    world.options.observerd_env = quick;
}

static void
endpoints_that_do_not_answer_hold_up_neither_runs_nor_others(void **state)
{
    static const char *const bad[] = {"/hang?1", "/drip?2", "/huge?3", "/headers?4", "/cut?5"};
    static const char path[] = "/status/200?good";
    enum { RUNS = 6 };

    (void)state;
    start(0);
    subscribe_only(receiver.port, path);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_sql(&world, "1",
                   "with made as (insert into macp.webhooks (id, url, secret) select "
                   "gen_random_uuid(), 'http://127.0.0.1:%d%s', 's' returning 1) select count(*) "
                   "from made",
                   receiver.port, bad[i]);
    for (int i = 0; i < RUNS; i++)
        complete_a_run();
    wait_for_requests(path, (size_t)2 * RUNS);
    expect_sql_becomes(&world, "12",
                       "select count(*) from macp.webhook_deliveries d join macp.webhooks w using "
                       "(webhook_key) where w.url like '%%good' and d.status = 'delivered'");
    /* An answer that is too long is one. */
    expect_sql_becomes(&world, "12",
                       "select count(*) from macp.webhook_deliveries d join macp.webhooks w using "
                       "(webhook_key) where w.url like '%%huge_3' and d.status = 'delivered'");
}

/* By the observer of the test before. */
static void
deliveries_go_on_when_postgres_comes_back(void **state)
{
    static const char path[] = "/status/200?restart";
    struct err err = {0};

    (void)state;
    subscribe_only(receiver.port, path);
    put_deliveries(200);
    wait_for_requests(path, 20);
    expect_ok(world_restart_postgres(&world, &err), &err, "restart Postgres");
    expect_sql_becomes(&world, "200",
                       "select count(*) from macp.webhook_deliveries where status = 'delivered'");
    assert_true(receiver_count(&receiver, path) >= 200);
}

static int
set_up(void **state)
{
    struct err err = {0};

    (void)state;
    if (receiver_start(&receiver, 0, &err) &&
        world_start(&world,
                    &(struct world_options){.without_observerd = true, .observerd_env = quick},
                    &err))
        return 0;
    print_error("%s\n", err.msg);
    world_stop(&world);
    return -1;
}

static int
tear_down(void **state)
{
    (void)state;
    world_stop(&world);
    assert_true(process_poll(nobody_hangs, NULL, WAIT_MS)); /* who called has gone */
    receiver_stop(&receiver);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_process_had_committed_the_next_one_delivers),
        cmocka_unit_test(an_attempt_that_nobody_settled_is_made_again_under_the_same_id),
        cmocka_unit_test(attempts_that_nobody_settled_do_not_count),
        cmocka_unit_test(a_process_that_leaves_gives_its_attempts_back_at_once),
        cmocka_unit_test(two_instances_deliver_each_once),
        cmocka_unit_test(endpoints_that_do_not_answer_hold_up_neither_runs_nor_others),
        cmocka_unit_test(deliveries_go_on_when_postgres_comes_back),
    };

    return cmocka_run_group_tests_name("webhooks", tests, set_up, tear_down);
}
