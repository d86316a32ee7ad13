/* A run while Postgres is away: what its stream brings waits in the spool, in its order. */
#include <sys/stat.h>
#include <unistd.h>

#include "observerd/spool.h"
#include "tests/unit/session_stage.h"

enum { LIMIT = 100000, LARGE = 70 << 10 };

static char dir[64];

static void
open_spool(void)
{
    struct err err;

    if (!spool_open(
            &(struct spool_options){
                .dir = dir, .n_shards = 1, .max_bytes = LIMIT, .instance_id = RUN},
            &shard.spool, &err))
        fail_msg("%s", err.msg);
    atomic_store(&shard.spooling, !spool_is_read(shard.spool));
}

static int
open_with_spool(void **state)
{
    int ok = open_stage(state);

    snprintf(dir, sizeof dir, "%s/macp-spool.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    open_spool();
    return ok;
}

static int
close_with_spool(void **state)
{
    int ok = close_stage(state);

    spool_clear(shard.spool);
    spool_close(shard.spool);
    rmdir(dir);
    return ok;
}

/* Streaming at ordinal 1 when nothing is committed any more; m2 is the last one that is taken. */
static void
postgres_goes(void)
{
    streaming();
    writer.full = writer.behind = true;
    writer.stuck_ms = 1000;
    envelope("Proposal", "m2");
    assert_true(stream()->parked);
    shard_spool_turn(&shard);
    assert_true(shard_is_spooling(&shard));
    shard_forget_parked(&shard, s);
    session_unpark(s);
    assert_false(stream()->parked);
    assert_int_equal(s->run.cursor, 2);
}

static void
postgres_is_back(void)
{
    swap();
    writer.full = writer.behind = false;
    writer.stuck_ms = 0;
    shard_spool_turn(&shard);
}

static void
test_stream_is_read_on_and_recorded_later(void **state UNUSED)
{
    postgres_goes();
    envelope("Vote", "m3");
    envelope("Vote", "m3"); /* again: not new */
    envelope("Vote", "m4");
    assert_false(stream()->parked);
    assert_int_equal(s->run.cursor, 2);
    assert_int_equal(s->ahead, 2);
    shard_spool_turn(&shard); /* there is no room yet */
    assert_int_equal(s->run.cursor, 2);
    postgres_is_back();
    assert_int_equal(s->run.cursor, 4);
    assert_int_equal(s->ahead, 0);
    assert_string_equal(column(BATCH_RAW, 6), "m3,m4");
    assert_false(shard_is_spooling(&shard));
    assert_non_null(asked()); /* what the runtime said meanwhile did not count */
    envelope("Vote", "m5");
    assert_int_equal(s->run.cursor, 5);
}

static void
test_file_is_emptied_when_all_of_it_is_committed(void **state UNUSED)
{
    postgres_goes();
    envelope("Vote", "m3");
    postgres_is_back();
    assert_false(shard_is_spooling(&shard));
    writer.behind = true;
    shard_spool_turn(&shard);
    assert_true(spool_bytes(shard.spool) > 0);
    writer.behind = false;
    shard_spool_turn(&shard);
    assert_int_equal(spool_bytes(shard.spool), 0);
}

static void
test_answers_change_nothing_while_envelopes_wait(void **state UNUSED)
{
    postgres_goes();
    envelope("Commitment", "m3");
    swap();
    session_wake(s);
    ANSWER(RESOLVED, 2);
    assert_int_equal(s->state, SESSION_STREAMING);
    session_wake(s);
    refuse(RT_NOT_FOUND, "gone");
    session_wake(s);
    ANSWER(OPEN, 90); /* it is ahead of us: no reason to open the stream anew */
    assert_true(stream()->live);
    assert_nothing_stored();
    postgres_is_back();
    ANSWER(RESOLVED, 2);
    assert_int_equal(s->state, SESSION_DRAINING);
    fire();
    assert_int_equal(s->state, SESSION_ENDING);
}

static void
test_drain_waits_for_the_spool(void **state UNUSED)
{
    postgres_goes();
    session_wake(s);
    ANSWER(RESOLVED, 2);
    assert_int_equal(s->state, SESSION_DRAINING);
    envelope("Commitment", "m3");
    s->drain_until_ms = s->quiet_since_ms = 1;
    fire();
    assert_int_equal(s->state, SESSION_DRAINING);
    postgres_is_back();
    assert_int_equal(s->state, SESSION_ENDING);
    assert_int_equal(s->run.cursor, 3);
    assert_int_equal(rows(BATCH_GAPS), 0);
}

static void
test_lost_stream_is_opened_behind_what_waits(void **state UNUSED)
{
    postgres_goes();
    envelope("Vote", "m3");
    end_stream(RT_RESOURCE_EXHAUSTED, "fell behind");
    fire();
    assert_int_equal(stream()->after, 3);
    envelope("Vote", "m4");
    postgres_is_back();
    assert_int_equal(s->run.cursor, 4);
}

static void
test_compaction_is_heard_again_when_nothing_waits(void **state UNUSED)
{
    postgres_goes();
    envelope("Vote", "m3");
    inline_error("x", "session history before ordinal 9 was compacted; resume with ...");
    assert_null(s->stream);
    assert_int_equal(s->run.cursor, 2);
    assert_int_equal(rows(BATCH_GAPS), 0);
    postgres_is_back();
    assert_int_equal(s->run.cursor, 3);
    ANSWER(OPEN, 8);
    fire();
    assert_int_equal(stream()->after, 3);
    inline_error("x", "session history before ordinal 9 was compacted; resume with ...");
    assert_int_equal(s->run.cursor, 9);
    assert_int_equal(rows(BATCH_GAPS), 1);
}

static void
test_full_spool_parks_the_stream_with_one_envelope_in_hand(void **state UNUSED)
{
    char id[16];
    int n = 2;

    postgres_goes();
    while (!stream()->parked) {
        snprintf(id, sizeof id, "m%d", ++n);
        envelope("Vote", id);
    }
    assert_in_range(n, 5, 2000);
    assert_true(s->waiting.len > 0);
    assert_int_equal(s->ahead, n - 2);
    shard_forget_parked(&shard, s); /* tried again, still full */
    session_unpark(s);
    assert_true(s->parked);
    postgres_is_back();
    assert_int_equal(s->run.cursor, n - 1);
    assert_false(shard_is_spooling(&shard));
    shard_forget_parked(&shard, s);
    session_unpark(s);
    assert_int_equal(s->run.cursor, n);
    assert_int_equal(s->ahead, 0);
    assert_false(stream()->parked);
}

static void
test_large_envelope_that_waited_for_its_lane_goes_first(void **state UNUSED)
{
    streaming();
    writer.behind = true;
    send_sized(stream(), "Proposal", "m2", SESSION, LARGE);
    assert_true(s->held.len > 0);
    writer.full = true;
    writer.stuck_ms = 1000;
    atomic_store(&shard.spooling, true);
    session_spool_held(s);
    assert_int_equal(s->held.len, 0);
    assert_int_equal(s->ahead, 1);
}

/* A process that was killed left them: the next one reads them before it reads the stream. */
static void
test_run_is_resumed_behind_what_an_earlier_process_left(void **state UNUSED)
{
    postgres_goes();
    envelope("Vote", "m3");
    session_drop(s);
    s = NULL;
    swap();
    spool_close(shard.spool);
    open_spool();
    assert_true(shard_is_spooling(&shard));
    shard_spool_turn(&shard); /* nobody has the run yet */
    assert_false(spool_is_read(shard.spool));
    writer.full = writer.behind = false;
    writer.stuck_ms = 0;
    adopt(RUN_RUNNING, 1, 10); /* m2 was in a batch, and is in the spool, too */
    assert_int_equal(s->ahead, 2);
    ANSWER(OPEN, 2);
    fire();
    assert_int_equal(stream()->after, 3);
    shard_spool_turn(&shard);
    assert_int_equal(s->run.cursor, 3);
    assert_string_equal(column(BATCH_RAW, 3), "status,session,session"); /* it is resumed */
    assert_string_equal(column(BATCH_RAW, 6), ",m2,m3");
}

static void
test_runs_that_nobody_here_has_are_left_out_once_that_is_known(void **state UNUSED)
{
    postgres_goes();
    envelope("Vote", "m3");
    session_drop(s);
    s = NULL;
    writer.full = false;
    shard_spool_turn(&shard);
    assert_false(spool_is_read(shard.spool));
    shard.settled = true;
    shard_spool_turn(&shard);
    assert_true(spool_is_read(shard.spool));
    assert_false(shard_is_spooling(&shard));
}

static void
test_missing_record_lets_the_run_go(void **state UNUSED)
{
    struct mail *mail;

    postgres_goes();
    assert_true(shard_spool(
        &shard, &(struct spool_record){.run_key = 7, .ordinal = 4, .bytes = "x", .n = 1}));
    s->ahead = 2;
    postgres_is_back();
    assert_null(shard.by_key);
    s = NULL;
    mail = mailbox_take_all(&control);
    assert_int_equal(mail->kind, CONTROL_RELEASE);
    free(mail);
}

static void
test_run_with_envelopes_in_the_spool_is_not_handed_over(void **state UNUSED)
{
    postgres_goes();
    envelope("Vote", "m3");
    session_hand_over(s, 2);
    assert_int_equal(s->state, SESSION_STREAMING);
}

#define SPOOLED(name) cmocka_unit_test_setup_teardown(name, open_with_spool, close_with_spool)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SPOOLED(test_stream_is_read_on_and_recorded_later),
        SPOOLED(test_file_is_emptied_when_all_of_it_is_committed),
        SPOOLED(test_answers_change_nothing_while_envelopes_wait),
        SPOOLED(test_drain_waits_for_the_spool),
        SPOOLED(test_lost_stream_is_opened_behind_what_waits),
        SPOOLED(test_compaction_is_heard_again_when_nothing_waits),
        SPOOLED(test_full_spool_parks_the_stream_with_one_envelope_in_hand),
        SPOOLED(test_large_envelope_that_waited_for_its_lane_goes_first),
        SPOOLED(test_run_is_resumed_behind_what_an_earlier_process_left),
        SPOOLED(test_runs_that_nobody_here_has_are_left_out_once_that_is_known),
        SPOOLED(test_missing_record_lets_the_run_go),
        SPOOLED(test_run_with_envelopes_in_the_spool_is_not_handed_over),
    };

    return cmocka_run_group_tests(tests, load_config, unload_config);
}
