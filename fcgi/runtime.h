/*
 * runtime.h - what is known about the runtime, as its observers wrote it down.
 *
 * Purpose    the health object that several endpoints show.
 * Ownership  the text goes into the caller's buffer.
 * Errors     false + *err: the database; an unreachable runtime is a result.
 * Threads    any, one request at a time.
 */
#ifndef MACP_FCGI_RUNTIME_H
#define MACP_FCGI_RUNTIME_H

#include <stdbool.h>

#include "fcgi/request.h"
#include "shared/buf.h"
#include "shared/macros.h"

bool runtime_health_write(struct request *rq, bool with_manifest, struct buf *out,
                          struct err *err) MUST_CHECK;

#endif
