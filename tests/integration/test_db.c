/* The connection: pipelines are transactions, waits end, lost servers are survived. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/clock.h"
#include "shared/uuid.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"

static struct postgres *pg;
static char database[POSTGRES_NAME_LEN];
static char url[POSTGRES_URL_LEN];
static struct db *db, *other;

enum { TIMEOUT_MS = 20000 };

static int
start(void **state UNUSED)
{
    struct err err;

    pg = postgres_start(NULL, &err);
    if (!pg)
        print_error("%s\n", err.msg);
    return pg ? 0 : -1;
}

static int
stop(void **state UNUSED)
{
    postgres_stop(pg);
    return 0;
}

static void
ok(bool succeeded, const struct err *err)
{
    if (!succeeded)
        fail_msg("%s [%s]", err->msg, err->sqlstate);
}

/* Three runs with cursor 5 and last_seq 7, owned with fence 3. */
static int
open_database(void **state UNUSED)
{
    struct err err;

    ok(postgres_database(pg, database, &err), &err);
    postgres_url(pg, database, POSTGRES_ADMIN, url);
    db = db_new(url, "test", process_slow(TIMEOUT_MS));
    other = db_new(url, "test-other", process_slow(TIMEOUT_MS));
    ok(db_script(
           other,
           "insert into runs (id, session_id, origin, mode, mode_name, runtime_kind, trace_id)"
           " select gen_random_uuid(), 's' || i, 'posted', 'live', 'm', 'rust', 't'"
           "   from generate_series(1, 3) i;"
           "insert into run_observers (run_key, day, fence, cursor, last_seq)"
           " select run_key, day, 3, 5, 7 from runs",
           &err),
       &err);
    return 0;
}

static int
close_database(void **state UNUSED)
{
    struct err err;

    db_close(db);
    db_close(other);
    ok(postgres_drop(pg, database, &err), &err);
    return 0;
}

static void
assert_value(const char *sql, const char *wanted)
{
    char got[256];
    struct err err;

    ok(postgres_value(other, sql, got, sizeof got, &err), &err);
    assert_string_equal(got, wanted);
}

static void
add_guard(const char *keys, const char *fences, const char *old_cursors, const char *new_cursors,
          const char *old_seqs, const char *new_seqs)
{
    struct db_args a = {0};

    db_arg_text(&a, keys);
    db_arg_text(&a, fences);
    db_arg_text(&a, old_cursors);
    db_arg_text(&a, new_cursors);
    db_arg_text(&a, old_seqs);
    db_arg_text(&a, new_seqs);
    db_pipeline_add(db, SQL_BATCH_GUARD, &a);
}

static void
add_json_check(const char *json)
{
    struct db_args a = {0};

    db_arg_text(&a, json);
    db_pipeline_add(db, SQL_JSON_CHECK, &a);
}

static bool
run_json_check(const char *json, struct err *err)
{
    struct db_args a = {0};

    db_arg_text(&a, json);
    return db_run(db, SQL_JSON_CHECK, &a, NULL, err);
}

/* --- statements that are sent again
 * -----------------------------------------------------------------
 */

#define WEBHOOK    "6f06ccae-bd8f-48c8-aa95-11744c274815"
#define DELIVERY   "6f06ccae-bd8f-48c8-aa95-11744c274816"
#define WHO        "key-1", "api-key", "request-1"
#define DESCRIPTOR "{\"session\": {}}"

/* said: the first value of its answer. */
static void
run_as_handler(enum sql_id id, const char *const *values, char *said, size_t size)
{
    struct db_result *r = NULL;
    struct db_args a = {0};
    struct err err;

    for (int i = 0; i < sql_statements[id].n_params; i++)
        db_arg_text(&a, values[i]);
    ok(db_run(db, id, &a, &r, &err), &err);
    snprintf(said, size, "%s", db_rows(r) > 0 ? db_text(r, 0, 0) : "nothing");
    db_result_free(r);
}

/*
 * When a connection breaks nobody knows whether its statement was stored: handlers send it again
 * with the same arguments.
 */
