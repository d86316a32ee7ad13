#include "observerd/claim.h"

#include <stdlib.h>
#include <unistd.h>

#include "observerd/handover.h"
#include "observerd/session.h"
#include "observerd/spool.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"

enum { SPARE_MS = 2000 };

struct claim *
claim_new(const struct config *cfg, struct db *db)
{
    struct claim *c = xcalloc(1, sizeof *c);

    c->cfg = cfg;
    c->db = db;
    c->instances = 1;
    if (cfg->observerd_instance_id[0])
        uuid_lower(cfg->observerd_instance_id, c->instance_id);
    else
        uuid_v4(c->instance_id);
    gethostname(c->host, sizeof c->host - 1);
    c->handover = handover_new(c);
    return c;
}

void
claim_free(struct claim *c)
{
    handover_free(c->handover);
    free(c->releases);
    free(c);
}

/* Say to every shard with a spool that the runs in it have come, as far as they are ours. */
static void
settle_spools(struct claim *c)
{
    for (size_t i = 0; i < c->n_shards; i++) {
        struct mail *settled;

        if (!c->shards[i]->spool)
            continue;
        settled = xcalloc(1, sizeof *settled);
        settled->kind = SHARD_SETTLED;
        if (!shard_post(c->shards[i], settled)) {
            free(settled); /* said again with the next claims */
            return;
        }
    }
    c->settled = true;
}

/*
 * With a configured id: a process that died here must not look alive through us. What is in our
 * spools is ours to store, so we take these runs before anybody else does.
 */
static bool
join(struct claim *c, struct err *err)
{
    AUTO_BUF keys = {0}, writers = {0};
    struct db_args args;

    buf_char(&keys, '{');
    buf_char(&writers, '{');
    for (size_t i = 0; i < c->n_shards; i++)
        if (c->shards[i]->spool && spool_runs(c->shards[i]->spool, &keys))
            buf_printf(&writers, "%s%s", writers.len > 1 ? "," : "",
                       spool_writer(c->shards[i]->spool));
    buf_char(&keys, '}');
    buf_char(&writers, '}');
    db_args_init(&args);
    db_arg_text(&args, c->instance_id);
    db_arg_text(&args, buf_cstr(&keys));
    db_arg_text(&args, buf_cstr(&writers));
    if (!db_run(c->db, SQL_INSTANCE_JOIN, &args, NULL, err))
        return false;
    c->joined = true;
    c->doubt = true; /* what was taken is loaded like what was claimed without an answer */
    c->doubt_after = 0;
    return true;
}

bool
claim_heartbeat(struct claim *c, struct err *err)
{
    /* Counted from before the statement: the row may only live longer than we believe. */
    int64_t until = clock_mono_ms() + c->cfg->observerd_lease_ms;
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF effective = {0}, metrics = {0};
    char hash[CONFIG_HASH_LEN];
    int runs = 0, wanted = 0, open = 0;
    struct db_args args;

    for (size_t i = 0; i < c->n_shards; i++) {
        runs += c->shards[i]->counts.runs;
        wanted += c->shards[i]->counts.streams_wanted;
        open += c->shards[i]->counts.streams_open;
    }
    config_write_json(&effective, c->cfg);
    config_hash(c->cfg, hash);
    db_args_init(&args);
    db_arg_text(&args, c->instance_id);
    db_arg_int(&args, c->cfg->observerd_lease_ms);
    db_arg_text(&args, c->host);
    db_arg_text(&args, MACP_VERSION);
    db_arg_bool(&args, c->draining);
    db_arg_int(&args, runs);
    db_arg_int(&args, wanted);
    db_arg_int(&args, open);
    db_arg_text(&args, buf_cstr(&effective));
    db_arg_text(&args, hash);
    meter_put(METER_RUNTIME_STREAMS, wanted);
    meter_put(METER_STREAMS_OPEN, open);
    meter_put(METER_LEASES, runs, "held");
    meters_write_json(meters_own(), &metrics);
    db_arg_text(&args, buf_cstr(&metrics));
    if (!db_run(c->db, SQL_INSTANCE_HEARTBEAT, &args, &rows, err)) {
        meter_add(METER_HEARTBEAT_FAILURES, 1);
        c->beat_failed = true;
        return false;
    }
    c->instances = db_int(rows, 0, 0);
    c->live_runs = db_int(rows, 0, 1);
    meter_put(METER_LEASES, db_int(rows, 0, 2), "claimable");
    c->others = db_int(rows, 0, 3);
    if (clock_mono_ms() >= c->alive_until_ms)
        handover_wait(c->handover);
    if (c->beat_failed) /* others beat again about now */
        c->spare_until_ms = clock_mono_ms() + SPARE_MS;
    c->beat_failed = false;
    if (!c->joined && !join(c, err))
        return false;
    atomic_store(&c->alive_until_ms, until);
    return true;
}

