/* export.c - GET /runs/:id/export and GET /runs/:id/export/stream. */
#include "fcgi/export.h"

#include <string.h>

#include "fcgi/artifacts.h"
#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/metrics_row.h"
#include "fcgi/raw_row.h"
#include "fcgi/reply.h"
#include "fcgi/row_members.h"
#include "fcgi/run_fold.h"
#include "fcgi/run_row.h"
#include "shared/clock.h"
#include "shared/uuid.h"

enum {
    EXPORT_PAGE_ROWS = 200,
    EXPORT_PAGE_BYTES = 1 << 20, /* of payload, as stored: compressed */
};

/* --- parts of the bundle ------------------------------------------------------------------------
 */

/* One statement whose only argument is the run. */
static bool
read_part(struct request *rq, enum sql_id id, const char *run_id, struct db_result **out,
          struct err *err)
{
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    return request_query(rq, rq->db, id, &a, out, err);
}

static bool
write_session(struct request *rq, const char *run_id, struct buf *out, struct err *err)
{
    static const struct member members[] = {
        {"runId", MEMBER_TEXT, 0, false, NULL},
        {"runtimeKind", MEMBER_TEXT, 1, false, NULL},
        {"runtimeSessionId", MEMBER_TEXT, 2, false, NULL},
        {"modeName", MEMBER_TEXT, 3, false, NULL},
        {"modeVersion", MEMBER_TEXT, 4, false, NULL},
        {"configurationVersion", MEMBER_TEXT, 5, false, NULL},
        {"policyVersion", MEMBER_TEXT, 6, false, NULL},
        {"initiatorParticipantId", MEMBER_TEXT, 7, false, NULL},
        {"sessionState", MEMBER_TEXT, 8, false, NULL},
        {"expiresAt", MEMBER_TIME, 9, false, NULL},
        {"lastSeenAt", MEMBER_TIME, 10, false, NULL},
        {"capabilities", MEMBER_RAW, 11, false, NULL},
        {"lastStreamCursor", MEMBER_RAW, 12, false, NULL},
        {"streamConnectedAt", MEMBER_FIXED, 0, false, "null"},
        {"streamDisconnectedAt", MEMBER_FIXED, 0, false, "null"},
        {"metadata", MEMBER_RAW, 13, false, NULL},
        {"createdAt", MEMBER_TIME, 14, false, NULL},
        {"updatedAt", MEMBER_TIME, 15, false, NULL},
        {0},
    };
    AUTO_DB_RESULT *r = NULL;

    if (!read_part(rq, SQL_SESSION_GET, run_id, &r, err))
        return false;
    if (db_rows(r) > 0)
        row_object(r, 0, members, out);
    else
        buf_lit(out, "null");
    return true;
}

static bool
write_metrics(struct request *rq, const char *run_id, struct buf *out, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct metrics m;

    if (!read_part(rq, SQL_RUN_METRICS, run_id, &r, err))
        return false;
    if (db_rows(r) > 0 && metrics_row_read(r, 0, &m))
        metrics_write(&m, run_id, false, out);
    else
        buf_lit(out, "null");
    return true;
}

static bool
write_gaps(struct request *rq, const char *run_id, struct buf *out, struct err *err)
{
    static const struct member members[] = {
        {"kind", MEMBER_TEXT, 0, false, NULL},
        {"epoch", MEMBER_RAW, 1, true, NULL},
        {"fromOrdinal", MEMBER_RAW, 2, true, NULL},
        {"toOrdinal", MEMBER_RAW, 3, true, NULL},
        {"fromTs", MEMBER_TIME, 4, true, NULL},
        {"toTs", MEMBER_TIME, 5, true, NULL},
        {"detail", MEMBER_TEXT, 6, true, NULL},
        {"notedAt", MEMBER_TIME, 7, false, NULL},
        {0},
    };
    AUTO_DB_RESULT *r = NULL;

    if (!read_part(rq, SQL_GAPS_LIST, run_id, &r, err))
        return false;
    rows_array(r, members, out);
    return true;
}

