#include "observerd/rebuild.h"

#include <stdio.h>
#include <stdlib.h>

#include "observerd/batch.h"
#include "shared/clock.h"
#include "shared/facts.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/program.h"
#include "shared/schema.h"

enum { EVENTS_PER_PAGE = 1000, RUNS_PER_PAGE = 500, TIMEOUT_MS = 60000 };

struct rebuild {
    struct db *db;
    struct batch batch;
    struct arena arena; /* of a page */
    struct price_list *prices;
    int64_t done, skipped, failed;
};

struct run {
    const char *id;
    int64_t run_key, day, last_seq, events;
    struct projection *projection;
    struct facts facts;
    struct metrics metrics;
};

/* --- one run ----------------------------------------------------------------------------- */

static const char *
text_or_null(const struct db_result *rows, int row, int col)
{
    return db_null(rows, row, col) ? NULL : db_text(rows, row, col);
}

static void
fold_row(struct rebuild *b, struct run *run, const struct db_result *rows, int row)
{
    struct event e = {.seq = db_int(rows, row, 0), .id = text_or_null(rows, row, 7)};
    struct fact fact;
    json_error_t error;

    event_set_time(&e, db_int(rows, row, 1));
    e.type_name = db_text(rows, row, 2);
    e.type = event_type_parse(e.type_name);
    event_set_subject(&e, db_text(rows, row, 3), db_text(rows, row, 4));
    e.trace_id = text_or_null(rows, row, 5);
    e.span_id = text_or_null(rows, row, 6);
    e.data = json_loads(db_text(rows, row, 8), JSON_DECODE_INT_AS_REAL, &error);
    e.source_kind = text_or_null(rows, row, 9);
    if (!e.data)
        e.data = json_object();
    metrics_fold(&run->metrics, &e, b->prices);
    if (facts_fold(&run->facts, run->projection, &e, b->prices, &b->arena, &fact))
        batch_add_fact(&b->batch, run->run_key, &fact);
    json_decref(e.data);
    run->last_seq = e.seq;
    run->events++;
}

static bool
fold_events(struct rebuild *b, struct run *run, struct err *err)
{
    for (;;) {
        AUTO_DB_RESULT *rows = NULL;
        struct db_args args;

        db_args_init(&args);
        db_arg_int(&args, run->run_key);
        db_arg_int(&args, run->day);
        db_arg_int(&args, run->last_seq);
        db_arg_int(&args, EVENTS_PER_PAGE);
        if (!db_run(b->db, SQL_REBUILD_EVENTS, &args, &rows, err))
            return false;
        arena_reset(&b->arena);
        for (int row = 0; row < db_rows(rows); row++)
            fold_row(b, run, rows, row);
        if (!batch_store_locked(&b->batch, b->db, err))
            return false;
        batch_reset(&b->batch);
        if (db_rows(rows) < EVENTS_PER_PAGE)
            return true;
    }
}

static bool
store_latest(struct rebuild *b, struct run *run, struct err *err)
{
    uint64_t serial = b->batch.serial;
    size_t index = b->batch.n_runs;
    struct batch_run *r =
        batch_run_entry(&b->batch, &serial, &index, run->run_key, 0, run->last_seq);
    struct batch_projection *p = batch_projection_start(r, projection_latest_seq(run->projection));
    struct fact who;
    uint32_t at = 0;
    bool ok;

    r->metrics = run->metrics;
    r->metrics_dirty = true;
    for (int i = 0; i < PROJECTION__COUNT; i++)
        projection_write_section(run->projection, (enum projection_section)i, &p->sections[i]);
    while (facts_next_participant(&run->facts, run->projection, &at, &b->arena, &who))
        batch_add_fact(&b->batch, run->run_key, &who);
    ok = batch_store_locked(&b->batch, b->db, err);
    batch_reset(&b->batch);
    return ok;
}

static bool
refold(struct rebuild *b, struct run *run, struct err *err)
{
    struct db_args args;
    bool ok;

    db_args_init(&args);
    db_arg_int(&args, run->run_key);
    if (!db_run(b->db, SQL_REBUILD_CLEAR, &args, NULL, err))
        return false;
    run->projection = projection_new(run->id);
    ok = fold_events(b, run, err);
    /* Without events there is nothing to fold; what was made of them is all that is left. */
    if (ok && !run->events)
        ok = err_set(err, ERR_NOT_FOUND, "its events are gone; its rows stay as they are");
    ok = ok && store_latest(b, run, err);
    projection_free(run->projection);
    facts_fini(&run->facts);
    batch_reset(&b->batch);
    return ok;
}

enum verdict { REBUILT, SKIPPED, FAILED };