static void
what_handlers_write_may_come_twice(void **state UNUSED)
{
    static const char audit_id[] = "00000000-0000-4000-8000-000000000001";
    char run[UUID_LEN], key[32];
    struct err err;
    const struct {
        enum sql_id id;
        const char *values[28];
        const char *between; /* what happens before the second time; NULL: nothing */
        const char *audited, *wanted;
        const char *check;
    } cases[] = {
        {SQL_RUN_ARCHIVE,
         {run, WHO, audit_id},
         NULL,
         "1",
         "1",
         "select count(*) from runs where tags = '{archived}'"},
        {SQL_PROJECTION_STORE,
         {run, "7", "3", "{}", "{}", "{}", "{}", "{}", "{}", "{}", "{}", "{}", "{}", "{}", WHO,
          audit_id},
         NULL,
         "1",
         "7",
         "select version from run_projections"},
        {SQL_WEBHOOK_CREATE,
         {WEBHOOK, "https://a.example/", "[]", "s", WHO, audit_id},
         NULL,
         "1",
         "1",
         "select count(*) from webhooks"},
        {SQL_WEBHOOK_UPDATE,
         {WEBHOOK, "https://b.example/", NULL, NULL, NULL, WHO, audit_id},
         NULL,
         "1",
         "https://b.example/",
         "select url from webhooks"},
        {SQL_WEBHOOK_REDELIVER,
         {WEBHOOK, DELIVERY, WHO, audit_id},
         "update webhook_deliveries set status = 'delivered', attempts = 1",
         "1",
         "delivered 1",
         "select status || ' ' || attempts from webhook_deliveries"},
        {SQL_WEBHOOK_DELETE,
         {WEBHOOK, WHO, audit_id},
         NULL,
         "1",
         "0",
         "select count(*) from webhooks"},
        {SQL_COMMAND_REQUEST,
         {key, "cancel", "{}", "key-1", "request-1", WEBHOOK, "1000"},
         "update commands set state = 'done'",
         "0",
         "1",
         "select count(*) from commands"},
        {SQL_RUN_ADOPT,
         {key,     NULL,        "live", NULL,     "src",
          NULL,    NULL,        NULL,   "[]",     DESCRIPTOR,
          "{}",    NULL,        NULL,   "false",  "adopt",
          "key-1", "request-1", "1000", DELIVERY, "2026-03-01T10:00:00Z"},
         NULL,
         "0",
         "1",
         "select count(*) from commands where kind = 'adopt'"},
    };

    ok(postgres_value(other, "select id from runs where session_id = 's1'", run, sizeof run, &err),
       &err);
    ok(postgres_value(other, "select run_key from runs where session_id = 's1'", key, sizeof key,
                      &err),
       &err);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char first[64], second[64];

        run_as_handler(cases[i].id, cases[i].values, first, sizeof first);
        if (cases[i].between)
            ok(db_script(other, cases[i].between, &err), &err);
        run_as_handler(cases[i].id, cases[i].values, second, sizeof second);
        assert_string_equal(first, second);
        assert_value(cases[i].check, cases[i].wanted);
        assert_value("select count(*) from audit_log", cases[i].audited);
        /* For the ones behind it. */
        ok(db_script(
               other,
               "delete from audit_log;"
               "update runs set origin = 'discovered' where session_id = 's1';"
               "insert into webhook_deliveries (public_id, webhook_key, run_key, run_version, "
               "event, body, status) select '" DELIVERY
               "', webhook_key, 1, 1, 'e', 'b', 'failed' from webhooks on conflict do nothing",
               &err),
           &err);
    }
}

/* --- pipelines ------------------------------------------------------------------------------- */

static void
pipeline_stores_all_or_nothing(void **state UNUSED)
{
    struct db_result *results[3] = {0};
    struct err err;

    db_pipeline_begin(db);
    add_guard("{1}", "{3}", "{5}", "{9}", "{7}", "{11}");
    add_json_check("{\"no json");
    add_guard("{2}", "{3}", "{5}", "{9}", "{7}", "{11}");
    assert_false(db_pipeline_commit(db, results, 3, &err));
    assert_int_equal(err.code, ERR_SQL);
    assert_string_equal(err.sqlstate, "22P02");
    assert_null(results[0]);
    assert_true(db_is_connected(db));
    assert_value("select sum(cursor) from run_observers", "15");

    /* What was prepared and what was skipped is known: the same again with good text works. */
    db_pipeline_begin(db);
    add_guard("{1}", "{3}", "{5}", "{9}", "{7}", "{11}");
    add_json_check("{}");
    add_guard("{2}", "{3}", "{5}", "{9}", "{7}", "{11}");
    ok(db_pipeline_commit(db, results, 3, &err), &err);
    assert_string_equal(db_text(results[1], 0, 0), "t");
    for (int i = 0; i < 3; i++)
        db_result_free(results[i]);
    assert_value("select sum(cursor) from run_observers", "23");
}

