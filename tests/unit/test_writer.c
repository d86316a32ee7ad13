/* The committing thread against a real Postgres: what it must never lose, double or wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "observerd/writer.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/unit/postgres_stage.h"

enum { LONG_AGO = 1 };

static struct notifier notifier; /* large */
static struct writer *writer;
static _Atomic int64_t alive_until;
static atomic_int wakes;

struct run {
    int64_t key, fence, day, cursor, seq;
    uint64_t serial;
    size_t index;
};

static void
count_wake(void *ctx UNUSED)
{
    atomic_fetch_add(&wakes, 1);
}

static int
start(void **state UNUSED)
{
    static const char *const settings[] = {"OBSERVERD_BATCH_EVENTS=100", NULL};

    return open_postgres(settings);
}

static int
open_writer(void **state UNUSED)
{
    atomic_store(&wakes, 0);
    atomic_store(&alive_until, INT64_MAX);
    notifier_init(&notifier, ignore_wake, NULL);
    writer = writer_start(&(struct writer_options){.name = "macp-observerd writer",
                                                   .cfg = cfg,
                                                   .notifier = &notifier,
                                                   .alive_until_ms = &alive_until,
                                                   .wake = count_wake});
    return 0;
}

static int
close_writer(void **state UNUSED)
{
    if (writer)
        writer_stop(writer, 0);
    writer = NULL;
    notifier_fini(&notifier);
    return 0;
}

static struct run
new_run(void)
{
    struct run r = {.fence = 1};

    r.key = number("with r as (insert into macp.runs (id, session_id, origin, mode, mode_name,"
                   " runtime_kind, trace_id) values (gen_random_uuid(), gen_random_uuid()::text,"
                   " 'posted', 'live', 'm', 'rust', '0af7651916cd43dd8448eb211c80319c')"
                   " returning run_key, day),"
                   " o as (insert into macp.run_observers (run_key, day, fence)"
                   " select run_key, day, 1 from r) select run_key from r");
    r.day = number("select day - date '1970-01-01' from macp.runs where run_key = %lld",
                   (long long)r.key);
    return r;
}

/* --- what the queue thread does ----------------------------------------------------------------
 */

static void
raw_row(struct batch *b, struct run *r, const char *source)
{
    struct rows *t = &b->tables[BATCH_RAW];
    char id[32];

    snprintf(id, sizeof id, "m%lld", (long long)r->cursor + 1);
    rows_int8(t, r->key);
    rows_date(t, r->day);
    rows_int4(t, ++r->seq);
    rows_text(t, source);
    rows_int4(t, 0);
    rows_int8(t, ++r->cursor);
    rows_text(t, id);
    rows_text(t, "agent");
    rows_text(t, "Vote");
    rows_text(t, "m");
    rows_time(t, clock_wall_ms());
    rows_null(t);
    rows_bool(t, false);
    rows_bytes_value(t, "body", 4);
}

static void
canonical_row(struct batch *b, struct run *r, const char *data)
{
    struct rows *t = &b->tables[BATCH_CANONICAL];

    rows_int8(t, r->key);
    rows_date(t, r->day);
    rows_int4(t, ++r->seq);
    rows_time(t, clock_wall_ms());
    rows_text(t, "message.received");
    rows_null(t);
    rows_null(t);
    rows_text(t, "runtime");
    rows_text(t, "test");
    rows_null(t);
    rows_text(t, "agent");
    rows_null(t);
    rows_null(t);
    rows_jsonb(t, data, strlen(data));
}

static struct batch_run *
begin(struct batch *b, struct run *r)
{
    struct batch_run *e = batch_run_entry(b, &r->serial, &r->index, r->key, r->cursor, r->seq);

    e->fence = r->fence;
    snprintf(e->run_id, sizeof e->run_id, "00000000-0000-4000-8000-%012lld", (long long)r->key);
    return e;
}

/* One envelope: a raw row and its event, the cursor one further. */
static void
add_from(struct run *r, const char *source, const char *data)
{
    struct batch *b = writer_lock(writer);
    struct batch_run *e = begin(b, r);

    raw_row(b, r, source);
    canonical_row(b, r, data);
    b->events += 2;
    e->new_cursor = r->cursor;
    e->new_seq = r->seq;
    writer_unlock(writer);
}

static void
add(struct run *r)
{
    add_from(r, "session", "{\"n\": 1}");
}

static void
add_end(struct run *r, bool closed)
{
    struct batch *b = writer_lock(writer);
    struct batch_run *e = begin(b, r);

    canonical_row(b, r, "{}");
    e->new_seq = r->seq;
    e->terminal = true;
    if (closed) {
        e->observer = e->closed = true;
        e->session_state = "SESSION_STATE_RESOLVED";
        e->observer_state = "ok";
    }
    writer_unlock(writer);
}

