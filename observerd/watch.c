#include "observerd/watch.h"

#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/catalog.h"
#include "observerd/discovery.h"
#include "observerd/shard.h"
#include "observerd/signals.h"
#include "observerd/status.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/meter.h"

enum {
    BACKOFF_MIN_MS = 500,
    BACKOFF_MAX_MS = 30000,
    HEALTHY_MS = 30000,
    LAG_PAUSE_MS = 1000, /* between two reconnections without backoff */
    TICK_MAX_MS = 1000,
    LIST_EVERY_MS = 300000,
    LIST_AGAIN_MS = 5000,
    LIST_SOON_MS = 50, /* one list for a burst of events that need it */
    PAGE_SIZE = 200,
};

/* All sessions, page by page. */
struct listing {
    struct timer timer;
    struct rt_call *call;
    char *token; /* of the page that was asked for; NULL: the first one */
    bool wakes;  /* an event did not say what happened to whom: every run looks */
    bool again;  /* asked for while it was under way */
};

struct watch {
    struct watch_options o;
    pthread_t thread;
    struct rt_queue *queue;
    struct timers timers;
    struct catalog catalog;
    struct signals signals;
    struct rt_stream *sessions;
    struct timer reconnect;
    int64_t opened_ms, backoff_ms, lagged_ms;
    struct listing list;
};

/* Which shard has the run is not known here: every shard looks, most find nothing. */
static void
wake(struct watch *w, const char *session_id)
{
    size_t n = strlen(session_id) + 1;

    for (size_t i = 0; i < w->o.n_shards; i++) {
        struct shard_wake *mail = xmalloc(sizeof *mail + n);

        mail->mail.kind = SHARD_WAKE;
        memcpy(mail->session_id, session_id, n);
        if (!shard_post(w->o.shards[i], &mail->mail))
            free(mail); /* the run's own timer looks, too */
    }
}

/* --- the list ------------------------------------------------------------------------------ */

static void
list_within(struct watch *w, int64_t ms)
{
    if (w->list.call)
        w->list.again = true;
    else
        timer_set_by(&w->timers, &w->list.timer, clock_mono_ms() + ms);
}

static void list_answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply);

static void
ask_for_page(struct watch *w)
{
    Macp__V1__ListSessionsRequest request = MACP__V1__LIST_SESSIONS_REQUEST__INIT;

    request.page_size = PAGE_SIZE;
    if (w->list.token)
        request.page_token = w->list.token;
    w->list.call = rt_call_start(w->queue, RT_LIST_SESSIONS, &request.base, list_answered, w);
}

static void
list_ended(struct watch *w, int64_t next_ms)
{
    free(w->list.token);
    w->list.token = NULL;
    timer_set(&w->timers, &w->list.timer,
              clock_mono_ms() + (w->list.again ? LIST_SOON_MS : next_ms));
    w->list.again = false;
}

static void
list_answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct watch *w = ctx;
    const Macp__V1__ListSessionsResponse *page = (const void *)reply;

    w->list.call = NULL;
    if (status->code != RT_OK) {
        log_debug("ListSessions: %s %s", rt_code_name(status->code), status->text);
        list_ended(w, status->code == RT_UNIMPLEMENTED ? LIST_EVERY_MS : LIST_AGAIN_MS);
        return;
    }
    for (size_t i = 0; i < page->n_sessions; i++) {
        discovery_saw(w->o.discovery, page->sessions[i]);
        if (w->list.wakes)
            wake(w, page->sessions[i]->session_id);
    }
    if (page->next_page_token[0] &&
        (!w->list.token || strcmp(w->list.token, page->next_page_token) != 0)) {
        free(w->list.token);
        w->list.token = xstrdup(page->next_page_token);
        ask_for_page(w);
        return;
    }
    if (page->next_page_token[0])
        log_warn("the list of sessions does not end: the runtime repeats a page");
    /* Asked for again by an event meanwhile: that one may be about a page already read. */
    w->list.wakes = w->list.wakes && w->list.again;
    list_ended(w, LIST_EVERY_MS);
}

static void
list_due(struct timer *t)
{
    struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, list.timer));

    if (!w->list.call)
        ask_for_page(w);
}

/* --- the stream ---------------------------------------------------------------------------- */

