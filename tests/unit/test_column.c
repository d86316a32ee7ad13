/*
 * Binary arrays: what goes in comes out of Postgres, nulls included. No statement of the program
 * takes every type, so the server reads the bytes by a binary COPY.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "observerd/column.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"

#define UUID "0b6f3c6e-1111-4222-8333-944455556666"

static struct postgres *pg;
static struct db *db;

static int
start(void **state UNUSED)
{
    char database[POSTGRES_NAME_LEN], url[POSTGRES_URL_LEN];
    struct err err;

    pg = postgres_start(NULL, &err);
    if (!pg || !postgres_empty_database(pg, "UTF8", database, &err)) {
        print_error("%s\n", err.msg);
        return -1;
    }
    db = db_new(postgres_url(pg, database, POSTGRES_ADMIN, url), "test", process_slow(20000));
    return 0;
}

static int
stop(void **state UNUSED)
{
    db_close(db);
    postgres_stop(pg);
    return 0;
}

static void
put(FILE *f, const void *p, size_t n)
{
    assert_int_equal(fwrite(p, 1, n, f), n);
}

/* A file in the format of binary COPY: one row with the array as its one column. */
static void
write_copy(const char *path, const char *value, int length)
{
    static const char head[19] = "PGCOPY\n\377\r\n", columns[2] = {0, 1}, end[2] = {-1, -1};
    uint32_t n = htonl((uint32_t)length);
    FILE *f = fopen(path, "wbe");

    assert_non_null(f);
    put(f, head, sizeof head);
    put(f, columns, sizeof columns);
    put(f, &n, sizeof n);
    put(f, value, (size_t)length);
    put(f, end, sizeof end);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0); /* the server is another user */
}

/* The elements as Postgres prints them, "null" for null, joined by "|". */
static const char *
unnested(struct rows *r, int column, const char *type)
{
    static char out[4096];
    AUTO_DB_RESULT *result = NULL;
    struct db_args args;
    char path[64], sql[512];
    struct err err;
    bool done;

    snprintf(path, sizeof path, "/tmp/test_column.%d", (int)getpid());
    db_args_init(&args);
    rows_args(r, &args);
    assert_int_equal(args.formats[column], 1);
    write_copy(path, args.values[column], args.lengths[column]);
    snprintf(sql, sizeof sql,
             "set timezone = 'UTC'; drop table if exists t; create temp table t (a %s[]);"
             "copy t from '%s' (format binary);"
             "select coalesce(string_agg(coalesce(v::text, 'null'), '|' order by i), '')"
             "  from t, unnest(a) with ordinality as u (v, i)",
             type, path);
    done = db_script_rows(db, sql, &result, &err);
    unlink(path);
    if (!done)
        fail_msg("%s: %s", type, err.msg);
    snprintf(out, sizeof out, "%s", db_text(result, 0, 0));
    return out;
}

enum { INT8, INT4, BOOL, FLOAT8, DATE, TIME, UUIDS, TEXT, BYTEA, JSON, JSONB, N_COLUMNS };

static const enum column_type types[N_COLUMNS] = {
    [INT8] = COLUMN_INT8,     [INT4] = COLUMN_INT4,   [BOOL] = COLUMN_BOOL,
    [FLOAT8] = COLUMN_FLOAT8, [DATE] = COLUMN_DATE,   [TIME] = COLUMN_TIMESTAMPTZ,
    [UUIDS] = COLUMN_UUID,    [TEXT] = COLUMN_TEXT,   [BYTEA] = COLUMN_BYTEA,
    [JSON] = COLUMN_JSON,     [JSONB] = COLUMN_JSONB,
};

static void
add_values(struct rows *r, int64_t key, int64_t v, const char *text)
{
    rows_int8(r, key);
    rows_int4(r, v);
    rows_bool(r, v > 0);
    rows_float8(r, (double)v / 4);
    rows_date(r, v);
    rows_time(r, v * 86400000 + 1);
    rows_uuid(r, UUID);
    rows_text(r, text);
    rows_bytes_value(r, "\0\377x", 3);
    rows_text(r, "{\"a\": 1}");
    rows_jsonb(r, "{\"a\":1}", 7);
}

static void
test_times_that_no_timestamp_holds_are_null(void **state UNUSED)
{
    static const enum column_type time[] = {COLUMN_TIMESTAMPTZ};
    static const int64_t given[] = {0, -1, INT64_MAX, 199999999999999, 200000000000000, 1000};
    struct rows r;

    rows_init(&r, time, 1);
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        rows_time_or_null(&r, given[i]);
    assert_string_equal(unnested(&r, 0, "timestamptz"),
                        "null|null|null|8307-10-01 19:33:19.999+00|null|1970-01-01 00:00:01+00");
    rows_fini(&r);
}

static void
add_nulls(struct rows *r, int64_t key)
{
    rows_int8(r, key);
    for (int i = 1; i < N_COLUMNS; i++)
        rows_null(r);
}

