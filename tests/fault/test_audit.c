/* The judge of all fault tests is judged: each kind of damage, planted, must be noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/crowd.h"
#include "tests/support/scene.h"

enum { RUNS = 2, ENVELOPES = 12 };

static struct world world;
static struct crowd crowd;

/* What the audit says about damage that is taken back afterwards. */
static struct crowd_audit
audit_of(const char *damage)
{
    struct crowd_audit a;
    struct err err = {0};
    char script[1200];

    snprintf(script, sizeof script,
             "create table kept as select e.* from macp.run_events_raw e; %s", damage);
    expect_ok(db_script(world.db, script, &err), &err, damage);
    crowd_audit(&crowd, false, &a);
    expect_ok(db_script(world.db,
                        "delete from macp.run_events_raw; insert into macp.run_events_raw select * "
                        "from kept; drop table kept; delete from macp.observer_gaps",
                        &err),
              &err, "take back");
    return a;
}

static void
undamaged_rows_are_whole(void **state)
{
    struct crowd_audit a = audit_of("");

    (void)state;
    assert_int_equal(a.accepted, RUNS * ENVELOPES);
    assert_int_equal(a.stored, RUNS * ENVELOPES);
    crowd_expect_honest(&a);
    assert_int_equal(a.gaps, 0);
}

static void
missing_row_is_lost_and_leaves_a_hole(void **state)
{
    struct crowd_audit a =
        audit_of("delete from macp.run_events_raw where ordinal = 5 and run_key = 1");

    (void)state;
    assert_int_equal(a.lost, 1);
    assert_int_equal(a.holes, 1);
    assert_int_equal(a.doubled, 0);
}

static void
row_stored_twice_is_doubled(void **state)
{
    struct crowd_audit a =
        audit_of("drop index macp.run_events_raw_ordinal; drop index macp.run_events_raw_message;"
                 "insert into macp.run_events_raw select day, run_key, 9000, source, epoch, "
                 "ordinal, message_id, sender, message_type, mode, received_at, sent_at, "
                 "undecodable, body from macp.run_events_raw where ordinal = 5 and run_key = 1");

    (void)state;
    assert_int_equal(a.doubled, 1);
    assert_int_equal(a.foreign, 1); /* out of order as well */
    assert_int_equal(a.holes, 1);
    assert_int_equal(a.lost, 0);
}

static void
rows_in_the_wrong_order_are_foreign(void **state)
{
    struct crowd_audit a = audit_of("update macp.run_events_raw set ordinal = ordinal + 1000 where "
                                    "ordinal in (5, 6) and run_key = 1; update macp.run_events_raw "
                                    "set ordinal = 1011 - ordinal where ordinal > 1000");

    (void)state;
    assert_true(a.foreign > 0);
}

/* The session is kept by the runtime: nothing of it can be missing for good. */
static void
gap_of_a_session_that_can_be_replayed_is_unproven(void **state)
{
    struct crowd_audit a =
        audit_of("insert into macp.observer_gaps (run_key, kind, epoch, from_ordinal, to_ordinal) "
                 "values (1, 'compacted', 0, 5, 6); delete from macp.run_events_raw where ordinal "
                 "in (5, 6) and run_key = 1");

    (void)state;
    assert_int_equal(a.unproven, 1);
    assert_int_equal(a.missing, 2);
    assert_int_equal(a.lost, 0);
}

static void
changed_projection_differs_from_the_refold(void **state)
{
    struct err err = {0};

    (void)state;
    crowd_expect_projections_are_refolds(&world);
    expect_ok(db_script(world.db,
                        "create table was as select decision::text as d from "
                        "macp.run_projections where run_key = 1; update macp.run_projections set "
                        "decision = '{}' where run_key = 1",
                        &err),
              &err, "damage");
    expect_sql(&world, "1",
               "select count(*) from macp.run_projections where decision::text = '{}'");
    crowd_refold(&world);
    expect_sql(
        &world, "t",
        "select decision::jsonb = d::jsonb from macp.run_projections, was where run_key = 1");
}

static int
set_up(void **state)
{
    if (scene_open(state, &world, &(struct world_options){.without_observerd = true},
                   SCENE_INSTANCE) != 0)
        return -1;
    crowd_post(&crowd, &world, RUNS);
    crowd_pump(&crowd, &(struct crowd_load){.envelopes = ENVELOPES});
    crowd_pumped(&crowd);
    crowd_wait_status(&crowd, "completed");
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    crowd_free(&crowd);
    world_stop(&world);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undamaged_rows_are_whole),
        cmocka_unit_test(missing_row_is_lost_and_leaves_a_hole),
        cmocka_unit_test(rows_in_the_wrong_order_are_foreign),
        cmocka_unit_test(gap_of_a_session_that_can_be_replayed_is_unproven),
        cmocka_unit_test(changed_projection_differs_from_the_refold),
        /* Last: it takes the unique indexes away. */
        cmocka_unit_test(row_stored_twice_is_doubled),
    };

    return cmocka_run_group_tests_name("audit", tests, set_up, tear_down);
}
