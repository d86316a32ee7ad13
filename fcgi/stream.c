/* stream.c - GET /runs/:id/stream and GET /runs/:id/replay/stream: everything up to the headers. */
#include "fcgi/stream.h"

#include <math.h>

#include "fcgi/app.h"
#include "fcgi/handlers.h"
#include "fcgi/hub.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_wait.h"
#include "shared/event.h"
#include "shared/run.h"

enum {
    HEARTBEAT_MIN_MS = 1000,
    HEARTBEAT_MAX_MS = 60000,
    RETRY_AFTER_S = 5,
};

/* --- what may be asked ----------------------------------------------------------------------- */

enum {
    Q_AFTER_SEQ,
    Q_INCLUDE_SNAPSHOT,
    Q_HEARTBEAT_MS,
};

enum {
    Q_MODE,
    Q_SPEED,
    Q_FROM_SEQ,
    Q_TO_SEQ,
};

static const char *const replay_modes[] = {"instant", "timed", "step", NULL};

// clang-format off
const struct query_field run_stream_query[] = {
    [Q_AFTER_SEQ]        = {.name = "afterSeq", .type = QUERY_INTEGER, .flags = QUERY_CLAMP, .min = 0, .max = EVENT_SEQ_MAX},
    [Q_INCLUDE_SNAPSHOT] = {.name = "includeSnapshot", .type = QUERY_BOOLEAN, .number = true},
    [Q_HEARTBEAT_MS]     = {.name = "heartbeatMs", .type = QUERY_INTEGER, .flags = QUERY_CLAMP, .min = HEARTBEAT_MIN_MS, .max = HEARTBEAT_MAX_MS},
    {0},
};

const struct query_field run_replay_stream_query[] = {
    [Q_MODE]     = {.name = "mode", .type = QUERY_ENUM, .text = "timed", .values = replay_modes},
    [Q_SPEED]    = {.name = "speed", .type = QUERY_NUMBER, .min = 1}, /* a tenth */
    [Q_FROM_SEQ] = {.name = "fromSeq", .type = QUERY_NUMBER, .min = 10},
    [Q_TO_SEQ]   = {.name = "toSeq", .type = QUERY_NUMBER, .min = 10},
    {0},
};
// clang-format on

/* --- plans ----------------------------------------------------------------------------------- */

int64_t
stream_cursor(const char *last_event_id)
{
    int64_t seq = 0;

    for (const char *p = last_event_id; p && *p; p++) {
        if (*p < '0' || *p > '9')
            return 0;
        if (seq <= EVENT_SEQ_MAX)
            seq = seq * 10 + (*p - '0');
    }
    return seq < EVENT_SEQ_MAX ? seq : EVENT_SEQ_MAX;
}

void
stream_follow_plan(const struct query_value *q, const char *last_event_id, int heartbeat_ms,
                   int64_t now_seq, struct stream_plan *out)
{
    int64_t given = q[Q_AFTER_SEQ].given ? q[Q_AFTER_SEQ].number : stream_cursor(last_event_id);

    out->kind = STREAM_FOLLOW;
    /* Without a cursor there is no history: everything from this moment on. */
    out->after = given > 0 ? given : now_seq;
    out->snapshot = q[Q_INCLUDE_SNAPSHOT].flag;
    out->heartbeat_ms = q[Q_HEARTBEAT_MS].given ? (int)q[Q_HEARTBEAT_MS].number : heartbeat_ms;
}

/* Bounds need not be whole, and may be beyond any event. */
static int64_t
bound(double v)
{
    return v < EVENT_SEQ_MAX ? (int64_t)v : EVENT_SEQ_MAX;
}

void
stream_replay_plan(const struct query_value *q, const char *last_event_id, struct stream_plan *out)
{
    int64_t seen = stream_cursor(last_event_id);

    out->kind = STREAM_REPLAY;
    out->after = q[Q_FROM_SEQ].given ? bound(ceil(q[Q_FROM_SEQ].real)) - 1 : 0;
    /* A browser that lost the connection goes on where it was. */
    if (out->after < seen)
        out->after = seen;
    out->to = q[Q_TO_SEQ].given ? bound(floor(q[Q_TO_SEQ].real)) : EVENT_SEQ_MAX;
    out->timed = q[Q_MODE].text[0] == 't';
    out->speed = q[Q_SPEED].given ? q[Q_SPEED].real : 1;
}

/* --- handlers -------------------------------------------------------------------------------- */

/* A client that has just seen a session may be a moment ahead of discovery. */
static bool
find_run(struct request *rq, struct db_result **out, struct err *err)
{
    struct run_wait wait = {0};
    struct db_args a;
    bool ok;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    for (;;) {
        ok = request_query(rq, rq->db, SQL_STREAM_OPEN, &a, out, err);
        if (!ok || db_rows(*out) > 0 || !run_wait_more(rq->app, &wait))
            break;
        db_result_free(*out);
        *out = NULL;
    }
    run_wait_end(rq->app, &wait);
    if (ok && db_rows(*out) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    return ok;
}

/* Take a place and promise the stream. */
static bool
begin(struct request *rq, const struct stream_plan *plan, struct err *err)
{
    if (!rq->can_stream || !rq->app->hub)
        return err_set(err, ERR_NOT_IMPLEMENTED, "event streams need a FastCGI connection");
    if (rq->method != HTTP_HEAD) {
        if (!hub_enter(rq->app->hub)) {
            reply_header_int(rq, "Retry-After", RETRY_AFTER_S);
            return err_set(err, ERR_STREAMS_FULL, "too many event streams");
        }
        rq->stream = plan;
    }
    reply_stream(rq);
    return true;
}

static const char *
last_event_id(const struct request *rq)
{
    return request_env(rq, "HTTP_LAST_EVENT_ID");
}

bool
run_stream(struct request *rq, struct err *err)
{
    struct stream_plan *plan = arena_zalloc(rq->arena, sizeof *plan);
    AUTO_DB_RESULT *r = NULL;
    enum run_status status;

    if (!find_run(rq, &r, err))
        return false;
    stream_follow_plan(rq->values, last_event_id(rq), (int)rq->app->config->stream_sse_heartbeat_ms,
                       db_int(r, 0, 1), plan);
    uuid_lower(rq->params[0], plan->run_id);
    plan->stay_open = run_status_parse(db_text(r, 0, 0), &status) && run_status_is_terminal(status);
    return begin(rq, plan, err);
}

bool
run_replay_stream(struct request *rq, struct err *err)
{
    struct stream_plan *plan = arena_zalloc(rq->arena, sizeof *plan);
    AUTO_DB_RESULT *r = NULL;

    if (!find_run(rq, &r, err))
        return false;
    stream_replay_plan(rq->values, last_event_id(rq), plan);
    uuid_lower(rq->params[0], plan->run_id);
    plan->max_delay_ms = (int)rq->app->config->replay_max_delay_ms;
    plan->batch = (int)rq->app->config->replay_batch_size;
    return begin(rq, plan, err);
}
