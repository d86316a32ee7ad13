/*
 * Clients that send or read slowly, more of them than macp-fcgi has workers: through the web
 * server and, as a web server that passes everything on at once, on the FastCGI socket itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/fastcgi.h"
#include "tests/support/scene.h"

#define MODE    "macp.mode.decision.v1"
#define UNKNOWN "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11"

enum {
    THREADS = 4,
    PLACES = THREADS / 2, /* of workers that wait for readers */
    CROWD = 3 * THREADS,
    QUICK_MS = 2000,
    ANSWER_MS = 30000,
};

enum way { THROUGH_WEB, ON_SOCKET, WAYS };

struct peer {
    enum way way;
    int fd;
};

static struct world world;
static enum web_kind web;
static struct posted run;
/* Bodies that never end, from the beginning of the program on. */
static struct peer endless[WAYS];

/* --- peers ------------------------------------------------------------------------------------ */

static void
dial(enum way way, struct peer *out)
{
    struct sockaddr_in port = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)world.web_port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    const int small = 4096;

    snprintf(path.sun_path, sizeof path.sun_path, "%.90s/fcgi.sock", world.dir);
    out->way = way;
    out->fd = socket(way == THROUGH_WEB ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(out->fd >= 0);
    setsockopt(out->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(way == THROUGH_WEB ? connect(out->fd, (struct sockaddr *)&port, sizeof port)
                                        : connect(out->fd, (struct sockaddr *)&path, sizeof path),
                     0);
}

static void
say(const struct peer *p, const struct buf *text)
{
    assert_int_equal(send(p->fd, text->p, text->len, MSG_NOSIGNAL), text->len);
}

/* Everything but the body. */
static void
say_head(const struct peer *p, const char *method, const char *path, size_t body_len)
{
    char length[24];
    const struct fastcgi_param params[] = {{"REQUEST_METHOD", method},
                                           {"REQUEST_URI", path},
                                           {"CONTENT_TYPE", "application/json"},
                                           {"CONTENT_LENGTH", length},
                                           {"HTTP_AUTHORIZATION", "Bearer " WORLD_API_KEY},
                                           {0}};
    AUTO_BUF text = {0};

    snprintf(length, sizeof length, "%zu", body_len);
    if (p->way == ON_SOCKET)
        fastcgi_head(&text, params);
    else
        buf_printf(&text,
                   "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: "
                   "application/json\r\nContent-Length: %s\r\nAuthorization: Bearer %s\r\n\r\n",
                   method, path, length, WORLD_API_KEY);
    say(p, &text);
}

static void
say_body(const struct peer *p, const char *body, size_t n, bool last)
{
    AUTO_BUF text = {0};

    if (p->way == THROUGH_WEB)
        buf_add(&text, body, n);
    else
        fastcgi_body(&text, body, n);
    if (p->way == ON_SOCKET && last)
        fastcgi_body_end(&text);
    if (text.len > 0)
        say(p, &text);
}

/* Everything up to the end of the connection, which is closed then. False: it was cut. */
static bool
hear(struct peer *p, struct buf *out)
{
    struct pollfd readable = {.fd = p->fd, .events = POLLIN};
    AUTO_BUF raw = {0};
    ssize_t n = 1;

    while (n > 0) {
        if (poll(&readable, 1, process_slow(ANSWER_MS)) != 1)
            fail_msg("no answer %s", p->way == THROUGH_WEB ? "through the web server" : "");
        n = recv(p->fd, buf_reserve(&raw, 65536), 65536, 0);
        if (n > 0)
            raw.len += (size_t)n;
    }
    close(p->fd);
    p->fd = -1;
    if (p->way == ON_SOCKET)
        return fastcgi_output(&raw, out);
    buf_add(out, raw.p, raw.len);
    return n == 0;
}

static void
expect_answer(struct peer *p, int status, const char *says)
{
    AUTO_BUF text = {0};
    char begin[32];

    assert_true(hear(p, &text));
    snprintf(begin, sizeof begin, p->way == ON_SOCKET ? "Status: %d\r\n" : "HTTP/1.1 %d ", status);
    if (strncmp(buf_cstr(&text), begin, strlen(begin)) != 0 || !strstr(buf_cstr(&text), says))
        fail_msg("not %d %s: %s", status, says, buf_cstr(&text));
}

/* A little of the bodies that never end, as long as somebody takes it. */
static void
trickle(void)
{
    for (int i = 0; i < WAYS; i++) {
        struct pollfd answered = {.fd = endless[i].fd, .events = POLLIN};

        if (endless[i].fd >= 0 && poll(&answered, 1, 0) == 0)
            say_body(&endless[i], " ", 1, false);
    }
}

/* --- the others meanwhile --------------------------------------------------------------------- */

static void
expect_quick_answers(void)
{
    enum { ASKED = 40 };

    for (int i = 0; i < ASKED; i++) {
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};

        expect_ok(http_get(&world.http, &r, &err, "/runs/%s", run.run), &err, "GET");
        assert_int_equal(r.status, 200);
        assert_true(r.elapsed_us < (int64_t)process_slow(QUICK_MS) * 1000);
        trickle();
    }
}

