#include "observerd/writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/log.h"
#include "shared/meter.h"

/* A run that a batch of ours lost: what was added for it meanwhile builds on rows that are not. */
struct gone {
    int64_t run_key, fence;
};

struct writer {
    struct writer_options o;
    pthread_t thread;
    struct db *db;
    pthread_mutex_t mu;
    pthread_cond_t work; /* pending has something, or stop */
    struct batch batches[2];
    struct batch *pending;
    uint64_t past_serial; /* of the last batch that was stored or given up */
    bool sending, stopping;
    bool left; /* it has stopped trying with rows in hand */
    int64_t sending_since_ms;
    bool room_wanted; /* the queue thread has parked streams */
    int64_t end_by_ms;
    struct writer_result *results;
    size_t n_results, cap_results;
    struct gone *gone;
    size_t n_gone, cap_gone;
    int64_t rate_from_ms, rate_events; /* of the last second */
    int64_t rate;
};

/* --- the queue thread's side --------------------------------------------------------------- */

struct batch *
writer_lock(struct writer *w)
{
    pthread_mutex_lock(&w->mu);
    return w->pending;
}

void
writer_unlock(struct writer *w)
{
    bool signal = !w->sending && !batch_is_empty(w->pending);

    pthread_mutex_unlock(&w->mu);
    if (signal)
        pthread_cond_signal(&w->work);
}

bool
writer_is_full(struct writer *w)
{
    bool full;

    pthread_mutex_lock(&w->mu);
    full = w->pending->events >= (size_t)w->o.cfg->observerd_batch_events ||
           batch_bytes(w->pending) >= (size_t)w->o.cfg->observerd_batch_bytes;
    if (full)
        w->room_wanted = true;
    pthread_mutex_unlock(&w->mu);
    return full;
}

bool
writer_is_idle(struct writer *w)
{
    bool idle;

    pthread_mutex_lock(&w->mu);
    idle = !w->sending && !w->left && batch_is_empty(w->pending);
    pthread_mutex_unlock(&w->mu);
    return idle;
}

int64_t
writer_stuck_ms(struct writer *w)
{
    int64_t ms;

    pthread_mutex_lock(&w->mu);
    ms = w->sending ? clock_mono_ms() - w->sending_since_ms : 0;
    pthread_mutex_unlock(&w->mu);
    return ms;
}

uint64_t
writer_last_serial(struct writer *w)
{
    uint64_t serial;

    pthread_mutex_lock(&w->mu);
    serial = w->pending->serial - batch_is_empty(w->pending);
    pthread_mutex_unlock(&w->mu);
    return serial;
}

void
writer_copy_logs(struct writer *w, struct buf *out)
{
    pthread_mutex_lock(&w->mu);
    for (size_t i = 0; i < ARRAY_LEN(w->batches); i++) {
        /* The one on its way is older. */
        const struct batch *b = i == 0 ? &w->batches[w->pending == &w->batches[0]] : w->pending;

        buf_add(out, b->log.p, b->log.len);
    }
    pthread_mutex_unlock(&w->mu);
}

bool
writer_is_past(struct writer *w, uint64_t serial)
{
    bool past;

    pthread_mutex_lock(&w->mu);
    past = serial <= w->past_serial;
    pthread_mutex_unlock(&w->mu);
    return past;
}

size_t
writer_take_results(struct writer *w, struct writer_result *out, size_t max)
{
    size_t n;

    pthread_mutex_lock(&w->mu);
    n = w->n_results < max ? w->n_results : max;
    if (n) {
        memcpy(out, w->results, n * sizeof *out);
        memmove(w->results, w->results + n, (w->n_results - n) * sizeof *out);
        w->n_results -= n;
    }
    pthread_mutex_unlock(&w->mu);
    return n;
}

