#include "observerd/ambient.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "observerd/column.h"
#include "observerd/envelope.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/key.h"
#include "shared/log.h"
#include "shared/meter.h"

enum {
    INBOX_MAX = 1 << 15,
    BYTES_MAX = 16 << 20, /* of envelopes that wait to be stored */
    STORE_AT_ONCE = 256,
    LOOK_AT_ONCE = 500,
    ROWS_AT_ONCE = 200,
    LOOK_AGAIN_MS = 2000,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 1000,
    IDLE_MS = 60000,
};

enum inbox_mail { AMBIENT_STORE, AMBIENT_LOOK, AMBIENT_GAP };

struct look_mail {
    struct mail mail;
    struct shard *shard;
    char session_id[];
};

struct gap_mail {
    struct mail mail;
    int64_t from_ms, to_ms;
    char detail[300];
};

/* A session whose rows are wanted. */
struct look {
    UT_hash_handle hh;
    struct shard *shard;
    int64_t due_ms;
    bool again;                 /* once more after this time */
    char key[KEY_TEXT_MAX + 1]; /* what its rows call the session */
    char session_id[];
};

struct ambient {
    const struct config *cfg;
    struct shard *const *shards;
    size_t n_shards;
    pthread_t thread;
    struct mailbox inbox;
    _Atomic size_t bytes_waiting;

    pthread_mutex_t mu; /* of the fields up to dropped_to_ms */
    pthread_cond_t work;
    bool rung, stopping, quiet;
    int64_t stop_by_ms;
    int64_t dropped, dropped_from_ms, dropped_to_ms;

    /* the thread's own */
    struct db *db;
    struct mail *stores, **stores_tail;
    struct mail *gaps;
    struct look *looks;
    struct rows rows;
    struct arena arena;
    int64_t retry_at_ms, backoff_ms;
};

static const enum column_type store_columns[] = {COLUMN_TEXT, COLUMN_TEXT,        COLUMN_TEXT,
                                                 COLUMN_TEXT, COLUMN_TIMESTAMPTZ, COLUMN_BYTEA};

/* --- what comes in ------------------------------------------------------------------------ */

static struct ambient_mail *
mail_new(const char *session_id, size_t n)
{
    size_t id_len = strlen(session_id) + 1;
    struct ambient_mail *m = xmalloc(sizeof *m + n + id_len);

    *m = (struct ambient_mail){.n = n};
    memcpy(m->data + n, session_id, id_len);
    m->bytes = (const uint8_t *)m->data;
    m->session_id = m->data + n;
    return m;
}

/* Neither a shard nor the table can have it. */
static void
drop(struct ambient *a, struct ambient_mail *m)
{
    struct log_ctx ctx = {.session_id = m->session_id};
    bool first;

    meter_add(METER_SIGNALS_DROPPED, 1);
    pthread_mutex_lock(&a->mu);
    first = a->dropped++ == 0;
    if (first)
        a->dropped_from_ms = m->received_ms;
    a->dropped_to_ms = m->received_ms;
    pthread_mutex_unlock(&a->mu);
    if (first)
        log_line(LOG_ERROR, &ctx, "too many signals wait to be stored, new ones are dropped");
    free(m);
}

void
ambient_keep(struct ambient *a, struct ambient_mail *m)
{
    size_t n = sizeof *m + m->n;

    if (atomic_fetch_add(&a->bytes_waiting, n) + n > BYTES_MAX) {
        atomic_fetch_sub(&a->bytes_waiting, n);
        drop(a, m);
        return;
    }
    m->mail.kind = AMBIENT_STORE;
    if (!mailbox_post(&a->inbox, &m->mail)) {
        atomic_fetch_sub(&a->bytes_waiting, n);
        drop(a, m);
    }
}

void
ambient_pass(struct ambient *a, struct ambient_mail *m)
{
    if (m->hops == a->n_shards) {
        ambient_keep(a, m);
        return;
    }
    m->mail.kind = SHARD_AMBIENT;
    if (!shard_post(a->shards[m->hops++], &m->mail))
        drop(a, m);
}

void
ambient_received(struct ambient *a, const char *session_id, const void *bytes, size_t n)
{
    struct ambient_mail *m = mail_new(session_id, n);

    memcpy(m->data, bytes, n);
    m->received_ms = clock_wall_ms();
    if (session_id[0])
        ambient_pass(a, m);
    else
        ambient_keep(a, m);
}

void
ambient_look(struct ambient *a, struct shard *shard, const char *session_id)
{
    size_t id_len = strlen(session_id) + 1;
    struct look_mail *m;

    if (!a)
        return;
    m = xmalloc(sizeof *m + id_len);
    *m = (struct look_mail){.mail.kind = AMBIENT_LOOK, .shard = shard};
    memcpy(m->session_id, session_id, id_len);
    if (!mailbox_post(&a->inbox, &m->mail)) {
        log_warn("a look for stored signals is left out: too much waits");
        free(m);
    }
}

