/*
 * The network between the programs and Postgres or the runtime: it holds everything up, cuts
 * connections, loses notifications, and ends go without a word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/crowd.h"
#include "tests/support/relay.h"
#include "tests/support/scene.h"
#include "tests/support/sse.h"
#include "tests/support/stream_load.h"

enum {
    RUNS = 10,
    ENVELOPES = 60,
    RATE = 300,
    LEASE_MS = 3000,
    HELD_MS = LEASE_MS + 500,
    RUNTIME_HELD_MS = 1500,
    CUTS = 12,
    CUT_EVERY_MS = 120,
    REFUSED_WITHIN_MS = 2500, /* of a request, while Postgres says nothing */
    API_LOOKS = 12,
    WAIT_MS = 60000,
};

/* Of the sockets, on both sides: what takes a minute otherwise. */
#define QUICK                                                                                      \
    "&keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=3000"            \
    "&options=-c%20tcp_keepalives_idle%3D1%20-c%20tcp_keepalives_interval%3D1"                     \
    "%20-c%20tcp_keepalives_count%3D2%20-c%20tcp_user_timeout%3D3000"

static struct world world;
static struct postgres *cluster;
static struct relay *to_postgres, *to_runtime;

/* --- followers ------------------------------------------------------------------------------- */

static bool
all_have_begun(struct sse *s, void *ctx UNUSED)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->clients[i]->status != 200)
            return false;
    return true;
}

/* One stream per run, from its first event on. */
static void
follow(struct sse *sse, const struct crowd *c)
{
    sse_init(sse, &world.http);
    for (size_t i = 0; i < c->n; i++) {
        struct sse_client *one = sse_add(sse, c->runs[i].run, "stream", "?afterSeq=1");

        one->resume = true;
        sse_connect(one, 0);
        sse_turn(sse, 0);
    }
    assert_true(sse_until(sse, all_have_begun, NULL, process_slow(WAIT_MS)));
}

static bool
all_have_ended(struct sse *s, void *ctx UNUSED)
{
    return sse_ended(s) == s->n;
}

static void
expect_followed(struct sse *sse)
{
    char what[128] = "";
    struct err err = {0};

    if (!sse_until(sse, all_have_ended, NULL, process_slow(WAIT_MS)))
        fail_msg("%zu of %zu followers saw the end", sse_ended(sse), sse->n);
    if (!stream_load_all_complete(&world, sse, 1, what, sizeof what, &err))
        fail_msg("%s", err.code ? err.msg : what);
    sse_fini(sse);
}

/* --- load ------------------------------------------------------------------------------------ */

static void
load(struct crowd *c)
{
    crowd_post(c, &world, RUNS);
    crowd_pump(c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    crowd_wait_stored(c, RUNS * 5);
    assert_true(crowd_is_pumping(c));
}

static void
expect_whole(struct crowd *c, const char *what)
{
    crowd_pumped(c);
    crowd_expect_whole(c, what);
    assert_true(process_alive(&world.instances[0].process));
    crowd_free(c);
}

/* --- notifications --------------------------------------------------------------------------- */

/* A command that its owner answers for: what the runtime thinks of it is another matter. */
static void
expect_command_answered(void)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    expect_ok(http_send(&world.http,
                        &(struct http_request){.method = "DELETE",
                                               .path = "/runtime/policies/policy.none"},
                        &r, &err),
              &err, "a command");
    if (r.status >= 500)
        fail_msg("the command was answered %d %.200s", r.status, buf_cstr(&r.body));
}

static void
lost_notifications_only_cost_time(void **state)
{
    struct crowd c;
    struct sse sse;

    (void)state;
    relay_mute(to_postgres, true);
    crowd_post(&c, &world, RUNS);
    follow(&sse, &c);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    expect_command_answered();
    expect_followed(&sse);
    print_message("%zu notifications lost\n", relay_muted(to_postgres));
    assert_true(relay_muted(to_postgres) > RUNS);
    relay_mute(to_postgres, false);
    expect_whole(&c, "lost notifications");
}

/* --- held up --------------------------------------------------------------------------------- */

/* Nobody waits for ever for a server that says nothing. */
static void
expect_refused_in_time(const struct crowd *c)
{
    int64_t began = clock_mono_ms();
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    long took;

    expect_ok(http_get(&world.http, &r, &err, "/runs/%s", c->runs[0].run), &err, "a request");
    took = (long)(clock_mono_ms() - began);
    assert_int_equal(r.status, 503);
    print_message("refused within %ld ms\n", took);
    if (took > process_slow(REFUSED_WITHIN_MS))
        fail_msg("it took %ld ms to refuse", took);
}

/* What was held up arrives late, when its sender has long begun anew. */
static void
postgres_held_up_for_longer_than_the_lease_loses_nothing(void **state)
{
    struct crowd c;
    struct sse sse;

    (void)state;
    load(&c);
    follow(&sse, &c);
    relay_hold(to_postgres, true);
    expect_refused_in_time(&c);
    process_pause(HELD_MS); /* the fault itself */
    relay_hold(to_postgres, false);
    expect_followed(&sse);
    expect_whole(&c, "Postgres held up");
}

static void
runtime_held_up_loses_nothing(void **state)
{
    struct crowd c;

    (void)state;
    load(&c);
    relay_hold(to_runtime, true);
    process_pause(RUNTIME_HELD_MS); /* the fault itself */
    relay_hold(to_runtime, false);
    expect_whole(&c, "runtime held up");
}

/* --- cut ------------------------------------------------------------------------------------- */