/* An unknown run is looked for for a second, when the share has a place for that. */
static bool
has_free_places(void *ctx)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    (void)ctx;
    trickle();
    expect_ok(http_get(&world.http, &r, &err, "/runs/" UNKNOWN), &err, "GET");
    assert_int_equal(r.status, 404);
    return r.elapsed_us >= 900000;
}

/* --- uploads ---------------------------------------------------------------------------------- */

static void
check_slow_uploads(enum way way)
{
    struct peer crowd[CROWD];
    json_t *d = world_descriptor(MODE, NULL);
    char *body = json_dumps(d, 0);
    size_t half = strlen(body) / 2;

    for (int i = 0; i < CROWD; i++) {
        dial(way, &crowd[i]);
        say_head(&crowd[i], "POST", "/runs", strlen(body));
        say_body(&crowd[i], body, half, false);
    }
    expect_quick_answers();
    for (int i = 0; i < CROWD; i++)
        say_body(&crowd[i], body + half, strlen(body) - half, true);
    for (int i = 0; i < CROWD; i++)
        expect_answer(&crowd[i], 201, "\"runId\"");
    free(body);
    json_decref(d);
}

static void
slow_uploads_through_the_web_server_hold_up_nobody(void **state)
{
    (void)state;
    check_slow_uploads(THROUGH_WEB);
}

static void
slow_uploads_on_the_socket_hold_up_nobody(void **state)
{
    (void)state;
    check_slow_uploads(ON_SOCKET);
}

static void
uploads_that_are_given_up_leave_nothing(void **state)
{
    struct peer crowd[CROWD];

    (void)state;
    for (int i = 0; i < CROWD; i++) {
        dial(i % 2 ? THROUGH_WEB : ON_SOCKET, &crowd[i]);
        say_head(&crowd[i], "POST", "/runs", 100);
        say_body(&crowd[i], "{", 1, false);
    }
    for (int i = 0; i < CROWD; i++)
        close(crowd[i].fd);
    expect_quick_answers();
}

/* --- readers ---------------------------------------------------------------------------------- */

static void
check_slow_readers(enum way way)
{
    struct peer crowd[CROWD];
    char path[128];
    int cut = 0;

    snprintf(path, sizeof path, "/runs/%s/export/stream", run.run);
    for (int i = 0; i < CROWD; i++) {
        dial(way, &crowd[i]);
        say_head(&crowd[i], "GET", path, 0);
        say_body(&crowd[i], "", 0, true);
    }
    for (int i = 0; i < CROWD; i++) {
        struct pollfd begun = {.fd = crowd[i].fd, .events = POLLIN};

        assert_int_equal(poll(&begun, 1, process_slow(ANSWER_MS)), 1);
        trickle();
    }
    expect_quick_answers();
    if (way == ON_SOCKET) { /* those who hold a place may read on */
        for (int i = 0; i < CROWD; i++) {
            AUTO_BUF text = {0};

            cut += !hear(&crowd[i], &text);
        }
        assert_in_range(cut, CROWD - PLACES, CROWD);
    } else {
        assert_true(process_poll(has_free_places, NULL, process_slow(ANSWER_MS)));
        for (int i = 0; i < CROWD; i++)
            close(crowd[i].fd);
    }
    assert_true(process_poll(has_free_places, NULL, process_slow(ANSWER_MS)));
}

