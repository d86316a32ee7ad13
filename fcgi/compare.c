/*
 * compare.c - POST /runs/compare.
 *
 * Both states are read as the state endpoint gives them; lists are short (a run has at most some
 * hundred participants and 200 signals), so looking through them again and again is fine.
 */
#include <stdio.h>
#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/metrics_row.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_fold.h"
#include "shared/json.h"
#include "shared/uuid.h"

// clang-format off
static const struct field compare_fields[] = {
    {"leftRunId",  FIELD_UUID,   FIELD_REQUIRED, 0, NULL, NULL, NULL, 0},
    {"rightRunId", FIELD_UUID,   FIELD_REQUIRED, 0, NULL, NULL, NULL, 0},
    {NULL,         FIELD_STRING, 0,              0, NULL, NULL, NULL, 0},
};
// clang-format on

const struct body_schema compare_schema = {compare_fields, false, NULL};

struct side {
    char status[32];
    char run_id[UUID_LEN];
    bool has_duration;
    int64_t duration_ms;
    json_t *state;
};

static void
side_fini(struct side *s)
{
    json_decref(s->state);
}

static bool
side_read(struct request *rq, const char *run_id, struct side *out, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    AUTO_BUF text = {0};
    struct metrics m;
    struct db_args a;
    bool found = false;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    if (!request_query(rq, rq->db, SQL_RUN_METRICS, &a, &r, err) ||
        !run_fold_state(rq, run_id, &text, &found, err))
        return false;
    if (!found || db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", run_id);
    uuid_lower(run_id, out->run_id);
    snprintf(out->status, sizeof out->status, "%s", db_text(r, 0, METRICS_COL_STATUS));
    metrics_row_read(r, 0, &m);
    out->has_duration = m.has_events;
    out->duration_ms = m.last_event_ms - m.first_event_ms;
    out->state = jv_parse(buf_cstr(&text), text.len);
    return true;
}

static void
write_side(const char *name, const struct side *s, struct buf *b)
{
    const char *mode = jv_cstr(jv_get(jv_get(s->state, "run"), "modeName"));

    buf_printf(b, "\"%s\":{\"runId\":\"%s\",\"status\":\"%s\"", name, s->run_id, s->status);
    if (mode) {
        buf_lit(b, ",\"modeName\":");
        buf_json(b, mode);
    }
    if (s->has_duration)
        buf_printf(b, ",\"durationMs\":%lld", (long long)s->duration_ms);
    buf_lit(b, "},");
}

/* --- differences ------------------------------------------------------------------------------ */

static bool
holds(const json_t *list, const char *key, const char *value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = jv_cstr(jv_get(json_array_get(list, i), key));

        if (text && strcmp(text, value) == 0)
            return true;
    }
    return false;
}

/* The distinct values of key in list that are (or are not) in other, in the order of list. */
static void
write_values(const char *name, const json_t *list, const json_t *other, const char *key,
             bool in_other, struct buf *b)
{
    const char *comma = "";
    json_t *item;
    size_t i;

    buf_printf(b, "\"%s\":[", name);
    json_array_foreach (list, i, item) {
        const char *value = jv_cstr(jv_get(item, key));

        if (!value || holds(list, key, value, i) ||
            holds(other, key, value, json_array_size(other)) != in_other)
            continue;
        buf_str(b, comma);
        buf_json(b, value);
        comma = ",";
    }
    buf_char(b, ']');
}

static bool
confidence(const struct side *s, double *out)
{
    return jv_opt_num(jv_get(jv_get(jv_get(s->state, "decision"), "current"), "confidence"), out);
}

static void
write_differences(const struct side *left, const struct side *right, struct buf *b)
{
    const json_t *people[] = {jv_get(left->state, "participants"),
                              jv_get(right->state, "participants")};
    const json_t *signals[] = {jv_get(jv_get(left->state, "signals"), "signals"),
                               jv_get(jv_get(right->state, "signals"), "signals")};
    double from, to;

    buf_printf(b, "\"statusMatch\":%s,",
               strcmp(left->status, right->status) == 0 ? "true" : "false");
    if (left->has_duration && right->has_duration)
        buf_printf(b, "\"durationDeltaMs\":%lld,",
                   (long long)(right->duration_ms - left->duration_ms));
    if (confidence(left, &from) && confidence(right, &to)) {
        buf_lit(b, "\"confidenceDelta\":");
        jv_write_number(b, to - from);
        buf_char(b, ',');
    }
    buf_lit(b, "\"participantsDiff\":{");
    write_values("added", people[1], people[0], "participantId", false, b);
    buf_char(b, ',');
    write_values("removed", people[0], people[1], "participantId", false, b);
    buf_char(b, ',');
    write_values("common", people[0], people[1], "participantId", true, b);
    buf_lit(b, "},\"signalsDiff\":{");
    write_values("added", signals[1], signals[0], "name", false, b);
    buf_char(b, ',');
    write_values("removed", signals[0], signals[1], "name", false, b);
    buf_lit(b, "}}");
}

bool
runs_compare(struct request *rq, struct err *err)
{
    CLEANUP(side_fini) struct side left = {0};
    CLEANUP(side_fini) struct side right = {0};
    struct buf *b;

    if (!side_read(rq, jv_cstr(jv_get(rq->document, "leftRunId")), &left, err) ||
        !side_read(rq, jv_cstr(jv_get(rq->document, "rightRunId")), &right, err))
        return false;
    b = reply_json(rq, 201);
    buf_char(b, '{');
    write_side("left", &left, b);
    write_side("right", &right, b);
    write_differences(&left, &right, b);
    return true;
}
