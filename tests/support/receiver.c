#include "tests/support/receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/clock.h"
#include "tests/support/process.h"

enum { LOOK_MS = 5, DRIP_MS = 10, BACKLOG = 256, READ_BYTES = 4096 };

struct connection {
    struct receiver *receiver;
    int fd;
    struct buf request;
    size_t head_len;
};

/* --- bytes ------------------------------------------------------------------------------------ */

/* False when the receiver stops or the client is gone. */
static bool
wait_for(struct receiver *r, int fd, short events, int ms)
{
    struct pollfd fds[] = {{fd, events, 0}, {r->stop, POLLIN, 0}};

    poll(fds, 2, ms);
    return !fds[1].revents && !(fds[0].revents & (POLLHUP | POLLERR));
}

static bool
say(struct connection *c, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t sent;

        if (!wait_for(c->receiver, c->fd, POLLOUT, -1))
            return false;
        sent = send(c->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return false;
        text += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool
hear(struct connection *c)
{
    struct buf *b = &c->request;

    for (;;) {
        const char *end = strstr(buf_cstr(b), "\r\n\r\n"), *length;
        ssize_t n;

        if (end) {
            c->head_len = (size_t)(end + 4 - b->p);
            length = strcasestr(buf_cstr(b), "\r\nContent-Length: ");
            if (b->len >= c->head_len + (length ? strtoul(length + 18, NULL, 10) : 0))
                return true;
        }
        if (!wait_for(c->receiver, c->fd, POLLIN, -1))
            return false;
        n = recv(c->fd, buf_reserve(b, READ_BYTES), READ_BYTES, 0);
        if (n <= 0)
            return false;
        b->len += (size_t)n;
        b->p[b->len] = '\0';
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool
begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Of a list like 500,200 the one for the nth request, counted from 0. */
static int
status_of(const char *list, size_t nth)
{
    for (; nth > 0; nth--) {
        const char *comma = strpbrk(list, ",?");

        if (!comma || *comma != ',')
            break;
        list = comma + 1;
    }
    return (int)strtol(list, NULL, 10);
}

static bool
is_answered_plainly(struct connection *c, const char *path, int status)
{
    AUTO_BUF out = {0};

    if (status)
        buf_printf(&out, "HTTP/1.1 %d As asked\r\nContent-Length: 6\r\n\r\nnoted\n", status);
    else if (begins(path, "/echo"))
        buf_printf(&out, "HTTP/1.1 201 Created\r\nContent-Length: %zu\r\n\r\n%s", c->request.len,
                   buf_cstr(&c->request));
    else if (begins(path, "/redirect"))
        buf_lit(&out, "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
    else if (begins(path, "/busy"))
        buf_lit(&out, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    else if (begins(path, "/no-http"))
        buf_lit(&out, "220 mail.example\r\n");
    else if (begins(path, "/cut"))
        buf_lit(&out, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    return out.len > 0 && (say(c, out.p, out.len), true);
}

static void
answer_badly(struct connection *c, const char *path)
{
    static const char line[] = "HTTP/1.1 200 OK\r\n", empty[] = "\r\n", more[] = "X-More: more\r\n";
    char block[16384];
    bool ok;

    if (begins(path, "/hang")) {
        atomic_fetch_add(&c->receiver->hanging, 1);
        wait_for(c->receiver, c->fd, POLLIN, -1);
        atomic_fetch_sub(&c->receiver->hanging, 1);
    } else if (begins(path, "/drip")) {
        ok = say(c, line, sizeof line - 1) && say(c, empty, sizeof empty - 1);
        while (ok && wait_for(c->receiver, c->fd, 0, DRIP_MS))
            ok = say(c, ".", 1);
    } else if (begins(path, "/huge")) {
        memset(block, 'x', sizeof block);
        ok = say(c, line, sizeof line - 1) && say(c, empty, sizeof empty - 1);
        while (ok)
            ok = say(c, block, sizeof block);
    } else if (begins(path, "/headers")) {
        ok = say(c, line, sizeof line - 1);
        while (ok)
            ok = say(c, more, sizeof more - 1);
    }
}

/* Written down before it is answered: who has an answer finds the request here. */
static void
note(struct connection *c, const char *path, size_t path_len, int *status)
{
    struct receiver *r = c->receiver;
    struct received *at;
    size_t same = 0;

    pthread_mutex_lock(&r->mu);
    for (size_t i = 0; i < r->n; i++)
        same += r->list[i].path.len == path_len && memcmp(r->list[i].path.p, path, path_len) == 0;
    *status = begins(path, "/status/") ? status_of(path + 8, same) : 0;
    r->list = xrealloc(r->list, (r->n + 1) * sizeof *r->list);
    at = &r->list[r->n++];
    *at = (struct received){.at_ms = clock_mono_ms(), .status = *status};
    buf_add(&at->path, path, path_len);
    buf_add(&at->head, c->request.p, c->head_len);
    buf_add(&at->body, c->request.p + c->head_len, c->request.len - c->head_len);
    pthread_mutex_unlock(&r->mu);
}

static void *
connection_main(void *arg)
{
    struct connection *c = arg;
    const char *path;
    int status;

    if (hear(c) && (path = strchr(buf_cstr(&c->request), ' '))) {
        path++;
        note(c, path, strcspn(path, " \r"), &status);
        if (!is_answered_plainly(c, path, status))
            answer_badly(c, path);
    }
    close(c->fd);
    buf_fini(&c->request);
    atomic_fetch_sub(&c->receiver->answering, 1);
    free(c);
    return NULL;
}

static void *
receiver_main(void *arg)
{
    struct receiver *r = arg;

    while (wait_for(r, r->listener, POLLIN, -1)) {
        int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
        struct connection *c;
        pthread_t thread;

        if (fd < 0)
            continue;
        c = xcalloc(1, sizeof *c);
        c->receiver = r;
        c->fd = fd;
        atomic_fetch_add(&r->connections, 1);
        atomic_fetch_add(&r->answering, 1);
        if (pthread_create(&thread, NULL, connection_main, c) != 0)
            BUG("cannot start a thread");
        pthread_detach(thread);
    }
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

bool
receiver_start(struct receiver *r, int port, struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_ANY),
                             .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof at;

    *r = (struct receiver){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    setsockopt(r->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(r->listener, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(r->listener, BACKLOG) != 0 ||
        getsockname(r->listener, (struct sockaddr *)&at, &len) != 0) {
        err_set(err, ERR_IO, "a receiver on port %d: %s", port, strerror(errno));
        close(r->listener);
        return false;
    }
    r->port = ntohs(at.sin_port);
    r->stop = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&r->mu, NULL);
    if (pthread_create(&r->thread, NULL, receiver_main, r) != 0)
        BUG("cannot start a thread");
    return true;
}

void
received_fini(struct received *r)
{
    buf_fini(&r->path);
    buf_fini(&r->head);
    buf_fini(&r->body);
}

void
receiver_stop(struct receiver *r)
{
    eventfd_write(r->stop, 1);
    pthread_join(r->thread, NULL);
    while (atomic_load(&r->answering) > 0)
        sched_yield();
    close(r->listener);
    close(r->stop);
    for (size_t i = 0; i < r->n; i++)
        received_fini(&r->list[i]);
    free(r->list);
    pthread_mutex_destroy(&r->mu);
}

/* --- looking ---------------------------------------------------------------------------------- */

size_t
receiver_count(struct receiver *r, const char *path)
{
    size_t n = 0;

    pthread_mutex_lock(&r->mu);
    for (size_t i = 0; i < r->n; i++)
        n += begins(buf_cstr(&r->list[i].path), path);
    pthread_mutex_unlock(&r->mu);
    return n;
}

bool
receiver_wait(struct receiver *r, const char *path, size_t n, int timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;

    while (receiver_count(r, path) < n) {
        if (clock_mono_ms() > until)
            return false;
        process_pause(LOOK_MS);
    }
    return true;
}

bool
receiver_get(struct receiver *r, const char *path, size_t i, struct received *out)
{
    bool found = false;

    pthread_mutex_lock(&r->mu);
    for (size_t k = 0; k < r->n && !found; k++) {
        const struct received *at = &r->list[k];

        if (!begins(buf_cstr(&at->path), path) || i-- > 0)
            continue;
        *out = (struct received){.at_ms = at->at_ms, .status = at->status};
        buf_add(&out->path, at->path.p, at->path.len);
        buf_add(&out->head, at->head.p, at->head.len);
        buf_add(&out->body, at->body.p, at->body.len);
        found = true;
    }
    pthread_mutex_unlock(&r->mu);
    return found;
}

const char *
received_header(const struct received *r, const char *name, char *out, size_t size)
{
    char line[128];
    const char *at;

    snprintf(line, sizeof line, "\r\n%s: ", name);
    at = strcasestr(buf_cstr(&r->head), line);
    if (at)
        at += strlen(line);
    snprintf(out, size, "%.*s", at ? (int)strcspn(at, "\r") : 0, at ? at : "");
    return out;
}