void
ambient_interrupted(struct ambient *a, int64_t from_ms, int64_t to_ms, const char *detail)
{
    struct gap_mail *m = xcalloc(1, sizeof *m);

    m->mail.kind = AMBIENT_GAP;
    m->from_ms = from_ms;
    m->to_ms = to_ms;
    snprintf(m->detail, sizeof m->detail, "%s", detail);
    if (!mailbox_post(&a->inbox, &m->mail)) {
        log_error("a gap of the signal watch is not noted: too much waits");
        free(m);
    }
    for (size_t i = 0; i < a->n_shards; i++) {
        struct mail *look = xcalloc(1, sizeof *look);

        look->kind = SHARD_LOOK;
        if (!shard_post(a->shards[i], look))
            free(look);
    }
}

/* --- to the table ------------------------------------------------------------------------- */

static void
add_row(struct ambient *a, const struct ambient_mail *m)
{
    struct envelope e;
    bool whole;

    arena_reset(&a->arena);
    whole = envelope_read(m->bytes, m->n, &a->arena, &e);
    (void)whole; /* the bytes are kept as they are */
    rows_text(&a->rows, envelope_key(&a->arena, m->session_id));
    rows_text(&a->rows, envelope_key(&a->arena, e.sender));
    rows_text(&a->rows, envelope_key(&a->arena, e.message_type));
    rows_text(&a->rows, envelope_identity(&a->arena, &e, m->bytes, m->n));
    rows_time(&a->rows, m->received_ms);
    rows_bytes_value(&a->rows, m->bytes, m->n);
}

static void
stored(struct ambient *a, int n)
{
    while (n-- > 0) {
        struct ambient_mail *m = (struct ambient_mail *)a->stores;

        a->stores = m->mail.next;
        if (!a->stores)
            a->stores_tail = &a->stores;
        atomic_fetch_sub(&a->bytes_waiting, sizeof *m + m->n);
        free(m);
    }
}

/* The first max envelopes. False: Postgres is away. */
static bool
store_some(struct ambient *a, int max)
{
    struct db_args args;
    struct err err;
    int n = 0;

    rows_reset(&a->rows);
    for (struct mail *m = a->stores; m && n < max; m = m->next, n++)
        add_row(a, (struct ambient_mail *)m);
    db_args_init(&args);
    rows_args(&a->rows, &args);
    if (db_run(a->db, SQL_AMBIENT_STORE, &args, NULL, &err)) {
        stored(a, n);
        return true;
    }
    if (err.code == ERR_DB) {
        log_err(a->backoff_ms == BACKOFF_MIN_MS ? LOG_WARN : LOG_DEBUG, &err,
                "signals wait for Postgres");
        return false;
    }
    if (n > 1) /* one of them is refused: find it */
        return store_some(a, n / 2);
    log_err(LOG_ERROR, &err, "Postgres refuses a signal, it is left out");
    stored(a, 1);
    return true;
}

static bool
store_gap(struct ambient *a, int64_t from_ms, int64_t to_ms, const char *detail)
{
    struct db_args args;
    struct err err;

    db_args_init(&args);
    db_arg_int(&args, from_ms);
    db_arg_int(&args, to_ms);
    db_arg_text(&args, detail);
    if (db_run(a->db, SQL_GAP_SIGNALS, &args, NULL, &err)) {
        meter_add(METER_GAPS, 1, "signals");
        return true;
    }
    if (err.code == ERR_DB)
        return false;
    log_err(LOG_ERROR, &err, "Postgres refuses a gap of the signal watch");
    return true;
}

static bool
store_gaps(struct ambient *a)
{
    while (a->gaps) {
        struct gap_mail *m = (struct gap_mail *)a->gaps;

        if (!store_gap(a, m->from_ms, m->to_ms, m->detail))
            return false;
        a->gaps = m->mail.next;
        free(m);
    }
    return true;
}

/* What had to be dropped is a gap, too. */
static bool
store_dropped(struct ambient *a)
{
    int64_t n, from, to;
    char detail[100];

    pthread_mutex_lock(&a->mu);
    n = a->dropped;
    from = a->dropped_from_ms;
    to = a->dropped_to_ms;
    a->dropped = 0;
    pthread_mutex_unlock(&a->mu);
    if (!n)
        return true;
    snprintf(detail, sizeof detail, "%lld signals dropped: more than could wait to be stored",
             (long long)n);
    if (store_gap(a, from, to, detail)) {
        log_error("%s", detail);
        return true;
    }
    pthread_mutex_lock(&a->mu);
    a->dropped += n;
    a->dropped_from_ms = from;
    if (a->dropped == n)
        a->dropped_to_ms = to;
    pthread_mutex_unlock(&a->mu);
    return false;
}

