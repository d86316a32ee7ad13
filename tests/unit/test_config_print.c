/* What is shown of settings: masks, help, the example file, JSON, the hash, the report. */
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

#include "shared/buf.h"
#include "shared/config.h"

enum { VARS_MAX = 24 };

#define KEY_A "0123456789abcdefA"

/* Enough for both programs to start in production, and in development. */
#define PRODUCTION                                                                                 \
    "AUTH_API_KEYS=" KEY_A, "DATABASE_URL=postgres://u:pw@h/d", "RUNTIME_TLS=true",                \
        "RUNTIME_BEARER_TOKEN=observer-token", "OBSERVERD_SPOOL_DIR=/tmp"
#define DEVELOPMENT "MACP_ENV=development"

struct loaded {
    struct config *cfg;
    struct config_report report;
    bool ok;
};

static struct loaded
load(enum config_process who, const char *const *vars)
{
    struct loaded l = {0};
    char *envp[VARS_MAX + 1];
    size_t n = 0;

    for (; vars[n]; n++) {
        assert_true(n < VARS_MAX);
        envp[n] = strdup(vars[n]);
    }
    envp[n] = NULL;
    l.ok = config_load(who, envp, &l.cfg, &l.report);
    for (size_t i = 0; i < n; i++)
        free(envp[i]); /* nothing may still point there */
    assert_int_equal(l.ok, l.cfg != NULL);
    assert_int_equal(l.ok, l.report.count[CONFIG_ERROR] == 0);
    return l;
}

#define LOAD(who, ...) load((who), (const char *const[]){__VA_ARGS__, NULL})

static void
unload(struct loaded *l)
{
    config_free(l->cfg);
    config_report_fini(&l->report);
}

static void
dump(const struct loaded *l)
{
    config_report_print(&l->report, stderr);
}

static const char *
print_to_text(void (*print)(FILE *, const void *, enum config_process), const void *arg,
              enum config_process who, char **text)
{
    size_t n = 0;
    FILE *f = open_memstream(text, &n);

    print(f, arg, who);
    fclose(f);
    return *text;
}

static void
do_help(FILE *f, const void *arg, enum config_process who)
{
    (void)arg;
    config_print_help(f, who);
}

static void
do_example(FILE *f, const void *arg, enum config_process who)
{
    (void)arg;
    config_print_example(f, who);
}

static void
do_effective(FILE *f, const void *arg, enum config_process who)
{
    config_print_effective(f, arg, who);
}

static void
test_connection_strings_are_masked(void **state)
{
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"postgres://u:pw@h:5432/d", "postgres://u:****@h:5432/d"},
        {"postgres://u:p@w/x@h/d", "postgres://u:****@h/d"},
        {"postgres://u@h/d", "postgres://u@h/d"},
        {"postgres://h:5432/d", "postgres://h:5432/d"},
        {"postgres://h/d?user=u&password=pw&sslmode=require",
         "postgres://h/d?user=u&password=****&sslmode=require"},
        {"postgres://h/d?p%61ssword=pw", "postgres://h/d?p%61ssword=****"},
        {"host=h password=pw dbname=d", "host=h password=**** dbname=d"},
        {"password='a \\' b' host=h", "password=**** host=h"},
        {"password = 'pw' host=h", "password =**** host=h"},
        {"password=a\\ b sslpassword=c", "password=**** sslpassword=****"},
        {"host=h", "host=h"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF out = {0};

        config_mask_url(&out, cases[i].url);
        assert_string_equal(buf_cstr(&out), cases[i].shown);
    }
}

static void
test_no_output_shows_a_secret(void **state)
{
    struct loaded l = LOAD(CONFIG_BOTH, "AUTH_API_KEYS=hunter2hunter2hunter2", "RUNTIME_TLS=1",
                           "RUNTIME_BEARER_TOKEN=hunter2", "DATABASE_URL=postgres://u:hunter2@h/d",
                           "DATABASE_READ_URL=host=h password=hunter2",
                           "OTEL_EXPORTER_OTLP_HEADERS=authorization=hunter2");
    AUTO_BUF json = {0};
    char *text = NULL;

    (void)state;
    assert_true(l.ok);
    print_to_text(do_effective, l.cfg, CONFIG_BOTH, &text);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "\nAUTH_API_KEYS=****\n"));
    assert_non_null(strstr(text, "\nRUNTIME_BEARER_TOKEN=****\n"));
    assert_non_null(strstr(text, "\nDATABASE_URL=postgres://u:****@h/d\n"));
    free(text);
    config_write_json(&json, l.cfg);
    assert_null(strstr(buf_cstr(&json), "hunter2"));
    assert_null(strstr(buf_cstr(&json), "RUNTIME_BEARER_TOKEN\""));
    unload(&l);

    l = LOAD(CONFIG_BOTH, "AUTH_API_KEYS=hunter2", "RUNTIME_BEARER_TOKEN=hunter2.x",
             "DATABASE_URL=hunter2", "DATABASE_READ_URL=hunter2",
             "OTEL_EXPORTER_OTLP_HEADERS=hunter2");
    assert_int_equal(l.report.count[CONFIG_ERROR] >= 5, true);
    for (size_t i = 0; i < l.report.n; i++)
        assert_null(strstr(l.report.items[i].text, "hunter2"));
    unload(&l);
}

