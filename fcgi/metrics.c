/* metrics.c - GET /metrics: this process, in the Prometheus text format. */
#include "fcgi/app.h"
#include "fcgi/handlers.h"
#include "fcgi/http_metrics.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"

/* Asks nobody: it must answer while everything else is down. */
bool
metrics_get(struct request *rq, struct err *err UNUSED)
{
    struct buf *b = reply_typed(rq, 200, "text/plain; version=0.0.4; charset=utf-8");

    http_metrics_write(rq->app->http, b);
    buf_printf(b,
               "# HELP active_sse_connections Open event streams.\n"
               "# TYPE active_sse_connections gauge\n"
               "active_sse_connections %d\n",
               atomic_load(&rq->app->streams));
    process_metrics_write(b);
    return true;
}
