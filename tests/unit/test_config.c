/* Settings: every rule of reading, refusing, warning, masking and printing them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/buf.h"
#include "shared/config.h"

enum { VARS_MAX = 24 };

#define KEY_A "0123456789abcdefA"
#define KEY_B "0123456789abcdefB"

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

static const struct config_problem *
find(const struct loaded *l, enum config_severity severity, const char *key, const char *part)
{
    for (size_t i = 0; i < l->report.n; i++) {
        const struct config_problem *p = &l->report.items[i];

        if (p->severity == severity && strcmp(p->key, key) == 0 && strstr(p->text, part)) {
            assert_int_equal(strncmp(p->text, key, strlen(key)), 0);
            return p;
        }
    }
    return NULL;
}

static void
dump(const struct loaded *l)
{
    config_report_print(&l->report, stderr);
}

/* What the config command prints. */
static char *
effective(const struct config *cfg)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    config_print_effective(f, cfg, CONFIG_BOTH);
    fclose(f);
    return text;
}

/* --- defaults ------------------------------------------------------------------------------ */

static void
test_defaults_of_every_key(void **state)
{
    static const char *const expected[CONFIG_KEY__COUNT] = {
        [CONFIG_KEY_MACP_ENV] = "development",
        [CONFIG_KEY_LOG_LEVEL] = "info",
        [CONFIG_KEY_FCGI_LISTEN] = "",
        [CONFIG_KEY_FCGI_THREADS] = "*",
        [CONFIG_KEY_FCGI_STREAMS] = "4000",
        [CONFIG_KEY_CORS_ORIGIN] = "http://localhost:3000",
        [CONFIG_KEY_AUTH_API_KEYS] = "",
        [CONFIG_KEY_THROTTLE_TTL_MS] = "60000",
        [CONFIG_KEY_THROTTLE_LIMIT] = "100",
        [CONFIG_KEY_TRUSTED_PROXIES] = "",
        [CONFIG_KEY_DOCS_ENABLED] = "true",
        [CONFIG_KEY_COMMAND_WAIT_MS] = "10000",
        [CONFIG_KEY_OUTBOUND_ALLOW] =
            "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        [CONFIG_KEY_DATABASE_URL] = "postgres://postgres:****@localhost:5432/macp_control_plane",
        [CONFIG_KEY_DATABASE_READ_URL] =
            "postgres://postgres:****@localhost:5432/macp_control_plane",
        [CONFIG_KEY_DB_POOL_CONNECTION_TIMEOUT] = "5000",
        [CONFIG_KEY_RUNTIME_KIND] = "rust",
        [CONFIG_KEY_RUNTIME_ADDRESS] = "127.0.0.1:50051",
        [CONFIG_KEY_RUNTIME_TLS] = "false",
        [CONFIG_KEY_RUNTIME_TLS_CA_FILE] = "",
        [CONFIG_KEY_RUNTIME_TLS_CERT_FILE] = "",
        [CONFIG_KEY_RUNTIME_TLS_KEY_FILE] = "",
        [CONFIG_KEY_RUNTIME_TLS_SERVER_NAME] = "",
        [CONFIG_KEY_RUNTIME_ALLOW_INSECURE] = "true",
        [CONFIG_KEY_RUNTIME_BEARER_TOKEN] = "",
        [CONFIG_KEY_RUNTIME_USE_DEV_HEADER] = "true",
        [CONFIG_KEY_RUNTIME_DEV_AGENT_ID] = "macp-control-plane",
        [CONFIG_KEY_RUNTIME_REQUEST_TIMEOUT_MS] = "30000",
        [CONFIG_KEY_RUNTIME_CIRCUIT_BREAKER_THRESHOLD] = "5",
        [CONFIG_KEY_RUNTIME_CIRCUIT_BREAKER_RESET_MS] = "30000",
        [CONFIG_KEY_RUNTIME_GRPC_MAX_MESSAGE_BYTES] = "16777216",
        [CONFIG_KEY_RUNTIME_KEEPALIVE_MS] = "30000",
        [CONFIG_KEY_MACP_AUTH_SERVICE_URL] = "",
        [CONFIG_KEY_MACP_AUTH_SERVICE_TIMEOUT_MS] = "5000",
        [CONFIG_KEY_MACP_AUTH_TOKEN_TTL_SECONDS] = "3600",
        [CONFIG_KEY_MACP_AUTH_TOKEN_SENDER] = "macp-control-plane",
        [CONFIG_KEY_MACP_AUTH_TOKEN_CAN_MANAGE_REGISTRY] = "false",
        [CONFIG_KEY_SESSION_POLL_BASE_MS] = "100",
        [CONFIG_KEY_SESSION_POLL_MAX_MS] = "1000",
        [CONFIG_KEY_SESSION_POLL_TIMEOUT_MS] = "60000",
        [CONFIG_KEY_SESSION_DISCOVERY_ENABLED] = "true",
        [CONFIG_KEY_SIGNALS_ENABLED] = "true",
        [CONFIG_KEY_DISCOVERY_BACKFILL_MS] = "3600000",
        [CONFIG_KEY_STREAM_IDLE_TIMEOUT_MS] = "120000",
        [CONFIG_KEY_STREAM_MAX_RETRIES] = "5",
        [CONFIG_KEY_STREAM_BACKOFF_BASE_MS] = "250",
        [CONFIG_KEY_STREAM_BACKOFF_MAX_MS] = "30000",
        [CONFIG_KEY_RUN_RECOVERY_ENABLED] = "true",
        [CONFIG_KEY_CANCEL_CALLBACK_TIMEOUT_MS] = "5000",
        [CONFIG_KEY_CANCEL_OPTIMISTIC] = "false",
        [CONFIG_KEY_MACP_REDACT_PATTERNS] = "",
        [CONFIG_KEY_MACP_REDACT_PATTERNS_FILE] = "",
        [CONFIG_KEY_MODEL_PRICES_FILE] = "",
        [CONFIG_KEY_STREAM_SSE_HEARTBEAT_MS] = "15000",
        [CONFIG_KEY_REPLAY_MAX_DELAY_MS] = "2000",
        [CONFIG_KEY_REPLAY_BATCH_SIZE] = "500",
        [CONFIG_KEY_OBSERVERD_INSTANCE_ID] = "*",
        [CONFIG_KEY_OBSERVERD_LEASE_MS] = "15000",
        [CONFIG_KEY_OBSERVERD_CLAIM_INTERVAL_MS] = "1000",
        [CONFIG_KEY_OBSERVERD_MAX_RUNS] = "10000",
        [CONFIG_KEY_OBSERVERD_SHARDS] = "1",
        [CONFIG_KEY_OBSERVERD_BATCH_EVENTS] = "1000",
        [CONFIG_KEY_OBSERVERD_BATCH_BYTES] = "1048576",
        [CONFIG_KEY_OBSERVERD_LINGER_MS] = "2",
        [CONFIG_KEY_OBSERVERD_SPOOL_DIR] = "",
        [CONFIG_KEY_OBSERVERD_SPOOL_BYTES] = "1073741824",
        [CONFIG_KEY_OBSERVERD_STREAMS_PER_CHANNEL] = "100",
        [CONFIG_KEY_OBSERVERD_STATE_CHECK_MS] = "60000",
        [CONFIG_KEY_OBSERVERD_DRAIN_MS] = "12000",
        [CONFIG_KEY_OBSERVERD_METRICS_ADDR] = "127.0.0.1:9465",
        [CONFIG_KEY_WEBHOOK_RETRY_SCHEDULE] = "1,2,30,120,600,3600,21600",
        [CONFIG_KEY_WEBHOOK_TIMEOUT_MS] = "10000",
        [CONFIG_KEY_WEBHOOK_MAX_IN_FLIGHT] = "64",
        [CONFIG_KEY_DATA_RETENTION_ENABLED] = "false",
        [CONFIG_KEY_DATA_RETENTION_TTL_DAYS] = "30",
        [CONFIG_KEY_DATA_RETENTION_INTERVAL_HOURS] = "24",
        [CONFIG_KEY_DATA_RETENTION_BATCH_SIZE] = "500",
        [CONFIG_KEY_AUDIT_RETENTION_TTL_DAYS] = "30",
        [CONFIG_KEY_OTEL_ENABLED] = "false",
        [CONFIG_KEY_OTEL_SERVICE_NAME] = "macp-control-plane",
        [CONFIG_KEY_OTEL_EXPORTER_OTLP_ENDPOINT] = "",
        [CONFIG_KEY_OTEL_EXPORTER_OTLP_HEADERS] = "",
        [CONFIG_KEY_OTEL_RESOURCE_ATTRIBUTES] = "",
        [CONFIG_KEY_OTEL_TRACES_SAMPLER] = "parentbased_always_on",
        [CONFIG_KEY_OTEL_TRACES_SAMPLER_ARG] = "1",
    };
    struct loaded l = LOAD(CONFIG_BOTH, DEVELOPMENT);
    char *text;

    (void)state;
    assert_true(l.ok);
    text = effective(l.cfg);
    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        AUTO_BUF line = {0};

        assert_non_null(expected[key]);
        if (strcmp(expected[key], "*") == 0)
            continue;
        buf_printf(&line, "%s=%s%s\n", config_row((enum config_key)key)->name, expected[key],
                   key == CONFIG_KEY_MACP_ENV ? "" : "  # default");
        if (!strstr(text, buf_cstr(&line)))
            fail_msg("missing line: %s", buf_cstr(&line));
        assert_int_equal(l.cfg->is_set[key], key == CONFIG_KEY_MACP_ENV);
    }
    assert_true(l.cfg->fcgi_threads >= 8);
    assert_int_equal(strlen(l.cfg->observerd_instance_id), 36);
    assert_int_equal(l.cfg->webhook_retry_n, 7);
    assert_int_equal(l.cfg->webhook_retry_s[6], 21600);
    assert_int_equal(l.cfg->redact_patterns.n, 0);
    free(text);
    unload(&l);
}