static void
first_error_of_a_pipeline_is_reported(void **state UNUSED)
{
    struct err err;

    db_pipeline_begin(db);
    add_guard("{1}", "{4}", "{5}", "{9}", "{7}", "{11}");
    add_json_check("bad");
    assert_false(db_pipeline_commit(db, NULL, 0, &err));
    assert_int_equal(err.code, ERR_GUARD);
}

static void
error_at_commit_is_reported(void **state UNUSED)
{
    struct err err;

    ok(db_script(other,
                 "create function refuse() returns trigger language plpgsql as"
                 " $$begin raise exception 'not at all' using errcode = '23514'; end$$;"
                 "create constraint trigger t after update on run_observers"
                 " deferrable initially deferred for each row execute function refuse()",
                 &err),
       &err);
    db_pipeline_begin(db);
    add_guard("{1}", "{3}", "{5}", "{9}", "{7}", "{11}");
    assert_false(db_pipeline_commit(db, NULL, 0, &err));
    assert_int_equal(err.code, ERR_SQL);
    assert_string_equal(err.sqlstate, "23514");
    assert_value("select cursor from run_observers where run_key = 1", "5");
    ok(run_json_check("{}", &err), &err);
}

/* More than 16 MiB in each direction: somebody who only writes before reading hangs here. */
static void
big_pipelines_do_not_deadlock(void **state UNUSED)
{
    enum { STATEMENTS = 90, TEXT = 200 * 1000, ROWS = 5000 };
    struct db_result *results[2 * STATEMENTS] = {0};
    char *json = malloc(TEXT + 1);
    AUTO_BUF keys = {0};
    size_t received = 0;
    struct err err;

    memset(json, 'x', TEXT);
    json[0] = json[TEXT - 1] = '"';
    json[TEXT] = '\0';
    ok(db_script(
           other,
           "insert into runs (id, session_id, origin, mode, mode_name, runtime_kind, trace_id)"
           " select gen_random_uuid(), 'b' || i, 'posted', 'live', 'm', 'rust', 't'"
           "   from generate_series(1, 5000) i;"
           "insert into run_observers (run_key, day, fence, cursor, last_seq)"
           " select run_key, day, 1e16::bigint, 1e16::bigint, 1e9::int from runs"
           " on conflict do nothing",
           &err),
       &err);
    buf_char(&keys, '{');
    for (int i = 4; i < 4 + ROWS; i++)
        buf_printf(&keys, i > 4 ? ",%d" : "%d", i);
    buf_char(&keys, '}');

    db_pipeline_begin(db);
    for (int i = 0; i < STATEMENTS; i++) {
        struct db_args a = {0};

        add_json_check(json);
        db_arg_text(&a, buf_cstr(&keys));
        db_pipeline_add(db, SQL_BATCH_OUTCOME, &a);
    }
    ok(db_pipeline_commit(db, results, 2 * STATEMENTS, &err), &err);
    for (int i = 0; i < 2 * STATEMENTS; i++) {
        for (int row = 0; row < db_rows(results[i]); row++)
            for (int col = 0; col < (i % 2 ? 4 : 1); col++)
                received += db_len(results[i], row, col);
        assert_int_equal(db_rows(results[i]), i % 2 ? ROWS : 1);
        db_result_free(results[i]);
    }
    assert_true(received > 16u * 1024 * 1024);
    assert_true((size_t)STATEMENTS * TEXT > 16u * 1024 * 1024);
    free(json);
}

static void
more_results_than_asked_for_are_dropped(void **state UNUSED)
{
    struct db_result *results[1] = {0};
    struct err err;

    db_pipeline_begin(db);
    add_json_check("1");
    add_json_check("2");
    ok(db_pipeline_commit(db, results, 1, &err), &err);
    assert_int_equal(db_rows(results[0]), 1);
    db_result_free(results[0]);
}

/* --- guard ----------------------------------------------------------------------------------- */

