#include "fcgi/reply.h"

#include <string.h>

#include "fcgi/app.h"
#include "fcgi/request.h"
#include "shared/json.h"

enum {
    REPLY_KEEP_BYTES = 1 << 20,  /* larger buffers are not kept between requests */
    REPLY_PART_BYTES = 64 << 10, /* worth a system call of its own */
};

static const char *public_message(const struct err *err);
static void write_text(struct buf *out, const char *s);

void
reply_reset(struct reply *r)
{
    r->status = 0;
    r->has_content_type = false;
    r->is_stream = false;
    r->content_type = NULL;
    r->part = NULL;
    r->started = r->broken = false;
    buf_reset(&r->headers);
    if (r->body.cap > REPLY_KEEP_BYTES)
        buf_fini(&r->body);
    buf_reset(&r->body);
}

void
reply_fini(struct reply *r)
{
    buf_fini(&r->headers);
    buf_fini(&r->body);
}

struct buf *
reply_json(struct request *rq, int status)
{
    rq->reply->status = status;
    rq->reply->has_content_type = true;
    rq->reply->content_type = NULL;
    buf_reset(&rq->reply->body);
    return &rq->reply->body;
}

struct buf *
reply_typed(struct request *rq, int status, const char *content_type)
{
    struct buf *b = reply_json(rq, status);

    rq->reply->content_type = content_type;
    return b;
}

bool
reply_flush(struct request *rq, struct err *err)
{
    struct reply *r = rq->reply;

    if (!r->part || r->body.len < REPLY_PART_BYTES)
        return true;
    r->broken = !r->part(r->part_ctx, rq);
    r->started = true;
    buf_reset(&r->body);
    if (r->body.cap > REPLY_KEEP_BYTES)
        buf_fini(&r->body);
    return !r->broken || err_set(err, ERR_IO, "the web server went away");
}

void
reply_late_error(struct request *rq, const struct err *err)
{
    struct buf *b = &rq->reply->body;

    if (!rq->reply->content_type || strcmp(rq->reply->content_type, REPLY_LINES) != 0) {
        rq->reply->broken = true;
        return;
    }
    /* What stands there may end in the middle of a line. */
    while (b->len > 0 && b->p[b->len - 1] != '\n')
        b->len--;
    buf_lit(b, "{\"type\":\"error\",\"message\":");
    write_text(b, public_message(err));
    buf_lit(b, "}\n");
}

void
reply_stream(struct request *rq)
{
    reply_empty(rq, 200);
    rq->reply->is_stream = true;
    reply_header(rq, "Content-Type", "text/event-stream");
    reply_header(rq, "Cache-Control",
                 "private, no-cache, no-store, must-revalidate, max-age=0, no-transform");
    reply_header(rq, "Pragma", "no-cache");
    reply_header(rq, "Expire", "0"); /* spelt so: clients may look for it */
    reply_header(rq, "X-Accel-Buffering", "no");
}

void
reply_empty(struct request *rq, int status)
{
    reply_json(rq, status);
    rq->reply->has_content_type = false;
}

void
reply_header(struct request *rq, const char *name, const char *value)
{
    struct buf *h = &rq->reply->headers;

    buf_str(h, name);
    buf_lit(h, ": ");
    buf_str(h, value);
    buf_lit(h, "\r\n");
}

void
reply_header_int(struct request *rq, const char *name, int64_t value)
{
    struct buf *h = &rq->reply->headers;

    buf_str(h, name);
    buf_lit(h, ": ");
    buf_int(h, value);
    buf_lit(h, "\r\n");
}

/* --- errors ------------------------------------------------------------------------------ */

static void
write_text(struct buf *out, const char *s)
{
    jv_write_text(out, s, strlen(s));
}

/* What a client may read: causes inside the server stay in the log. */
static const char *
public_message(const struct err *err)
{
    int status = err_http_status(err->code);

    if (status == 500)
        return "Internal server error";
    return err->code == ERR_DB ? "database unavailable" : err->msg;
}

