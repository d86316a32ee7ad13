#include "fcgi/tail.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/event_row.h"
#include "fcgi/outcome.h"
#include "fcgi/watched.h"
#include "shared/clock.h"
#include "shared/db.h"
#include "shared/log.h"
#include "shared/run.h"

enum {
    TAIL_LISTEN_TIMEOUT_MS = 2000,
    TAIL_TIMEOUT_MS = 5000,  /* connecting, or one round of reads */
    TAIL_LOOK_MS = 1000,     /* without any notification */
    TAIL_RETRY_MIN_MS = 100, /* after the database was not there, doubled up to */
    TAIL_RETRY_MAX_MS = 2000,
    TAIL_ROWS = 256,            /* events of one run per read */
    TAIL_RUNS = 24,             /* runs, and */
    TAIL_PAGES = 8,             /* pages per round: one round trip */
    TAIL_PAGE_BYTES = 64 << 10, /* a page ends behind the frame that crosses this */
    TAIL_BACKLOG = 16 << 20,    /* bytes the hub may be behind */
    TAIL_BACKLOG_PAUSE_MS = 2,
    TAIL_SNAPSHOT_RATE = 24 << 10, /* bytes of snapshots per ms, all subscribers together */
    TAIL_SNAPSHOT_DEBT_MS = 2000,
};

/* One statement of a round and whose it is: a run's (state or events), or a page. */
struct job {
    struct watched *run;
    struct tail_ask *page;
    struct db_result *result;
};

struct tail {
    pthread_t thread;
    struct inbox asks;
    struct inbox *news;        /* the hub's */
    struct outcomes *outcomes; /* of the process */
    bool stopping;

    struct db *listen, *db;
    int64_t listen_retry_ms, listen_pause_ms; /* when, and how long after the next failure */
    int64_t retry_ms, pause_ms;
    int64_t look_ms;
    bool away; /* the outage was logged */

    struct watched *runs; /* by run id */
    struct watched *queue, **queue_tail;
    struct watched *pending, **pending_tail;
    struct letter *pages, **pages_tail; /* struct tail_ask */
    int64_t snapshots_paid_ms;          /* until then bytes of snapshots were spent */
    struct buf scratch;
};

/* --- news ----------------------------------------------------------------------------------- */

static struct news *
news_new(enum news_kind kind, void *owner, size_t frames)
{
    struct news *n = xmalloc(sizeof *n + frames * sizeof n->frames[0]);

    *n = (struct news){.kind = kind, .owner = owner};
    return n;
}

void
news_free(struct news *n)
{
    for (size_t i = 0; i < n->n; i++)
        frame_unref(n->frames[i]);
    free(n);
}

static void
post(struct tail *t, struct news *n)
{
    size_t bytes = sizeof *n;

    for (size_t i = 0; i < n->n; i++)
        bytes += n->frames[i]->len;
    inbox_post(t->news, &n->letter, bytes);
}

static void
post_plain(struct tail *t, enum news_kind kind, void *owner, int64_t seq)
{
    struct news *n = news_new(kind, owner, 0);

    n->seq = seq;
    post(t, n);
}

/* --- lists ---------------------------------------------------------------------------------- */

static void
queue_run(struct tail *t, struct watched *w)
{
    if (w->queued)
        return;
    w->queued = true;
    w->next_queued = NULL;
    *t->queue_tail = w;
    t->queue_tail = &w->next_queued;
}

static struct watched *
dequeue_run(struct tail *t)
{
    struct watched *w = t->queue;

    if (!w)
        return NULL;
    t->queue = w->next_queued;
    if (!t->queue)
        t->queue_tail = &t->queue;
    w->queued = false;
    return w;
}

static void
owe_snapshot(struct tail *t, struct watched *w)
{
    if (w->pending || !watched_owes_snapshot(w))
        return;
    w->pending = true;
    w->next_pending = NULL;
    *t->pending_tail = w;
    t->pending_tail = &w->next_pending;
}

