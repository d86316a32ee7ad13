#include "fcgi/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/record.h"
#include "fcgi/subscriber.h"
#include "shared/clock.h"

enum {
    HUB_EVENTS = 256,
    HUB_IDLE_MS = 60000,
    HUB_STOP_MS = 1000, /* to deliver all ends */
};

struct attach {
    struct letter letter;
    int fd;
    struct stream_plan plan;
};

/* --- places --------------------------------------------------------------------------------- */

bool
hub_enter(struct hub *h)
{
    if (atomic_fetch_add(h->count, 1) < h->limit)
        return true;
    hub_leave(h);
    return false;
}

void
hub_leave(struct hub *h)
{
    atomic_fetch_sub(h->count, 1);
}

void
hub_attach(struct hub *h, int fd, const struct stream_plan *plan)
{
    struct attach *a = xcalloc(1, sizeof *a);

    a->fd = fd;
    a->plan = *plan;
    inbox_post(&h->arrivals, &a->letter, sizeof *a);
}

/* --- news from the tail ---------------------------------------------------------------------- */

static void
tell_loaded(struct hub *h, struct topic *t, int64_t seq)
{
    struct stream *s, *next;

    t->loaded = true;
    t->seq = seq;
    DL_FOREACH_SAFE(t->streams, s, next)
    {
        if (s->phase == PHASE_BEHIND)
            subscriber_catch_up(h, s);
    }
}

static void
tell_gone(struct hub *h, struct topic *t)
{
    struct stream *s, *next;

    DL_FOREACH_SAFE(t->streams, s, next)
    {
        subscriber_end(h, s);
    }
}

static void
tell_events(struct hub *h, struct topic *t, const struct news *n)
{
    struct stream *s, *next;

    t->seq = n->seq;
    DL_FOREACH_SAFE(t->streams, s, next)
    {
        subscriber_events(h, s, n);
    }
}

static void
tell_snapshot(struct hub *h, struct topic *t, const struct news *n)
{
    struct stream *s, *next;

    DL_FOREACH_SAFE(t->streams, s, next)
    {
        subscriber_snapshot(h, s, n);
    }
}

static void
take_news(struct hub *h)
{
    struct letter *next;

    for (struct letter *l = inbox_take(&h->news); l; l = next) {
        struct news *n = (struct news *)l;
        struct topic *t = n->owner;

        next = l->next;
        inbox_done(&h->news, l);
        switch (n->kind) {
        case NEWS_PAGE:
            subscriber_page(h, n->owner, n); /* keeps it */
            continue;
        case NEWS_LOADED:
            tell_loaded(h, t, n->seq);
            break;
        case NEWS_GONE:
            tell_gone(h, t);
            break;
        case NEWS_EVENTS:
            tell_events(h, t, n);
            break;
        case NEWS_SNAPSHOT:
            tell_snapshot(h, t, n);
            break;
        case NEWS_UNWATCHED:
            DL_DELETE(h->all_topics, t);
            free(t);
            break;
        }
        news_free(n);
    }
}

/* --- arrivals -------------------------------------------------------------------------------- */

static void
attach(struct hub *h, const struct attach *a)
{
    struct stream *s = xcalloc(1, sizeof *s);
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};

    s->fd = a->fd;
    s->plan = a->plan;
    DL_APPEND2(h->all, s, all_prev, all_next);
    if (epoll_ctl(h->ep, EPOLL_CTL_ADD, s->fd, &e) < 0)
        BUG("epoll: %s", strerror(errno));
    subscriber_start(h, s);
}

static void
take_arrivals(struct hub *h)
{
    struct letter *next;

    for (struct letter *l = inbox_take(&h->arrivals); l; l = next) {
        struct attach *a = (struct attach *)l;

        next = l->next;
        inbox_done(&h->arrivals, l);
        if (a->fd < 0)
            h->stopping = true;
        else
            attach(h, a);
        free(a);
    }
}

/* --- the thread ------------------------------------------------------------------------------- */

/* One system call per stream and turn, whatever was put in. */
static void
flush_dirty(struct hub *h)
{
    while (h->dirty) {
        struct stream *s = h->dirty;

        h->dirty = s->next_dirty;
        s->dirty = false;
        if (s->phase != PHASE_GONE)
            subscriber_flush(h, s);
        else if (!s->page_pending)
            subscriber_free(h, s);
    }
}

/* --- time and sockets ------------------------------------------------------------------------ */

