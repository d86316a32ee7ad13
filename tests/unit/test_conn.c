/* FastCGI connections over a socket pair: what libfcgi parses for us and what we write back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fcgi/conn.h"

enum { BEGIN = 1, STDOUT = 6, END = 3, PARAMS = 4, STDIN = 5 };

static void
record(struct buf *out, int type, const void *p, size_t n)
{
    const unsigned char head[8] = {1, (unsigned char)type,     0,
                                   1, (unsigned char)(n >> 8), (unsigned char)n};

    buf_add(out, head, sizeof head);
    buf_add(out, p, n);
}

static void
param(struct buf *out, const char *name, const char *value)
{
    buf_char(out, (char)strlen(name));
    buf_char(out, (char)strlen(value));
    buf_str(out, name);
    buf_str(out, value);
}

/* A request with a body, as a web server sends it. */
static void
write_request(struct buf *out, const char *announced, const char *body, size_t n)
{
    static const unsigned char begin[8] = {0, 1};
    AUTO_BUF params = {0};

    record(out, BEGIN, begin, sizeof begin);
    param(&params, "REQUEST_METHOD", "POST");
    param(&params, "REQUEST_URI", "/runs");
    param(&params, "CONTENT_LENGTH", announced);
    record(out, PARAMS, params.p, params.len);
    record(out, PARAMS, "", 0);
    for (; n > 0; body += n < 60000 ? n : 60000, n -= n < 60000 ? n : 60000)
        record(out, STDIN, body, n < 60000 ? n : 60000);
    record(out, STDIN, "", 0);
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

/* The reply's stdout, checked record by record up to the end of the request. */
static void
read_reply(int fd, struct buf *out)
{
    AUTO_BUF raw = {0};
    ssize_t n;
    bool ended = false;

    while ((n = read(fd, buf_reserve(&raw, 65536), 65536)) > 0)
        raw.len += (size_t)n;
    for (size_t at = 0; at < raw.len;) {
        const unsigned char *h = (const unsigned char *)raw.p + at;
        size_t len = (size_t)h[4] << 8 | h[5];

        assert_false(ended);
        assert_int_equal(h[0], 1);
        assert_int_equal(h[2] << 8 | h[3], 1);
        if (h[1] == STDOUT)
            buf_add(out, h + 8, len);
        ended = h[1] == END;
        at += 8 + len + h[6];
    }
    assert_true(ended);
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
    conn_init(&c);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        enum request_body_state body_state;
        struct buf reply = {0};
        int pair[2];

        make_pair(pair);
        assert_int_equal(write(pair[1], wire.p, wire.len), wire.len);
        assert_true(conn_open(&c, pair[0]));
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
    conn_init(&c);
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
        assert_true(conn_open(&c, pair[0]));
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
    conn_init(&c);
    /* Cut anywhere inside BEGIN and PARAMS: 8 + 8 + 8 + parameters + 8. */
    for (size_t n = 0; n < 90; n += 7) {
        int pair[2];

        make_pair(pair);
        assert_int_equal(write(pair[1], wire.p, n), n);
        shutdown(pair[1], SHUT_WR);
        if (conn_open(&c, pair[0]))
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
    conn_init(&c);
    assert_int_equal(write(pair[1], wire.p, wire.len), wire.len);
    close(pair[1]);
    assert_true(conn_open(&c, pair[0]));
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
    conn_init(&c);
    assert_int_equal(write(pair[1], wire.p, wire.len), wire.len);
    shutdown(pair[1], SHUT_WR);
    assert_true(conn_open(&c, pair[0]));
    assert_true(conn_read_body(&c, &body, &body_state));
    assert_false(conn_is_gone(&c));
    conn_close(&c);
    close(pair[1]);
    buf_fini(&wire);
    buf_fini(&body);
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
    };

    if (FCGX_Init() != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
