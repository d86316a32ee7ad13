/* What is old goes, whole and nothing else; what is alive or young stays; nobody waits for it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"

enum { COMMAND_MS = 60000, SAID_MAX = 20000, MANY = 120, WRITES_BESIDE = 20, WEEKS_AHEAD = 4 };

static const char *const on[] = {"SESSION_DISCOVERY_ENABLED=true", "DATA_RETENTION_BATCH_SIZE=7",
                                 "DATA_RETENTION_ENABLED=false", NULL};
static const char *const removing[] = {"SESSION_DISCOVERY_ENABLED=true",
                                       "DATA_RETENTION_ENABLED=true", NULL};
static struct world world;

/* --- made-up runs -------------------------------------------------------------------------- */

static void sql(const char *fmt, ...) PRINTF_FMT(1, 2);

static void
sql(const char *fmt, ...)
{
    char text[4000];
    struct err err = {0};
    va_list ap;

    va_start(ap, fmt);
    assert_true(vsnprintf(text, sizeof text, fmt, ap) < (int)sizeof text);
    va_end(ap);
    expect_ok(db_script(world.db, text, &err), &err, text);
}

/*
 * n runs in this status, created and, unless ended is negative, ended so many days ago, each with
 * something in every table that knows runs. Their sessions begin with name.
 */
static void
make_runs(const char *name, int n, const char *status, int created, int ended)
{
    sql("set search_path = macp;"
        "select ensure_partitions((now() at time zone 'utc')::date - %d, 1);"
        "with made as (insert into runs (id, day, session_id, origin, status, mode, mode_name, "
        "runtime_kind, trace_id, descriptor, created_at, started_at, ended_at, updated_at) select "
        "gen_random_uuid(), (now() at time zone 'utc')::date - %d, '%s-' || i, 'posted', '%s', "
        "'live', '" DECISION "', 'rust', 't', '{}', now() - %d * interval '1 day', "
        "now() - %d * interval '1 day', case when %d >= 0 then now() - %d * interval '1 day' end, "
        "now() from generate_series(1, %d) i returning *), "
        "o as (insert into run_observers (run_key, day, last_seq, closed) select run_key, day, 5, "
        "true from made), "
        "m as (insert into run_metrics (run_key) select run_key from made), "
        "p as (insert into run_projections select run_key, 5, 3, '{}', '[]', '{}', '{}', '{}', "
        "'{}', '{}', '{}', '{}', '{}', '{}' from made), "
        "a as (insert into run_artifacts (id, run_key, kind, label) select gen_random_uuid(), "
        "run_key, 'json', 'x' from made), "
        "g as (insert into observer_gaps (run_key, kind) select run_key, 'compacted' from made), "
        "c as (insert into commands (run_key, kind, state, deadline) select run_key, 'cancel', "
        "'done', now() from made), "
        "f as (insert into run_votes (run_key, seq, ts, vote) select run_key, 1, now(), 'allow' "
        "from made), "
        "r as (insert into run_events_raw (day, run_key, seq, source, received_at, body) select "
        "day, run_key, s, 'status', created_at, 'x' from made, generate_series(1, 2) s) "
        "insert into run_events_canonical (day, run_key, seq, ts, type, source_kind, source_name, "
        "data) select day, run_key, s, created_at, 'message.sent', 'runtime', 'x', '{}' from made, "
        "generate_series(3, 5) s;",
        created, created, name, status, created, created, ended, ended, n);
}

static void
expect_runs(const char *name, const char *n)
{
    expect_sql(&world, n, "select count(*) from macp.runs where session_id like '%s-%%'", name);
}

/* Everything that is stored, in one value. */
static void
digest(char out[64])
{
    struct err err = {0};

    expect_ok(
        world_sql(&world, out, 64, &err,
                  "select md5(concat((select md5(string_agg(r::text, '' order by run_key)) from "
                  "macp.runs r), (select md5(string_agg(r::text, '' order by run_key, seq)) from "
                  "macp.run_events_raw r), (select md5(string_agg(r::text, '' order by run_key, "
                  "seq)) from macp.run_events_canonical r), (select md5(string_agg(r::text, '' "
                  "order by run_key, seq)) from macp.run_votes r), (select md5(string_agg(r::text, "
                  "'' order by audit_key)) from macp.audit_log r), (select md5(string_agg(r::text, "
                  "'' order by id)) from macp.webhook_deliveries r), (select "
                  "md5(string_agg(r::text, '' order by session_id)) from macp.session_tombstones "
                  "r), (select md5(string_agg(r::text, '' order by id)) from macp.commands r), "
                  "(select string_agg(relname, '' order by relname) from pg_class)))"),
        &err, "digest");
}