static void
test_defaults_that_follow_others(void **state)
{
    struct loaded l =
        LOAD(CONFIG_BOTH, PRODUCTION, "SESSION_DISCOVERY_ENABLED=off", "DATA_RETENTION_TTL_DAYS=7");

    (void)state;
    assert_true(l.ok);
    assert_string_equal(l.cfg->macp_env, "production");
    assert_false(l.cfg->is_development);
    assert_false(l.cfg->docs_enabled);
    assert_false(l.cfg->runtime_allow_insecure);
    assert_false(l.cfg->runtime_use_dev_header);
    assert_int_equal(l.cfg->outbound_allow.n, 0);
    assert_false(l.cfg->signals_enabled);
    assert_int_equal(l.cfg->audit_retention_ttl_days, 7);
    assert_string_equal(l.cfg->database_read_url, "postgres://u:pw@h/d");
    unload(&l);

    l = LOAD(CONFIG_BOTH, PRODUCTION, "SESSION_DISCOVERY_ENABLED=off", "SIGNALS_ENABLED=on",
             "DATA_RETENTION_TTL_DAYS=7", "AUDIT_RETENTION_TTL_DAYS=90",
             "DATABASE_READ_URL=postgres://replica/d");
    assert_true(l.ok);
    assert_true(l.cfg->signals_enabled);
    assert_int_equal(l.cfg->audit_retention_ttl_days, 90);
    assert_string_equal(l.cfg->database_read_url, "postgres://replica/d");
    unload(&l);
}

