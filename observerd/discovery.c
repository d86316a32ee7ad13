#include "observerd/discovery.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "observerd/column.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"
#include "shared/run.h"

enum {
    INBOX_MAX = 1 << 14,
    WAITING_MAX = 1 << 16, /* sessions that wait for Postgres or for their next try */
    AT_ONCE = 64,
    STOP_GRACE_MS = 100,
    AWAY_MIN_MS = 100,
    AWAY_MAX_MS = 1000,
    REFUSED_MIN_MS = 1000,
    TRIES = 6, /* then the next list brings it back */
    IDLE_MS = 60000,
    /* How long the runtime may deny a session that it has shown, before the run fails. */
    OPEN_LIMIT_MS = 10000,
    DEFAULT_TTL_MS = 300000, /* of a session that does not say when it expires */
};

/* A session that may need a run. */
struct sighting {
    struct mail mail;
    UT_hash_handle hh;
    int64_t due_ms;
    int tries;
    const char *session_id;
    size_t n;       /* of the metadata */
    uint8_t data[]; /* the metadata, packed; the session id */
};

struct discovery {
    const struct config *cfg;
    struct mailbox *control;
    pthread_t thread;
    struct mailbox inbox;
    atomic_bool missed;

    pthread_mutex_t mu; /* of these */
    pthread_cond_t work;
    bool rung, stopping;

    /* the thread's own */
    struct db *db;
    struct sighting *waiting; /* hash, oldest first */
    struct rows rows;
    int64_t retry_at_ms, backoff_ms;
};

static const enum column_type columns[] = {COLUMN_TEXT, COLUMN_UUID, COLUMN_UUID, COLUMN_INT8,
                                           COLUMN_TEXT, COLUMN_TEXT, COLUMN_JSON, COLUMN_JSON};

/* --- the rules ---------------------------------------------------------------------------- */

void
discovery_id(const char *session_id, char out[UUID_LEN])
{
    AUTO_BUF name = {0};

    if (uuid_is_valid(session_id)) {
        uuid_lower(session_id, out);
        return;
    }
    buf_printf(&name, "macp:session:%s", session_id);
    uuid_v5(UUID_NAMESPACE_URL, buf_cstr(&name), out);
}

void
discovery_id_of_life(const char *session_id, int64_t started_ms, char out[UUID_LEN])
{
    AUTO_BUF name = {0};

    buf_printf(&name, "macp:session:%s:%lld", session_id, (long long)started_ms);
    uuid_v5(UUID_NAMESPACE_URL, buf_cstr(&name), out);
}

bool
discovery_is_wanted(const Macp__V1__SessionMetadata *meta, int64_t backfill_ms, int64_t now_ms)
{
    if (!meta->session_id[0])
        return false;
    switch ((int)meta->state) {
    case MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED:
    case MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED:
    case MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED:
        return backfill_ms > 0 && meta->started_at_unix_ms >= now_ms - backfill_ms;
    default:
        return true; /* a state of later releases, too: the runtime is asked about it */
    }
}

/* --- what is seen ------------------------------------------------------------------------- */

void
discovery_saw(struct discovery *d, const Macp__V1__SessionMetadata *meta)
{
    size_t n, id_len;
    struct sighting *s;

    if (!discovery_is_wanted(meta, d->cfg->discovery_backfill_ms, clock_wall_ms()))
        return;
    n = protobuf_c_message_get_packed_size(&meta->base);
    id_len = strlen(meta->session_id) + 1;
    s = xmalloc(sizeof *s + n + id_len);
    *s = (struct sighting){.n = n};
    protobuf_c_message_pack(&meta->base, s->data);
    memcpy(s->data + n, meta->session_id, id_len);
    s->session_id = (const char *)s->data + n;
    if (!mailbox_post(&d->inbox, &s->mail)) {
        atomic_store(&d->missed, true);
        free(s);
    }
}

bool
discovery_missed(struct discovery *d)
{
    return atomic_exchange(&d->missed, false);
}

/* The latest metadata counts; a session that is being put off stays so. */
static void
wait_for_turn(struct discovery *d, struct sighting *s)
{
    struct sighting *older;

    HASH_FIND_STR(d->waiting, s->session_id, older);
    if (older) {
        s->due_ms = older->due_ms;
        s->tries = older->tries;
        HASH_DEL(d->waiting, older);
        free(older);
    } else if (HASH_COUNT(d->waiting) >= WAITING_MAX) {
        atomic_store(&d->missed, true);
        free(s);
        return;
    }
    HASH_ADD_KEYPTR(hh, d->waiting, s->session_id, strlen(s->session_id), s);
}

static void
read_inbox(struct discovery *d)
{
    struct mail *mail = mailbox_take_all(&d->inbox), *next;

    for (; mail; mail = next) {
        next = mail->next;
        wait_for_turn(d, (struct sighting *)mail);
    }
}

static void
forget(struct discovery *d, struct sighting *s)
{
    HASH_DEL(d->waiting, s);
    free(s);
}

/* --- a run's rows ------------------------------------------------------------------------- */

static json_t *
text(const char *s)
{
    return jv_string(s, strlen(s));
}

