#include "observerd/batch.h"

#include <stdlib.h>

static const struct {
    enum sql_id statement;
    int n_columns;
    enum column_type columns[ROWS_MAX_COLUMNS];
} layouts[BATCH_TABLE__COUNT] = {
    /* run_key, fence, old_cursor, new_cursor, old_seq, new_seq */
    [BATCH_GUARD] = {SQL_BATCH_GUARD,
                     6,
                     {COLUMN_INT8, COLUMN_INT8, COLUMN_INT8, COLUMN_INT8, COLUMN_INT4,
                      COLUMN_INT4}},
    /* run_key, day, seq, source, epoch, ordinal, message_id, sender, message_type, mode,
     * received_at, sent_at, undecodable, body */
    [BATCH_RAW] = {SQL_BATCH_RAW,
                   14,
                   {COLUMN_INT8, COLUMN_DATE, COLUMN_INT4, COLUMN_TEXT, COLUMN_INT4, COLUMN_INT8,
                    COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TIMESTAMPTZ,
                    COLUMN_TIMESTAMPTZ, COLUMN_BOOL, COLUMN_BYTEA}},
    /* run_key, day, seq, ts, type, subject_kind, subject_id, source_kind, source_name, raw_type,
     * sender, trace_id, span_id, data */
    [BATCH_CANONICAL] = {SQL_BATCH_CANONICAL,
                         14,
                         {COLUMN_INT8, COLUMN_DATE, COLUMN_INT4, COLUMN_TIMESTAMPTZ, COLUMN_TEXT,
                          COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT,
                          COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT, COLUMN_JSONB}},
    /* run_key, session_id, runtime_kind, mode_name, mode_version, configuration_version,
     * policy_version, initiator, participants, context_id, extension_keys, session_state,
     * capabilities, started_at, expires_at, seen_at */
    [BATCH_BOUND] = {SQL_BATCH_BOUND,
                     16,
                     {COLUMN_INT8, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT,
                      COLUMN_TEXT, COLUMN_TEXT, COLUMN_JSON, COLUMN_TEXT, COLUMN_JSON, COLUMN_TEXT,
                      COLUMN_JSON, COLUMN_TIMESTAMPTZ, COLUMN_TIMESTAMPTZ, COLUMN_TIMESTAMPTZ}},
    /* run_key, id, kind, label, inline */
    [BATCH_ARTIFACTS] = {SQL_BATCH_ARTIFACTS,
                         5,
                         {COLUMN_INT8, COLUMN_UUID, COLUMN_TEXT, COLUMN_TEXT, COLUMN_JSON}},
    /* run_key, kind, epoch, from_ordinal, to_ordinal, from_ts, to_ts, detail */
    [BATCH_GAPS] = {SQL_BATCH_GAPS,
                    8,
                    {COLUMN_INT8, COLUMN_TEXT, COLUMN_INT4, COLUMN_INT8, COLUMN_INT8,
                     COLUMN_TIMESTAMPTZ, COLUMN_TIMESTAMPTZ, COLUMN_TEXT}},
    /* run_key */
    [BATCH_REFOLDED] = {SQL_BATCH_REFOLDED, 1, {COLUMN_INT8}},
    /* run_key, ambient_key: of envelopes that are events now */
    [BATCH_AMBIENT] = {SQL_BATCH_AMBIENT, 2, {COLUMN_INT8, COLUMN_INT8}},
    /* run_key, id, actor_type, action, resource */
    [BATCH_COMMANDS] = {SQL_BATCH_COMMANDS,
                        5,
                        {COLUMN_INT8, COLUMN_INT8, COLUMN_TEXT, COLUMN_TEXT, COLUMN_TEXT}},
    /* run_key, step, event, body */
    [BATCH_WEBHOOKS] = {SQL_BATCH_WEBHOOKS,
                        4,
                        {COLUMN_INT8, COLUMN_INT4, COLUMN_TEXT, COLUMN_TEXT}},
    /* run_key, status, transitions, started_at, ended_at, error_message, failure_reason,
     * outcome_positive, metadata */
    [BATCH_RUNS] = {SQL_BATCH_RUNS,
                    9,
                    {COLUMN_INT8, COLUMN_TEXT, COLUMN_INT4, COLUMN_TIMESTAMPTZ, COLUMN_TIMESTAMPTZ,
                     COLUMN_TEXT, COLUMN_TEXT, COLUMN_BOOL, COLUMN_JSON}},
    /* run_key, epoch, session_state, session_started_ms, session_expires_ms, observer_state,
     * poll_remaining_ms, closed */
    [BATCH_OBSERVERS] = {SQL_BATCH_OBSERVERS,
                         8,
                         {COLUMN_INT8, COLUMN_INT4, COLUMN_TEXT, COLUMN_INT8, COLUMN_INT8,
                          COLUMN_TEXT, COLUMN_INT8, COLUMN_BOOL}},
    /* run_key, session_state, expires_at, seen_at */
    [BATCH_SESSIONS] = {SQL_BATCH_SESSIONS,
                        4,
                        {COLUMN_INT8, COLUMN_TEXT, COLUMN_TIMESTAMPTZ, COLUMN_TIMESTAMPTZ}},
    /* run_key, seven counts, four sums, first_event_at, last_event_at, session_state, frozen,
     * ended */
    [BATCH_METRICS] = {SQL_BATCH_METRICS,
                       17,
                       {COLUMN_INT8, COLUMN_INT8, COLUMN_INT8, COLUMN_INT8, COLUMN_INT8,
                        COLUMN_INT8, COLUMN_INT8, COLUMN_INT8, COLUMN_FLOAT8, COLUMN_FLOAT8,
                        COLUMN_FLOAT8, COLUMN_FLOAT8, COLUMN_TIMESTAMPTZ, COLUMN_TIMESTAMPTZ,
                        COLUMN_TEXT, COLUMN_BOOL, COLUMN_BOOL}},
    /* run_key, version, the sections in their order */
    [BATCH_PROJECTIONS] = {SQL_BATCH_PROJECTIONS,
                           2 + PROJECTION__COUNT,
                           {COLUMN_INT8, COLUMN_INT4, COLUMN_JSON, COLUMN_JSON, COLUMN_JSON,
                            COLUMN_JSON, COLUMN_JSON, COLUMN_JSON, COLUMN_JSON, COLUMN_JSON,
                            COLUMN_JSON, COLUMN_JSON, COLUMN_JSON}},
};

