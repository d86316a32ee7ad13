/* Migrations: once, in order, by one at a time; and what programs do with what they find. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/migrate.h"
#include "shared/schema.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"

static struct postgres *pg;
static char database[POSTGRES_NAME_LEN];
static struct db *db;

enum { TIMEOUT_MS = 20000 };

static void
ok(bool succeeded, const struct err *err)
{
    if (!succeeded)
        fail_msg("%s [%s]", err->msg, err->sqlstate);
}

static struct db *
open_as(const char *role)
{
    char url[POSTGRES_URL_LEN];

    return db_new(postgres_url(pg, database, role, url), "test", process_slow(TIMEOUT_MS));
}

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

static int
open_empty(void **state UNUSED)
{
    struct err err;

    ok(postgres_empty_database(pg, "UTF8", database, &err), &err);
    db = open_as(POSTGRES_ADMIN);
    return 0;
}

static int
open_migrated(void **state UNUSED)
{
    struct err err;

    ok(postgres_database(pg, database, &err), &err);
    db = open_as(POSTGRES_ADMIN);
    return 0;
}

static int
close_database(void **state UNUSED)
{
    struct err err;

    db_close(db);
    ok(postgres_drop(pg, database, &err), &err);
    return 0;
}

static void
script(const char *sql)
{
    struct err err;

    ok(db_script(db, sql, &err), &err);
}

static void
assert_value(const char *sql, const char *wanted)
{
    char got[256];
    struct err err;

    ok(postgres_value(db, sql, got, sizeof got, &err), &err);
    assert_string_equal(got, wanted);
}

/* Migrating and starting a program are both refused, with these words. */
static void
assert_both_refuse(const char *words)
{
    struct err err;

    assert_false(migrate_run(db, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.msg, words));
    assert_false(schema_check(db, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.msg, words));
}

/* --- running --------------------------------------------------------------------------------- */

static void
migrates_once(void **state UNUSED)
{
    struct err err;
    int applied = -1;

    assert_false(schema_check(db, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.msg, "migrate"));
    ok(migrate_run(db, NULL, &applied, &err), &err);
    assert_int_equal(applied, sql_migration_count);
    ok(schema_check(db, &err), &err);
    ok(migrate_run(db, NULL, &applied, &err), &err);
    assert_int_equal(applied, 0);
    assert_int_equal(db_timeout(db), process_slow(TIMEOUT_MS));
}

static void
everything_belongs_to_the_owner_role(void **state UNUSED)
{
    assert_value("select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace"
                 " where nspname in ('macp', 'report')"
                 "   and relowner <> 'macp_owner'::regrole",
                 "0");
    assert_value("select count(*) from pg_proc p join pg_namespace n on n.oid = pronamespace"
                 " where nspname = 'macp' and proowner <> 'macp_owner'::regrole",
                 "0");
    assert_value("select count(*) > 15 from pg_tables where schemaname = 'macp'", "t");
}

static void
roles_that_exist_are_kept(void **state UNUSED)
{
    struct err err;

    script("do $$begin if to_regrole('macp_api') is null then create role macp_api nologin;"
           " end if; end$$; alter role macp_api connection limit 7");
    ok(migrate_run(db, NULL, NULL, &err), &err);
    assert_value("select rolconnlimit from pg_roles where rolname = 'macp_api'", "7");
    script("alter role macp_api connection limit -1");
}

static void
an_administrator_without_superpowers_can_migrate(void **state UNUSED)
{
    char sql[128];
    struct db *as_admin = db;
    struct err err;
    bool migrated;

    snprintf(sql, sizeof sql, "create role dba login createrole; alter database %s owner to dba",
             database);
    script(sql);
    db = open_as("dba");
    migrated = migrate_run(db, NULL, NULL, &err) && schema_check(db, &err);
    db_close(db);
    db = as_admin;
    ok(migrated, &err);
}

struct migrator {
    pthread_t thread;
    struct db *db;
    struct err err;
    int applied;
    bool ok;
};

static void *
migrate_thread(void *ctx)
{
    struct migrator *m = ctx;

    m->ok = migrate_run(m->db, NULL, &m->applied, &m->err);
    return NULL;
}

static void
migrators_at_once_share_the_work(void **state UNUSED)
{
    struct migrator m[4];
    int applied = 0;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        m[i] = (struct migrator){.db = open_as(POSTGRES_ADMIN)};
        ok(db_connect(m[i].db, &err), &err);
    }
    for (size_t i = 0; i < ARRAY_LEN(m); i++)
        pthread_create(&m[i].thread, NULL, migrate_thread, &m[i]);
    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        pthread_join(m[i].thread, NULL);
        db_close(m[i].db);
        ok(m[i].ok, &m[i].err);
        applied += m[i].applied;
    }
    assert_int_equal(applied, sql_migration_count);
    ok(schema_check(db, &err), &err);
}