/* --- the command --------------------------------------------------------------------------- */

static void
start_retention(struct process *p, const char *name, const char *argument)
{
    char log[160];
    struct err err = {0};

    snprintf(log, sizeof log, "%s/%s.log", world.dir, name);
    unlink(log);
    expect_ok(world_start_command(&world, p, name,
                                  (const char *const[]){"retention", argument, NULL}, &err),
              &err, "retention");
}

/* What it said, as heap text; it must have succeeded. */
static char *
end_of(struct process *p)
{
    char log[PATH_MAX], *said;
    int status;

    snprintf(log, sizeof log, "%s", p->log);
    status = process_stop(p, 0, process_slow(COMMAND_MS));
    said = process_log_tail(log, SAID_MAX);
    if (status != 0)
        fail_msg("retention ended with %d:\n%s", status, said);
    return said;
}

static char *
run_retention(const char *argument)
{
    struct process p = {0};

    start_retention(&p, "retention", argument);
    return end_of(&p);
}

/* The number behind a name at the beginning of a line. */
static long
said_number(const char *said, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = said; line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, name, n) == 0 && line[n] == ' ')
            return strtol(line + n, NULL, 10);
    fail_msg("nothing about %s in:\n%s", name, said);
    return -1;
}

static void
expect_said(const char *said, const char *name, long wanted)
{
    if (said_number(said, name) != wanted)
        fail_msg("%s: wanted %ld, got %ld in:\n%s", name, wanted, said_number(said, name), said);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void
weeks_are_made_ahead_and_no_day_is_refused(void **state)
{
    (void)state;
    expect_sql_becomes(&world, "2",
                       "select count(*) from pg_class c join pg_inherits i on i.inhrelid = c.oid "
                       "where c.relkind = 'r' and c.relname ~ ('^run_events_(raw|canonical)_' || "
                       "to_char(date_trunc("
                       "'week', now() at time zone 'utc') + %d * interval '1 week', 'YYYYMMDD'))",
                       WEEKS_AHEAD);
    sql("insert into macp.run_events_canonical (day, run_key, seq, ts, type, source_kind, "
        "source_name, data) select d, 999999999, 1, now(), 't', 'k', 'n', '{}' from (values "
        "('1999-12-31'::date), ('2199-01-01'), (current_date)) v (d)");
    expect_sql(&world, "2", "select count(*) from macp.run_events_canonical_default");
    sql("delete from macp.run_events_canonical where run_key = 999999999");
}

static void
make_old_and_young(void)
{
    make_runs("old", 20, "completed", 100, 100);
    make_runs("failed", 3, "failed", 101, 101);
    make_runs("archived", 3, "completed", 102, 102);
    sql("update macp.runs set archived_at = now() where session_id like 'archived-%%'");
    make_runs("again", 2, "completed", 103, 103); /* several runs of one session */
    sql("update macp.runs set session_id = 'again-1' where session_id = 'again-2'");
    make_runs("slow", 4, "completed", 200, 10); /* old, but it ended lately */
    make_runs("gone", 4, "cancelled", 200, 190);
    make_runs("live", 4, "running", 300, -1);
    make_runs("young", 5, "completed", 29, 29);
    make_runs("fresh", 5, "completed", 0, 0);
    /* A run from before there were weeks: its events are in the default partitions. */
    make_runs("stray", 1, "completed", 400, 400);
    sql("set search_path = macp;"
        "update run_events_raw set day = '2001-01-01' where run_key = (select run_key from runs "
        "where session_id = 'stray-1');"
        "update run_events_canonical set day = '2001-01-01' where run_key = (select run_key from "
        "runs where session_id = 'stray-1');"
        "update runs set day = '2001-01-01' where session_id = 'stray-1';");
}

static void
make_other_rows(void)
{
    sql("set search_path = macp;"
        "insert into audit_log (id, actor, actor_type, action, resource, created_at) select "
        "gen_random_uuid(), 'a', 't', 'made.up', 'r', now() - d * interval '1 day' from (values "
        "(31), (400), (29), (0)) v (d);"
        "insert into webhooks (id, url, secret) values (gen_random_uuid(), 'https://x', 's');"
        "insert into webhook_deliveries (public_id, webhook_key, run_key, run_version, event, "
        "body, status, next_attempt_at, created_at) select gen_random_uuid(), (select "
        "max(webhook_key) from webhooks), 1, n, 'e', 'b', s, 'infinity', now() - d * interval '1 "
        "day' from (values "
        "(1, 'delivered', 31), (2, 'failed', 99), (3, 'pending', 99), (4, 'delivered', 3)) "
        "v (n, s, d);"
        "insert into webhooks (id, url, secret, active) values (gen_random_uuid(), 'https://x', "
        "'off', false);"
        "insert into webhook_deliveries (public_id, webhook_key, run_key, run_version, event, "
        "body, lease_until, created_at) select gen_random_uuid(), (select max(webhook_key) from "
        "webhooks), 1, n, 'off', 'b', l::timestamptz, now() - d * interval '1 day' from (values "
        "(1, '-infinity', 99), (2, 'infinity', 99), (3, '-infinity', 3)) v (n, l, d);"
        "insert into commands (kind, state, owner, lease_until, deadline, finished_at) select "
        "'made.up', s, gen_random_uuid(), 'infinity', 'infinity', now() - d * interval '1 day' "
        "from (values ('done', 31), ('failed', 31), ('expired', 31), ('done', 1), ('running', 31)) "
        "v (s, d);"
        "insert into ambient_envelopes (session_id, sender, message_type, message_id, received_at, "
        "body) select '', 's', 't', d::text, now() - d * interval '1 day', 'x' from (values (31), "
        "(5)) v (d);");
}

static void
a_dry_run_tells_everything_and_changes_nothing(void **state)
{
    char before[64], after[64], *said;

    (void)state;
    make_old_and_young();
    make_other_rows();
    digest(before);
    said = run_retention("--dry-run");
    digest(after);
    assert_string_equal(before, after);
    assert_non_null(strstr(said, "would go"));
    expect_said(said, "runs", 20 + 3 + 3 + 2 + 4 + 1);
    expect_said(said, "audit rows", 2);
    expect_said(said, "webhook deliveries", 3);
    expect_said(said, "signals without a session", 1);
    /* Of 100 to 103 days ago: one or two weeks; where slow and live runs are left, none. */
    assert_in_range(said_number(said, "weeks of events"), 1, 3);
    assert_non_null(strstr(said, "waits for its last runs"));
    assert_non_null(strstr(said, "run_events_canonical_default"));
    free(said);
}

static void
a_pass_removes_exactly_what_is_old(void **state)
{
    char *said;

    (void)state;
    said = run_retention(NULL);
    expect_said(said, "runs", 33);
    free(said);
    expect_runs("old", "0");
    expect_runs("failed", "0");
    expect_runs("archived", "0");
    expect_runs("again", "0");
    expect_runs("gone", "0");
    expect_runs("stray", "0");
    expect_runs("slow", "4");
    expect_runs("live", "4");
    expect_runs("young", "5");
    expect_runs("fresh", "5");
    expect_sql(&world, "20",
               "select count(*) from macp.session_tombstones where session_id like 'old-%%'");
    expect_sql(&world, "1",
               "select count(*) from macp.session_tombstones where session_id like 'again-%%'");
    expect_sql(&world, "2", "select count(*) from macp.audit_log where action = 'made.up'");
    expect_sql(&world, "delivered,pending",
               "select string_agg(status, ',' order by status) from macp.webhook_deliveries where "
               "event = 'e'");
    /* Of a webhook that is switched off: what is under way, and what is young. */
    expect_sql(&world, "2,3",
               "select string_agg(run_version::text, ',' order by run_version) from "
               "macp.webhook_deliveries where event = 'off'");
    expect_sql(&world, "done,running",
               "select string_agg(state, ',' order by state) from macp.commands where kind = "
               "'made.up'");
    expect_sql(&world, "5", "select message_id from macp.ambient_envelopes where session_id = ''");
}

static void
nothing_is_left_of_a_removed_run(void **state)
{
    static const char *const tables[] = {
        "run_observers", "run_projections", "run_metrics",
        "run_artifacts", "observer_gaps",   "commands",
        "run_votes",     "run_events_raw",  "run_events_canonical"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        expect_sql(&world, "0",
                   "select count(*) from macp.%s t where t.run_key is not null and not exists "
                   "(select from macp.runs r where r.run_key = t.run_key)",
                   tables[i]);
    /* What is left is whole. */
    expect_sql(
        &world, "0",
        "select count(*) from macp.runs r where r.origin = 'posted' and (select count(*) "
        "from macp.run_events_raw e where e.run_key = r.run_key and e.day = r.day) + (select "
        "count(*) from macp.run_events_canonical e where e.run_key = r.run_key and e.day = "
        "r.day) <> 5");
    expect_sql(&world, "0",
               "select count(*) from pg_class where relname in (select 'run_events_raw_' || "
               "to_char(date_trunc('week', (now() at time zone 'utc') - 100 * interval '1 day'), "
               "'YYYYMMDD'))");
}

static void
a_pass_again_finds_nothing(void **state)
{
    char before[64], after[64], *said;

    (void)state;
    digest(before);
    said = run_retention(NULL);
    digest(after);
    assert_string_equal(before, after);
    expect_said(said, "runs", 0);
    expect_said(said, "weeks of events", 0);
    assert_non_null(strstr(said, "events whose run is gone: 0 of 0 runs"));
    free(said);
}

static void
a_run_that_is_written_to_waits_for_the_next_pass(void **state)
{
    struct db *writer = db_new(world.admin_url, "writer", process_slow(20000));
    struct err err = {0};
    char *said;

    (void)state;
    make_runs("held", 9, "completed", 60, 60);
    expect_ok(db_script(writer,
                        "begin; select from macp.run_observers o join macp.runs r using (run_key) "
                        "where r.session_id = 'held-1' for update of o",
                        &err),
              &err, "lock");
    said = run_retention(NULL);
    expect_said(said, "runs", 8);
    free(said);
    expect_runs("held", "1");
    expect_ok(db_script(writer, "commit", &err), &err, "unlock");
    db_close(writer);
    free(run_retention(NULL));
    expect_runs("held", "0");
}

static void
who_finds_the_work_taken_leaves_it(void **state)
{
    struct db *other = db_new(world.admin_url, "other", process_slow(20000));
    struct err err = {0};
    char *said;

    (void)state;
    make_runs("taken", 3, "completed", 60, 60);
    expect_ok(db_script(other, "select pg_advisory_lock(7230165412)", &err), &err, "lock");
    said = run_retention(NULL);
    db_close(other);
    assert_non_null(strstr(said, "another instance is removing"));
    free(said);
    expect_runs("taken", "3");
    free(run_retention(NULL));
    expect_runs("taken", "0");
}

/* Whoever finds the other at work ends; if both do, the next pass has the rest. */
static void
two_at_once_remove_everything_once(void **state)
{
    enum { PASSES = 4 };
    struct process a = {0}, b = {0};
    char *said_a, *said_b;
    long n;

    (void)state;
    make_runs("both", MANY, "completed", 70, 70);
    start_retention(&a, "retention-a", NULL);
    start_retention(&b, "retention-b", NULL);
    said_a = end_of(&a);
    said_b = end_of(&b);
    n = said_number(said_a, "runs") + said_number(said_b, "runs");
    for (int i = 0; n > 0 && n < MANY && i < PASSES; i++) {
        char *said = run_retention(NULL);

        n += said_number(said, "runs");
        free(said);
    }
    if (n != MANY)
        fail_msg("%ld of %d runs were removed:\n%s\n%s", n, MANY, said_a, said_b);
    free(said_a);
    free(said_b);
    expect_runs("both", "0");
    expect_sql(&world, "120",
               "select count(*) from macp.session_tombstones where session_id like 'both-%%'");
}

/* --- a week goes while others read and write ------------------------------------------------ */

struct writer {
    atomic_bool stop;
    atomic_int writes;
    int64_t slowest_ms;
    struct err err; /* of the first one that failed */
    bool failed;
};

static void *
write_events(void *arg)
{
    struct writer *w = arg;
    struct db *db = db_new(world.admin_url, "writer", process_slow(20000));

    while (!w->failed && !atomic_load(&w->stop)) {
        int64_t began = clock_mono_ms();

        w->failed = !db_script(
            db,
            "with run as (update macp.run_observers o set last_seq = last_seq + 1 from macp.runs r "
            "where r.run_key = o.run_key and r.session_id = 'fresh-1' returning o.run_key, o.day, "
            "o.last_seq) insert into macp.run_events_canonical (day, run_key, seq, ts, type, "
            "source_kind, source_name, data) select day, run_key, last_seq, now(), 't', 'k', 'n', "
            "'{}' from run",
            &w->err);
        if (clock_mono_ms() - began > w->slowest_ms)
            w->slowest_ms = clock_mono_ms() - began;
        atomic_fetch_add(&w->writes, 1);
    }
    db_close(db);
    return NULL;
}

static void
a_week_goes_while_others_read_and_write(void **state)
{
    struct db *reader = db_new(world.admin_url, "reader", process_slow(20000));
    struct process p = {0};
    struct writer w = {0};
    pthread_t thread;
    struct err err = {0};
    int before;
    char *said;

    (void)state;
    make_runs("week", 3, "completed", 150, 150);
    /* A reader of all weeks, in the midst of its work. */
    expect_ok(db_script(reader, "begin; select count(*) from macp.run_events_canonical", &err),
              &err, "read");
    assert_int_equal(pthread_create(&thread, NULL, write_events, &w), 0);
    start_retention(&p, "retention", NULL);
    expect_sql_becomes(
        &world, "t",
        "select exists (select from pg_locks where not granted and mode = "
        "'AccessExclusiveLock' and relation = 'macp.run_events_canonical'::regclass)");
    /* Writers get on although the week cannot go yet. */
    before = atomic_load(&w.writes);
    while (atomic_load(&w.writes) < before + WRITES_BESIDE && !w.failed)
        process_pause(1);
    expect_ok(db_script(reader, "commit", &err), &err, "end of reading");
    db_close(reader);
    said = end_of(&p);
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    expect_ok(!w.failed, &w.err, "write beside it");
    if (w.slowest_ms > process_slow(3000))
        fail_msg("a write took %lld ms", (long long)w.slowest_ms);
    expect_said(said, "weeks of events", 1);
    free(said);
    expect_sql(&world, "0",
               "select count(*) from pg_class where relname like 'run_events_%%_' || "
               "to_char(date_trunc('week', (now() at time zone 'utc') - 150 * interval '1 day'), "
               "'YYYYMMDD')");
}

/* --- with the daemon ------------------------------------------------------------------------ */

static void
restart_observer(const char *const *env)
{
    struct err err = {0};

    world_stop_observerd(&world, process_slow(10000));
    world.options.observerd_env = env;
    expect_ok(world_start_observerd(&world, &err), &err, "observer");
}

static void
expect_session_of(const char *session, const char *runs)
{
    expect_sql_becomes(&world, runs, "select count(*) from macp.runs where session_id = '%s'",
                       session);
}

static void
discovery_does_not_bring_a_removed_session_back(void **state)
{
    char first[WORLD_SESSION_LEN], later[WORLD_SESSION_LEN];

    (void)state;
    /* Nobody posted them: the runtime lists both. */
    expect_new_session(first);
    expect_played(&world, "decision.positive", first, NULL);
    expect_sql_becomes(&world, "completed", "select status from macp.runs where session_id = '%s'",
                       first);
    sql("update macp.runs set ended_at = now() - interval '31 days' where session_id = '%s'",
        first);
    free(run_retention(NULL));
    expect_session_of(first, "0");
    restart_observer(removing);
    expect_new_session(later);
    expect_played(&world, "decision.positive", later, NULL);
    expect_session_of(later, "1");
    expect_session_of(first, "0");
}

/* Runs last: the observer that removes was started a while ago. */
static void
the_daemon_makes_passes_by_itself(void **state)
{
    (void)state;
    make_runs("auto", 4, "completed", 90, 90);
    expect_sql_becomes(&world, "0",
                       "select count(*) from macp.runs where session_id like 'auto-%%'");
    expect_runs("live", "4");
    expect_runs("young", "5");
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.observerd_env = on}, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weeks_are_made_ahead_and_no_day_is_refused),
        cmocka_unit_test(a_dry_run_tells_everything_and_changes_nothing),
        cmocka_unit_test(a_pass_removes_exactly_what_is_old),
        cmocka_unit_test(nothing_is_left_of_a_removed_run),
        cmocka_unit_test(a_pass_again_finds_nothing),
        cmocka_unit_test(a_run_that_is_written_to_waits_for_the_next_pass),
        cmocka_unit_test(who_finds_the_work_taken_leaves_it),
        cmocka_unit_test(two_at_once_remove_everything_once),
        cmocka_unit_test(a_week_goes_while_others_read_and_write),
        cmocka_unit_test(discovery_does_not_bring_a_removed_session_back),
        cmocka_unit_test(the_daemon_makes_passes_by_itself),
    };

    return cmocka_run_group_tests_name("retention", tests, set_up, scene_close);
}
