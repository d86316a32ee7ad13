/* Identifiers: published vectors, validity, and the ids that follow from a sequence number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/macros.h"
#include "shared/uuid.h"

static void
test_name_based_vectors(void **state)
{
    static const struct {
        const char *space, *name, *id;
    } cases[] = {
        {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "python.org",
         "886313e1-3b8a-5372-9b90-0c9aee199e5d"},
        {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com",
         "2ed6657d-e927-568b-95e1-2665a8aea6a2"},
        {"6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "www.example.com",
         "2ed6657d-e927-568b-95e1-2665a8aea6a2"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char id[UUID_LEN];

        uuid_v5(cases[i].space, cases[i].name, id);
        assert_string_equal(id, cases[i].id);
    }
}

static void
test_event_ids_are_named_by_their_number(void **state)
{
    static const int64_t seqs[] = {1, 42, INT64_MAX};
    const char *run = "886313e1-3b8a-5372-9b90-0c9aee199e5d";
    char id[UUID_LEN], named[UUID_LEN], name[24];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(seqs); i++) {
        snprintf(name, sizeof name, "%lld", (long long)seqs[i]);
        uuid_of_event(run, seqs[i], id);
        uuid_v5(run, name, named);
        assert_string_equal(id, named);
        assert_int_equal(id[14], '5');
    }
}

static void
test_random_ids(void **state)
{
    char a[UUID_LEN], b[UUID_LEN], lower[UUID_LEN];

    (void)state;
    uuid_v4(a);
    uuid_v4(b);
    assert_true(uuid_is_valid(a));
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_string_not_equal(a, b);
    uuid_lower(a, lower);
    assert_string_equal(a, lower);
}

static void
test_validity(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"886313e1-3b8a-5372-9b90-0c9aee199e5d", true},
        {"886313E1-3B8A-5372-9B90-0C9AEE199E5D", true},
        {"00000000-0000-0000-0000-000000000000", true},
        {"", false},
        {"886313e1-3b8a-5372-9b90-0c9aee199e5", false},
        {"886313e1-3b8a-5372-9b90-0c9aee199e5d0", false},
        {"886313e1-3b8a-5372-9b90-0c9aee199e5g", false},
        {"886313e13b8a-5372-9b90-0c9aee199e5d-", false},
        {"{86313e1-3b8a-5372-9b90-0c9aee199e5}", false},
        {"886313e13b8a53729b900c9aee199e5d", false},
        {" 86313e1-3b8a-5372-9b90-0c9aee199e5d", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (uuid_is_valid(cases[i].text) != cases[i].valid)
            fail_msg("%s", cases[i].text);
}

static void
test_bytes_and_case(void **state)
{
    static const uint8_t expected[16] = {0x88, 0x63, 0x13, 0xe1, 0x3b, 0x8a, 0x53, 0x72,
                                         0x9b, 0x90, 0x0c, 0x9a, 0xee, 0x19, 0x9e, 0x5d};
    const char *upper = "886313E1-3B8A-5372-9B90-0C9AEE199E5D";
    char lower[UUID_LEN];
    uint8_t bytes[16];

    (void)state;
    uuid_bytes(upper, bytes);
    assert_memory_equal(bytes, expected, sizeof bytes);
    uuid_lower(upper, lower);
    assert_string_equal(lower, "886313e1-3b8a-5372-9b90-0c9aee199e5d");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_based_vectors),
        cmocka_unit_test(test_event_ids_are_named_by_their_number),
        cmocka_unit_test(test_random_ids),
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_bytes_and_case),
    };

    return cmocka_run_group_tests_name("uuid", tests, NULL, NULL);
}
