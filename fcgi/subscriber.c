#include "fcgi/subscriber.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/hub.h"
#include "fcgi/record.h"
#include "shared/clock.h"
#include "shared/log.h"

enum {
    HUB_STUCK_MS = 10000, /* a subscriber that takes nothing for so long is cut */
    HUB_END_MS = 2000,    /* to deliver the end */
    HUB_PAGE_ROWS = 128,
    HUB_PAGE_LOW = 64 << 10, /* history is put in while less than this waits */
};

/* --- timing --------------------------------------------------------------------------------- */

/* The deadline of a stream is the earliest of its reasons to be looked at. */
static void
schedule(struct hub *h, struct stream *s)
{
    const int64_t reasons[] = {s->heartbeat_ms, s->stuck_ms, s->pace_ms, s->end_ms};
    int64_t at = 0;

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i] && (!at || reasons[i] < at))
            at = reasons[i];
    if (at)
        deadline_set(&h->deadlines, &s->deadline, at);
    else
        deadline_clear(&h->deadlines, &s->deadline);
}

void
subscriber_mark(struct hub *h, struct stream *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    s->next_dirty = h->dirty;
    h->dirty = s;
}

/* --- topics --------------------------------------------------------------------------------- */

static void
ask(struct hub *h, enum tail_ask_kind kind, struct topic *topic)
{
    struct tail_ask a = {.kind = kind, .owner = topic, .audience = &topic->audience};

    memcpy(a.run_id, topic->run_id, UUID_LEN);
    tail_ask(h->tail, &a);
}

static int
most_page_rows(const struct stream *s)
{
    return s->plan.kind == STREAM_REPLAY ? s->plan.batch : HUB_PAGE_ROWS;
}

/* A page of long events ends before its last row: what is behind would be read for each page. */
static void
fit_pages(struct stream *s, size_t rows)
{
    int most = most_page_rows(s);

    s->page_rows = 2 * rows < (size_t)most ? 2 * (int)rows : most;
}

static void
ask_page(struct hub *h, struct stream *s)
{
    struct tail_ask a = {
        .kind = TAIL_PAGE,
        .owner = s,
        .after = s->cursor,
        .to = s->plan.kind == STREAM_REPLAY ? s->plan.to : INT64_MAX,
        .limit = s->page_rows ? s->page_rows : most_page_rows(s),
    };

    memcpy(a.run_id, s->plan.run_id, UUID_LEN);
    s->page_pending = true;
    tail_ask(h->tail, &a);
}

static void
ask_snapshot(struct hub *h, struct stream *s)
{
    s->waits_snapshot = true;
    ask(h, TAIL_SNAPSHOT, s->topic);
}

static struct topic *
join_topic(struct hub *h, struct stream *s)
{
    struct topic *t;

    HASH_FIND_STR(h->topics, s->plan.run_id, t);
    if (!t) {
        t = xcalloc(1, sizeof *t);
        memcpy(t->run_id, s->plan.run_id, UUID_LEN);
        HASH_ADD_STR(h->topics, run_id, t);
        DL_APPEND(h->all_topics, t);
        ask(h, TAIL_WATCH, t);
    }
    DL_APPEND(t->streams, s);
    atomic_fetch_add(&t->audience, 1);
    return t;
}

/* The topic itself lives until the tail says that it has forgotten it. */
static void
leave_topic(struct hub *h, struct stream *s)
{
    struct topic *t = s->topic;

    if (!t)
        return;
    s->topic = NULL;
    DL_DELETE(t->streams, s);
    if (atomic_fetch_sub(&t->audience, 1) == 1) {
        HASH_DEL(h->topics, t);
        ask(h, TAIL_UNWATCH, t);
    }
}

/* --- the end of a stream -------------------------------------------------------------------- */

static void
drop_page(struct stream *s)
{
    if (s->page)
        news_free(s->page);
    s->page = NULL;
}

void
subscriber_free(struct hub *h, struct stream *s)
{
    DL_DELETE2(h->all, s, all_prev, all_next);
    free(s);
}

