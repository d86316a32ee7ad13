#include "observerd/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "observerd/refold.h"
#include "shared/clock.h"
#include "shared/command.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/program.h"
#include "shared/run.h"
#include "shared/schema.h"

#define REQUESTER "macp-observerd rebuild" /* what the audit row says */

enum {
    RUNS_PER_PAGE = 500,
    TIMEOUT_MS = 60000,
    OWNER_MS = 60000, /* for the owner of a live run */
    LOOK_MS = 5,
    LOOK_MAX_MS = 200,
    TRIES = 3, /* its owner may leave it meanwhile */
};

struct rebuild {
    struct db *db;
    struct price_list *prices;
    int64_t done, failed;
};

struct run {
    const char *id;
    int64_t run_key, day, events;
};

/* --- one run ----------------------------------------------------------------------------- */

static bool
fold_events(struct rebuild *b, struct refold *r, struct err *err)
{
    bool more;

    do {
        if (!refold_read(r, b->db, b->prices, EVENT_SEQ_MAX, &more, err) ||
            !batch_store_locked(&r->rows, b->db, err))
            return false;
        batch_reset(&r->rows);
    } while (more);
    return true;
}

static bool
store_latest(struct rebuild *b, struct refold *f, struct err *err)
{
    uint64_t serial = f->rows.serial;
    size_t index = f->rows.n_runs;
    struct batch_run *r = batch_run_entry(&f->rows, &serial, &index, f->run_key, 0, f->seq);
    struct batch_projection *p = batch_projection_start(r, projection_latest_seq(f->projection));
    struct fact who;
    uint32_t at = 0;

    r->metrics = f->metrics;
    r->metrics_dirty = true;
    for (int i = 0; i < PROJECTION__COUNT; i++)
        projection_write_section(f->projection, (enum projection_section)i, &p->sections[i]);
    while (facts_next_participant(&f->facts, f->projection, &at, &f->arena, &who))
        batch_add_fact(&f->rows, f->run_key, &who);
    return batch_store_locked(&f->rows, b->db, err);
}

static bool
refold(struct rebuild *b, struct run *run, struct err *err)
{
    struct refold *r = refold_new(run->id, run->run_key, run->day);
    struct db_args args;
    bool ok;

    db_args_init(&args);
    db_arg_int(&args, run->run_key);
    ok = db_run(b->db, SQL_REBUILD_CLEAR, &args, NULL, err) && fold_events(b, r, err);
    run->events = r->events;
    /* Without events there is nothing to fold; what was made of them is all that is left. */
    if (ok && !run->events)
        ok = err_set(err, ERR_NOT_FOUND, "its events are gone; its rows stay as they are");
    ok = ok && store_latest(b, r, err);
    refold_free(r);
    return ok;
}

enum verdict { REBUILT, OWNED, FAILED };

/* Inside the transaction. */
static enum verdict
rebuild_locked(struct rebuild *b, struct run *run, struct err *err)
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
    if (db_rows(owned))
        return OWNED;
    return refold(b, run, err) ? REBUILT : FAILED;
}

static enum verdict
rebuild_here(struct rebuild *b, struct run *run, struct err *err)
{
    enum verdict verdict = FAILED;

    if (db_run(b->db, SQL_REBUILD_BEGIN, NULL, NULL, err))
        verdict = rebuild_locked(b, run, err);
    if (verdict == REBUILT && !db_run(b->db, SQL_REBUILD_COMMIT, NULL, NULL, err))
        verdict = FAILED;
    if (verdict != REBUILT && db_is_connected(b->db)) {
        struct err ignored;

        if (!db_run(b->db, SQL_REBUILD_ROLLBACK, NULL, NULL, &ignored))
            db_disconnect(b->db);
    }
    return verdict;
}

/* --- a run that somebody has in memory ------------------------------------------------------- */

static bool
send_command(struct rebuild *b, const struct run *run, struct db_result **out, struct err *err)
{
    struct db_args args;

    db_args_init(&args);
    db_arg_int(&args, run->run_key);
    db_arg_text(&args, command_kind_name(COMMAND_REBUILD));
    db_arg_text(&args, "{}");
    db_arg_text(&args, REQUESTER);
    db_arg_null(&args);
    db_arg_null(&args);
    db_arg_int(&args, OWNER_MS);
    if (!db_run(b->db, SQL_COMMAND_REQUEST, &args, out, err))
        return false;
    if (!db_rows(*out)) /* another one has ended just now */
        return err_set(err, ERR_CONFLICT, "it is being rebuilt by somebody else");
    db_args_init(&args);
    db_arg_text(&args, CHANNEL_CMD);
    db_arg_text(&args, db_text(*out, 0, 0));
    return db_run(b->db, SQL_NOTIFY_SEND, &args, NULL, err);
}

