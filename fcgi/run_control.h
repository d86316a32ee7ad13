/*
 * run_control.h - what can be done to one run, for its own routes and for batches.
 *
 * Purpose    delete and archive, each with its audit row in one statement.
 * Ownership  results are the caller's.
 * Errors     ERR_NOT_FOUND and ERR_VALIDATION carry the text that a single request answers.
 * Threads    any, one request at a time.
 */
#ifndef MACP_FCGI_RUN_CONTROL_H
#define MACP_FCGI_RUN_CONTROL_H

#include <stdbool.h>

#include "fcgi/request.h"
#include "shared/err.h"
#include "shared/macros.h"
#include "shared/run.h"

/* run_id must be a UUID; texts name it as given. */
bool run_remove(struct request *rq, const char *run_id, struct err *err) MUST_CHECK;
/* *out: one row of enum run_column. */
bool run_archive_one(struct request *rq, const char *run_id, struct db_result **out,
                     struct err *err) MUST_CHECK;

#endif