/* Nothing more can or need be sent. */
void
subscriber_close(struct hub *h, struct stream *s)
{
    unsigned char end[RECORD_END_LEN];

    if (s->phase != PHASE_ENDING && outbox_at_boundary(&s->outbox)) {
        /* The web server would otherwise report that we broke off. */
        record_end(end, FRAME_REQUEST_ID);
        if (send(s->fd, end, sizeof end, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EAGAIN)
            log_line(LOG_DEBUG, &(struct log_ctx){.run_id = s->plan.run_id},
                     "a stream is closed without its end");
    }
    close(s->fd);
    s->fd = -1;
    s->phase = PHASE_GONE;
    leave_topic(h, s);
    outbox_fini(&s->outbox);
    drop_page(s);
    deadline_clear(&h->deadlines, &s->deadline);
    hub_leave(h);
    /* In the list of those to be flushed it is freed there. */
    if (!s->page_pending && !s->dirty)
        subscriber_free(h, s);
}

/* The end goes out behind what waits. */
void
subscriber_end(struct hub *h, struct stream *s)
{
    if (s->phase >= PHASE_ENDING)
        return;
    leave_topic(h, s);
    drop_page(s);
    outbox_end(&s->outbox);
    s->phase = PHASE_ENDING;
    s->heartbeat_ms = s->stuck_ms = s->pace_ms = 0;
    s->end_ms = clock_mono_ms() + HUB_END_MS;
    schedule(h, s);
    subscriber_mark(h, s);
}

/* What waits is dropped: the subscriber asks for it again. */
static void
cut_stream(struct hub *h, struct stream *s, const char *why)
{
    if (s->phase >= PHASE_ENDING)
        return;
    log_line(LOG_INFO, &(struct log_ctx){.run_id = s->plan.run_id, .seq = s->sent_seq},
             "an event stream is cut: %s", why);
    outbox_drop(&s->outbox);
    subscriber_end(h, s);
}

/* --- sending -------------------------------------------------------------------------------- */

/* False: there is no room, even after sending what the peer takes now. */
static bool
push(struct hub *h, struct stream *s, struct frame *f)
{
    bool progress;

    if (!outbox_push(&s->outbox, f)) {
        outbox_flush(&s->outbox, s->fd, &progress);
        if (!outbox_push(&s->outbox, f))
            return false;
    }
    if (f->kind == FRAME_EVENT) {
        s->cursor = s->sent_seq = f->seq;
        if (f->terminal && !s->plan.stay_open)
            s->end_seq = f->seq;
    } else if (f->kind == FRAME_SNAPSHOT) {
        s->snapshot_seq = f->seq;
    }
    subscriber_mark(h, s);
    return true;
}

/* A live subscriber that cannot follow reads the log at its own pace, until it has caught up. */
static void
fall_behind(struct hub *h, struct stream *s)
{
    s->phase = PHASE_BEHIND;
    s->waits_snapshot = false;
    ask_page(h, s);
}

static void
push_snapshot(struct hub *h, struct stream *s, struct frame *f)
{
    s->waits_snapshot = false;
    if (!push(h, s, f))
        fall_behind(h, s);
    else if (s->end_seq && f->seq >= s->end_seq)
        subscriber_end(h, s);
}

static void
go_live(struct hub *h, struct stream *s)
{
    s->phase = PHASE_LIVE;
    /* The state behind what was just sent; when the topic is not there yet, it will follow. */
    if ((s->sent_seq > s->snapshot_seq || s->end_seq) && s->topic->seq >= s->sent_seq)
        ask_snapshot(h, s);
}

/* The topic is loaded, and the first snapshot is out or not wanted. */
void
subscriber_catch_up(struct hub *h, struct stream *s)
{
    if (s->cursor >= s->topic->seq) {
        go_live(h, s);
        return;
    }
    s->phase = PHASE_BEHIND;
    ask_page(h, s);
}

/* Milliseconds to wait before a replayed event. */
static int64_t
pause_before(const struct stream *s, const struct frame *f)
{
    double ms;

    if (!s->plan.timed || s->paced_ts_ms < 0)
        return 0;
    ms = round((double)(f->ts_ms - s->paced_ts_ms) / s->plan.speed);
    if (!(ms > 0))
        return 0;
    return ms < s->plan.max_delay_ms ? (int64_t)ms : s->plan.max_delay_ms;
}

/* False: the next event is not due yet. */
static bool
is_due(struct stream *s, const struct frame *f, int64_t now)
{
    if (s->plan.kind != STREAM_REPLAY)
        return true;
    if (!s->pace_ms) {
        int64_t pause = pause_before(s, f);

        if (pause > 0)
            s->pace_ms = now + pause;
    }
    if (s->pace_ms > now)
        return false;
    s->pace_ms = 0;
    s->paced_ts_ms = f->ts_ms;
    return true;
}

/* The page in hand is used up. */
static void
next_page(struct hub *h, struct stream *s)
{
    bool done = s->page_done;

    drop_page(s);
    if (s->plan.kind == STREAM_REPLAY && done)
        subscriber_end(h, s);
    else if (done && !s->missed)
        go_live(h, s);
    else
        ask_page(h, s);
}

/* Put in history as the outbox has room for it. */
static void
feed(struct hub *h, struct stream *s)
{
    int64_t now = clock_mono_ms();

    if (!s->page)
        return;
    while (s->page_at < s->page->n && s->outbox.bytes < HUB_PAGE_LOW) {
        struct frame *f = s->page->frames[s->page_at];

        if (!is_due(s, f, now))
            break;
        if (!push(h, s, f))
            break;
        s->page_at++;
    }
    if (s->page_at == s->page->n) {
        next_page(h, s);
    } else if (s->pace_ms && s->pace_ms <= now) {
        /* It was due, but there is no room: at once when there is. */
        s->pace_ms = 0;
        s->paced_ts_ms = s->page->frames[s->page_at]->ts_ms;
    }
    schedule(h, s);
}

static void
watch_output(struct hub *h, struct stream *s, bool wants)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (wants ? EPOLLOUT : 0u),
                            .data.ptr = s};

    if (s->wants_out == wants)
        return;
    s->wants_out = wants;
    if (epoll_ctl(h->ep, EPOLL_CTL_MOD, s->fd, &e) < 0)
        BUG("epoll: %s", strerror(errno));
}

