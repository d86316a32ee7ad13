#include "fcgi/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fcgi/record.h"

void
conn_init(struct conn *c, struct share *waiting)
{
    *c = (struct conn){.fd = -1, .waiting = waiting};
    FCGX_InitRequest(&c->fcgx, -1, FCGI_FAIL_ACCEPT_ON_INTR);
}

/* Take the descriptor back, freeing the library's buffers. */
static int
release(struct conn *c)
{
    int fd = c->fd, from = c->fcgx.ipcFd;

    FCGX_Free(&c->fcgx, 0);
    c->fcgx.ipcFd = -1;
    c->fcgx.keepConnection = 0;
    if (from >= 0 && from != fd)
        close(from);
    if (c->has_place)
        share_leave(c->waiting);
    c->has_place = false;
    c->fd = -1;
    return fd;
}

/* The library reads from descriptors only. */
static int
open_collected(const struct buf *collected)
{
    int fd = memfd_create("request", MFD_CLOEXEC);

    if (fd < 0)
        return -1;
    if (write(fd, collected->p, collected->len) == (ssize_t)collected->len &&
        lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

bool
conn_open(struct conn *c, int fd, const struct buf *collected)
{
    struct timeval limit = {CONN_READ_MS / 1000, CONN_READ_MS % 1000 * 1000};
    int from = collected ? open_collected(collected) : fd;

    c->fd = fd;
    if (from < 0) {
        conn_close(c);
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    /* With keepConnection the library reads from ipcFd instead of accepting. */
    c->fcgx.ipcFd = from;
    c->fcgx.keepConnection = 1;
    if (FCGX_Accept_r(&c->fcgx) < 0) {
        /* The library closed the descriptor and, without a listening socket, gave up. */
        c->fcgx.ipcFd = -1;
        c->fcgx.keepConnection = 0;
        c->fd = -1;
        if (from != fd)
            close(fd);
        return false;
    }
    c->fcgx.keepConnection = 0;
    /* Parameters that were cut off are reported as success. */
    if (FCGX_GetError(c->fcgx.in) != 0 || !FCGX_GetParam("REQUEST_METHOD", c->fcgx.envp)) {
        conn_close(c);
        return false;
    }
    return true;
}

bool
conn_read_body(struct conn *c, struct buf *storage, enum request_body_state *state)
{
    const char *announced = FCGX_GetParam("CONTENT_LENGTH", c->fcgx.envp);

    buf_reset(storage);
    for (;;) {
        enum { CHUNK = 16384 };
        int n = FCGX_GetStr(buf_reserve(storage, CHUNK), CHUNK, c->fcgx.in);

        if (n <= 0)
            break;
        storage->len += (size_t)n;
        storage->p[storage->len] = '\0';
    }
    if (FCGX_GetError(c->fcgx.in) != 0)
        return false;
    *state = REQUEST_BODY_OK;
    if (storage->len > REQUEST_BODY_MAX)
        *state = REQUEST_BODY_TOO_LARGE;
    else if (announced && *announced && strtoull(announced, NULL, 10) != storage->len)
        *state = REQUEST_BODY_CUT;
    return true;
}

bool
conn_is_gone(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd};

    /* Closed on both sides; a client that has only finished sending still wants its answer. */
    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

/* --- records ------------------------------------------------------------------------------ */

/* Until the reader takes more; only so many slow readers are waited for, and none for ever. */
static bool
wait_for_reader(struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};

    if (poll(&p, 1, CONN_PATIENCE_MS) > 0)
        return true;
    c->has_place = c->has_place || share_enter(c->waiting);
    return c->has_place && poll(&p, 1, CONN_WRITE_MS - CONN_PATIENCE_MS) > 0;
}

static bool
send_all(struct conn *c, struct iovec *iov, size_t n)
{
    while (n > 0) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 &&
            (errno == EINTR || ((errno == EAGAIN || errno == EWOULDBLOCK) && wait_for_reader(c))))
            continue;
        if (sent < 0)
            return false;
        while (n > 0 && (size_t)sent >= iov->iov_len) {
            sent -= (ssize_t)iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0) {
            iov->iov_base = (char *)iov->iov_base + sent;
            iov->iov_len -= (size_t)sent;
        }
    }
    return true;
}

bool
conn_reply(struct conn *c, const struct buf *head, const char *body, size_t body_len)
{
    int id = c->fcgx.requestId;
    unsigned char start[RECORD_HEAD], end[RECORD_END_LEN];
    size_t head_left = head->len, body_left = body_len;

    record_end(end, id);
    while (head_left + body_left > 0) {
        size_t from_head = head_left < RECORD_MAX ? head_left : RECORD_MAX;
        size_t room = RECORD_MAX - from_head;
        size_t from_body = body_left < room ? body_left : room;
        bool last = from_head == head_left && from_body == body_left;
        struct iovec iov[] = {
            {start, sizeof start},
            {head->p + (head->len - head_left), from_head},
            {(char *)(uintptr_t)body + (body_len - body_left), from_body},
            {end, last ? sizeof end : 0},
        };

        record_head(start, RECORD_STDOUT, id, from_head + from_body, 0);
        if (!send_all(c, iov, ARRAY_LEN(iov)))
            return false;
        head_left -= from_head;
        body_left -= from_body;
    }
    return true;
}

bool
conn_begin(struct conn *c, const struct buf *text)
{
    unsigned char start[RECORD_HEAD];
    struct iovec iov[] = {{start, sizeof start}, {text->p, text->len}};

    if (text->len > RECORD_MAX)
        return false;
    record_head(start, RECORD_STDOUT, c->fcgx.requestId, text->len, 0);
    return send_all(c, iov, ARRAY_LEN(iov));
}

static bool
send_text(struct conn *c, const char *p, size_t n)
{
    while (n > 0) {
        unsigned char start[RECORD_HEAD];
        size_t now = n < RECORD_MAX ? n : RECORD_MAX;
        struct iovec iov[] = {{start, sizeof start}, {(char *)(uintptr_t)p, now}};

        record_head(start, RECORD_STDOUT, c->fcgx.requestId, now, 0);
        if (!send_all(c, iov, ARRAY_LEN(iov)))
            return false;
        p += now;
        n -= now;
    }
    return true;
}

bool
conn_part(struct conn *c, const struct buf *head, const char *body, size_t body_len)
{
    return (!head || send_text(c, head->p, head->len)) && send_text(c, body, body_len);
}

bool
conn_finish(struct conn *c)
{
    unsigned char end[RECORD_END_LEN];
    struct iovec iov[] = {{end, sizeof end}};

    record_end(end, c->fcgx.requestId);
    return send_all(c, iov, ARRAY_LEN(iov));
}

int
conn_detach(struct conn *c)
{
    return release(c);
}

void
conn_close(struct conn *c)
{
    int fd = release(c);

    if (fd >= 0)
        close(fd);
}