static void
forget_run(struct tail *t, struct watched *w)
{
    for (struct watched **p = &t->queue; w->queued; p = &(*p)->next_queued)
        if (*p == w) {
            *p = w->next_queued;
            if (t->queue_tail == &w->next_queued)
                t->queue_tail = p;
            break;
        }
    for (struct watched **p = &t->pending; w->pending; p = &(*p)->next_pending)
        if (*p == w) {
            *p = w->next_pending;
            if (t->pending_tail == &w->next_pending)
                t->pending_tail = p;
            break;
        }
    HASH_DEL(t->runs, w);
    watched_free(w);
}

static struct watched *
find_run(struct tail *t, const char *run_id)
{
    struct watched *w;

    HASH_FIND_STR(t->runs, run_id, w);
    return w;
}

/* --- asks ----------------------------------------------------------------------------------- */

/* True: the ask is kept. */
static bool
take_ask(struct tail *t, struct tail_ask *ask)
{
    struct watched *w = find_run(t, ask->run_id);

    switch (ask->kind) {
    case TAIL_WATCH:
        w = watched_new(ask->run_id, ask->owner, ask->audience);
        HASH_ADD_STR(t->runs, run_id, w);
        queue_run(t, w);
        break;
    case TAIL_UNWATCH:
        if (w)
            forget_run(t, w);
        post_plain(t, NEWS_UNWATCHED, ask->owner, 0);
        break;
    case TAIL_SNAPSHOT:
        if (w) {
            w->asked = true;
            owe_snapshot(t, w);
        }
        break;
    case TAIL_PAGE:
        ask->letter.next = NULL;
        *t->pages_tail = &ask->letter;
        t->pages_tail = &ask->letter.next;
        return true;
    case TAIL_STOP:
        t->stopping = true;
        break;
    }
    return false;
}

static void
take_asks(struct tail *t)
{
    struct letter *next;

    for (struct letter *l = inbox_take(&t->asks); l; l = next) {
        struct tail_ask *ask = (struct tail_ask *)l;

        next = l->next;
        if (!take_ask(t, ask))
            free(ask);
    }
}

/* --- the database comes and goes ------------------------------------------------------------- */

static void
failed(struct tail *t, const struct err *err, int64_t *retry_ms, int64_t *pause_ms)
{
    /* Somewhere between half and all of the pause: many processes must not come back as one. */
    *retry_ms = clock_mono_ms() + *pause_ms / 2 + arc4random_uniform((uint32_t)*pause_ms / 2 + 1);
    *pause_ms = *pause_ms * 2 < TAIL_RETRY_MAX_MS ? *pause_ms * 2 : TAIL_RETRY_MAX_MS;
    if (!t->away)
        log_line(LOG_WARN, &(struct log_ctx){.err = err}, "event streams wait for the database");
    t->away = true;
}

static void
succeeded(struct tail *t, int64_t *retry_ms, int64_t *pause_ms)
{
    *retry_ms = 0;
    *pause_ms = TAIL_RETRY_MIN_MS;
    t->away = false;
}

/* --- hints ---------------------------------------------------------------------------------- */

/* Somebody says that there is a number that we have not read up to. */
static void
hint(struct tail *t, struct watched *w, int64_t seq)
{
    if (w->phase != WATCHED_LIVE || seq > w->known_seq)
        queue_run(t, w);
}

/* <run id>:<seq>:<0 or 1>, or the id of a command */
static void
hear(void *ctx, const char *channel, const char *payload)
{
    struct tail *t = ctx;
    char run_id[UUID_LEN];
    struct watched *w;

    if (strcmp(channel, CHANNEL_DONE) == 0)
        outcomes_told(t->outcomes, strtoll(payload, NULL, 10));
    if (strcmp(channel, CHANNEL_EVT) != 0 || strlen(payload) < UUID_LEN)
        return;
    memcpy(run_id, payload, UUID_LEN - 1);
    run_id[UUID_LEN - 1] = '\0';
    w = find_run(t, run_id);
    if (w)
        hint(t, w, strtoll(payload + UUID_LEN, NULL, 10));
}