static void
test_environment_names(void **state)
{
    static const struct {
        const char *macp, *node, *env;
    } cases[] = {
        {"MACP_ENV=development", "NODE_ENV=production", "development"},
        {"MACP_ENV=Production", "NODE_ENV=development", "production"},
        {"MACP_ENV=test", "A=b", "test"},
        {"MACP_ENV=", "NODE_ENV=development", "development"},
        {"MACP_ENV=", "NODE_ENV=test", "test"},
        {"MACP_ENV=", "NODE_ENV=staging", "production"},
        {"MACP_ENV=", "NODE_ENV=", "production"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l = LOAD(CONFIG_BOTH, PRODUCTION, cases[i].macp, cases[i].node);

        assert_true(l.ok);
        assert_string_equal(l.cfg->macp_env, cases[i].env);
        assert_int_equal(l.cfg->is_development, strcmp(cases[i].env, "development") == 0);
        unload(&l);
    }
}

/* --- values -------------------------------------------------------------------------------- */

static void
test_refused_values(void **state)
{
    static const struct {
        const char *var, *part;
    } cases[] = {
        {"THROTTLE_LIMIT=abc", "from 1 to 1000000, not \"abc\""},
        {"THROTTLE_LIMIT=Infinity", "whole number"},
        {"THROTTLE_TTL_MS=5s", "whole number"},
        {"THROTTLE_LIMIT=-1", "whole number"},
        {"THROTTLE_LIMIT=+1", "whole number"},
        {"THROTTLE_LIMIT=1.5", "whole number"},
        {"THROTTLE_LIMIT=1e3", "whole number"},
        {"THROTTLE_LIMIT=0x10", "whole number"},
        {"THROTTLE_LIMIT=99999999999999999999", "whole number"},
        {"THROTTLE_LIMIT=1 000", "whole number"},
        {"DOCS_ENABLED=2", "true/false"},
        {"DOCS_ENABLED=enabled", "true/false"},
        {"LOG_LEVEL=verbose", "must be one of fatal error warn info debug trace silent"},
        {"MACP_ENV=staging", "must be one of development test production"},
        {"SESSION_POLL_TIMEOUT_MS=0", "from 1000 to 86400000"},
        {"SESSION_POLL_BASE_MS=0", "from 10 to 60000"},
        {"SESSION_POLL_MAX_MS=50", "must not be less than SESSION_POLL_BASE_MS"},
        {"STREAM_IDLE_TIMEOUT_MS=0", "from 1000"},
        {"STREAM_BACKOFF_MAX_MS=200", "must not be less than STREAM_BACKOFF_BASE_MS"},
        {"RUNTIME_REQUEST_TIMEOUT_MS=0", "from 500"},
        {"CANCEL_CALLBACK_TIMEOUT_MS=0", "from 100"},
        {"MACP_AUTH_SERVICE_TIMEOUT_MS=-5", "from 100"},
        {"MACP_AUTH_SERVICE_URL=tokens.example", "http or https URL"},
        {"MACP_AUTH_SERVICE_URL=ftp://h/", "http or https URL"},
        {"MACP_AUTH_SERVICE_URL=http://", "http or https URL"},
        {"MACP_AUTH_SERVICE_URL=http://h:99999/", "http or https URL"},
        {"MACP_AUTH_SERVICE_URL=https://u:p@h/", "user name or password"},
        {"MACP_AUTH_TOKEN_TTL_SECONDS=40", "from 60"},
        {"DATA_RETENTION_INTERVAL_HOURS=0", "from 1 to 8760"},
        {"DATA_RETENTION_INTERVAL_HOURS=8761", "from 1 to 8760"},
        {"DATA_RETENTION_TTL_DAYS=0", "from 1"},
        {"DATA_RETENTION_BATCH_SIZE=0", "from 1"},
        {"STREAM_SSE_HEARTBEAT_MS=0", "from 1000"},
        {"REPLAY_BATCH_SIZE=0", "from 1"},
        {"REPLAY_MAX_DELAY_MS=-1", "from 0"},
        {"RUNTIME_KIND=foo", "must be one of rust"},
        {"AUTH_API_KEYS= , ", "has commas but no item"},
        {"AUTH_API_KEYS=" KEY_A ",short", "item 2 must be 16 to 256"},
        {"AUTH_API_KEYS=0123456789 abcdefgh", "item 1 must be printable"},
        {"AUTH_API_KEYS=bob:reader:" KEY_A, "item 1 must have the role"},
        {"AUTH_API_KEYS=bob:read:" KEY_A "," KEY_A, "item 2 has the key of item 1"},
        {"RUNTIME_BEARER_TOKEN=head.body.tail", "must not contain a dot"},
        {"RUNTIME_BEARER_TOKEN=two words", "without blanks"},
        {"RUNTIME_ADDRESS=localhost", "host:port"},
        {"RUNTIME_ADDRESS=host:0", "host:port"},
        {"RUNTIME_ADDRESS=unix:///", "host:port"},
        {"RUNTIME_DEV_AGENT_ID=h\xc3\xa9", "printable ASCII"},
        {"RUNTIME_TLS_CA_FILE=/nonexistent/ca.pem", "readable file"},
        {"RUNTIME_TLS_CA_FILE=/tmp", "readable file"},
        {"RUNTIME_TLS_CERT_FILE=/etc/hostname", "needs RUNTIME_TLS_KEY_FILE"},
        {"RUNTIME_TLS_KEY_FILE=/etc/hostname", "needs RUNTIME_TLS_CERT_FILE"},
        {"OBSERVERD_SPOOL_DIR=/nonexistent", "writable directory"},
        {"OBSERVERD_INSTANCE_ID=me", "UUID"},
        {"OBSERVERD_SHARDS=512", "half its cores"},
        {"OBSERVERD_METRICS_ADDR=9465", "host:port"},
        {"OBSERVERD_METRICS_ADDR=::1:9465", "host:port"},
        {"FCGI_LISTEN=relative.sock", "absolute path"},
        {"CORS_ORIGIN=http://a.example/path", "item 1 must be *"},
        {"CORS_ORIGIN=http://a.example,b.example", "item 2 must be *"},
        {"TRUSTED_PROXIES=10.0.0.0/33", "item 1 must be an IP address"},
        {"TRUSTED_PROXIES=proxy.example", "item 1 must be an IP address"},
        {"OUTBOUND_ALLOW=10.0.0/8", "item 1 must be an IP address"},
        {"OUTBOUND_ALLOW=300.1.1.1", "item 1 must be an IP address"},
        {"WEBHOOK_RETRY_SCHEDULE=1,0", "from 1 to 86400, not \"0\""},
        {"WEBHOOK_RETRY_SCHEDULE=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "at most 20"},
        {"DATABASE_URL=mysql://h/d", "postgres:// URL"},
        {"DATABASE_URL=localhost", "postgres:// URL"},
        {"OTEL_TRACES_SAMPLER=jaeger", "must be one of always_on"},
        {"OTEL_TRACES_SAMPLER_ARG=1.5", "from 0 to 1"},
        {"OTEL_TRACES_SAMPLER_ARG=half", "from 0 to 1"},
        {"OTEL_RESOURCE_ATTRIBUTES=deployment", "item 1 must be name=value"},
        {"MACP_REDACT_PATTERNS_FILE=/nonexistent", "readable file"},
        {"RUNTIME_TLS_SERVER_NAME=a\x01z", "control characters"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l = LOAD(CONFIG_BOTH, DEVELOPMENT, cases[i].var);
        char key[64];

        /* The case about MACP_ENV itself replaces the one above. */
        if (strncmp(cases[i].var, "MACP_ENV=", 9) == 0) {
            unload(&l);
            l = LOAD(CONFIG_BOTH, PRODUCTION, cases[i].var);
        }
        snprintf(key, sizeof key, "%.*s", (int)strcspn(cases[i].var, "="), cases[i].var);
        if (l.ok || l.report.count[CONFIG_ERROR] != 1 ||
            !find(&l, CONFIG_ERROR, key, cases[i].part)) {
            dump(&l);
            fail_msg("%s", cases[i].var);
        }
        unload(&l);
    }
}

static void
test_bounds_of_every_integer(void **state)
{
    (void)state;
    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);
        const int64_t values[] = {row->min, row->max, row->max + 1, row->min - 1};

        if (row->type != CONFIG_TYPE_INT)
            continue;
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
            char var[96];
            struct loaded l;
            bool refused;

            snprintf(var, sizeof var, "%s=%lld", row->name, (long long)values[i]);
            l = LOAD(row->process, DEVELOPMENT, var, "SESSION_POLL_MAX_MS=600000",
                     "STREAM_BACKOFF_MAX_MS=600000");
            /* The environment's first value of a name counts, so the row's own is not replaced. */
            refused = find(&l, CONFIG_ERROR, row->name, "must be a whole number") != NULL;
            if (refused != (i >= 2))
                fail_msg("%s", var);
            if (l.ok && key != CONFIG_KEY_FCGI_THREADS)
                assert_int_equal(*(const int64_t *)((const char *)l.cfg + row->offset), values[i]);
            unload(&l);
        }
    }
}

