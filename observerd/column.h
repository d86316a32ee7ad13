/*
 * column.h - rows for INSERT ... SELECT FROM unnest, kept in Postgres' binary array format.
 *
 * Purpose    the queue thread appends values where they will be sent from: nothing is copied or
 *            converted again.
 * Ownership  struct rows is the caller's; rows_fini frees. Values are copied in.
 * Errors     none. Threads: one owner at a time.
 *
 * A row is added value by value, in the order of the columns, every column once per row. The
 * first column of every table is the run key, so that one run's rows can be taken out.
 */
#ifndef MACP_OBSERVERD_COLUMN_H
#define MACP_OBSERVERD_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/db.h"

enum column_type { /* element oids */
                   COLUMN_BOOL = 16,
                   COLUMN_BYTEA = 17,
                   COLUMN_INT8 = 20,
                   COLUMN_INT4 = 23,
                   COLUMN_TEXT = 25,
                   COLUMN_FLOAT8 = 701,
                   COLUMN_DATE = 1082,
                   COLUMN_TIMESTAMPTZ = 1184,
                   COLUMN_UUID = 2950,
                   COLUMN_JSON = 114,
                   COLUMN_JSONB = 3802,
};

enum { ROWS_MAX_COLUMNS = 20 };

struct rows {
    int n; /* rows */
    int n_columns;
    int at; /* next column of the row being added */
    struct buf columns[ROWS_MAX_COLUMNS];
};

void rows_init(struct rows *r, const enum column_type *types, int n_columns);
void rows_fini(struct rows *r);
void rows_reset(struct rows *r);
size_t rows_bytes(const struct rows *r);

void rows_int8(struct rows *r, int64_t v);
void rows_int4(struct rows *r, int64_t v);
void rows_bool(struct rows *r, bool v);
void rows_float8(struct rows *r, double v);
/* Days since 1970. */
void rows_date(struct rows *r, int64_t day);
/* Wall clock milliseconds. */
void rows_time(struct rows *r, int64_t wall_ms);
/* Null for 0, and for what somebody else's clock says that no timestamp can hold. */
void rows_time_or_null(struct rows *r, int64_t wall_ms);
void rows_uuid(struct rows *r, const char *uuid);
void rows_text(struct rows *r, const char *s);                  /* NULL is SQL null; also json */
void rows_bytes_value(struct rows *r, const void *p, size_t n); /* bytea, text, json */
void rows_jsonb(struct rows *r, const char *text, size_t n);
void rows_null(struct rows *r);

/* Bytes of one value, and its length; the caller knows it is not null. For rare use: it walks. */
const char *rows_value(const struct rows *r, int column, int row, size_t *n);
int64_t rows_int8_at(const struct rows *r, int column, int row);
void rows_replace_jsonb(struct rows *r, int column, int row, const char *text, size_t n);

/* Remove the rows of one run. */
void rows_drop_run(struct rows *r, int64_t run_key);
/* Append copies of one run's rows to another table of the same columns. */
void rows_copy_run(const struct rows *from, int64_t run_key, struct rows *to);
/* The columns as arguments; they stay borrowed until the statement has run. */
void rows_args(struct rows *r, struct db_args *args);

#endif
