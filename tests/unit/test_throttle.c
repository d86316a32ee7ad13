/* Rate limits: window, block, separation of callers and routes. The clock is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/throttle.h"

enum { WINDOW_MS = 32000, START_MS = 1000000 };

static struct throttle_answer
hit(struct throttle *t, const char *who, int route, int64_t now)
{
    struct throttle_answer a;

    throttle_hit(t, who, route, now, &a);
    return a;
}

static void
the_hit_above_the_limit_blocks_for_a_window(void **state UNUSED)
{
    struct throttle *t = throttle_new(3, WINDOW_MS);
    struct throttle_answer a;

    for (int i = 0; i < 3; i++) {
        a = hit(t, "a", 1, START_MS + i);
        assert_true(a.allowed);
        assert_int_equal(a.remaining, 2 - i);
        assert_int_equal(a.reset_s, 32);
    }
    a = hit(t, "a", 1, START_MS + 10);
    assert_false(a.allowed);
    assert_int_equal(a.retry_s, 32);
    /* hits while blocked do not lengthen the block */
    a = hit(t, "a", 1, START_MS + 10 + WINDOW_MS - 1);
    assert_false(a.allowed);
    assert_int_equal(a.retry_s, 1);
    /* then it starts from one */
    a = hit(t, "a", 1, START_MS + 10 + WINDOW_MS);
    assert_true(a.allowed);
    assert_int_equal(a.remaining, 2);
    throttle_free(t);
}

static void
hits_leave_the_window_one_by_one(void **state UNUSED)
{
    struct throttle *t = throttle_new(3, WINDOW_MS);

    hit(t, "a", 1, START_MS);
    hit(t, "a", 1, START_MS + WINDOW_MS / 2);
    hit(t, "a", 1, START_MS + WINDOW_MS / 2);
    /* the first one has left, the other two count */
    assert_int_equal(hit(t, "a", 1, START_MS + WINDOW_MS + 1000).remaining, 0);
    assert_false(hit(t, "a", 1, START_MS + WINDOW_MS + 1001).allowed);
    throttle_free(t);
}

static void
a_long_silence_empties_the_window(void **state UNUSED)
{
    struct throttle *t = throttle_new(3, WINDOW_MS);

    hit(t, "a", 1, START_MS);
    hit(t, "a", 1, START_MS);
    assert_int_equal(hit(t, "a", 1, START_MS + 100 * WINDOW_MS).remaining, 2);
    throttle_free(t);
}

static void
callers_and_routes_are_counted_apart(void **state UNUSED)
{
    struct throttle *t = throttle_new(1, WINDOW_MS);

    assert_true(hit(t, "a", 1, START_MS).allowed);
    assert_true(hit(t, "a", 2, START_MS).allowed);
    assert_true(hit(t, "b", 1, START_MS).allowed);
    assert_true(hit(t, "", 1, START_MS).allowed);
    assert_false(hit(t, "a", 1, START_MS).allowed);
    assert_false(hit(t, "", 1, START_MS).allowed);
    throttle_free(t);
}

/* A flood of addresses must neither grow the memory nor free a caller that keeps asking. */
static void
a_busy_caller_survives_a_flood_of_others(void **state UNUSED)
{
    struct throttle *t = throttle_new(1000000, WINDOW_MS);
    struct throttle_answer a = {0};
    char name[16];

    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        hit(t, name, 1, START_MS + i / 100);
        if (i % 10 == 0)
            a = hit(t, "busy", 1, START_MS + i / 100);
    }
    assert_int_equal(a.remaining, 1000000 - 10000);
    throttle_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hit_above_the_limit_blocks_for_a_window),
        cmocka_unit_test(hits_leave_the_window_one_by_one),
        cmocka_unit_test(a_long_silence_empties_the_window),
        cmocka_unit_test(callers_and_routes_are_counted_apart),
        cmocka_unit_test(a_busy_caller_survives_a_flood_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