static void
guard_moves_what_matches(void **state UNUSED)
{
    struct err err;

    db_pipeline_begin(db);
    add_guard("{1,3}", "{3,3}", "{5,5}", "{6,5}", "{7,7}", "{7,9}");
    ok(db_pipeline_commit(db, NULL, 0, &err), &err);
    assert_value("select string_agg(cursor || ':' || last_seq, ' ' order by run_key)"
                 " from run_observers",
                 "6:7 5:7 5:9");
}

static void
guard_refuses_each_kind_of_stranger(void **state UNUSED)
{
    static const struct {
        const char *keys, *fences, *cursors, *seqs, *detail;
    } cases[] = {
        {"{1,2}", "{3,4}", "{5,5}", "{7,7}", "2"},          /* somebody else's fence */
        {"{1,2}", "{3,3}", "{4,5}", "{7,7}", "1"},          /* cursor has moved */
        {"{1,2}", "{3,3}", "{5,5}", "{7,8}", "2"},          /* events were appended */
        {"{1,99}", "{3,3}", "{5,5}", "{7,7}", "99"},        /* no such run */
        {"{1,2,3}", "{1,3,3}", "{5,5,0}", "{7,7,7}", "1,3"} /* several */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;

        db_pipeline_begin(db);
        add_guard(cases[i].keys, cases[i].fences, cases[i].cursors, "{50,50,50}", cases[i].seqs,
                  "{70,70,70}");
        add_json_check("{}");
        assert_false(db_pipeline_commit(db, NULL, 0, &err));
        assert_int_equal(err.code, ERR_GUARD);
        assert_string_equal(err.sqlstate, "MACP1");
        assert_string_equal(err.detail, cases[i].detail);
        assert_string_equal(db_detail(db), cases[i].detail);
        assert_value("select count(*) from run_observers where cursor = 5 and last_seq = 7", "3");
    }
}

/* A long list is complete in db_detail and cut between two keys in the error itself. */
static void
guard_detail_is_never_cut_inside_a_key(void **state UNUSED)
{
    AUTO_BUF keys = {0}, zeros = {0};
    struct err err;

    for (int i = 0; i < 50; i++) {
        buf_printf(&keys, i ? ",%d" : "{%d", 1000000 + i);
        buf_str(&zeros, i ? ",0" : "{0");
    }
    buf_char(&keys, '}');
    buf_char(&zeros, '}');
    db_pipeline_begin(db);
    add_guard(buf_cstr(&keys), buf_cstr(&zeros), buf_cstr(&zeros), buf_cstr(&zeros),
              buf_cstr(&zeros), buf_cstr(&zeros));
    assert_false(db_pipeline_commit(db, NULL, 0, &err));
    assert_int_equal(strlen(db_detail(db)), 50 * 8 - 1);
    assert_int_equal(strlen(err.detail) % 8, 7);
    assert_true(strlen(err.detail) > 0);
    assert_memory_equal(err.detail, db_detail(db), strlen(err.detail));
}

/* --- lost servers and slow ones -------------------------------------------------------------- */

static void
restart_while_idle_is_not_noticed(void **state UNUSED)
{
    struct err err;

    ok(run_json_check("{}", &err), &err);
    postgres_down(pg, POSTGRES_FAST);
    ok(postgres_up(pg, &err), &err);
    ok(run_json_check("{}", &err), &err);
}

static void
restart_inside_a_pipeline_fails_it_and_heals(void **state UNUSED)
{
    static const enum postgres_end ends[] = {POSTGRES_FAST, POSTGRES_IMMEDIATE, POSTGRES_KILL};

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct err err;

        db_pipeline_begin(db);
        add_guard("{1}", "{3}", "{5}", "{9}", "{7}", "{11}");
        postgres_down(pg, ends[i]);
        add_json_check("{}");
        assert_false(db_pipeline_commit(db, NULL, 0, &err));
        assert_int_equal(err.code, ERR_DB);
        assert_false(db_is_connected(db));

        assert_false(run_json_check("{}", &err)); /* nobody there: an error, not a hang */
        assert_int_equal(err.code, ERR_DB);
        ok(postgres_up(pg, &err), &err);
        ok(run_json_check("{}", &err), &err);
        assert_value("select cursor from run_observers where run_key = 1", "5");
    }
}

