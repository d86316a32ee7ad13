/* metrics.c - GET /metrics: this process and all living observers, in the Prometheus text format.
 */
#include "fcgi/app.h"
#include "fcgi/handlers.h"
#include "fcgi/http_metrics.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "shared/log.h"
#include "shared/meter.h"
#include "shared/process_metrics.h"

/* Without the database they count as none: the page must answer while everything else is down. */
static void
add_observers(struct request *rq, struct meters *sum)
{
    AUTO_DB_RESULT *r = NULL;
    struct err err;

    if (!request_query(rq, rq->db, SQL_METRICS_PUBLISHED, NULL, &r, &err))
        return;
    for (int row = 0; row < db_rows(r); row++)
        if (!meters_merge(sum, db_text(r, row, 0), db_len(r, row, 0)))
            log_debug("an observer's metrics cannot be read");
}

bool
metrics_get(struct request *rq, struct err *err UNUSED)
{
    struct buf *b = reply_typed(rq, 200, "text/plain; version=0.0.4; charset=utf-8");
    struct meters *sum = meters_new();

    http_metrics_write(rq->app->http, b);
    buf_printf(b,
               "# HELP active_sse_connections Open event streams.\n"
               "# TYPE active_sse_connections gauge\n"
               "active_sse_connections %d\n",
               atomic_load(&rq->app->streams));
    meters_add_all(sum, meters_own());
    add_observers(rq, sum);
    meters_write_page(sum, b);
    meters_free(sum);
    process_metrics_write(b);
    return true;
}