static void
listen_to_hints(struct tail *t, int64_t now)
{
    bool was_connected = db_is_connected(t->listen);
    struct err err;

    if (now < t->listen_retry_ms)
        return;
    if (!db_listen(t->listen, CHANNEL_EVT, &err) || !db_listen(t->listen, CHANNEL_DONE, &err) ||
        !db_notifications(t->listen, hear, t, &err)) {
        failed(t, &err, &t->listen_retry_ms, &t->listen_pause_ms);
        return;
    }
    succeeded(t, &t->listen_retry_ms, &t->listen_pause_ms);
    if (was_connected)
        return;
    t->look_ms = 0; /* what was said meanwhile is lost */
    outcomes_lost(t->outcomes);
}

/* Which watched runs have more than we know of? */
static bool
look(struct tail *t, struct err *err)
{
    AUTO_BUF ids = {0};
    AUTO_BUF seqs = {0};
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    buf_char(&ids, '{');
    buf_char(&seqs, '{');
    for (struct watched *w = t->runs; w; w = w->hh.next) {
        if (w->phase == WATCHED_NEW)
            continue;
        buf_printf(&ids, "%s%s", ids.len > 1 ? "," : "", w->run_id);
        buf_printf(&seqs, "%s%lld", seqs.len > 1 ? "," : "", (long long)w->known_seq);
    }
    if (ids.len == 1)
        return true;
    buf_char(&ids, '}');
    buf_char(&seqs, '}');
    db_args_init(&a);
    db_arg_text(&a, ids.p);
    db_arg_text(&a, seqs.p);
    if (!db_run(t->db, SQL_STREAMS_CHANGED, &a, &r, err))
        return false;
    for (int i = 0; i < db_rows(r); i++) {
        struct watched *w = find_run(t, db_text(r, i, 0));

        if (w && db_null(r, i, 1)) {
            post_plain(t, NEWS_GONE, w->owner, 0);
            forget_run(t, w);
        } else if (w) {
            w->stored_seq = db_int(r, i, 1);
            hint(t, w, w->stored_seq);
        }
    }
    return true;
}

/* --- one round of reads --------------------------------------------------------------------- */

static void
add_events_page(struct tail *t, const char *run_id, int64_t after, int limit)
{
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    db_arg_int(&a, after);
    db_arg_int(&a, limit);
    db_pipeline_add(t->db, SQL_RUN_EVENTS_PAGE, &a);
}

static void
add_job(struct tail *t, const struct job *j)
{
    struct db_args a;

    if (j->page) {
        add_events_page(t, j->page->run_id, j->page->after, j->page->limit);
    } else if (j->run->phase == WATCHED_NEW) {
        db_args_init(&a);
        db_arg_text(&a, j->run->run_id);
        db_pipeline_add(t->db, SQL_RUN_STATE, &a);
    } else {
        add_events_page(t, j->run->run_id, j->run->read_seq, TAIL_ROWS);
    }
}

static size_t
choose_jobs(struct tail *t, struct job *jobs)
{
    size_t n = 0;

    for (; n < TAIL_RUNS && t->queue; n++)
        jobs[n] = (struct job){.run = dequeue_run(t)};
    for (int i = 0; i < TAIL_PAGES && t->pages; i++) {
        struct letter *l = t->pages;

        t->pages = l->next;
        if (!t->pages)
            t->pages_tail = &t->pages;
        jobs[n++] = (struct job){.page = (struct tail_ask *)l};
    }
    return n;
}

/* Nothing is lost by a failure: the same is asked again. */
static void
put_back(struct tail *t, struct job *jobs, size_t n)
{
    while (n-- > 0) {
        if (jobs[n].run) {
            queue_run(t, jobs[n].run);
            continue;
        }
        jobs[n].page->letter.next = t->pages;
        t->pages = &jobs[n].page->letter;
        if (t->pages_tail == &t->pages)
            t->pages_tail = &jobs[n].page->letter.next;
    }
}

static void
finish_state(struct tail *t, struct watched *w, const struct db_result *r)
{
    if (db_rows(r) == 0) {
        post_plain(t, NEWS_GONE, w->owner, 0);
        forget_run(t, w);
        return;
    }
    watched_load(w, r);
    queue_run(t, w);
}