/* An event that does not say which session it is about, or what it means. */
static void
look_at_all(struct watch *w)
{
    if (!w->o.discovery)
        return; /* runs look at their sessions by themselves */
    w->list.wakes = true;
    list_within(w, LIST_SOON_MS);
}

static bool
is_known_event(int type)
{
    return type >= MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_CREATED &&
           type <= MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_CANCELLED;
}

/* Whatever the event is called: the session exists, and its run shall look at it. */
static bool
session_event(void *ctx, const void *bytes, size_t n)
{
    struct watch *w = ctx;
    Macp__V1__WatchSessionsResponse *m = macp__v1__watch_sessions_response__unpack(NULL, n, bytes);
    const Macp__V1__SessionMetadata *session = m && m->event ? m->event->session : NULL;

    if (session) {
        if (w->o.discovery)
            discovery_saw(w->o.discovery, session);
        wake(w, session->session_id);
    }
    if (!session || !is_known_event((int)m->event->event_type))
        look_at_all(w);
    if (m)
        macp__v1__watch_sessions_response__free_unpacked(m, NULL);
    return true;
}

/* The stream begins with all sessions; the list is read to the end even if that one breaks off. */
static void
watch_opened(void *ctx)
{
    struct watch *w = ctx;

    meter_put(METER_WATCH_CONNECTED, 1, "sessions");
    if (w->o.discovery)
        list_within(w, LIST_SOON_MS);
}

static void
watch_over(void *ctx, const struct rt_status *status)
{
    struct watch *w = ctx;
    int64_t now = clock_mono_ms();

    w->sessions = NULL;
    meter_put(METER_WATCH_CONNECTED, 0, "sessions");
    meter_add(METER_STREAM_ERRORS, 1, rt_code_name(status->code));
    if (now - w->opened_ms >= HEALTHY_MS)
        w->backoff_ms = BACKOFF_MIN_MS;
    log_line(w->backoff_ms == BACKOFF_MIN_MS ? LOG_WARN : LOG_DEBUG, NULL,
             "the session watch ended: %s %s", rt_code_name(status->code), status->text);
    /* Cut because more happened than it could take: what is new may not live for long. */
    if (status->code == RT_RESOURCE_EXHAUSTED && now - w->lagged_ms >= LAG_PAUSE_MS) {
        w->lagged_ms = now;
        timer_set(&w->timers, &w->reconnect, now);
        return;
    }
    timer_set(&w->timers, &w->reconnect, now + w->backoff_ms / 2 + random() % w->backoff_ms);
    w->backoff_ms = w->backoff_ms * 2 < BACKOFF_MAX_MS ? w->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void
reconnect(struct timer *t)
{
    static const struct rt_stream_ops ops = {
        .message = session_event, .closed = watch_over, .opened = watch_opened};
    struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, reconnect));

    w->opened_ms = clock_mono_ms();
    w->sessions = rt_watch_open(w->queue, RT_WATCH_SESSIONS, &ops, w);
}

/* --- the thread ---------------------------------------------------------------------------- */

static int64_t
tick(void *ctx)
{
    struct watch *w = ctx;

    status_turn(w->o.turned_ms);
    timers_run(&w->timers, clock_mono_ms());
    if (w->o.discovery && discovery_missed(w->o.discovery))
        list_within(w, LIST_AGAIN_MS);
    return timers_next(&w->timers, clock_mono_ms() + TICK_MAX_MS);
}

static void *
watch_main(void *arg)
{
    struct watch *w = arg;

    catalog_start(&w->catalog, w->queue, &w->timers, w->o.control);
    signals_start(&w->signals, w->queue, &w->timers, w->o.ambient);
    timer_set(&w->timers, &w->reconnect, clock_mono_ms());
    rt_queue_run(w->queue, tick, w);
    return NULL;
}

bool
watch_start(const struct watch_options *o, struct watch **out, struct err *err)
{
    struct watch *w = xcalloc(1, sizeof *w);

    w->o = *o;
    meter_put(METER_WATCH_CONNECTED, 0, "sessions");
    w->backoff_ms = BACKOFF_MIN_MS;
    w->lagged_ms = -LAG_PAUSE_MS;
    w->reconnect.fire = reconnect;
    w->list.timer.fire = list_due;
    if (!rt_queue_new(o->runtime, &w->queue, err)) {
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
    free(w->list.token);
    free(w);
}
