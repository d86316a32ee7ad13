/* Arenas: alignment, independence of what they hand out, reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/arena.h"

static void
test_pieces_are_aligned_and_apart(void **state)
{
    struct arena a = {0};
    unsigned char *pieces[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = arena_alloc(&a, i);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], i);
    arena_fini(&a);
}

static void
test_large_pieces_leave_small_ones_alone(void **state)
{
    struct arena a = {0};
    char *before = arena_strdup(&a, "before");
    char *large = arena_alloc(&a, 1000000);
    char *after = arena_strdup(&a, "after");

    (void)state;
    memset(large, 'x', 1000000);
    assert_string_equal(before, "before");
    assert_string_equal(after, "after");
    assert_ptr_equal(after, before + 16); /* the block in front stays in use */
    arena_fini(&a);
}

static void
test_large_piece_first(void **state)
{
    struct arena a = {0};
    char *large = arena_alloc(&a, 100000);
    char *small;

    (void)state;
    memset(large, 'x', 100000);
    small = arena_strdup(&a, "small");
    assert_string_equal(small, "small");
    assert_int_equal(large[99999], 'x');
    arena_fini(&a);
}

static void
test_reset_reuses_one_block(void **state)
{
    struct arena a = {0};
    void *first = arena_alloc(&a, 100);

    (void)state;
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 1000));
    assert_non_null(arena_alloc(&a, 1000000));
    arena_reset(&a);
    assert_non_null(a.blocks);
    assert_non_null(arena_alloc(&a, 8000)); /* the kept block is empty again */
    arena_fini(&a);
    assert_null(a.blocks);
    arena_reset(&a); /* an empty one may be reset */
    arena_fini(&a);
}

static void
test_cleared_memory(void **state)
{
    struct arena a = {0};
    char *p = arena_alloc(&a, 500);

    (void)state;
    memset(p, 'x', 500);
    arena_reset(&a);
    p = arena_zalloc(&a, 500);
    for (size_t i = 0; i < 500; i++)
        assert_int_equal(p[i], 0);
    arena_fini(&a);
}

static void
test_texts(void **state)
{
    struct arena a = {0};
    char *p;

    (void)state;
    assert_string_equal(arena_strdup(&a, ""), "");
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    assert_memory_equal(arena_strndup(&a, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_printf(&a, "%s %d", "run", 7), "run 7");
    p = arena_printf(&a, "%*d", 20000, 5);
    assert_int_equal(strlen(p), 20000);
    assert_int_equal(p[19999], '5');
    arena_fini(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_large_pieces_leave_small_ones_alone),
        cmocka_unit_test(test_large_piece_first),
        cmocka_unit_test(test_reset_reuses_one_block),
        cmocka_unit_test(test_cleared_memory),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
