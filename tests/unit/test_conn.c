/* FastCGI connections over a socket pair: what libfcgi parses for us and what we write back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fcgi/conn.h"
#include "tests/support/fastcgi.h"
#include "tests/support/process.h"

static struct share waiting = {.places = 1};

/* A request with a body, as a web server sends it. */
static void
write_request(struct buf *out, const char *announced, const char *body, size_t n)
{
    const struct fastcgi_param params[] = {
        {"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/runs"}, {"CONTENT_LENGTH", announced}, {0}};

    fastcgi_head(out, params);
    fastcgi_body(out, body, n);
    fastcgi_body_end(out);
}

/* Both ends; everything is written before the other end is read, so the buffer must hold it. */
static void
make_pair(int pair[2])
{
    const int size = 4 << 20;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void
read_reply(int fd, struct buf *out)
{
    AUTO_BUF raw = {0};
    ssize_t n;

    while ((n = read(fd, buf_reserve(&raw, 65536), 65536)) > 0)
        raw.len += (size_t)n;
    assert_true(fastcgi_output(&raw, out));
}

static void
a_request_is_parsed_and_answered(void **state UNUSED)
{
    static char big[200000];
    static const size_t sizes[] = {0, 1, 65000, 65528, sizeof big};
    struct buf wire = {0}, body = {0}, head = {0};
    struct conn c;

    memset(big, 'x', sizeof big);
    buf_str(&head, "Status: 200\r\n\r\n");
    write_request(&wire, "5", "hello", 5);
    conn_init(&c, &waiting);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        enum request_body_state body_state;
        struct buf reply = {0};
        int pair[2];

        make_pair(pair);
        assert_int_equal(write(pair[1], wire.p, wire.len), wire.len);
        assert_true(conn_open(&c, pair[0], NULL));
        assert_string_equal(FCGX_GetParam("REQUEST_URI", c.fcgx.envp), "/runs");
        assert_true(conn_read_body(&c, &body, &body_state));
        assert_int_equal(body_state, REQUEST_BODY_OK);
        assert_string_equal(buf_cstr(&body), "hello");
        assert_false(conn_is_gone(&c));
        assert_true(conn_reply(&c, &head, big, sizes[i]));
        conn_close(&c);
        read_reply(pair[1], &reply);
        assert_int_equal(reply.len, head.len + sizes[i]);
        assert_memory_equal(reply.p, head.p, head.len);
        assert_memory_equal(reply.p + head.len, big, sizes[i]);
        buf_fini(&reply);
        close(pair[1]);
    }
    buf_fini(&wire);
    buf_fini(&body);
    buf_fini(&head);
}

static void
bodies_are_measured(void **state UNUSED)
{
    static char big[REQUEST_BODY_MAX + 1];
    static const struct {
        const char *announced;
        size_t n;
        enum request_body_state want;
    } cases[] = {
        {"", 5, REQUEST_BODY_OK},
        {"5", 5, REQUEST_BODY_OK},
        {"6", 5, REQUEST_BODY_CUT},
        {"4", 5, REQUEST_BODY_CUT},
        {"1048576", REQUEST_BODY_MAX, REQUEST_BODY_OK},
        {"1048577", REQUEST_BODY_MAX + 1, REQUEST_BODY_TOO_LARGE},
    };
    struct conn c;

    memset(big, ' ', sizeof big);
    conn_init(&c, &waiting);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum request_body_state body_state;
        struct buf wire = {0}, body = {0};
        int pair[2];
        pid_t writer;

        make_pair(pair);
        write_request(&wire, cases[i].announced, big, cases[i].n);
        /* More than a socket buffer holds: written by another process. */
        writer = fork();
        if (writer == 0)
            _exit(write(pair[1], wire.p, wire.len) != (ssize_t)wire.len);
        assert_true(writer > 0);
        assert_true(conn_open(&c, pair[0], NULL));
        assert_true(conn_read_body(&c, &body, &body_state));
        assert_int_equal(body_state, cases[i].want);
        conn_close(&c);
        close(pair[1]);
        buf_fini(&wire);
        buf_fini(&body);
    }
}

static void
broken_requests_are_refused(void **state UNUSED)
{
    struct buf wire = {0};
    struct conn c;

    write_request(&wire, "5", "hello", 5);
    conn_init(&c, &waiting);
    /* Cut anywhere inside BEGIN and PARAMS: 8 + 8 + 8 + parameters + 8. */
    for (size_t n = 0; n < 90; n += 7) {
        int pair[2];

        make_pair(pair);
        assert_int_equal(write(pair[1], wire.p, n), n);
        shutdown(pair[1], SHUT_WR);
        if (conn_open(&c, pair[0], NULL))
            fail_msg("%zu bytes are no request", n);
        close(pair[1]);
    }
    buf_fini(&wire);
}

