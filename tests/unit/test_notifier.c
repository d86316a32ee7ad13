/* Notifications: one per run, the latest number, bounded, from many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observerd/notifier.h"
#include "shared/macros.h"

static struct notifier notifier; /* large */
static atomic_int wakes;

static void
count_wake(void *ctx UNUSED)
{
    atomic_fetch_add(&wakes, 1);
}

static const char *
run_id(int i)
{
    static _Thread_local char id[UUID_LEN];

    snprintf(id, sizeof id, "00000000-0000-4000-8000-%012d", i);
    return id;
}

static int
setup(void **state UNUSED)
{
    atomic_store(&wakes, 0);
    notifier_init(&notifier, count_wake, NULL);
    return 0;
}

static int
teardown(void **state UNUSED)
{
    notifier_fini(&notifier);
    return 0;
}

static void
test_runs_coalesce_to_their_latest_number(void **state UNUSED)
{
    AUTO_BUF out = {0};

    assert_false(notifier_pending(&notifier));
    notifier_add(&notifier, run_id(1), 3, false);
    notifier_add(&notifier, run_id(2), 8, false);
    notifier_add(&notifier, run_id(1), 5, true);
    notifier_add(&notifier, run_id(1), 6, false); /* the end stays the end */
    assert_true(notifier_pending(&notifier));
    assert_true(notifier_take(&notifier, &out));
    assert_string_equal(buf_cstr(&out), "{00000000-0000-4000-8000-000000000001:6:1,"
                                        "00000000-0000-4000-8000-000000000002:8:0}");
    assert_int_equal(atomic_load(&wakes), 1);
    assert_false(notifier_pending(&notifier));
    buf_reset(&out);
    assert_false(notifier_take(&notifier, &out));
    notifier_add(&notifier, run_id(1), 7, false); /* taken: it starts anew */
    buf_reset(&out);
    assert_true(notifier_take(&notifier, &out));
    assert_string_equal(buf_cstr(&out), "{00000000-0000-4000-8000-000000000001:7:0}");
    assert_int_equal(atomic_load(&wakes), 2);
}

static void
test_commands_are_told_beside_the_runs(void **state UNUSED)
{
    AUTO_BUF runs = {0}, ids = {0};

    notifier_done(&notifier, 7);
    notifier_done(&notifier, 9);
    assert_int_equal(atomic_load(&wakes), 1);
    assert_true(notifier_pending(&notifier));
    assert_false(notifier_take(&notifier, &runs));
    assert_true(notifier_take_done(&notifier, &ids));
    assert_string_equal(buf_cstr(&ids), "{7,9}");
    assert_false(notifier_pending(&notifier));
    for (int i = 0; i < NOTIFIER_DONE_MAX + 5; i++) /* beyond the bound they are dropped */
        notifier_done(&notifier, i);
    buf_reset(&ids);
    assert_true(notifier_take_done(&notifier, &ids));
    assert_false(notifier_take_done(&notifier, &ids));
}

static size_t
count_of(const char *text, char c)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == c;
    return n;
}

static void
test_full_notifier_drops_new_runs_and_keeps_known_ones(void **state UNUSED)
{
    AUTO_BUF out = {0};

    for (int i = 0; i < NOTIFIER_MAX + 100; i++)
        notifier_add(&notifier, run_id(i), 1, false);
    notifier_add(&notifier, run_id(7), 99, true);
    assert_true(notifier_take(&notifier, &out));
    assert_int_equal(count_of(buf_cstr(&out), ',') + 1, NOTIFIER_MAX);
    assert_non_null(strstr(buf_cstr(&out), "000000000007:99:1"));
    assert_null(strstr(buf_cstr(&out), run_id(NOTIFIER_MAX)));
}

static void *
add_many(void *arg)
{
    int base = *(int *)arg;

    for (int round = 1; round <= 50; round++)
        for (int i = 0; i < 100; i++)
            notifier_add(&notifier, run_id(base + i), round, round == 50);
    return NULL;
}

static void
test_adders_on_many_threads_reach_the_taker(void **state UNUSED)
{
    int bases[] = {0, 1000, 2000};
    pthread_t threads[3];
    size_t ended = 0;

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &bases[i]), 0);
    while (ended < 300) {
        AUTO_BUF out = {0};

        notifier_take(&notifier, &out);
        for (const char *p = buf_cstr(&out); (p = strstr(p, ":1")); p += 2)
            ended += p[2] == ',' || p[2] == '}';
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ended, 300);
    assert_false(notifier_pending(&notifier));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commands_are_told_beside_the_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_coalesce_to_their_latest_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_notifier_drops_new_runs_and_keeps_known_ones,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_adders_on_many_threads_reach_the_taker, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