static void
test_every_type_comes_out_as_it_went_in(void **state UNUSED)
{
    static const struct {
        int column;
        const char *type, *expected;
    } cases[] = {
        {INT8, "bigint", "9223372036854775807|-1|5"},
        {INT4, "integer", "-7|null|20000"},
        {BOOL, "boolean", "false|null|true"},
        {FLOAT8, "double precision", "-1.75|null|5000"},
        {DATE, "date", "1969-12-25|null|2024-10-04"},
        {TIME, "timestamptz", "1969-12-25 00:00:00.001+00|null|2024-10-04 00:00:00.001+00"},
        {UUIDS, "uuid", UUID "|null|" UUID},
        {TEXT, "text", "|null|h\303\251"},
        {BYTEA, "bytea", "\\x00ff78|null|\\x00ff78"},
        {JSON, "json", "{\"a\": 1}|null|{\"a\": 1}"},
        {JSONB, "jsonb", "{\"a\": 1}|null|{\"a\": 1}"},
    };
    struct rows r;

    rows_init(&r, types, N_COLUMNS);
    add_values(&r, INT64_MAX, -7, "");
    add_nulls(&r, -1);
    add_values(&r, 5, 20000, "h\303\251");
    assert_int_equal(r.n, 3);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(unnested(&r, cases[i].column, cases[i].type), cases[i].expected);
    rows_fini(&r);
}

static void
test_empty_table_is_an_empty_array(void **state UNUSED)
{
    struct rows r;

    rows_init(&r, types, N_COLUMNS);
    add_values(&r, 1, 1, "x");
    rows_reset(&r);
    assert_int_equal(r.n, 0);
    assert_string_equal(unnested(&r, TEXT, "text"), "");
    add_values(&r, 2, 2, "y");
    assert_string_equal(unnested(&r, TEXT, "text"), "y");
    rows_fini(&r);
}

static const enum column_type two[] = {COLUMN_INT8, COLUMN_TEXT};

static void
add_two(struct rows *r, int64_t key, const char *text)
{
    rows_int8(r, key);
    rows_text(r, text);
}

static void
test_one_runs_rows_leave_and_the_others_keep_their_order(void **state UNUSED)
{
    struct rows r;

    rows_init(&r, two, 2);
    add_two(&r, 1, "a");
    add_two(&r, 2, NULL);
    add_two(&r, 2, "bb");
    add_two(&r, 1, NULL);
    add_two(&r, 3, "cccc");
    rows_drop_run(&r, 2);
    assert_string_equal(unnested(&r, 0, "bigint"), "1|1|3");
    assert_string_equal(unnested(&r, 1, "text"), "a|null|cccc");
    rows_drop_run(&r, 77);
    assert_int_equal(r.n, 3);
    add_two(&r, 2, "d");
    rows_drop_run(&r, 1);
    assert_string_equal(unnested(&r, 1, "text"), "cccc|d");
    rows_drop_run(&r, 3);
    rows_drop_run(&r, 2);
    assert_int_equal(r.n, 0);
    rows_fini(&r);
}

static void
test_copies_of_one_runs_rows_are_appended(void **state UNUSED)
{
    struct rows r, copy;

    rows_init(&r, two, 2);
    rows_init(&copy, two, 2);
    add_two(&copy, 9, "there");
    add_two(&r, 1, "a");
    add_two(&r, 2, "b");
    add_two(&r, 1, "");
    rows_copy_run(&r, 1, &copy);
    assert_string_equal(unnested(&copy, 0, "bigint"), "9|1|1");
    assert_string_equal(unnested(&copy, 1, "text"), "there|a|");
    assert_string_equal(unnested(&r, 0, "bigint"), "1|2|1");
    rows_fini(&r);
    rows_fini(&copy);
}

static void
test_replaced_json_may_be_shorter_or_longer(void **state UNUSED)
{
    static const enum column_type json[] = {COLUMN_INT8, COLUMN_JSONB};
    struct rows r;

    rows_init(&r, json, 2);
    for (int i = 0; i < 3; i++) {
        rows_int8(&r, i);
        rows_jsonb(&r, "[1,2,3]", 7);
    }
    rows_replace_jsonb(&r, 1, 1, "{}", 2);
    rows_replace_jsonb(&r, 1, 2, "{\"a long one\": true}", 20);
    assert_string_equal(unnested(&r, 1, "jsonb"), "[1, 2, 3]|{}|{\"a long one\": true}");
    rows_fini(&r);
}

static void
test_many_rows_keep_their_values(void **state UNUSED)
{
    enum { N = 5000 };
    struct rows r;
    size_t n;

    rows_init(&r, two, 2);
    for (int i = 0; i < N; i++)
        add_two(&r, i % 7, i % 3 ? "text" : NULL);
    rows_drop_run(&r, 3);
    assert_int_equal(r.n, N - N / 7); /* N / 7 is how many are 3 beyond a multiple of 7 */
    assert_true(rows_bytes(&r) > N);
    rows_value(&r, 1, r.n - 1, &n);
    assert_true(n == 4 || n == 0);
    rows_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_comes_out_as_it_went_in),
        cmocka_unit_test(test_times_that_no_timestamp_holds_are_null),
        cmocka_unit_test(test_empty_table_is_an_empty_array),
        cmocka_unit_test(test_one_runs_rows_leave_and_the_others_keep_their_order),
        cmocka_unit_test(test_copies_of_one_runs_rows_are_appended),
        cmocka_unit_test(test_replaced_json_may_be_shorter_or_longer),
        cmocka_unit_test(test_many_rows_keep_their_values),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
