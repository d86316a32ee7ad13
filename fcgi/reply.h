/*
 * reply.h - the answer to one request.
 *
 * Purpose    status, headers and body; the error bodies in their two shapes; the headers that
 *            every answer carries (CORS, request id, security).
 * Ownership  struct reply belongs to a worker and keeps its buffers between requests.
 * Errors     none.
 * Threads    one thread per reply.
 */
#ifndef MACP_FCGI_REPLY_H
#define MACP_FCGI_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buf.h"
#include "shared/config.h"
#include "shared/err.h"

struct request;

struct reply {
    int status;
    bool has_content_type; /* JSON unless a handler says otherwise; false: no body at all */
    struct buf headers;    /* further header lines, each with its line end */
    struct buf body;
};

void reply_reset(struct reply *r);
void reply_fini(struct reply *r);

/* Start a JSON answer; the caller writes the text into the returned buffer. */
struct buf *reply_json(struct request *rq, int status);
/* An answer without a body. */
void reply_empty(struct request *rq, int status);
void reply_header(struct request *rq, const char *name, const char *value);
void reply_header_int(struct request *rq, const char *name, int64_t value);

/* The body of an error, in the shape of its code. Causes of 5xx are not for clients. */
void reply_error_body(struct buf *out, const struct err *err);
void reply_error(struct request *rq, const struct err *err);
/* 400 with a list: texts are JSON strings separated by commas. */
void reply_validation(struct request *rq, const char *texts);
/* 404 of a target that is no route, whatever its length. */
void reply_no_route(struct request *rq);
/* The answer to OPTIONS. */
void reply_preflight(struct request *rq);

/* Status and headers in CGI form, up to and with the empty line. */
void reply_write_head(const struct request *rq, struct buf *out);
/* The CORS lines for an Origin header (NULL when there was none). */
void reply_write_cors(struct buf *out, const struct config_list *origins, const char *origin);

#endif
