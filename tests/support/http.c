#include "tests/support/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/clock.h"

void
http_init(struct http *h, int port, const char *key, int timeout_ms)
{
    *h = (struct http){.port = port, .timeout_ms = timeout_ms};
    snprintf(h->key, sizeof(h->key), "%s", key ? key : "");
}

void
http_reply_fini(struct http_reply *r)
{
    buf_fini(&r->headers);
    buf_fini(&r->body);
    json_decref(r->json);
    *r = (struct http_reply){0};
}

static const char *
method_of(const struct http_request *q)
{
    return q->method ? q->method : q->body ? "POST" : "GET";
}

static void
write_request(const struct http *h, const struct http_request *q, struct buf *out)
{
    const char *method = method_of(q);

    buf_printf(out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n", method,
               q->path, h->port);
    if (h->key[0] && !q->without_key)
        buf_printf(out, "Authorization: Bearer %s\r\n", h->key);
    if (q->body)
        buf_printf(out, "Content-Type: %s\r\n",
                   q->content_type ? q->content_type : "application/json");
    if (q->body || strcmp(method, "POST") == 0)
        buf_printf(out, "Content-Length: %zu\r\n", q->body_len);
    if (q->header)
        buf_printf(out, "%s\r\n", q->header);
    buf_lit(out, "\r\n");
    if (q->body)
        buf_add(out, q->body, q->body_len);
}

static int
dial(const struct http *h, struct err *err)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)h->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    err_set(err, ERR_IO, "connect to port %d: %s", h->port, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/*
 * Send and receive at the same time, until the server closes: one that refuses a large body
 * answers before it has read all of it.
 */
static bool
exchange(int fd, const struct buf *request, int timeout_ms, struct buf *answer, struct err *err)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    size_t sent = 0;

    for (;;) {
        bool sending = sent < request->len;
        struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (sending ? POLLOUT : 0))};
        int64_t left = deadline - clock_mono_ms();

        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return err_set(err, ERR_IO, "no answer within %d ms", timeout_ms);
        if (p.revents & POLLOUT) {
            ssize_t n =
                send(fd, request->p + sent, request->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

            if (n < 0 && errno != EAGAIN)
                sent = request->len; /* what was answered so far still counts */
            else if (n > 0)
                sent += (size_t)n;
        }
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(fd, buf_reserve(answer, 65536), 65536, MSG_DONTWAIT);

            if (n > 0) {
                answer->len += (size_t)n;
                answer->p[answer->len] = '\0';
            } else if (n == 0 || (errno != EAGAIN && answer->len > 0)) {
                return true;
            } else if (errno != EAGAIN) {
                return err_set(err, ERR_IO, "connection lost: %s", strerror(errno));
            }
        }
    }
}

static bool
unchunk(const char *p, const char *end, struct buf *out)
{
    for (;;) {
        char *after;
        unsigned long n = strtoul(p, &after, 16);
        const char *line_end = strstr(after, "\r\n");

        if (after == p || !line_end || (size_t)(end - line_end) < n + 2)
            return false;
        if (n == 0)
            return true;
        buf_add(out, line_end + 2, n);
        p = line_end + 2 + n + 2;
    }
}

static bool
read_answer(const struct buf *answer, struct http_reply *out, struct err *err)
{
    const char *text = buf_cstr(answer);
    const char *blank = strstr(text, "\r\n\r\n");
    char value[64];

    if (!blank || strncmp(text, "HTTP/1.", 7) != 0 || answer->len < 12)
        return err_set(err, ERR_IO, "the answer is no HTTP (%zu bytes)", answer->len);
    out->status = (int)strtol(text + 9, NULL, 10);
    buf_add(&out->headers, text, (size_t)(blank + 2 - text));

    const char *body = blank + 4;
    size_t n = answer->len - (size_t)(body - text);

    if (strcasecmp(http_header(out, "Transfer-Encoding", value, sizeof(value)), "chunked") == 0) {
        if (!unchunk(body, text + answer->len, &out->body))
            return err_set(err, ERR_IO, "the answer's chunks are cut short");
    } else {
        buf_add(&out->body, body, n);
    }
    if (out->body.len > 0)
        out->json = json_loadb(out->body.p, out->body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return true;
}

bool
http_send(struct http *h, const struct http_request *q, struct http_reply *out, struct err *err)
{
    AUTO_BUF request = {0};
    AUTO_BUF answer = {0};
    int64_t started;
    int fd;

    http_reply_fini(out); /* the last answer may be large: not in this one's time */
    write_request(h, q, &request);
    started = clock_mono_us();
    fd = dial(h, err);
    if (fd < 0)
        return false;

    bool ok = exchange(fd, &request, h->timeout_ms, &answer, err);

    close(fd);
    out->elapsed_us = clock_mono_us() - started;
    return ok && read_answer(&answer, out, err);
}

bool
http_get(struct http *h, struct http_reply *out, struct err *err, const char *path_fmt, ...)
{
    char path[1024];
    va_list ap;

    va_start(ap, path_fmt);
    vsnprintf(path, sizeof(path), path_fmt, ap);
    va_end(ap);
    return http_send(h, &(struct http_request){.path = path}, out, err);
}

bool
http_post(struct http *h, const char *path, const json_t *body, struct http_reply *out,
          struct err *err)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    bool ok = http_send(
        h,
        &(struct http_request){
            .method = "POST", .path = path, .body = text, .body_len = text ? strlen(text) : 0},
        out, err);

    free(text);
    return ok;
}

const char *
http_header(const struct http_reply *r, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);

    out[0] = '\0';
    for (const char *line = buf_cstr(&r->headers); *line;) {
        size_t n = strcspn(line, "\r\n");

        if (n > len && strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *value = line + len + 1 + strspn(line + len + 1, " ");

            snprintf(out, size, "%.*s", (int)(line + n - value), value);
        }
        line += n + strspn(line + n, "\r\n");
    }
    return out;
}
