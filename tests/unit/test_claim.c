/* Claims against a real Postgres: nothing stays with nobody, nothing is claimed from ourselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observerd/claim.h"
#include "observerd/session.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/unit/postgres_stage.h"

#define MY_ID "0b6f3c6e-1111-4222-8333-944455556666"

static struct shard shard;
static struct shard *shards[] = {&shard};
static struct claim *claim;

static int
start(void **state UNUSED)
{
    static const char *const settings[] = {"OBSERVERD_MAX_RUNS=3",
                                           "OBSERVERD_STREAMS_PER_CHANNEL=1",
                                           "OBSERVERD_INSTANCE_ID=" MY_ID, NULL};

    return open_postgres(settings);
}

static int
open_stage(void **state UNUSED)
{
    struct err err;

    ok(db_script(admin, "truncate macp.runs cascade; truncate macp.observer_instances", &err),
       &err);
    shard = (struct shard){.o = {.cfg = cfg}};
    mailbox_init(&shard.inbox, 100, ignore_wake, NULL);
    claim = claim_new(cfg, db);
    claim->shards = shards;
    claim->n_shards = 1;
    return 0;
}

/* What was handed over, in order of arrival: run keys and fences. */
static size_t
handed_over(int64_t keys[8], int64_t fences[8])
{
    size_t n = 0;

    for (struct mail *mail = mailbox_take_all(&shard.inbox), *next; mail; mail = next, n++) {
        struct run_seed *seed = (struct run_seed *)mail;

        next = mail->next;
        assert_true(n < 8);
        keys[n] = seed->run_key;
        fences[n] = seed->fence;
        run_seed_free(seed);
        free(seed);
    }
    return n;
}

static int
close_stage(void **state UNUSED)
{
    int64_t keys[8], fences[8];

    handed_over(keys, fences);
    mailbox_fini(&shard.inbox);
    claim_free(claim);
    return 0;
}

static int64_t
new_run(const char *descriptor)
{
    return number("with r as (insert into macp.runs (id, session_id, origin, mode, mode_name,"
                  " runtime_kind, trace_id, descriptor) values (gen_random_uuid(),"
                  " gen_random_uuid()::text, 'posted', 'live', 'm', 'rust',"
                  " '0af7651916cd43dd8448eb211c80319c', '%s') returning run_key, day),"
                  " o as (insert into macp.run_observers (run_key, day) select run_key, day from r)"
                  " select run_key from r",
                  descriptor);
}

static void
beat(void)
{
    struct err err;

    ok(claim_heartbeat(claim, &err), &err);
}

static void
claim_now(void)
{
    struct err err;

    ok(claim_due(claim, &err), &err);
}

static void
test_due_run_is_claimed_once(void **state UNUSED)
{
    int64_t keys[8], fences[8], key = new_run("{}");

    beat();
    claim_now();
    assert_int_equal(handed_over(keys, fences), 1);
    assert_int_equal(keys[0], key);
    assert_int_equal(fences[0], 1);
    claim_now();
    assert_int_equal(handed_over(keys, fences), 0);
}

static void
test_instance_past_its_lease_claims_nothing_of_its_own(void **state UNUSED)
{
    int64_t keys[8], fences[8];

    new_run("{}");
    beat();
    claim_now();
    assert_int_equal(handed_over(keys, fences), 1);
    /* Postgres was away for longer than the lease: our own run looks free. */
    number("update macp.observer_instances set alive_until = now() - interval '1 s' returning 1");
    atomic_store(&claim->alive_until_ms, clock_mono_ms() - 1000);
    claim_now();
    assert_int_equal(handed_over(keys, fences), 0);
    beat();
    claim_now();
    assert_int_equal(handed_over(keys, fences), 0);
    assert_int_equal(number("select fence from macp.run_observers"), 1);
}

static void
test_process_under_the_same_id_that_died_leaves_its_runs_to_us(void **state UNUSED)
{
    int64_t keys[8], fences[8];

    new_run("{}");
    number("update macp.run_observers set owner = '" MY_ID "', fence = 4 returning 1");
    number("insert into macp.observer_instances (instance_id, alive_until, host, version)"
           " values ('" MY_ID "', now() + interval '1 h', 'h', 'v') returning 1");
    beat();
    claim_now();
    assert_int_equal(handed_over(keys, fences), 1);
    assert_int_equal(fences[0], 5);
}