_Static_assert(PROJECTION__COUNT == 11, "one column per section above");

/* The columns of fact tables are those that facts.c fills, behind the run key. */
static const enum sql_id fact_statements[FACT__COUNT] = {
    [FACT_DECISION] = SQL_BATCH_FACT_DECISIONS,
    [FACT_VOTE] = SQL_BATCH_FACT_VOTES,
    [FACT_SIGNAL] = SQL_BATCH_FACT_SIGNALS,
    [FACT_ACKNOWLEDGEMENT] = SQL_BATCH_FACT_ACKNOWLEDGEMENTS,
    [FACT_LLM_CALL] = SQL_BATCH_FACT_LLM_CALLS,
    [FACT_PARTICIPANT] = SQL_BATCH_FACT_PARTICIPANTS,
};

static const enum column_type fact_column_types[] = {
    [FACT_INT4] = COLUMN_INT4,     [FACT_INT8] = COLUMN_INT8,        [FACT_BOOL] = COLUMN_BOOL,
    [FACT_DOUBLE] = COLUMN_FLOAT8, [FACT_TIME] = COLUMN_TIMESTAMPTZ, [FACT_TEXT] = COLUMN_TEXT,
    [FACT_KEY] = COLUMN_TEXT,
};

static bool
is_fact(enum batch_table t)
{
    return t >= BATCH_FACTS && t <= BATCH_FACTS_LAST;
}

static enum sql_id
statement_of(enum batch_table t)
{
    return is_fact(t) ? fact_statements[t - BATCH_FACTS] : layouts[t].statement;
}

static void
init_table(struct rows *rows, enum batch_table t)
{
    enum column_type columns[1 + FACTS_MAX_COLUMNS] = {COLUMN_INT8};
    const struct fact_layout *layout;

    if (!is_fact(t)) {
        rows_init(rows, layouts[t].columns, layouts[t].n_columns);
        return;
    }
    layout = &fact_layouts[t - BATCH_FACTS];
    for (int i = 0; i < layout->n; i++)
        columns[1 + i] = fact_column_types[layout->columns[i].type];
    rows_init(rows, columns, 1 + layout->n);
}

