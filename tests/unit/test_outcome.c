/* Requests that wait for commands: a share of the workers, woken by what concerns them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "fcgi/outcome.h"
#include "shared/clock.h"

enum { LONG_MS = 60000 };

static void
some_workers_never_wait(void **state)
{
    static const struct {
        int threads, places;
    } cases[] = {{1, 0}, {2, 1}, {3, 1}, {4, 1}, {8, 3}, {16, 7}, {64, 31}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcomes *o = outcomes_new(cases[i].threads);
        int taken = 0;

        while (outcomes_enter(o))
            taken++;
        assert_int_equal(taken, cases[i].places);
        for (int n = 0; n < taken; n++)
            outcomes_leave(o);
        assert_int_equal(outcomes_enter(o), taken > 0);
        outcomes_free(o);
    }
}

struct teller {
    struct outcomes *o;
    int64_t id;
};

static void *
tell(void *arg)
{
    const struct teller *t = arg;

    outcomes_told(t->o, t->id);
    return NULL;
}

static void
told_of_ones_own_command_wakes_and_of_others_does_not(void **state)
{
    struct outcomes *o = outcomes_new(8);
    struct outcome_wait mine = {.ids = (const int64_t[]){3, 5}, .n = 2};
    struct outcome_wait other = {.ids = (const int64_t[]){4}, .n = 1};
    struct teller t = {o, 5};
    pthread_t thread;

    (void)state;
    outcome_wait_begin(o, &mine);
    outcome_wait_begin(o, &other);
    assert_int_equal(pthread_create(&thread, NULL, tell, &t), 0);
    assert_true(outcome_wait_until(o, &mine, clock_mono_ms() + LONG_MS));
    pthread_join(thread, NULL);
    assert_false(other.told);
    /* Told before anybody waits: not missed, and only once. */
    outcomes_told(o, 3);
    assert_true(outcome_wait_until(o, &mine, clock_mono_ms() + LONG_MS));
    assert_true(outcome_wait_until(o, &mine, clock_mono_ms() + 1));
    outcome_wait_end(o, &mine);
    outcomes_told(o, 3); /* of one that has left */
    outcome_wait_end(o, &other);
    outcomes_free(o);
}

static void
what_may_have_been_missed_wakes_everybody(void **state)
{
    struct outcomes *o = outcomes_new(8);
    struct outcome_wait mine = {.ids = (const int64_t[]){3}, .n = 1};

    (void)state;
    outcome_wait_begin(o, &mine);
    outcomes_lost(o);
    assert_true(outcome_wait_until(o, &mine, clock_mono_ms() + LONG_MS));
    outcome_wait_end(o, &mine);
    outcomes_free(o);
}

static void
stop_ends_every_wait(void **state)
{
    struct outcomes *o = outcomes_new(8);
    struct outcome_wait mine = {.ids = (const int64_t[]){3}, .n = 1};

    (void)state;
    outcome_wait_begin(o, &mine);
    outcomes_quit(o);
    assert_false(outcome_wait_until(o, &mine, clock_mono_ms() + LONG_MS));
    outcome_wait_end(o, &mine);
    assert_false(outcomes_enter(o));
    outcomes_free(o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_workers_never_wait),
        cmocka_unit_test(told_of_ones_own_command_wakes_and_of_others_does_not),
        cmocka_unit_test(what_may_have_been_missed_wakes_everybody),
        cmocka_unit_test(stop_ends_every_wait),
    };

    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
