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

/* --- of all runs ----------------------------------------------------------------------------- */

/*
 * Numbers of events mean nothing across runs. A cursor is then a place in time: a millisecond and
 * how many of its events to leave out, packed into one number that a client's doubles hold exactly.
 * Behind such a place the first events of the millisecond are left out, before it the last ones:
 * what was sent already, whatever the other end of the millisecond gets meanwhile. Where a count
 * does not fit, the page has its millisecond whole.
 */
enum { CURSOR_SHIFT = 11, CURSOR_SKIP_MAX = (1 << CURSOR_SHIFT) - 1 };

/* Or the limit of the page, when that is larger. Of a scenario each event is looked for. */
enum { COUNT_MAX = 1000, COUNT_SCENARIO_MAX = 500 };

#define CURSOR_MAX ((int64_t)1 << 53)

struct place {
    int64_t ms;
    int64_t skip; /* events of that millisecond */
};

enum {
    QA_AFTER_SEQ,
    QA_LIMIT,
    QA_AFTER_TS,
    QA_BEFORE_TS,
    QA_TYPE,
    QA_RUN_ID,
    QA_SCENARIO_REF,
    QA_BEFORE_SEQ,
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
    [QA_BEFORE_SEQ]   = {.name = "beforeSeq", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = CURSOR_MAX},
    {0},
};
// clang-format on

static struct place
place_after(int64_t cursor)
{
    return (struct place){cursor >> CURSOR_SHIFT, cursor & CURSOR_SKIP_MAX};
}

/* A whole millisecond counts from its end: the next one's beginning without any of it. */
static struct place
place_before(int64_t cursor)
{
    int64_t end = (cursor + CURSOR_SKIP_MAX) >> CURSOR_SHIFT;

    return (struct place){end - 1, (end << CURSOR_SHIFT) - cursor};
}

static int64_t
cursor_of(const struct place *p, bool back)
{
    bool fits = p->skip <= CURSOR_SKIP_MAX;

    if (back)
        return fits ? ((p->ms + 1) << CURSOR_SHIFT) - p->skip : p->ms << CURSOR_SHIFT;
    return fits ? p->ms << CURSOR_SHIFT | p->skip : (p->ms + 1) << CURSOR_SHIFT;
}

/* Filters of all statements about events of all runs, in the order of their parameters. */
static void
add_filters(const struct query_value *q, const char *after_ts, struct db_args *a)
{
    db_arg_text(a, q[QA_SCENARIO_REF].text);
    db_arg_text(a, after_ts);
    db_arg_text(a, q[QA_BEFORE_TS].text);
    db_arg_text(a, q[QA_TYPE].text);
}

/* How far to count: one more says that there are more. */
static int64_t
count_to(const struct query_value *q)
{
    int64_t limit = q[QA_LIMIT].number;
    int64_t most = q[QA_SCENARIO_REF].text ? COUNT_SCENARIO_MAX : COUNT_MAX;

    return (limit > most ? limit : most) + 1;
}

static bool
read_run_events(struct request *rq, struct db_result **out, struct err *err)
{
    const struct query_value *q = rq->values;
    bool back = q[QA_BEFORE_SEQ].given;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, q[QA_RUN_ID].text);
    add_filters(q, q[QA_AFTER_TS].text, &a);
    db_arg_int(&a, q[QA_AFTER_SEQ].number);
    if (back)
        db_arg_int(&a, q[QA_BEFORE_SEQ].number);
    else
        db_arg_null(&a);
    db_arg_bool(&a, back);
    db_arg_int(&a, q[QA_LIMIT].number);
    db_arg_int(&a, count_to(q));
    return request_query(rq, rq->read_db, SQL_EVENTS_LIST_RUN, &a, out, err);
}

/* Which of everybody's events to read: what lies between two places, before may be NULL. */
struct stretch {
    const char *since; /* time before which there are none, or which is asked for */
    struct place after;
    const struct place *before;
    bool back;
    int64_t limit, count_to;
};

static bool
read_stretch(struct request *rq, const struct stretch *s, struct db_result **out, struct err *err)
{
    const struct query_value *q = rq->values;
    struct db_args a;

    db_args_init(&a);
    add_filters(q, s->since, &a);
    db_arg_int(&a, s->after.ms);
    db_arg_int(&a, s->after.skip);
    if (s->before) {
        db_arg_int(&a, s->before->ms);
        db_arg_int(&a, s->before->skip);
    } else {
        db_arg_null(&a);
        db_arg_null(&a);
    }
    db_arg_bool(&a, s->back);
    db_arg_int(&a, s->limit);
    db_arg_int(&a, s->count_to);
    if (q[QA_SCENARIO_REF].text) {
        if (!request_query(rq, rq->read_db, SQL_EVENTS_LIST_SCENARIO, &a, out, err))
            return false;
        if (db_rows(*out) > 0)
            return true;
        db_result_freep(out); /* it has many events: the next ones are soon found */
    }
    return request_query(rq, rq->read_db, SQL_EVENTS_LIST, &a, out, err);
}

enum { COL_RUN_ID = EVENT_COL__COUNT, COL_TOTAL };

/* Up to so many; rows without a number say the total only. Returns how many were written. */
static int64_t
write_events(const struct db_result *r, bool first, int64_t most, struct buf *b)
{
    int64_t n = 0;

    for (int i = 0; i < db_rows(r) && n < most; i++) {
        if (db_null(r, i, EVENT_COL_SEQ))
            continue;
        if (!first || n)
            buf_char(b, ',');
        event_row_write(r, i, db_text(r, i, COL_RUN_ID), b);
        n++;
    }
    return n;
}