static long
backend_pid(struct db *of)
{
    char pid[32];
    struct err err;

    ok(postgres_value(of, "select pg_backend_pid()", pid, sizeof pid, &err), &err);
    return strtol(pid, NULL, 10);
}

static bool
sleeps(void *pid)
{
    char sql[128], got[8];
    struct err err;

    snprintf(sql, sizeof sql,
             "select count(*) from pg_stat_activity where pid = %ld and wait_event = 'PgSleep'",
             *(long *)pid);
    return postgres_value(other, sql, got, sizeof got, &err) && strcmp(got, "1") == 0;
}

static void *
kill_sleeper(void *pid)
{
    if (process_poll(sleeps, pid, process_slow(10000)))
        kill((pid_t) * (long *)pid, SIGKILL);
    return NULL;
}

static bool
serves_again(void *ctx UNUSED)
{
    struct err err;

    return run_json_check("{}", &err) && postgres_up(pg, &err);
}

static void
crash_while_waiting_is_an_error_at_once(void **state UNUSED)
{
    long pid = backend_pid(db);
    int64_t began = clock_mono_ms();
    pthread_t killer;
    struct err err;

    pthread_create(&killer, NULL, kill_sleeper, &pid);
    assert_false(db_script(db, "select pg_sleep(15)", &err));
    pthread_join(killer, NULL);
    assert_int_equal(err.code, ERR_DB);
    assert_true(clock_mono_ms() - began < process_slow(10000));
    /* The server ends all its children and recovers meanwhile. */
    assert_true(process_poll(serves_again, NULL, process_slow(20000)));
}

static void
server_side_limit_keeps_the_connection(void **state UNUSED)
{
    long pid = backend_pid(db);
    int64_t began = clock_mono_ms();
    struct err err;

    db_set_timeout(db, 1000);
    ok(run_json_check("{}", &err), &err); /* brings the new limit to the server */
    assert_false(db_script(db, "select pg_sleep(15)", &err));
    assert_int_equal(err.code, ERR_DB);
    assert_string_equal(err.sqlstate, "57014");
    assert_true(clock_mono_ms() - began < process_slow(5000));
    assert_int_equal(backend_pid(db), pid);
}

/* A server that neither answers nor hangs up. */
static void
silent_server_costs_one_time_limit(void **state UNUSED)
{
    long pid = backend_pid(db);
    int64_t began = clock_mono_ms();
    struct err err;

    db_set_timeout(db, 500);
    kill((pid_t)pid, SIGSTOP);
    assert_false(run_json_check("{}", &err));
    kill((pid_t)pid, SIGCONT);
    assert_int_equal(err.code, ERR_DB);
    assert_string_equal(err.sqlstate, "");
    assert_in_range(clock_mono_ms() - began, 400, process_slow(3000));
    assert_false(db_is_connected(db));
    db_set_timeout(db, process_slow(TIMEOUT_MS));
    ok(run_json_check("{}", &err), &err);
}

static void
connecting_to_somebody_silent_ends(void **state UNUSED)
{
    char dir[] = "/tmp/macp-silent.XXXXXX", address[128];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int64_t began = clock_mono_ms();
    struct db *silent;
    struct err err;

    assert_non_null(mkdtemp(dir));
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s/.s.PGSQL.5432", dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 5), 0);
    snprintf(address, sizeof address, "host=%s port=5432 user=u dbname=d password=s3cret", dir);
    silent = db_new(address, "test", 400);
    assert_false(db_connect(silent, &err));
    assert_int_equal(err.code, ERR_DB);
    assert_in_range(clock_mono_ms() - began, 300, process_slow(3000));
    db_close(silent);
    close(fd);
    unlink(addr.sun_path);
    rmdir(dir);
}

static void
errors_do_not_quote_the_address(void **state UNUSED)
{
    static const char *const addresses[] = {
        "postgres://u:s3cret@/x?bad=1",        "s3cret",
        "postgres://u:p@s3cret@127.0.0.1:1/x", "postgres://u:p@127.0.0.1:s3cret/x",
        "postgres://u:s3cret@127.0.0.1:1/x",
    };

    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct db *bad = db_new(addresses[i], "test", 2000);
        struct err err;

        assert_false(db_connect(bad, &err));
        assert_int_equal(err.code, ERR_DB);
        assert_null(strstr(err.msg, "s3cret"));
        db_close(bad);
    }
}

