/*
 * export.h - everything stored about a run, as one document or as lines.
 *
 * Purpose    the bundle that single and batch exports share. Events are read page by page and
 *            sent on as they come, so memory does not grow with the run.
 * Ownership  texts are borrowed for the call.
 * Errors     false + *err. Nothing has been sent when the run is unknown; later errors may find the
 *            reply begun.
 * Threads    any, one request at a time.
 *
 * A bundle is not one moment: each part is read by its own statement while a live run goes on.
 */
#ifndef MACP_FCGI_EXPORT_H
#define MACP_FCGI_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi/request.h"
#include "shared/err.h"
#include "shared/macros.h"

enum { EXPORT_LIMIT = 10000 }; /* events of each kind, unless asked otherwise */

struct export_options {
    bool canonical, raw;
    int64_t limit; /* events of each kind, lowest numbers first */
};

/* One JSON document behind what the reply's body holds already. */
bool export_document(struct request *rq, const char *run_id, const struct export_options *options,
                     struct err *err) MUST_CHECK;
/* A header line and a line per event. */
bool export_lines(struct request *rq, const char *run_id, const struct export_options *options,
                  struct err *err) MUST_CHECK;

#endif