/* --- loading ----------------------------------------------------------------------------- */

/* The columns of run_load, in their order. */
enum {
    COL_RUN_KEY,
    COL_FENCE,
    COL_DAY,
    COL_ID,
    COL_SESSION_ID,
    COL_TRACE_ID,
    COL_RUNTIME_KIND,
    COL_MODE_NAME,
    COL_MODE_VERSION,
    COL_CONFIGURATION_VERSION,
    COL_POLICY_VERSION,
    COL_PARTICIPANTS,
    COL_POSTED,
    COL_TRACED,
    COL_STATUS,
    COL_STARTED_MS,
    COL_EPOCH,
    COL_CURSOR,
    COL_LAST_SEQ,
    COL_SESSION_STATE,
    COL_SESSION_STARTED_MS,
    COL_SESSION_EXPIRES_MS,
    COL_POLL_REMAINING_MS,
    COL_METRICS,
    COL_VERSION = COL_METRICS + 16,
    COL_SCHEMA_VERSION,
    COL_SECTIONS,
};

static void
load_metrics(const struct db_result *rows, int row, struct metrics *m)
{
    int64_t *const counts[] = {&m->event_count,           &m->message_count,   &m->signal_count,
                               &m->proposal_count,        &m->tool_call_count, &m->decision_count,
                               &m->stream_reconnect_count};
    double *const sums[] = {&m->prompt_tokens, &m->completion_tokens, &m->total_tokens,
                            &m->estimated_cost_usd};
    int col = COL_METRICS;

    *m = (struct metrics){0};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *counts[i] = db_int(rows, row, col++);
    for (size_t i = 0; i < ARRAY_LEN(sums); i++)
        *sums[i] = db_double(rows, row, col++);
    m->has_events = !db_null(rows, row, col);
    m->first_event_ms = db_int(rows, row, col++);
    m->last_event_ms = db_int(rows, row, col++);
    snprintf(m->session_state, sizeof m->session_state, "%s", db_text(rows, row, col++));
    m->frozen = db_bool(rows, row, col++);
    m->ended = db_bool(rows, row, col);
}

/* The stored projection, or the initial one; its version is what the tail starts after. */
static int64_t
load_projection(const struct db_result *rows, int row, struct run_seed *seed)
{
    const char *sections[PROJECTION__COUNT];
    struct err err;

    if (!db_null(rows, row, COL_VERSION) &&
        db_int(rows, row, COL_SCHEMA_VERSION) == PROJECTION_SCHEMA_VERSION) {
        for (int i = 0; i < PROJECTION__COUNT; i++)
            sections[i] = db_text(rows, row, COL_SECTIONS + i);
        if (projection_load_sections(sections, db_int(rows, row, COL_VERSION), &seed->projection,
                                     &err))
            return db_int(rows, row, COL_VERSION);
        log_line(LOG_WARN, &(struct log_ctx){.run_id = seed->run_id, .err = &err},
                 "the stored projection cannot be read and is folded anew");
    }
    seed->projection = projection_new(seed->run_id);
    return 0;
}

