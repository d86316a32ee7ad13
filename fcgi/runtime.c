/*
 * runtime.c - GET /runtime/manifest, /modes, /roots, /health; GET /admin/circuit-breaker/history
 * and POST /admin/circuit-breaker/reset; what the runtime's refusals mean in HTTP.
 *
 * Observers ask the runtime and keep the answers in rows; here they are only read, with their age.
 * What was known once is served however old it is: its reader decides.
 */
#include "fcgi/runtime.h"

#include <string.h>

#include "fcgi/app.h"
#include "fcgi/command.h"
#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "shared/clock.h"
#include "shared/json.h"

enum { COL_BODY, COL_AGE, COL_OK, COL_DETAIL };

static bool
read_kind(struct request *rq, const char *kind, struct db_result **out, struct err *err)
{
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, kind);
    return request_query(rq, rq->db, SQL_RUNTIME_GET, &a, out, err);
}

static bool
is_known(const struct db_result *r)
{
    return db_rows(r) > 0 && !db_null(r, 0, COL_BODY);
}

static void
add_age(struct request *rq, const struct db_result *r)
{
    if (!db_null(r, 0, COL_AGE))
        reply_header_int(rq, "Age", db_int(r, 0, COL_AGE) > 0 ? db_int(r, 0, COL_AGE) : 0);
}

bool
runtime_known(struct request *rq, const char *kind, struct db_result **out, struct err *err)
{
    if (!read_kind(rq, kind, out, err))
        return false;
    if (!is_known(*out))
        return err_set(err, ERR_RUNTIME, "the runtime's %s are not known yet: %s", kind,
                       db_rows(*out) > 0 && db_len(*out, 0, COL_DETAIL) > 0
                           ? db_text(*out, 0, COL_DETAIL)
                           : "no observer has reached it");
    add_age(rq, *out);
    return true;
}

bool
runtime_manifest(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    if (!runtime_known(rq, "manifest", &r, err))
        return false;
    buf_add(reply_json(rq, 200), db_text(r, 0, COL_BODY), db_len(r, 0, COL_BODY));
    return true;
}

/* An answer of the runtime is an object around its list. */
static bool
reply_list(struct request *rq, const char *kind, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    AUTO_JSON *body = NULL;
    const json_t *list;

    if (!runtime_known(rq, kind, &r, err))
        return false;
    body = jv_parse(db_text(r, 0, COL_BODY), db_len(r, 0, COL_BODY));
    list = json_is_array(body) ? body : jv_get(body, kind);
    if (json_is_array(list))
        jv_write(reply_json(rq, 200), list);
    else
        buf_lit(reply_json(rq, 200), "[]");
    return true;
}

bool
runtime_modes(struct request *rq, struct err *err)
{
    return reply_list(rq, "modes", err);
}

bool
runtime_roots(struct request *rq, struct err *err)
{
    return reply_list(rq, "roots", err);
}

/* --- refusals ------------------------------------------------------------------------------- */

static const struct {
    int status;
    const char *name;
} refusals[] = {
    // clang-format off
    /* by number of the gRPC status */
    [0]  = {500, "INTERNAL_ERROR"},
    [1]  = {500, "INTERNAL_ERROR"},
    [2]  = {500, "INTERNAL_ERROR"},
    [3]  = {400, "VALIDATION_ERROR"},
    [4]  = {504, "RUNTIME_TIMEOUT"},
    [5]  = {404, "NOT_FOUND"},
    [6]  = {409, "CONFLICT"},
    [7]  = {403, "FORBIDDEN"},
    [8]  = {429, "RATE_LIMITED"},
    [9]  = {409, "CONFLICT"},
    [10] = {409, "CONFLICT"},
    [11] = {400, "VALIDATION_ERROR"},
    [12] = {501, "NOT_IMPLEMENTED"},
    [13] = {500, "INTERNAL_ERROR"},
    [14] = {503, "RUNTIME_UNAVAILABLE"},
    [15] = {500, "INTERNAL_ERROR"},
    [16] = {401, "UNAUTHENTICATED"},
    // clang-format on
};

