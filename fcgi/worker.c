#include "fcgi/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/app.h"
#include "fcgi/arrival.h"
#include "fcgi/conn.h"
#include "fcgi/frame.h"
#include "fcgi/http_metrics.h"
#include "fcgi/hub.h"
#include "fcgi/intake.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/serve.h"
#include "shared/clock.h"
#include "shared/log.h"

enum {
    WORKER_NO_FD_PAUSE_US = 50000,
    WORKER_BODY_KEEP = 256 << 10,
};

struct worker {
    struct workers *all;
    pthread_t thread;
    struct db *db, *read_db;
    struct arena arena;
    struct reply reply;
    struct buf head, body;
    struct conn conn;
};

struct workers {
    struct app *app;
    struct intake *intake;
    int listen_fd;
    int stop_fd; /* written once and never read: level-triggered for all */
    int n;
    struct worker workers[];
};

static void
watch(int ep, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
        BUG("cannot set up a worker: %s", strerror(errno));
}

static int
make_epoll(const struct workers *all)
{
    int ep = epoll_create1(EPOLL_CLOEXEC);

    if (ep < 0)
        BUG("cannot set up a worker: %s", strerror(errno));
    watch(ep, all->listen_fd, EPOLLIN | EPOLLEXCLUSIVE);
    watch(ep, intake_ready_fd(all->intake), EPOLLIN | EPOLLEXCLUSIVE);
    watch(ep, all->stop_fd, EPOLLIN);
    return ep;
}

/* -1: another worker took it, or it cannot be had now. */
static int
accept_connection(const struct workers *all)
{
    int fd = accept4(all->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    /* The connection stays in the queue, so waiting would return at once: do not spin. */
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
        usleep(WORKER_NO_FD_PAUSE_US);
    return fd;
}

/* The connection goes to the hub, with the place that the handler took for it. */
static void
begin_stream(struct worker *w, const struct stream_plan *plan)
{
    struct hub *hub = w->all->app->hub;

    /* The first byte of a body makes web servers pass the headers on. */
    buf_char(&w->head, '\n');
    if (conn_begin(&w->conn, &w->head))
        hub_attach(hub, conn_detach(&w->conn), plan);
    else
        hub_leave(hub);
}

static bool
send_part(void *ctx, const struct request *rq)
{
    struct worker *w = ctx;
    const struct buf *body = &rq->reply->body;
    bool first = !rq->reply->started;

    if (first) {
        rq->reply->started = true; /* no length in the head */
        buf_reset(&w->head);
        reply_write_head(rq, &w->head);
    }
    return conn_part(&w->conn, first ? &w->head : NULL, body->p,
                     rq->method == HTTP_HEAD ? 0 : body->len);
}

static bool
finish_parts(struct worker *w, const struct request *rq)
{
    return !w->reply.broken && send_part(w, rq) && conn_finish(&w->conn);
}

static void
answer_request(struct worker *w, enum request_body_state body_state)
{
    int64_t began_us = clock_mono_us();
    struct request rq;

    reply_reset(&w->reply);
    request_init(&rq, w->all->app, &w->arena, w->conn.fcgx.envp);
    rq.db = w->db;
    rq.read_db = w->read_db;
    rq.reply = &w->reply;
    w->reply.part = send_part;
    w->reply.part_ctx = w;
    rq.body = buf_cstr(&w->body);
    rq.body_len = w->body.len;
    rq.body_state = body_state;
    rq.can_stream = w->conn.fcgx.requestId == FRAME_REQUEST_ID;
    serve(&rq);

    buf_reset(&w->head);
    reply_write_head(&rq, &w->head);
    if (rq.stream)
        begin_stream(w, rq.stream);
    else if (w->reply.started ? !finish_parts(w, &rq)
                              : !conn_reply(&w->conn, &w->head, w->reply.body.p,
                                            rq.method == HTTP_HEAD ? 0 : w->reply.body.len))
        log_line(LOG_DEBUG, &(struct log_ctx){.request_id = rq.request_id},
                 "the web server went away");
    if (!rq.stream)
        http_metrics_count(w->all->app->http, &rq, w->reply.status, clock_mono_us() - began_us);
    request_fini(&rq);
    arena_reset(&w->arena);
}

/* Takes the descriptor. Closing with bytes unread would take the answer back, so a body is read
 * to its end even when nobody wants it. A client that gave up while queued gets no work done. */
static void
serve_connection(struct worker *w, int fd, const struct arrival *collected)
{
    enum request_body_state state;

    if (!conn_open(&w->conn, fd, collected ? &collected->bytes : NULL))
        return;
    if (conn_read_body(&w->conn, &w->body, &state) && !conn_is_gone(&w->conn))
        answer_request(w, collected && collected->body_state ? collected->body_state : state);
    conn_close(&w->conn);
    if (w->body.cap > WORKER_BODY_KEEP)
        buf_fini(&w->body);
}

/* False: nothing was ready. */
static bool
serve_collected(struct worker *w)
{
    struct arrival *a = intake_take(w->all->intake);

    if (!a)
        return false;
    serve_connection(w, a->fd, a);
    arrival_free(a);
    return true;
}

static void
serve_accepted(struct worker *w)
{
    int fd = accept_connection(w->all);

    if (fd < 0)
        return;
    if (arrival_is_there(fd))
        serve_connection(w, fd, NULL);
    else
        intake_pass(w->all->intake, fd);
}

/* Never ends for an error: the service would be dead. */
static void *
worker_main(void *arg)
{
    struct worker *w = arg;
    const struct workers *all = w->all;
    int ep = make_epoll(all);

    for (;;) {
        enum { SOURCES = 3 };
        struct epoll_event events[SOURCES];
        int n = epoll_wait(ep, events, SOURCES, -1);
        bool accepts = false, collected = false;

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == all->stop_fd) {
                close(ep);
                return NULL;
            }
            accepts = accepts || events[i].data.fd == all->listen_fd;
            collected = collected || events[i].data.fd != all->listen_fd;
        }
        /* What was collected goes first, and only then is more let in. */
        if (!(collected && serve_collected(w)) && accepts)
            serve_accepted(w);
    }
}

