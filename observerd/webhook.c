#include "observerd/webhook.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "observerd/webhook_attempt.h"
#include "shared/clock.h"
#include "shared/db.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"
#include "shared/uuid.h"

enum {
    PER_WEBHOOK = 4,     /* attempts under way */
    RESPONSE_HEAD = 512, /* bytes of an answer that are kept */
    LOOK_MS = 1000,
    LOOK_AGAIN_MS = 10, /* between two looks, whatever rings */
    LEASE_MIN_MS = 3000,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 1000,
    NO_ROOM_MS = 1000, /* until a delivery is tried again that the outbound had no room for */
    LEASE_LEN = 48,
};

/* One attempt: under way, then settled. */
struct delivery {
    struct delivery *next;
    struct webhooks *webhooks;
    int64_t id;
    int attempts; /* this one included */
    char public_id[UUID_LEN], webhook_id[UUID_LEN];
    char lease[LEASE_LEN]; /* until when it is ours, which nobody else's is */
    struct webhook_verdict verdict;
    int response_status; /* 0: there was no answer */
    json_t *response_head;
};

struct webhooks {
    const struct config *cfg;
    struct outbound *outbound;
    pthread_t thread;

    pthread_mutex_t mu; /* of the fields up to stop_by_ms */
    pthread_cond_t work, idle;
    struct delivery *settled, **settled_tail; /* not stored yet */
    int64_t under_way;
    bool rung, quiet, stopping;
    int64_t stop_by_ms;

    /* the thread's own */
    struct db *db;
    int64_t look_at_ms, looked_ms; /* clock_mono_ms */
    int64_t due_ms;                /* the next attempt of one that failed here; 0: none */
    int64_t retry_at_ms;           /* 0: Postgres is not away */
    int64_t backoff_ms;
};

/* --- one delivery ---------------------------------------------------------------------------- */

static void
delivery_free(struct delivery *d)
{
    json_decref(d->response_head);
    free(d);
}

static void
settle(struct delivery *d)
{
    struct webhooks *w = d->webhooks;

    d->next = NULL;
    pthread_mutex_lock(&w->mu);
    *w->settled_tail = d;
    w->settled_tail = &d->next;
    w->under_way--;
    if (w->under_way == 0)
        pthread_cond_signal(&w->idle);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->mu);
}

/* In the outbound's thread. */
static void
answered(void *ctx, const struct outbound_reply *reply)
{
    struct delivery *d = ctx;
    size_t n = reply->body_len < RESPONSE_HEAD ? reply->body_len : RESPONSE_HEAD;

    webhook_judge(d->webhooks->cfg, d->attempts, (double)random() / (double)RAND_MAX, reply,
                  &d->verdict);
    d->response_status = reply->status;
    if (reply->status)
        d->response_head = jv_string(reply->body, n);
    settle(d);
}

enum claimed_column {
    COL_ID,
    COL_PUBLIC_ID,
    COL_EVENT,
    COL_BODY,
    COL_ATTEMPTS,
    COL_LEASE,
    COL_WEBHOOK_ID,
    COL_URL,
    COL_SECRET
};

static void
send_row(struct webhooks *w, const struct db_result *rows, int row)
{
    const char *body = db_text(rows, row, COL_BODY);
    size_t body_len = db_len(rows, row, COL_BODY);
    struct delivery *d = xcalloc(1, sizeof *d);
    char signature[WEBHOOK_SIGNATURE_LEN], now[CLOCK_TEXT_LEN];
    char event_line[128], signature_line[128], delivery_line[128], time_line[128];
    const char *const headers[] = {"Content-Type: application/json", event_line, signature_line,
                                   delivery_line, time_line};

    d->webhooks = w;
    d->id = db_int(rows, row, COL_ID);
    d->attempts = (int)db_int(rows, row, COL_ATTEMPTS);
    snprintf(d->lease, sizeof d->lease, "%s", db_text(rows, row, COL_LEASE));
    snprintf(d->public_id, sizeof d->public_id, "%s", db_text(rows, row, COL_PUBLIC_ID));
    snprintf(d->webhook_id, sizeof d->webhook_id, "%s", db_text(rows, row, COL_WEBHOOK_ID));
    webhook_sign(db_text(rows, row, COL_SECRET), body, body_len, signature);
    snprintf(event_line, sizeof event_line, "X-MACP-Event: %s", db_text(rows, row, COL_EVENT));
    snprintf(signature_line, sizeof signature_line, "X-MACP-Signature: %s", signature);
    snprintf(delivery_line, sizeof delivery_line, "X-MACP-Delivery: %s", d->public_id);
    snprintf(time_line, sizeof time_line, "X-MACP-Timestamp: %s", clock_text(clock_wall_ms(), now));
    pthread_mutex_lock(&w->mu);
    w->under_way++;
    pthread_mutex_unlock(&w->mu);
    if (outbound_send(w->outbound,
                      &(struct outbound_request){.url = db_text(rows, row, COL_URL),
                                                 .headers = headers,
                                                 .n_headers = ARRAY_LEN(headers),
                                                 .body = body,
                                                 .body_len = body_len,
                                                 .timeout_ms = (int)w->cfg->webhook_timeout_ms},
                      answered, d))
        return;
    d->verdict = (struct webhook_verdict){.status = "pending", .wait_ms = NO_ROOM_MS};
    settle(d);
}

