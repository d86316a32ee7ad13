#include "observerd/handover.h"

#include <stdlib.h>
#include <string.h>

#include "observerd/claim.h"
#include "observerd/heir.h"
#include "shared/clock.h"
#include "shared/log.h"

enum {
    HEIRS_MAX = 256,     /* asked for at a time, and given at a time */
    PATIENCE_MS = 10000, /* an heir's stream is not read meanwhile, so not for ever */
};

struct heir_run {
    int64_t run_key, ordinal;
    int64_t give_up_ms;
    enum { HEIR_ASKED, HEIR_READS, HEIR_TOLD, HEIR_LOST } state;
};

struct handover {
    struct claim *claim;
    struct heir_run heirs[HEIRS_MAX]; /* what we asked for */
    size_t n_heirs;
    struct run_fence stored[HEIRS_MAX]; /* ours, for their heirs */
    size_t n_stored;
    int64_t level_at_ms; /* when an even share is looked for again */
};

struct handover *
handover_new(struct claim *c)
{
    struct handover *h = xcalloc(1, sizeof *h);

    h->claim = c;
    return h;
}

void
handover_free(struct handover *h)
{
    free(h);
}

void
handover_wait(struct handover *h)
{
    h->level_at_ms = clock_mono_ms() + h->claim->cfg->observerd_lease_ms;
}

/* False: the shard is flooded; whoever waits for the mail asks again or gives up. */
static bool
tell_shard(struct handover *h, int kind, const struct run_mail *what)
{
    return run_mail_post(&claim_shard(h->claim, what->run_key)->inbox, kind, what);
}

/* --- the heir's side ----------------------------------------------------------------------- */

void
handover_heard(struct handover *h, const struct run_mail *m)
{
    for (size_t i = 0; i < h->n_heirs; i++)
        if (h->heirs[i].run_key == m->run_key) {
            h->heirs[i].ordinal = m->ordinal;
            h->heirs[i].state = m->yes ? HEIR_READS : HEIR_LOST;
        }
}

static void
remove_heir(struct handover *h, size_t i)
{
    h->heirs[i] = h->heirs[--h->n_heirs];
}

/* It may have become ours just now: what the rows say after that is looked at next. */
static bool
drop_heir(struct handover *h, int64_t run_key, struct err *err)
{
    struct db_args args;

    db_args_init(&args);
    db_arg_text(&args, h->claim->instance_id);
    db_arg_int(&args, run_key);
    return db_run(h->claim->db, SQL_HEIR_DROP, &args, NULL, err);
}

static bool
tell_owner(struct handover *h, struct heir_run *run, struct err *err)
{
    struct db_args args;

    db_args_init(&args);
    db_arg_text(&args, h->claim->instance_id);
    db_arg_int(&args, run->run_key);
    db_arg_int(&args, run->ordinal);
    if (!db_run(h->claim->db, SQL_HEIR_READY, &args, NULL, err))
        return false;
    run->state = HEIR_TOLD;
    return true;
}

/* Say which sessions we read, and give up what does not become ours. */
static bool
report_heirs(struct handover *h, struct err *err)
{
    int64_t now = clock_mono_ms();
    bool told = false;

    for (size_t i = h->n_heirs; i-- > 0;) {
        struct heir_run *run = &h->heirs[i];

        if (run->state == HEIR_READS) {
            if (!tell_owner(h, run, err))
                return false;
            told = true;
        } else if (run->state == HEIR_LOST || now >= run->give_up_ms) {
            if (!drop_heir(h, run->run_key, err))
                return false;
        }
    }
    return !told || claim_call(h->claim, err);
}

static void
keys_of_heirs(const struct handover *h, struct buf *keys)
{
    buf_char(keys, '{');
    for (size_t i = 0; i < h->n_heirs; i++)
        buf_printf(keys, "%s%lld", i ? "," : "", (long long)h->heirs[i].run_key);
    buf_char(keys, '}');
}

/* What became of the runs that we asked for: ours, somebody else's, or not decided yet. */
static bool
look_for_inherited(struct handover *h, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF keys = {0};
    struct db_args args;

    if (h->n_heirs == 0)
        return true;
    keys_of_heirs(h, &keys);
    db_args_init(&args);
    db_arg_text(&args, h->claim->instance_id);
    db_arg_text(&args, buf_cstr(&keys));
    if (!db_run(h->claim->db, SQL_HEIR_LOOK, &args, &rows, err))
        return false;
    for (int row = 0; row < db_rows(rows); row++) {
        struct run_mail m = {.run_key = db_int(rows, row, 0), .fence = db_int(rows, row, 1)};
        bool ours = db_bool(rows, row, 2), waiting = db_bool(rows, row, 3);

        if (ours ? !claim_owe(h->claim, m.run_key, m.fence)
                 : waiting || !tell_shard(h, SHARD_UNHEIR, &m))
            continue;
        for (size_t i = 0; i < h->n_heirs; i++)
            if (h->heirs[i].run_key == m.run_key)
                remove_heir(h, i);
    }
    return true;
}

static bool
post_heir(struct handover *h, int64_t run_key, const char *session_id, int64_t cursor)
{
    size_t n = strlen(session_id) + 1;
    struct heir_mail *m = xcalloc(1, sizeof *m + n);

    m->mail.kind = SHARD_INHERIT;
    m->run_key = run_key;
    m->cursor = cursor;
    memcpy(m->session_id, session_id, n);
    if (shard_post(claim_shard(h->claim, run_key), &m->mail))
        return true;
    free(m);
    return false;
}