static void
a_peer_that_left_is_noticed(void **state UNUSED)
{
    struct buf wire = {0}, body = {0};
    enum request_body_state body_state;
    struct conn c;
    int pair[2];

    write_request(&wire, "5", "hello", 5);
    make_pair(pair);
    conn_init(&c, &waiting);
    assert_int_equal(write(pair[1], wire.p, wire.len), wire.len);
    close(pair[1]);
    assert_true(conn_open(&c, pair[0], NULL));
    assert_true(conn_read_body(&c, &body, &body_state));
    assert_true(conn_is_gone(&c));
    conn_close(&c);
    buf_fini(&wire);
    buf_fini(&body);
}

static void
a_peer_that_only_finished_sending_is_still_there(void **state UNUSED)
{
    struct buf wire = {0}, body = {0};
    enum request_body_state body_state;
    struct conn c;
    int pair[2];

    write_request(&wire, "5", "hello", 5);
    make_pair(pair);
    conn_init(&c, &waiting);
    assert_int_equal(write(pair[1], wire.p, wire.len), wire.len);
    shutdown(pair[1], SHUT_WR);
    assert_true(conn_open(&c, pair[0], NULL));
    assert_true(conn_read_body(&c, &body, &body_state));
    assert_false(conn_is_gone(&c));
    conn_close(&c);
    close(pair[1]);
    buf_fini(&wire);
    buf_fini(&body);
}

static void
a_request_that_was_read_already_is_answered_on_its_socket(void **state UNUSED)
{
    struct buf wire = {0}, body = {0}, head = {0}, reply = {0};
    enum request_body_state body_state;
    struct conn c;
    int pair[2];

    buf_str(&head, "Status: 200\r\n\r\n");
    write_request(&wire, "5", "hello", 5);
    make_pair(pair);
    conn_init(&c, &waiting);
    assert_true(conn_open(&c, pair[0], &wire));
    buf_fini(&wire);
    assert_string_equal(FCGX_GetParam("REQUEST_URI", c.fcgx.envp), "/runs");
    assert_true(conn_read_body(&c, &body, &body_state));
    assert_string_equal(buf_cstr(&body), "hello");
    assert_false(conn_is_gone(&c));
    assert_true(conn_reply(&c, &head, "bye", 3));
    conn_close(&c);
    read_reply(pair[1], &reply);
    assert_string_equal(buf_cstr(&reply), "Status: 200\r\n\r\nbye");
    close(pair[1]);
    buf_fini(&body);
    buf_fini(&head);
    buf_fini(&reply);
}

struct reader {
    int fd;
    struct share *share;
    atomic_bool over; /* there is no more to come */
};

/* Takes nothing until the writer has a place. */
static void *
read_late(void *arg)
{
    static char got[1 << 20];
    struct reader *r = arg;

    while (!r->over && r->share->taken == 0)
        process_pause(5);
    while (read(r->fd, got, sizeof got) > 0)
        ;
    return NULL;
}

/* The reply is larger than the socket holds. */
static void
slow_readers_are_waited_for_as_long_as_there_are_places(void **state UNUSED)
{
    static char big[16 << 20];
    AUTO_BUF wire = {0};
    AUTO_BUF head = {0};

    write_request(&wire, "", "", 0);
    for (int places = 0; places < 2; places++) {
        struct share share = {.places = places};
        struct reader reader = {.share = &share};
        struct conn c;
        pthread_t thread;
        int pair[2];

        make_pair(pair);
        reader.fd = pair[1];
        assert_int_equal(pthread_create(&thread, NULL, read_late, &reader), 0);
        conn_init(&c, &share);
        assert_true(conn_open(&c, pair[0], &wire));
        assert_int_equal(conn_reply(&c, &head, big, sizeof big), places);
        assert_int_equal(share.taken, places);
        reader.over = true;
        conn_close(&c);
        assert_int_equal(share.taken, 0);
        pthread_join(thread, NULL);
        close(pair[1]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_parsed_and_answered),
        cmocka_unit_test(bodies_are_measured),
        cmocka_unit_test(broken_requests_are_refused),
        cmocka_unit_test(a_peer_that_left_is_noticed),
        cmocka_unit_test(a_peer_that_only_finished_sending_is_still_there),
        cmocka_unit_test(a_request_that_was_read_already_is_answered_on_its_socket),
        cmocka_unit_test(slow_readers_are_waited_for_as_long_as_there_are_places),
    };

    if (FCGX_Init() != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
