/* Alive and ready: what loops and answers say, on the page and to the supervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observerd/page.h"
#include "observerd/supervisor.h"
#include "shared/clock.h"
#include "tests/support/exposition.h"
#include "tests/support/http.h"
#include "tests/support/notify_socket.h"
#include "tests/support/process.h"

enum { STUCK_MS = 60000 };

static void
make_ready(struct status *s)
{
    s->stored_until_ms = clock_mono_ms() + 60000;
    s->answered_ms = clock_mono_ms();
}

static void
ready_needs_postgres_the_runtime_and_all_loops(void **state)
{
    struct status s;

    (void)state;
    status_init(&s, 2, STUCK_MS);
    assert_true(status_is_alive(&s));
    assert_false(status_is_ready(&s));
    make_ready(&s);
    assert_true(status_is_ready(&s));
    s.answered_ms = clock_mono_ms() - 16000;
    assert_false(status_is_ready(&s));
    make_ready(&s);
    s.stored_until_ms = clock_mono_ms();
    assert_false(status_is_ready(&s));
    make_ready(&s);
    for (size_t i = 0; i < s.n; i++) {
        s.turned_ms[i] = clock_mono_ms() - STUCK_MS - 1;
        assert_false(status_is_alive(&s));
        assert_false(status_is_ready(&s));
        status_turn(&s.turned_ms[i]);
        assert_true(status_is_alive(&s));
    }
    s.draining = true;
    assert_false(status_is_ready(&s));
    s.turned_ms[STATUS_WATCH] = 0; /* loops end while we leave */
    assert_true(status_is_alive(&s));
    status_fini(&s);
}

/* --- the page -------------------------------------------------------------------------------- */

static int
ask(int port, const char *method, const char *path, struct http_reply *reply)
{
    struct http client;
    struct err err = {0};

    http_init(&client, port, "", 5000);
    http_reply_fini(reply);
    *reply = (struct http_reply){0};
    if (!http_send(&client, &(struct http_request){.method = method, .path = path}, reply, &err))
        fail_msg("%s", err.msg);
    return reply->status;
}

static void
page_answers_metrics_and_probes(void **state)
{
    AUTO_HTTP_REPLY reply = {0};
    struct page *page, *second;
    char why[300], taken[40];
    struct err err = {0};
    struct status s;

    (void)state;
    status_init(&s, 1, STUCK_MS);
    s.instance_id = "0f06ccae-bd8f-48c8-aa95-11744c274815";
    if (!page_start("127.0.0.1:0", &s, &page, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(ask(page_port(page), "GET", "/metrics", &reply), 200);
    if (!exposition_check(buf_cstr(&reply.body), why, sizeof why))
        fail_msg("%s", why);
    assert_true(exposition_value(buf_cstr(&reply.body), "process_resident_memory_bytes") > 0);
    assert_non_null(strstr(buf_cstr(&reply.headers), "text/plain; version=0.0.4"));
    assert_int_equal(ask(page_port(page), "GET", "/healthz", &reply), 200);
    assert_true(json_is_true(json_object_get(reply.json, "ok")));
    assert_int_equal(ask(page_port(page), "GET", "/readyz", &reply), 503);
    assert_string_equal(json_string_value(json_object_get(reply.json, "database")), "unhealthy");
    make_ready(&s);
    assert_int_equal(ask(page_port(page), "GET", "/readyz?verbose=1", &reply), 200);
    assert_string_equal(json_string_value(json_object_get(reply.json, "instance")), s.instance_id);
    s.turned_ms[STATUS_SHARDS] = 0;
    assert_int_equal(ask(page_port(page), "GET", "/healthz", &reply), 503);
    assert_string_equal(json_string_value(json_object_get(reply.json, "stuck")), "shard 0");
    assert_int_equal(ask(page_port(page), "GET", "/", &reply), 404);
    assert_int_equal(ask(page_port(page), "POST", "/metrics", &reply), 405);
    assert_int_equal(ask(page_port(page), "HEAD", "/metrics", &reply), 200);
    snprintf(taken, sizeof taken, "127.0.0.1:%d", page_port(page));
    assert_false(page_start(taken, &s, &second, &err));
    assert_false(page_start("no.such.host.invalid:1", &s, &second, &err));
    page_stop(page);
    status_fini(&s);
}

/* --- the supervisor -------------------------------------------------------------------------- */

struct told {
    struct supervisor *supervisor;
    struct notify_socket *socket;
    const char *wanted;
    int nth;
};

static bool
tells(void *ctx)
{
    struct told *t = ctx;

    supervisor_tell(t->supervisor, "3 runs");
    return notify_socket_heard(t->socket, t->wanted, t->nth) != NULL;
}

static void
supervisor_hears_of_a_stuck_loop_by_silence(void **state)
{
    char dir[] = "/tmp/macp-notify.XXXXXX", pid[16];
    struct notify_socket socket;
    struct supervisor told;
    struct err err = {0};
    struct status s;
    int beats = 0;

    (void)state;
    assert_non_null(mkdtemp(dir));
    if (!notify_socket_open(&socket, dir, &err))
        fail_msg("%s", err.msg);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("NOTIFY_SOCKET", socket.path, 1);
    setenv("WATCHDOG_USEC", "400000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(supervisor_stuck_ms(), 200);
    status_init(&s, 1, STUCK_MS);
    supervisor_init(&told, &s);
    supervisor_tell(&told, "3 runs");
    assert_null(notify_socket_heard(&socket, "READY=1", 1));
    make_ready(&s);
    assert_true(process_poll(tells, &(struct told){&told, &socket, "READY=1", 1}, 5000));
    assert_true(process_poll(tells, &(struct told){&told, &socket, "WATCHDOG=1", 3}, 5000));
    assert_true(strncmp(notify_socket_heard(&socket, "STATUS=", 1), "STATUS=3 runs\n", 14) == 0);
    while (notify_socket_heard(&socket, "WATCHDOG=1", beats + 1))
        beats++;
    s.turned_ms[STATUS_SHARDS] = 0;
    assert_false(process_poll(tells, &(struct told){&told, &socket, "WATCHDOG=1", beats + 1}, 500));
    status_turn(&s.turned_ms[STATUS_SHARDS]);
    assert_true(process_poll(tells, &(struct told){&told, &socket, "WATCHDOG=1", beats + 1}, 5000));
    assert_null(notify_socket_heard(&socket, "READY=1", 2));
    supervisor_reloading();
    supervisor_reloaded(&told);
    supervisor_stopping(1000);
    assert_non_null(notify_socket_heard(&socket, "RELOADING=1", 1));
    assert_non_null(notify_socket_heard(&socket, "READY=1", 2));
    assert_non_null(notify_socket_heard(&socket, "STOPPING=1", 1));
    assert_non_null(notify_socket_heard(&socket, "EXTEND_TIMEOUT_USEC=6000000", 1));
    notify_socket_close(&socket);
    rmdir(dir);
    status_fini(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_needs_postgres_the_runtime_and_all_loops),
        cmocka_unit_test(page_answers_metrics_and_probes),
        cmocka_unit_test(supervisor_hears_of_a_stuck_loop_by_silence),
    };

    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
