#include "tests/support/sse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/clock.h"

enum { AGAIN_MS = 50, READ_BYTES = 65536, TURN_EVENTS = 256 };

void
sse_init(struct sse *s, const struct http *http)
{
    *s = (struct sse){.port = http->port, .ep = epoll_create1(EPOLL_CLOEXEC)};
    snprintf(s->key, sizeof s->key, "%s", http->key);
    if (s->ep < 0)
        BUG("no epoll: %s", strerror(errno));
}

static void
hang_up(struct sse_client *c, enum sse_state state)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = state;
}

void
sse_fini(struct sse *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct sse_client *c = s->clients[i];

        hang_up(c, SSE_IDLE);
        buf_fini(&c->path);
        buf_fini(&c->head);
        buf_fini(&c->raw);
        buf_fini(&c->text);
        buf_fini(&c->kinds);
        free(c->events);
        free(c);
    }
    free(s->clients);
    close(s->ep);
}

struct sse_client *
sse_add(struct sse *s, const char *run, const char *what, const char *query)
{
    struct sse_client *c = xcalloc(1, sizeof *c);

    c->all = s;
    c->fd = -1;
    snprintf(c->run, sizeof c->run, "%s", run);
    buf_printf(&c->path, "/runs/%s/%s%s", run, what, query);
    s->clients = xrealloc(s->clients, (s->n + 1) * sizeof(struct sse_client *));
    s->clients[s->n++] = c;
    return c;
}

/* --- connecting ------------------------------------------------------------------------------ */

/* Refused while a server restarts: tried again. */
static void
lost(struct sse_client *c)
{
    hang_up(c, SSE_DONE);
    if (c->resume && !c->terminal)
        c->again_ms = clock_mono_ms() + AGAIN_MS;
}

void
sse_connect(struct sse_client *c, int64_t last_event_id)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)c->all->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    AUTO_BUF request = {0};

    c->connects++;
    c->again_ms = 0;
    c->status = 0;
    c->in_body = c->chunked = c->ended_well = false;
    buf_reset(&c->head);
    buf_reset(&c->raw);
    buf_reset(&c->text);
    buf_printf(&request, "GET %s HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\n",
               buf_cstr(&c->path), c->all->key);
    if (last_event_id)
        buf_printf(&request, "Last-Event-ID: %lld\r\n", (long long)last_event_id);
    buf_lit(&request, "Accept: text/event-stream\r\n\r\n");
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd >= 0 && c->receive_buffer)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &c->receive_buffer, sizeof c->receive_buffer);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 ||
        send(c->fd, request.p, request.len, MSG_NOSIGNAL) != (ssize_t)request.len) {
        lost(c);
        return;
    }
    c->state = SSE_OPEN;
    if (!c->pause && epoll_ctl(c->all->ep, EPOLL_CTL_ADD, c->fd, &e) < 0)
        BUG("epoll: %s", strerror(errno));
}

void
sse_disconnect(struct sse_client *c)
{
    hang_up(c, SSE_IDLE);
}

void
sse_pause(struct sse_client *c, bool pause)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

    if (c->pause == pause)
        return;
    c->pause = pause;
    if (c->fd >= 0 && epoll_ctl(c->all->ep, pause ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, c->fd, &e) < 0)
        BUG("epoll: %s", strerror(errno));
}

/* --- frames ---------------------------------------------------------------------------------- */

static const char *
field(const char *frame, const char *end, const char *name, size_t *n)
{
    size_t len = strlen(name);

    for (const char *p = frame; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));

        eol = eol ? eol : end;
        if ((size_t)(eol - p) >= len && memcmp(p, name, len) == 0) {
            *n = (size_t)(eol - p) - len;
            return p + len;
        }
        p = eol + 1;
    }
    return NULL;
}

static bool
is(const char *p, size_t n, const char *text)
{
    return p && n == strlen(text) && memcmp(p, text, n) == 0;
}

static bool
holds(const char *p, size_t n, const char *text)
{
    return p && memmem(p, n, text, strlen(text));
}

static void
see_event(struct sse_client *c, const char *id, const char *data, size_t n)
{
    static const char *const ends[] = {"\"type\":\"run.completed\"", "\"type\":\"run.failed\"",
                                       "\"type\":\"run.cancelled\""};
    int64_t seq = id ? strtoll(id, NULL, 10) : 0;
    size_t look = n < 400 ? n : 400; /* the type comes early */
    char wanted[64];
    bool end = false;

    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        end = end || holds(data, look, ends[i]);
    snprintf(wanted, sizeof wanted, "\"seq\":%lld,", (long long)seq);
    if (seq <= c->last_seq || !holds(data, look, wanted) || data[n - 1] != '}')
        c->disorder = true;
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->events = xrealloc(c->events, c->cap * sizeof *c->events);
    }
    c->events[c->n++] = (struct sse_event){seq, clock_wall_ms()};
    c->last_seq = seq;
    c->terminal = c->terminal || end;
    buf_char(&c->kinds, end ? 'E' : 'e');
}

