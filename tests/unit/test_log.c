/* Log lines: each is one JSON object with the members that are known, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include "shared/clock.h"
#include "shared/log.h"

static FILE *captured;
static int real_stderr;

/* Standard error goes into a file from here to release(). */
static void
capture(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

static char *
release(void)
{
    long n;
    char *text;

    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    fseek(captured, 0, SEEK_END);
    n = ftell(captured);
    text = calloc(1, (size_t)n + 1);
    rewind(captured);
    assert_int_equal(fread(text, 1, (size_t)n, captured), n);
    fclose(captured);
    return text;
}

/* The one line that was logged. */
static json_t *
release_line(void)
{
    char *text = release();
    json_t *line;

    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    free(text);
    return line;
}

static const char *
text_of(json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static void
test_a_plain_line(void **state)
{
    json_t *line;
    int64_t ms;

    (void)state;
    log_open("macp-test", LOG_INFO);
    capture();
    log_info("took %d runs", 3);
    line = release_line();
    assert_int_equal(json_object_size(line), 4);
    assert_true(clock_parse(text_of(line, "ts"), &ms));
    assert_string_equal(text_of(line, "level"), "info");
    assert_string_equal(text_of(line, "program"), "macp-test");
    assert_string_equal(text_of(line, "msg"), "took 3 runs");
    json_decref(line);
}

static void
test_a_line_with_everything(void **state)
{
    struct err err = {.code = ERR_DB, .sqlstate = "40001", .msg = "serialization failure"};
    struct log_ctx ctx = {"run", "session", "request", 42, &err};
    json_t *line;

    (void)state;
    capture();
    log_line(LOG_ERROR, &ctx, "cannot store");
    line = release_line();
    assert_int_equal(json_object_size(line), 10);
    assert_string_equal(text_of(line, "run_id"), "run");
    assert_string_equal(text_of(line, "session_id"), "session");
    assert_string_equal(text_of(line, "request_id"), "request");
    assert_int_equal(json_integer_value(json_object_get(line, "seq")), 42);
    assert_string_equal(text_of(line, "err"), "serialization failure");
    assert_string_equal(text_of(line, "sqlstate"), "40001");
    json_decref(line);
}

static void
test_unknown_members_are_left_out(void **state)
{
    struct err err = {.code = ERR_IO, .msg = "disk full"};
    json_t *line;

    (void)state;
    capture();
    log_err(LOG_WARN, &err, "cannot spool");
    line = release_line();
    assert_int_equal(json_object_size(line), 5);
    assert_string_equal(text_of(line, "err"), "disk full");
    json_decref(line);
}

static void
test_untrusted_bytes_stay_in_their_string(void **state)
{
    json_t *line;

    (void)state;
    capture();
    log_warn("bad \"name\"\n{\"level\":\"fatal\"} %s", "\x1b[31m\xff\xc3");
    line = release_line();
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "msg"),
                        "bad \"name\"\n{\"level\":\"fatal\"} \x1b[31m\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(line);
}

static void
test_long_messages_are_whole(void **state)
{
    json_t *line;

    (void)state;
    capture();
    log_info("%*s", 100000, "x");
    line = release_line();
    assert_int_equal(json_string_length(json_object_get(line, "msg")), 100000);
    json_decref(line);
}

static void
test_levels_cut_what_is_below(void **state)
{
    (void)state;
    for (int at = 0; at < LOG_LEVEL__COUNT; at++) {
        log_set_level((enum log_level)at);
        for (int level = 0; level < LOG_SILENT; level++) {
            char *text;

            assert_int_equal(log_enabled((enum log_level)level), level >= at);
            capture();
            log_line((enum log_level)level, NULL, "x");
            text = release();
            assert_int_equal(text[0] != '\0', level >= at);
            free(text);
        }
        assert_false(log_enabled(LOG_SILENT));
    }
    log_set_level(LOG_INFO);
}

static void
test_level_names(void **state)
{
    static const struct {
        const char *name;
        enum log_level level;
    } cases[] = {{"trace", LOG_TRACE},   {"debug", LOG_DEBUG}, {"info", LOG_INFO},
                 {"warn", LOG_WARN},     {"error", LOG_ERROR}, {"fatal", LOG_FATAL},
                 {"silent", LOG_SILENT}, {"INFO", LOG_INFO}};
    enum log_level level = LOG_DEBUG;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(log_level_parse(cases[i].name, &level));
        assert_int_equal(level, cases[i].level);
    }
    level = LOG_DEBUG;
    assert_false(log_level_parse("verbose", &level));
    assert_false(log_level_parse("", &level));
    assert_int_equal(level, LOG_DEBUG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_line),
        cmocka_unit_test(test_a_line_with_everything),
        cmocka_unit_test(test_unknown_members_are_left_out),
        cmocka_unit_test(test_untrusted_bytes_stay_in_their_string),
        cmocka_unit_test(test_long_messages_are_whole),
        cmocka_unit_test(test_levels_cut_what_is_below),
        cmocka_unit_test(test_level_names),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