static struct run_seed *
load_run(const struct db_result *rows, int row, int64_t *version)
{
    struct run_seed *s = xcalloc(1, sizeof *s);
    json_error_t e;

    s->mail.kind = SHARD_ADOPT;
    s->run_key = db_int(rows, row, COL_RUN_KEY);
    s->fence = db_int(rows, row, COL_FENCE);
    s->day = db_int(rows, row, COL_DAY);
    uuid_lower(db_text(rows, row, COL_ID), s->run_id);
    s->session_id = xstrdup(db_text(rows, row, COL_SESSION_ID));
    s->trace_id = xstrdup(db_text(rows, row, COL_TRACE_ID));
    s->runtime_kind = xstrdup(db_text(rows, row, COL_RUNTIME_KIND));
    s->mode_name = xstrdup(db_text(rows, row, COL_MODE_NAME));
    s->mode_version = xstrdup(db_text(rows, row, COL_MODE_VERSION));
    s->configuration_version = xstrdup(db_text(rows, row, COL_CONFIGURATION_VERSION));
    s->policy_version = xstrdup(db_text(rows, row, COL_POLICY_VERSION));
    s->participants = json_loads(db_text(rows, row, COL_PARTICIPANTS), 0, &e);
    if (!s->participants)
        s->participants = json_array();
    s->posted = db_bool(rows, row, COL_POSTED);
    s->traced = db_bool(rows, row, COL_TRACED);
    if (!run_status_parse(db_text(rows, row, COL_STATUS), &s->status))
        BUG("unknown status %s", db_text(rows, row, COL_STATUS));
    s->started_ms = db_int(rows, row, COL_STARTED_MS);
    s->epoch = (int)db_int(rows, row, COL_EPOCH);
    s->cursor = db_int(rows, row, COL_CURSOR);
    s->seq = db_int(rows, row, COL_LAST_SEQ);
    snprintf(s->session_state, sizeof s->session_state, "%s",
             db_text(rows, row, COL_SESSION_STATE));
    s->session_started_ms = db_int(rows, row, COL_SESSION_STARTED_MS);
    s->session_expires_ms = db_int(rows, row, COL_SESSION_EXPIRES_MS);
    s->poll_remaining_ms = db_int(rows, row, COL_POLL_REMAINING_MS);
    s->known = json_object();
    load_metrics(rows, row, &s->metrics);
    *version = load_projection(rows, row, s);
    return s;
}

struct load {
    struct run_seed *seeds[CLAIM_LIMIT];
    int64_t versions[CLAIM_LIMIT];
    size_t n;
};

static struct run_seed *
find_seed(struct load *l, int64_t run_key, int64_t *version)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->seeds[i]->run_key == run_key) {
            *version = l->versions[i];
            return l->seeds[i];
        }
    return NULL;
}

static const char *
text_or_null(const struct db_result *rows, int row, int col)
{
    return db_null(rows, row, col) ? NULL : db_text(rows, row, col);
}

static void
fold_tail(struct load *l, const struct db_result *rows)
{
    for (int row = 0; row < db_rows(rows); row++) {
        struct event e = {.seq = db_int(rows, row, 1), .id = text_or_null(rows, row, 8)};
        int64_t version = 0;
        struct run_seed *seed = find_seed(l, db_int(rows, row, 0), &version);
        json_error_t error;

        if (!seed)
            continue;
        event_set_time(&e, db_int(rows, row, 2));
        e.type_name = db_text(rows, row, 3);
        e.type = event_type_parse(e.type_name);
        event_set_subject(&e, db_text(rows, row, 4), db_text(rows, row, 5));
        e.trace_id = text_or_null(rows, row, 6);
        e.span_id = text_or_null(rows, row, 7);
        e.source_kind = text_or_null(rows, row, 10);
        if (e.type == EVENT_PARTICIPANT_SEEN && e.subject_id)
            jv_put(seed->known, e.subject_id, json_true());
        if (e.seq <= version)
            continue;
        e.data = json_loads(db_text(rows, row, 9), JSON_DECODE_INT_AS_REAL, &error);
        if (!e.data)
            e.data = json_object();
        facts_fold(&seed->facts, seed->projection, &e, NULL, NULL, NULL);
        json_decref(e.data);
    }
}