static void
finish_events(struct tail *t, struct watched *w, const struct db_result *r)
{
    bool complete = db_rows(r) < TAIL_ROWS;
    struct news *n = news_new(NEWS_EVENTS, w->owner, (size_t)db_rows(r));

    n->n = watched_read(w, r, complete, n->frames, &t->scratch);
    n->seq = w->read_seq;
    if (n->n > 0)
        post(t, n);
    else
        news_free(n);
    if (!complete) {
        queue_run(t, w);
    } else if (w->phase == WATCHED_LOADING) {
        w->phase = WATCHED_LIVE;
        post_plain(t, NEWS_LOADED, w->owner, w->read_seq);
    }
    owe_snapshot(t, w);
}

static void
finish_page(struct tail *t, const struct tail_ask *ask, const struct db_result *r)
{
    int rows = db_rows(r), i = 0;
    struct news *n = news_new(NEWS_PAGE, ask->owner, (size_t)rows);
    size_t bytes = 0;
    bool beyond = false;

    for (; i < rows && bytes < TAIL_PAGE_BYTES; i++) {
        struct frame *f;

        beyond = db_int(r, i, EVENT_COL_SEQ) > ask->to;
        if (beyond)
            break;
        f = watched_event_frame(r, i, ask->run_id, &t->scratch);
        bytes += f->len;
        n->frames[n->n++] = f;
    }
    n->done = beyond || (i == rows && rows < ask->limit);
    post(t, n);
}

/* Results are handed on in the order in which the statements ran: see tail.h. */
static void
finish_job(struct tail *t, struct job *j)
{
    if (j->page) {
        finish_page(t, j->page, j->result);
        free(j->page);
    } else if (j->run->phase == WATCHED_NEW) {
        finish_state(t, j->run, j->result);
    } else {
        finish_events(t, j->run, j->result);
    }
    db_result_free(j->result);
}

static bool
read_round(struct tail *t, struct err *err)
{
    struct job jobs[TAIL_RUNS + TAIL_PAGES];
    struct db_result *results[TAIL_RUNS + TAIL_PAGES];
    size_t n = choose_jobs(t, jobs);

    if (n == 0)
        return true;
    db_pipeline_begin(t->db);
    for (size_t i = 0; i < n; i++)
        add_job(t, &jobs[i]);
    if (!db_pipeline_commit(t->db, results, n, err)) {
        put_back(t, jobs, n);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        jobs[i].result = results[i];
        finish_job(t, &jobs[i]);
    }
    return true;
}

static void
read_news(struct tail *t, int64_t now)
{
    struct err err;
    bool ok = true;

    if (now < t->retry_ms)
        return;
    if (now >= t->look_ms) {
        ok = look(t, &err);
        if (ok)
            t->look_ms = now + TAIL_LOOK_MS;
    }
    if (ok && inbox_bytes(t->news) < TAIL_BACKLOG)
        ok = read_round(t, &err);
    if (ok)
        succeeded(t, &t->retry_ms, &t->pause_ms);
    else
        failed(t, &err, &t->retry_ms, &t->pause_ms);
}

/* --- snapshots ------------------------------------------------------------------------------ */

static void
send_snapshot(struct tail *t, struct watched *w, int64_t now)
{
    struct news *n = news_new(NEWS_SNAPSHOT, w->owner, 1);
    size_t cost;

    n->frames[0] = watched_snapshot(w, &t->scratch, now, &n->for_all);
    n->n = 1;
    n->seq = n->frames[0]->seq;
    cost = n->for_all ? n->frames[0]->len * (size_t)atomic_load(w->audience) : 0;
    if (t->snapshots_paid_ms < now)
        t->snapshots_paid_ms = now;
    t->snapshots_paid_ms += (int64_t)cost / TAIL_SNAPSHOT_RATE;
    if (t->snapshots_paid_ms > now + TAIL_SNAPSHOT_DEBT_MS)
        t->snapshots_paid_ms = now + TAIL_SNAPSHOT_DEBT_MS;
    post(t, n);
}

/*
 * Those that are due, first come first served. With many large runs and many subscribers they
 * would be most of the traffic, so that their rate is limited; what a run waits for is always its
 * newest state. Returns when to look again, 0 when nothing is owed.
 */
