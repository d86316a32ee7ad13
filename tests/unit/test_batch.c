/* What a batch holds of a run, and how it is taken out of it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observerd/batch.h"

static struct batch batch;

static int
setup(void **state UNUSED)
{
    batch_init(&batch);
    batch.serial = 1;
    return 0;
}

static int
teardown(void **state UNUSED)
{
    batch_fini(&batch);
    return 0;
}

/* An artifact row is the narrowest that is not a latest value. */
static void
add_row(int64_t run_key, const char *label)
{
    struct rows *t = &batch.tables[BATCH_ARTIFACTS];

    rows_int8(t, run_key);
    rows_uuid(t, "00000000-0000-4000-8000-000000000001");
    rows_text(t, "trace");
    rows_text(t, label);
    rows_text(t, "{}");
}

static struct batch_run *
add_run(int64_t run_key)
{
    uint64_t serial = 0;
    size_t index = 0;
    struct batch_run *r = batch_run_entry(&batch, &serial, &index, run_key, 5, 9);

    r->error_message = xstrdup("boom");
    r->metadata = xstrdup("{}");
    buf_lit(&batch_projection_start(r, 9)->sections[0], "{}");
    return r;
}

static void
assert_label(const struct batch *b, int row, const char *label)
{
    size_t n;
    const char *v = rows_value(&b->tables[BATCH_ARTIFACTS], 3, row, &n);

    assert_int_equal(n, strlen(label));
    assert_memory_equal(v, label, n);
}

static void
test_entry_is_one_per_run_and_batch(void **state UNUSED)
{
    uint64_t serial = 0;
    size_t index = 0;
    struct batch_run *r = batch_run_entry(&batch, &serial, &index, 7, 5, 9);

    assert_int_equal(r->old_cursor, 5);
    assert_int_equal(r->new_cursor, 5);
    assert_int_equal(r->old_seq, 9);
    assert_int_equal(r->outcome_positive, -1);
    assert_int_equal(r->poll_remaining_ms, -1);
    r->new_cursor = 6;
    /* The same batch: the values it began with stay. */
    r = batch_run_entry(&batch, &serial, &index, 7, 6, 10);
    assert_int_equal(r->old_cursor, 5);
    assert_int_equal(r->new_cursor, 6);
    assert_int_equal(batch.n_runs, 1);
    /* The next one: what the run is at now. */
    batch_reset(&batch);
    batch.serial = 3;
    r = batch_run_entry(&batch, &serial, &index, 7, 6, 10);
    assert_int_equal(r->old_cursor, 6);
    assert_int_equal(serial, 3);
}

static void
test_entry_of_another_run_is_never_taken_for_ones_own(void **state UNUSED)
{
    uint64_t serial_a = 0, serial_b = 0;
    size_t a = 0, b = 0;

    batch_run_entry(&batch, &serial_a, &a, 1, 0, 0);
    batch_run_entry(&batch, &serial_b, &b, 2, 0, 0);
    batch_drop_run(&batch, 1);
    assert_int_equal(batch_run_entry(&batch, &serial_b, &b, 2, 0, 0)->run_key, 2);
    assert_int_equal(batch_run_entry(&batch, &serial_a, &a, 1, 3, 4)->old_cursor, 3);
    assert_int_equal(batch.n_runs, 3);
}

static void
test_many_runs_have_entries(void **state UNUSED)
{
    enum { N = 500 };
    uint64_t serials[N] = {0};
    size_t indexes[N] = {0};

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++)
            assert_int_equal(
                batch_run_entry(&batch, &serials[i], &indexes[i], i + 1, i, i)->run_key, i + 1);
    assert_int_equal(batch.n_runs, N);
}

static void
test_dropped_run_leaves_with_all_its_rows(void **state UNUSED)
{
    add_run(1);
    add_run(2);
    add_row(1, "one");
    add_row(2, "two");
    add_row(1, "three");
    add_row(2, "four");
    batch_drop_run(&batch, 1);
    assert_int_equal(batch.tables[BATCH_ARTIFACTS].n, 2);
    assert_label(&batch, 0, "two");
    assert_label(&batch, 1, "four");
    assert_false(batch_is_empty(&batch));
    batch_drop_run(&batch, 1); /* is not there any more */
    batch_drop_run(&batch, 99);
    assert_int_equal(batch.n_dropped, 1);
    batch_drop_run(&batch, 2);
    assert_true(batch_is_empty(&batch));
    assert_int_equal(batch.tables[BATCH_ARTIFACTS].n, 0);
}

static void
test_split_moves_one_run_at_a_time(void **state UNUSED)
{
    struct batch one;

    add_run(1);
    add_run(2)->new_cursor = 8;
    add_run(3);
    add_row(2, "two");
    add_row(3, "three");
    add_row(2, "again");
    batch_drop_run(&batch, 1); /* a dropped one is not the first */
    batch_init(&one);
    batch_split_first(&batch, &one);
    assert_int_equal(one.n_runs, 1);
    assert_int_equal(one.runs[0].run_key, 2);
    assert_int_equal(one.runs[0].new_cursor, 8);
    assert_string_equal(one.runs[0].error_message, "boom");
    assert_non_null(one.runs[0].projection);
    assert_int_equal(one.tables[BATCH_ARTIFACTS].n, 2);
    assert_label(&one, 1, "again");
    assert_int_equal(batch.tables[BATCH_ARTIFACTS].n, 1);
    assert_label(&batch, 0, "three");
    batch_reset(&one);
    batch_split_first(&batch, &one);
    assert_int_equal(one.runs[0].run_key, 3);
    assert_true(batch_is_empty(&batch));
    batch_fini(&one);
}

static void
test_projection_is_written_over(void **state UNUSED)
{
    struct batch_run *r = add_run(1);
    struct batch_projection *p = batch_projection_start(r, 12);

    assert_int_equal(p->version, 12);
    assert_int_equal(p->sections[0].len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entry_is_one_per_run_and_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entry_of_another_run_is_never_taken_for_ones_own,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_runs_have_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropped_run_leaves_with_all_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_split_moves_one_run_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_projection_is_written_over, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
