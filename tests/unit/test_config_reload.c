/* Settings in files, and settings that change while the program runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/config.h"
#include "shared/config_file.h"

static char path[] = "/tmp/macp-env.XXXXXX";

static void
write_file(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static bool
says(const struct config_report *report, enum config_severity severity, const char *text)
{
    for (size_t i = 0; i < report->n; i++)
        if (report->items[i].severity == severity && strstr(report->items[i].text, text))
            return true;
    return false;
}

static const char *
entry(char *const *envp, const char *name)
{
    size_t n = strlen(name);

    for (; *envp; envp++)
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
            return *envp + n + 1;
    return NULL;
}

static void
file_is_read_as_systemd_reads_it(void **state)
{
    char *const given[] = {(char *)"A=environment", (char *)"B=environment", NULL};
    struct config_report report = {0};
    struct arena arena = {0};
    char **all;

    (void)state;
    write_file("# comment\n; comment\n\n  A = \n\nA=file\nC=\"a \\\"b\\\" \\\\ c\" \nD='x # y'\n"
               "E= plain # no comment \nF=first\nF=last\nG=");
    assert_false(config_file_read(path, given, &arena, &all, &report));
    assert_true(says(&report, CONFIG_ERROR, ":4: is not NAME=value"));
    config_report_fini(&report);
    write_file("# comment\n; comment\n\nA=file\nC=\"a \\\"b\\\" \\\\ c\" \nD='x # y'\n"
               "E= plain # no comment \nF=first\nF=last\nG=");
    assert_true(config_file_read(path, given, &arena, &all, &report));
    assert_string_equal(entry(all, "A"), "file");
    assert_string_equal(entry(all, "B"), "environment");
    assert_string_equal(entry(all, "C"), "a \"b\" \\ c");
    assert_string_equal(entry(all, "D"), "x # y");
    assert_string_equal(entry(all, "E"), "plain # no comment");
    assert_string_equal(entry(all, "F"), "last");
    assert_string_equal(entry(all, "G"), "");
    config_report_fini(&report);
    arena_fini(&arena);
}

static void
broken_files_are_refused_without_showing_values(void **state)
{
    static const char *const broken[] = {"secret\n",     "=secret\n",         "1A=secret\n",
                                         "A=\"secret\n", "A='secret' more\n", "export A=secret\n"};
    char *const nothing[] = {NULL};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct config_report report = {0};
        struct arena arena = {0};
        char **all;

        write_file(broken[i]);
        assert_false(config_file_read(path, nothing, &arena, &all, &report));
        assert_true(says(&report, CONFIG_ERROR, ":1: "));
        assert_false(says(&report, CONFIG_ERROR, "secret"));
        config_report_fini(&report);
        arena_fini(&arena);
    }
    {
        struct config_report report = {0};
        struct config *cfg;

        assert_false(config_load_env(CONFIG_OBSERVERD, "/no/such/file", &cfg, &report));
        assert_true(says(&report, CONFIG_ERROR, "/no/such/file cannot be read"));
        config_report_fini(&report);
    }
}

/* The example is a file that this program reads: nothing in it is in force until uncommented. */
static void
printed_example_is_such_a_file(void **state)
{
    struct config_report report = {0};
    char *const nothing[] = {NULL};
    struct arena arena = {0};
    FILE *f = fopen(path, "w");
    char **all;

    (void)state;
    assert_non_null(f);
    config_print_example(f, CONFIG_BOTH);
    fclose(f);
    assert_true(config_file_read(path, nothing, &arena, &all, &report));
    assert_null(all[0]);
    config_report_fini(&report);
    arena_fini(&arena);
}

#define BASE                                                                                       \
    "MACP_ENV=development\nDATABASE_URL=postgres:///x\nRUNTIME_BEARER_TOKEN=old-token-value\n"