static int64_t
send_snapshots(struct tail *t, int64_t now)
{
    struct watched *list = t->pending, *next;
    int64_t again = 0;

    t->pending = NULL;
    t->pending_tail = &t->pending;
    for (struct watched *w = list; w; w = next) {
        int64_t due = watched_snapshot_due(w);

        next = w->next_pending;
        w->pending = false;
        if (due && due < t->snapshots_paid_ms)
            due = t->snapshots_paid_ms;
        if (due <= now) {
            send_snapshot(t, w, now);
            due = watched_snapshot_due(w);
        }
        owe_snapshot(t, w);
        if (w->pending && (!again || due < again))
            again = due;
    }
    return again;
}

/* --- the thread ------------------------------------------------------------------------------ */

static void
earlier(int64_t *at, int64_t other)
{
    if (other < *at)
        *at = other;
}

static int
wait_ms(const struct tail *t, int64_t now, int64_t snapshots_ms)
{
    int64_t at = now + TAIL_LOOK_MS;

    if (!db_is_connected(t->listen))
        earlier(&at, t->listen_retry_ms);
    if (t->runs || t->pages)
        earlier(&at, t->retry_ms > t->look_ms ? t->retry_ms : t->look_ms);
    if (snapshots_ms)
        earlier(&at, snapshots_ms);
    if (t->queue || t->pages) {
        if (inbox_bytes(t->news) >= TAIL_BACKLOG)
            earlier(&at, now + TAIL_BACKLOG_PAUSE_MS);
        else
            earlier(&at, t->retry_ms);
    }
    return at > now ? (int)(at - now) : 0;
}

static void *
tail_main(void *arg)
{
    struct tail *t = arg;
    int64_t snapshots_ms = 0;

    while (!t->stopping) {
        struct pollfd p[] = {
            {.fd = t->asks.fd, .events = POLLIN},
            {.fd = db_fd(t->listen), .events = POLLIN},
        };

        if (poll(p, ARRAY_LEN(p), wait_ms(t, clock_mono_ms(), snapshots_ms)) < 0 && errno != EINTR)
            BUG("poll: %s", strerror(errno));
        take_asks(t);
        if (t->stopping)
            break;
        listen_to_hints(t, clock_mono_ms());
        read_news(t, clock_mono_ms());
        snapshots_ms = send_snapshots(t, clock_mono_ms());
    }
    return NULL;
}

struct tail *
tail_start(const struct config *config, struct inbox *news, struct outcomes *outcomes)
{
    struct tail *t = xcalloc(1, sizeof *t);

    t->news = news;
    t->outcomes = outcomes;
    t->listen = db_new(config->database_url, "macp-fcgi listen", TAIL_LISTEN_TIMEOUT_MS);
    t->db = db_new(config->database_url, "macp-fcgi streams", TAIL_TIMEOUT_MS);
    t->listen_pause_ms = t->pause_ms = TAIL_RETRY_MIN_MS;
    t->queue_tail = &t->queue;
    t->pending_tail = &t->pending;
    t->pages_tail = &t->pages;
    inbox_init(&t->asks);
    if (pthread_create(&t->thread, NULL, tail_main, t) != 0)
        BUG("cannot start a thread");
    return t;
}

void
tail_ask(struct tail *t, const struct tail_ask *ask)
{
    struct tail_ask *copy = xmalloc(sizeof *copy);

    *copy = *ask;
    inbox_post(&t->asks, &copy->letter, sizeof *copy);
}

static void
free_letters(struct letter *l)
{
    for (struct letter *next; l; l = next) {
        next = l->next;
        free(l); /* the first member of an ask */
    }
}

void
tail_stop(struct tail *t)
{
    struct watched *w, *next;

    tail_ask(t, &(struct tail_ask){.kind = TAIL_STOP});
    pthread_join(t->thread, NULL);
    HASH_ITER(hh, t->runs, w, next)
    forget_run(t, w);
    free_letters(t->pages);
    free_letters(inbox_take(&t->asks));
    inbox_fini(&t->asks);
    db_close(t->listen);
    db_close(t->db);
    buf_fini(&t->scratch);
    free(t);
}
