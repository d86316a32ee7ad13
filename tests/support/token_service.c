#include "tests/support/token_service.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/buf.h"
#include "shared/clock.h"
#include "tests/support/process.h"
#include "tests/support/runtime_ctl.h"

enum { CONTROL_MS = 10000, PATIENCE_MS = 10000 };

struct token_service {
    char control[160];
    int listener, stop, port;
    pthread_t thread;
    struct runtime_ctl runtime; /* the thread's */
    pthread_mutex_t mu;         /* all below */
    enum token_service_mode mode;
    int ttl_s, asked;
    char token[TOKEN_SERVICE_LEN], body[TOKEN_SERVICE_LEN];
};

/* --- the thread ------------------------------------------------------------------------------ */

/* Readable, or the client is gone; false when the time is up or the service stops. */
static bool
wait_for(struct token_service *s, int fd, int ms)
{
    struct pollfd fds[] = {{s->stop, POLLIN, 0}, {fd, POLLIN, 0}};

    return poll(fds, 2, ms) > 0 && !fds[0].revents;
}

static bool
read_request(struct token_service *s, int fd, struct buf *in)
{
    while (wait_for(s, fd, PATIENCE_MS)) {
        ssize_t n = recv(fd, buf_reserve(in, 4096), 4096, 0);
        const char *end, *length;

        if (n <= 0)
            return false;
        in->len += (size_t)n;
        in->p[in->len] = '\0';
        end = strstr(in->p, "\r\n\r\n");
        length = strcasestr(in->p, "\r\nContent-Length: ");
        if (end && length && strlen(end + 4) >= strtoul(length + 18, NULL, 10))
            return true;
    }
    return false;
}

/* Looks like a JWT, and is none: the runtime believes what it was told to. */
static void
make_token(struct token_service *s, char out[TOKEN_SERVICE_LEN])
{
    AUTO_BUF claims = {0}, coded = {0};

    buf_printf(&claims, "{\"sub\":\"macp-control-plane\",\"exp\":%lld}",
               (long long)(clock_wall_ms() / 1000 + s->ttl_s));
    buf_base64(&coded, claims.p, claims.len);
    snprintf(out, TOKEN_SERVICE_LEN, "eyJhbGciOiJub25lIn0.%.*s." TOKEN_SERVICE_MARK "-%d",
             (int)strcspn(coded.p, "="), coded.p, s->asked);
}

static void
grant(struct token_service *s, const char *token)
{
    struct err err = {0};
    json_t *answer;

    if (s->runtime.fd < 0 && !runtime_ctl_open(&s->runtime, s->control, &err))
        BUG("token service: %s", err.msg);
    answer = runtime_ctl_call(&s->runtime,
                              json_pack("{s:s, s:s, s:s, s:b, s:b}", "cmd", "grant", "token", token,
                                        "sender", "macp-control-plane", "can_start_sessions", 0,
                                        "is_observer", 1),
                              process_slow(CONTROL_MS), &err);
    if (!answer)
        BUG("token service: %s", err.msg);
    json_decref(answer);
}

static void
answer(int fd, const char *status, const char *body)
{
    AUTO_BUF out = {0};

    buf_printf(&out,
               "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
               "Connection: close\r\n\r\n%s",
               status, strlen(body), body);
    if (send(fd, out.p, out.len, MSG_NOSIGNAL) < 0)
        return; /* the client has left */
}

static void
serve(struct token_service *s, int fd)
{
    AUTO_BUF in = {0}, body = {0};
    enum token_service_mode mode;
    char token[TOKEN_SERVICE_LEN], probe;

    if (!read_request(s, fd, &in))
        return;
    pthread_mutex_lock(&s->mu);
    s->asked++;
    snprintf(s->body, sizeof(s->body), "%s", strstr(in.p, "\r\n\r\n") + 4);
    mode = s->mode;
    make_token(s, token);
    buf_printf(&body,
               "{\"token\":\"%s\",\"sender\":\"macp-control-plane\","
               "\"expires_in_seconds\":%d}",
               token, s->ttl_s);
    pthread_mutex_unlock(&s->mu);
    if (mode == TOKENS_HANG)
        while (wait_for(s, fd, PATIENCE_MS) && recv(fd, &probe, 1, 0) > 0)
            ;
    if (mode == TOKENS_SLOWLY &&
        poll(&(struct pollfd){s->stop, POLLIN, 0}, 1, TOKEN_SERVICE_SLOW_MS) > 0)
        return;
    if (mode == TOKENS_HANG || mode == TOKENS_HANG_UP)
        return;
    if (mode == TOKENS_WELL || mode == TOKENS_SLOWLY)
        grant(s, token);
    pthread_mutex_lock(&s->mu);
    snprintf(s->token, sizeof(s->token), "%s", token);
    pthread_mutex_unlock(&s->mu);
    if (strncmp(in.p, "POST /tokens ", 13) != 0)
        answer(fd, "404 Not Found", "{}");
    else if (mode == TOKENS_FAIL)
        answer(fd, "503 Service Unavailable", body.p);
    else
        answer(fd, "200 OK", mode == TOKENS_GARBAGE ? body.p + 1 : body.p);
}

static void *
service_main(void *arg)
{
    struct token_service *s = arg;

    while (wait_for(s, s->listener, -1)) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            continue;
        serve(s, fd);
        close(fd);
    }
    return NULL;
}

/* --- the test's side ---------------------------------------------------------------------------
 */

bool
token_service_start(const char *control, struct token_service **out, struct err *err)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct token_service *s = xcalloc(1, sizeof(*s));
    socklen_t len = sizeof(addr);

    snprintf(s->control, sizeof(s->control), "%s", control);
    s->runtime.fd = -1;
    s->ttl_s = 3600;
    pthread_mutex_init(&s->mu, NULL);
    s->stop = eventfd(0, EFD_CLOEXEC);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->stop < 0 || s->listener < 0 || bind(s->listener, (struct sockaddr *)&addr, len) != 0 ||
        listen(s->listener, 16) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&addr, &len) != 0 ||
        pthread_create(&s->thread, NULL, service_main, s) != 0) {
        free(s);
        return err_set(err, ERR_IO, "cannot start a token service");
    }
    s->port = ntohs(addr.sin_port);
    *out = s;
    return true;
}

void
token_service_stop(struct token_service *s)
{
    if (!s)
        return;
    if (eventfd_write(s->stop, 1) != 0)
        BUG("cannot stop the token service");
    pthread_join(s->thread, NULL);
    runtime_ctl_close(&s->runtime);
    close(s->listener);
    close(s->stop);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

int
token_service_port(const struct token_service *s)
{
    return s->port;
}

void
token_service_set(struct token_service *s, enum token_service_mode mode, int ttl_s)
{
    pthread_mutex_lock(&s->mu);
    s->mode = mode;
    s->ttl_s = ttl_s;
    pthread_mutex_unlock(&s->mu);
}

int
token_service_asked(struct token_service *s)
{
    int n;

    pthread_mutex_lock(&s->mu);
    n = s->asked;
    pthread_mutex_unlock(&s->mu);
    return n;
}

void
token_service_last(struct token_service *s, char token[TOKEN_SERVICE_LEN],
                   char body[TOKEN_SERVICE_LEN])
{
    pthread_mutex_lock(&s->mu);
    snprintf(token, TOKEN_SERVICE_LEN, "%s", s->token);
    snprintf(body, TOKEN_SERVICE_LEN, "%s", s->body);
    pthread_mutex_unlock(&s->mu);
}
