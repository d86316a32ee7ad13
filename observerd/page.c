#include "observerd/page.h"

#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/meter.h"
#include "shared/process_metrics.h"

enum { CONNECTIONS_MAX = 32, IDLE_S = 10, CONNECTION_BYTES = 16 << 10 };

struct page {
    const struct status *status;
    struct MHD_Daemon *daemon;
};

/* --- what is answered ------------------------------------------------------------------------ */

static unsigned
answer_metrics(const struct status *s, struct buf *out)
{
    (void)s;
    meters_write_page(meters_own(), out);
    process_metrics_write(out);
    return MHD_HTTP_OK;
}

static unsigned
answer_alive(const struct status *s, struct buf *out)
{
    status_write_alive(s, out);
    return status_is_alive(s) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned
answer_ready(const struct status *s, struct buf *out)
{
    status_write_ready(s, out);
    return status_is_ready(s) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static const struct {
    const char *path, *type;
    unsigned (*answer)(const struct status *s, struct buf *out);
} answers[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", answer_metrics},
    {"/healthz", "application/json", answer_alive},
    {"/readyz", "application/json", answer_ready},
};

static enum MHD_Result
reply(struct MHD_Connection *c, unsigned status, const char *type, struct buf *body)
{
    size_t n = body->len;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(n, buf_steal(body), MHD_RESPMEM_MUST_FREE);
    enum MHD_Result ok;

    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    ok = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result
asked(void *ctx, struct MHD_Connection *c, const char *path, const char *method,
      const char *version, const char *body, size_t *n, void **state)
{
    const struct page *p = ctx;
    AUTO_BUF out = {0};

    (void)version;
    (void)body;
    (void)state;
    *n = 0; /* whatever is sent along is not read */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return reply(c, MHD_HTTP_METHOD_NOT_ALLOWED, "application/json", &out);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        if (strcmp(path, answers[i].path) == 0) {
            unsigned status = answers[i].answer(p->status, &out);

            return reply(c, status, answers[i].type, &out);
        }
    return reply(c, MHD_HTTP_NOT_FOUND, "application/json", &out);
}

/* --- life ------------------------------------------------------------------------------------ */

/* The first address of host:port; freeaddrinfo it. NULL: there is none. */
static struct addrinfo *
resolve(const char *address)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const char *colon = strrchr(address, ':');
    struct addrinfo *found = NULL;
    char host[256];
    size_t n;

    if (!colon)
        return NULL;
    n = (size_t)(colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    }
    snprintf(host, sizeof host, "%.*s", (int)n, address);
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

bool
page_start(const char *address, const struct status *status, struct page **out, struct err *err)
{
    struct addrinfo *where = resolve(address);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO;
    struct page *p;

    if (!where)
        return err_set(err, ERR_CONFIG, "OBSERVERD_METRICS_ADDR: %s is no address", address);
    p = xcalloc(1, sizeof *p);
    p->status = status;
    if (where->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    p->daemon = MHD_start_daemon(flags, 0, NULL, NULL, asked, p, MHD_OPTION_SOCK_ADDR,
                                 where->ai_addr, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    freeaddrinfo(where);
    if (!p->daemon) {
        free(p);
        return err_set(err, ERR_CONFIG, "OBSERVERD_METRICS_ADDR: cannot listen on %s", address);
    }
    *out = p;
    return true;
}

int
page_port(const struct page *p)
{
    return MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void
page_stop(struct page *p)
{
    if (!p)
        return;
    MHD_stop_daemon(p->daemon);
    free(p);
}
