/* Timers: the heap against a plain list, and what a timer may do when it fires. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observerd/timers.h"
#include "shared/macros.h"

enum { N = 200, STEPS = 20000 };

struct alarm {
    struct timer timer;
    int64_t due_ms; /* -1: not armed, as the list has it */
    int fired;
};

static struct timers timers;
static struct alarm alarms[N];
static int64_t last_due, now_ms;

static void
fire(struct timer *t)
{
    struct alarm *a = (struct alarm *)t;

    assert_int_equal(t->place, 0);
    assert_int_equal(t->due_ms, a->due_ms);
    assert_true(t->due_ms >= last_due); /* in the order of their times */
    assert_true(t->due_ms <= now_ms);
    last_due = t->due_ms;
    a->due_ms = -1;
    a->fired++;
}

static int64_t
earliest(void)
{
    int64_t min = INT64_MAX;

    for (int i = 0; i < N; i++)
        if (alarms[i].due_ms >= 0 && alarms[i].due_ms < min)
            min = alarms[i].due_ms;
    return min;
}

static void
step(unsigned *seed)
{
    struct alarm *a = &alarms[rand_r(seed) % N];
    int64_t due = now_ms + rand_r(seed) % 500;

    switch (rand_r(seed) % 4) {
    case 0:
        timer_set(&timers, &a->timer, due);
        a->due_ms = due;
        break;
    case 1:
        timer_set_by(&timers, &a->timer, due);
        if (a->due_ms < 0 || due < a->due_ms)
            a->due_ms = due;
        break;
    case 2:
        timer_cancel(&timers, &a->timer);
        a->due_ms = -1;
        break;
    default:
        now_ms += rand_r(seed) % 10;
        last_due = 0;
        timers_run(&timers, now_ms);
        assert_true(earliest() > now_ms);
        break;
    }
}

static void
test_heap_behaves_like_a_sorted_list(void **state UNUSED)
{
    int fired = 0;

    for (unsigned seed = 1; seed <= 5; seed++) {
        unsigned random_state = seed;

        for (int i = 0; i < N; i++)
            alarms[i] = (struct alarm){.timer.fire = fire, .due_ms = -1};
        now_ms = 0;
        for (int i = 0; i < STEPS; i++) {
            step(&random_state);
            assert_int_equal(timers_next(&timers, INT64_MAX), earliest());
        }
        for (int i = 0; i < N; i++) {
            timer_cancel(&timers, &alarms[i].timer);
            fired += alarms[i].fired;
        }
        assert_int_equal(timers.n, 0);
        timers_fini(&timers);
    }
    assert_true(fired > STEPS / 10);
}

static int rounds;

static void
fire_again_at_once(struct timer *t)
{
    rounds++;
    timer_set(&timers, t, now_ms); /* a time that has come already */
}

static void
test_timer_armed_for_the_past_does_not_hold_the_thread(void **state UNUSED)
{
    struct timer t = {.fire = fire_again_at_once};

    now_ms = 1000;
    rounds = 0;
    timer_set(&timers, &t, 500);
    timers_run(&timers, now_ms);
    assert_int_equal(rounds, 1);
    timers_run(&timers, now_ms);
    assert_int_equal(rounds, 2);
    timer_cancel(&timers, &t);
    timers_fini(&timers);
}

static struct timer victim;

static void
cancel_the_other(struct timer *t)
{
    (void)t;
    timer_cancel(&timers, &victim);
}

static void
must_not_fire(struct timer *t)
{
    (void)t;
    fail_msg("a cancelled timer fired");
}

static void
test_timer_may_cancel_another_that_is_due(void **state UNUSED)
{
    struct timer first = {.fire = cancel_the_other};

    victim = (struct timer){.fire = must_not_fire};
    timer_set(&timers, &first, 1);
    timer_set(&timers, &victim, 2);
    timers_run(&timers, 10);
    assert_int_equal(timers_next(&timers, -1), -1);
    timer_cancel(&timers, &victim); /* not armed: nothing happens */
    timers_fini(&timers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_behaves_like_a_sorted_list),
        cmocka_unit_test(test_timer_armed_for_the_past_does_not_hold_the_thread),
        cmocka_unit_test(test_timer_may_cancel_another_that_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