static void
see_frame(struct sse_client *c, const char *frame, const char *end)
{
    size_t name_n = 0, id_n = 0, data_n = 0;
    const char *name = field(frame, end, "event: ", &name_n);
    const char *id = field(frame, end, "id: ", &id_n);
    const char *data = field(frame, end, "data: ", &data_n);
    const char *latest;

    if (is(name, name_n, "canonical_event") && data && data_n) {
        see_event(c, id, data, data_n);
        return;
    }
    c->id_elsewhere = c->id_elsewhere || id;
    if (is(name, name_n, "snapshot") && data) {
        latest = memmem(data, data_n, "\"latestSeq\":", 12);
        c->snapshot_seq = latest ? strtoll(latest + 12, NULL, 10) : 0;
        buf_char(&c->kinds, 's');
    } else if (is(name, name_n, "heartbeat") && holds(data, data_n, "{\"ts\":\"")) {
        buf_char(&c->kinds, 'h');
    } else {
        c->disorder = true;
        buf_char(&c->kinds, '?');
    }
}

static void
read_frames(struct sse_client *c)
{
    const char *p = buf_cstr(&c->text), *end = p + c->text.len, *blank;

    while (p < end) {
        if (*p == '\n') {
            p++;
            continue;
        }
        blank = memmem(p, (size_t)(end - p), "\n\n", 2);
        if (!blank)
            break;
        see_frame(c, p, blank);
        p = blank + 2;
    }
    c->text.len = (size_t)(end - p);
    if (c->text.p)
        memmove(c->text.p, p, c->text.len + 1);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void
drop(struct buf *b, size_t n)
{
    b->len -= n;
    memmove(b->p, b->p + n, b->len + 1);
}

/* Whole chunks from raw to text. */
static void
read_chunks(struct sse_client *c)
{
    const char *p = buf_cstr(&c->raw), *end = p + c->raw.len;

    for (;;) {
        char *after;
        const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
        size_t n;

        if (!eol)
            break;
        n = strtoul(p, &after, 16);
        if (n == 0) {
            c->ended_well = true;
            break;
        }
        if ((size_t)(end - eol) < n + 4)
            break;
        buf_add(&c->text, eol + 2, n);
        p = eol + 4 + n;
    }
    if (c->raw.len)
        drop(&c->raw, (size_t)(p - c->raw.p));
}

/* A body with a length ends with it, or without one with the connection. */
static void
read_plain(struct sse_client *c)
{
    size_t n = c->raw.len < c->left ? c->raw.len : c->left;

    buf_add(&c->text, buf_cstr(&c->raw), n);
    buf_reset(&c->raw);
    c->left -= n;
    c->ended_well = c->left == 0;
}

static void
read_head(struct sse_client *c)
{
    static const char length[] = "\r\nContent-Length: ";
    const char *text = buf_cstr(&c->raw), *blank = strstr(text, "\r\n\r\n"), *given;

    if (!blank)
        return;
    buf_add(&c->head, text, (size_t)(blank + 2 - text));
    given = strcasestr(c->head.p, length);
    c->left = given ? strtoul(given + strlen(length), NULL, 10) : SIZE_MAX;
    c->status = (int)strtol(text + 9, NULL, 10);
    c->chunked = strcasestr(c->head.p, "Transfer-Encoding: chunked") != NULL;
    c->in_body = true;
    drop(&c->raw, (size_t)(blank + 4 - text));
}

static void
take(struct sse_client *c)
{
    ssize_t n = recv(c->fd, buf_reserve(&c->raw, READ_BYTES), READ_BYTES, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        c->raw.len += (size_t)n;
        c->raw.p[c->raw.len] = '\0';
        c->bytes += (size_t)n;
    }
    if (!c->in_body)
        read_head(c);
    if (c->in_body && c->status == 200) {
        if (c->chunked)
            read_chunks(c);
        else
            read_plain(c);
        read_frames(c);
    }
    if (n <= 0 || c->ended_well || (c->in_body && c->status != 200))
        lost(c);
}

void
sse_turn(struct sse *s, int timeout_ms)
{
    struct epoll_event events[TURN_EVENTS];
    int64_t now;
    int n = epoll_wait(s->ep, events, TURN_EVENTS, timeout_ms);

    for (int i = 0; i < n; i++)
        take(events[i].data.ptr);
    now = clock_mono_ms();
    for (size_t i = 0; i < s->n; i++)
        if (s->clients[i]->again_ms && s->clients[i]->again_ms <= now)
            sse_connect(s->clients[i], s->clients[i]->last_seq);
}

bool
sse_until(struct sse *s, bool (*condition)(struct sse *s, void *ctx), void *ctx, int timeout_ms)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;

    while (!condition(s, ctx)) {
        if (clock_mono_ms() >= deadline)
            return false;
        sse_turn(s, 10);
    }
    return true;
}

size_t
sse_ended(const struct sse *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->clients[i]->terminal;
    return n;
}
