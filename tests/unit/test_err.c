/* Errors: filling, wrapping, cutting, and the table of what they mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/err.h"

static void
test_set_returns_false_and_replaces(void **state)
{
    struct err err = {.code = ERR_DB, .sqlstate = "40001", .detail = "7", .msg = "old"};

    (void)state;
    assert_false(err_set(&err, ERR_VALIDATION, "%s must be positive", "ttl"));
    assert_int_equal(err.code, ERR_VALIDATION);
    assert_string_equal(err.msg, "ttl must be positive");
    assert_string_equal(err.sqlstate, "");
    assert_string_equal(err.detail, "");
    assert_false(err_set(NULL, ERR_IO, "nobody asks"));
}

static void
test_a_message_may_wrap_itself(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, ERR_DB, "connection lost");
    err_set(&err, ERR_DB, "cannot store the batch: %s", err.msg);
    assert_string_equal(err.msg, "cannot store the batch: connection lost");
}

static void
test_long_messages_are_cut(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, ERR_IO, "%*s", 5000, "x");
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void
test_a_cut_never_splits_a_character(void **state)
{
    static const char *const characters[] = {"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(characters); i++) {
        size_t size = strlen(characters[i]);

        for (size_t shift = 0; shift < size; shift++) {
            struct err err;
            char text[2048] = {0};
            size_t len = shift;

            memset(text, 'a', shift);
            for (; len + size < sizeof text; len += size)
                memcpy(text + len, characters[i], size);
            err_set(&err, ERR_IO, "%s", text);
            len = strlen(err.msg);
            assert_int_equal((len - shift) % size, 0);
            assert_true(len + size > sizeof err.msg - 1);
        }
    }
}

static void
test_the_table_is_complete(void **state)
{
    (void)state;
    for (int code = 0; code < ERR__COUNT; code++) {
        int status = err_http_status((enum err_code)code);

        assert_non_null(err_name((enum err_code)code));
        assert_true(strlen(err_name((enum err_code)code)) > 1);
        assert_true(code == ERR_NONE ? status == 200 : status >= 400 && status < 600);
        assert_true(err_shape_of((enum err_code)code) == ERR_SHAPE_A ||
                    err_shape_of((enum err_code)code) == ERR_SHAPE_N);
    }
}

static void
test_what_some_errors_mean(void **state)
{
    static const struct {
        enum err_code code;
        int status;
        bool retry;
        enum err_shape shape;
        const char *name;
    } cases[] = {
        {ERR_VALIDATION, 400, false, ERR_SHAPE_N, "Bad Request"},
        {ERR_UNAUTHORIZED, 401, false, ERR_SHAPE_N, "Unauthorized"},
        {ERR_NOT_FOUND, 404, false, ERR_SHAPE_N, "Not Found"},
        {ERR_SESSION_EXISTS, 409, false, ERR_SHAPE_A, "SESSION_ALREADY_EXISTS"},
        {ERR_RUNTIME, 503, true, ERR_SHAPE_A, "RUNTIME_UNAVAILABLE"},
        {ERR_RUNTIME_TIMEOUT, 504, true, ERR_SHAPE_A, "RUNTIME_TIMEOUT"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(err_http_status(cases[i].code), cases[i].status);
        assert_int_equal(err_is_retryable(cases[i].code), cases[i].retry);
        assert_int_equal(err_shape_of(cases[i].code), cases[i].shape);
        assert_string_equal(err_name(cases[i].code), cases[i].name);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_returns_false_and_replaces),
        cmocka_unit_test(test_a_message_may_wrap_itself),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_a_cut_never_splits_a_character),
        cmocka_unit_test(test_the_table_is_complete),
        cmocka_unit_test(test_what_some_errors_mean),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