static json_t *
participants(const Macp__V1__SessionMetadata *meta)
{
    json_t *list = json_array();

    for (size_t i = 0; i < meta->n_participants; i++) {
        json_t *one = json_object();

        jv_put(one, "id", text(meta->participants[i]));
        json_array_append_new(list, one);
    }
    return list;
}

/* The descriptor that a client would have posted for the session. */
static json_t *
descriptor(const struct discovery *d, const Macp__V1__SessionMetadata *meta)
{
    json_t *document = json_object(), *runtime = json_object(), *session = json_object();
    json_t *metadata = json_object();
    int64_t ttl_ms = meta->expires_at_unix_ms - meta->started_at_unix_ms;
    char now[CLOCK_TEXT_LEN];

    jv_put(runtime, "kind", text(d->cfg->runtime_kind));
    jv_put(metadata, "source", text("session-discovery"));
    jv_put(metadata, "discoveredAt", text(clock_text(clock_wall_ms(), now)));
    jv_put(metadata, "initiator", text(meta->initiator));
    jv_put(session, "sessionId", text(meta->session_id));
    jv_put(session, "modeName", text(meta->mode));
    jv_put(session, "modeVersion", text(meta->mode_version));
    jv_put(session, "configurationVersion", text(meta->configuration_version));
    if (meta->policy_version[0])
        jv_put(session, "policyVersion", text(meta->policy_version));
    jv_put(session, "ttlMs",
           jv_real(meta->expires_at_unix_ms && ttl_ms > 0 ? (double)ttl_ms : DEFAULT_TTL_MS));
    jv_put(session, "participants", participants(meta));
    jv_put(session, "metadata", metadata);
    jv_put(document, "mode", text("live"));
    jv_put(document, "runtime", runtime);
    jv_put(document, "session", session);
    return document;
}

static json_t *
event_data(const struct discovery *d, const Macp__V1__SessionMetadata *meta, const char *trace_id)
{
    json_t *data = json_object();

    jv_put(data, "status", text(run_status_name(RUN_QUEUED)));
    jv_put(data, "modeName", text(meta->mode));
    jv_put(data, "runtimeKind", text(d->cfg->runtime_kind));
    jv_put(data, "sessionId", text(meta->session_id));
    jv_put(data, "traceId", text(trace_id));
    return data;
}

/* 32 hexadecimal digits, never all zeros. */
static void
new_trace_id(char out[UUID_LEN])
{
    char id[UUID_LEN];
    char *at = out;

    uuid_v4(id);
    for (const char *p = id; *p; p++)
        if (*p != '-')
            *at++ = *p;
    *at = '\0';
}

static void
json_value(struct rows *t, json_t *stolen)
{
    AUTO_BUF out = {0};

    jv_write(&out, stolen);
    rows_bytes_value(t, buf_cstr(&out), out.len);
    json_decref(stolen);
}

static void
add_row(struct discovery *d, const struct sighting *s)
{
    Macp__V1__SessionMetadata *meta = macp__v1__session_metadata__unpack(NULL, s->n, s->data);
    char id[UUID_LEN], life_id[UUID_LEN], trace_id[UUID_LEN];
    AUTO_BUF mode = {0};

    if (!meta)
        BUG("a message cannot be read back");
    discovery_id(meta->session_id, id);
    discovery_id_of_life(meta->session_id, meta->started_at_unix_ms, life_id);
    new_trace_id(trace_id);
    jv_clean(&mode, meta->mode, strlen(meta->mode));
    rows_text(&d->rows, meta->session_id);
    rows_uuid(&d->rows, id);
    rows_uuid(&d->rows, life_id);
    rows_int8(&d->rows, meta->started_at_unix_ms);
    rows_text(&d->rows, buf_cstr(&mode));
    rows_text(&d->rows, trace_id);
    json_value(&d->rows, descriptor(d, meta));
    json_value(&d->rows, event_data(d, meta, trace_id));
    macp__v1__session_metadata__free_unpacked(meta, NULL);
}

/* --- creating ----------------------------------------------------------------------------- */

/* Claimed at once by the one who knows of it first: a session may live for milliseconds. */
static void
tell_control(struct discovery *d, const struct db_result *created)
{
    struct mail *claim;

    for (int row = 0; row < db_rows(created); row++)
        log_line(LOG_DEBUG,
                 &(struct log_ctx){.run_id = db_text(created, row, 1),
                                   .session_id = db_text(created, row, 0)},
                 "session discovered");
    if (db_rows(created) == 0)
        return;
    meter_add(METER_DISCOVERED, db_rows(created));
    meter_add(METER_TRANSITIONS, db_rows(created), run_status_name(RUN_QUEUED));
    claim = xcalloc(1, sizeof *claim);
    claim->kind = CONTROL_CLAIM;
    if (!mailbox_post(d->control, claim))
        free(claim); /* it looks by itself */
}

static void
put_off(struct discovery *d, struct sighting *s, const struct err *cause)
{
    struct log_ctx ctx = {.session_id = s->session_id, .err = cause};

    log_line(s->tries ? LOG_DEBUG : LOG_ERROR, &ctx, "a session's run cannot be created");
    s->due_ms = clock_mono_ms() + ((int64_t)REFUSED_MIN_MS << s->tries);
    if (++s->tries >= TRIES)
        forget(d, s);
}