static void
test_accepted_values(void **state)
{
    static const char *const good[] = {
        "THROTTLE_LIMIT=  25\t",
        "THROTTLE_LIMIT=007",
        "STREAM_MAX_RETRIES=0",
        "RUNTIME_ADDRESS=dns:///runtime.example:50051",
        "RUNTIME_ADDRESS=[::1]:50051",
        "RUNTIME_ADDRESS=unix:/run/macp.sock",
        "RUNTIME_ADDRESS=ipv4:10.0.0.1:50051",
        "OBSERVERD_METRICS_ADDR=0.0.0.0:0",
        "FCGI_LISTEN=/run/macp/fcgi.sock",
        "FCGI_LISTEN=127.0.0.1:9000",
        "CORS_ORIGIN=*",
        "CORS_ORIGIN=https://a.example, https://b.example:8443",
        "TRUSTED_PROXIES=10.0.0.0/8,::1,192.168.1.1",
        "OUTBOUND_ALLOW=agents.internal,10.1.0.0/16",
        "MACP_AUTH_SERVICE_URL=https://auth.example/base/",
        "MACP_AUTH_SERVICE_URL=http://[::1]:8080",
        "DATABASE_URL=host=/run/postgresql dbname=macp",
        "DATABASE_URL=postgresql:///macp",
        "OTEL_TRACES_SAMPLER_ARG=0.25",
        "OTEL_TRACES_SAMPLER=TraceIdRatio",
        "LOG_LEVEL=DEBUG",
        "OBSERVERD_INSTANCE_ID=6ba7b811-9dad-11d1-80b4-00c04fd430c8",
        "OBSERVERD_SPOOL_DIR=/tmp",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct loaded l = LOAD(CONFIG_BOTH, DEVELOPMENT, good[i]);

        if (!l.ok) {
            dump(&l);
            fail_msg("%s", good[i]);
        }
        unload(&l);
    }
}

