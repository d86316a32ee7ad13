/* runs.c - GET /runs and GET /runs/:id. */
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_row.h"
#include "fcgi/run_wait.h"

/* --- list ----------------------------------------------------------------------------------- */

enum {
    Q_STATUS,
    Q_TAGS,
    Q_CREATED_AFTER,
    Q_CREATED_BEFORE,
    Q_LIMIT,
    Q_OFFSET,
    Q_SORT_BY,
    Q_SORT_ORDER,
    Q_INCLUDE_SANDBOX,
    Q_INCLUDE_ARCHIVED,
    Q_ENVIRONMENT,
    Q_SCENARIO_REF,
    Q_SEARCH,
};

static const char *const statuses[] = {"queued",  "starting",  "binding_session",
                                       "running", "suspended", "completed",
                                       "failed",  "cancelled", NULL};
static const char *const sort_columns[] = {"createdAt", "updatedAt", NULL};
static const char *const sort_orders[] = {"asc", "desc", NULL};

enum { OFFSET_MAX = 100000 }; /* from there on createdBefore is the way */

// clang-format off
const struct query_field runs_list_query[] = {
    [Q_STATUS]           = {.name = "status", .type = QUERY_ENUM, .values = statuses},
    [Q_TAGS]             = {.name = "tags", .type = QUERY_TAGS},
    [Q_CREATED_AFTER]    = {.name = "createdAfter", .type = QUERY_TIME, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_CREATED_BEFORE]   = {.name = "createdBefore", .type = QUERY_TIME, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_LIMIT]            = {.name = "limit", .type = QUERY_INTEGER, .min = 1, .max = 200, .number = 50},
    [Q_OFFSET]           = {.name = "offset", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = OFFSET_MAX},
    [Q_SORT_BY]          = {.name = "sortBy", .type = QUERY_ENUM, .text = "createdAt", .values = sort_columns},
    [Q_SORT_ORDER]       = {.name = "sortOrder", .type = QUERY_ENUM, .text = "desc", .values = sort_orders},
    [Q_INCLUDE_SANDBOX]  = {.name = "includeSandbox", .type = QUERY_FLAG},
    [Q_INCLUDE_ARCHIVED] = {.name = "includeArchived", .type = QUERY_FLAG},
    [Q_ENVIRONMENT]      = {.name = "environment", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_SCENARIO_REF]     = {.name = "scenarioRef", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_SEARCH]           = {.name = "search", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    {0},
};
// clang-format on

bool
runs_list(struct request *rq, struct err *err)
{
    enum { COL_TOTAL = RUN_COL__COUNT };
    const struct query_value *q = rq->values;
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;
    struct buf *b;

    db_args_init(&a);
    db_arg_text(&a, q[Q_STATUS].text);
    db_arg_text(&a, q[Q_TAGS].text);
    db_arg_text(&a, q[Q_CREATED_AFTER].text);
    db_arg_text(&a, q[Q_CREATED_BEFORE].text);
    db_arg_bool(&a, q[Q_INCLUDE_SANDBOX].flag);
    db_arg_bool(&a, q[Q_INCLUDE_ARCHIVED].flag);
    db_arg_text(&a, q[Q_ENVIRONMENT].text);
    db_arg_text(&a, q[Q_SCENARIO_REF].text);
    db_arg_text(&a, q[Q_SEARCH].text);
    db_arg_text(&a, q[Q_SORT_BY].text);
    db_arg_text(&a, q[Q_SORT_ORDER].text);
    db_arg_int(&a, q[Q_LIMIT].number);
    db_arg_int(&a, q[Q_OFFSET].number);
    if (!request_query(rq, rq->read_db, SQL_RUNS_LIST, &a, &r, err))
        return false;

    b = reply_json(rq, 200);
    buf_lit(b, "{\"data\":[");
    for (int i = 0; i < db_rows(r); i++) {
        if (db_null(r, i, RUN_COL_ID))
            break; /* an empty page still carries the total */
        if (i)
            buf_char(b, ',');
        run_row_write(r, i, b);
    }
    buf_printf(b, "],\"total\":%s,\"limit\":%lld,\"offset\":%lld}", db_text(r, 0, COL_TOTAL),
               (long long)q[Q_LIMIT].number, (long long)q[Q_OFFSET].number);
    return true;
}

/* --- one ------------------------------------------------------------------------------------ */

bool
run_get(struct request *rq, struct err *err)
{
    struct run_wait wait = {0};
    struct db_args a;
    bool ok;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    for (;;) {
        AUTO_DB_RESULT *r = NULL;

        ok = request_query(rq, rq->db, SQL_RUN_GET, &a, &r, err);
        if (ok && db_rows(r) == 0 && run_wait_more(rq->app, &wait))
            continue;
        if (ok && db_rows(r) == 0)
            ok = err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
        else if (ok)
            run_row_write(r, 0, reply_json(rq, 200));
        break;
    }
    run_wait_end(rq->app, &wait);
    return ok;
}