/* Hold the pending batch back until all of a test's rows are in it. */
static void
hold(void)
{
    atomic_store(&alive_until, LONG_AGO);
}

static void
let_go(void)
{
    atomic_store(&alive_until, INT64_MAX);
}

static void
wait_idle(void)
{
    int64_t until = clock_mono_ms() + process_slow(PATIENCE_MS);

    while (!writer_is_idle(writer)) {
        if (clock_mono_ms() > until)
            fail_msg("the writer is still busy");
        process_pause(2);
    }
}

static int64_t
stored(const struct run *r)
{
    return number("select count(*) from macp.run_events_raw where run_key = %lld",
                  (long long)r->key);
}

/* All of a run is there once, in order, and the row says so. */
static void
assert_whole(const struct run *r)
{
    assert_int_equal(stored(r), r->cursor);
    assert_int_equal(number("select coalesce(max(ordinal), 0) from macp.run_events_raw"
                            " where run_key = %lld",
                            (long long)r->key),
                     r->cursor);
    assert_int_equal(number("select count(*) from (select seq from macp.run_events_raw where"
                            " run_key = %lld union select seq from macp.run_events_canonical"
                            " where run_key = %lld) s",
                            (long long)r->key, (long long)r->key),
                     r->seq);
    assert_int_equal(number("select count(*) from macp.run_observers where run_key = %lld and"
                            " cursor = %lld and last_seq = %lld",
                            (long long)r->key, (long long)r->cursor, (long long)r->seq),
                     1);
}

static size_t
results(struct writer_result *out, size_t max)
{
    return writer_take_results(writer, out, max);
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void
test_rows_land_and_readers_are_told(void **state UNUSED)
{
    struct writer_result result[4];
    AUTO_BUF told = {0};
    struct run a = new_run(), b = new_run();
    char expected[96];

    for (int i = 0; i < 20; i++) {
        add(&a);
        add(&b);
    }
    wait_idle();
    assert_whole(&a);
    assert_whole(&b);
    assert_true(notifier_take(&notifier, &told));
    snprintf(expected, sizeof expected, "%012lld:40:0", (long long)a.key);
    assert_non_null(strstr(buf_cstr(&told), expected));
    assert_int_equal(results(result, 4), 0); /* only ends are worth one */
    add_end(&a, true);
    wait_idle();
    assert_int_equal(results(result, 4), 1);
    assert_int_equal(result[0].run_key, a.key);
    assert_int_equal(result[0].fence, 1);
    assert_int_equal(result[0].verdict, WRITER_COMMITTED);
    assert_true(result[0].terminal && result[0].closed);
    assert_true(atomic_load(&wakes) > 0);
    assert_int_equal(
        number("select closed::int from macp.run_observers where run_key = %lld", (long long)a.key),
        1);
}

static void
test_guard_drops_the_stranger_and_nobody_else(void **state UNUSED)
{
    struct run mine = new_run(), other = new_run(), taken = new_run();
    struct writer_result result[4];

    taken.key = other.key; /* the same run, as its next owner sees it */
    taken.fence = 2;
    hold();
    add(&mine);
    number("update macp.run_observers set fence = 2 where run_key = %lld returning 1",
           (long long)other.key);
    add(&other);
    let_go();
    wait_idle();
    assert_whole(&mine);
    assert_int_equal(stored(&other), 0);
    /* What comes before the queue thread knows is left out, without another verdict. */
    add(&other);
    add(&mine);
    wait_idle();
    assert_whole(&mine);
    assert_int_equal(results(result, 4), 1);
    assert_int_equal(result[0].run_key, other.key);
    assert_int_equal(result[0].fence, 1);
    assert_int_equal(result[0].verdict, WRITER_LOST);
    /* Claimed anew: its rows are not the old owner's, known as lost or not. */
    add(&taken);
    wait_idle();
    assert_whole(&taken);
    writer_forget(writer, other.key, 1);
    add(&taken);
    wait_idle();
    assert_whole(&taken);
}

static void
test_forgetting_an_owner_takes_its_pending_rows_and_no_later_ones(void **state UNUSED)
{
    struct run r = new_run(), before = r;

    hold();
    add(&before);
    number("update macp.run_observers set fence = 2 where run_key = %lld returning 1",
           (long long)r.key);
    add(&before);
    writer_forget(writer, r.key, 1);
    r.fence = 2;
    add(&r);
    writer_forget(writer, r.key, 1);
    let_go();
    wait_idle();
    assert_whole(&r);
}

static void
test_data_that_postgres_refuses_is_replaced_and_its_neighbours_stay(void **state UNUSED)
{
    struct run a = new_run(), bad = new_run(), c = new_run();
    struct writer_result result[4];

    hold();
    add(&a);
    add(&bad);
    add_from(&bad, "session", "{\"text\": \"\\u0000\"}");
    add(&bad);
    add(&c);
    let_go();
    wait_idle();
    assert_whole(&a);
    assert_whole(&bad);
    assert_whole(&c);
    assert_int_equal(results(result, 4), 0);
    assert_int_equal(number("select count(*) from macp.run_events_canonical where run_key = %lld"
                            " and data = '{\"undecodable\": true}'",
                            (long long)bad.key),
                     1);
    assert_int_equal(number("select seq from macp.run_events_canonical where run_key = %lld"
                            " and data = '{\"undecodable\": true}'",
                            (long long)bad.key),
                     4);
}

static void
test_rows_that_postgres_refuses_for_good_cost_their_run_only(void **state UNUSED)
{
    struct run a = new_run(), bad = new_run(), c = new_run();
    struct writer_result result[4];

    hold();
    add(&a);
    add_from(&bad, "nonsense", "{}");
    add(&c);
    let_go();
    wait_idle();
    assert_whole(&a);
    assert_whole(&c);
    assert_int_equal(stored(&bad), 0);
    assert_int_equal(results(result, 4), 1);
    assert_int_equal(result[0].run_key, bad.key);
    assert_int_equal(result[0].verdict, WRITER_REFUSED);
}

static void
kill_connections(void)
{
    number("select count(pg_terminate_backend(pid)) from pg_stat_activity"
           " where application_name = 'macp-observerd writer'");
}

static void
test_killed_connections_lose_and_double_nothing(void **state UNUSED)
{
    struct run r[3] = {new_run(), new_run(), new_run()};
    struct writer_result result[4];

    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < 3; k++)
                add(&r[k]);
        kill_connections();
    }
    wait_idle();
    for (int k = 0; k < 3; k++)
        assert_whole(&r[k]);
    assert_int_equal(results(result, 4), 0);
}

