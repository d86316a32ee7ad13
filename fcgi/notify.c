#include "fcgi/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/db.h"
#include "shared/log.h"
#include "shared/schema.h"

enum {
    NOTIFY_PAUSE_MS = 10,
    NOTIFY_TIMEOUT_MS = 2000,
    NOTIFY_RETRY_MS = 1000, /* pause after the database was not there */
    NOTIFY_PENDING_MAX = 256,
    NOTIFY_CHANNEL_LEN = 16,
    NOTIFY_PAYLOAD_LEN = 64,
};

struct hint {
    char channel[NOTIFY_CHANNEL_LEN];
    char payload[NOTIFY_PAYLOAD_LEN];
};

struct notify {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    size_t n;
    struct hint pending[NOTIFY_PENDING_MAX];

    /* The thread's own. */
    struct db *db;
    struct hint batch[NOTIFY_PENDING_MAX];
    void (*refused)(void);
    bool away; /* the outage has been logged */
};

void
notify_send(struct notify *n, const char *channel, const char *payload)
{
    struct hint *h;

    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < n->n; i++)
        if (strcmp(n->pending[i].channel, channel) == 0 &&
            strcmp(n->pending[i].payload, payload) == 0)
            goto unlock;
    /* Full only while the database is away, when nobody could hear it anyway. */
    if (n->n == NOTIFY_PENDING_MAX)
        goto unlock;
    h = &n->pending[n->n++];
    snprintf(h->channel, sizeof h->channel, "%s", channel);
    snprintf(h->payload, sizeof h->payload, "%s", payload);
    pthread_cond_signal(&n->changed);

unlock:
    pthread_mutex_unlock(&n->lock);
}

/* --- the thread ----------------------------------------------------------------------------- */

static bool
ensure_connected(struct notify *n, struct err *err)
{
    if (db_is_connected(n->db))
        return true;
    if (!db_connect(n->db, err))
        return false;
    if (schema_check(n->db, err))
        return true;
    db_disconnect(n->db);
    if (err->code == ERR_CONFIG && n->refused) {
        log_line(LOG_FATAL, &(struct log_ctx){.err = err}, "the database's schema does not fit");
        n->refused();
        n->refused = NULL;
    }
    return false;
}

static bool
send_batch(struct notify *n, size_t count, struct err *err)
{
    struct db_args args;

    if (!ensure_connected(n, err))
        return false;
    db_pipeline_begin(n->db);
    for (size_t i = 0; i < count; i++) {
        db_args_init(&args);
        db_arg_text(&args, n->batch[i].channel);
        db_arg_text(&args, n->batch[i].payload);
        db_pipeline_add(n->db, SQL_NOTIFY_SEND, &args);
    }
    return db_pipeline_commit(n->db, NULL, 0, err);
}

/* Sleep, but not through a stop. */
static void
pause_ms(struct notify *n, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!n->stopping && pthread_cond_timedwait(&n->changed, &n->lock, &until) != ETIMEDOUT)
        ;
}

/* What is pending, or at least a connection: it is how a schema that does not fit is noticed. */
static bool
work(struct notify *n, size_t count)
{
    struct err err = {0};
    bool done = count ? send_batch(n, count, &err) : ensure_connected(n, &err);

    if (!done && !n->away)
        log_line(LOG_WARN, &(struct log_ctx){.err = &err}, "hints are not sent");
    n->away = !done;
    return done;
}

static void *
notify_main(void *arg)
{
    struct notify *n = arg;
    bool done = false;

    pthread_mutex_lock(&n->lock);
    while (!n->stopping || n->n > 0) {
        size_t count = n->n;

        if (count == 0 && done) {
            pthread_cond_wait(&n->changed, &n->lock);
            continue;
        }
        memcpy(n->batch, n->pending, count * sizeof n->batch[0]);
        n->n = 0;
        pthread_mutex_unlock(&n->lock);
        done = work(n, count);
        pthread_mutex_lock(&n->lock);
        pause_ms(n, done ? NOTIFY_PAUSE_MS : NOTIFY_RETRY_MS);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

struct notify *
notify_start(const struct config *config, void (*refused)(void))
{
    struct notify *n = xcalloc(1, sizeof *n);
    pthread_condattr_t monotonic;

    n->db = db_new(config->database_url, "macp-fcgi notify", NOTIFY_TIMEOUT_MS);
    n->refused = refused;
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&n->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&n->thread, NULL, notify_main, n) != 0)
        BUG("cannot start a thread");
    return n;
}

void
notify_stop(struct notify *n)
{
    pthread_mutex_lock(&n->lock);
    n->stopping = true;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    db_close(n->db);
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
