/* Ids as parts of an index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "shared/key.h"

static void
long_ids_become_their_hash_and_stay_different(void **state)
{
    char a[2001], hash_a[KEY_HASH_LEN], hash_b[KEY_HASH_LEN];
    size_t n;

    (void)state;
    memset(a, 'a', sizeof a - 1);
    a[2000] = '\0';
    assert_ptr_equal(key_text(a, KEY_TEXT_MAX, hash_a, &n), a);
    assert_int_equal(n, KEY_TEXT_MAX);
    assert_ptr_equal(key_text(a, 2000, hash_a, &n), hash_a);
    assert_int_equal(n, KEY_HASH_LEN - 1);
    assert_int_equal(strlen(hash_a), n);
    assert_memory_equal(hash_a, "sha256:", 7);
    assert_ptr_equal(key_text(a, 1999, hash_b, &n), hash_b);
    assert_string_not_equal(hash_a, hash_b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_ids_become_their_hash_and_stay_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