static void
test_crashing_server_loses_and_doubles_nothing(void **state UNUSED)
{
    static const enum postgres_end ends[] = {POSTGRES_IMMEDIATE, POSTGRES_FAST};
    struct run r = new_run();
    struct writer_result result[4];
    struct err err;

    for (size_t round = 0; round < 2; round++) {
        for (int i = 0; i < 50; i++)
            add(&r);
        postgres_down(pg, ends[round]);
        for (int i = 0; i < 50; i++)
            add(&r);
        ok(postgres_up(pg, &err), &err);
        db_disconnect(admin);
        wait_idle();
        assert_whole(&r);
    }
    assert_int_equal(results(result, 4), 0);
}

/*
 * The answer to a commit is lost and the rows are there: they must not be sent again. Another
 * session holds the run's row while the batch is on its way, ends its connection and stores what
 * the batch would have stored.
 */
static void
test_commit_whose_answer_was_lost_is_not_repeated(void **state UNUSED)
{
    struct run r = new_run();
    struct writer_result result[4];
    char url[POSTGRES_URL_LEN], sql[512];
    struct db *holder = db_new(postgres_url(pg, database, POSTGRES_ADMIN, url), "holder",
                               process_slow(PATIENCE_MS));
    struct err err;
    int64_t until = clock_mono_ms() + process_slow(PATIENCE_MS);

    add(&r);
    wait_idle();
    snprintf(sql, sizeof sql,
             "begin; select from macp.run_observers where run_key = %lld for update",
             (long long)r.key);
    ok(db_script(holder, sql, &err), &err);
    add(&r);
    while (!number("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and"
                   " application_name = 'macp-observerd writer'"))
        assert_true(clock_mono_ms() < until);
    snprintf(sql, sizeof sql,
             "update macp.run_observers set cursor = %lld, last_seq = %lld where run_key = %lld;"
             "select count(pg_terminate_backend(pid)) from pg_stat_activity"
             " where application_name = 'macp-observerd writer';"
             "commit",
             (long long)r.cursor, (long long)r.seq, (long long)r.key);
    ok(db_script(holder, sql, &err), &err);
    db_close(holder);
    wait_idle();
    assert_int_equal(stored(&r), 1); /* the second envelope was "stored" by the other session */
    assert_int_equal(results(result, 4), 0);
    add(&r);
    wait_idle();
    assert_int_equal(stored(&r), 2);
    assert_int_equal(results(result, 4), 0);
}

