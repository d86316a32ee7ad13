#include "observerd/sweep.h"

#include <string.h>

#include "shared/clock.h"
#include "shared/log.h"

enum {
    LOOK_AT_RUNS = 2000, /* of one day, in one statement */
    ROWS_PER_RUN = 20,   /* event rows that go at once, per row of a small table */
    DROP_TRIES = 10,
    DROP_PAUSE_MS = 500,
    PAUSE_MAX_MS = 1000,
};

/* Rows that go by their age alone. */
static const struct rule {
    const char *name, *label;
    enum sql_id sql; /* SQL__COUNT: not by age alone */
    bool audit;      /* the age of audit rows counts, not that of runs */
} rules[] = {
    // clang-format off
    [SWEEP_RUNS]       = {"runs", "runs", SQL_RUNS_EXPIRE, false},
    [SWEEP_WEEKS]      = {"weeks of events", "weeks", SQL__COUNT, false},
    [SWEEP_ORPHANS]    = {"events whose run is gone", "orphaned_events", SQL__COUNT, false},
    [SWEEP_AUDIT]      = {"audit rows", "audit", SQL_AUDIT_EXPIRE, true},
    [SWEEP_DELIVERIES] = {"webhook deliveries", "deliveries", SQL_DELIVERIES_EXPIRE, false},
    [SWEEP_COMMANDS]   = {"commands", "commands", SQL_COMMANDS_EXPIRE, false},
    [SWEEP_AMBIENT]    = {"signals without a session", "ambient", SQL_AMBIENT_EXPIRE, false},
    // clang-format on
};

const char *
sweep_name(enum sweep_kind kind)
{
    return rules[kind].name;
}

const char *
sweep_label(enum sweep_kind kind)
{
    return rules[kind].label;
}

void
sweep_init(struct sweep *s, struct db *db, const struct config *cfg)
{
    *s = (struct sweep){.db = db,
                        .run_days = cfg->data_retention_ttl_days,
                        .audit_days = cfg->audit_retention_ttl_days,
                        .batch = cfg->data_retention_batch_size};
}

/* --- batches ------------------------------------------------------------------------------- */

/* A time limit or a lock: nothing was done, and a smaller batch may get through. */
static bool
took_too_long(const struct err *err)
{
    return err->code == ERR_DB &&
           (strcmp(err->sqlstate, "57014") == 0 || strcmp(err->sqlstate, "55P03") == 0 ||
            strcmp(err->sqlstate, "40P01") == 0);
}

/* False when the pass shall end. The work of everybody else comes first. */
static bool
breathe(struct sweep *s, int64_t since_ms)
{
    int64_t took_ms = clock_mono_ms() - since_ms;

    return s->dry_run || s->pause(s->ctx, took_ms < PAUSE_MAX_MS ? took_ms : PAUSE_MAX_MS);
}

enum step { STEP_MORE, STEP_DONE, STEP_ERROR };

/* One batch of what goes by its age alone. */
static enum step
expire_batch(struct sweep *s, enum sweep_kind kind, int64_t limit, struct err *err)
{
    enum { COL_HELD, COL_FOUND, COL_GONE };
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_int(&a, rules[kind].audit ? s->audit_days : s->run_days);
    if (s->dry_run)
        db_arg_null(&a);
    else
        db_arg_int(&a, limit);
    db_arg_bool(&a, s->dry_run);
    if (!db_run(s->db, rules[kind].sql, &a, &r, err))
        return STEP_ERROR;
    s->n[kind] += db_int(r, 0, s->dry_run ? COL_FOUND : COL_GONE);
    if (s->dry_run)
        return STEP_DONE;
    s->busy = s->busy || !db_bool(r, 0, COL_HELD);
    /* Rows that somebody else holds are left for the next pass. */
    return !s->busy && db_int(r, 0, COL_FOUND) >= limit && db_int(r, 0, COL_GONE) > 0 ? STEP_MORE
                                                                                      : STEP_DONE;
}

/* False: Postgres is away. What it refuses is given up until the next pass. */
static bool
give_up(struct sweep *s, enum sweep_kind kind, const struct err *err)
{
    if (!db_is_connected(s->db))
        return false;
    log_err(LOG_ERROR, err, "retention: not all %s were removed", rules[kind].name);
    s->failed++;
    return true;
}

static bool
expire(struct sweep *s, enum sweep_kind kind, struct err *err)
{
    int64_t limit = s->batch;

    for (;;) {
        int64_t since_ms = clock_mono_ms();
        enum step step = expire_batch(s, kind, limit, err);

        if (step == STEP_ERROR && took_too_long(err) && limit > 1)
            limit /= 2;
        else if (step == STEP_ERROR)
            return give_up(s, kind, err);
        else if (step == STEP_DONE)
            return true;
        if (!breathe(s, since_ms))
            return true;
    }
}

/* --- weeks of events ----------------------------------------------------------------------- */

