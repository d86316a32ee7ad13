/* Mailboxes: order, bound, one wake per filling, many posters at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observerd/mailbox.h"

enum { POSTERS = 4, EACH = 5000 };

static atomic_int wakes;

static void
count_wake(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static struct mail *
mail_new(int kind)
{
    struct mail *m = xcalloc(1, sizeof *m);

    m->kind = kind;
    return m;
}

static void
test_mail_comes_out_in_the_order_it_went_in(void **state UNUSED)
{
    struct mailbox box;
    struct mail *m, *next;
    int expected = 0;

    mailbox_init(&box, 100, count_wake, &wakes);
    for (int i = 0; i < 10; i++)
        assert_true(mailbox_post(&box, mail_new(i)));
    for (m = mailbox_take_all(&box); m; m = next) {
        next = m->next;
        assert_int_equal(m->kind, expected++);
        free(m);
    }
    assert_int_equal(expected, 10);
    assert_null(mailbox_take_all(&box));
    mailbox_fini(&box);
}

static void
test_full_mailbox_refuses_and_takes_again_when_emptied(void **state UNUSED)
{
    struct mailbox box;
    struct mail *refused = mail_new(3), *m, *next;
    int n = 0;

    mailbox_init(&box, 3, count_wake, &wakes);
    for (int i = 0; i < 3; i++)
        assert_true(mailbox_post(&box, mail_new(i)));
    assert_false(mailbox_post(&box, refused));
    for (m = mailbox_take_all(&box); m; m = next, n++) {
        next = m->next;
        free(m);
    }
    assert_int_equal(n, 3);
    assert_true(mailbox_post(&box, refused)); /* it stayed ours */
    mailbox_fini(&box);                       /* and is freed with the box */
}

static void
test_owner_is_woken_once_per_filling(void **state UNUSED)
{
    struct mailbox box;
    struct mail *m, *next;

    mailbox_init(&box, 100, count_wake, &wakes);
    for (int round = 1; round <= 3; round++) {
        atomic_store(&wakes, 0);
        for (int i = 0; i < 5; i++)
            assert_true(mailbox_post(&box, mail_new(i)));
        assert_int_equal(atomic_load(&wakes), 1);
        for (m = mailbox_take_all(&box); m; m = next) {
            next = m->next;
            free(m);
        }
    }
    mailbox_fini(&box);
}

static void
test_closed_mailbox_refuses(void **state UNUSED)
{
    struct mailbox box;
    struct mail *m = mail_new(1);

    mailbox_init(&box, 100, count_wake, &wakes);
    box.closed = true;
    assert_false(mailbox_post(&box, m));
    free(m);
    mailbox_fini(&box);
}

struct poster {
    struct mailbox *box;
    int base;
};

static void *
post_all(void *arg)
{
    struct poster *p = arg;

    for (int i = 0; i < EACH; i++)
        if (!mailbox_post(p->box, mail_new(p->base + i)))
            BUG("the box is larger than all mail");
    return NULL;
}

/* Nothing is lost, nothing doubled, and each poster's own order is kept. */
static void
test_concurrent_posters_lose_nothing(void **state UNUSED)
{
    pthread_t threads[POSTERS];
    struct poster posters[POSTERS];
    int next_of[POSTERS] = {0}, total = 0;
    struct mailbox box;

    atomic_store(&wakes, 0);
    mailbox_init(&box, POSTERS * EACH, count_wake, &wakes);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){&box, i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    while (total < POSTERS * EACH) {
        struct mail *next;

        for (struct mail *m = mailbox_take_all(&box); m; m = next) {
            int poster = m->kind / EACH;

            next = m->next;
            assert_int_equal(m->kind % EACH, next_of[poster]++);
            total++;
            free(m);
        }
    }
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&wakes) > 0);
    assert_null(mailbox_take_all(&box));
    mailbox_fini(&box);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_comes_out_in_the_order_it_went_in),
        cmocka_unit_test(test_full_mailbox_refuses_and_takes_again_when_emptied),
        cmocka_unit_test(test_owner_is_woken_once_per_filling),
        cmocka_unit_test(test_closed_mailbox_refuses),
        cmocka_unit_test(test_concurrent_posters_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
