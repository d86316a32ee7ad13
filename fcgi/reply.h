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

/* One JSON document a line. */
#define REPLY_LINES "application/x-ndjson"

struct reply {
    int status;
    bool has_content_type;    /* JSON unless a handler says otherwise; false: no body at all */
    bool is_stream;           /* an event stream: no length, and somebody else writes on */
    const char *content_type; /* when it has one; NULL: JSON */
    struct buf headers;       /* further header lines, each with its line end */
    struct buf body;
    /* Sends the body so far, behind the head the first time. NULL: the reply is sent whole. */
    bool (*part)(void *ctx, const struct request *rq);
    void *part_ctx;
    bool started; /* a part has been sent: its status cannot change any more */
    bool broken;  /* it cannot be finished: the connection is cut, which web servers notice */
};

void reply_reset(struct reply *r);
void reply_fini(struct reply *r);

/* Start a JSON answer; the caller writes the text into the returned buffer. */
struct buf *reply_json(struct request *rq, int status);
/* The same for a body of another type (a literal). */
struct buf *reply_typed(struct request *rq, int status, const char *content_type);
/* Called between the pieces of a long body: sends what has gathered when it is much. */
bool reply_flush(struct request *rq, struct err *err) MUST_CHECK;
/* An error behind the first part: a last line where bodies are lines, else a broken reply. */
void reply_late_error(struct request *rq, const struct err *err);
/* The head of an event stream. */
void reply_stream(struct request *rq);
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