void
runtime_refused(struct request *rq, int grpc_code, const char *message)
{
    size_t i = grpc_code > 0 && (size_t)grpc_code < ARRAY_LEN(refusals) ? (size_t)grpc_code : 0;
    struct buf *b = reply_json(rq, refusals[i].status);

    buf_printf(b, "{\"statusCode\":%d,\"errorCode\":\"%s\",\"message\":", refusals[i].status,
               refusals[i].name);
    jv_write_text(b, message, strlen(message));
    buf_printf(b, ",\"metadata\":{\"grpcCode\":%d}}", grpc_code);
}

/* --- health
 * --------------------------------------------------------------------------------------- */

static void
write_health(const struct request *rq, const struct db_result *r, bool with_manifest,
             struct buf *out)
{
    bool known = is_known(r), ok = known && db_bool(r, 0, COL_OK);
    const char *detail = db_rows(r) > 0 ? db_text(r, 0, COL_DETAIL) : "";

    buf_printf(out, "{\"ok\":%s,\"runtimeKind\":", ok ? "true" : "false");
    buf_json(out, rq->app->config->runtime_kind);
    if (ok && with_manifest) {
        buf_lit(out, ",\"manifest\":");
        buf_add(out, db_text(r, 0, COL_BODY), db_len(r, 0, COL_BODY));
    }
    buf_lit(out, ",\"detail\":");
    buf_json(out, *detail ? detail : ok ? "connected" : "no observer has reached the runtime");
    buf_char(out, '}');
}

bool
runtime_health_write(struct request *rq, bool with_manifest, struct buf *out, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    if (!read_kind(rq, "manifest", &r, err))
        return false;
    write_health(rq, r, with_manifest, out);
    return true;
}

/* Always 200: that the runtime is away is an answer. */
bool
runtime_health(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    if (!read_kind(rq, "manifest", &r, err))
        return false;
    if (is_known(r))
        add_age(rq, r);
    write_health(rq, r, true, reply_json(rq, 200));
    return true;
}

/* --- breaker
 * -------------------------------------------------------------------------------------- */

enum { Q_SINCE, Q_WINDOW };

/* What is not understood is ignored here, and everything is shown. */
const struct query_field breaker_history_query[] = {
    [Q_SINCE] = {.name = "since", .type = QUERY_STRING},
    [Q_WINDOW] = {.name = "window", .type = QUERY_STRING},
    {0},
};

static bool
since_ms(const struct request *rq, int64_t *out)
{
    static const struct {
        const char *name;
        int64_t minutes;
    } windows[] = {
        {"15m", 15}, {"1h", 60}, {"6h", 360}, {"24h", 1440}, {"7d", 10080}, {"30d", 43200},
    };
    const char *since = rq->values[Q_SINCE].text, *window = rq->values[Q_WINDOW].text;

    if (since && clock_parse(since, out))
        return true;
    for (size_t i = 0; window && i < ARRAY_LEN(windows); i++)
        if (strcmp(windows[i].name, window) == 0) {
            *out = clock_wall_ms() - windows[i].minutes * 60000;
            return true;
        }
    return false;
}

bool
breaker_history(struct request *rq, struct err *err)
{
    enum { COL_STATE, COL_HISTORY };
    AUTO_DB_RESULT *r = NULL;
    char text[CLOCK_TEXT_LEN];
    struct db_args a;
    struct buf *b;
    int64_t ms;

    db_args_init(&a);
    db_arg_text(&a, since_ms(rq, &ms) ? clock_text(ms, text) : NULL);
    if (!request_query(rq, rq->db, SQL_BREAKER_HISTORY, &a, &r, err))
        return false;
    b = reply_json(rq, 200);
    buf_printf(b, "{\"state\":\"%s\",\"history\":", db_text(r, 0, COL_STATE));
    row_json(r, 0, COL_HISTORY, b);
    buf_char(b, '}');
    return true;
}

bool
breaker_close(struct request *rq, struct err *err)
{
    struct command_wish wish = {COMMAND_BREAKER_RESET, 0, "{}"};
    bool done;

    if (!command_do(rq, &wish, &done, err))
        return false;
    if (done)
        buf_lit(reply_json(rq, 200), "{\"status\":\"ok\",\"state\":\"CLOSED\"}");
    return true;
}