static void
slow_readers_through_the_web_server_hold_up_nobody(void **state)
{
    (void)state;
    check_slow_readers(THROUGH_WEB);
}

static void
slow_readers_on_the_socket_hold_up_nobody(void **state)
{
    (void)state;
    check_slow_readers(ON_SOCKET);
}

static void
whoever_reads_gets_the_whole_export_afterwards(void **state)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    char last[32];

    (void)state;
    expect_ok(http_get(&world.http, &r, &err, "/runs/%s/export/stream", run.run), &err, "export");
    assert_int_equal(r.status, 200);
    assert_true(r.body.len > 0 && r.body.p[r.body.len - 1] == '\n');
    snprintf(
        last, sizeof last, "\"seq\":%ld,",
        expect_sql_int(&world,
                       "select max(e.seq) from macp.run_events_canonical e join macp.runs r using "
                       "(run_key) where r.id = '%s'",
                       run.run));
    assert_non_null(strstr(r.body.p, last));
}

/* --- bodies that never end ---------------------------------------------------------------------
 */

/* lighttpd collects for as long as something comes, which costs a connection and nothing else. */
static void
bodies_that_never_end_are_408(void **state)
{
    struct pollfd answered = {.events = POLLIN};
    int64_t until = clock_mono_ms() + process_slow(ANSWER_MS);

    (void)state;
    for (int i = 0; i < WAYS; i++) {
        if (endless[i].fd < 0)
            continue;
        answered.fd = endless[i].fd;
        while (clock_mono_ms() < until && poll(&answered, 1, 100) == 0)
            trickle();
        expect_answer(&endless[i], 408, "\"error\":\"Request Timeout\",\"statusCode\":408}");
    }
}

/* --- world ------------------------------------------------------------------------------------ */

static int
set_up(void **state)
{
    enum { EVENTS = 5000, EVENT_BYTES = 4000 };

    if (scene_open(state, &world, &(struct world_options){.web = web}, SCENE_READY) < 0)
        return -1;
    expect_posted(&world, MODE, NULL, &run);
    expect_sql(
        &world, "",
        "insert into macp.run_events_canonical (day, run_key, seq, ts, type, source_kind, "
        "source_name, data) select r.day, r.run_key, 100000 + n, now(), 'message.received', "
        "'runtime', 'rust-runtime', jsonb_build_object('text', repeat(md5(n::text), %d)) from "
        "macp.runs r, generate_series(1, %d) n where r.id = '%s'",
        EVENT_BYTES / 32, EVENTS, run.run);
    for (int i = 0; i < WAYS; i++) {
        endless[i].fd = -1;
        if (i == THROUGH_WEB && web != WEB_APACHE)
            continue;
        dial((enum way)i, &endless[i]);
        say_head(&endless[i], "POST", "/runs", 1000000);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_uploads_through_the_web_server_hold_up_nobody),
        cmocka_unit_test(slow_uploads_on_the_socket_hold_up_nobody),
        cmocka_unit_test(uploads_that_are_given_up_leave_nothing),
        cmocka_unit_test(slow_readers_through_the_web_server_hold_up_nobody),
        cmocka_unit_test(slow_readers_on_the_socket_hold_up_nobody),
        cmocka_unit_test(whoever_reads_gets_the_whole_export_afterwards),
        cmocka_unit_test(bodies_that_never_end_are_408),
    };

    if (!web_read_arguments(argc, argv, &web))
        return 2;
    if (web == WEB_SPAWNED) /* its socket has a name of lighttpd's own */
        web = WEB_HELD;
    return cmocka_run_group_tests_name("slow", tests, set_up, scene_close);
}