/* What an owner added; a later owner's rows of the same run stay. */
static void
drop_owned(struct batch *b, int64_t run_key, int64_t fence)
{
    for (size_t i = 0; i < b->n_runs; i++)
        if (b->runs[i].run_key == run_key && b->runs[i].fence == fence) {
            batch_drop_run(b, run_key);
            return;
        }
}

void
writer_forget(struct writer *w, int64_t run_key, int64_t fence)
{
    size_t kept = 0;

    pthread_mutex_lock(&w->mu);
    drop_owned(w->pending, run_key, fence);
    for (size_t i = 0; i < w->n_gone; i++)
        if (w->gone[i].run_key != run_key || w->gone[i].fence != fence)
            w->gone[kept++] = w->gone[i];
    w->n_gone = kept;
    pthread_mutex_unlock(&w->mu);
}

/* --- results ----------------------------------------------------------------------------- */

static void
report(struct writer *w, const struct batch_run *r, enum writer_verdict verdict)
{
    pthread_mutex_lock(&w->mu);
    if (w->n_results == w->cap_results) {
        w->cap_results = w->cap_results ? w->cap_results * 2 : 256;
        w->results = xrealloc(w->results, w->cap_results * sizeof *w->results);
    }
    w->results[w->n_results++] = (struct writer_result){
        .run_key = r->run_key,
        .fence = r->fence,
        .verdict = verdict,
        .terminal = r->terminal,
        .closed = r->closed,
    };
    if (verdict != WRITER_COMMITTED) {
        if (w->n_gone == w->cap_gone) {
            w->cap_gone = w->cap_gone ? w->cap_gone * 2 : 64;
            w->gone = xrealloc(w->gone, w->cap_gone * sizeof *w->gone);
        }
        w->gone[w->n_gone++] = (struct gone){r->run_key, r->fence};
    }
    pthread_mutex_unlock(&w->mu);
}

static void
committed(struct writer *w, const struct batch *b)
{
    int64_t now_us = clock_mono_us();

    if (batch_is_empty(b)) /* all of it was refused */
        return;
    meter_observe(METER_BATCH_ROWS, b->tables[BATCH_RAW].n + b->tables[BATCH_CANONICAL].n);
    meter_add(METER_EVENTS, b->tables[BATCH_CANONICAL].n);
    for (size_t i = 0; i < b->n_received; i++)
        meter_observe(METER_LAG, now_us - b->received_us[i]);
    if (b->tables[BATCH_WEBHOOKS].n)
        notifier_add_deliveries(w->o.notifier);
    for (int i = 0; i < b->tables[BATCH_COMMANDS].n; i++)
        notifier_done(w->o.notifier, rows_int8_at(&b->tables[BATCH_COMMANDS], 1, i));
    for (size_t i = 0; i < b->n_runs; i++) {
        const struct batch_run *r = &b->runs[i];

        if (!r->run_key)
            continue;
        /* Only ends are worth a result: for the rest the queue thread waits for nothing. */
        if (r->terminal || r->closed)
            report(w, r, WRITER_COMMITTED);
        if (r->new_seq > r->old_seq)
            notifier_add(w->o.notifier, r->run_id, r->new_seq, r->terminal);
    }
}

/* False: the batch has no such run. */
static bool
lost(struct writer *w, struct batch *b, int64_t run_key, enum writer_verdict verdict)
{
    size_t before = b->n_dropped;

    for (size_t i = 0; i < b->n_runs; i++)
        if (b->runs[i].run_key == run_key) {
            struct log_ctx ctx = {.run_id = b->runs[i].run_id};

            log_line(LOG_WARN, &ctx, "%s; the run is let go and taken anew",
                     verdict == WRITER_LOST ? "another writer has moved the run"
                                            : "Postgres refuses the run's rows");
            report(w, &b->runs[i], verdict);
            meter_add(verdict == WRITER_LOST ? METER_FENCED : METER_REFUSED_RUNS, 1);
            break;
        }
    batch_drop_run(b, run_key);
    return b->n_dropped > before;
}

/* --- storing ----------------------------------------------------------------------------- */