static void
lost_lock_race_is_retryable_and_keeps_the_connection(void **state UNUSED)
{
    long pid = backend_pid(db);
    struct err err;

    ok(db_script(other, "begin; select 1 from run_observers where run_key = 1 for update", &err),
       &err);
    assert_false(
        db_script(db, "select 1 from run_observers where run_key = 1 for update nowait", &err));
    assert_int_equal(err.code, ERR_DB);
    assert_string_equal(err.sqlstate, "55P03");
    assert_int_equal(backend_pid(db), pid);
    ok(db_script(other, "rollback", &err), &err);
}

/* Prepared statements that no longer fit, or are gone, cost one error that says "again". */
static void
stale_statements_are_prepared_afresh(void **state UNUSED)
{
    static const struct {
        struct db **by;
        const char *sql, *sqlstate;
    } cases[] = {
        {&other, "alter table schema_migrations alter column oldest_program type bigint", "0A000"},
        {&db, "deallocate all", "26000"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;

        ok(db_run(db, SQL_MIGRATION_LIST, NULL, NULL, &err), &err);
        ok(db_script(*cases[i].by, cases[i].sql, &err), &err);
        assert_false(db_run(db, SQL_MIGRATION_LIST, NULL, NULL, &err));
        assert_int_equal(err.code, ERR_DB);
        assert_string_equal(err.sqlstate, cases[i].sqlstate);
        ok(db_run(db, SQL_MIGRATION_LIST, NULL, NULL, &err), &err);
    }
}

/* "The same again may succeed" is said of the server's troubles only. */
static void
refusals_say_whether_to_try_again(void **state UNUSED)
{
    static const struct {
        const char *sqlstate;
        enum err_code code;
    } cases[] = {
        {"53100", ERR_DB},  /* disk full */
        {"53200", ERR_DB},  /* out of memory */
        {"58030", ERR_DB},  /* input/output error */
        {"57P03", ERR_DB},  /* starting up */
        {"22021", ERR_SQL}, /* bytes that are no text */
        {"23514", ERR_SQL}, /* check violation */
        {"42501", ERR_SQL}, /* not allowed */
        {"XX000", ERR_SQL}, /* internal error: may be one row's fault for ever */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[160];
        struct err err;

        snprintf(sql, sizeof sql, "do $$begin raise exception 'made' using errcode = '%s'; end$$",
                 cases[i].sqlstate);
        assert_false(db_script(db, sql, &err));
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.sqlstate, cases[i].sqlstate);
    }
}

static void
settings_of_a_connection(void **state UNUSED)
{
    static const char *const settings[][2] = {
        {"search_path", "macp"},           {"TimeZone", "UTC"},
        {"client_encoding", "UTF8"},       {"default_toast_compression", "lz4"},
        {"application_name", "test-mine"}, {"plan_cache_mode", "force_generic_plan"},
        {"statement_timeout", "1800ms"},   {"work_mem", "5MB"}, /* asked for by the address */
    };
    char address[POSTGRES_URL_LEN + 64], sql[64], got[64];
    struct db *mine;

    snprintf(address, sizeof address, "%s&options=-c%%20work_mem%%3D5MB", url);
    mine = db_new(address, "test-mine", 2000);
    db_set_generic_plans(mine);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        struct err err;

        snprintf(sql, sizeof sql, "show %s", settings[i][0]);
        ok(postgres_value(mine, sql, got, sizeof got, &err), &err);
        assert_string_equal(got, settings[i][1]);
    }
    db_close(mine);
}