/* --- rows ------------------------------------------------------------------------------------ */

static void
count(const struct delivery *d)
{
    if (strcmp(d->verdict.status, "pending") == 0) {
        log_debug("webhook %s: delivery %s will be tried again: %s", d->webhook_id, d->public_id,
                  d->verdict.error);
        return;
    }
    meter_add(METER_WEBHOOK_DELIVERIES, 1, d->verdict.status);
    if (d->verdict.error[0])
        log_info("webhook %s: delivery %s is given up: %s", d->webhook_id, d->public_id,
                 d->verdict.error);
    if (d->verdict.unsubscribe)
        log_warn("webhook %s is switched off: its endpoint is gone", d->webhook_id);
}

/* False: Postgres is away. */
static bool
store(struct webhooks *w, const struct delivery *d)
{
    struct db_args a;
    struct err err;

    db_args_init(&a);
    db_arg_int(&a, d->id);
    db_arg_text(&a, d->lease);
    db_arg_bool(&a, d->verdict.counts);
    db_arg_text(&a, d->verdict.status);
    db_arg_int(&a, d->verdict.wait_ms);
    if (d->response_status)
        db_arg_int(&a, d->response_status);
    else
        db_arg_null(&a);
    db_arg_text(&a, jv_cstr(d->response_head));
    db_arg_text(&a, d->verdict.error[0] ? d->verdict.error : NULL);
    db_arg_bool(&a, d->verdict.unsubscribe);
    if (db_run(w->db, SQL_WEBHOOK_SETTLE, &a, NULL, &err)) {
        count(d);
        return true;
    }
    if (err.code == ERR_DB)
        return false;
    log_err(LOG_ERROR, &err, "the end of delivery %s cannot be stored", d->public_id);
    return true; /* it is taken anew when its lease is over */
}

static void
due_again(struct webhooks *w, int64_t at_ms)
{
    if (!w->due_ms || at_ms < w->due_ms)
        w->due_ms = at_ms;
}

static bool
store_settled(struct webhooks *w)
{
    for (;;) {
        struct delivery *d;

        pthread_mutex_lock(&w->mu);
        d = w->settled;
        pthread_mutex_unlock(&w->mu);
        if (!d)
            return true;
        if (!store(w, d))
            return false;
        pthread_mutex_lock(&w->mu);
        w->settled = d->next;
        if (!w->settled)
            w->settled_tail = &w->settled;
        pthread_mutex_unlock(&w->mu);
        w->look_at_ms = 0; /* its place is free, and what waited behind it may be due */
        if (strcmp(d->verdict.status, "pending") == 0)
            due_again(w, clock_mono_ms() + d->verdict.wait_ms);
        delivery_free(d);
    }
}

/* False: it cannot be done now. */
static bool
take_due(struct webhooks *w)
{
    int64_t lease_ms = 3 * w->cfg->webhook_timeout_ms, room;
    AUTO_DB_RESULT *rows = NULL;
    struct db_args a;
    struct err err;

    pthread_mutex_lock(&w->mu);
    room = w->quiet ? 0 : w->cfg->webhook_max_in_flight - w->under_way;
    pthread_mutex_unlock(&w->mu);
    w->looked_ms = clock_mono_ms();
    w->look_at_ms = w->looked_ms + LOOK_MS;
    if (w->due_ms <= w->looked_ms)
        w->due_ms = 0;
    if (w->due_ms && w->due_ms < w->look_at_ms)
        w->look_at_ms = w->due_ms;
    if (room <= 0)
        return true;
    db_args_init(&a);
    db_arg_int(&a, room);
    db_arg_int(&a, PER_WEBHOOK);
    db_arg_int(&a, lease_ms > LEASE_MIN_MS ? lease_ms : LEASE_MIN_MS);
    if (!db_run(w->db, SQL_WEBHOOK_CLAIM, &a, &rows, &err)) {
        log_err(LOG_DEBUG, &err, "cannot look for deliveries");
        w->look_at_ms = 0;
        return false;
    }
    for (int row = 0; row < db_rows(rows); row++)
        send_row(w, rows, row);
    return true;
}