static void
connections_cut_all_the_time_lose_nothing(void **state)
{
    struct crowd c;
    struct sse sse;
    size_t cut = 0;

    (void)state;
    load(&c);
    follow(&sse, &c);
    for (int i = 0; i < CUTS; i++) {
        cut += relay_cut(i % 3 == 2 ? to_runtime : to_postgres);
        process_pause(CUT_EVERY_MS); /* between faults */
    }
    print_message("%zu connections cut\n", cut);
    assert_true(cut >= CUTS);
    expect_followed(&sse);
    expect_whole(&c, "cut connections");
}

/* --- gone without a word --------------------------------------------------------------------- */

/* The server has locked the runs of a batch, and the rest of it never comes. */
static void
observer_that_vanishes_inside_a_transaction_does_not_hold_its_runs(void **state)
{
    int64_t deadline;
    struct crowd c;

    (void)state;
    load(&c);
    relay_strike(to_postgres, "batch_guard");
    deadline = clock_mono_ms() + process_slow(WAIT_MS);
    while (!relay_has_struck(to_postgres)) {
        assert_true(clock_mono_ms() < deadline);
        process_pause(2);
    }
    expect_whole(&c, "vanished inside a transaction");
}

static void
remember_connections(void)
{
    struct err err = {0};

    expect_ok(db_script(world.db,
                        "drop table if exists gone; create table gone as select pid from "
                        "pg_stat_activity where application_name like 'macp-fcgi%%' or "
                        "application_name = (select instance_id::text from "
                        "macp.observer_instances order by alive_until desc limit 1)",
                        &err),
              &err, "connections");
    assert_true(expect_sql_int(&world, "select count(*) from gone") > 5);
}

/* Both far ends are gone and nobody says so; new connections find somebody. */
static void
ends_that_vanish_are_given_up(void **state)
{
    struct err err = {0};
    struct crowd c;
    struct sse sse;
    int64_t began;

    (void)state;
    load(&c);
    follow(&sse, &c);
    remember_connections();
    expect_ok(relay_vanish(to_runtime, &err), &err, "vanish");
    expect_ok(relay_vanish(to_postgres, &err), &err, "vanish");
    began = clock_mono_ms();
    expect_sql_becomes(&world, "0", "select count(*) from gone join pg_stat_activity using (pid)");
    print_message("the server gave them up within %ld ms\n", (long)(clock_mono_ms() - began));
    /* The one that waits for notifications says nothing itself: only its socket could tell. */
    expect_sql_becomes(&world, "1",
                       "select count(*) from pg_stat_activity where application_name = "
                       "'macp-fcgi listen'");
    expect_followed(&sse);
    expect_whole(&c, "vanished ends");
    print_message("everything was read after %ld ms\n", (long)(clock_mono_ms() - began));
}

/* Each worker of macp-fcgi finds out about its own connection. */
static bool
api_answers(void *ctx)
{
    const struct crowd *c = ctx;
    bool all = true;

    for (int i = 0; all && i < API_LOOKS; i++) {
        AUTO_HTTP_REPLY r = {0};
        struct err err;

        all = http_get(&world.http, &r, &err, "/runs/%s", c->runs[0].run) && r.status == 200;
    }
    return all;
}

static void
postgres_that_answers_no_connection_is_an_outage_that_loses_nothing(void **state)
{
    struct err err = {0};
    struct crowd c;

    (void)state;
    load(&c);
    expect_ok(relay_vanish(to_postgres, &err) && relay_go_deaf(to_postgres, true, &err), &err,
              "vanish");
    expect_refused_in_time(&c);
    expect_ok(relay_go_deaf(to_postgres, false, &err), &err, "come back");
    assert_true(process_poll(api_answers, &c, process_slow(WAIT_MS)));
    expect_whole(&c, "no answer to connections");
}

/* --------------------------------------------------------------------------------------------- */

static int
set_up(void **state)
{
    static const char *const env[] = {"RUNTIME_KEEPALIVE_MS=10000", NULL};
    struct world_options options = {
        .without_observerd = true, .observerd_env = env, .postgres_address = QUICK};
    struct err err = {0};

    cluster = postgres_start(&(struct postgres_options){.tcp = true}, &err);
    if (cluster)
        to_postgres = relay_start(RELAY_POSTGRES, postgres_port(cluster), &err);
    if (to_postgres)
        to_runtime = relay_start(RELAY_BYTES, 0, &err);
    if (!to_runtime) {
        print_error("%s\n", err.msg);
        return -1;
    }
    options.cluster = cluster;
    options.postgres_port = relay_port(to_postgres);
    options.runtime_port = relay_port(to_runtime);
    if (scene_open(state, &world, &options, SCENE_WITNESS) != 0)
        return -1;
    relay_aim(to_runtime, world.runtime_port);
    if (world_start_instance(&world, 0, &err) && world_wait_ready(&world, &err))
        return 0;
    print_error("%s\n", err.msg);
    return -1;
}

static int
tear_down(void **state)
{
    scene_close(state);
    relay_stop(to_runtime);
    relay_stop(to_postgres);
    postgres_stop(cluster);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_notifications_only_cost_time),
        cmocka_unit_test(postgres_held_up_for_longer_than_the_lease_loses_nothing),
        cmocka_unit_test(runtime_held_up_loses_nothing),
        cmocka_unit_test(connections_cut_all_the_time_lose_nothing),
        cmocka_unit_test(observer_that_vanishes_inside_a_transaction_does_not_hold_its_runs),
        cmocka_unit_test(ends_that_vanish_are_given_up),
        cmocka_unit_test(postgres_that_answers_no_connection_is_an_outage_that_loses_nothing),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("network", tests, set_up, tear_down);
}