static void
a_failed_migration_leaves_nothing_and_can_be_repeated(void **state UNUSED)
{
    struct schema found;
    struct err err;
    int applied;

    /* In the way of something the second migration makes late. */
    script("do $$begin if to_regrole('macp_owner') is null then create role macp_owner nologin;"
           " end if; end$$; create schema macp authorization macp_owner;"
           " create table macp.session_tombstones (x integer)");
    assert_false(migrate_run(db, NULL, &applied, &err));
    assert_int_equal(applied, 1);
    assert_int_equal(err.code, ERR_SQL);
    assert_string_equal(err.sqlstate, "42P07");
    assert_non_null(strstr(err.msg, sql_migrations[1].name));
    ok(schema_read(db, &found, &err), &err);
    assert_int_equal(found.version, 1);
    assert_value("select to_regclass('macp.runs') is null", "t");

    script("drop table macp.session_tombstones");
    ok(migrate_run(db, NULL, &applied, &err), &err);
    assert_int_equal(applied, sql_migration_count - 1);
}

static void
another_encoding_is_refused(void **state UNUSED)
{
    struct err err;

    db_close(db);
    ok(postgres_drop(pg, database, &err), &err);
    ok(postgres_empty_database(pg, "SQL_ASCII", database, &err), &err);
    db = open_as(POSTGRES_ADMIN);
    assert_false(migrate_run(db, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.msg, "SQL_ASCII"));
    assert_value("select to_regnamespace('macp') is null", "t");
}

/* --- what programs find ---------------------------------------------------------------------- */

static void
a_changed_migration_is_refused(void **state UNUSED)
{
    script("update schema_migrations set checksum = '0' where name like '0002%'");
    assert_both_refuse("0002_tables was changed");
}

static void
a_foreign_migration_is_refused(void **state UNUSED)
{
    script("update schema_migrations set name = '0002_chairs' where name like '0002%'");
    assert_both_refuse("0002_chairs");
}

static void
an_older_schema_asks_to_migrate(void **state UNUSED)
{
    struct err err;

    script("delete from schema_migrations where name = (select max(name) from schema_migrations)");
    assert_false(schema_check(db, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.msg, "migrate"));
}

