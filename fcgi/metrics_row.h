/*
 * metrics_row.h - the counters of a run, row to struct.
 *
 * Purpose    what statement run_metrics gives, for single reads, comparisons and exports.
 * Ownership  rows are borrowed. Errors: none. Threads: any.
 */
#ifndef MACP_FCGI_METRICS_ROW_H
#define MACP_FCGI_METRICS_ROW_H

#include <stdbool.h>

#include "shared/db.h"
#include "shared/metrics.h"

enum metrics_column {
    METRICS_COL_ID,
    METRICS_COL_STATUS,
    METRICS_COL_SOURCE_REF,
    METRICS_COL_FIRST, /* the counters, in the order of struct metrics */
};

/* False: the run has no metrics row; *out is all zeros then. */
bool metrics_row_read(const struct db_result *r, int row, struct metrics *out);

#endif