/* --- the thread ------------------------------------------------------------------------------ */

static struct timespec
timespec_of(int64_t mono_ms)
{
    return (struct timespec){mono_ms / 1000, mono_ms % 1000 * 1000000};
}

/* Until something is settled, due, or the end; while Postgres is away only time counts. */
static void
wait_for_work(struct webhooks *w)
{
    pthread_mutex_lock(&w->mu);
    for (;;) {
        struct timespec until;
        int64_t due;

        if (w->rung && w->looked_ms + LOOK_AGAIN_MS < w->look_at_ms)
            w->look_at_ms = w->looked_ms + LOOK_AGAIN_MS;
        w->rung = false;
        due = w->retry_at_ms ? w->retry_at_ms : w->look_at_ms;
        if (clock_mono_ms() >= due || (!w->retry_at_ms && (w->settled || w->stopping)))
            break;
        until = timespec_of(due);
        pthread_cond_timedwait(&w->work, &w->mu, &until);
    }
    pthread_mutex_unlock(&w->mu);
}

/* While stopping, a server that does not answer may cost what is left of the limit, no more. */
static bool
is_over(struct webhooks *w)
{
    int64_t left = INT64_MAX;
    bool over = false;

    pthread_mutex_lock(&w->mu);
    if (w->stopping) {
        left = w->stop_by_ms - clock_mono_ms();
        over = !w->settled || left <= 0;
    }
    pthread_mutex_unlock(&w->mu);
    if (!over && left < db_timeout(w->db))
        db_set_timeout(w->db, left > 100 ? (int)left : 100);
    return over;
}

static void *
webhooks_main(void *arg)
{
    struct webhooks *w = arg;

    do {
        wait_for_work(w);
        if (store_settled(w) && (clock_mono_ms() < w->look_at_ms || take_due(w))) {
            w->retry_at_ms = 0;
            w->backoff_ms = BACKOFF_MIN_MS;
        } else {
            w->retry_at_ms = clock_mono_ms() + w->backoff_ms;
            w->backoff_ms = w->backoff_ms * 2 < BACKOFF_MAX_MS ? w->backoff_ms * 2 : BACKOFF_MAX_MS;
        }
    } while (!is_over(w));
    return NULL;
}

/* --- for everybody --------------------------------------------------------------------------- */

struct webhooks *
webhooks_start(const struct config *cfg, struct outbound *outbound)
{
    struct webhooks *w = xcalloc(1, sizeof *w);
    pthread_condattr_t attr;

    w->cfg = cfg;
    w->outbound = outbound;
    w->settled_tail = &w->settled;
    w->backoff_ms = BACKOFF_MIN_MS;
    w->db =
        db_new(cfg->database_url, "macp-observerd webhooks", (int)cfg->db_pool_connection_timeout);
    pthread_mutex_init(&w->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &attr);
    pthread_cond_init(&w->idle, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&w->thread, NULL, webhooks_main, w) != 0)
        BUG("cannot start a thread");
    return w;
}

void
webhooks_ring(struct webhooks *w)
{
    pthread_mutex_lock(&w->mu);
    w->rung = true;
    pthread_mutex_unlock(&w->mu);
    pthread_cond_signal(&w->work);
}

void
webhooks_quiet(struct webhooks *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mu);
    w->quiet = true;
    pthread_mutex_unlock(&w->mu);
}

void
webhooks_drain(struct webhooks *w, int64_t limit_ms)
{
    struct timespec until = timespec_of(clock_mono_ms() + limit_ms);
    int status = 0;

    if (!w)
        return;
    pthread_mutex_lock(&w->mu);
    while (w->under_way && status == 0)
        status = pthread_cond_timedwait(&w->idle, &w->mu, &until);
    pthread_mutex_unlock(&w->mu);
}

void
webhooks_stop(struct webhooks *w, int64_t limit_ms)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mu);
    w->stopping = true;
    w->stop_by_ms = clock_mono_ms() + limit_ms;
    pthread_mutex_unlock(&w->mu);
    pthread_cond_signal(&w->work);
    db_give_up_at(w->db, clock_mono_ms() + limit_ms);
    pthread_join(w->thread, NULL);
    while (w->settled) { /* taken anew when their lease is over */
        struct delivery *d = w->settled;

        w->settled = d->next;
        delivery_free(d);
    }
    db_close(w->db);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->mu);
    free(w);
}
