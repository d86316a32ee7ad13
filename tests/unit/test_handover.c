/* Two instances' control threads and one Postgres: a run passes from one to the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observerd/claim.h"
#include "observerd/handover.h"
#include "observerd/heir.h"
#include "observerd/session.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/uuid.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/unit/postgres_stage.h"

enum { MANY = 1000 };

struct instance {
    struct shard shard;
    struct shard *shards[1];
    struct claim *claim;
};

static struct instance owner, heir;

static int
start(void **state UNUSED)
{
    static const char *const settings[] = {NULL};

    return open_postgres(settings);
}

/* --- instances ----------------------------------------------------------------------------- */

static void
beat(struct instance *i)
{
    struct err err;

    ok(claim_heartbeat(i->claim, &err), &err);
}

static void
work(struct instance *i)
{
    struct err err;

    ok(claim_due(i->claim, &err), &err);
}

/* How many mails of that kind came; the last one's run, fence and "yes". Others are dropped. */
static int
mails(struct instance *i, enum shard_mail kind, struct run_mail *last)
{
    int n = 0;

    for (struct mail *mail = mailbox_take_all(&i->shard.inbox), *next; mail; mail = next) {
        next = mail->next;
        n += mail->kind == (int)kind;
        if (mail->kind == SHARD_ADOPT) {
            struct run_seed *seed = (struct run_seed *)mail;

            *last = (struct run_mail){.run_key = seed->run_key, .fence = seed->fence};
            run_seed_free(seed);
        } else if (mail->kind == SHARD_INHERIT) {
            struct heir_mail *m = (struct heir_mail *)mail;

            *last = (struct run_mail){.run_key = m->run_key, .ordinal = m->cursor};
        } else if (mail->kind != SHARD_LEAVE) {
            *last = *(struct run_mail *)mail;
        }
        free(mail);
    }
    return n;
}

static void
open_instance(struct instance *i)
{
    i->shard = (struct shard){.o = {.cfg = cfg}};
    i->shards[0] = &i->shard;
    mailbox_init(&i->shard.inbox, MANY, ignore_wake, NULL);
    i->claim = claim_new(cfg, db);
    uuid_v4(i->claim->instance_id); /* the configuration has one for all */
    i->claim->shards = i->shards;
    i->claim->n_shards = 1;
    beat(i);
}

static void
close_instance(struct instance *i)
{
    struct run_mail last;

    mails(i, SHARD_LEAVE, &last);
    mailbox_fini(&i->shard.inbox);
    claim_free(i->claim);
}

static int
open_stage(void **state UNUSED)
{
    struct err err;

    ok(db_script(admin, "truncate macp.runs cascade; truncate macp.observer_instances", &err),
       &err);
    open_instance(&owner);
    open_instance(&heir);
    return 0;
}

static int
close_stage(void **state UNUSED)
{
    close_instance(&owner);
    close_instance(&heir);
    return 0;
}

/* The owner has n runs whose sessions are read up to ordinal 9; the key of the last one. */
static int64_t
have_runs(int n)
{
    owner.shard.counts.runs = n;
    beat(&owner);
    return number(
        "with r as (insert into macp.runs (id, session_id, origin, mode, mode_name, runtime_kind,"
        " trace_id, status) select gen_random_uuid(), gen_random_uuid()::text, 'posted', 'live',"
        " 'm', 'rust', '0af7651916cd43dd8448eb211c80319c', 'running' from generate_series(1, %d)"
        " returning run_key, day), o as (insert into macp.run_observers (run_key, day, owner,"
        " fence, cursor, session_state) select run_key, day, '%s', 4, 9, 'SESSION_STATE_OPEN'"
        " from r) select max(run_key) from r",
        n, owner.claim->instance_id);
}

static void
owner_leaves(void)
{
    owner.claim->draining = true;
    beat(&owner);
    beat(&heir);
}

/* The heir asks, reads, and says so. */
static void
heir_reads(int64_t key, int64_t ordinal)
{
    struct run_mail m;

    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 1);
    assert_int_equal(m.run_key, key);
    assert_int_equal(m.ordinal, 9);
    handover_heard(heir.claim->handover,
                   &(struct run_mail){.run_key = key, .ordinal = ordinal, .yes = true});
    work(&heir);
}

/* It has been there for a while. */
static void
may_level(struct instance *i)
{
    struct config patient = *cfg;

    patient.observerd_lease_ms = 0;
    i->claim->cfg = &patient;
    handover_wait(i->claim->handover);
    i->claim->cfg = cfg;
}

static int64_t
runs_of(const struct instance *i)
{
    return number("select count(*) from macp.run_observers where owner = '%s'",
                  i->claim->instance_id);
}

/* --- tests --------------------------------------------------------------------------------- */

static void
test_run_of_a_leaving_instance_goes_to_an_heir_that_reads_it(void **state UNUSED)
{
    int64_t key = have_runs(1);
    struct run_mail m;

    owner_leaves();
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 1);
    work(&owner);
    assert_int_equal(mails(&owner, SHARD_LET_IN, &m), 0); /* it does not read yet */
    handover_heard(heir.claim->handover,
                   &(struct run_mail){.run_key = key, .ordinal = 9, .yes = true});
    work(&heir);
    work(&owner);
    assert_int_equal(mails(&owner, SHARD_LET_IN, &m), 1);
    assert_int_equal(m.ordinal, 9);
    handover_stored(owner.claim->handover, &(struct run_mail){.run_key = key, .fence = 4});
    work(&owner);
    assert_int_equal(mails(&owner, SHARD_HANDED, &m), 1);
    assert_true(m.yes);
    assert_int_equal(runs_of(&heir), 1);
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_ADOPT, &m), 1);
    assert_int_equal(m.fence, 5);
    assert_int_equal(number("select count(*) from macp.run_heirs"), 0);
    work(&heir); /* once */
    assert_int_equal(mails(&heir, SHARD_ADOPT, &m), 0);
}