void
reply_error_body(struct buf *out, const struct err *err)
{
    int status = err_http_status(err->code);

    if (err_shape_of(err->code) == ERR_SHAPE_N) {
        buf_lit(out, "{\"message\":");
        write_text(out, public_message(err));
        buf_printf(out, ",\"error\":\"%s\",\"statusCode\":%d}", err_name(err->code), status);
        return;
    }
    buf_printf(out, "{\"statusCode\":%d,\"errorCode\":\"%s\",\"message\":", status,
               err_name(err->code));
    write_text(out, public_message(err));
    buf_char(out, '}');
}

void
reply_error(struct request *rq, const struct err *err)
{
    reply_error_body(reply_json(rq, err_http_status(err->code)), err);
}

void
reply_validation(struct request *rq, const char *texts)
{
    struct buf *b = reply_json(rq, 400);

    buf_lit(b, "{\"message\":[");
    buf_str(b, texts);
    buf_lit(b, "],\"error\":\"Bad Request\",\"statusCode\":400}");
}

void
reply_no_route(struct request *rq)
{
    struct buf *b = reply_json(rq, 404);
    char *text = arena_printf(rq->arena, "Cannot %s %s", rq->method_name, rq->target);

    buf_lit(b, "{\"message\":");
    write_text(b, text);
    buf_lit(b, ",\"error\":\"Not Found\",\"statusCode\":404}");
}

/* --- headers ----------------------------------------------------------------------------- */

void
reply_write_cors(struct buf *out, const struct config_list *origins, const char *origin)
{
    const char *allowed;

    if (origins->n == 0)
        return;
    /* A single origin is sent whatever was asked; of several, the one that asks. */
    allowed = origins->items[0];
    for (size_t i = 0; i < origins->n; i++)
        if ((origin && strcmp(origins->items[i], origin) == 0) ||
            strcmp(origins->items[i], "*") == 0) {
            allowed = origins->items[i];
            break;
        }
    buf_printf(out, "Access-Control-Allow-Origin: %s\r\n", allowed);
    /* Browsers refuse credentials from "any origin", so nothing is promised there. */
    if (strcmp(allowed, "*") != 0)
        buf_lit(out, "Access-Control-Allow-Credentials: true\r\n");
}

static bool
varies_by_origin(const struct config_list *origins)
{
    for (size_t i = 0; i < origins->n; i++)
        if (strcmp(origins->items[i], "*") == 0)
            return false;
    return origins->n > 0;
}

/* A header value from the client that is sent back must not be able to start a header of its own.
 */
static bool
is_header_safe(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

void
reply_preflight(struct request *rq)
{
    const char *asked = request_env(rq, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS");

    reply_empty(rq, 204);
    reply_header(rq, "Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE");
    if (asked && *asked && is_header_safe(asked))
        reply_header(rq, "Access-Control-Allow-Headers", asked);
    reply_header(rq, "Vary",
                 varies_by_origin(&rq->app->config->cors_origin)
                     ? "Origin, Access-Control-Request-Headers"
                     : "Access-Control-Request-Headers");
}

void
reply_write_head(const struct request *rq, struct buf *out)
{
    const struct reply *r = rq->reply;
    const struct config_list *origins = &rq->app->config->cors_origin;

    buf_printf(out, "Status: %d\r\n", r->status);
    if (r->has_content_type)
        buf_printf(out, "Content-Type: %s\r\n",
                   r->content_type ? r->content_type : "application/json; charset=utf-8");
    if (!r->is_stream && !r->started)
        buf_printf(out, "Content-Length: %zu\r\n", r->body.len);
    reply_write_cors(out, origins, request_env(rq, "HTTP_ORIGIN"));
    if (rq->method != HTTP_OPTIONS) {
        if (varies_by_origin(origins))
            buf_lit(out, "Vary: Origin\r\n");
        if (rq->request_id) {
            buf_lit(out, "x-request-id: ");
            buf_str(out, rq->request_id);
            buf_lit(out, "\r\n");
        }
    }
    buf_lit(out, "X-Content-Type-Options: nosniff\r\n");
    buf_add(out, buf_cstr(&r->headers), r->headers.len);
    buf_lit(out, "\r\n");
}
