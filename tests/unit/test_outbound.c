/* Outgoing requests against a server on the loopback that misbehaves on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "observerd/outbound.h"
#include "shared/buf.h"
#include "shared/clock.h"
#include "tests/support/certificate.h"
#include "tests/support/receiver.h"

enum { WAIT_MS = 20000, SOON_MS = 300 };

/* --- names ----------------------------------------------------------------------------------- */

/* Held while the resolver of "stuck.example" shall hang. */
static pthread_mutex_t stuck = PTHREAD_MUTEX_INITIALIZER;

/* In place of the C library's, for libcurl too: our names mean what the tests need. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **out)
{
    static const struct {
        const char *name, *address, *second;
    } names[] = {
        {"rebound.example", "127.0.0.1", NULL},      {"mapped.example", "::ffff:127.0.0.1", NULL},
        {"mixed.example", "127.0.0.1", "127.0.0.2"}, {"listed.example.", "127.0.0.1", NULL},
        {"stuck.example", "127.0.0.1", NULL},
    };
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct addrinfo any = *hints;
    int status;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    any.ai_family = AF_UNSPEC;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(node, names[i].name) != 0)
            continue;
        if (strcmp(node, "stuck.example") == 0) {
            pthread_mutex_lock(&stuck);
            pthread_mutex_unlock(&stuck);
        }
        status = real(names[i].address, service, &any, out);
        if (status == 0 && names[i].second)
            status = real(names[i].second, service, &any, &(*out)->ai_next);
        return status;
    }
    return real(node, service, hints, out);
}

/* --- asking ---------------------------------------------------------------------------------- */

static const char *allowed[] = {"127.0.0.0/8"};
static const struct config loopback_allowed = {.outbound_allow = {1, allowed}};
static const struct config nothing_allowed;

struct asked {
    int n;
    struct outbound_reply reply; /* of the last one */
    char *body, *error;
    int64_t at_ms;
};

static struct receiver server;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void
replied(void *ctx, const struct outbound_reply *reply)
{
    struct asked *a = ctx;

    assert_int_equal(strlen(reply->body), reply->body_len);
    pthread_mutex_lock(&mu);
    free(a->body);
    free(a->error);
    a->reply = *reply;
    a->body = xstrdup(reply->body);
    a->error = xstrdup(reply->error);
    a->at_ms = clock_mono_ms();
    a->n++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mu);
}

static void
asked_fini(struct asked *a)
{
    free(a->body);
    free(a->error);
}

#define AUTO_ASKED CLEANUP(asked_fini) struct asked

static void
wait_for_replies(const struct asked *a, int n)
{
    struct timespec until;
    int status = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&mu);
    while (a->n < n && status == 0)
        status = pthread_cond_timedwait(&changed, &mu, &until);
    pthread_mutex_unlock(&mu);
    assert_int_equal(a->n, n);
}

static struct outbound *
started(const struct config *config)
{
    struct outbound *o;
    struct err err;

    assert_true(outbound_start(config, &o, &err));
    return o;
}

static void
ask(struct outbound *o, const char *host, const char *path, int timeout_ms, struct asked *a)
{
    AUTO_BUF url = {0};

    buf_printf(&url, "http://%s:%d%s", host, server.port, path);
    assert_true(outbound_send(
        o,
        &(struct outbound_request){
            .url = buf_cstr(&url), .body = "{}", .body_len = 2, .timeout_ms = timeout_ms},
        replied, a));
}

/* One request with an outbound of its own. */
static void
ask_once(const struct config *config, const char *host, const char *path, int timeout_ms,
         struct asked *a)
{
    struct outbound *o = started(config);

    ask(o, host, path, timeout_ms, a);
    wait_for_replies(a, 1);
    outbound_stop(o);
    assert_int_equal(a->n, 1);
}

