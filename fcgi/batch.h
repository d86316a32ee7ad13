/*
 * batch.h - what all batches of runs have in common.
 *
 * Purpose    ids that name no run.
 * Ownership  none.
 * Errors     the text of a single request.
 * Threads    any.
 */
#ifndef MACP_FCGI_BATCH_H
#define MACP_FCGI_BATCH_H

#include <stdbool.h>

#include "shared/err.h"
#include "shared/macros.h"

/* What is no UUID names no run. */
bool batch_check_id(const char *id, struct err *err) MUST_CHECK;

#endif