/* A handler appended as many events as the lost batch had: that is no proof of the batch. */
static void
test_number_moved_by_a_handler_is_no_proof_of_a_commit(void **state UNUSED)
{
    struct run r = new_run();
    struct writer_result result[4];
    char url[POSTGRES_URL_LEN], sql[512];
    struct db *holder = db_new(postgres_url(pg, database, POSTGRES_ADMIN, url), "holder",
                               process_slow(PATIENCE_MS));
    struct err err;
    int64_t until = clock_mono_ms() + process_slow(PATIENCE_MS);

    snprintf(sql, sizeof sql,
             "begin; select from macp.run_observers where run_key = %lld for update",
             (long long)r.key);
    ok(db_script(holder, sql, &err), &err);
    add_end(&r, false); /* one event, no envelope */
    while (!number("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and"
                   " application_name = 'macp-observerd writer'"))
        assert_true(clock_mono_ms() < until);
    snprintf(sql, sizeof sql,
             "update macp.run_observers set last_seq = last_seq + 1 where run_key = %lld;"
             "select count(pg_terminate_backend(pid)) from pg_stat_activity"
             " where application_name = 'macp-observerd writer';"
             "commit",
             (long long)r.key);
    ok(db_script(holder, sql, &err), &err);
    db_close(holder);
    wait_idle();
    assert_int_equal(results(result, 4), 1);
    assert_int_equal(result[0].verdict, WRITER_LOST); /* loaded anew, it ends once more */
}

static void
test_nothing_is_written_past_the_lease(void **state UNUSED)
{
    struct run r = new_run();

    hold();
    add(&r);
    process_pause(300); /* nothing to poll for: nothing happens */
    assert_false(writer_is_idle(writer));
    assert_int_equal(stored(&r), 0);
    let_go();
    wait_idle();
    assert_whole(&r);
}

/* The same batch again in the same time would never get through. */
static void
test_batch_that_takes_longer_than_the_limit_is_stored_all_the_same(void **state)
{
    const int64_t usual = cfg->db_pool_connection_timeout;
    struct run r = new_run();
    struct err err;

    close_writer(state);
    ok(db_script(admin,
                 "create function macp.drag() returns trigger language plpgsql as $$begin perform "
                 "pg_sleep(0.8); return null; end$$; create trigger drag before update on "
                 "macp.run_observers for each statement execute function macp.drag()",
                 &err),
       &err);
    cfg->db_pool_connection_timeout = 300;
    open_writer(state);
    add(&r);
    wait_idle();
    ok(db_script(admin, "drop function macp.drag() cascade", &err), &err);
    assert_whole(&r);
    close_writer(state);
    cfg->db_pool_connection_timeout = usual;
}

static void
test_full_batch_says_so_and_wakes_when_there_is_room(void **state UNUSED)
{
    struct run r = new_run();
    int64_t until = clock_mono_ms() + process_slow(PATIENCE_MS);

    hold();
    add(&r); /* on its way, held */
    while (atomic_load(&wakes) == 0 && !writer_is_full(writer) && clock_mono_ms() < until)
        add(&r);
    assert_true(writer_is_full(writer));
    atomic_store(&wakes, 0);
    let_go();
    while (atomic_load(&wakes) == 0)
        assert_true(clock_mono_ms() < until);
    wait_idle();
    assert_false(writer_is_full(writer));
    assert_whole(&r);
}

static void
test_stop_stores_what_is_pending(void **state UNUSED)
{
    struct run r = new_run();

    for (int i = 0; i < 200; i++)
        add(&r);
    assert_true(writer_stop(writer, process_slow(PATIENCE_MS)));
    writer = NULL;
    assert_whole(&r);
}

static void
test_stop_ends_in_time_without_postgres(void **state UNUSED)
{
    struct run r = new_run();
    struct err err;
    int64_t begun;

    postgres_down(pg, POSTGRES_FAST);
    add(&r);
    begun = clock_mono_ms();
    assert_false(writer_stop(writer, 500));
    writer = NULL;
    assert_true(clock_mono_ms() - begun < 500 + process_slow(1000));
    ok(postgres_up(pg, &err), &err);
    db_disconnect(admin);
    assert_int_equal(stored(&r), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_writer, close_writer)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_rows_land_and_readers_are_told),
        T(test_guard_drops_the_stranger_and_nobody_else),
        T(test_forgetting_an_owner_takes_its_pending_rows_and_no_later_ones),
        T(test_data_that_postgres_refuses_is_replaced_and_its_neighbours_stay),
        T(test_rows_that_postgres_refuses_for_good_cost_their_run_only),
        T(test_killed_connections_lose_and_double_nothing),
        T(test_crashing_server_loses_and_doubles_nothing),
        T(test_commit_whose_answer_was_lost_is_not_repeated),
        T(test_number_moved_by_a_handler_is_no_proof_of_a_commit),
        T(test_nothing_is_written_past_the_lease),
        T(test_batch_that_takes_longer_than_the_limit_is_stored_all_the_same),
        T(test_full_batch_says_so_and_wakes_when_there_is_room),
        T(test_stop_stores_what_is_pending),
        T(test_stop_ends_in_time_without_postgres),
    };

    return cmocka_run_group_tests(tests, start, close_postgres);
}