/* False: Postgres is away. */
static bool
create(struct discovery *d, struct sighting *const *seen, size_t n)
{
    AUTO_DB_RESULT *created = NULL;
    char now[CLOCK_TEXT_LEN];
    struct db_args args;
    struct err err;

    rows_reset(&d->rows);
    for (size_t i = 0; i < n; i++)
        add_row(d, seen[i]);
    db_args_init(&args);
    rows_args(&d->rows, &args);
    db_arg_text(&args, d->cfg->runtime_kind);
    db_arg_int(&args, OPEN_LIMIT_MS);
    db_arg_text(&args, clock_text(clock_wall_ms(), now));
    if (db_run(d->db, SQL_RUN_DISCOVER, &args, &created, &err)) {
        tell_control(d, created);
        for (size_t i = 0; i < n; i++)
            forget(d, seen[i]);
        return true;
    }
    if (err.code == ERR_DB) {
        log_err(d->backoff_ms == AWAY_MIN_MS ? LOG_WARN : LOG_DEBUG, &err,
                "discovered sessions wait for Postgres");
        return false;
    }
    if (n > 1) /* one of them is refused: find it */
        return create(d, seen, n / 2) && create(d, seen + n / 2, n - n / 2);
    put_off(d, seen[0], &err);
    return true;
}

/* Everything that is due; false: Postgres is away. */
static bool
work(struct discovery *d)
{
    struct sighting *due[AT_ONCE];
    size_t n;

    do {
        int64_t now = clock_mono_ms();

        n = 0;
        for (struct sighting *s = d->waiting; s && n < AT_ONCE; s = s->hh.next)
            if (s->due_ms <= now)
                due[n++] = s;
        if (n && !create(d, due, n))
            return false;
    } while (n == AT_ONCE);
    return true;
}

/* --- the thread --------------------------------------------------------------------------- */

static int64_t
next_due(const struct discovery *d)
{
    int64_t due = clock_mono_ms() + IDLE_MS;

    if (d->retry_at_ms)
        return d->retry_at_ms;
    for (const struct sighting *s = d->waiting; s; s = s->hh.next)
        if (s->due_ms < due)
            due = s->due_ms;
    return due;
}

/* Until there is mail, something is due, or the end; while Postgres is away only time counts. */
static bool
wait_for_work(struct discovery *d)
{
    int64_t due = next_due(d);
    struct timespec until = {due / 1000, due % 1000 * 1000000};
    bool stopping;

    pthread_mutex_lock(&d->mu);
    while (!d->stopping && clock_mono_ms() < due && (d->retry_at_ms || !d->rung))
        pthread_cond_timedwait(&d->work, &d->mu, &until);
    d->rung = false;
    stopping = d->stopping;
    pthread_mutex_unlock(&d->mu);
    return !stopping;
}

static void *
discovery_main(void *arg)
{
    struct discovery *d = arg;

    while (wait_for_work(d)) {
        read_inbox(d);
        if (work(d)) {
            d->retry_at_ms = 0;
            d->backoff_ms = AWAY_MIN_MS;
        } else {
            d->retry_at_ms = clock_mono_ms() + d->backoff_ms;
            d->backoff_ms = d->backoff_ms * 2 < AWAY_MAX_MS ? d->backoff_ms * 2 : AWAY_MAX_MS;
        }
    }
    return NULL;
}

/* --- life --------------------------------------------------------------------------------- */

static void
ring(void *ctx)
{
    struct discovery *d = ctx;

    pthread_mutex_lock(&d->mu);
    d->rung = true;
    pthread_mutex_unlock(&d->mu);
    pthread_cond_signal(&d->work);
}

struct discovery *
discovery_start(const struct config *cfg, struct mailbox *control)
{
    struct discovery *d = xcalloc(1, sizeof *d);
    pthread_condattr_t attr;

    d->cfg = cfg;
    d->control = control;
    d->backoff_ms = AWAY_MIN_MS;
    d->db =
        db_new(cfg->database_url, "macp-observerd discovery", (int)cfg->db_pool_connection_timeout);
    rows_init(&d->rows, columns, ARRAY_LEN(columns));
    mailbox_init(&d->inbox, INBOX_MAX, ring, d);
    pthread_mutex_init(&d->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->work, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&d->thread, NULL, discovery_main, d) != 0)
        BUG("cannot start a thread");
    return d;
}

void
discovery_stop(struct discovery *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->mu);
    d->stopping = true;
    pthread_mutex_unlock(&d->mu);
    pthread_cond_signal(&d->work);
    db_give_up_at(d->db, clock_mono_ms() + STOP_GRACE_MS); /* others see the session, too */
    pthread_join(d->thread, NULL);
    while (d->waiting)
        forget(d, d->waiting);
    db_close(d->db);
    rows_fini(&d->rows);
    mailbox_fini(&d->inbox);
    pthread_cond_destroy(&d->work);
    pthread_mutex_destroy(&d->mu);
    free(d);
}
