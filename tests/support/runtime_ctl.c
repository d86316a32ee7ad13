#include "tests/support/runtime_ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/clock.h"

bool
runtime_ctl_open(struct runtime_ctl *c, const char *path, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    *c = (struct runtime_ctl){.fd = -1};
    if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >= (int)sizeof(addr.sun_path))
        return err_set(err, ERR_IO, "socket path %s is too long", path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd >= 0 && connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return true;
    err_set(err, ERR_IO, "connect to %s: %s", path, strerror(errno));
    runtime_ctl_close(c);
    return false;
}

void
runtime_ctl_close(struct runtime_ctl *c)
{
    if (c->fd > 0) /* a zeroed one was never opened */
        close(c->fd);
    c->fd = -1;
    buf_fini(&c->in);
}

static bool
send_line(struct runtime_ctl *c, const char *text, struct err *err)
{
    size_t len = strlen(text);

    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(c->fd, text + sent, len - sent, MSG_NOSIGNAL);

        if (n < 0)
            return err_set(err, ERR_IO, "control socket: %s", strerror(errno));
        sent += (size_t)n;
    }
    return true;
}

/* Fill c->in until it holds a line; *len is its length without the newline. */
static bool
read_line(struct runtime_ctl *c, int timeout_ms, size_t *len, struct err *err)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;

    for (;;) {
        const char *nl = c->in.len ? memchr(c->in.p, '\n', c->in.len) : NULL;
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        int64_t left = deadline - clock_mono_ms();

        if (nl) {
            *len = (size_t)(nl - c->in.p);
            return true;
        }
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return err_set(err, ERR_IO, "control socket: no answer in %d ms", timeout_ms);

        ssize_t n = recv(c->fd, buf_reserve(&c->in, 65536), 65536, 0);

        if (n <= 0)
            return err_set(err, ERR_IO, "control socket: the runtime hung up");
        c->in.len += (size_t)n;
        c->in.p[c->in.len] = '\0';
    }
}

static void
drop_line(struct runtime_ctl *c, size_t len)
{
    c->in.len -= len + 1;
    memmove(c->in.p, c->in.p + len + 1, c->in.len + 1);
}

json_t *
runtime_ctl_call(struct runtime_ctl *c, json_t *command, int timeout_ms, struct err *err)
{
    AUTO_BUF line = {0};
    char *text = json_dumps(command, JSON_COMPACT);
    size_t len = 0;
    bool ok;

    json_decref(command);
    buf_printf(&line, "%s\n", text);
    free(text);
    ok = send_line(c, line.p, err) && read_line(c, timeout_ms, &len, err);
    if (!ok)
        return NULL;

    json_t *answer = json_loadb(c->in.p, len, 0, NULL);

    drop_line(c, len);
    if (json_is_true(json_object_get(answer, "ok")))
        return answer;
    err_set(err, ERR_IO, "the runtime refused %.100s: %s", line.p,
            answer && json_string_value(json_object_get(answer, "error"))
                ? json_string_value(json_object_get(answer, "error"))
                : "not JSON");
    json_decref(answer);
    return NULL;
}