/* Tables that are filled from the runs' entries when the batch is sent. */
static bool
is_latest_value(enum batch_table t)
{
    return t == BATCH_GUARD || t >= BATCH_RUNS;
}

void
batch_init(struct batch *b)
{
    *b = (struct batch){0};
    for (int t = 0; t < BATCH_TABLE__COUNT; t++)
        init_table(&b->tables[t], (enum batch_table)t);
}

static void
run_clear(struct batch_run *r)
{
    free(r->error_message);
    free(r->metadata);
    if (r->projection) {
        for (int i = 0; i < PROJECTION__COUNT; i++)
            buf_fini(&r->projection->sections[i]);
        free(r->projection);
    }
}

void
batch_fini(struct batch *b)
{
    batch_reset(b);
    for (int t = 0; t < BATCH_TABLE__COUNT; t++)
        rows_fini(&b->tables[t]);
    free(b->runs);
    free(b->received_us);
    buf_fini(&b->log);
    *b = (struct batch){0};
}

void
batch_reset(struct batch *b)
{
    for (int t = 0; t < BATCH_TABLE__COUNT; t++)
        rows_reset(&b->tables[t]);
    for (size_t i = 0; i < b->n_runs; i++)
        run_clear(&b->runs[i]);
    b->n_runs = 0;
    b->n_dropped = 0;
    b->events = 0;
    b->state_bytes = 0;
    b->n_received = 0;
}

bool
batch_is_empty(const struct batch *b)
{
    return b->n_runs == b->n_dropped;
}

size_t
batch_bytes(const struct batch *b)
{
    return rows_bytes(&b->tables[BATCH_RAW]) + rows_bytes(&b->tables[BATCH_CANONICAL]) +
           b->state_bytes;
}

void
batch_note_received(struct batch *b, int64_t mono_us)
{
    if (b->n_received == b->cap_received) {
        b->cap_received = b->cap_received ? b->cap_received * 2 : 256;
        b->received_us = xrealloc(b->received_us, b->cap_received * sizeof *b->received_us);
    }
    b->received_us[b->n_received++] = mono_us;
}

struct batch_run *
batch_run_entry(struct batch *b, uint64_t *serial, size_t *index, int64_t run_key, int64_t cursor,
                int64_t seq)
{
    struct batch_run *r;

    if (*serial == b->serial && *index < b->n_runs && b->runs[*index].run_key == run_key)
        return &b->runs[*index];
    if (b->n_runs == b->cap_runs) {
        b->cap_runs = b->cap_runs ? b->cap_runs * 2 : 64;
        b->runs = xrealloc(b->runs, b->cap_runs * sizeof *b->runs);
    }
    *serial = b->serial;
    *index = b->n_runs;
    r = &b->runs[b->n_runs++];
    *r = (struct batch_run){
        .run_key = run_key,
        .old_cursor = cursor,
        .new_cursor = cursor,
        .old_seq = seq,
        .new_seq = seq,
        .outcome_positive = -1,
        .poll_remaining_ms = -1,
    };
    return r;
}

struct batch_projection *
batch_projection_start(struct batch_run *r, int64_t version)
{
    if (!r->projection)
        r->projection = xcalloc(1, sizeof *r->projection);
    r->projection->version = version;
    for (int i = 0; i < PROJECTION__COUNT; i++)
        buf_reset(&r->projection->sections[i]);
    return r->projection;
}

void
batch_add_fact(struct batch *b, int64_t run_key, const struct fact *f)
{
    struct rows *t = &b->tables[BATCH_FACTS + (int)f->table];
    const struct fact_layout *layout = &fact_layouts[f->table];

    rows_int8(t, run_key);
    for (int i = 0; i < layout->n; i++) {
        const struct fact_value *v = &f->values[i];

        if (v->null) {
            rows_null(t);
            continue;
        }
        switch (layout->columns[i].type) {
        case FACT_INT4:
            rows_int4(t, v->integer);
            break;
        case FACT_INT8:
            rows_int8(t, v->integer);
            break;
        case FACT_BOOL:
            rows_bool(t, v->truth);
            break;
        case FACT_DOUBLE:
            rows_float8(t, v->number);
            break;
        case FACT_TIME:
            rows_time(t, v->integer);
            break;
        case FACT_TEXT:
        case FACT_KEY:
            rows_bytes_value(t, v->text.p, v->text.n);
            break;
        }
    }
}