static void
reload_takes_what_may_change_and_names_the_rest(void **state)
{
    struct config_report report = {0};
    struct config *first, *second, *third;

    (void)state;
    write_file(BASE "LOG_LEVEL=info\nSTREAM_BACKOFF_MAX_MS=1000\nOBSERVERD_BATCH_EVENTS=10\n"
                    "RUNTIME_ADDRESS=a:1\n");
    assert_true(config_load_env(CONFIG_OBSERVERD, path, &first, &report));
    config_report_fini(&report);
    assert_string_equal(first->env_file, path);
    write_file("MACP_ENV=development\nDATABASE_URL=postgres:///x\n"
               "RUNTIME_BEARER_TOKEN=new-token-value\nLOG_LEVEL=debug\n"
               "STREAM_BACKOFF_MAX_MS=2000\nDATA_RETENTION_TTL_DAYS=7\nOBSERVERD_BATCH_EVENTS=20\n"
               "MACP_REDACT_PATTERNS=a,b\nWEBHOOK_RETRY_SCHEDULE=9\n");
    assert_true(config_reload(first, &second, &report));
    assert_true(says(&report, CONFIG_NOTICE, "LOG_LEVEL: is now \"debug\", was \"info\""));
    assert_true(says(&report, CONFIG_NOTICE, "STREAM_BACKOFF_MAX_MS: is now"));
    assert_true(says(&report, CONFIG_NOTICE, "AUDIT_RETENTION_TTL_DAYS: is now \"7\""));
    assert_true(says(&report, CONFIG_NOTICE, "RUNTIME_BEARER_TOKEN: has changed"));
    assert_true(says(&report, CONFIG_NOTICE,
                     "MACP_REDACT_PATTERNS: the variable and its file hold 2 patterns"));
    assert_true(says(&report, CONFIG_WARNING, "OBSERVERD_BATCH_EVENTS: has changed; that takes"));
    assert_true(says(&report, CONFIG_WARNING, "RUNTIME_ADDRESS: has changed; that takes"));
    assert_true(says(&report, CONFIG_WARNING, "WEBHOOK_RETRY_SCHEDULE: has changed; that takes"));
    for (size_t i = 0; i < report.n; i++) {
        assert_null(strstr(report.items[i].text, "token-value"));
        assert_null(strstr(report.items[i].text, "OBSERVERD_INSTANCE_ID"));
    }
    config_report_fini(&report);
    assert_string_equal(second->log_level, "debug");
    assert_int_equal(second->stream_backoff_max_ms, 2000);
    assert_int_equal(second->audit_retention_ttl_days, 7);
    assert_string_equal(second->runtime_bearer_token, "new-token-value");
    assert_int_equal(second->redact_patterns.n, 2);
    assert_int_equal(second->observerd_batch_events, 10);
    assert_string_equal(second->runtime_address, "a:1");
    assert_string_equal(second->observerd_instance_id, first->observerd_instance_id);
    assert_int_equal(second->webhook_retry_s[0], first->webhook_retry_s[0]);

    /* The same again: nothing to say about what may change. */
    assert_true(config_reload(second, &third, &report));
    assert_false(says(&report, CONFIG_NOTICE, "LOG_LEVEL"));
    assert_false(says(&report, CONFIG_NOTICE, "MACP_REDACT_PATTERNS"));
    config_report_fini(&report);
    config_free(third);

    write_file(BASE "LOG_LEVEL=loud\n");
    assert_false(config_reload(second, &third, &report));
    assert_true(says(&report, CONFIG_ERROR, "LOG_LEVEL"));
    config_report_fini(&report);
    unlink(path);
    assert_false(config_reload(second, &third, &report));
    config_report_fini(&report);
    config_free(second);
    config_free(first);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_read_as_systemd_reads_it),
        cmocka_unit_test(broken_files_are_refused_without_showing_values),
        cmocka_unit_test(printed_example_is_such_a_file),
        cmocka_unit_test(reload_takes_what_may_change_and_names_the_rest),
    };
    int fd = mkstemp(path), status;

    if (fd < 0)
        return 1;
    close(fd);
    status = cmocka_run_group_tests_name("config_reload", tests, NULL, NULL);
    unlink(path);
    return status;
}