/* The support's own promises: production durability, TCP with a password only. */
static void
cluster_options(void **state UNUSED)
{
    struct err err;
    struct postgres *cluster =
        postgres_start(&(struct postgres_options){.durable = true, .tcp = true}, &err);
    char address[POSTGRES_URL_LEN], got[16], *password;
    struct db *tcp;

    ok(cluster != NULL, &err);
    postgres_tcp_url(cluster, "postgres", POSTGRES_ADMIN, postgres_port(cluster), address);
    tcp = db_new(address, "test", process_slow(TIMEOUT_MS));
    ok(postgres_value(tcp, "show fsync", got, sizeof got, &err), &err);
    assert_string_equal(got, "on");
    ok(postgres_value(tcp, "show full_page_writes", got, sizeof got, &err), &err);
    assert_string_equal(got, "on");
    /* Of the server's socket: it soon knows that a client is gone. */
    ok(postgres_value(tcp,
                      "select current_setting('tcp_keepalives_idle') || ' ' || "
                      "current_setting('tcp_user_timeout')",
                      got, sizeof got, &err),
       &err);
    assert_string_equal(got, "30 60000");
    db_close(tcp);

    password = strchr(address + strlen("postgresql://"), ':') + 1;
    *password = *password == 'x' ? 'y' : 'x';
    tcp = db_new(address, "test", process_slow(TIMEOUT_MS));
    assert_false(db_connect(tcp, &err));
    assert_int_equal(err.code, ERR_DB);
    assert_non_null(strstr(err.msg, "password authentication failed"));
    db_close(tcp);
    postgres_stop(cluster);
}

/* --- values ---------------------------------------------------------------------------------- */

static void
values_of_a_row(void **state UNUSED)
{
    AUTO_DB_RESULT *r = NULL;
    struct err err;

    ok(db_script_rows(
           db,
           "select null, '', 'Zo\xc3\xab \xf0\x9f\x8e\x89', 9007199254740993, 0.5::float8,"
           " true, false, '2024-01-02T03:04:05Z'::timestamptz",
           &r, &err),
       &err);
    assert_int_equal(db_rows(r), 1);
    assert_true(db_null(r, 0, 0));
    assert_string_equal(db_text(r, 0, 0), "");
    assert_string_equal(db_text_or(r, 0, 0, "none"), "none");
    assert_int_equal(db_int(r, 0, 0), 0);
    assert_false(db_null(r, 0, 1));
    assert_string_equal(db_text_or(r, 0, 1, "none"), "");
    assert_string_equal(db_text(r, 0, 2), "Zo\xc3\xab \xf0\x9f\x8e\x89");
    assert_int_equal(db_len(r, 0, 2), 9);
    assert_true(db_int(r, 0, 3) == 9007199254740993);
    assert_true(db_double(r, 0, 4) == 0.5);
    assert_true(db_bool(r, 0, 5));
    assert_false(db_bool(r, 0, 6));
    assert_string_equal(db_text(r, 0, 7), "2024-01-02 03:04:05+00");
}

static void
text_arrays(void **state UNUSED)
{
    static const char *const wanted[] = {"plain",       "",       "with, comma", "a \"quote\"",
                                         "back\\slash", NULL,     "NULL",        "{brace}",
                                         "\xc3\xa9",    " blank "};
    AUTO_DB_RESULT *r = NULL;
    const char **got;
    struct err err;
    size_t n;

    ok(db_script_rows(
           db,
           "select array['plain', '', 'with, comma', 'a \"quote\"', E'back\\\\slash', null,"
           " 'NULL', '{brace}', E'\\u00e9', ' blank '], '{}'::text[], null::text[],"
           " '[2:3]={a,b}'::text[]",
           &r, &err),
       &err);
    got = db_text_array(r, 0, 0, &n);
    assert_int_equal(n, ARRAY_LEN(wanted));
    for (size_t i = 0; i < n; i++) {
        if (wanted[i])
            assert_string_equal(got[i], wanted[i]);
        else
            assert_null(got[i]);
    }
    assert_null(got[n]);
    free(got);
    for (int col = 1; col <= 2; col++) {
        got = db_text_array(r, 0, col, &n);
        assert_int_equal(n, 0);
        assert_null(got[0]);
        free(got);
    }
    got = db_text_array(r, 0, 3, &n);
    assert_int_equal(n, 2);
    assert_string_equal(got[0], "a");
    assert_string_equal(got[1], "b");
    free(got);
}

static void
arguments_of_all_kinds_arrive(void **state UNUSED)
{
    AUTO_DB_RESULT *r = NULL;
    struct db_args a = {0};
    /* jsonb's binary form: a version byte, then text */
    static const char binary[] = "\x01{\"a\": \"\xc3\xa9\"}";
    struct err err;

    db_arg_bin(&a, binary, sizeof binary - 1);
    ok(db_run(db, SQL_JSON_CHECK, &a, &r, &err), &err);
    assert_true(db_bool(r, 0, 0));
    db_result_freep(&r);

    a.n = 0;
    db_arg_null(&a);
    ok(db_run(db, SQL_JSON_CHECK, &a, &r, &err), &err);
    assert_false(db_bool(r, 0, 0));
    db_result_freep(&r);

    a.n = 0;
    db_arg_int(&a, INT64_MIN);
    ok(db_run(db, SQL_JSON_CHECK, &a, &r, &err), &err);
    assert_true(db_bool(r, 0, 0));
}