void
batch_replace_facts(struct batch *b, int64_t run_key, const struct batch *facts)
{
    for (int t = BATCH_FACTS; t <= BATCH_FACTS_LAST; t++) {
        rows_drop_run(&b->tables[t], run_key);
        rows_copy_run(&facts->tables[t], run_key, &b->tables[t]);
    }
    rows_int8(&b->tables[BATCH_REFOLDED], run_key);
}

size_t
batch_fact_bytes(const struct batch *b)
{
    size_t n = 0;

    for (int t = BATCH_FACTS; t <= BATCH_FACTS_LAST; t++)
        n += rows_bytes(&b->tables[t]);
    return n;
}

void
batch_drop_run(struct batch *b, int64_t run_key)
{
    size_t found = b->n_runs;

    for (size_t i = 0; i < b->n_runs && found == b->n_runs; i++)
        if (b->runs[i].run_key == run_key)
            found = i;
    if (found == b->n_runs)
        return;
    for (int t = 0; t < BATCH_TABLE__COUNT; t++)
        if (!is_latest_value((enum batch_table)t))
            rows_drop_run(&b->tables[t], run_key);
    run_clear(&b->runs[found]);
    b->runs[found] = (struct batch_run){0};
    b->n_dropped++;
}

void
batch_split_first(struct batch *b, struct batch *out)
{
    size_t i = 0;
    struct batch_run first;

    while (!b->runs[i].run_key)
        i++;
    first = b->runs[i];
    for (int t = 0; t < BATCH_TABLE__COUNT; t++)
        if (!is_latest_value((enum batch_table)t))
            rows_copy_run(&b->tables[t], first.run_key, &out->tables[t]);
    if (!out->cap_runs) {
        out->cap_runs = 1;
        out->runs = xmalloc(sizeof *out->runs);
    }
    out->runs[0] = first;
    out->n_runs = 1;
    /* The entry moved out whole; what it owns must not be freed here. */
    b->runs[i].error_message = NULL;
    b->runs[i].metadata = NULL;
    b->runs[i].projection = NULL;
    batch_drop_run(b, first.run_key);
}

/* --- sending ----------------------------------------------------------------------------- */

static void
int8_or_null(struct rows *t, int64_t v)
{
    if (v)
        rows_int8(t, v);
    else
        rows_null(t);
}

static void
add_guard(struct rows *t, const struct batch_run *r)
{
    rows_int8(t, r->run_key);
    rows_int8(t, r->fence);
    rows_int8(t, r->old_cursor);
    rows_int8(t, r->new_cursor);
    rows_int4(t, r->old_seq);
    rows_int4(t, r->new_seq);
}

static void
add_run(struct rows *t, const struct batch_run *r)
{
    rows_int8(t, r->run_key);
    rows_text(t, run_status_name(r->status));
    rows_int4(t, r->transitions);
    rows_time_or_null(t, r->started_ms);
    rows_time_or_null(t, r->ended_ms);
    rows_text(t, r->error_message);
    rows_text(t, r->failure_reason);
    if (r->outcome_positive < 0)
        rows_null(t);
    else
        rows_bool(t, r->outcome_positive);
    rows_text(t, r->metadata);
}

static void
add_observer(struct rows *t, const struct batch_run *r)
{
    rows_int8(t, r->run_key);
    rows_int4(t, r->epoch);
    rows_text(t, r->session_state);
    int8_or_null(t, r->session_started_ms);
    int8_or_null(t, r->session_expires_ms);
    rows_text(t, r->observer_state);
    if (r->poll_remaining_ms < 0)
        rows_null(t);
    else
        rows_int8(t, r->poll_remaining_ms);
    rows_bool(t, r->closed);
}

static void
add_session(struct rows *t, const struct batch_run *r)
{
    rows_int8(t, r->run_key);
    rows_text(t, r->session_state);
    rows_time_or_null(t, r->session_expires_ms);
    rows_time_or_null(t, r->seen_ms);
}