static void
test_heir_that_cannot_read_leaves_the_run_to_its_owner(void **state UNUSED)
{
    int64_t key = have_runs(1);
    struct run_mail m;

    owner_leaves();
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 1);
    heir.claim->draining = true; /* it shall not ask again at once */
    handover_heard(heir.claim->handover, &(struct run_mail){.run_key = key, .yes = false});
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_UNHEIR, &m), 1);
    assert_int_equal(number("select count(*) from macp.run_heirs"), 0);
    assert_int_equal(runs_of(&owner), 1);
}

static void
test_run_that_was_given_is_not_given_up(void **state UNUSED)
{
    int64_t key = have_runs(1);
    struct run_mail m;

    owner_leaves();
    heir_reads(key, 9);
    handover_stored(owner.claim->handover, &(struct run_mail){.run_key = key, .fence = 4});
    work(&owner);
    assert_int_equal(runs_of(&heir), 1);
    /* Its stream is lost before it knows: nobody else would ever take the run. */
    handover_heard(heir.claim->handover, &(struct run_mail){.run_key = key, .yes = false});
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_ADOPT, &m), 1);
    assert_int_equal(m.fence, 5);
}

static void
test_run_is_not_given_to_an_heir_that_is_giving_up(void **state UNUSED)
{
    int64_t key = have_runs(1);
    struct run_mail m;
    struct err err;

    owner_leaves();
    heir_reads(key, 9);
    ok(db_script(admin, "begin; delete from macp.run_heirs", &err), &err);
    handover_stored(owner.claim->handover, &(struct run_mail){.run_key = key, .fence = 4});
    work(&owner);
    ok(db_script(admin, "commit", &err), &err);
    assert_int_equal(mails(&owner, SHARD_HANDED, &m), 1);
    assert_false(m.yes);
    assert_int_equal(runs_of(&owner), 1);
}

static void
test_run_is_not_given_to_an_heir_that_died(void **state UNUSED)
{
    int64_t key = have_runs(1);
    struct run_mail m;

    owner_leaves();
    heir_reads(key, 9);
    work(&owner);
    number("update macp.observer_instances set alive_until = now() where instance_id = '%s'"
           " returning 1",
           heir.claim->instance_id);
    handover_stored(owner.claim->handover, &(struct run_mail){.run_key = key, .fence = 4});
    work(&owner);
    assert_int_equal(mails(&owner, SHARD_HANDED, &m), 1);
    assert_false(m.yes);
    assert_int_equal(runs_of(&owner), 1);
}

static void
test_run_is_not_given_to_an_heir_that_is_ahead_of_what_is_stored(void **state UNUSED)
{
    int64_t key = have_runs(1);
    struct run_mail m;

    owner_leaves();
    heir_reads(key, 10);
    handover_stored(owner.claim->handover, &(struct run_mail){.run_key = key, .fence = 4});
    work(&owner);
    assert_int_equal(mails(&owner, SHARD_HANDED, &m), 1);
    assert_false(m.yes);
    assert_int_equal(runs_of(&owner), 1);
}

static void
test_heir_of_a_dead_owner_claims_the_run_and_does_not_hand_it_to_itself(void **state UNUSED)
{
    int64_t key = have_runs(1);
    struct run_mail m;

    owner_leaves();
    heir_reads(key, 9);
    number("update macp.observer_instances set alive_until = now() where instance_id = '%s'"
           " returning 1",
           owner.claim->instance_id);
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_ADOPT, &m), 1);
    assert_int_equal(runs_of(&heir), 1);
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_LET_IN, &m), 0);
    assert_int_equal(number("select count(*) from macp.run_heirs"), 0);
}

static void
test_instance_that_joins_asks_for_its_share_a_part_at_a_time(void **state UNUSED)
{
    struct run_mail m;

    have_runs(100);
    beat(&heir);
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 0); /* it has only just come */
    may_level(&heir);
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 50 / 4 + 1);
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 0); /* the next ones at the next heartbeat */
}

static void
test_instance_with_its_share_is_left_alone(void **state UNUSED)
{
    struct run_mail m;

    have_runs(56);
    number("update macp.observer_instances set runs = 31 where instance_id = '%s' returning 1",
           owner.claim->instance_id);
    beat(&heir);
    may_level(&heir);
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 0); /* 28, a tenth of it and one */
}

static void
test_nobody_inherits_when_there_is_nothing_to_do(void **state UNUSED)
{
    struct run_mail m;

    have_runs(1);
    number("update macp.runs set status = 'completed' returning 1");
    owner_leaves();
    work(&heir);
    assert_int_equal(mails(&heir, SHARD_INHERIT, &m), 0); /* no stream: it is let go */
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_run_of_a_leaving_instance_goes_to_an_heir_that_reads_it),
        T(test_heir_that_cannot_read_leaves_the_run_to_its_owner),
        T(test_run_that_was_given_is_not_given_up),
        T(test_run_is_not_given_to_an_heir_that_is_giving_up),
        T(test_run_is_not_given_to_an_heir_that_died),
        T(test_run_is_not_given_to_an_heir_that_is_ahead_of_what_is_stored),
        T(test_heir_of_a_dead_owner_claims_the_run_and_does_not_hand_it_to_itself),
        T(test_instance_that_joins_asks_for_its_share_a_part_at_a_time),
        T(test_instance_with_its_share_is_left_alone),
        T(test_nobody_inherits_when_there_is_nothing_to_do),
    };

    return cmocka_run_group_tests(tests, start, close_postgres);
}