static void
until_waiting(int n)
{
    int64_t until = clock_mono_ms() + WAIT_MS;

    while (atomic_load(&server.hanging) != n && clock_mono_ms() < until)
        sched_yield();
    assert_int_equal(atomic_load(&server.hanging), n);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void
a_request_goes_out_as_it_was_given(void **state UNUSED)
{
    static const char *const headers[] = {"Content-Type: application/json", "X-MACP-Event: e"};
    struct outbound *o = started(&loopback_allowed);
    AUTO_ASKED a = {0};
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d/echo", server.port);
    assert_true(outbound_send(o,
                              &(struct outbound_request){.url = url,
                                                         .headers = headers,
                                                         .n_headers = 2,
                                                         .body = "{\"a\":1} and more",
                                                         .body_len = 7,
                                                         .timeout_ms = WAIT_MS},
                              replied, &a));
    wait_for_replies(&a, 1);
    assert_int_equal(a.reply.status, 201);
    assert_string_equal(a.error, "");
    assert_ptr_equal(strstr(a.body, "POST /echo HTTP/1.1\r\n"), a.body);
    assert_non_null(strstr(a.body, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a.body, "\r\nX-MACP-Event: e\r\n"));
    assert_non_null(strstr(a.body, "\r\nContent-Length: 7\r\n"));
    assert_null(strcasestr(a.body, "\r\nExpect:"));
    assert_null(strcasestr(a.body, "\r\nTransfer-Encoding:"));
    assert_string_equal(strstr(a.body, "\r\n\r\n"), "\r\n\r\n{\"a\":1}");

    assert_true(outbound_send(o, &(struct outbound_request){.url = url, .timeout_ms = WAIT_MS},
                              replied, &a));
    wait_for_replies(&a, 2);
    assert_ptr_equal(strstr(a.body, "GET /echo HTTP/1.1\r\n"), a.body);
    outbound_stop(o);
}

static void
redirects_are_answers(void **state UNUSED)
{
    int before = atomic_load(&server.connections);
    AUTO_ASKED a = {0};

    ask_once(&loopback_allowed, "127.0.0.1", "/redirect", WAIT_MS, &a);
    assert_int_equal(a.reply.status, 302);
    assert_int_equal(atomic_load(&server.connections), before + 1);
}

static void
the_wait_that_an_answer_asks_for_is_told(void **state UNUSED)
{
    AUTO_ASKED a = {0};

    ask_once(&loopback_allowed, "127.0.0.1", "/busy", WAIT_MS, &a);
    assert_int_equal(a.reply.status, 503);
    assert_int_equal(a.reply.retry_after_s, 7);
}

static void
one_that_hangs_times_out_and_delays_nobody(void **state UNUSED)
{
    struct outbound *o = started(&loopback_allowed);
    AUTO_ASKED hanging = {0};
    AUTO_ASKED other = {0};

    ask(o, "127.0.0.1", "/hang", 2 * SOON_MS, &hanging);
    ask(o, "127.0.0.1", "/echo", WAIT_MS, &other);
    wait_for_replies(&other, 1);
    wait_for_replies(&hanging, 1);
    assert_true(other.at_ms < hanging.at_ms);
    assert_int_equal(hanging.reply.status, 0);
    assert_true(hanging.reply.timed_out);
    assert_false(hanging.reply.refused);
    assert_string_equal(hanging.error, "no answer in time");
    assert_in_range(hanging.reply.took_ms, 2 * SOON_MS - 1, WAIT_MS);
    outbound_stop(o);
}

static void
an_answer_that_drips_is_cut_at_the_same_time(void **state UNUSED)
{
    AUTO_ASKED a = {0};

    ask_once(&loopback_allowed, "127.0.0.1", "/drip", SOON_MS, &a);
    assert_int_equal(a.reply.status, 0);
    assert_true(a.reply.timed_out);
    assert_int_equal(a.reply.body_len, 0);
}

static void
of_a_huge_answer_the_beginning_is_kept(void **state UNUSED)
{
    AUTO_ASKED a = {0};

    ask_once(&loopback_allowed, "127.0.0.1", "/huge", WAIT_MS, &a);
    assert_int_equal(a.reply.status, 200);
    assert_int_equal(a.reply.body_len, OUTBOUND_REPLY_MAX);
}

static void
answers_that_are_none_are_failures(void **state UNUSED)
{
    static const struct {
        const char *path, *error;
    } cases[] = {
        {"/headers", "its answer is too long"},
        {"/no-http", "it does not speak HTTP"},
        {"/cut", "the connection was closed within the answer"},
        {"/nothing", "the connection was closed without an answer"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_ASKED a = {0};

        ask_once(&loopback_allowed, "127.0.0.1", cases[i].path, WAIT_MS, &a);
        assert_int_equal(a.reply.status, 0);
        assert_string_equal(a.error, cases[i].error);
        assert_false(a.reply.refused || a.reply.timed_out);
    }
}

static void
addresses_outside_the_rule_are_never_connected_to(void **state UNUSED)
{
    static const char *const hosts[] = {
        "127.0.0.1",          "127.1",           "localhost",     "[::ffff:127.0.0.1]",
        "me:secret@10.0.0.1", "169.254.169.254", "metadata",      "10.0.0.1",
        "rebound.example",    "mapped.example",  "mixed.example",
    };
    int before = atomic_load(&server.connections);

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        AUTO_ASKED a = {0};

        ask_once(&nothing_allowed, hosts[i], "/echo?token=secret", WAIT_MS, &a);
        if (!a.reply.refused || a.reply.status != 0 || strstr(a.error, "secret"))
            fail_msg("%s: %d %s", hosts[i], a.reply.status, a.error);
    }
    assert_int_equal(atomic_load(&server.connections), before);
}

static void
other_schemes_are_refused(void **state UNUSED)
{
    static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd",
                                       "gopher://x.example", "127.0.0.1", ""};
    struct outbound *o = started(&loopback_allowed);

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        AUTO_ASKED a = {0};

        assert_true(outbound_send(
            o, &(struct outbound_request){.url = urls[i], .timeout_ms = WAIT_MS}, replied, &a));
        wait_for_replies(&a, 1);
        assert_true(a.reply.refused);
    }
    outbound_stop(o);
}