/* --- out of the table ----------------------------------------------------------------------- */

static int
hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct ambient_mail *
mail_of_row(const struct db_result *rows, int row, const char *session_id)
{
    const char *hex = db_text(rows, row, 3);
    size_t n = db_len(rows, row, 3) / 2;
    struct ambient_mail *m = mail_new(session_id, n);

    m->mail.kind = SHARD_AMBIENT;
    m->ambient_key = db_int(rows, row, 0);
    m->received_ms = db_int(rows, row, 2);
    for (size_t i = 0; i < n; i++)
        m->data[i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    return m;
}

/* What does not fit stays in the table; another look finds it. */
static void
hand_over(struct ambient *a, const struct db_result *rows)
{
    pthread_mutex_lock(&a->mu); /* the shards live while we are not quiet */
    for (int row = 0; row < db_rows(rows) && !a->quiet; row++) {
        struct look *look;
        struct ambient_mail *m;

        HASH_FIND_STR(a->looks, db_text(rows, row, 1), look);
        if (!look)
            continue;
        m = mail_of_row(rows, row, look->session_id);
        if (!shard_post(look->shard, &m->mail)) {
            look->again = true;
            free(m);
        }
    }
    pthread_mutex_unlock(&a->mu);
}

/* All rows of these sessions, page by page. */
static bool
take(struct ambient *a, struct rows *sessions)
{
    int64_t after = 0;
    int n;

    do {
        AUTO_DB_RESULT *rows = NULL;
        struct db_args args;
        struct err err;

        db_args_init(&args);
        rows_args(sessions, &args);
        db_arg_int(&args, after);
        db_arg_int(&args, ROWS_AT_ONCE);
        if (!db_run(a->db, SQL_AMBIENT_TAKE, &args, &rows, &err)) {
            if (err.code != ERR_DB)
                log_err(LOG_ERROR, &err, "stored signals cannot be read");
            return err.code != ERR_DB;
        }
        hand_over(a, rows);
        n = db_rows(rows);
        if (n)
            after = db_int(rows, n - 1, 0);
    } while (n == ROWS_AT_ONCE);
    return true;
}

/* The looks that are due, up to a bound. False: Postgres is away. */
static bool
look(struct ambient *a, bool *more)
{
    static const enum column_type column[] = {COLUMN_TEXT};
    struct look *done[LOOK_AT_ONCE];
    int64_t now = clock_mono_ms();
    struct rows sessions;
    int n = 0;
    bool ok;

    rows_init(&sessions, column, 1);
    for (struct look *each = a->looks; each && n < LOOK_AT_ONCE; each = each->hh.next)
        if (each->due_ms <= now) {
            rows_text(&sessions, each->key);
            done[n++] = each;
        }
    ok = n == 0 || take(a, &sessions);
    rows_fini(&sessions);
    *more = n == LOOK_AT_ONCE;
    for (int i = 0; ok && i < n; i++) {
        if (done[i]->again) {
            done[i]->again = false;
            done[i]->due_ms = now + LOOK_AGAIN_MS;
            continue;
        }
        HASH_DEL(a->looks, done[i]);
        free(done[i]);
    }
    return ok;
}

static void
want_look(struct ambient *a, const struct look_mail *m)
{
    size_t id_len = strlen(m->session_id);
    const char *key;
    struct look *l;

    arena_reset(&a->arena);
    key = envelope_key(&a->arena, m->session_id);
    HASH_FIND_STR(a->looks, key, l);
    if (!l) {
        l = xmalloc(sizeof *l + id_len + 1);
        *l = (struct look){0};
        snprintf(l->key, sizeof l->key, "%s", key);
        memcpy(l->session_id, m->session_id, id_len + 1);
        HASH_ADD_STR(a->looks, key, l);
    }
    l->shard = m->shard;
    l->due_ms = clock_mono_ms();
    l->again = true;
}

/* --- the thread --------------------------------------------------------------------------- */

static void
read_inbox(struct ambient *a)
{
    struct mail *mail = mailbox_take_all(&a->inbox), *next;

    for (; mail; mail = next) {
        next = mail->next;
        switch ((enum inbox_mail)mail->kind) {
        case AMBIENT_STORE:
            mail->next = NULL;
            *a->stores_tail = mail;
            a->stores_tail = &mail->next;
            break;
        case AMBIENT_LOOK:
            want_look(a, (struct look_mail *)mail);
            free(mail);
            break;
        case AMBIENT_GAP:
            mail->next = a->gaps;
            a->gaps = mail;
            break;
        }
    }
}

/* Everything there is to do; false: Postgres is away. */
static bool
work(struct ambient *a)
{
    bool more = true;

    while (a->stores)
        if (!store_some(a, STORE_AT_ONCE))
            return false;
    if (!store_gaps(a) || !store_dropped(a))
        return false;
    while (more)
        if (!look(a, &more))
            return false;
    return true;
}

static int64_t
next_due(const struct ambient *a)
{
    int64_t due = clock_mono_ms() + IDLE_MS;

    if (a->retry_at_ms)
        return a->retry_at_ms;
    for (struct look *l = a->looks; l; l = l->hh.next)
        if (l->due_ms < due)
            due = l->due_ms;
    return due;
}

/* Until there is mail, something is due, or the end; while Postgres is away only time counts. */
static void
wait_for_work(struct ambient *a)
{
    int64_t due = next_due(a);
    struct timespec until = {due / 1000, due % 1000 * 1000000};

    pthread_mutex_lock(&a->mu);
    while (clock_mono_ms() < due && (a->retry_at_ms || !(a->rung || a->stopping)))
        pthread_cond_timedwait(&a->work, &a->mu, &until);
    a->rung = false;
    pthread_mutex_unlock(&a->mu);
}

/* Nobody posts any more when the end is near: what is to be stored has been read by then. */
static bool
is_over(struct ambient *a)
{
    bool over;

    pthread_mutex_lock(&a->mu);
    over = a->stopping && (!a->retry_at_ms || clock_mono_ms() >= a->stop_by_ms);
    pthread_mutex_unlock(&a->mu);
    return over;
}

static void *
ambient_main(void *arg)
{
    struct ambient *a = arg;

    do {
        wait_for_work(a);
        read_inbox(a);
        if (work(a)) {
            a->retry_at_ms = 0;
            a->backoff_ms = BACKOFF_MIN_MS;
        } else {
            a->retry_at_ms = clock_mono_ms() + a->backoff_ms;
            a->backoff_ms = a->backoff_ms * 2 < BACKOFF_MAX_MS ? a->backoff_ms * 2 : BACKOFF_MAX_MS;
        }
    } while (!is_over(a));
    return NULL;
}

/* --- life --------------------------------------------------------------------------------- */

static void
ring(void *ctx)
{
    struct ambient *a = ctx;

    pthread_mutex_lock(&a->mu);
    a->rung = true;
    pthread_mutex_unlock(&a->mu);
    pthread_cond_signal(&a->work);
}

struct ambient *
ambient_start(const struct config *cfg, struct shard *const *shards, size_t n_shards)
{
    struct ambient *a = xcalloc(1, sizeof *a);
    pthread_condattr_t attr;

    a->cfg = cfg;
    a->shards = shards;
    a->n_shards = n_shards;
    a->stores_tail = &a->stores;
    a->backoff_ms = BACKOFF_MIN_MS;
    a->db =
        db_new(cfg->database_url, "macp-observerd signals", (int)cfg->db_pool_connection_timeout);
    rows_init(&a->rows, store_columns, ARRAY_LEN(store_columns));
    mailbox_init(&a->inbox, INBOX_MAX, ring, a);
    pthread_mutex_init(&a->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->work, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&a->thread, NULL, ambient_main, a) != 0)
        BUG("cannot start a thread");
    return a;
}