static bool
out_of_time(struct writer *w)
{
    bool over;

    pthread_mutex_lock(&w->mu);
    over = clock_mono_ms() >= w->end_by_ms;
    pthread_mutex_unlock(&w->mu);
    return over;
}

/* Wait, but not past the end of the stop limit; a stop wakes it. */
static void
pause_ms(struct writer *w, int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;
    struct timespec until;

    pthread_mutex_lock(&w->mu);
    if (until_ms > w->end_by_ms)
        until_ms = w->end_by_ms;
    until.tv_sec = until_ms / 1000;
    until.tv_nsec = until_ms % 1000 * 1000000;
    pthread_cond_timedwait(&w->work, &w->mu, &until);
    pthread_mutex_unlock(&w->mu);
}

/* At the end a server that does not answer may cost what is left of the time, no more. */
static void
bound_waits(struct writer *w)
{
    int64_t left;

    pthread_mutex_lock(&w->mu);
    left = w->end_by_ms - clock_mono_ms();
    pthread_mutex_unlock(&w->mu);
    if (left < db_timeout(w->db))
        db_set_timeout(w->db, left > 100 ? (int)left : 100);
}

/*
 * A batch that did not get through in its time would not the next time either, when the server is
 * slow or the batch is large. So the limit doubles, and falls back when a batch is stored.
 */
static void
be_patient(struct writer *w, int64_t took_us)
{
    enum { PATIENCE = 16 };
    int limit = db_timeout(w->db), usual = (int)w->o.cfg->db_pool_connection_timeout;

    if (took_us / 1000 >= limit - limit / 5 && limit < usual * PATIENCE)
        db_set_timeout(w->db, limit * 2);
}

/* Nothing is written by an instance that others may count as dead. */
static bool
wait_until_alive(struct writer *w)
{
    while (clock_mono_ms() > atomic_load(w->o.alive_until_ms)) {
        if (out_of_time(w))
            return false;
        pause_ms(w, 20);
    }
    return true;
}

static void
drop_strangers(struct writer *w, struct batch *b)
{
    AUTO_BUF keys = {0};
    bool any = false;

    buf_str(&keys, db_detail(w->db));
    for (const char *k = buf_cstr(&keys); *k; k += strcspn(k, ",")) {
        k += *k == ',';
        any = lost(w, b, strtoll(k, NULL, 10), WRITER_LOST) || any;
    }
    if (!any) /* cannot happen while the guard names them; do not spin if it does */
        while (!batch_is_empty(b))
            for (size_t i = 0; i < b->n_runs; i++)
                if (b->runs[i].run_key)
                    lost(w, b, b->runs[i].run_key, WRITER_LOST);
}

/*
 * A commit whose answer never came: the rows say whether it happened. The transaction was for
 * all its runs or none, so one run whose cursor is where we moved it is proof: only its owner
 * moves that. A sequence number alone proves nothing (handlers append, too); then the batch is
 * sent again, and the guard drops what was stored or has moved, to be loaded anew.
 */
static bool
was_committed(struct writer *w, struct batch *b, bool *known)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF keys = {0};
    struct db_args args;
    struct err err;
    bool yes = false;

    buf_char(&keys, '{');
    for (size_t i = 0; i < b->n_runs; i++)
        if (b->runs[i].run_key && b->runs[i].new_cursor != b->runs[i].old_cursor)
            buf_printf(&keys, "%s%lld", keys.len > 1 ? "," : "", (long long)b->runs[i].run_key);
    buf_char(&keys, '}');
    db_args_init(&args);
    db_arg_text(&args, buf_cstr(&keys));
    *known = db_run(w->db, SQL_BATCH_OUTCOME, &args, &rows, &err);
    if (!*known)
        return false;
    for (int row = 0; row < db_rows(rows); row++)
        for (size_t i = 0; i < b->n_runs; i++) {
            const struct batch_run *r = &b->runs[i];

            if (r->run_key == db_int(rows, row, 0) && r->fence == db_int(rows, row, 1) &&
                r->new_cursor == db_int(rows, row, 2) && r->new_cursor != r->old_cursor)
                yes = true;
        }
    return yes;
}