static void
test_instance_id_is_lower_case(void **state)
{
    struct loaded l = LOAD(CONFIG_OBSERVERD, DEVELOPMENT,
                           "OBSERVERD_INSTANCE_ID=6BA7B811-9DAD-11D1-80B4-00C04FD430C8");

    (void)state;
    assert_string_equal(l.cfg->observerd_instance_id, "6ba7b811-9dad-11d1-80b4-00c04fd430c8");
    unload(&l);
}

static void
test_booleans_in_every_spelling(void **state)
{
    static const struct {
        const char *text;
        bool value;
    } cases[] = {{"1", true},    {"true", true},  {"yes", true}, {"on", true},     {"TRUE", true},
                 {"On", true},   {" yes ", true}, {"0", false},  {"false", false}, {"no", false},
                 {"off", false}, {"No", false},   {"", true}}; /* empty: the default */

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char var[64];
        struct loaded l;

        snprintf(var, sizeof var, "RUN_RECOVERY_ENABLED=%s", cases[i].text);
        l = LOAD(CONFIG_OBSERVERD, DEVELOPMENT, var);
        assert_true(l.ok);
        assert_int_equal(l.cfg->run_recovery_enabled, cases[i].value);
        unload(&l);
    }
}

static void
test_empty_counts_as_unset(void **state)
{
    struct loaded l = LOAD(CONFIG_BOTH, DEVELOPMENT, "THROTTLE_LIMIT=", "LOG_LEVEL=  ",
                           "RUNTIME_ADDRESS=", "AUTH_API_KEYS=", "MACP_UNKNOWN=", "PORT=");

    (void)state;
    assert_true(l.ok);
    assert_int_equal(l.cfg->throttle_limit, 100);
    assert_string_equal(l.cfg->log_level, "info");
    assert_string_equal(l.cfg->runtime_address, "127.0.0.1:50051");
    assert_int_equal(l.cfg->auth_api_keys.n, 0);
    assert_false(l.cfg->is_set[CONFIG_KEY_THROTTLE_LIMIT]);
    assert_null(find(&l, CONFIG_WARNING, "MACP_UNKNOWN", ""));
    assert_int_equal(l.report.count[CONFIG_NOTICE], 0);
    unload(&l);
}

static void
test_lists_are_split_and_trimmed(void **state)
{
    struct loaded l = LOAD(CONFIG_BOTH, DEVELOPMENT, "MACP_REDACT_PATTERNS= sk-[a-z]+ ,, \\d{16} ,",
                           "AUTH_API_KEYS=" KEY_A " , " KEY_B, "WEBHOOK_RETRY_SCHEDULE=5,10");

    (void)state;
    assert_true(l.ok);
    assert_int_equal(l.cfg->redact_patterns.n, 2);
    assert_string_equal(l.cfg->redact_patterns.items[0], "sk-[a-z]+");
    assert_string_equal(l.cfg->redact_patterns.items[1], "\\d{16}");
    assert_int_equal(l.cfg->auth_api_keys.n, 2);
    assert_string_equal(l.cfg->auth_api_keys.items[1], KEY_B);
    assert_int_equal(l.cfg->webhook_retry_n, 2);
    assert_int_equal(l.cfg->webhook_retry_s[1], 10);
    unload(&l);
}

/* --- files --------------------------------------------------------------------------------- */

