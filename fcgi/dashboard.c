/* dashboard.c - GET /dashboard/overview and GET /dashboard/agents/metrics. */
#include <string.h>

#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/row_members.h"
#include "fcgi/runtime.h"
#include "shared/clock.h"

enum { Q_WINDOW, Q_RANGE, Q_FROM, Q_TO, Q_SCENARIO_REF, Q_ENVIRONMENT };

#define MINUTES(n) ((int64_t)(n)*60000)
#define HOURS(n)   MINUTES((n)*60)

static const char *const windows[] = {"15m", "1h", "6h", "24h", "7d", "30d", NULL};
static const char *const ranges[] = {"24h", "7d", "30d", NULL};

// clang-format off
const struct query_field dashboard_query[] = {
    [Q_WINDOW]       = {.name = "window", .type = QUERY_ENUM, .values = windows},
    [Q_RANGE]        = {.name = "range", .type = QUERY_ENUM, .values = ranges},
    [Q_FROM]         = {.name = "from", .type = QUERY_TIME},
    [Q_TO]           = {.name = "to", .type = QUERY_TIME},
    [Q_SCENARIO_REF] = {.name = "scenarioRef", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_ENVIRONMENT]  = {.name = "environment", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    {0},
};

static const struct window {
    const char *name;
    int64_t ms;
} lengths[] = {
    {"15m", MINUTES(15)}, {"1h", HOURS(1)}, {"6h", HOURS(6)},
    {"24h", HOURS(24)}, {"7d", HOURS(24 * 7)}, {"30d", HOURS(24 * 30)},
};
// clang-format on

static int64_t
window_ms(const struct request *rq)
{
    const char *name = rq->values[Q_WINDOW].text;

    if (!name)
        name = rq->values[Q_RANGE].text;
    for (size_t i = 0; name && i < ARRAY_LEN(lengths); i++)
        if (strcmp(lengths[i].name, name) == 0)
            return lengths[i].ms;
    return HOURS(24);
}

static const char *
bucket_of(const struct request *rq)
{
    const struct query_value *from = &rq->values[Q_FROM], *to = &rq->values[Q_TO];
    int64_t ms = window_ms(rq);

    if (!from->text)
        return ms <= HOURS(6) ? "minute" : ms <= HOURS(24) ? "hour" : "day";
    ms = (to->text ? to->number : clock_wall_ms()) - from->number;
    return ms <= HOURS(6) ? "minute" : ms <= HOURS(48) ? "hour" : "day";
}

static bool
read_overview(struct request *rq, struct db_result **out, struct err *err)
{
    const struct query_value *q = rq->values;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, q[Q_FROM].text);
    db_arg_int(&a, window_ms(rq));
    db_arg_text(&a, q[Q_TO].text);
    db_arg_text(&a, bucket_of(rq));
    db_arg_text(&a, q[Q_SCENARIO_REF].text);
    db_arg_text(&a, q[Q_ENVIRONMENT].text);
    return request_query(rq, rq->read_db, SQL_DASHBOARD_OVERVIEW, &a, out, err);
}

static bool
read_recent(struct request *rq, struct db_result **out, struct err *err)
{
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, rq->values[Q_SCENARIO_REF].text);
    db_arg_text(&a, rq->values[Q_ENVIRONMENT].text);
    return request_query(rq, rq->read_db, SQL_DASHBOARD_RECENT, &a, out, err);
}

bool
dashboard_overview(struct request *rq, struct err *err)
{
    static const struct member recent_members[] = {
        {"id", MEMBER_TEXT, 0, false, NULL},          {"status", MEMBER_TEXT, 1, false, NULL},
        {"runtimeKind", MEMBER_TEXT, 2, false, NULL}, {"sourceRef", MEMBER_TEXT, 3, true, NULL},
        {"startedAt", MEMBER_TIME, 4, true, NULL},    {"endedAt", MEMBER_TIME, 5, true, NULL},
        {"createdAt", MEMBER_TIME, 6, false, NULL},   {0},
    };
    enum { COL_KPIS, COL_CHARTS };
    AUTO_DB_RESULT *overview = NULL, *recent = NULL;
    AUTO_BUF health = {0};
    struct buf *b;

    if (!read_overview(rq, &overview, err) || !read_recent(rq, &recent, err) ||
        !runtime_health_write(rq, false, &health, err))
        return false;
    b = reply_json(rq, 200);
    buf_lit(b, "{\"kpis\":");
    row_json(overview, 0, COL_KPIS, b);
    buf_lit(b, ",\"recentRuns\":");
    rows_array(recent, recent_members, b);
    buf_lit(b, ",\"runtimeHealth\":");
    buf_add(b, health.p, health.len);
    buf_lit(b, ",\"charts\":");
    row_json(overview, 0, COL_CHARTS, b);
    buf_char(b, '}');
    return true;
}

bool
dashboard_agents(struct request *rq, struct err *err)
{
    static const struct member members[] = {
        {"participantId", MEMBER_TEXT, 0, false, NULL},
        {"runs", MEMBER_RAW, 1, false, NULL},
        {"signals", MEMBER_RAW, 2, false, NULL},
        {"messages", MEMBER_RAW, 3, false, NULL},
        {"averageConfidence", MEMBER_RAW, 4, false, NULL},
        {"averageLatencyMs", MEMBER_RAW, 5, true, NULL},
        {0},
    };
    AUTO_DB_RESULT *r = NULL;

    if (!request_query(rq, rq->read_db, SQL_DASHBOARD_AGENTS, NULL, &r, err))
        return false;
    rows_array(r, members, reply_json(rq, 200));
    return true;
}