static bool store(struct writer *w, struct batch *b);

/* Postgres refuses something in the batch: run by run, then without the data it cannot read. */
static bool
store_refused(struct writer *w, struct batch *b, const struct err *cause)
{
    struct err err;
    int replaced;

    if (b->n_runs - b->n_dropped > 1) {
        struct batch one;
        bool ok = true;

        batch_init(&one);
        while (ok && !batch_is_empty(b)) {
            batch_split_first(b, &one);
            ok = store(w, &one);
            batch_reset(&one);
        }
        batch_fini(&one);
        return ok;
    }
    log_err(LOG_ERROR, cause, "Postgres refuses a batch");
    replaced = batch_quarantine(b, w->db, &err);
    if (replaced > 0) {
        meter_add(METER_REFUSED_ROWS, replaced);
        return store(w, b);
    }
    if (replaced < 0)
        return store(w, b); /* the connection went: try the whole again */
    for (size_t i = 0; i < b->n_runs; i++)
        if (b->runs[i].run_key)
            lost(w, b, b->runs[i].run_key, WRITER_REFUSED);
    return true;
}

/* Until it is stored, or the stop limit passes (false). */
static bool
store(struct writer *w, struct batch *b)
{
    int64_t backoff = 20, began_us;
    struct err err;
    bool doubt = false, warned = false;

    while (!batch_is_empty(b)) {
        if (!wait_until_alive(w))
            return false;
        bound_waits(w);
        if (doubt) {
            bool known, yes = was_committed(w, b, &known);

            if (yes)
                break;
            doubt = !known;
        }
        if (doubt) {
            if (out_of_time(w))
                return false;
            pause_ms(w, backoff);
            backoff = backoff < 2000 ? backoff * 2 : 2000;
            continue;
        }
        began_us = clock_mono_us();
        if (batch_store(b, w->db, &err)) {
            meter_observe(METER_BATCH_SECONDS, clock_mono_us() - began_us);
            db_set_timeout(w->db, (int)w->o.cfg->db_pool_connection_timeout);
            break;
        }
        if (err.code == ERR_GUARD) {
            drop_strangers(w, b);
        } else if (err.code == ERR_DB) {
            /* A full disk or a standby takes connections and refuses rows: pause in any case. */
            log_err(warned ? LOG_DEBUG : LOG_WARN, &err,
                    "batch not stored, it is kept and sent again");
            warned = true;
            doubt = true;
            be_patient(w, clock_mono_us() - began_us);
            meter_add(METER_BATCH_RETRIES, 1);
            if (out_of_time(w))
                return false;
            pause_ms(w, backoff);
            backoff = backoff < 2000 ? backoff * 2 : 2000;
        } else {
            return store_refused(w, b, &err);
        }
    }
    committed(w, b);
    return true;
}

/* --- the thread -------------------------------------------------------------------------- */

/*
 * A short wait makes bigger batches when envelopes come fast but do not fill one. What has waited
 * for the commit before does not wait again: no envelope is held back beyond the linger.
 */
static void
linger(struct writer *w)
{
    enum { BUSY_PER_SECOND = 300, SMALL_BATCH = 100 };
    const struct batch *b = w->pending;
    int64_t left_us;

    if (w->rate <= BUSY_PER_SECOND || b->events >= SMALL_BATCH || !b->n_received)
        return;
    left_us = b->received_us[0] + w->o.cfg->observerd_linger_ms * 1000 - clock_mono_us();
    if (left_us <= 0)
        return;
    pthread_mutex_unlock(&w->mu);
    nanosleep(&(struct timespec){left_us / 1000000, left_us % 1000000 * 1000}, NULL);
    pthread_mutex_lock(&w->mu);
}