static void
remember_envelopes(struct load *l, const struct db_result *rows)
{
    for (int row = 0; row < db_rows(rows); row++) {
        int64_t version;
        struct run_seed *seed = find_seed(l, db_int(rows, row, 0), &version);

        if (!seed)
            continue;
        if (db_text(rows, row, 1)[0])
            seen_add(&seed->seen, db_text(rows, row, 1), db_text(rows, row, 2),
                     db_text(rows, row, 3));
        if (strcmp(db_text(rows, row, 2), "Commitment") == 0)
            seed->has_commitment = true;
    }
}

static void
free_load(struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        run_seed_free(l->seeds[i]);
        free(l->seeds[i]);
    }
    l->n = 0;
}

/* As of the stored projection; a run that is folded anew has no use for them. */
static void
load_participants(struct load *l, const struct db_result *rows)
{
    for (int row = 0; row < db_rows(rows); row++) {
        struct fact_participant_row who = {
            .id = db_text(rows, row, 1),
            .declared = db_bool(rows, row, 2),
            .status = db_text(rows, row, 3),
            .messages = db_int(rows, row, 4),
            .first_seen_ms = db_int(rows, row, 5),
            .last_active_ms = db_int(rows, row, 6),
        };
        int64_t version = 0;
        struct run_seed *seed = find_seed(l, db_int(rows, row, 0), &version);

        if (seed && version)
            facts_load_participant(&seed->facts, seed->projection, &who);
    }
}

/* Three parallel arrays about the loaded runs, as text. */
static void
run_arrays(const struct load *l, bool epochs, struct buf keys[3])
{
    for (int i = 0; i < 3; i++)
        buf_char(&keys[i], '{');
    for (size_t i = 0; i < l->n; i++) {
        const char *comma = i ? "," : "";

        buf_printf(&keys[0], "%s%lld", comma, (long long)l->seeds[i]->run_key);
        buf_printf(&keys[1], "%s%lld", comma, (long long)l->seeds[i]->day);
        buf_printf(&keys[2], "%s%lld", comma,
                   (long long)(epochs ? l->seeds[i]->epoch : l->versions[i]));
    }
    for (int i = 0; i < 3; i++)
        buf_char(&keys[i], '}');
}

static bool
query_runs(struct claim *c, const struct load *l, enum sql_id id, bool epochs,
           struct db_result **rows, struct err *err)
{
    struct buf keys[3] = {{0}};
    struct db_args args;
    bool ok;

    run_arrays(l, epochs, keys);
    db_args_init(&args);
    for (int i = 0; i < 3; i++)
        db_arg_text(&args, buf_cstr(&keys[i]));
    ok = db_run(c->db, id, &args, rows, err);
    for (int i = 0; i < 3; i++)
        buf_fini(&keys[i]);
    return ok;
}

static bool
load_runs(struct claim *c, struct load *l, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL, *tail = NULL, *envelopes = NULL, *participants = NULL;
    AUTO_BUF keys = {0};
    struct db_args args;
    bool observed = false;

    buf_char(&keys, '{');
    for (size_t i = 0; i < c->n_owed; i++)
        buf_printf(&keys, "%s%lld", i ? "," : "", (long long)c->owed[i].run_key);
    buf_char(&keys, '}');
    db_args_init(&args);
    db_arg_text(&args, buf_cstr(&keys));
    if (!db_run(c->db, SQL_RUN_LOAD, &args, &rows, err))
        return false;
    for (int row = 0; row < db_rows(rows) && l->n < CLAIM_LIMIT; row++) {
        l->seeds[l->n] = load_run(rows, row, &l->versions[l->n]);
        /* The fence we claimed with: if the row has a newer one, the guard shall notice. */
        for (size_t i = 0; i < c->n_owed; i++)
            if (c->owed[i].run_key == l->seeds[l->n]->run_key)
                l->seeds[l->n]->fence = c->owed[i].fence;
        observed = observed || l->seeds[l->n]->seq > 1;
        l->n++;
    }
    if (observed && !db_run(c->db, SQL_RUN_PARTICIPANTS, &args, &participants, err))
        return false;
    if (observed)
        load_participants(l, participants);
    if (!query_runs(c, l, SQL_RUN_TAIL, false, &tail, err))
        return false;
    fold_tail(l, tail);
    if (observed) {
        if (!query_runs(c, l, SQL_RUN_MESSAGE_KEYS, true, &envelopes, err))
            return false;
        remember_envelopes(l, envelopes);
    }
    return true;
}