static void
test_claim_whose_answer_was_lost_is_found_again(void **state UNUSED)
{
    int64_t keys[8], fences[8];
    struct err err;

    new_run("{}");
    beat();
    /* The claim is not answered in time: whether it was stored is unknown. It was, as below. */
    ok(db_script(admin,
                 "create function macp.dawdle() returns trigger language plpgsql as $$"
                 "begin perform pg_sleep(3); return null; end $$;"
                 "create constraint trigger dawdle after update on macp.run_observers"
                 " deferrable initially deferred for each row execute function macp.dawdle()",
                 &err),
       &err);
    db_set_timeout(db, 500);
    assert_false(claim_due(claim, &err));
    assert_int_equal(err.code, ERR_DB);
    db_set_timeout(db, process_slow(PATIENCE_MS));
    ok(db_script(admin, "drop trigger dawdle on macp.run_observers", &err), &err);
    number("update macp.run_observers set owner = '" MY_ID "', fence = 1 returning 1");
    claim_now();
    assert_int_equal(handed_over(keys, fences), 1);
    assert_int_equal(fences[0], 1);
    claim_now(); /* settled: it is not asked again */
    assert_int_equal(handed_over(keys, fences), 0);
    assert_false(claim->doubt);
}

static void
test_release_is_repeated_until_postgres_has_it(void **state UNUSED)
{
    int64_t keys[8], fences[8];
    struct err err;

    new_run("{}");
    beat();
    claim_now();
    assert_int_equal(handed_over(keys, fences), 1);
    shard.counts.runs = 0;
    claim_release(claim, keys[0], fences[0]);
    postgres_down(pg, POSTGRES_FAST);
    assert_false(claim_due(claim, &err));
    ok(postgres_up(pg, &err), &err);
    db_disconnect(admin);
    beat();
    claim_now();
    assert_int_equal(handed_over(keys, fences), 1);
    assert_int_equal(fences[0], 2);
}

static void
test_run_that_cannot_be_loaded_does_not_stop_the_others(void **state UNUSED)
{
    int64_t keys[8], fences[8], a, c;

    a = new_run("{}");
    new_run("{\"session\": {\"participants\": 5}}");
    c = new_run("{}");
    beat();
    for (int i = 0; i < 4; i++)
        claim_now();
    assert_int_equal(handed_over(keys, fences), 2);
    assert_true((keys[0] == a && keys[1] == c) || (keys[0] == c && keys[1] == a));
}

static void
test_share_counts_what_waits_in_the_inbox(void **state UNUSED)
{
    int64_t keys[8], fences[8];

    for (int i = 0; i < 6; i++)
        new_run("{}");
    beat();
    claim_now();
    claim_now();
    assert_int_equal(handed_over(keys, fences), 3); /* the limit of this instance */
    assert_int_equal(number("select count(*) from macp.run_observers where owner is null"), 3);
}

/* The share is as old as the last heartbeat; what nobody ever had cannot wait for the next one. */
static void
test_new_runs_are_claimed_beyond_the_share_and_others_are_not(void **state UNUSED)
{
    int64_t keys[8], fences[8], fresh;
    struct config large = *cfg;
    bool taken = false;
    int n;

    large.observerd_max_runs = 100;
    claim->cfg = &large;
    number("with d as (delete from macp.observer_instances returning 1) select count(*) from d");
    number("insert into macp.observer_instances (instance_id, alive_until, host, version)"
           " values (gen_random_uuid(), now() + interval '1 minute', 'other', '1') returning 1");
    for (int i = 0; i < 10; i++)
        new_run("{}");
    number(
        "with u as (update macp.run_observers set fence = 1 returning 1) select count(*) from u");
    beat(); /* two instances, ten runs: half of them and one more */
    claim_now();
    assert_int_equal(handed_over(keys, fences), 6);
    assert_int_equal(fences[0], 2);
    fresh = new_run("{}");
    claim_now(); /* eleven runs make the share one larger; the new one comes beyond it */
    n = (int)handed_over(keys, fences);
    assert_int_equal(n, 2);
    for (int i = 0; i < n; i++)
        taken = taken || keys[i] == fresh;
    assert_true(taken);
    assert_int_equal(number("select count(*) from macp.run_observers where owner is null"), 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_due_run_is_claimed_once),
        T(test_instance_past_its_lease_claims_nothing_of_its_own),
        T(test_process_under_the_same_id_that_died_leaves_its_runs_to_us),
        T(test_claim_whose_answer_was_lost_is_found_again),
        T(test_release_is_repeated_until_postgres_has_it),
        T(test_run_that_cannot_be_loaded_does_not_stop_the_others),
        T(test_share_counts_what_waits_in_the_inbox),
        T(test_new_runs_are_claimed_beyond_the_share_and_others_are_not),
    };

    return cmocka_run_group_tests(tests, start, close_postgres);
}
