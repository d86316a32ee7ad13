#include "observerd/retention.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/log.h"
#include "shared/meter.h"
#include "shared/program.h"
#include "shared/schema.h"

enum {
    FIRST_PASS_MS = 10000,
    AGAIN_MS = 10 * 60 * 1000, /* after a pass that left something */
    HOURLY_MS = 3600000,
    RETRY_MS = 10000,
    LOOK_MS = 1000, /* settings may have changed */
    SUM_PAUSE_MS = 10,
    COMMAND_TIMEOUT_MS = 60000,
};

struct retention {
    _Atomic(const struct config *) cfg; /* for the next pass */
    struct db *db;
    pthread_t thread;

    pthread_mutex_t mu;
    pthread_cond_t work;
    bool stopping;

    /* the thread's own */
    struct retention_passes passes;
    int64_t hourly_at_ms;
};

/* --- the thread ---------------------------------------------------------------------------- */

/* False when the thread shall end. */
static bool
wait_ms(void *ctx, int64_t ms)
{
    struct retention *r = ctx;
    int64_t due = clock_mono_ms() + ms;
    struct timespec until = {due / 1000, due % 1000 * 1000000};
    bool stopping;

    pthread_mutex_lock(&r->mu);
    while (!r->stopping && clock_mono_ms() < due)
        pthread_cond_timedwait(&r->work, &r->mu, &until);
    stopping = r->stopping;
    pthread_mutex_unlock(&r->mu);
    return !stopping;
}

int64_t
retention_due_ms(const struct config *cfg, const struct retention_passes *p)
{
    int64_t pause_ms = cfg->data_retention_interval_hours * HOURLY_MS;

    if (!cfg->data_retention_enabled)
        return INT64_MAX;
    if (!p->ended_ms)
        return p->started_ms + FIRST_PASS_MS;
    return p->ended_ms + (p->unfinished ? AGAIN_MS : pause_ms);
}

static void
tell(const struct sweep *s, bool unfinished)
{
    AUTO_BUF what = {0};

    for (enum sweep_kind kind = 0; kind < SWEEP__COUNT; kind++)
        if (s->n[kind]) {
            meter_add(METER_REMOVED, s->n[kind], sweep_label(kind));
            buf_printf(&what, "%s%lld %s", what.len ? ", " : "", (long long)s->n[kind],
                       sweep_name(kind));
        }
    meter_add(METER_PASSES, 1, s->busy ? "busy" : unfinished ? "unfinished" : "done");
    if (what.len)
        log_info("retention removed %s", buf_cstr(&what));
}

static void
pass(struct retention *r)
{
    struct sweep s;
    struct err err;
    bool ok;

    sweep_init(&s, r->db, r->cfg);
    s.pause = wait_ms;
    s.ctx = r;
    ok = sweep_run(&s, &err);
    if (!ok)
        log_err(LOG_WARN, &err, "retention waits for Postgres");
    r->passes.ended_ms = clock_mono_ms();
    r->passes.unfinished = !ok || s.failed || s.put_off;
    tell(&s, r->passes.unfinished);
}

static bool
count_astray(struct retention *r, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;

    if (!db_run(r->db, SQL_EVENTS_ASTRAY, NULL, &rows, err))
        return false;
    meter_put(METER_ASTRAY, db_int(rows, 0, 0));
    return true;
}

/* Block by block: each is a transaction that holds up whoever removes runs. */
static bool
sum_up(struct retention *r, struct err *err)
{
    bool more;

    do {
        AUTO_DB_RESULT *rows = NULL;

        if (!db_run(r->db, SQL_AGENTS_SUM_UP, NULL, &rows, err))
            return false;
        more = db_bool(rows, 0, 0);
    } while (more && wait_ms(r, SUM_PAUSE_MS));
    return true;
}

static void
hourly(struct retention *r)
{
    static const enum sql_id chores[] = {SQL_PARTITIONS_ENSURE, SQL_INSTANCES_FORGET,
                                         SQL_AMBIENT_FORGET, SQL_TOMBSTONES_FORGET};
    bool ok = true;
    struct err err;

    /* Each for itself: a partition in use is no reason to keep tombstones. */
    for (size_t i = 0; i < ARRAY_LEN(chores); i++)
        if (!db_run(r->db, chores[i], NULL, NULL, &err)) {
            log_err(LOG_WARN, &err, "hourly work not done");
            ok = false;
        }
    if (ok && !(sum_up(r, &err) && count_astray(r, &err))) {
        log_err(LOG_WARN, &err, "hourly work not done");
        ok = false;
    }
    r->hourly_at_ms = clock_mono_ms() + (ok ? HOURLY_MS : RETRY_MS);
}

static void *
retention_main(void *arg)
{
    struct retention *r = arg;

    do {
        if (clock_mono_ms() >= r->hourly_at_ms)
            hourly(r);
        if (clock_mono_ms() >= retention_due_ms(r->cfg, &r->passes))
            pass(r);
    } while (wait_ms(r, LOOK_MS));
    return NULL;
}