/* --- claiming ---------------------------------------------------------------------------- */

struct shard *
claim_shard(const struct claim *c, int64_t run_key)
{
    return shard_of(c->shards, c->n_shards, run_key);
}

int64_t
claim_held(const struct claim *c)
{
    int64_t held = 0;

    for (size_t i = 0; i < c->n_shards; i++)
        held += c->shards[i]->counts.runs;
    return held;
}

int64_t
claim_share(const struct claim *c)
{
    int64_t share = c->cfg->observerd_max_runs;

    if (c->instances > 1) {
        int64_t fair = (c->live_runs + c->instances - 1) / c->instances;

        fair += fair / 10 + 1;
        share = fair < share ? fair : share;
    }
    return share;
}

/*
 * How many more runs this instance may take: its share of all, and no more than its limit. The
 * share is as old as the last heartbeat; a run that nobody ever had cannot wait for the next one,
 * because its session may be over by then.
 */
static int64_t
room(const struct claim *c, bool fresh_only)
{
    int64_t share = fresh_only ? c->cfg->observerd_max_runs : claim_share(c);
    int64_t held = claim_held(c);

    return share > held ? share - held : 0;
}

static void
hand_over(struct claim *c, struct load *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct run_seed *seed = l->seeds[i];
        struct shard *shard = claim_shard(c, seed->run_key);

        shard->counts.runs++; /* held from here on: the inbox must not hide it from room() */
        if (shard_post(shard, &seed->mail))
            continue;
        shard->counts.runs--;
        log_error("a shard's inbox is full, a run is let go");
        claim_release(c, seed->run_key, seed->fence);
        run_seed_free(seed);
        free(seed);
    }
    l->n = 0;
}

bool
claim_owe(struct claim *c, int64_t run_key, int64_t fence)
{
    if (c->n_owed == CLAIM_LIMIT)
        return false;
    c->owed[c->n_owed].run_key = run_key;
    c->owed[c->n_owed++].fence = fence;
    return true;
}

static void
owe(struct claim *c, const struct db_result *rows)
{
    for (int row = 0; row < db_rows(rows); row++)
        if (!claim_owe(c, db_int(rows, row, 0), db_int(rows, row, 1)))
            return;
}

static bool
take(struct claim *c, int64_t limit, bool fresh_only, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;

    db_args_init(&args);
    db_arg_text(&args, c->instance_id);
    db_arg_int(&args, limit);
    db_arg_bool(&args, fresh_only);
    db_arg_bool(&args, clock_mono_ms() >= c->spare_until_ms);
    if (!db_run(c->db, SQL_RUN_CLAIM, &args, &rows, err)) {
        c->doubt = true;
        c->doubt_after = 0;
        return false;
    }
    owe(c, rows);
    return true;
}

/*
 * The answer to a claim was lost: the rows may say that runs are ours which nobody here knows of,
 * and others leave them to us. All that are ours are handed over; shards know what they hold.
 */
static bool
settle_doubt(struct claim *c, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;

    db_args_init(&args);
    db_arg_text(&args, c->instance_id);
    db_arg_int(&args, c->doubt_after);
    db_arg_int(&args, CLAIM_LIMIT);
    if (!db_run(c->db, SQL_RUN_OWNED, &args, &rows, err))
        return false;
    owe(c, rows);
    if (c->n_owed < CLAIM_LIMIT)
        c->doubt = false;
    else
        c->doubt_after = c->owed[c->n_owed - 1].run_key;
    return true;
}