void
subscriber_flush(struct hub *h, struct stream *s)
{
    bool progress;
    enum outbox_state state = outbox_flush(&s->outbox, s->fd, &progress);

    if (state == OUTBOX_GONE || (state == OUTBOX_EMPTY && s->phase == PHASE_ENDING)) {
        subscriber_close(h, s);
        return;
    }
    watch_output(h, s, state == OUTBOX_BLOCKED);
    if (state == OUTBOX_EMPTY)
        s->stuck_ms = 0;
    else if (s->phase != PHASE_ENDING && (progress || !s->stuck_ms))
        s->stuck_ms = clock_mono_ms() + HUB_STUCK_MS;
    schedule(h, s);
    if (s->page && s->outbox.bytes < HUB_PAGE_LOW)
        feed(h, s);
}

/* --- time ------------------------------------------------------------------------------------- */

/* All heartbeats of a moment are one frame. */
static struct frame *
heartbeat_of(struct hub *h, int64_t now)
{
    if (!h->heartbeat || h->heartbeat_made_ms != now) {
        frame_unref(h->heartbeat);
        h->heartbeat = frame_heartbeat(clock_wall_ms());
        h->heartbeat_made_ms = now;
    }
    return h->heartbeat;
}

void
subscriber_look(struct hub *h, struct stream *s, int64_t now)
{
    if (s->end_ms && s->end_ms <= now) {
        subscriber_close(h, s);
        return;
    }
    if (s->stuck_ms && s->stuck_ms <= now) {
        cut_stream(h, s, "its client does not read");
        return;
    }
    if (s->heartbeat_ms && s->heartbeat_ms <= now) {
        /* Where something waits already, a sign of life would only wait behind it. */
        if (s->outbox.n == 0 && !push(h, s, heartbeat_of(h, now)))
            BUG("no room in an empty outbox");
        while (s->heartbeat_ms <= now)
            s->heartbeat_ms += s->plan.heartbeat_ms;
    }
    if (s->pace_ms && s->pace_ms <= now)
        feed(h, s);
    if (s->phase < PHASE_ENDING)
        schedule(h, s);
}

/* --- arrival ---------------------------------------------------------------------------------- */

void
subscriber_start(struct hub *h, struct stream *s)
{
    s->cursor = s->plan.after;
    s->paced_ts_ms = -1;
    if (s->plan.kind == STREAM_REPLAY) {
        s->phase = PHASE_REPLAY;
        ask_page(h, s);
        return;
    }
    s->heartbeat_ms = clock_mono_ms() + s->plan.heartbeat_ms;
    s->topic = join_topic(h, s);
    if (s->plan.snapshot) {
        s->phase = PHASE_FIRST_SNAPSHOT;
        ask_snapshot(h, s);
    } else {
        s->phase = PHASE_BEHIND;
        if (s->topic->loaded)
            subscriber_catch_up(h, s);
    }
    schedule(h, s);
}

/* --- news ------------------------------------------------------------------------------------- */

void
subscriber_events(struct hub *h, struct stream *s, const struct news *n)
{
    s->missed = true; /* only of interest to those behind */
    if (s->phase != PHASE_LIVE)
        return;
    for (size_t i = 0; i < n->n; i++)
        if (n->frames[i]->seq > s->cursor && !push(h, s, n->frames[i])) {
            fall_behind(h, s);
            break;
        }
}

void
subscriber_snapshot(struct hub *h, struct stream *s, const struct news *n)
{
    bool wanted = s->waits_snapshot || (n->for_all && s->phase == PHASE_LIVE);

    /* A state older than the events that were sent would take the client back. */
    if (!wanted || n->seq < s->sent_seq)
        return;
    push_snapshot(h, s, n->frames[0]);
    if (s->phase == PHASE_FIRST_SNAPSHOT)
        subscriber_catch_up(h, s);
}

void
subscriber_page(struct hub *h, struct stream *s, struct news *n)
{
    s->page_pending = false;
    if (s->phase >= PHASE_ENDING) {
        news_free(n);
        if (s->phase == PHASE_GONE && !s->dirty)
            subscriber_free(h, s);
        return;
    }
    s->page = n;
    s->page_at = 0;
    s->page_done = n->done;
    fit_pages(s, n->n);
    s->missed = false;
    feed(h, s);
}