/* OWNED: nothing is known yet. */
static enum verdict
look_at_command(struct rebuild *b, int64_t id, bool *gone, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_JSON *result = NULL;
    const char *state, *outcome;
    struct db_args args;
    char ids[32];

    snprintf(ids, sizeof ids, "{%lld}", (long long)id);
    db_args_init(&args);
    db_arg_text(&args, ids);
    if (!db_run(b->db, SQL_COMMANDS_STATE, &args, &rows, err))
        return FAILED;
    if (!db_rows(rows)) {
        err_set(err, ERR_NOT_FOUND, "there is no such run");
        return FAILED;
    }
    state = db_text(rows, 0, 1);
    result = jv_parse(db_text(rows, 0, 2), db_len(rows, 0, 2));
    outcome = jv_cstr(jv_get(result, "outcome"));
    if (strcmp(state, "done") == 0) {
        *gone = !outcome || strcmp(outcome, "done") != 0;
        return *gone ? OWNED : REBUILT;
    }
    if (strcmp(state, "requested") == 0 || strcmp(state, "running") == 0)
        return OWNED;
    err_set(err, ERR_INTERNAL, "its owner: %s",
            jv_cstr(jv_get(result, "message")) ? jv_cstr(jv_get(result, "message")) : state);
    return FAILED;
}

static bool
is_owned(struct rebuild *b, const struct run *run, bool *owned, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;

    db_args_init(&args);
    db_arg_int(&args, run->run_key);
    if (!db_run(b->db, SQL_REBUILD_OWNER, &args, &rows, err))
        return false;
    *owned = db_rows(rows) > 0;
    return true;
}

/* The owner has the state in memory and stores it again and again: it must be the one. OWNED: it
 * is not any more. */
static enum verdict
rebuild_there(struct rebuild *b, struct run *run, struct err *err)
{
    int64_t until = clock_mono_ms() + OWNER_MS;
    AUTO_DB_RESULT *command = NULL;
    int64_t pause = LOOK_MS;

    if (!send_command(b, run, &command, err))
        return FAILED;
    while (clock_mono_ms() < until) {
        bool gone = false, owned;
        enum verdict verdict = look_at_command(b, db_int(command, 0, 0), &gone, err);

        if (verdict != OWNED || gone)
            return verdict;
        if (!is_owned(b, run, &owned, err))
            return FAILED;
        if (!owned)
            return OWNED;
        nanosleep(&(struct timespec){0, pause * 1000000}, NULL);
        pause = pause * 2 < LOOK_MAX_MS ? pause * 2 : LOOK_MAX_MS;
    }
    err_set(err, ERR_INTERNAL, "its owner does not answer");
    return FAILED;
}

/* --- one run or the other -------------------------------------------------------------------- */

static void
rebuild_run(struct rebuild *b, const char *id)
{
    struct run run = {.id = id};
    struct err err;
    struct log_ctx ctx = {.run_id = id};
    enum verdict verdict = OWNED;
    bool here = false;

    for (int i = 0; i < TRIES && verdict == OWNED; i++) {
        verdict = rebuild_here(b, &run, &err);
        here = verdict == REBUILT;
        if (verdict == OWNED)
            verdict = rebuild_there(b, &run, &err);
    }
    if (verdict == REBUILT) {
        b->done++;
        if (here)
            log_line(LOG_INFO, &ctx, "rebuilt from %lld events", (long long)run.events);
        else
            log_line(LOG_INFO, &ctx, "rebuilt by its owner");
        return;
    }
    if (verdict == OWNED)
        err_set(&err, ERR_INTERNAL, "its owners change");
    b->failed++;
    ctx.err = &err;
    log_line(LOG_ERROR, &ctx, "not rebuilt");
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
    ok = price_list_load(cfg->model_prices_file, &b.prices, &err) && schema_check(b.db, &err);
    if (ok && request.all)
        ok = rebuild_all(&b, request.since[0] ? request.since : NULL, &err);
    for (int i = 0; ok && i < request.n_ids; i++)
        rebuild_run(&b, request.ids[i]);
    if (!ok)
        log_err(LOG_FATAL, &err, "cannot rebuild");
    log_info("rebuilt %lld runs, failed %lld", (long long)b.done, (long long)b.failed);
    price_list_free(b.prices);
    db_close(b.db);
    return ok && !b.failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
