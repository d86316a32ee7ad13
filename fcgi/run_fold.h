/*
 * run_fold.h - the state of a run, from what is stored.
 *
 * Purpose    state = stored projection + events behind its version; or everything folded from the
 *            log, to its end or up to a sequence number.
 * Ownership  projections are the caller's (projection_free).
 * Errors     false + *err. An unknown run is a result, not an error.
 * Threads    any, one request at a time.
 */
#ifndef MACP_FCGI_RUN_FOLD_H
#define MACP_FCGI_RUN_FOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi/request.h"
#include "shared/buf.h"
#include "shared/err.h"
#include "shared/macros.h"
#include "shared/projection.h"

/* The current state as JSON, appended to out; *found tells whether the run exists. */
bool run_fold_state(struct request *rq, const char *run_id, struct buf *out, bool *found,
                    struct err *err) MUST_CHECK;

/* The events with seq <= up_to, from the first one on. */
bool run_fold_log(struct request *rq, const char *run_id, int64_t up_to, struct projection **out,
                  struct err *err) MUST_CHECK;

/*
 * From row 0 of SQL_RUN_STATE, without reading events: the stored state, or an empty one when it
 * is missing, damaged or of another version. Returns the number of the last event folded into it.
 */
int64_t run_fold_stored(const struct db_result *r, struct projection **out);
/* The last number handed out when that row was read. */
int64_t run_fold_last_seq(const struct db_result *r);

/* Whether the run exists; ERR_NOT_FOUND names it as the path did. */
bool run_must_exist(struct request *rq, struct err *err) MUST_CHECK;

#endif
