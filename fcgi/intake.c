#include "fcgi/intake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "fcgi/inbox.h"
#include "shared/clock.h"

enum {
    INTAKE_EVENTS = 64,
    INTAKE_CHUNK = 16 << 10,
    INTAKE_IDLE_MS = 60000,
    INTAKE_STOP_MS = 1000,
};

struct newcomer {
    struct letter letter;
    int fd; /* -1: the end */
};

struct intake {
    pthread_t thread;
    int ep;
    struct inbox newcomers;
    bool ending;

    struct arrival *waiting; /* in the order in which they came */
    size_t n, bytes;         /* of those: how many, and their capacity */

    pthread_mutex_t lock;
    struct arrival *ready;
    int ready_fd; /* counts what is ready */
};

/* --- who is ready ----------------------------------------------------------------------------- */

static void
make_ready(struct intake *in, struct arrival *a)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&in->lock);
    DL_APPEND(in->ready, a);
    pthread_mutex_unlock(&in->lock);
    if (write(in->ready_fd, &one, sizeof one) != sizeof one)
        BUG("cannot wake a worker: %s", strerror(errno));
}

int
intake_ready_fd(const struct intake *in)
{
    return in->ready_fd;
}

struct arrival *
intake_take(struct intake *in)
{
    struct arrival *a;
    uint64_t one;

    if (read(in->ready_fd, &one, sizeof one) != sizeof one)
        return NULL;
    pthread_mutex_lock(&in->lock);
    a = in->ready;
    DL_DELETE(in->ready, a);
    pthread_mutex_unlock(&in->lock);
    return a;
}

/* --- who waits -------------------------------------------------------------------------------- */

static void
forget(struct intake *in, struct arrival *a)
{
    epoll_ctl(in->ep, EPOLL_CTL_DEL, a->fd, NULL);
    DL_DELETE(in->waiting, a);
    in->n--;
    in->bytes -= a->bytes.cap;
}

static void
drop(struct intake *in, struct arrival *a)
{
    forget(in, a);
    close(a->fd);
    arrival_free(a);
}

/* It goes on without the rest of its body; without its parameters nothing can be said to it. */
static void
give_up(struct intake *in, struct arrival *a, enum request_body_state why)
{
    if (!arrival_cut(a)) {
        drop(in, a);
        return;
    }
    a->body_state = why;
    forget(in, a);
    make_ready(in, a);
}

static void
read_some(struct intake *in, struct arrival *a)
{
    size_t cap = a->bytes.cap;
    ssize_t n = recv(a->fd, buf_reserve(&a->bytes, INTAKE_CHUNK), INTAKE_CHUNK, MSG_DONTWAIT);

    in->bytes += a->bytes.cap - cap;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        drop(in, a);
        return;
    }
    a->bytes.len += (size_t)n;
    switch (arrival_look(a)) {
    case ARRIVAL_MORE:
        break;
    case ARRIVAL_WHOLE:
        forget(in, a);
        make_ready(in, a);
        break;
    case ARRIVAL_BROKEN:
        drop(in, a);
        break;
    }
}

static void
begin(struct intake *in, int fd)
{
    struct arrival *a = arrival_new(fd);
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = a};

    if (epoll_ctl(in->ep, EPOLL_CTL_ADD, fd, &e) < 0)
        BUG("epoll: %s", strerror(errno));
    a->until_ms = clock_mono_ms() + INTAKE_MS;
    DL_APPEND(in->waiting, a);
    in->n++;
    read_some(in, a);
}

static void
take_newcomers(struct intake *in)
{
    struct letter *next;

    for (struct letter *l = inbox_take(&in->newcomers); l; l = next) {
        struct newcomer *c = (struct newcomer *)l;

        next = l->next;
        inbox_done(&in->newcomers, l);
        if (c->fd < 0)
            in->ending = true;
        else
            begin(in, c->fd);
        free(c);
    }
}

/* --- the thread ------------------------------------------------------------------------------- */

static void
keep_bounds(struct intake *in)
{
    int64_t now = clock_mono_ms();

    while (in->waiting && in->waiting->until_ms <= now)
        give_up(in, in->waiting, REQUEST_BODY_LATE);
    while (in->n > INTAKE_CONNECTIONS || in->bytes > INTAKE_BYTES)
        give_up(in, in->waiting, REQUEST_BODY_REFUSED);
}

/* Until the first one has waited long enough. */
static int
wait_ms(const struct intake *in, int max_ms)
{
    int64_t left = in->waiting ? in->waiting->until_ms - clock_mono_ms() : max_ms;

    if (left > max_ms)
        left = max_ms;
    return left > 0 ? (int)left : 0;
}

/* One round: sockets first, because newcomers may end what events point at. */
static void
turn(struct intake *in, int max_ms)
{
    struct epoll_event events[INTAKE_EVENTS];
    int n = epoll_wait(in->ep, events, INTAKE_EVENTS, wait_ms(in, max_ms));

    for (int i = 0; i < n; i++)
        if (events[i].data.ptr != &in->newcomers)
            read_some(in, events[i].data.ptr);
    take_newcomers(in);
    keep_bounds(in);
}

static void *
intake_main(void *arg)
{
    struct intake *in = arg;
    int64_t until;

    while (!in->ending)
        turn(in, INTAKE_IDLE_MS);
    until = clock_mono_ms() + INTAKE_STOP_MS;
    while (in->waiting && clock_mono_ms() < until)
        turn(in, (int)(until - clock_mono_ms()));
    while (in->waiting)
        give_up(in, in->waiting, REQUEST_BODY_REFUSED);
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

struct intake *
intake_start(void)
{
    struct intake *in = xcalloc(1, sizeof *in);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &in->newcomers};

    in->ep = epoll_create1(EPOLL_CLOEXEC);
    in->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    inbox_init(&in->newcomers);
    if (in->ep < 0 || in->ready_fd < 0 ||
        epoll_ctl(in->ep, EPOLL_CTL_ADD, in->newcomers.fd, &e) < 0)
        BUG("cannot set up the intake: %s", strerror(errno));
    pthread_mutex_init(&in->lock, NULL);
    if (pthread_create(&in->thread, NULL, intake_main, in) != 0)
        BUG("cannot start a thread");
    return in;
}

void
intake_pass(struct intake *in, int fd)
{
    struct newcomer *c = xcalloc(1, sizeof *c);

    c->fd = fd;
    inbox_post(&in->newcomers, &c->letter, sizeof *c);
}

void
intake_end(struct intake *in)
{
    intake_pass(in, -1);
    pthread_join(in->thread, NULL);
}

void
intake_free(struct intake *in)
{
    if (in->ready)
        BUG("requests nobody answered");
    inbox_fini(&in->newcomers);
    pthread_mutex_destroy(&in->lock);
    close(in->ready_fd);
    close(in->ep);
    free(in);
}
