#include "tests/support/agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/buf.h"
#include "tests/support/runtime_ctl.h"

enum { CALLS_MAX = 1024, PATH_LEN = 128, CONTROL_MS = 10000 };

struct agent {
    int listener, stop;
    unsigned port;
    char control[160];
    pthread_t thread;

    pthread_mutex_t lock; /* of these */
    pthread_cond_t idle;
    int answering;
    size_t n_calls;
    char calls[CALLS_MAX][PATH_LEN];
    struct buf last;
};

struct exchange {
    struct agent *agent;
    int fd;
};

/* False when the agent stops or the caller has left. */
static bool
wait_for(const struct exchange *x, short events)
{
    struct pollfd fds[] = {{x->fd, events, 0}, {x->agent->stop, POLLIN, 0}};

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return !fds[1].revents && !(fds[0].revents & (POLLHUP | POLLERR));
}

static bool
hear(const struct exchange *x, struct buf *request)
{
    for (;;) {
        const char *head_end = strstr(buf_cstr(request), "\r\n\r\n");
        const char *length = strcasestr(buf_cstr(request), "\r\nContent-Length: ");
        ssize_t n;

        if (head_end && request->len >= (size_t)(head_end + 4 - request->p) +
                                            (length ? strtoul(length + 18, NULL, 10) : 0))
            return true;
        if (!wait_for(x, POLLIN))
            return false;
        n = recv(x->fd, buf_reserve(request, 4096), 4096, 0);
        if (n <= 0)
            return false;
        request->len += (size_t)n;
        request->p[request->len] = '\0';
    }
}

static void
say(const struct exchange *x, const char *text)
{
    ssize_t n = send(x->fd, text, strlen(text), MSG_NOSIGNAL);

    (void)n; /* a caller that has left needs no answer */
}

static void
note(struct agent *a, const struct buf *request, char path[PATH_LEN])
{
    const char *from = strchr(buf_cstr(request), ' ');
    size_t n = from ? strcspn(from + 1, " \r\n") : 0;

    snprintf(path, PATH_LEN, "%.*s", (int)(n < PATH_LEN ? n : PATH_LEN - 1), from ? from + 1 : "");
    pthread_mutex_lock(&a->lock);
    if (a->n_calls < CALLS_MAX)
        memcpy(a->calls[a->n_calls++], path, PATH_LEN);
    buf_reset(&a->last);
    buf_add(&a->last, buf_cstr(request), request->len);
    pthread_mutex_unlock(&a->lock);
}

static void
cancel_session(const struct agent *a, const char *session)
{
    struct runtime_ctl ctl;
    struct err err;
    json_t *answer;

    if (!runtime_ctl_open(&ctl, a->control, &err)) {
        fprintf(stderr, "agent: %s\n", err.msg);
        return;
    }
    answer = runtime_ctl_call(&ctl, json_pack("{s:s, s:s}", "cmd", "cancel", "session", session),
                              CONTROL_MS, &err);
    if (!answer)
        fprintf(stderr, "agent: %s\n", err.msg);
    json_decref(answer);
    runtime_ctl_close(&ctl);
}

static void
answer(const struct exchange *x, const char *path)
{
    static const char agreed[] = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                                 "Content-Length: 11\r\n\r\n{\"ok\":true}";
    static const char obey[] = "/obey/";

    if (strcmp(path, "/ok") == 0) {
        say(x, agreed);
    } else if (strncmp(path, obey, strlen(obey)) == 0) {
        say(x, agreed);
        cancel_session(x->agent, path + strlen(obey));
    } else if (strcmp(path, "/error") == 0) {
        say(x, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/hang") == 0) {
        while (wait_for(x, 0))
            ;
    } else if (strcmp(path, "/redirect") == 0) {
        say(x, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/close") != 0) {
        say(x, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
}

static void *
exchange_main(void *arg)
{
    struct exchange *x = arg;
    struct agent *a = x->agent;
    AUTO_BUF request = {0};
    char path[PATH_LEN];

    if (hear(x, &request)) {
        note(a, &request, path);
        answer(x, path);
    }
    close(x->fd);
    free(x);
    pthread_mutex_lock(&a->lock);
    a->answering--;
    pthread_cond_signal(&a->idle);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void *
agent_main(void *arg)
{
    struct agent *a = arg;
    struct pollfd fds[] = {{a->listener, POLLIN, 0}, {a->stop, POLLIN, 0}};

    for (;;) {
        struct exchange *x;
        pthread_t thread;

        if (poll(fds, 2, -1) < 0 && errno == EINTR)
            continue;
        if (fds[1].revents)
            return NULL;
        x = xcalloc(1, sizeof *x);
        x->agent = a;
        x->fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_mutex_lock(&a->lock);
        a->answering++;
        pthread_mutex_unlock(&a->lock);
        if (x->fd < 0 || pthread_create(&thread, NULL, exchange_main, x) != 0)
            BUG("agent: %s", strerror(errno));
        pthread_detach(thread);
    }
}

bool
agent_start(const char *control, struct agent **out, struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct agent *a = xcalloc(1, sizeof *a);
    socklen_t n = sizeof at;

    snprintf(a->control, sizeof a->control, "%s", control);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->idle, NULL);
    a->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a->stop = eventfd(0, EFD_CLOEXEC);
    if (a->listener < 0 || a->stop < 0 || bind(a->listener, (struct sockaddr *)&at, n) < 0 ||
        listen(a->listener, 512) < 0 || getsockname(a->listener, (struct sockaddr *)&at, &n) < 0) {
        err_set(err, ERR_IO, "agent: %s", strerror(errno));
        free(a);
        return false;
    }
    a->port = ntohs(at.sin_port);
    if (pthread_create(&a->thread, NULL, agent_main, a) != 0)
        BUG("cannot start a thread");
    *out = a;
    return true;
}

void
agent_stop(struct agent *a)
{
    const uint64_t one = 1;

    if (!a)
        return;
    if (write(a->stop, &one, sizeof one) != sizeof one)
        BUG("agent: %s", strerror(errno));
    pthread_join(a->thread, NULL);
    pthread_mutex_lock(&a->lock);
    while (a->answering > 0)
        pthread_cond_wait(&a->idle, &a->lock);
    pthread_mutex_unlock(&a->lock);
    close(a->listener);
    close(a->stop);
    buf_fini(&a->last);
    pthread_cond_destroy(&a->idle);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

const char *
agent_url(const struct agent *a, const char *path, char *out, size_t size)
{
    snprintf(out, size, "http://127.0.0.1:%u%s", a->port, path);
    return out;
}

int
agent_calls(struct agent *a, const char *path)
{
    int n = 0;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n_calls; i++)
        n += strncmp(a->calls[i], path, strlen(path)) == 0;
    pthread_mutex_unlock(&a->lock);
    return n;
}

const char *
agent_last(struct agent *a, char *out, size_t size)
{
    pthread_mutex_lock(&a->lock);
    snprintf(out, size, "%s", buf_cstr(&a->last));
    pthread_mutex_unlock(&a->lock);
    return out;
}