static void
add_metrics(struct rows *t, const struct batch_run *r)
{
    const struct metrics *m = &r->metrics;

    rows_int8(t, r->run_key);
    rows_int8(t, m->event_count);
    rows_int8(t, m->message_count);
    rows_int8(t, m->signal_count);
    rows_int8(t, m->proposal_count);
    rows_int8(t, m->tool_call_count);
    rows_int8(t, m->decision_count);
    rows_int8(t, m->stream_reconnect_count);
    rows_float8(t, m->prompt_tokens);
    rows_float8(t, m->completion_tokens);
    rows_float8(t, m->total_tokens);
    rows_float8(t, m->estimated_cost_usd);
    rows_time_or_null(t, m->has_events ? m->first_event_ms : 0);
    rows_time_or_null(t, m->has_events ? m->last_event_ms : 0);
    rows_text(t, m->session_state[0] ? m->session_state : NULL);
    rows_bool(t, m->frozen);
    rows_bool(t, m->ended);
}

static void
add_projection(struct rows *t, const struct batch_run *r)
{
    rows_int8(t, r->run_key);
    rows_int4(t, r->projection->version);
    for (int i = 0; i < PROJECTION__COUNT; i++)
        rows_bytes_value(t, buf_cstr(&r->projection->sections[i]), r->projection->sections[i].len);
}

static void
fill_latest_values(struct batch *b)
{
    for (int t = 0; t < BATCH_TABLE__COUNT; t++)
        if (is_latest_value((enum batch_table)t))
            rows_reset(&b->tables[t]);
    for (size_t i = 0; i < b->n_runs; i++) {
        const struct batch_run *r = &b->runs[i];

        if (!r->run_key)
            continue;
        add_guard(&b->tables[BATCH_GUARD], r);
        if (r->transitions || r->metadata)
            add_run(&b->tables[BATCH_RUNS], r);
        if (r->observer)
            add_observer(&b->tables[BATCH_OBSERVERS], r);
        if (r->session)
            add_session(&b->tables[BATCH_SESSIONS], r);
        if (r->metrics_dirty)
            add_metrics(&b->tables[BATCH_METRICS], r);
        if (r->projection)
            add_projection(&b->tables[BATCH_PROJECTIONS], r);
    }
}

bool
batch_store(struct batch *b, struct db *db, struct err *err)
{
    struct db_args args[BATCH_TABLE__COUNT];

    fill_latest_values(b);
    db_pipeline_begin(db);
    for (int t = 0; t < BATCH_TABLE__COUNT; t++) {
        if (!b->tables[t].n)
            continue;
        db_args_init(&args[t]);
        rows_args(&b->tables[t], &args[t]);
        db_pipeline_add(db, statement_of((enum batch_table)t), &args[t]);
    }
    return db_pipeline_commit(db, NULL, 0, err);
}

bool
batch_store_locked(struct batch *b, struct db *db, struct err *err)
{
    fill_latest_values(b);
    for (int t = BATCH_GUARD + 1; t < BATCH_TABLE__COUNT; t++) {
        struct db_args args;

        if (!b->tables[t].n)
            continue;
        db_args_init(&args);
        rows_args(&b->tables[t], &args);
        if (!db_run(db, statement_of((enum batch_table)t), &args, NULL, err))
            return false;
    }
    return true;
}

int
batch_quarantine(struct batch *b, struct db *db, struct err *err)
{
    static const char placeholder[] = "{\"undecodable\": true}";
    enum { DATA = 13 };
    struct rows *t = &b->tables[BATCH_CANONICAL];
    int replaced = 0;

    for (int row = 0; row < t->n; row++) {
        struct db_args args;
        size_t n;
        const char *value = rows_value(t, DATA, row, &n);

        db_args_init(&args);
        db_arg_bin(&args, value, n);
        if (db_run(db, SQL_JSON_CHECK, &args, NULL, err))
            continue;
        if (err->code == ERR_DB)
            return -1;
        rows_replace_jsonb(t, DATA, row, placeholder, sizeof placeholder - 1);
        replaced++;
    }
    return replaced;
}