void
ambient_quiet(struct ambient *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->mu);
    a->quiet = true;
    pthread_mutex_unlock(&a->mu);
}

/* What could not be stored in time. */
static size_t
free_left(struct ambient *a)
{
    size_t n = 0;

    read_inbox(a);
    for (struct mail *m = a->stores, *behind; m; m = behind, n++) {
        behind = m->next;
        free(m);
    }
    for (struct mail *m = a->gaps, *behind; m; m = behind) {
        behind = m->next;
        free(m);
    }
    while (a->looks) {
        struct look *first = a->looks;

        HASH_DEL(a->looks, first);
        free(first);
    }
    return n;
}

void
ambient_stop(struct ambient *a, int64_t limit_ms)
{
    size_t left;

    if (!a)
        return;
    pthread_mutex_lock(&a->mu);
    a->stopping = true;
    a->stop_by_ms = clock_mono_ms() + limit_ms;
    pthread_mutex_unlock(&a->mu);
    pthread_cond_signal(&a->work);
    db_give_up_at(a->db, a->stop_by_ms);
    pthread_join(a->thread, NULL);
    left = free_left(a);
    if (left)
        log_error("%zu signals were not stored", left);
    db_close(a->db);
    rows_fini(&a->rows);
    arena_fini(&a->arena);
    mailbox_fini(&a->inbox);
    pthread_cond_destroy(&a->work);
    pthread_mutex_destroy(&a->mu);
    free(a);
}
