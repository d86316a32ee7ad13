#include "tests/runtime/control.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/buf.h"
#include "tests/runtime/command.h"
#include "tests/runtime/world.h"

enum { READ_SIZE = 65536, BACKLOG = 16 };

struct connection {
    struct connection *next;
    struct control *control;
    int fd;
    bool done;
    pthread_t thread;
};

struct control {
    struct world *world;
    int fd;
    char *path;
    pthread_t thread;
    pthread_mutex_t lock; /* the list and every done */
    struct connection *list;
    bool stopping;
};

static bool
address_of(const char *path, struct sockaddr_un *out, struct err *err)
{
    size_t n = strlen(path);

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n >= sizeof(out->sun_path))
        return err_set(err, ERR_CONFIG, "control path is too long (%zu characters)", n);
    memcpy(out->sun_path, path, n + 1);
    return true;
}

static bool
write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool
answer_line(struct connection *c, const char *line)
{
    json_t *answer = command_run(c->control->world, line);
    char *text = json_dumps(answer, JSON_COMPACT);
    AUTO_BUF out = {0};

    buf_str(&out, text ? text : "{\"ok\":false}");
    buf_char(&out, '\n');
    free(text);
    json_decref(answer);
    return write_all(c->fd, out.p, out.len);
}

/* Every whole line in the buffer; what is left stays for the next read. */
static bool
answer_lines(struct connection *c, struct buf *in)
{
    char *from = in->p;
    bool alive = true;

    for (char *end = memchr(from, '\n', in->len); alive && end;
         end = memchr(from, '\n', in->len - (size_t)(from - in->p))) {
        *end = '\0';
        if (*from)
            alive = answer_line(c, from);
        from = end + 1;
    }
    in->len -= (size_t)(from - in->p);
    memmove(in->p, from, in->len);
    in->p[in->len] = '\0';
    return alive;
}

static void *
connection_main(void *arg)
{
    struct connection *c = arg;
    AUTO_BUF in = {0};
    ssize_t n;

    do {
        n = recv(c->fd, buf_reserve(&in, READ_SIZE), READ_SIZE - 1, 0);
        if (n > 0) {
            in.len += (size_t)n;
            in.p[in.len] = '\0';
        }
    } while ((n > 0 && answer_lines(c, &in)) || (n < 0 && errno == EINTR));
    pthread_mutex_lock(&c->control->lock);
    c->done = true;
    pthread_mutex_unlock(&c->control->lock);
    return NULL;
}

/* Join connections that are done, or all of them after waking them up. */
static void
reap(struct control *c, bool all)
{
    struct connection **at = &c->list;

    pthread_mutex_lock(&c->lock);
    while (*at) {
        struct connection *one = *at;

        if (!all && !one->done) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        shutdown(one->fd, SHUT_RDWR);
        pthread_mutex_unlock(&c->lock); /* it needs the lock to finish */
        pthread_join(one->thread, NULL);
        close(one->fd);
        free(one);
        pthread_mutex_lock(&c->lock);
        at = &c->list;
    }
    pthread_mutex_unlock(&c->lock);
}

static void *
accept_main(void *arg)
{
    struct control *c = arg;

    for (;;) {
        int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
        struct connection *one;

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return NULL; /* control_stop shut the socket */
        reap(c, false);
        one = xcalloc(1, sizeof(*one));
        one->control = c;
        one->fd = fd;
        pthread_mutex_lock(&c->lock);
        if (pthread_create(&one->thread, NULL, connection_main, one) != 0)
            BUG("cannot start a thread");
        one->next = c->list;
        c->list = one;
        pthread_mutex_unlock(&c->lock);
    }
}

struct control *
control_start(struct world *w, const char *path, struct err *err)
{
    struct sockaddr_un addr;
    struct control *c;
    int fd;

    if (!address_of(path, &addr, err))
        return NULL;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        listen(fd, BACKLOG) != 0) {
        err_set(err, ERR_IO, "cannot listen on %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    c = xcalloc(1, sizeof(*c));
    c->world = w;
    c->fd = fd;
    c->path = xstrdup(path);
    pthread_mutex_init(&c->lock, NULL);
    if (pthread_create(&c->thread, NULL, accept_main, c) != 0)
        BUG("cannot start a thread");
    return c;
}

void
control_stop(struct control *c)
{
    if (!c)
        return;
    shutdown(c->fd, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    reap(c, true);
    close(c->fd);
    unlink(c->path);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c);
}

bool
control_ask(const char *path, const char *line, struct err *err)
{
    struct sockaddr_un addr;
    AUTO_BUF text = {0};
    json_auto_t *answer = NULL;
    int fd;

    if (!address_of(path, &addr, err))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        err_set(err, ERR_IO, "cannot connect to %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    buf_printf(&text, "%s\n", line);
    if (write_all(fd, text.p, text.len)) {
        ssize_t n;

        buf_reset(&text);
        do {
            n = recv(fd, buf_reserve(&text, READ_SIZE), READ_SIZE - 1, 0);
            text.len += n > 0 ? (size_t)n : 0;
        } while (n > 0 && text.p[text.len - 1] != '\n');
        text.p[text.len] = '\0';
    }
    close(fd);
    answer = json_loads(buf_cstr(&text), 0, NULL);
    if (!answer)
        return err_set(err, ERR_IO, "no answer from %s", path);
    fputs(text.p, stdout);
    if (!json_is_true(json_object_get(answer, "ok")))
        return err_set(err, ERR_CONFLICT, "%s",
                       json_string_value(json_object_get(answer, "error")) ? "refused" : "not ok");
    return true;
}