/* The millisecond of the last one of the first rows, and how many of its events have been sent. */
static struct place
place_of_last(const struct db_result *r, int rows, const struct stretch *s)
{
    const struct place *from = s->back ? s->before : &s->after;
    struct place p = {0};
    int64_t ms;

    for (int i = rows; i > 0 && !db_null(r, i - 1, EVENT_COL_SEQ); i--) {
        if (!clock_parse(db_text(r, i - 1, EVENT_COL_TS), &ms))
            break;
        if (p.skip == 0)
            p.ms = ms;
        if (ms != p.ms)
            break;
        p.skip++;
    }
    if (from->ms == p.ms)
        p.skip += from->skip;
    return p;
}

/* More events in one millisecond than a cursor can say: the others of it, too. */
static bool
write_rest(struct request *rq, const struct stretch *s, const struct place *last, struct buf *b,
           struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct place whole = {last->ms, 0};
    struct stretch rest = {
        .since = s->since, .after = *last, .before = &whole, .back = s->back, .limit = INT32_MAX};

    if (s->back) {
        rest.after = s->after.ms == last->ms ? s->after : whole;
        rest.before = last;
    } else if (s->before && s->before->ms == last->ms) {
        rest.before = s->before;
    }
    if (!read_stretch(rq, &rest, &r, err))
        return false;
    write_events(r, false, rest.limit, b);
    return true;
}

/* The time that is asked for, or the oldest run's, when that is later. */
static bool
read_since(struct request *rq, char out[CLOCK_TEXT_LEN], struct err *err)
{
    const struct query_value *after = &rq->values[QA_AFTER_TS];
    AUTO_DB_RESULT *r = NULL;
    int64_t ms;

    if (!request_query(rq, rq->read_db, SQL_EVENTS_OLDEST, NULL, &r, err))
        return false;
    if (db_null(r, 0, 0) || !clock_parse(db_text(r, 0, 0), &ms))
        ms = 0;
    clock_text(after->given && after->number > ms ? after->number : ms, out);
    return true;
}

static bool
write_all_events(struct request *rq, struct err *err)
{
    const struct query_value *q = rq->values;
    struct place before = place_before(q[QA_BEFORE_SEQ].number), last = {0};
    char since[CLOCK_TEXT_LEN];
    struct stretch s = {
        .since = since,
        .after = place_after(q[QA_AFTER_SEQ].number),
        .before = q[QA_BEFORE_SEQ].given ? &before : NULL,
        .back = q[QA_BEFORE_SEQ].given,
        .limit = q[QA_LIMIT].number,
        .count_to = count_to(q),
    };
    bool everything =
        q[QA_AFTER_SEQ].number == 0 && (!s.back || q[QA_BEFORE_SEQ].number == CURSOR_MAX);
    int64_t limit = s.limit, n;
    AUTO_DB_RESULT *r = NULL;
    struct buf *b;

    /* A page that shows as much as is counted, and one more, counts by itself. */
    if (everything && limit + 1 >= s.count_to) {
        s.limit = s.count_to;
        s.count_to = 0;
    }
    if (!read_since(rq, since, err) || !read_stretch(rq, &s, &r, err))
        return false;
    b = reply_json(rq, 200);
    buf_lit(b, "{\"data\":[");
    n = write_events(r, true, limit, b);
    if (n >= limit)
        last = place_of_last(r, (int)limit + 1, &s);
    if (last.skip > CURSOR_SKIP_MAX && !write_rest(rq, &s, &last, b, err))
        return false;
    buf_printf(b, "],\"total\":%lld,\"limit\":%lld",
               s.count_to ? (long long)db_int(r, 0, COL_TOTAL) : db_rows(r) - 1LL,
               (long long)limit);
    if (n >= limit)
        buf_printf(b, ",\"nextCursor\":%lld", (long long)cursor_of(&last, s.back));
    buf_char(b, '}');
    return true;
}

static bool
write_run_events(struct request *rq, struct err *err)
{
    int64_t limit = rq->values[QA_LIMIT].number, n;
    AUTO_DB_RESULT *r = NULL;
    struct buf *b;

    if (!read_run_events(rq, &r, err))
        return false;
    b = reply_json(rq, 200);
    buf_lit(b, "{\"data\":[");
    n = write_events(r, true, limit, b);
    buf_printf(b, "],\"total\":%s,\"limit\":%lld", db_text(r, 0, COL_TOTAL), (long long)limit);
    if (n >= limit)
        buf_printf(b, ",\"nextCursor\":%s", db_text(r, db_rows(r) - 1, EVENT_COL_SEQ));
    buf_char(b, '}');
    return true;
}

/* Cursors are numbers of events inside a run; false when they cannot be and were refused. */
static bool
are_numbers_of_a_run(struct request *rq)
{
    const struct query_value *q = rq->values;
    bool after = q[QA_AFTER_SEQ].number > EVENT_SEQ_MAX;
    bool before = q[QA_BEFORE_SEQ].number > EVENT_SEQ_MAX;

    if (!after && !before)
        return true;
    reply_validation(rq, !before  ? "\"afterSeq must not be greater than 2147483647\""
                         : !after ? "\"beforeSeq must not be greater than 2147483647\""
                                  : "\"afterSeq must not be greater than 2147483647\","
                                    "\"beforeSeq must not be greater than 2147483647\"");
    return false;
}

/* In rising order; behind a beforeSeq the newest first. */
bool
events_list(struct request *rq, struct err *err)
{
    if (!rq->values[QA_RUN_ID].text)
        return write_all_events(rq, err);
    return !are_numbers_of_a_run(rq) || write_run_events(rq, err);
}