static void
temp_file(char path[64], const void *data, size_t n)
{
    int fd;

    snprintf(path, 64, "/tmp/test_config_XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    close(fd);
}

static void
test_secrets_from_files(void **state)
{
    char token[64], keys[64], db[64], v[3][128];
    struct loaded l;

    (void)state;
    temp_file(token, "observer-token\n", 15);
    temp_file(keys, KEY_A "\n" KEY_B "\n", 2 * sizeof KEY_A);
    temp_file(db, "postgres://u:secret@h/d\r\n", 25);
    snprintf(v[0], sizeof v[0], "RUNTIME_BEARER_TOKEN_FILE=%s", token);
    snprintf(v[1], sizeof v[1], "AUTH_API_KEYS_FILE=%s", keys);
    snprintf(v[2], sizeof v[2], "DATABASE_URL_FILE=%s", db);
    l = LOAD(CONFIG_BOTH, "RUNTIME_TLS=1", v[0], v[1], v[2]);
    if (!l.ok)
        dump(&l);
    assert_true(l.ok);
    assert_string_equal(l.cfg->runtime_bearer_token, "observer-token");
    assert_int_equal(l.cfg->auth_api_keys.n, 2);
    assert_string_equal(l.cfg->auth_api_keys.items[1], KEY_B);
    assert_string_equal(l.cfg->database_url, "postgres://u:secret@h/d");
    unload(&l);

    l = LOAD(CONFIG_BOTH, PRODUCTION, v[0], v[1], v[2]);
    assert_false(l.ok);
    assert_non_null(find(&l, CONFIG_ERROR, "RUNTIME_BEARER_TOKEN_FILE", "set only one"));
    assert_non_null(find(&l, CONFIG_ERROR, "AUTH_API_KEYS_FILE", "set only one"));
    assert_non_null(find(&l, CONFIG_ERROR, "DATABASE_URL_FILE", "set only one"));
    unload(&l);
    unlink(token);
    unlink(keys);
    unlink(db);
}

static void
test_secret_files_that_are_refused(void **state)
{
    static char big[65537];
    const struct {
        const void *data;
        size_t n;
        const char *part;
    } cases[] = {{"", 0, "is empty"},
                 {" \n", 2, "is empty"},
                 {"a\0b", 3, "NUL byte"},
                 {big, sizeof big, "larger than 64 KiB"}};
    struct loaded l;

    (void)state;
    memset(big, 'x', sizeof big);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[64], var[128];

        temp_file(path, cases[i].data, cases[i].n);
        snprintf(var, sizeof var, "RUNTIME_BEARER_TOKEN_FILE=%s", path);
        l = LOAD(CONFIG_OBSERVERD, DEVELOPMENT, var);
        assert_non_null(find(&l, CONFIG_ERROR, "RUNTIME_BEARER_TOKEN_FILE", cases[i].part));
        unload(&l);
        unlink(path);
    }
    l = LOAD(CONFIG_FCGI, DEVELOPMENT, "AUTH_API_KEYS_FILE=/nonexistent", "DATABASE_URL_FILE=/tmp");
    assert_non_null(find(&l, CONFIG_ERROR, "AUTH_API_KEYS_FILE", "No such file"));
    assert_non_null(find(&l, CONFIG_ERROR, "DATABASE_URL_FILE", "not a regular file"));
    unload(&l);
}

static void
test_redaction_file_is_added(void **state)
{
    char path[64], var[128];
    struct loaded l;

    (void)state;
    temp_file(path, "a{1,2}\n\n#b\r\n", 12);
    snprintf(var, sizeof var, "MACP_REDACT_PATTERNS_FILE=%s", path);
    l = LOAD(CONFIG_OBSERVERD, DEVELOPMENT, "MACP_REDACT_PATTERNS=x", var);
    assert_true(l.ok);
    assert_int_equal(l.cfg->redact_patterns.n, 3);
    assert_string_equal(l.cfg->redact_patterns.items[0], "x");
    assert_string_equal(l.cfg->redact_patterns.items[1], "a{1,2}");
    assert_string_equal(l.cfg->redact_patterns.items[2], "#b");
    unload(&l);
    unlink(path);
}

/* --- rules between settings ---------------------------------------------------------------- */

static void
test_production_requirements_are_warnings_in_development(void **state)
{
    static const struct {
        enum config_process who;
        const char *var, *key, *part;
    } cases[] = {
        {CONFIG_FCGI, "DATABASE_URL=host=h", "AUTH_API_KEYS", "at least one key"},
        {CONFIG_OBSERVERD, "RUNTIME_ALLOW_INSECURE=0", "RUNTIME_TLS", "RUNTIME_ALLOW_INSECURE"},
        {CONFIG_OBSERVERD, "RUNTIME_USE_DEV_HEADER=1", "RUNTIME_USE_DEV_HEADER",
         "development only"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l = LOAD(cases[i].who, cases[i].var);

        assert_non_null(find(&l, CONFIG_ERROR, cases[i].key, cases[i].part));
        unload(&l);
        l = LOAD(cases[i].who, DEVELOPMENT, cases[i].var);
        assert_true(l.ok);
        assert_non_null(find(&l, CONFIG_WARNING, cases[i].key, cases[i].part));
        unload(&l);
    }
}

static void
test_database_is_required_outside_development(void **state)
{
    static const enum config_process both[] = {CONFIG_FCGI, CONFIG_OBSERVERD};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct loaded l = LOAD(both[i], "AUTH_API_KEYS=" KEY_A, "RUNTIME_TLS=1");

        assert_int_equal(l.report.count[CONFIG_ERROR], 1);
        assert_non_null(find(&l, CONFIG_ERROR, "DATABASE_URL", "required"));
        unload(&l);
    }
}

