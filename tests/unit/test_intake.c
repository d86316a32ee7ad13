/* Requests that come in pieces: what is whole, what is broken, who is waited for, by whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <poll.h>

#include "fcgi/intake.h"
#include "fcgi/record.h"
#include "tests/support/fastcgi.h"

enum { READY_MS = 30000 };

static const struct fastcgi_param params[] = {
    {"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/runs"}, {0}};

static void
write_request(struct buf *out, const char *body, size_t n)
{
    fastcgi_head(out, params);
    fastcgi_body(out, body, n);
    fastcgi_body_end(out);
}

/* --- one request ------------------------------------------------------------------------------ */

static enum arrival_state
feed(struct arrival *a, const char *p, size_t n)
{
    buf_add(&a->bytes, p, n);
    return arrival_look(a);
}

static void
a_request_is_whole_with_its_last_byte(void **state UNUSED)
{
    AUTO_BUF wire = {0};
    struct arrival *a = arrival_new(-1);

    write_request(&wire, "hello", 5);
    for (size_t i = 0; i < wire.len; i++)
        assert_int_equal(feed(a, wire.p + i, 1), i + 1 < wire.len ? ARRIVAL_MORE : ARRIVAL_WHOLE);
    assert_int_equal(a->bytes.len, wire.len);
    assert_memory_equal(a->bytes.p, wire.p, wire.len);
    arrival_free(a);
}

static void
a_body_that_is_too_large_is_not_kept(void **state UNUSED)
{
    static char big[3 * REQUEST_BODY_MAX];
    AUTO_BUF wire = {0};
    struct arrival *a = arrival_new(-1);
    enum arrival_state seen = ARRIVAL_MORE;

    write_request(&wire, big, sizeof big);
    for (size_t at = 0; at < wire.len; at += 7777)
        seen = feed(a, wire.p + at, wire.len - at < 7777 ? wire.len - at : 7777);
    assert_int_equal(seen, ARRIVAL_WHOLE);
    assert_int_equal(a->body_len, sizeof big);
    assert_in_range(a->bytes.len, REQUEST_BODY_MAX + 1, REQUEST_BODY_MAX + (128 << 10));
    arrival_free(a);
}

static void
what_is_no_request_is_broken(void **state UNUSED)
{
    static char big[ARRIVAL_PARAMS_MAX];
    struct arrival *a = arrival_new(-1);
    AUTO_BUF wire = {0};
    unsigned char head[RECORD_HEAD];

    assert_int_equal(feed(a, "GET / HT", 8), ARRIVAL_BROKEN);
    arrival_free(a);

    /* A body before its parameters. */
    a = arrival_new(-1);
    fastcgi_head(&wire, params);
    wire.len = RECORD_HEAD + 8;
    fastcgi_body_end(&wire);
    assert_int_equal(feed(a, wire.p, wire.len), ARRIVAL_BROKEN);
    arrival_free(a);

    /* Parameters without end. */
    a = arrival_new(-1);
    assert_int_equal(feed(a, wire.p, RECORD_HEAD + 8), ARRIVAL_MORE);
    record_head(head, RECORD_PARAMS, FASTCGI_ID, RECORD_MAX, 0);
    for (size_t i = 0; i < ARRAY_LEN(big) / RECORD_MAX; i++) {
        assert_int_equal(feed(a, (char *)head, sizeof head), ARRIVAL_MORE);
        assert_int_equal(feed(a, big, RECORD_MAX), ARRIVAL_MORE);
    }
    buf_add(&a->bytes, head, sizeof head);
    assert_int_equal(feed(a, big, RECORD_MAX), ARRIVAL_BROKEN);
    arrival_free(a);
}

static void
a_cut_request_can_still_be_parsed(void **state UNUSED)
{
    AUTO_BUF wire = {0};
    struct arrival *a = arrival_new(-1), *whole = arrival_new(-1);

    write_request(&wire, "hello", 5);
    assert_int_equal(feed(a, wire.p, wire.len - RECORD_HEAD - 2), ARRIVAL_MORE);
    assert_true(arrival_cut(a));
    assert_int_equal(feed(whole, a->bytes.p, a->bytes.len), ARRIVAL_WHOLE);
    assert_int_equal(whole->body_len, 0);
    arrival_free(a);
    arrival_free(whole);

    a = arrival_new(-1);
    assert_int_equal(feed(a, wire.p, RECORD_HEAD + 8), ARRIVAL_MORE);
    assert_false(arrival_cut(a));
    arrival_free(a);
}

