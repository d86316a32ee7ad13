/* health.c - GET /healthz and GET /readyz. */
#include <string.h>

#include "fcgi/app.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"

enum { Q_STRICT };

/* Always 200, because clients take anything else for an exception; strict is for probes. */
const struct query_field health_query[] = {
    [Q_STRICT] = {.name = "strict", .type = QUERY_STRING},
    {0},
};

static int
status_for(const struct request *rq, bool healthy)
{
    const char *strict = rq->values[Q_STRICT].text;
    bool asked = strict && (strcmp(strict, "1") == 0 || strcmp(strict, "true") == 0);

    return asked && !healthy ? 503 : 200;
}

bool
health_live(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    bool healthy = request_query(rq, rq->db, SQL_HEALTH_CHECK, NULL, &r, err);

    buf_printf(reply_json(rq, status_for(rq, healthy)),
               "{\"ok\":%s,\"service\":\"macp-control-plane\"}", healthy ? "true" : "false");
    return true;
}

/* --- readiness ------------------------------------------------------------------------------ */

enum {
    COL_RUNTIME_OK,
    COL_MANIFEST,
    COL_DETAIL,
    COL_STREAMS_OK,
    COL_BREAKER,
};

static void
write_runtime(const struct request *rq, const struct db_result *r, struct buf *b)
{
    bool ok = r && db_bool(r, 0, COL_RUNTIME_OK);
    const char *detail = r ? db_text(r, 0, COL_DETAIL) : "database unavailable";

    buf_printf(b, "{\"ok\":%s,\"runtimeKind\":", ok ? "true" : "false");
    buf_json(b, rq->app->config->runtime_kind);
    if (ok && !db_null(r, 0, COL_MANIFEST)) {
        buf_lit(b, ",\"manifest\":");
        buf_add(b, db_text(r, 0, COL_MANIFEST), db_len(r, 0, COL_MANIFEST));
    }
    buf_lit(b, ",\"detail\":");
    buf_json(b, *detail ? detail : ok ? "connected" : "no observer has reached the runtime");
    buf_char(b, '}');
}

bool
health_ready(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    bool database = request_query(rq, rq->db, SQL_HEALTH_READY, NULL, &r, err);
    bool streams = database && db_bool(r, 0, COL_STREAMS_OK);
    const char *breaker = database ? db_text(r, 0, COL_BREAKER) : "CLOSED";
    bool ready = streams && db_bool(r, 0, COL_RUNTIME_OK) && strcmp(breaker, "OPEN") != 0;
    struct buf *b = reply_json(rq, status_for(rq, ready));

    buf_printf(b, "{\"ok\":%s,\"database\":\"%s\",\"runtime\":", ready ? "true" : "false",
               database ? "ok" : "unhealthy");
    write_runtime(rq, r, b);
    buf_printf(b, ",\"streamConsumer\":\"%s\",\"circuitBreaker\":\"%s\"}",
               streams ? "ok" : "unhealthy", breaker);
    return true;
}