static void
test_plaintext_bearer_needs_the_switch(void **state)
{
    struct loaded l = LOAD(CONFIG_OBSERVERD, "DATABASE_URL=host=h", "RUNTIME_BEARER_TOKEN=token");

    (void)state;
    assert_non_null(find(&l, CONFIG_ERROR, "RUNTIME_TLS", "bearer in plaintext"));
    unload(&l);
    l = LOAD(CONFIG_OBSERVERD, "DATABASE_URL=host=h", "RUNTIME_BEARER_TOKEN=token",
             "RUNTIME_ALLOW_INSECURE=true");
    assert_true(l.ok);
    unload(&l);
    l = LOAD(CONFIG_OBSERVERD, "DATABASE_URL=host=h", "RUNTIME_BEARER_TOKEN=token",
             "MACP_ENV=test");
    assert_false(l.ok);
    unload(&l);
}

static void
test_warnings(void **state)
{
    static const struct {
        const char *var, *key, *part;
    } cases[] = {
        {"OTEL_ENABLED=1", "OTEL_EXPORTER_OTLP_ENDPOINT", "no trace"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT=collector", "OTEL_EXPORTER_OTLP_ENDPOINT", "URL"},
        {"RUNTIME_REQUEST_TIMEOUT_MS=4999", "RUNTIME_REQUEST_TIMEOUT_MS", "below 5000"},
        {"A=b", "RUNTIME_BEARER_TOKEN", "reject every call"},
        {"A=b", "OBSERVERD_SPOOL_DIR", "streams wait"},
        {"RUNTIME_TLS_SERVER_NAME=h", "RUNTIME_TLS", "no effect"},
        {"AUTH_API_KEYS=" KEY_A "," KEY_B "," KEY_A, "AUTH_API_KEYS", "item 3 repeats item 1"},
        {"KICKOFF_MAX_RETRIES=3", "KICKOFF_MAX_RETRIES", "was removed"},
        {"RUNTIME_AGENT_TOKENS_JSON={}", "RUNTIME_AGENT_TOKENS_JSON", "RUNTIME_BEARER_TOKEN"},
        {"RUNTIME_STREAM_SUBSCRIPTION_MESSAGE_TYPE=x", "RUNTIME_STREAM_SUBSCRIPTION_MESSAGE_TYPE",
         "SESSION_DISCOVERY_ENABLED"},
        {"RUNTIME_STREAM_SUBSCRIBER_ID=x", "RUNTIME_STREAM_SUBSCRIBER_ID", "RUNTIME_DEV_AGENT_ID"},
        {"RUNTIME_ADRESS=x", "RUNTIME_ADRESS", "nearest one is RUNTIME_ADDRESS"},
        {"STREAM_BACKOFF_MAXMS=1", "STREAM_BACKOFF_MAXMS", "nearest one is STREAM_BACKOFF_MAX_MS"},
        {"MACP_ENVIRONMENT=x", "MACP_ENVIRONMENT", "not a known variable"},
        {"OBSERVERD_LEASE=1", "OBSERVERD_LEASE", "nearest one is OBSERVERD_LEASE_MS"},
        {"DATA_RETENTION_TTL_DAY=1", "DATA_RETENTION_TTL_DAY", "DATA_RETENTION_TTL_DAYS"},
        {"SESSION_POLL_BASE=1", "SESSION_POLL_BASE", "SESSION_POLL_BASE_MS"},
        {"FCGI_THREAD=1", "FCGI_THREAD", "FCGI_THREADS"},
        {"RUNTIME_BEARER_TOKEN_FIL=/x", "RUNTIME_BEARER_TOKEN_FIL", "RUNTIME_BEARER_TOKEN_FILE"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loaded l = LOAD(CONFIG_BOTH, DEVELOPMENT, cases[i].var);

        if (!l.ok || !find(&l, CONFIG_WARNING, cases[i].key, cases[i].part)) {
            dump(&l);
            fail_msg("%s", cases[i].var);
        }
        unload(&l);
    }
}

static void
test_tracing_needs_a_url_when_enabled(void **state)
{
    struct loaded l =
        LOAD(CONFIG_FCGI, PRODUCTION, "OTEL_ENABLED=1", "OTEL_EXPORTER_OTLP_ENDPOINT=collector");

    (void)state;
    assert_non_null(find(&l, CONFIG_ERROR, "OTEL_EXPORTER_OTLP_ENDPOINT", "URL"));
    unload(&l);
    l = LOAD(CONFIG_FCGI, PRODUCTION, "OTEL_ENABLED=1",
             "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318");
    assert_true(l.ok);
    assert_int_equal(l.report.n, 0);
    unload(&l);
}

static void
test_minting_replaces_the_bearer(void **state)
{
    struct loaded l =
        LOAD(CONFIG_OBSERVERD, "DATABASE_URL=host=h", "RUNTIME_TLS=1", "OBSERVERD_SPOOL_DIR=/tmp",
             "MACP_AUTH_SERVICE_URL=https://auth.example");

    (void)state;
    assert_true(l.ok);
    assert_int_equal(l.report.n, 0);
    unload(&l);
}

static void
test_obsolete_names_get_one_notice(void **state)
{
    static const char *const names[] = {
        "PORT", "HOST", "DB_POOL_MAX", "DB_POOL_IDLE_TIMEOUT", "STREAM_HUB_STRATEGY", "REDIS_URL"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char var[64];
        struct loaded l;

        snprintf(var, sizeof var, "%s=nonsense", names[i]);
        l = LOAD(CONFIG_BOTH, PRODUCTION, var);
        assert_true(l.ok);
        assert_int_equal(l.report.n, 1);
        assert_non_null(find(&l, CONFIG_NOTICE, names[i], "has no effect"));
        unload(&l);
    }
}

static void
test_foreign_names_are_left_alone(void **state)
{
    struct loaded l = LOAD(CONFIG_BOTH, PRODUCTION, "PATH=/bin", "CI=1", "DATABASE_NAME=x",
                           "FCGI_WEB_SERVER_ADDRS=127.0.0.1", "PGHOST=h", "=C:=odd", "novalue");

    (void)state;
    assert_true(l.ok);
    assert_int_equal(l.report.n, 0);
    unload(&l);
}

static void
test_a_program_ignores_the_others_variables(void **state)
{
    struct loaded l = LOAD(CONFIG_FCGI, PRODUCTION, "OBSERVERD_LEASE_MS=never",
                           "RUNTIME_BEARER_TOKEN_FILE=/nonexistent");

    (void)state;
    assert_true(l.ok);
    assert_int_equal(l.report.n, 0);
    assert_int_equal(l.cfg->observerd_lease_ms, 15000);
    assert_string_equal(l.cfg->runtime_bearer_token, "");
    unload(&l);
    l = LOAD(CONFIG_OBSERVERD, PRODUCTION, "THROTTLE_LIMIT=many", "AUTH_API_KEYS_FILE=/x");
    assert_true(l.ok);
    assert_int_equal(l.report.n, 0);
    unload(&l);
}

static void
test_shared_variables_are_refused_alike(void **state)
{
    (void)state;
    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);
        struct loaded f, d;
        char var[64];

        if (row->process != CONFIG_BOTH)
            continue;
        snprintf(var, sizeof var, "%s=\x02", row->name);
        f = LOAD(CONFIG_FCGI, var);
        d = LOAD(CONFIG_OBSERVERD, var);
        assert_non_null(find(&f, CONFIG_ERROR, row->name, "control characters"));
        assert_string_equal(find(&f, CONFIG_ERROR, row->name, "control")->text,
                            find(&d, CONFIG_ERROR, row->name, "control")->text);
        unload(&f);
        unload(&d);
    }
}