static void
names_are_reached_where_the_list_lets_them(void **state UNUSED)
{
    static const char *second[] = {"127.0.0.2/32"}, *by_name[] = {"listed.example"};
    AUTO_ASKED a = {0};
    AUTO_ASKED b = {0};

    ask_once(&(struct config){.outbound_allow = {1, second}}, "mixed.example", "/echo", WAIT_MS,
             &a);
    assert_int_equal(a.reply.status, 201);
    ask_once(&(struct config){.outbound_allow = {1, by_name}}, "listed.example.", "/echo", WAIT_MS,
             &b);
    assert_int_equal(b.reply.status, 201);
}

static void
what_the_operator_may_reach_is_not_left_open_for_others(void **state UNUSED)
{
    struct outbound *o = started(&nothing_allowed);
    AUTO_ASKED a = {0};
    char url[64];

    snprintf(url, sizeof url, "http://rebound.example:%d/echo", server.port);
    assert_true(outbound_send(
        o, &(struct outbound_request){.url = url, .timeout_ms = WAIT_MS, .trusted = true}, replied,
        &a));
    wait_for_replies(&a, 1);
    assert_int_equal(a.reply.status, 201);
    ask(o, "rebound.example", "/echo", WAIT_MS, &a);
    wait_for_replies(&a, 2);
    assert_true(a.reply.refused);
    outbound_stop(o);
}

static void
a_resolver_that_hangs_delays_nobody(void **state UNUSED)
{
    struct outbound *o = started(&loopback_allowed);
    AUTO_ASKED hanging = {0};
    AUTO_ASKED other = {0};

    pthread_mutex_lock(&stuck);
    ask(o, "stuck.example", "/echo", SOON_MS, &hanging);
    wait_for_replies(&hanging, 1);
    assert_true(hanging.reply.timed_out);
    ask(o, "rebound.example", "/echo", WAIT_MS, &other);
    wait_for_replies(&other, 1);
    assert_int_equal(other.reply.status, 201);
    outbound_stop(o);
    pthread_mutex_unlock(&stuck);
}

static void
a_closed_port_is_a_failure_that_may_pass(void **state UNUSED)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct outbound *o = started(&loopback_allowed);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof at;
    AUTO_ASKED a = {0};
    char url[64];

    /* Bound and not listening: nobody else gets the port meanwhile. */
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(at.sin_port));
    assert_true(outbound_send(o, &(struct outbound_request){.url = url, .timeout_ms = WAIT_MS},
                              replied, &a));
    wait_for_replies(&a, 1);
    assert_int_equal(a.reply.status, 0);
    assert_false(a.reply.refused);
    assert_string_equal(a.error, "its host cannot be connected to");
    outbound_stop(o);
    close(fd);
}

struct tls_server {
    SSL_CTX *context;
    int listener;
    pthread_t thread;
};

/* One handshake; what comes behind it is not read. */
static void *
tls_main(void *arg)
{
    struct tls_server *s = arg;
    int fd = accept(s->listener, NULL, NULL);
    SSL *tls = SSL_new(s->context);

    SSL_set_fd(tls, fd);
    if (SSL_accept(tls) == 1)
        SSL_shutdown(tls);
    SSL_free(tls);
    close(fd);
    return NULL;
}