/* Everything but the events, as members without braces. */
static bool
write_frame(struct request *rq, const char *run_id, struct buf *out, struct err *err)
{
    AUTO_DB_RESULT *run = NULL;
    bool found;

    if (!read_part(rq, SQL_RUN_GET, run_id, &run, err))
        return false;
    if (db_rows(run) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", run_id);
    buf_lit(out, "\"run\":");
    run_row_write_export(run, 0, out);
    buf_lit(out, ",\"session\":");
    if (!write_session(rq, run_id, out, err))
        return false;
    buf_lit(out, ",\"projection\":");
    if (!run_fold_state(rq, run_id, out, &found, err))
        return false;
    if (!found) /* deleted meanwhile */
        return err_set(err, ERR_NOT_FOUND, "run %s not found", run_id);
    buf_lit(out, ",\"metrics\":");
    if (!write_metrics(rq, run_id, out, err))
        return false;
    buf_lit(out, ",\"artifacts\":");
    if (!artifacts_write(rq, run_id, false, out, &found, err))
        return false;
    buf_lit(out, ",\"gaps\":");
    return write_gaps(rq, run_id, out, err);
}

static void
write_exported_at(struct buf *out)
{
    char now[CLOCK_TEXT_LEN];

    buf_printf(out, ",\"exportedAt\":\"%s\"}", clock_text(clock_wall_ms(), now));
}

/* --- events -------------------------------------------------------------------------------------
 */

/* The two logs of a run: how to read a page, how to write a row. */
struct log {
    enum sql_id page;
    int seq_col;
    void (*write)(const struct db_result *r, int row, const char *run_id, bool as_line,
                  struct buf *out);
};

static void
write_canonical(const struct db_result *r, int row, const char *run_id, bool as_line,
                struct buf *out)
{
    if (as_line)
        event_row_write_line(r, row, run_id, out);
    else
        event_row_write(r, row, run_id, out);
}

static const struct log canonical_log = {SQL_EXPORT_CANONICAL, EVENT_COL_SEQ, write_canonical};
static const struct log raw_log = {SQL_EXPORT_RAW, RAW_COL_SEQ, raw_row_write};

static bool
write_log(struct request *rq, const struct log *log, const char *run_id, int64_t limit,
          bool as_lines, struct err *err)
{
    struct buf *out = &rq->reply->body;
    int64_t after = 0, written = 0;

    while (written < limit) {
        int64_t left = limit - written;
        AUTO_DB_RESULT *r = NULL;
        struct db_args a;

        db_args_init(&a);
        db_arg_text(&a, run_id);
        db_arg_int(&a, after);
        db_arg_int(&a, left < EXPORT_PAGE_ROWS ? left : EXPORT_PAGE_ROWS);
        db_arg_int(&a, EXPORT_PAGE_BYTES);
        if (!request_query(rq, rq->db, log->page, &a, &r, err))
            return false;
        if (db_rows(r) == 0)
            break;
        for (int i = 0; i < db_rows(r); i++, written++) {
            if (!as_lines && written > 0)
                buf_char(out, ',');
            log->write(r, i, run_id, as_lines, out);
            if (as_lines)
                buf_char(out, '\n');
            if (!reply_flush(rq, err))
                return false;
            after = db_int(r, i, log->seq_col);
        }
    }
    return true;
}

/* --- the two forms ------------------------------------------------------------------------------
 */

bool
export_document(struct request *rq, const char *run_id, const struct export_options *options,
                struct err *err)
{
    struct buf *out = &rq->reply->body;

    buf_char(out, '{');
    if (!write_frame(rq, run_id, out, err))
        return false;
    buf_lit(out, ",\"canonicalEvents\":[");
    if (options->canonical && !write_log(rq, &canonical_log, run_id, options->limit, false, err))
        return false;
    buf_lit(out, "],\"rawEvents\":[");
    if (options->raw && !write_log(rq, &raw_log, run_id, options->limit, false, err))
        return false;
    buf_char(out, ']');
    write_exported_at(out);
    return reply_flush(rq, err);
}

bool
export_lines(struct request *rq, const char *run_id, const struct export_options *options,
             struct err *err)
{
    struct buf *out = &rq->reply->body;

    buf_lit(out, "{\"type\":\"header\",");
    if (!write_frame(rq, run_id, out, err))
        return false;
    write_exported_at(out);
    buf_char(out, '\n');
    return reply_flush(rq, err) &&
           (!options->canonical ||
            write_log(rq, &canonical_log, run_id, options->limit, true, err)) &&
           (!options->raw || write_log(rq, &raw_log, run_id, options->limit, true, err));
}

/* --- routes -------------------------------------------------------------------------------------
 */

enum { Q_CANONICAL, Q_RAW, Q_LIMIT, Q_FORMAT };

enum { EXPORT_LIMIT_MAX = 50000 };

// clang-format off
const struct query_field run_export_query[] = {
    [Q_CANONICAL] = {.name = "includeCanonical", .type = QUERY_BOOLEAN, .number = 1},
    [Q_RAW]       = {.name = "includeRaw", .type = QUERY_FLAG},
    [Q_LIMIT]     = {.name = "eventLimit", .type = QUERY_INTEGER, .min = 1, .max = EXPORT_LIMIT_MAX, .number = EXPORT_LIMIT},
    [Q_FORMAT]    = {.name = "format", .type = QUERY_STRING, .text = "json"},
    {0},
};
// clang-format on

static struct export_options
options_of(const struct request *rq)
{
    const struct query_value *q = rq->values;

    return (struct export_options){q[Q_CANONICAL].flag, q[Q_RAW].flag, q[Q_LIMIT].number};
}

bool
run_export(struct request *rq, struct err *err)
{
    struct export_options options = options_of(rq);
    char run_id[UUID_LEN];

    uuid_lower(rq->params[0], run_id);
    if (strcmp(rq->values[Q_FORMAT].text, "jsonl") == 0) {
        reply_typed(rq, 200, REPLY_LINES);
        return export_lines(rq, run_id, &options, err);
    }
    reply_json(rq, 200);
    return export_document(rq, run_id, &options, err);
}

/* All events, unless a limit was given. */
bool
run_export_stream(struct request *rq, struct err *err)
{
    struct export_options options = options_of(rq);
    char run_id[UUID_LEN];

    uuid_lower(rq->params[0], run_id);
    if (!rq->values[Q_LIMIT].given)
        options.limit = INT64_MAX;
    reply_typed(rq, 200, REPLY_LINES);
    return export_lines(rq, run_id, &options, err);
}