/* Its tables may be in use: tried a few times, with little patience for each. */
static bool
drop_week(struct sweep *s, const char *monday, struct err *err)
{
    enum { COL_HELD, COL_DROPPED };

    for (int tries = 1;; tries++) {
        AUTO_DB_RESULT *r = NULL;
        struct db_args a;

        db_args_init(&a);
        db_arg_text(&a, monday);
        if (db_run(s->db, SQL_WEEK_DROP, &a, &r, err)) {
            s->busy = s->busy || !db_bool(r, 0, COL_HELD);
            s->n[SWEEP_WEEKS] += db_bool(r, 0, COL_DROPPED);
            return true;
        }
        if (!took_too_long(err))
            return give_up(s, SWEEP_WEEKS, err);
        if (tries == DROP_TRIES) {
            log_info("retention: the events of the week of %s are in use, they go later", monday);
            s->put_off = true;
            return true;
        }
        if (!s->pause(s->ctx, DROP_PAUSE_MS))
            return true;
    }
}

static bool
drop_weeks(struct sweep *s, struct err *err)
{
    enum { COL_MONDAY = 0, COL_RUNS = 5, COL_KEPT, COL_DUE };
    AUTO_DB_RESULT *weeks = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_int(&a, s->run_days);
    if (!db_run(s->db, SQL_WEEKS_LIST, &a, &weeks, err))
        return give_up(s, SWEEP_WEEKS, err);
    for (int i = 0; i < db_rows(weeks) && !s->busy; i++) {
        if (!db_bool(weeks, i, COL_DUE) || db_int(weeks, i, COL_KEPT) > 0)
            continue;
        if (s->dry_run)
            s->n[SWEEP_WEEKS]++;
        else if (db_int(weeks, i, COL_RUNS) == 0 &&
                 !drop_week(s, db_text(weeks, i, COL_MONDAY), err))
            return false;
    }
    return true;
}

/* --- events whose run is gone -------------------------------------------------------------- */

struct orphans {
    const char *day;
    int64_t behind; /* run_key */
    int64_t runs, rows;
};

static enum step
orphans_batch(struct sweep *s, struct orphans *o, int64_t limit, bool count, struct err *err)
{
    enum { COL_HELD, COL_LAST, COL_RUNS, COL_ROWS };
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, o->day);
    db_arg_int(&a, o->behind);
    db_arg_int(&a, LOOK_AT_RUNS);
    if (count)
        db_arg_null(&a);
    else
        db_arg_int(&a, limit);
    db_arg_bool(&a, count);
    if (!db_run(s->db, SQL_ORPHANS_DELETE, &a, &r, err))
        return STEP_ERROR;
    if (!count && !db_bool(r, 0, COL_HELD)) {
        s->busy = true;
        return STEP_DONE;
    }
    o->rows += db_int(r, 0, COL_ROWS);
    o->runs += db_int(r, 0, COL_RUNS);
    if (!count && db_int(r, 0, COL_ROWS) >= limit)
        return STEP_MORE; /* the same ones again: not all of their rows went */
    o->behind = db_int(r, 0, COL_LAST);
    return db_null(r, 0, COL_LAST) ? STEP_DONE : STEP_MORE;
}

/* False: an error. */
static bool
orphans_of_day(struct sweep *s, struct orphans *o, bool count, struct err *err)
{
    int64_t limit = s->batch * ROWS_PER_RUN;

    o->behind = 0;
    for (;;) {
        int64_t since_ms = clock_mono_ms();
        enum step step = orphans_batch(s, o, limit, count, err);

        if (step == STEP_ERROR && took_too_long(err) && limit > 1)
            limit /= 2;
        else if (step != STEP_MORE)
            return step == STEP_DONE;
        if (!breathe(s, since_ms))
            return true;
    }
}

static bool
orphans(struct sweep *s, bool all, bool count, struct orphans *o, struct err *err)
{
    AUTO_DB_RESULT *days = NULL;
    struct db_args a;

    db_args_init(&a);
    if (all)
        db_arg_null(&a);
    else
        db_arg_int(&a, s->run_days);
    if (!db_run(s->db, SQL_ORPHANS_DAYS, &a, &days, err))
        return false;
    for (int i = 0; i < db_rows(days) && !s->busy; i++) {
        o->day = db_text(days, i, 0);
        if (!orphans_of_day(s, o, count, err))
            return false;
    }
    return true;
}

bool
sweep_count_orphans(struct sweep *s, bool all, int64_t *runs, int64_t *rows, struct err *err)
{
    struct orphans o = {0};

    if (!orphans(s, all, true, &o, err))
        return false;
    *runs = o.runs;
    *rows = o.rows;
    return true;
}

static bool
remove_orphans(struct sweep *s, struct err *err)
{
    struct orphans o = {0};
    bool ok = orphans(s, false, s->dry_run, &o, err);

    s->n[SWEEP_ORPHANS] = o.rows;
    return ok || give_up(s, SWEEP_ORPHANS, err);
}

/* --- a pass -------------------------------------------------------------------------------- */

/* Runs first: a week goes when none of its runs is left. */
bool
sweep_run(struct sweep *s, struct err *err)
{
    for (enum sweep_kind kind = 0; kind < SWEEP__COUNT && !s->busy; kind++) {
        bool ok = kind == SWEEP_WEEKS     ? drop_weeks(s, err)
                  : kind == SWEEP_ORPHANS ? remove_orphans(s, err)
                                          : expire(s, kind, err);

        if (!ok)
            return false;
        if (!s->dry_run && !s->pause(s->ctx, 0))
            return true;
    }
    return true;
}
