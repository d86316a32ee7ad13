/*
 * run_row.h - a run as clients see it.
 *
 * Purpose    the flat object of lists and single reads, written from a row without parsing what
 *            Postgres stores: the descriptor goes back into the metadata as text.
 * Ownership  rows are borrowed.
 * Errors     none.
 * Threads    any.
 *
 * Statements that answer with runs select the columns of enum run_column in this order.
 */
#ifndef MACP_FCGI_RUN_ROW_H
#define MACP_FCGI_RUN_ROW_H

#include "shared/buf.h"
#include "shared/db.h"

enum run_column {
    RUN_COL_ID,
    RUN_COL_STATUS,
    RUN_COL_MODE,
    RUN_COL_RUNTIME_KIND,
    RUN_COL_RUNTIME_VERSION,
    RUN_COL_SESSION_ID,
    RUN_COL_TRACE_ID,
    RUN_COL_IDEMPOTENCY_KEY,
    RUN_COL_LAST_SEQ,
    RUN_COL_SOURCE_KIND,
    RUN_COL_SOURCE_REF,
    RUN_COL_TAGS,
    RUN_COL_DESCRIPTOR,
    RUN_COL_METADATA,
    RUN_COL_FAILURE_REASON,
    RUN_COL_ERROR_CODE,
    RUN_COL_ERROR_MESSAGE,
    RUN_COL_CREATED_AT,
    RUN_COL_STARTED_AT,
    RUN_COL_ENDED_AT,
    RUN_COL_UPDATED_AT,
    RUN_COL_ARCHIVED_AT,
    RUN_COL__COUNT
};

void run_row_write(const struct db_result *r, int row, struct buf *out);
/* The shorter form that exports carry: no bookkeeping, what is unknown is left out. */
void run_row_write_export(const struct db_result *r, int row, struct buf *out);

#endif