static void
a_certificate_that_nobody_vouches_for_is_refused(void **state UNUSED)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct tls_server s = {.context = SSL_CTX_new(TLS_server_method()),
                           .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct outbound *o = started(&loopback_allowed);
    char dir[] = "/tmp/macp-outbound.XXXXXX", path[64], url[64];
    socklen_t len = sizeof at;
    AUTO_ASKED a = {0};
    struct err err;

    assert_non_null(mkdtemp(dir));
    assert_true(certificate_make(dir, "own", NULL, "127.0.0.1", &err));
    snprintf(path, sizeof path, "%s/own.crt", dir);
    assert_int_equal(SSL_CTX_use_certificate_file(s.context, path, SSL_FILETYPE_PEM), 1);
    snprintf(path, sizeof path, "%s/own.key", dir);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(s.context, path, SSL_FILETYPE_PEM), 1);
    certificate_remove(dir);
    assert_int_equal(bind(s.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s.listener, 1), 0);
    assert_int_equal(getsockname(s.listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(pthread_create(&s.thread, NULL, tls_main, &s), 0);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", ntohs(at.sin_port));
    assert_true(outbound_send(o, &(struct outbound_request){.url = url, .timeout_ms = WAIT_MS},
                              replied, &a));
    wait_for_replies(&a, 1);
    assert_int_equal(a.reply.status, 0);
    assert_string_equal(a.error, "its certificate is not trusted");
    pthread_join(s.thread, NULL);
    outbound_stop(o);
    close(s.listener);
    SSL_CTX_free(s.context);
}

static void
stopping_answers_what_is_under_way(void **state UNUSED)
{
    struct outbound *o = started(&loopback_allowed);
    AUTO_ASKED a = {0};

    ask(o, "127.0.0.1", "/hang", WAIT_MS, &a);
    until_waiting(1);
    outbound_stop(o);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.reply.status, 0);
    assert_true(a.reply.stopped);
    until_waiting(0);
}

/* A reply function that blocks, which none may: it keeps the thread from taking requests. */
static void
replied_late(void *ctx, const struct outbound_reply *reply UNUSED)
{
    int *turn = ctx;

    pthread_mutex_lock(&mu);
    *turn = 1;
    pthread_cond_broadcast(&changed);
    while (*turn != 2)
        pthread_cond_wait(&changed, &mu);
    pthread_mutex_unlock(&mu);
}

static void
beyond_its_bound_it_takes_no_more(void **state UNUSED)
{
    const struct outbound_request request = {.url = "ftp://x.example/", .timeout_ms = WAIT_MS};
    struct outbound *o = started(&loopback_allowed);
    AUTO_ASKED a = {0};
    int turn = 0;

    assert_true(outbound_send(o, &request, replied_late, &turn));
    pthread_mutex_lock(&mu);
    while (turn != 1)
        pthread_cond_wait(&changed, &mu);
    pthread_mutex_unlock(&mu);
    for (int i = 0; i < OUTBOUND_MAX; i++)
        assert_true(outbound_send(o, &request, replied, &a));
    assert_false(outbound_send(o, &request, replied, &a));
    pthread_mutex_lock(&mu);
    turn = 2;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mu);
    wait_for_replies(&a, OUTBOUND_MAX);
    assert_true(outbound_send(o, &request, replied, &a));
    outbound_stop(o);
    assert_int_equal(a.n, OUTBOUND_MAX + 1);
}

static int
start_server(void **state UNUSED)
{
    struct err err;

    if (receiver_start(&server, 0, &err))
        return 0;
    print_error("%s\n", err.msg);
    return -1;
}

static int
stop_server(void **state UNUSED)
{
    receiver_stop(&server);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_out_as_it_was_given),
        cmocka_unit_test(redirects_are_answers),
        cmocka_unit_test(the_wait_that_an_answer_asks_for_is_told),
        cmocka_unit_test(one_that_hangs_times_out_and_delays_nobody),
        cmocka_unit_test(an_answer_that_drips_is_cut_at_the_same_time),
        cmocka_unit_test(of_a_huge_answer_the_beginning_is_kept),
        cmocka_unit_test(answers_that_are_none_are_failures),
        cmocka_unit_test(addresses_outside_the_rule_are_never_connected_to),
        cmocka_unit_test(other_schemes_are_refused),
        cmocka_unit_test(names_are_reached_where_the_list_lets_them),
        cmocka_unit_test(what_the_operator_may_reach_is_not_left_open_for_others),
        cmocka_unit_test(a_resolver_that_hangs_delays_nobody),
        cmocka_unit_test(a_closed_port_is_a_failure_that_may_pass),
        cmocka_unit_test(a_certificate_that_nobody_vouches_for_is_refused),
        cmocka_unit_test(stopping_answers_what_is_under_way),
        cmocka_unit_test(beyond_its_bound_it_takes_no_more),
    };

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    /* A proxy of the environment that would break every request. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