static void
test_json_has_typed_values(void **state)
{
    struct loaded l = LOAD(CONFIG_OBSERVERD, DEVELOPMENT, "RUNTIME_TLS_SERVER_NAME=a\"b",
                           "MACP_REDACT_PATTERNS=x,y");
    AUTO_BUF text = {0};
    json_t *json;

    (void)state;
    config_write_json(&text, l.cfg);
    json = json_loads(buf_cstr(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "OBSERVERD_LEASE_MS")), 15000);
    assert_true(json_is_true(json_object_get(json, "RUN_RECOVERY_ENABLED")));
    assert_string_equal(json_string_value(json_object_get(json, "RUNTIME_TLS_SERVER_NAME")),
                        "a\"b");
    assert_int_equal(json_array_size(json_object_get(json, "MACP_REDACT_PATTERNS")), 2);
    assert_null(json_object_get(json, "THROTTLE_LIMIT"));
    json_decref(json);
    unload(&l);
}

static void
test_hash_tells_shared_values_apart(void **state)
{
    static const struct {
        const char *var;
        bool same;
    } cases[] = {
        {"LOG_LEVEL=debug", true},
        {"OTEL_SERVICE_NAME=x", true},
        {"THROTTLE_LIMIT=5", true},
        {"DATABASE_URL=host=other", true},
        {"SESSION_POLL_TIMEOUT_MS=5000", false},
        {"CANCEL_CALLBACK_TIMEOUT_MS=100", false},
        {"OUTBOUND_ALLOW=10.0.0.0/8", false},
    };
    struct loaded base = LOAD(CONFIG_OBSERVERD, PRODUCTION);
    char hash[CONFIG_HASH_LEN], other[CONFIG_HASH_LEN];

    (void)state;
    config_hash(base.cfg, hash);
    assert_int_equal(strlen(hash), CONFIG_HASH_LEN - 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l = LOAD(CONFIG_FCGI, cases[i].var, PRODUCTION);

        assert_true(l.ok);
        config_hash(l.cfg, other);
        if ((strcmp(hash, other) == 0) != cases[i].same)
            fail_msg("%s", cases[i].var);
        unload(&l);
    }
    unload(&base);
}

static void
test_help_and_example_name_every_key(void **state)
{
    static const enum config_process both[] = {CONFIG_FCGI, CONFIG_OBSERVERD};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        char *help = NULL, *example = NULL;

        print_to_text(do_help, NULL, both[i], &help);
        print_to_text(do_example, NULL, both[i], &example);
        for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
            const struct config_row *row = config_row((enum config_key)key);
            AUTO_BUF heading = {0}, line = {0};

            assert_true(strlen(row->doc) > 8);
            buf_printf(&heading, "\n  %s\n", row->name);
            buf_printf(&line, "\n#%s=", row->name);
            assert_int_equal(strstr(help, buf_cstr(&heading)) != NULL,
                             (row->process & both[i]) != 0);
            assert_int_equal(strstr(example, buf_cstr(&line)) != NULL,
                             (row->process & both[i]) != 0);
        }
        free(help);
        free(example);
    }
}

/* The example with its # removed must load as the defaults do. */
static void
test_example_is_loadable(void **state)
{
    char *envp[CONFIG_KEY__COUNT * 3], *text = NULL, *save = NULL;
    struct loaded l = {0};
    size_t n = 0;

    (void)state;
    print_to_text(do_example, NULL, CONFIG_BOTH, &text);
    envp[n++] = (char *)(uintptr_t) "MACP_ENV=development";
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] != '#' || line[1] == ' ' || strncmp(line, "#MACP_ENV=", 10) == 0)
            continue;
        envp[n++] = line + 1;
    }
    envp[n] = NULL;
    assert_true(n >= CONFIG_KEY__COUNT);
    l.ok = config_load(CONFIG_BOTH, envp, &l.cfg, &l.report);
    if (!l.ok)
        dump(&l);
    assert_true(l.ok);
    assert_int_equal(l.cfg->throttle_limit, 100);
    free(text);
    unload(&l);
}

static void
test_report_prints_errors_first(void **state)
{
    struct loaded l = LOAD(CONFIG_FCGI, PRODUCTION, "REDIS_URL=r", "MACP_ENVV=x", "FCGI_STREAMS=0");
    size_t n = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &n);

    (void)state;
    config_report_print(&l.report, f);
    fclose(f);
    assert_int_equal(strncmp(text, "error: FCGI_STREAMS: ", 21), 0);
    assert_non_null(strstr(text, "\nwarning: MACP_ENVV: "));
    assert_non_null(strstr(text, "\nnotice: REDIS_URL: "));
    free(text);
    unload(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection_strings_are_masked),
        cmocka_unit_test(test_no_output_shows_a_secret),
        cmocka_unit_test(test_json_has_typed_values),
        cmocka_unit_test(test_hash_tells_shared_values_apart),
        cmocka_unit_test(test_help_and_example_name_every_key),
        cmocka_unit_test(test_example_is_loadable),
        cmocka_unit_test(test_report_prints_errors_first),
    };

    return cmocka_run_group_tests_name("config_print", tests, NULL, NULL);
}
