/* Prices of model calls: the built-in list, and files over it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/price.h"

static char path[] = "/tmp/macp-prices-XXXXXX";

static bool
load(const char *text, struct price_list **out, struct err *err)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return price_list_load(path, out, err);
}

static void
built_in_list_matches_names_exactly(void **state)
{
    (void)state;
    assert_float_equal(price_of_call(NULL, "gpt-4o", 1000000, 0), 2.5, 1e-9);
    assert_float_equal(price_of_call(NULL, "gpt-4o", 0, 1000000), 10, 1e-9);
    assert_float_equal(price_of_call(NULL, "GPT-4o", 1000000, 1000000), 4, 1e-9);
    assert_float_equal(price_of_call(NULL, NULL, 1000000, 1000000), 4, 1e-9);
}

static void
file_replaces_adds_and_sets_the_price_of_all_others(void **state)
{
    struct price_list *list;
    struct err err;

    (void)state;
    assert_true(load("{\"gpt-4o\": {\"prompt\": 1, \"completion\": 2},"
                     " \"mine\": {\"prompt\": 0, \"completion\": 7},"
                     " \"*\": {\"prompt\": 5, \"completion\": 5}}",
                     &list, &err));
    assert_float_equal(price_of_call(list, "gpt-4o", 1000000, 1000000), 3, 1e-9);
    assert_float_equal(price_of_call(list, "mine", 1000000, 1000000), 7, 1e-9);
    assert_float_equal(price_of_call(list, "gpt-4-turbo", 1000000, 0), 10, 1e-9);
    assert_float_equal(price_of_call(list, "unheard-of", 1000000, 1000000), 10, 1e-9);
    price_list_free(list);
}

static void
unusable_files_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "line 1"},
        {"[]", "not a JSON object"},
        {"{\"m\": 1}", "\"m\" needs prompt and completion"},
        {"{\"m\": {\"prompt\": 1}}", "\"m\" needs prompt and completion"},
        {"{\"m\": {\"prompt\": \"1\", \"completion\": 1}}", "\"m\" needs"},
        {"{\"m\": {\"prompt\": -1, \"completion\": 1}}", "numbers from 0 on"},
    };
    struct price_list *list = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_false(load(cases[i].text, &list, &err));
        assert_null(list);
        assert_non_null(strstr(err.msg, cases[i].reason));
        assert_non_null(strstr(err.msg, path));
    }
    assert_false(price_list_load("/nonexistent/prices.json", &list, &err));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_list_matches_names_exactly),
        cmocka_unit_test(file_replaces_adds_and_sets_the_price_of_all_others),
        cmocka_unit_test(unusable_files_are_refused_with_the_reason),
    };
    int fd = mkstemp(path);
    int failed;

    if (fd < 0)
        return EXIT_FAILURE;
    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