static void
test_all_problems_at_once(void **state)
{
    struct loaded l =
        LOAD(CONFIG_BOTH, "LOG_LEVEL=loud", "THROTTLE_LIMIT=0", "DOCS_ENABLED=maybe",
             "SESSION_POLL_MAX_MS=10", "RUNTIME_KIND=go", "RUNTIME_ADRESS=x", "REDIS_URL=r");

    (void)state;
    assert_false(l.ok);
    assert_non_null(find(&l, CONFIG_ERROR, "LOG_LEVEL", ""));
    assert_non_null(find(&l, CONFIG_ERROR, "THROTTLE_LIMIT", ""));
    assert_non_null(find(&l, CONFIG_ERROR, "DOCS_ENABLED", ""));
    assert_non_null(find(&l, CONFIG_ERROR, "SESSION_POLL_MAX_MS", ""));
    assert_non_null(find(&l, CONFIG_ERROR, "RUNTIME_KIND", ""));
    assert_non_null(find(&l, CONFIG_ERROR, "DATABASE_URL", ""));
    assert_non_null(find(&l, CONFIG_ERROR, "AUTH_API_KEYS", ""));
    assert_non_null(find(&l, CONFIG_ERROR, "RUNTIME_TLS", ""));
    assert_int_equal(l.report.count[CONFIG_ERROR], 8);
    assert_non_null(find(&l, CONFIG_WARNING, "RUNTIME_ADRESS", ""));
    assert_int_equal(l.report.count[CONFIG_NOTICE], 1);
    unload(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_of_every_key),
        cmocka_unit_test(test_defaults_that_follow_others),
        cmocka_unit_test(test_environment_names),
        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_bounds_of_every_integer),
        cmocka_unit_test(test_accepted_values),
        cmocka_unit_test(test_instance_id_is_lower_case),
        cmocka_unit_test(test_booleans_in_every_spelling),
        cmocka_unit_test(test_empty_counts_as_unset),
        cmocka_unit_test(test_lists_are_split_and_trimmed),
        cmocka_unit_test(test_secrets_from_files),
        cmocka_unit_test(test_secret_files_that_are_refused),
        cmocka_unit_test(test_redaction_file_is_added),
        cmocka_unit_test(test_production_requirements_are_warnings_in_development),
        cmocka_unit_test(test_database_is_required_outside_development),
        cmocka_unit_test(test_plaintext_bearer_needs_the_switch),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_tracing_needs_a_url_when_enabled),
        cmocka_unit_test(test_minting_replaces_the_bearer),
        cmocka_unit_test(test_obsolete_names_get_one_notice),
        cmocka_unit_test(test_foreign_names_are_left_alone),
        cmocka_unit_test(test_a_program_ignores_the_others_variables),
        cmocka_unit_test(test_shared_variables_are_refused_alike),
        cmocka_unit_test(test_all_problems_at_once),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