static void
looking_whether_a_request_is_there_takes_nothing(void **state UNUSED)
{
    AUTO_BUF wire = {0};
    char back[512];
    int pair[2];

    write_request(&wire, "hello", 5);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_false(arrival_is_there(pair[0]));
    assert_int_equal(write(pair[1], wire.p, wire.len - 1), wire.len - 1);
    assert_false(arrival_is_there(pair[0]));
    assert_int_equal(write(pair[1], wire.p + wire.len - 1, 1), 1);
    assert_true(arrival_is_there(pair[0]));
    assert_int_equal(read(pair[0], back, sizeof back), wire.len);
    close(pair[0]);
    close(pair[1]);
}

/* --- many ------------------------------------------------------------------------------------- */

static struct arrival *
take(struct intake *in)
{
    struct pollfd p = {.fd = intake_ready_fd(in), .events = POLLIN};
    struct arrival *a;

    assert_int_equal(poll(&p, 1, READY_MS), 1);
    a = intake_take(in);
    assert_non_null(a);
    return a;
}

static void
done(struct arrival *a)
{
    close(a->fd);
    arrival_free(a);
}

static int
pass(struct intake *in, const void *p, size_t n)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[1], p, n), n);
    intake_pass(in, pair[0]);
    return pair[1];
}

static void
whoever_is_whole_first_is_taken_first(void **state UNUSED)
{
    AUTO_BUF wire = {0};
    struct intake *in = intake_start();
    int slow, fast;
    struct arrival *a;

    write_request(&wire, "hello", 5);
    slow = pass(in, wire.p, wire.len - 3);
    fast = pass(in, wire.p, wire.len);
    a = take(in);
    assert_int_equal(write(a->fd, "1", 1), 1);
    done(a);
    assert_int_equal(write(slow, wire.p + wire.len - 3, 3), 3);
    a = take(in);
    assert_int_equal(a->body_state, REQUEST_BODY_OK);
    assert_memory_equal(a->bytes.p, wire.p, wire.len);
    done(a);
    assert_null(intake_take(in));
    intake_end(in);
    intake_free(in);
    close(slow);
    close(fast);
}

static void
beyond_the_bounds_the_one_that_came_first_is_refused(void **state UNUSED)
{
    static char big[REQUEST_BODY_MAX];
    static int peers[INTAKE_CONNECTIONS + 1];
    AUTO_BUF wire = {0};
    AUTO_BUF body = {0};
    struct intake *in = intake_start();
    struct arrival *a;

    fastcgi_head(&wire, params);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peers[i] = pass(in, wire.p, wire.len);
    a = take(in);
    assert_int_equal(a->body_state, REQUEST_BODY_REFUSED);
    assert_int_equal(write(a->fd, "x", 1), 1);
    assert_int_equal(read(peers[0], big, 1), 1);
    done(a);

    /* The same for bytes: who sends much pushes out those who came before. */
    fastcgi_body(&body, big, sizeof big);
    for (size_t i = ARRAY_LEN(peers) - INTAKE_BYTES / sizeof big; i < ARRAY_LEN(peers); i++)
        assert_int_equal(write(peers[i], body.p, body.len), body.len);
    a = take(in);
    assert_int_equal(a->body_state, REQUEST_BODY_REFUSED);
    done(a);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        close(peers[i]);
    intake_end(in);
    while ((a = intake_take(in)))
        done(a);
    intake_free(in);
}

static void
the_end_refuses_what_is_not_there(void **state UNUSED)
{
    AUTO_BUF wire = {0};
    struct intake *in = intake_start();
    struct arrival *a;
    int half, whole, gone;

    write_request(&wire, "hello", 5);
    half = pass(in, wire.p, wire.len - 1);
    whole = pass(in, wire.p, wire.len);
    gone = pass(in, wire.p, wire.len - 1);
    close(gone);
    intake_end(in);
    a = intake_take(in);
    assert_int_equal(a->body_state, REQUEST_BODY_OK);
    done(a);
    a = intake_take(in);
    assert_int_equal(a->body_state, REQUEST_BODY_REFUSED);
    done(a);
    assert_null(intake_take(in));
    intake_free(in);
    close(half);
    close(whole);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_whole_with_its_last_byte),
        cmocka_unit_test(a_body_that_is_too_large_is_not_kept),
        cmocka_unit_test(what_is_no_request_is_broken),
        cmocka_unit_test(a_cut_request_can_still_be_parsed),
        cmocka_unit_test(looking_whether_a_request_is_there_takes_nothing),
        cmocka_unit_test(whoever_is_whole_first_is_taken_first),
        cmocka_unit_test(beyond_the_bounds_the_one_that_came_first_is_refused),
        cmocka_unit_test(the_end_refuses_what_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