struct retention *
retention_start(const struct config *cfg)
{
    struct retention *r = xcalloc(1, sizeof *r);
    pthread_condattr_t attr;

    r->cfg = cfg;
    r->passes.started_ms = clock_mono_ms();
    r->db =
        db_new(cfg->database_url, "macp-observerd retention", (int)cfg->db_pool_connection_timeout);
    pthread_mutex_init(&r->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->work, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&r->thread, NULL, retention_main, r) != 0)
        BUG("cannot start a thread");
    return r;
}

void
retention_reload(struct retention *r, const struct config *cfg)
{
    r->cfg = cfg;
}

void
retention_quiet(struct retention *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->mu);
    r->stopping = true;
    pthread_mutex_unlock(&r->mu);
    pthread_cond_signal(&r->work);
}

void
retention_stop(struct retention *r)
{
    if (!r)
        return;
    retention_quiet(r);
    db_give_up_at(r->db, clock_mono_ms()); /* the next pass does it */
    pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->mu);
    db_close(r->db);
    free(r);
}

/* --- the command --------------------------------------------------------------------------- */

static bool
pause_poll(void *ctx UNUSED, int64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
    return true;
}

static void
print_pass(const struct sweep *s)
{
    printf("%-28s %14s\n", "what", s->dry_run ? "would go" : "removed");
    for (enum sweep_kind kind = 0; kind < SWEEP__COUNT; kind++)
        printf("%-28s %14lld\n", sweep_name(kind), (long long)s->n[kind]);
    if (s->busy)
        printf("another instance is removing just now: the rest is its work\n");
    if (s->put_off)
        printf("tables of a week were in use: they go with the next pass\n");
}

static const char *
week_state(const struct db_result *r, int row)
{
    enum { COL_TABLES = 1, COL_ATTACHED, COL_KEPT = 6, COL_DUE };

    if (!db_bool(r, row, COL_ATTACHED) || db_int(r, row, COL_TABLES) != 2)
        return "left behind";
    if (!db_bool(r, row, COL_DUE))
        return "kept";
    return db_int(r, row, COL_KEPT) > 0 ? "waits for its last runs" : "due";
}

static bool
print_weeks(struct sweep *s, struct err *err)
{
    enum { COL_MONDAY = 0, COL_EVENTS = 3, COL_BYTES, COL_RUNS };
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_int(&a, s->run_days);
    if (!db_run(s->db, SQL_WEEKS_LIST, &a, &r, err))
        return false;
    printf("\n%-28s %14s %14s %16s  %s\n", "week of events", "runs", "about rows", "bytes",
           "state");
    for (int i = 0; i < db_rows(r); i++)
        printf("%-28s %14s %14s %16s  %s\n", db_text(r, i, COL_MONDAY), db_text(r, i, COL_RUNS),
               db_text(r, i, COL_EVENTS), db_text(r, i, COL_BYTES), week_state(r, i));
    return true;
}

static bool
print_orphans(struct sweep *s, struct err *err)
{
    int64_t runs, rows;

    if (!sweep_count_orphans(s, true, &runs, &rows, err))
        return false;
    printf("\nevents whose run is gone: %lld of %lld runs; they go with their week\n",
           (long long)rows, (long long)runs);
    return true;
}

static bool
print_sizes(struct db *db, struct err *err)
{
    enum { COL_NAME, COL_ROWS, COL_TABLE, COL_INDEXES };
    AUTO_DB_RESULT *r = NULL;
    int64_t total = 0;

    if (!db_run(db, SQL_SIZES_LIST, NULL, &r, err))
        return false;
    printf("\n%-36s %14s %16s %16s\n", "table", "about rows", "bytes", "bytes of indexes");
    for (int i = 0; i < db_rows(r); i++) {
        printf("%-36s %14s %16s %16s\n", db_text(r, i, COL_NAME), db_text(r, i, COL_ROWS),
               db_text(r, i, COL_TABLE), db_text(r, i, COL_INDEXES));
        total += db_int(r, i, COL_TABLE) + db_int(r, i, COL_INDEXES);
    }
    printf("%-36s %14s %16lld\n", "all", "", (long long)total);
    return true;
}

int
retention(const struct config *cfg, int argc, char **argv)
{
    bool dry_run = argc == 1 && strcmp(argv[0], "--dry-run") == 0, ok;
    struct sweep s;
    struct db *db;
    struct err err;

    if (argc > 0 && !dry_run) {
        log_error("usage: macp-observerd retention [--dry-run]");
        return PROGRAM_EXIT_USAGE;
    }
    db = db_new(cfg->database_url, "macp-observerd retention", COMMAND_TIMEOUT_MS);
    sweep_init(&s, db, cfg);
    s.dry_run = dry_run;
    s.pause = pause_poll;
    ok = schema_check(db, &err) && sweep_run(&s, &err);
    if (ok) {
        print_pass(&s);
        ok = print_weeks(&s, &err) && print_orphans(&s, &err) && print_sizes(db, &err);
    }
    if (!ok)
        log_err(LOG_FATAL, &err, "not everything was looked at");
    db_close(db);
    return ok && !s.failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