/* Inside the transaction. *owner says who has it when it is skipped. */
static enum verdict
rebuild_locked(struct rebuild *b, struct run *run, char *owner, size_t owner_size, struct err *err)
{
    AUTO_DB_RESULT *found = NULL, *owned = NULL;
    struct db_args args;

    db_args_init(&args);
    db_arg_text(&args, run->id);
    if (!db_run(b->db, SQL_RUN_LOCK, &args, &found, err))
        return FAILED;
    if (!db_rows(found)) {
        err_set(err, ERR_NOT_FOUND, "there is no such run");
        return FAILED;
    }
    run->run_key = db_int(found, 0, 0);
    run->day = db_int(found, 0, 1);
    /* Asked after the lock was granted: whoever claimed it while we waited is seen. */
    db_args_init(&args);
    db_arg_int(&args, run->run_key);
    if (!db_run(b->db, SQL_REBUILD_OWNER, &args, &owned, err))
        return FAILED;
    if (db_rows(owned)) {
        snprintf(owner, owner_size, "%s on %s", db_text(owned, 0, 0), db_text(owned, 0, 1));
        return SKIPPED;
    }
    return refold(b, run, err) ? REBUILT : FAILED;
}

static void
rebuild_run(struct rebuild *b, const char *id)
{
    struct run run = {.id = id};
    char owner[400] = "";
    struct err err;
    struct log_ctx ctx = {.run_id = id};
    enum verdict verdict = FAILED;

    if (db_run(b->db, SQL_REBUILD_BEGIN, NULL, NULL, &err))
        verdict = rebuild_locked(b, &run, owner, sizeof owner, &err);
    if (verdict == REBUILT && !db_run(b->db, SQL_REBUILD_COMMIT, NULL, NULL, &err))
        verdict = FAILED;
    if (verdict != REBUILT && db_is_connected(b->db)) {
        struct err ignored;

        if (!db_run(b->db, SQL_REBUILD_ROLLBACK, NULL, NULL, &ignored))
            db_disconnect(b->db);
    }
    switch (verdict) {
    case REBUILT:
        b->done++;
        log_line(LOG_INFO, &ctx, "rebuilt from %lld events", (long long)run.events);
        break;
    case SKIPPED:
        b->skipped++;
        log_line(LOG_INFO, &ctx, "skipped: it is observed by instance %s", owner);
        break;
    case FAILED:
        b->failed++;
        ctx.err = &err;
        log_line(LOG_ERROR, &ctx, "not rebuilt");
        break;
    }
}

/* --- many runs --------------------------------------------------------------------------- */

/* In order of their creation. False when the list cannot be read. */
static bool
rebuild_all(struct rebuild *b, const char *since, struct err *err)
{
    int64_t after = 0;

    for (;;) {
        AUTO_DB_RESULT *rows = NULL;
        struct db_args args;

        db_args_init(&args);
        db_arg_int(&args, after);
        db_arg_text(&args, since);
        db_arg_int(&args, RUNS_PER_PAGE);
        if (!db_run(b->db, SQL_REBUILD_LIST, &args, &rows, err))
            return false;
        for (int row = 0; row < db_rows(rows); row++) {
            rebuild_run(b, db_text(rows, row, 1));
            after = db_int(rows, row, 0);
        }
        if (db_rows(rows) < RUNS_PER_PAGE)
            return true;
    }
}

struct request {
    bool all;
    char since[CLOCK_TEXT_LEN]; /* "": from the beginning */
    char **ids;
    int n_ids;
};

static bool
read_request(int argc, char **argv, struct request *out, struct err *err)
{
    int64_t since_ms;

    *out = (struct request){.all = argc > 0 && strcmp(argv[0], "--all") == 0};
    if (out->all && argc == 3 && strcmp(argv[1], "--since") == 0) {
        if (!clock_parse(argv[2], &since_ms))
            return err_set(err, ERR_VALIDATION, "--since: '%.100s' is no time", argv[2]);
        clock_text(since_ms, out->since);
        return true;
    }
    if (out->all && argc == 1)
        return true;
    if (out->all || argc == 0)
        return err_set(err, ERR_VALIDATION,
                       "usage: macp-observerd rebuild RUN_ID... | --all [--since TIME]");
    for (int i = 0; i < argc; i++)
        if (!uuid_is_valid(argv[i]))
            return err_set(err, ERR_VALIDATION, "'%.100s' is no run id", argv[i]);
    out->ids = argv;
    out->n_ids = argc;
    return true;
}

int
rebuild(const struct config *cfg, int argc, char **argv)
{
    struct rebuild b = {0};
    struct request request;
    struct err err;
    bool ok;

    if (!read_request(argc, argv, &request, &err)) {
        log_error("%s", err.msg);
        return PROGRAM_EXIT_USAGE;
    }
    b.db = db_new(cfg->database_url, "macp-observerd rebuild", TIMEOUT_MS);
    db_set_generic_plans(b.db);
    batch_init(&b.batch);
    ok = price_list_load(cfg->model_prices_file, &b.prices, &err) && schema_check(b.db, &err);
    if (ok && request.all)
        ok = rebuild_all(&b, request.since[0] ? request.since : NULL, &err);
    for (int i = 0; ok && i < request.n_ids; i++)
        rebuild_run(&b, request.ids[i]);
    if (!ok)
        log_err(LOG_FATAL, &err, "cannot rebuild");
    log_info("rebuilt %lld runs, skipped %lld, failed %lld", (long long)b.done,
             (long long)b.skipped, (long long)b.failed);
    batch_fini(&b.batch);
    arena_fini(&b.arena);
    price_list_free(b.prices);
    db_close(b.db);
    return ok && !b.failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