static bool
ask(struct handover *h, bool draining, int64_t more_than, int64_t limit, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;

    if (limit > (int64_t)(HEIRS_MAX - h->n_heirs))
        limit = (int64_t)(HEIRS_MAX - h->n_heirs);
    if (limit <= 0)
        return true;
    db_args_init(&args);
    db_arg_text(&args, h->claim->instance_id);
    db_arg_bool(&args, draining);
    db_arg_int(&args, more_than);
    db_arg_int(&args, limit);
    if (!db_run(h->claim->db, SQL_HEIR_ASK, &args, &rows, err))
        return false;
    for (int row = 0; row < db_rows(rows); row++) {
        struct heir_run *run = &h->heirs[h->n_heirs++];
        bool posted;

        *run = (struct heir_run){.run_key = db_int(rows, row, 0),
                                 .give_up_ms = clock_mono_ms() + PATIENCE_MS};
        posted = post_heir(h, run->run_key, db_text(rows, row, 1), db_int(rows, row, 2));
        run->state = posted ? HEIR_ASKED : HEIR_LOST;
    }
    return true;
}

/*
 * From an instance that leaves everything that we may have; from one with too many a few at each
 * heartbeat, until we have an even share.
 */
static bool
ask_for_runs(struct handover *h, struct err *err)
{
    const struct claim *c = h->claim;
    int64_t have = claim_held(c) + (int64_t)h->n_heirs, now = clock_mono_ms();
    int64_t share = claim_share(c), even = c->live_runs / c->instances;

    if (c->draining || c->others == 0 || !c->cfg->run_recovery_enabled)
        return true;
    if (!ask(h, true, -1, share - have, err))
        return false;
    if (now < h->level_at_ms || have >= even)
        return true;
    h->level_at_ms = now + c->cfg->observerd_lease_ms / 3;
    even = even - have < even / 4 + 1 ? even - have : even / 4 + 1;
    return ask(h, false, share, even, err);
}

/* --- the owner's side ---------------------------------------------------------------------- */

static void
answer(struct handover *h, const struct run_fence *run, bool yes)
{
    if (!tell_shard(h, SHARD_HANDED,
                    &(struct run_mail){.run_key = run->run_key, .fence = run->fence, .yes = yes}))
        log_error("a shard's inbox is full, a run is not observed until this instance is gone");
}

void
handover_stored(struct handover *h, const struct run_mail *m)
{
    const struct run_fence run = {m->run_key, m->fence};

    if (h->n_stored < HEIRS_MAX)
        h->stored[h->n_stored++] = run;
    else
        answer(h, &run, false);
}

/* Shards whose runs have an heir store them, and say so. */
static bool
let_heirs_in(struct handover *h, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;

    if (h->claim->others == 0)
        return true;
    db_args_init(&args);
    db_arg_text(&args, h->claim->instance_id);
    db_arg_int(&args, HEIRS_MAX);
    if (!db_run(h->claim->db, SQL_HEIRS_WAITING, &args, &rows, err))
        return false;
    for (int row = 0; row < db_rows(rows); row++)
        if (!tell_shard(h, SHARD_LET_IN,
                        &(struct run_mail){.run_key = db_int(rows, row, 0),
                                           .ordinal = db_int(rows, row, 1)}))
            return true; /* they are asked again */
    return true;
}

static bool
was_moved(const struct db_result *rows, int64_t run_key)
{
    for (int row = 0; rows && row < db_rows(rows); row++)
        if (db_int(rows, row, 0) == run_key)
            return true;
    return false;
}

/*
 * Make the heirs owners. When the answer is lost the runs are let go under the fence that we know:
 * that changes nothing of what has moved.
 */
static bool
hand_over(struct handover *h, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF keys = {0}, fences = {0};
    struct db_args args;
    bool ok;

    if (h->n_stored == 0)
        return true;
    for (size_t i = 0; i < h->n_stored; i++) {
        buf_printf(&keys, "%c%lld", i ? ',' : '{', (long long)h->stored[i].run_key);
        buf_printf(&fences, "%c%lld", i ? ',' : '{', (long long)h->stored[i].fence);
    }
    buf_char(&keys, '}');
    buf_char(&fences, '}');
    db_args_init(&args);
    db_arg_text(&args, h->claim->instance_id);
    db_arg_text(&args, buf_cstr(&keys));
    db_arg_text(&args, buf_cstr(&fences));
    ok = db_run(h->claim->db, SQL_RUN_HAND_OVER, &args, &rows, err);
    ok = ok && claim_call(h->claim, err);
    while (h->n_stored) {
        const struct run_fence *r = &h->stored[--h->n_stored];

        answer(h, r, was_moved(rows, r->run_key));
    }
    return ok;
}

void
handover_leave(struct handover *h)
{
    for (size_t i = 0; i < h->claim->n_shards; i++) {
        struct mail *leave = xcalloc(1, sizeof *leave);

        leave->kind = SHARD_LEAVE;
        if (!shard_post(h->claim->shards[i], leave))
            free(leave); /* said again */
    }
}

bool
handover_work(struct handover *h, struct err *err)
{
    return hand_over(h, err) && let_heirs_in(h, err) && report_heirs(h, err) &&
           look_for_inherited(h, err) && ask_for_runs(h, err);
}