/*
 * Postgres shares processors and log between connections. A large batch does not begin while a
 * small one of the other lane is on its way: that one is over in milliseconds.
 */
static void
let_others_go_first(struct writer *w)
{
    enum { PATIENCE_MS = 20 };

    if (!w->o.after)
        return;
    pthread_mutex_unlock(&w->mu);
    for (int i = 0; i < PATIENCE_MS && !writer_is_idle(w->o.after); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    pthread_mutex_lock(&w->mu);
}

static void
measure(struct writer *w, const struct batch *b)
{
    int64_t now = clock_mono_ms();

    w->rate_events += (int64_t)b->events;
    if (now - w->rate_from_ms >= 1000) {
        w->rate = w->rate_events * 1000 / (now - w->rate_from_ms);
        w->rate_events = 0;
        w->rate_from_ms = now;
    }
}

static void *
writer_main(void *arg)
{
    struct writer *w = arg;
    bool left = false, room_wanted;

    pthread_mutex_lock(&w->mu);
    for (;;) {
        struct batch *b;

        while (batch_is_empty(w->pending) && !w->stopping)
            pthread_cond_wait(&w->work, &w->mu);
        if (batch_is_empty(w->pending))
            break;
        linger(w);
        let_others_go_first(w);
        b = w->pending;
        w->pending = b == &w->batches[0] ? &w->batches[1] : &w->batches[0];
        w->pending->serial = b->serial + 1;
        for (size_t i = 0; i < w->n_gone; i++)
            drop_owned(b, w->gone[i].run_key, w->gone[i].fence);
        w->sending = true;
        w->sending_since_ms = clock_mono_ms();
        room_wanted = w->room_wanted;
        w->room_wanted = false;
        pthread_mutex_unlock(&w->mu);

        if (room_wanted)
            w->o.wake(w->o.ctx);
        left = !store(w, b);
        measure(w, b);
        batch_reset(b);
        pthread_mutex_lock(&w->mu);
        w->sending = false;
        w->left = left;
        if (!left) {
            w->past_serial = b->serial;
            buf_reset(&b->log);
        }
        if (w->n_results)
            w->o.wake(w->o.ctx);
        if (left)
            break;
    }
    left = left || !batch_is_empty(w->pending);
    pthread_mutex_unlock(&w->mu);
    return left ? w : NULL;
}

struct writer *
writer_start(const struct writer_options *o)
{
    struct writer *w = xcalloc(1, sizeof *w);
    pthread_condattr_t attr;

    w->o = *o;
    w->db = db_new(o->cfg->database_url, o->name, (int)o->cfg->db_pool_connection_timeout);
    pthread_mutex_init(&w->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &attr);
    pthread_condattr_destroy(&attr);
    batch_init(&w->batches[0]);
    batch_init(&w->batches[1]);
    w->pending = &w->batches[0];
    w->pending->serial = 1;
    w->rate_from_ms = clock_mono_ms();
    w->end_by_ms = INT64_MAX;
    if (pthread_create(&w->thread, NULL, writer_main, w) != 0)
        BUG("cannot start a thread");
    return w;
}

void
writer_end_by(struct writer *w, int64_t mono_ms)
{
    pthread_mutex_lock(&w->mu);
    w->end_by_ms = mono_ms;
    pthread_mutex_unlock(&w->mu);
    db_give_up_at(w->db, mono_ms);
    pthread_cond_signal(&w->work);
}

bool
writer_stop(struct writer *w, int64_t limit_ms)
{
    void *left;

    pthread_mutex_lock(&w->mu);
    w->stopping = true;
    pthread_mutex_unlock(&w->mu);
    writer_end_by(w, clock_mono_ms() + limit_ms);
    pthread_join(w->thread, &left);
    batch_fini(&w->batches[0]);
    batch_fini(&w->batches[1]);
    db_close(w->db);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->mu);
    free(w->results);
    free(w->gone);
    free(w);
    return !left;
}
