#include "observerd/watch.h"

#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/catalog.h"
#include "observerd/signals.h"
#include "shared/clock.h"
#include "shared/log.h"

enum { BACKOFF_MIN_MS = 500, BACKOFF_MAX_MS = 30000, HEALTHY_MS = 30000, TICK_MAX_MS = 1000 };

struct watch {
    pthread_t thread;
    struct rt_queue *queue;
    struct timers timers;
    struct shard **shards;
    size_t n_shards;
    struct catalog catalog;
    struct signals signals;
    struct ambient *ambient; /* NULL: no signals */
    struct mailbox *control;
    bool enabled;
    struct rt_stream *sessions;
    struct timer reconnect;
    int64_t opened_ms, backoff_ms;
};

/* Which shard has the run is not known here: every shard looks, most find nothing. */
static void
wake(struct watch *w, const char *session_id)
{
    size_t n = strlen(session_id) + 1;

    for (size_t i = 0; i < w->n_shards; i++) {
        struct shard_wake *mail = xmalloc(sizeof *mail + n);

        mail->mail.kind = SHARD_WAKE;
        memcpy(mail->session_id, session_id, n);
        if (!shard_post(w->shards[i], &mail->mail))
            free(mail); /* the run's own timer looks, too */
    }
}

static bool
session_event(void *ctx, const void *bytes, size_t n)
{
    struct watch *w = ctx;
    Macp__V1__WatchSessionsResponse *m = macp__v1__watch_sessions_response__unpack(NULL, n, bytes);

    if (m && m->event && m->event->session)
        wake(w, m->event->session->session_id);
    if (m)
        macp__v1__watch_sessions_response__free_unpacked(m, NULL);
    return true;
}

static void
watch_over(void *ctx, const struct rt_status *status)
{
    struct watch *w = ctx;
    int64_t now = clock_mono_ms();

    w->sessions = NULL;
    if (now - w->opened_ms >= HEALTHY_MS)
        w->backoff_ms = BACKOFF_MIN_MS;
    log_line(w->backoff_ms == BACKOFF_MIN_MS ? LOG_WARN : LOG_DEBUG, NULL,
             "the session watch ended: %s %s", rt_code_name(status->code), status->text);
    timer_set(&w->timers, &w->reconnect, now + w->backoff_ms / 2 + random() % w->backoff_ms);
    w->backoff_ms = w->backoff_ms * 2 < BACKOFF_MAX_MS ? w->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void
reconnect(struct timer *t)
{
    static const struct rt_stream_ops ops = {session_event, watch_over};
    struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, reconnect));

    w->opened_ms = clock_mono_ms();
    w->sessions = rt_sessions_watch(w->queue, &ops, w);
}

static int64_t
tick(void *ctx)
{
    struct watch *w = ctx;

    timers_run(&w->timers, clock_mono_ms());
    return timers_next(&w->timers, clock_mono_ms() + TICK_MAX_MS);
}

static void *
watch_main(void *arg)
{
    struct watch *w = arg;

    catalog_start(&w->catalog, w->queue, &w->timers, w->control);
    signals_start(&w->signals, w->queue, &w->timers, w->ambient);
    if (w->enabled)
        timer_set(&w->timers, &w->reconnect, clock_mono_ms());
    rt_queue_run(w->queue, tick, w);
    return NULL;
}

bool
watch_start(const struct config *cfg, struct shard **shards, size_t n_shards,
            struct mailbox *control, struct ambient *ambient, struct watch **out, struct err *err)
{
    struct watch *w = xcalloc(1, sizeof *w);

    w->shards = shards;
    w->n_shards = n_shards;
    w->control = control;
    w->ambient = ambient;
    w->enabled = cfg->session_discovery_enabled;
    w->backoff_ms = BACKOFF_MIN_MS;
    w->reconnect.fire = reconnect;
    if (!rt_queue_new(cfg, &w->queue, err)) {
        free(w);
        return false;
    }
    if (pthread_create(&w->thread, NULL, watch_main, w) != 0)
        BUG("cannot start a thread");
    *out = w;
    return true;
}

void
watch_stop(struct watch *w)
{
    if (!w)
        return;
    rt_queue_stop(w->queue);
    pthread_join(w->thread, NULL);
    rt_queue_free(w->queue);
    signals_fini(&w->signals);
    timers_fini(&w->timers);
    free(w);
}