struct workers *
workers_start(struct app *app, int listen_fd, int n)
{
    const struct config *config = app->config;
    bool has_replica = strcmp(config->database_url, config->database_read_url) != 0;
    struct workers *all = xcalloc(1, sizeof *all + (size_t)n * sizeof all->workers[0]);

    *all = (struct workers){.app = app, .listen_fd = listen_fd, .n = n};
    all->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (all->stop_fd < 0)
        BUG("no eventfd: %s", strerror(errno));
    all->intake = intake_start();
    for (int i = 0; i < n; i++) {
        struct worker *w = &all->workers[i];

        w->all = all;
        conn_init(&w->conn, &app->waiting);
        w->db = db_new(config->database_url, "macp-fcgi", REQUEST_DB_FAST_MS);
        w->read_db = has_replica
                         ? db_new(config->database_read_url, "macp-fcgi read", REQUEST_DB_FAST_MS)
                         : w->db;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            BUG("cannot start a thread");
    }
    return all;
}

void
workers_stop(struct workers *all)
{
    const uint64_t one = 1;

    if (write(all->stop_fd, &one, sizeof one) != sizeof one)
        BUG("cannot wake the workers");
    for (int i = 0; i < all->n; i++)
        pthread_join(all->workers[i].thread, NULL);
    /* Nobody accepts any more. What was half there is answered here. */
    intake_end(all->intake);
    while (serve_collected(&all->workers[0]))
        ;
    intake_free(all->intake);
    for (int i = 0; i < all->n; i++) {
        struct worker *w = &all->workers[i];

        if (w->read_db != w->db)
            db_close(w->read_db);
        db_close(w->db);
        arena_fini(&w->arena);
        reply_fini(&w->reply);
        buf_fini(&w->head);
        buf_fini(&w->body);
    }
    close(all->stop_fd);
    free(all);
}
