/*
 * run_launch.h - a run comes into being: POST /runs and its copies.
 *
 * Purpose    one path for new runs and clones: draft, one durable statement, what to do when
 *            something is in its way, the 201 answer.
 * Ownership  the document is the caller's; it is changed.
 * Errors     false + *err: the error is the reply.
 * Threads    any, one request at a time.
 */
#ifndef MACP_FCGI_RUN_LAUNCH_H
#define MACP_FCGI_RUN_LAUNCH_H

#include <jansson.h>
#include <stdbool.h>

#include "fcgi/request.h"
#include "shared/err.h"
#include "shared/macros.h"

/* From a valid descriptor. cloned_from is the id of the run that is copied, NULL for a new one. */
bool run_launch(struct request *rq, json_t *document, const char *cloned_from,
                struct err *err) MUST_CHECK;

#endif
