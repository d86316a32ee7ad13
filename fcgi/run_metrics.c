/* run_metrics.c - GET /runs/:id/metrics and GET /runs/:id/traces. */
#include <stdio.h>
#include <string.h>

#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/metrics_row.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_fold.h"
#include "shared/clock.h"
#include "shared/json.h"

bool
metrics_row_read(const struct db_result *r, int row, struct metrics *out)
{
    int col = METRICS_COL_FIRST;

    *out = (struct metrics){0};
    if (db_null(r, row, col))
        return false;
    out->event_count = db_int(r, row, col++);
    out->message_count = db_int(r, row, col++);
    out->signal_count = db_int(r, row, col++);
    out->proposal_count = db_int(r, row, col++);
    out->tool_call_count = db_int(r, row, col++);
    out->decision_count = db_int(r, row, col++);
    out->stream_reconnect_count = db_int(r, row, col++);
    out->prompt_tokens = db_double(r, row, col++);
    out->completion_tokens = db_double(r, row, col++);
    out->total_tokens = db_double(r, row, col++);
    out->estimated_cost_usd = db_double(r, row, col++);
    out->has_events = clock_parse(db_text(r, row, col), &out->first_event_ms) &&
                      clock_parse(db_text(r, row, col + 1), &out->last_event_ms);
    col += 2;
    snprintf(out->session_state, sizeof out->session_state, "%s", db_text(r, row, col));
    return true;
}

static bool
read_run(struct request *rq, struct db_result **out, struct err *err)
{
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    if (!request_query(rq, rq->db, SQL_RUN_METRICS, &a, out, err))
        return false;
    return db_rows(*out) > 0 || err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
}

bool
run_metrics_get(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct metrics m;

    if (!read_run(rq, &r, err))
        return false;
    metrics_row_read(r, 0, &m);
    metrics_write(&m, db_text(r, 0, METRICS_COL_ID), true, reply_json(rq, 200));
    return true;
}

/* The trace section of the state, with the run's own status and source in it. */
bool
run_traces_get(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    AUTO_JSON *state = NULL;
    AUTO_BUF text = {0};
    json_t *trace;
    bool found;

    if (!read_run(rq, &r, err) || !run_fold_state(rq, rq->params[0], &text, &found, err))
        return false;
    state = jv_parse(buf_cstr(&text), text.len);
    trace = jv_get(state, "trace");
    if (!found || !json_is_object(trace)) /* deleted between the two statements */
        return err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    json_object_set_new(trace, "runStatus", json_string(db_text(r, 0, METRICS_COL_STATUS)));
    if (!db_null(r, 0, METRICS_COL_SOURCE_REF))
        json_object_set_new(trace, "scenarioRef",
                            json_string(db_text(r, 0, METRICS_COL_SOURCE_REF)));
    jv_write(reply_json(rq, 200), trace);
    return true;
}
