/* events.c - GET /runs/:id/events. */
#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "shared/uuid.h"

enum {
    Q_AFTER_SEQ,
    Q_LIMIT,
    Q_AFTER_TS,
    Q_BEFORE_TS,
    Q_TYPE,
};

enum { EVENTS_LIMIT_MAX = 10000 };

// clang-format off
const struct query_field run_events_query[] = {
    [Q_AFTER_SEQ] = {.name = "afterSeq", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = EVENT_SEQ_MAX},
    [Q_LIMIT]     = {.name = "limit", .type = QUERY_INTEGER, .flags = QUERY_CLAMP, .min = 1, .max = EVENTS_LIMIT_MAX, .number = 200},
    [Q_AFTER_TS]  = {.name = "afterTs", .type = QUERY_TIME},
    [Q_BEFORE_TS] = {.name = "beforeTs", .type = QUERY_TIME},
    [Q_TYPE]      = {.name = "type", .type = QUERY_NAMES, .flags = QUERY_EMPTY_IS_ABSENT},
    {0},
};
// clang-format on

/* Rows of one statement as a JSON array; returns how many. */
static int
write_rows(const struct db_result *r, const char *run_id, struct buf *b)
{
    int n = 0;

    buf_char(b, '[');
    for (; n < db_rows(r) && !db_null(r, n, EVENT_COL_SEQ); n++) {
        if (n)
            buf_char(b, ',');
        event_row_write(r, n, run_id, b);
    }
    buf_char(b, ']');
    return n;
}

static bool
list_plain(struct request *rq, const char *run_id, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    db_arg_int(&a, rq->values[Q_AFTER_SEQ].number);
    db_arg_int(&a, rq->values[Q_LIMIT].number);
    if (!request_query(rq, rq->db, SQL_RUN_EVENTS_PAGE, &a, &r, err))
        return false;
    write_rows(r, run_id, reply_json(rq, 200));
    return true;
}

static bool
list_filtered(struct request *rq, const char *run_id, struct err *err)
{
    enum { COL_TOTAL = EVENT_COL__COUNT };
    const struct query_value *q = rq->values;
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;
    struct buf *b;
    int n;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    db_arg_int(&a, q[Q_AFTER_SEQ].number);
    db_arg_int(&a, q[Q_LIMIT].number);
    db_arg_text(&a, q[Q_AFTER_TS].text);
    db_arg_text(&a, q[Q_BEFORE_TS].text);
    db_arg_text(&a, q[Q_TYPE].text);
    if (!request_query(rq, rq->db, SQL_RUN_EVENTS_FILTERED, &a, &r, err))
        return false;
    b = reply_json(rq, 200);
    buf_lit(b, "{\"data\":");
    n = write_rows(r, run_id, b);
    buf_printf(b, ",\"total\":%s,\"limit\":%lld", db_text(r, 0, COL_TOTAL),
               (long long)q[Q_LIMIT].number);
    if (n > 0) {
        buf_lit(b, ",\"nextCursor\":");
        buf_str(b, db_text(r, n - 1, EVENT_COL_SEQ));
    }
    buf_char(b, '}');
    return true;
}

bool
run_events_list(struct request *rq, struct err *err)
{
    const struct query_value *q = rq->values;
    char run_id[UUID_LEN];

    uuid_lower(rq->params[0], run_id);
    if (q[Q_AFTER_TS].given || q[Q_BEFORE_TS].given || q[Q_TYPE].given)
        return list_filtered(rq, run_id, err);
    return list_plain(rq, run_id, err);
}