bool
claim_call(struct claim *c, struct err *err)
{
    struct db_args args;

    if (c->others == 0)
        return true;
    db_args_init(&args);
    db_arg_text(&args, CHANNEL_RUN);
    db_arg_text(&args, "");
    return db_run(c->db, SQL_NOTIFY_SEND, &args, NULL, err);
}

static bool
send_releases(struct claim *c, struct err *err)
{
    bool any = c->n_releases > 0;

    while (c->n_releases) {
        const struct run_fence *r = &c->releases[c->n_releases - 1];
        struct db_args args;

        db_args_init(&args);
        db_arg_int(&args, r->run_key);
        db_arg_int(&args, r->fence);
        db_arg_text(&args, c->instance_id);
        if (!db_run(c->db, SQL_RUN_RELEASE, &args, NULL, err))
            return false;
        c->n_releases--;
    }
    return !any || claim_call(c, err);
}

/*
 * Postgres refuses to load the owed runs: one of them cannot be read, and must not keep the others
 * waiting. The last one is let go and comes again; one that fails alone stays ours, unobserved.
 */
static void
set_aside(struct claim *c, const struct err *cause)
{
    c->n_owed--;
    if (c->n_owed > 0) {
        claim_release(c, c->owed[c->n_owed].run_key, c->owed[c->n_owed].fence);
    } else {
        log_err(LOG_ERROR, cause, "run %lld cannot be loaded, it is not observed",
                (long long)c->owed[0].run_key);
        meter_add(METER_RECOVERIES, 1, "failed");
    }
}

bool
claim_due(struct claim *c, struct err *err)
{
    /* Somebody may have left since the last heartbeat: then the share is larger than it was. */
    if (c->instances > 1 && !c->draining && room(c, false) == 0 &&
        clock_mono_ms() < c->alive_until_ms && !claim_heartbeat(c, err))
        return false;
    for (;;) {
        struct load load = {.n = 0};
        bool fresh_only = !c->cfg->run_recovery_enabled || room(c, false) == 0;
        int64_t limit = room(c, fresh_only);
        bool settling;
        size_t taken;

        limit = limit < CLAIM_LIMIT ? limit : CLAIM_LIMIT;
        /* Who may count as dead claims nothing: it would take its own runs from itself. */
        if (clock_mono_ms() >= c->alive_until_ms)
            return true;
        if (!send_releases(c, err) || !handover_work(c->handover, err))
            return false;
        settling = c->doubt && !c->n_owed;
        if (settling && !settle_doubt(c, err))
            return false;
        if (!c->n_owed && !settling && c->draining)
            return claim_call(c, err); /* there are runs for others, maybe new ones */
        if (!c->n_owed && !settling && limit == 0)
            return true;
        if (!c->n_owed && !settling && !take(c, limit, fresh_only, err))
            return false;
        taken = c->n_owed;
        if (taken && !load_runs(c, &load, err)) {
            free_load(&load);
            if (err->code != ERR_SQL)
                return false; /* they are ours, and loaded when Postgres answers again */
            set_aside(c, err);
            continue;
        }
        c->n_owed = 0;
        hand_over(c, &load);
        if (!c->settled && !c->doubt)
            settle_spools(c);
        if (!settling && (int64_t)taken < limit)
            return true;
    }
}

void
claim_release(struct claim *c, int64_t run_key, int64_t fence)
{
    if (c->n_releases == c->cap_releases) {
        c->cap_releases = c->cap_releases ? c->cap_releases * 2 : 64;
        c->releases = xrealloc(c->releases, c->cap_releases * sizeof *c->releases);
    }
    c->releases[c->n_releases++] = (struct run_fence){run_key, fence};
}

bool
claim_leave(struct claim *c, struct err *err)
{
    struct db_args args;

    db_args_init(&args);
    db_arg_text(&args, c->instance_id);
    return db_run(c->db, SQL_INSTANCE_GONE, &args, NULL, err);
}