static void
look_at_due(struct hub *h)
{
    int64_t now = clock_mono_ms();

    for (struct deadline *d; (d = deadline_first(&h->deadlines)) && d->at_ms <= now;)
        subscriber_look(h, (struct stream *)d, now);
}

/* What a web server says on a stream: that it aborts, or, by closing, that the client left. */
static bool
peer_left(const struct stream *s)
{
    unsigned char in[256];
    ssize_t n = recv(s->fd, in, sizeof in, MSG_DONTWAIT);

    if (n < 0)
        return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
    return n == 0 || (n >= RECORD_HEAD && in[1] == RECORD_ABORT_REQUEST);
}

static void
take_socket(struct hub *h, struct stream *s, uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP) || (events & (EPOLLIN | EPOLLRDHUP) && peer_left(s)))
        subscriber_close(h, s);
    else if (events & EPOLLOUT)
        subscriber_mark(h, s);
}

static int
wait_ms(const struct hub *h, int max_ms)
{
    const struct deadline *d = deadline_first(&h->deadlines);
    int64_t left = d ? d->at_ms - clock_mono_ms() : max_ms;

    if (left > max_ms)
        left = max_ms;
    return left > 0 ? (int)left : 0;
}

/* One round: sockets first, because afterwards streams may be freed that events point at. */
static void
turn(struct hub *h, int max_ms)
{
    struct epoll_event events[HUB_EVENTS];
    int n = epoll_wait(h->ep, events, HUB_EVENTS, wait_ms(h, max_ms));

    for (int i = 0; i < n; i++)
        if (events[i].data.ptr != &h->arrivals && events[i].data.ptr != &h->news)
            take_socket(h, events[i].data.ptr, events[i].events);
    take_arrivals(h);
    take_news(h);
    look_at_due(h);
    flush_dirty(h);
}

static void
watch_inbox(struct hub *h, struct inbox *b)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = b};

    if (epoll_ctl(h->ep, EPOLL_CTL_ADD, b->fd, &e) < 0)
        BUG("epoll: %s", strerror(errno));
}

static void *
hub_main(void *arg)
{
    struct hub *h = arg;
    struct stream *s, *next;
    int64_t until;

    while (!h->stopping)
        turn(h, HUB_IDLE_MS);

    DL_FOREACH_SAFE2(h->all, s, next, all_next)
    subscriber_end(h, s);
    flush_dirty(h);
    until = clock_mono_ms() + HUB_STOP_MS;
    while (atomic_load(h->count) > 0 && clock_mono_ms() < until)
        turn(h, (int)(until - clock_mono_ms()));
    DL_FOREACH_SAFE2(h->all, s, next, all_next)
    {
        if (s->phase != PHASE_GONE)
            subscriber_close(h, s);
    }
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

struct hub *
hub_start(const struct config *config, atomic_int *count, struct outcomes *outcomes)
{
    struct hub *h = xcalloc(1, sizeof *h);

    h->count = count;
    h->limit = (int)config->fcgi_streams;
    h->ep = epoll_create1(EPOLL_CLOEXEC);
    if (h->ep < 0)
        BUG("no epoll: %s", strerror(errno));
    inbox_init(&h->arrivals);
    inbox_init(&h->news);
    watch_inbox(h, &h->arrivals);
    watch_inbox(h, &h->news);
    h->tail = tail_start(config, &h->news, outcomes);
    if (pthread_create(&h->thread, NULL, hub_main, h) != 0)
        BUG("cannot start a thread");
    return h;
}

void
hub_stop(struct hub *h)
{
    struct attach *stop = xcalloc(1, sizeof *stop);
    struct letter *l, *next_letter;
    struct stream *s, *next_stream;
    struct topic *t, *next_topic;

    stop->fd = -1;
    inbox_post(&h->arrivals, &stop->letter, 0);
    pthread_join(h->thread, NULL);
    tail_stop(h->tail);
    for (l = inbox_take(&h->news); l; l = next_letter) {
        next_letter = l->next;
        news_free((struct news *)l);
    }
    /* Those whose last news will not come any more. */
    DL_FOREACH_SAFE2(h->all, s, next_stream, all_next)
    free(s);
    HASH_CLEAR(hh, h->topics);
    DL_FOREACH_SAFE(h->all_topics, t, next_topic)
    free(t);
    inbox_fini(&h->arrivals);
    inbox_fini(&h->news);
    deadlines_fini(&h->deadlines);
    frame_unref(h->heartbeat);
    close(h->ep);
    free(h);
}
