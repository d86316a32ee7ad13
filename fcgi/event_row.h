/*
 * event_row.h - a stored canonical event: row to JSON, row to struct.
 *
 * Purpose    the one JSON object that every path sends for an event (nested members and flat
 *            columns), and the struct that the fold reads.
 * Ownership  rows are borrowed; event_row_read lends strings of the result and makes data, which
 *            the caller drops.
 * Errors     event_row_read fails on data that is no JSON object.
 * Threads    any.
 *
 * All statements about events select the columns of enum event_column in this order.
 */
#ifndef MACP_FCGI_EVENT_ROW_H
#define MACP_FCGI_EVENT_ROW_H

#include <stdbool.h>

#include "shared/buf.h"
#include "shared/db.h"
#include "shared/event.h"

enum event_column {
    EVENT_COL_SEQ,
    EVENT_COL_TS,
    EVENT_COL_TYPE,
    EVENT_COL_SUBJECT_KIND,
    EVENT_COL_SUBJECT_ID,
    EVENT_COL_SOURCE_KIND,
    EVENT_COL_SOURCE_NAME,
    EVENT_COL_RAW_TYPE,
    EVENT_COL_TRACE_ID,
    EVENT_COL_SPAN_ID,
    EVENT_COL_PARENT_SPAN_ID,
    EVENT_COL_SCHEMA_VERSION,
    EVENT_COL_DATA,
    EVENT_COL_ID,
    EVENT_COL_CREATED_AT,
    EVENT_COL__COUNT
};

/* run_id in lower case. */
void event_row_write(const struct db_result *r, int row, const char *run_id, struct buf *out);
/* The same as a line of an export: type says that it is one, eventType has the event's own. */
void event_row_write_line(const struct db_result *r, int row, const char *run_id, struct buf *out);
bool event_row_read(const struct db_result *r, int row, struct event *out) MUST_CHECK;

/* A stored time in the one time format, quoted; null when it is null. */
void row_time(const struct db_result *r, int row, int col, struct buf *out);
/* A jsonb column: its text without the blanks that Postgres puts between members. */
void row_json(const struct db_result *r, int row, int col, struct buf *out);
/* A text column as JSON, null when it is null. */
void row_text(const struct db_result *r, int row, int col, struct buf *out);

#endif
