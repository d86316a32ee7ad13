/*
 * artifacts.h - artifacts of a run as clients see them.
 *
 * Purpose    one JSON form for lists and exports.
 * Ownership  rows are borrowed.
 * Errors     false + *err.
 * Threads    any, one request at a time.
 */
#ifndef MACP_FCGI_ARTIFACTS_H
#define MACP_FCGI_ARTIFACTS_H

#include <stdbool.h>

#include "fcgi/request.h"
#include "shared/buf.h"
#include "shared/db.h"
#include "shared/macros.h"

enum artifact_column {
    ARTIFACT_COL_ID,
    ARTIFACT_COL_KIND,
    ARTIFACT_COL_LABEL,
    ARTIFACT_COL_URI,
    ARTIFACT_COL_INLINE,
    ARTIFACT_COL_CREATED_AT,
};

/* With all, members without a value are null, else they are left out. */
void artifact_row_write(const struct db_result *r, int row, const char *run_id, bool all,
                        struct buf *out);
/* All artifacts of a run as an array; *found tells whether the run exists. */
bool artifacts_write(struct request *rq, const char *run_id, bool all, struct buf *out, bool *found,
                     struct err *err) MUST_CHECK;

#endif