static void
script_errors_name_the_line(void **state UNUSED)
{
    struct err err;

    assert_false(db_script(db, "select 1;\nselect '\xc3\xa9',\n  nothing", &err));
    assert_string_equal(err.sqlstate, "42703");
    assert_non_null(strstr(err.msg, "(line 3)"));
}

/* --- notifications --------------------------------------------------------------------------- */

struct heard {
    int n;
    char channel[32], payload[64];
};

static void
hear(void *ctx, const char *channel, const char *payload)
{
    struct heard *h = ctx;

    h->n++;
    snprintf(h->channel, sizeof h->channel, "%s", channel);
    snprintf(h->payload, sizeof h->payload, "%s", payload);
}

static void
wait_heard(struct heard *h, int n)
{
    int64_t deadline = clock_mono_ms() + process_slow(10000);
    struct err err;

    while (h->n < n && clock_mono_ms() < deadline) {
        struct pollfd p = {.fd = db_fd(db), .events = POLLIN};

        poll(&p, 1, 200);
        ok(db_notifications(db, hear, h, &err), &err);
    }
    assert_int_equal(h->n, n);
}

static void
listening_survives_a_reconnect(void **state UNUSED)
{
    struct heard h = {0};
    struct err err;

    ok(db_listen(db, "macp_evt", &err), &err);
    ok(db_listen(db, "macp_run", &err), &err);
    ok(db_script(other, "notify macp_evt, 'one'; notify macp_run", &err), &err);
    wait_heard(&h, 2);

    postgres_down(pg, POSTGRES_FAST);
    assert_false(db_notifications(db, hear, &h, &err));
    assert_int_equal(err.code, ERR_DB);
    assert_int_equal(db_fd(db), -1);
    assert_false(db_connect(db, &err));
    ok(postgres_up(pg, &err), &err);
    ok(db_connect(db, &err), &err);
    ok(db_script(other, "notify macp_evt, 'two'", &err), &err);
    wait_heard(&h, 3);
    assert_string_equal(h.channel, "macp_evt");
    assert_string_equal(h.payload, "two");
}

/* Notifications that come in between results are not lost. */
static void
notifications_behind_statements_are_kept(void **state UNUSED)
{
    struct heard h = {0};
    struct err err;

    ok(db_listen(db, "macp_done", &err), &err);
    ok(db_script(other, "notify macp_done, '7'", &err), &err);
    ok(run_json_check("{}", &err), &err);
    ok(run_json_check("{}", &err), &err);
    wait_heard(&h, 1);
    assert_string_equal(h.payload, "7");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_database, close_database)
    const struct CMUnitTest tests[] = {
        T(what_handlers_write_may_come_twice),
        T(pipeline_stores_all_or_nothing),
        T(first_error_of_a_pipeline_is_reported),
        T(error_at_commit_is_reported),
        T(big_pipelines_do_not_deadlock),
        T(more_results_than_asked_for_are_dropped),
        T(guard_moves_what_matches),
        T(guard_refuses_each_kind_of_stranger),
        T(guard_detail_is_never_cut_inside_a_key),
        T(restart_while_idle_is_not_noticed),
        T(restart_inside_a_pipeline_fails_it_and_heals),
        T(crash_while_waiting_is_an_error_at_once),
        T(server_side_limit_keeps_the_connection),
        T(silent_server_costs_one_time_limit),
        T(connecting_to_somebody_silent_ends),
        T(errors_do_not_quote_the_address),
        T(lost_lock_race_is_retryable_and_keeps_the_connection),
        T(stale_statements_are_prepared_afresh),
        T(refusals_say_whether_to_try_again),
        T(settings_of_a_connection),
        cmocka_unit_test(cluster_options),
        T(values_of_a_row),
        T(text_arrays),
        T(arguments_of_all_kinds_arrive),
        T(script_errors_name_the_line),
        T(listening_survives_a_reconnect),
        T(notifications_behind_statements_are_kept),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
