/*
 * runtime.h - what is known about the runtime, as its observers wrote it down.
 *
 * Purpose    the health object that several endpoints show; rows of the catalog; the runtime's
 *            refusals as clients know them.
 * Ownership  the text goes into the caller's buffer; results are the caller's.
 * Errors     false + *err: the database, or nothing was ever known; an unreachable runtime is a
 *            result.
 * Threads    any, one request at a time.
 */
#ifndef MACP_FCGI_RUNTIME_H
#define MACP_FCGI_RUNTIME_H

#include <stdbool.h>

#include "fcgi/request.h"
#include "shared/buf.h"
#include "shared/macros.h"

/* The row of a kind whose body is known: its first column. The reply gets an Age header. */
bool runtime_known(struct request *rq, const char *kind, struct db_result **out,
                   struct err *err) MUST_CHECK;
/* The reply is the runtime's own refusal: its gRPC status and text. */
void runtime_refused(struct request *rq, int grpc_code, const char *message);
bool runtime_health_write(struct request *rq, bool with_manifest, struct buf *out,
                          struct err *err) MUST_CHECK;

#endif
