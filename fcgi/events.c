/* events.c - GET /runs/:id/events, GET /runs/:id/messages and GET /events. */
#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "shared/clock.h"
#include "shared/uuid.h"

enum {
    Q_AFTER_SEQ,
    Q_LIMIT,
    Q_AFTER_TS,
    Q_BEFORE_TS,
    Q_TYPE,
    Q_BEFORE_SEQ,
};

enum { EVENTS_LIMIT_MAX = 10000 };

// clang-format off
const struct query_field run_events_query[] = {
    [Q_AFTER_SEQ] = {.name = "afterSeq", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = EVENT_SEQ_MAX},
    [Q_LIMIT]     = {.name = "limit", .type = QUERY_INTEGER, .flags = QUERY_CLAMP, .min = 1, .max = EVENTS_LIMIT_MAX, .number = 200},
    [Q_AFTER_TS]  = {.name = "afterTs", .type = QUERY_TIME},
    [Q_BEFORE_TS] = {.name = "beforeTs", .type = QUERY_TIME},
    [Q_TYPE]      = {.name = "type", .type = QUERY_NAMES, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_BEFORE_SEQ] = {.name = "beforeSeq", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = EVENT_SEQ_MAX},
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
is_filtered(const struct query_value *q)
{
    return q[Q_AFTER_TS].given || q[Q_BEFORE_TS].given || q[Q_TYPE].given;
}

/* In rising order; behind a beforeSeq the newest first. */
static bool
read_events(struct request *rq, const char *run_id, struct db_result **out, struct err *err)
{
    const struct query_value *q = rq->values;
    bool back = q[Q_BEFORE_SEQ].given;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    db_arg_int(&a, q[Q_AFTER_SEQ].number);
    db_arg_int(&a, q[Q_LIMIT].number);
    if (!back && !is_filtered(q))
        return request_query(rq, rq->db, SQL_RUN_EVENTS_PAGE, &a, out, err);
    db_arg_text(&a, q[Q_AFTER_TS].text);
    db_arg_text(&a, q[Q_BEFORE_TS].text);
    db_arg_text(&a, q[Q_TYPE].text);
    if (!back)
        return request_query(rq, rq->db, SQL_RUN_EVENTS_FILTERED, &a, out, err);
    db_arg_int(&a, q[Q_BEFORE_SEQ].number);
    return request_query(rq, rq->db, SQL_RUN_EVENTS_BACK, &a, out, err);
}

static void
write_page(struct request *rq, const struct db_result *r, const char *run_id)
{
    enum { COL_TOTAL = EVENT_COL__COUNT };
    struct buf *b = reply_json(rq, 200);
    int n;

    buf_lit(b, "{\"data\":");
    n = write_rows(r, run_id, b);
    buf_printf(b, ",\"total\":%s,\"limit\":%lld", db_text(r, 0, COL_TOTAL),
               (long long)rq->values[Q_LIMIT].number);
    if (n > 0) {
        buf_lit(b, ",\"nextCursor\":");
        buf_str(b, db_text(r, n - 1, EVENT_COL_SEQ));
    }
    buf_char(b, '}');
}

bool
run_events_list(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    char run_id[UUID_LEN];

    uuid_lower(rq->params[0], run_id);
    if (!read_events(rq, run_id, &r, err))
        return false;
    if (is_filtered(rq->values))
        write_page(rq, r, run_id);
    else
        write_rows(r, run_id, reply_json(rq, 200));
    return true;
}

/* Nothing is ever sent for a run. */
bool
run_messages_list(struct request *rq, struct err *err UNUSED)
{
    buf_lit(reply_json(rq, 200), "[]");
    return true;
}

/* --- of all runs
 * ---------------------------------------------------------------------------------- */

/*
 * Numbers of events mean nothing across runs. The cursor is then a time in milliseconds and how
 * many events of that millisecond have been sent, packed into one number that a client's doubles
 * hold exactly. Where a count does not fit, the page has its millisecond whole.
 */
enum { CURSOR_SHIFT = 11, CURSOR_NTH_MAX = (1 << CURSOR_SHIFT) - 1 };

enum { COUNT_MAX = 1000 }; /* or the limit of the page, when that is larger */

#define CURSOR_MAX ((int64_t)1 << 53)

enum {
    QA_AFTER_SEQ,
    QA_LIMIT,
    QA_AFTER_TS,
    QA_BEFORE_TS,
    QA_TYPE,
    QA_RUN_ID,
    QA_SCENARIO_REF,
};

// clang-format off
const struct query_field events_query[] = {
    [QA_AFTER_SEQ]    = {.name = "afterSeq", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = CURSOR_MAX},
    [QA_LIMIT]        = {.name = "limit", .type = QUERY_INTEGER, .flags = QUERY_CLAMP, .min = 1, .max = EVENTS_LIMIT_MAX, .number = 500},
    [QA_AFTER_TS]     = {.name = "afterTs", .type = QUERY_TIME},
    [QA_BEFORE_TS]    = {.name = "beforeTs", .type = QUERY_TIME},
    [QA_TYPE]         = {.name = "type", .type = QUERY_NAMES, .flags = QUERY_EMPTY_IS_ABSENT},
    [QA_RUN_ID]       = {.name = "runId", .type = QUERY_UUID, .flags = QUERY_EMPTY_IS_ABSENT},
    [QA_SCENARIO_REF] = {.name = "scenarioRef", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    {0},
};
// clang-format on

/* Filters of all statements about events of all runs, in the order of their parameters. */
static void
add_filters(const struct query_value *q, struct db_args *a)
{
    db_arg_text(a, q[QA_SCENARIO_REF].text);
    db_arg_text(a, q[QA_AFTER_TS].text);
    db_arg_text(a, q[QA_BEFORE_TS].text);
    db_arg_text(a, q[QA_TYPE].text);
}

/* How far to count: one more says that there are more. */
static int64_t
count_to(const struct query_value *q)
{
    int64_t limit = q[QA_LIMIT].number;

    return (limit > COUNT_MAX ? limit : COUNT_MAX) + 1;
}

static bool
read_run_events(struct request *rq, struct db_result **out, struct err *err)
{
    const struct query_value *q = rq->values;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, q[QA_RUN_ID].text);
    add_filters(q, &a);
    db_arg_int(&a, q[QA_AFTER_SEQ].number);
    db_arg_int(&a, q[QA_LIMIT].number);
    db_arg_int(&a, count_to(q));
    return request_query(rq, rq->read_db, SQL_EVENTS_LIST_RUN, &a, out, err);
}

static bool
read_all_events(struct request *rq, struct db_result **out, struct err *err)
{
    const struct query_value *q = rq->values;
    int64_t after = q[QA_AFTER_SEQ].number;
    struct db_args a;

    db_args_init(&a);
    add_filters(q, &a);
    db_arg_int(&a, after >> CURSOR_SHIFT);
    db_arg_int(&a, after & CURSOR_NTH_MAX);
    db_arg_int(&a, q[QA_LIMIT].number);
    db_arg_int(&a, count_to(q));
    if (q[QA_SCENARIO_REF].text) {
        if (!request_query(rq, rq->read_db, SQL_EVENTS_LIST_SCENARIO, &a, out, err))
            return false;
        if (db_rows(*out) > 0)
            return true;
        db_result_freep(out); /* it has many events: the next ones are soon found */
    }
    return request_query(rq, rq->read_db, SQL_EVENTS_LIST, &a, out, err);
}

static int64_t
next_cursor(const struct request *rq, const struct db_result *r, int last, int col_nth)
{
    int64_t nth, ms;

    if (rq->values[QA_RUN_ID].text || !clock_parse(db_text(r, last, EVENT_COL_TS), &ms))
        return db_int(r, last, EVENT_COL_SEQ);
    nth = db_int(r, last, col_nth);
    if (nth > CURSOR_NTH_MAX)
        return (ms + 1) << CURSOR_SHIFT;
    return ms << CURSOR_SHIFT | nth;
}

bool
events_list(struct request *rq, struct err *err)
{
    enum { COL_RUN_ID = EVENT_COL__COUNT, COL_TOTAL, COL_NTH };
    const struct query_value *q = rq->values;
    AUTO_DB_RESULT *r = NULL;
    struct buf *b;
    int n = 0;

    if (q[QA_RUN_ID].text && q[QA_AFTER_SEQ].number > EVENT_SEQ_MAX) {
        reply_validation(rq, "\"afterSeq must not be greater than 2147483647\"");
        return true;
    }
    if (!(q[QA_RUN_ID].text ? read_run_events : read_all_events)(rq, &r, err))
        return false;
    b = reply_json(rq, 200);
    buf_lit(b, "{\"data\":[");
    for (; n < db_rows(r) && !db_null(r, n, EVENT_COL_SEQ); n++) {
        if (n)
            buf_char(b, ',');
        event_row_write(r, n, db_text(r, n, COL_RUN_ID), b);
    }
    buf_printf(b, "],\"total\":%s,\"limit\":%lld", db_text(r, 0, COL_TOTAL),
               (long long)q[QA_LIMIT].number);
    if (n >= q[QA_LIMIT].number)
        buf_printf(b, ",\"nextCursor\":%lld", (long long)next_cursor(rq, r, n - 1, COL_NTH));
    buf_char(b, '}');
    return true;
}
