#include "fcgi/cgi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/app.h"
#include "fcgi/listen.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/serve.h"
#include "shared/db.h"
#include "shared/log.h"

enum {
    CGI_STALL_S = 30, /* one read or write */
    CGI_CHUNK = 16384,
};

static const char *
variable(char *const *env, const char *name)
{
    return request_env(&(struct request){.env = env}, name);
}

bool
cgi_is_request(char *const *env)
{
    return variable(env, "GATEWAY_INTERFACE") && !listen_is_inherited();
}

/* --- body ------------------------------------------------------------------------------------ */

/* What was announced and not more: standard input need not end there. */
static enum request_body_state
read_body(char *const *env, struct buf *out)
{
    const char *announced = variable(env, "CONTENT_LENGTH");
    unsigned long long left = announced ? strtoull(announced, NULL, 10) : 0;

    if (left > REQUEST_BODY_MAX)
        return REQUEST_BODY_TOO_LARGE;
    while (left > 0) {
        size_t most = left < CGI_CHUNK ? (size_t)left : CGI_CHUNK;
        char *to = buf_reserve(out, most);
        ssize_t n;

        alarm(CGI_STALL_S);
        n = read(STDIN_FILENO, to, most);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        out->len += (size_t)n;
        out->p[out->len] = '\0';
        left -= (unsigned long long)n;
    }
    alarm(0);
    return left ? REQUEST_BODY_CUT : REQUEST_BODY_OK;
}

/* --- reply ----------------------------------------------------------------------------------- */

static bool
write_all(const char *p, size_t n)
{
    bool ok = true;

    while (ok && n > 0) {
        ssize_t sent;

        alarm(CGI_STALL_S);
        sent = write(STDOUT_FILENO, p, n);
        ok = sent > 0 || (sent < 0 && errno == EINTR);
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
    }
    alarm(0);
    return ok;
}

static bool
send_whole(const struct request *rq)
{
    const struct buf *body = &rq->reply->body;
    AUTO_BUF head = {0};

    reply_write_head(rq, &head);
    return write_all(buf_cstr(&head), head.len) &&
           (rq->method == HTTP_HEAD || write_all(buf_cstr(body), body->len));
}

void
cgi_serve(struct app *app, char *const *env)
{
    const struct config *config = app->config;
    bool has_replica = strcmp(config->database_url, config->database_read_url) != 0;
    struct reply reply = {0}; /* in one piece: only so does a late error still have a status */
    struct arena arena = {0};
    struct request rq;
    AUTO_BUF body = {0};

    request_init(&rq, app, &arena, env);
    rq.db = db_new(config->database_url, "macp-fcgi", REQUEST_DB_FAST_MS);
    rq.read_db = has_replica
                     ? db_new(config->database_read_url, "macp-fcgi read", REQUEST_DB_FAST_MS)
                     : rq.db;
    rq.reply = &reply;
    rq.body_state = read_body(env, &body);
    rq.body = buf_cstr(&body);
    rq.body_len = body.len;
    serve(&rq);
    if (!send_whole(&rq))
        log_line(LOG_DEBUG, &(struct log_ctx){.request_id = rq.request_id},
                 "the web server went away");
    request_fini(&rq);
    if (rq.read_db != rq.db)
        db_close(rq.read_db);
    db_close(rq.db);
    reply_fini(&reply);
    arena_fini(&arena);
}