static void
a_newer_schema_decides_who_may_stay(void **state UNUSED)
{
    char sql[256];
    struct err err;

    snprintf(sql, sizeof sql, "insert into schema_migrations values ('9999_new', 'x', %d)",
             sql_migration_count);
    script(sql);
    ok(schema_check(db, &err), &err); /* expanded only: the old program runs on */
    assert_false(migrate_run(db, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_CONFIG);

    script("update schema_migrations set oldest_program = 9999 where name = '9999_new'");
    assert_both_refuse("newer");
}

static void
checksums_are_stable(void **state UNUSED)
{
    char sum[SCHEMA_CHECKSUM_LEN];

    schema_checksum("", sum);
    assert_string_equal(sum, "cbf29ce484222325");
    schema_checksum("a", sum);
    assert_string_equal(sum, "af63dc4c8601ec8c");
    schema_checksum("foobar", sum);
    assert_string_equal(sum, "85944171f73967e8");
}

/* --- roles ----------------------------------------------------------------------------------- */

static void
each_role_may_do_its_work_only(void **state UNUSED)
{
    static const struct {
        const char *role, *sql, *sqlstate; /* "" when it must work */
    } cases[] = {
        {POSTGRES_OBSERVER, "select ensure_partitions('2031-01-06', 1)", ""},
        {POSTGRES_OBSERVER, "select count(*) from run_events_raw", ""},
        {POSTGRES_OBSERVER, "delete from schema_migrations", "42501"},
        {POSTGRES_OBSERVER, "drop table runs", "42501"},
        {POSTGRES_OBSERVER, "update webhooks set url = ''", "42501"},
        {POSTGRES_API, "select count(*) from runs", ""},
        {POSTGRES_API, "select ensure_partitions('2031-01-06', 1)", "42501"},
        {POSTGRES_OBSERVER, "select drop_week('2031-01-06')", ""},
        {POSTGRES_API, "select drop_week('2031-01-06')", "42501"},
        {POSTGRES_API, "insert into run_events_raw (day) values (now())", "42501"},
        {POSTGRES_API, "delete from audit_log", "42501"},
        {POSTGRES_API, "insert into schema_migrations values ('x', 'x', 1)", "42501"},
        {POSTGRES_REPORT, "select count(*) from macp.runs", "42501"},
        {POSTGRES_REPORT, "create table report.x (y integer)", "42501"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct db *as = open_as(cases[i].role);
        struct err err = {.code = ERR_NONE};

        if (!db_script(as, cases[i].sql, &err) && cases[i].sqlstate[0] == '\0')
            print_error("%s: %s\n", cases[i].role, err.msg);
        assert_string_equal(err.sqlstate, cases[i].sqlstate);
        assert_int_equal(err.code, cases[i].sqlstate[0] ? ERR_SQL : ERR_NONE);
        db_close(as);
    }
}

static void
both_programs_can_check_the_schema(void **state UNUSED)
{
    static const char *const roles[] = {POSTGRES_OBSERVER, POSTGRES_API};

    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        struct db *as = open_as(roles[i]);
        struct err err;
        bool checked = schema_check(as, &err);

        db_close(as);
        ok(checked, &err);
    }
}

/* --- partitions ------------------------------------------------------------------------------ */

static void
partitions_are_made_once(void **state UNUSED)
{
    assert_value("select ensure_partitions('2031-01-08', 3)", "6");
    assert_value("select ensure_partitions('2031-01-08', 3)", "0");
    assert_value("select ensure_partitions('2031-01-08', 4)", "2");
    assert_value("select pg_get_expr(relpartbound, oid) from pg_class"
                 " where relname = 'run_events_raw_20310106'",
                 "FOR VALUES FROM ('2031-01-06') TO ('2031-01-13')");
    assert_value("select ensure_partitions((now() at time zone 'utc')::date, 4)", "0");
}

/* Rows of a week that nobody prepared are taken in, and the week is a full member afterwards. */
static void
partitions_take_rows_from_the_default(void **state UNUSED)
{
    struct err err;
    static const char row[] =
        "insert into run_events_canonical (day, run_key, seq, ts, type, source_kind, source_name,"
        " data) values ('2031-01-08', 1, 1, now(), 't', 'k', 'n', '{}')";

    script(row);
    assert_value("select tableoid::regclass from run_events_canonical",
                 "run_events_canonical_default");
    assert_value("select ensure_partitions('2031-01-08', 1)", "2");
    assert_value("select tableoid::regclass from run_events_canonical",
                 "run_events_canonical_20310106");
    assert_false(db_script(db, row, &err));
    assert_string_equal(err.sqlstate, "23505");
    assert_value("select attcompression from pg_attribute where attname = 'data'"
                 " and attrelid = 'run_events_canonical_20310106'::regclass",
                 "l");
    /* Every index of the parent has one here, and no other. */
    assert_value("select count(*) filter (where i.inhparent is not null) || '/' || count(*)"
                 "  from pg_index x left join pg_inherits i on i.inhrelid = x.indexrelid"
                 " where x.indrelid = 'run_events_canonical_20310106'::regclass",
                 "3/3");
}

static void
a_week_is_dropped_when_its_runs_are_gone(void **state UNUSED)
{
    script("select ensure_partitions('2031-01-08', 2);"
           "insert into runs (id, day, session_id, origin, mode, mode_name, runtime_kind, trace_id)"
           " values (gen_random_uuid(), '2031-01-12', 's', 'posted', 'live', 'm', 'rust', 't')");
    assert_value("select drop_week('2031-01-06')", "f");
    assert_value("select to_regclass('run_events_raw_20310106') is null", "f");
    script("delete from runs");
    assert_value("select drop_week('2031-01-06')", "t");
    assert_value("select to_regclass('run_events_raw_20310106') is null", "t");
    assert_value("select to_regclass('run_events_canonical_20310106') is null", "t");
    assert_value("select to_regclass('run_events_raw_20310113') is null", "f");
    assert_value("select drop_week('2031-01-06')", "t");
}

int
main(void)
{
#define EMPTY(f)    cmocka_unit_test_setup_teardown(f, open_empty, close_database)
#define MIGRATED(f) cmocka_unit_test_setup_teardown(f, open_migrated, close_database)
    const struct CMUnitTest tests[] = {
        EMPTY(migrates_once),
        EMPTY(roles_that_exist_are_kept),
        EMPTY(an_administrator_without_superpowers_can_migrate),
        EMPTY(migrators_at_once_share_the_work),
        EMPTY(a_failed_migration_leaves_nothing_and_can_be_repeated),
        EMPTY(another_encoding_is_refused),
        MIGRATED(everything_belongs_to_the_owner_role),
        MIGRATED(a_changed_migration_is_refused),
        MIGRATED(a_foreign_migration_is_refused),
        MIGRATED(an_older_schema_asks_to_migrate),
        MIGRATED(a_newer_schema_decides_who_may_stay),
        cmocka_unit_test(checksums_are_stable),
        MIGRATED(each_role_may_do_its_work_only),
        MIGRATED(both_programs_can_check_the_schema),
        MIGRATED(partitions_are_made_once),
        MIGRATED(partitions_take_rows_from_the_default),
        MIGRATED(a_week_is_dropped_when_its_runs_are_gone),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
