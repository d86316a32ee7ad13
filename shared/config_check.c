#include "shared/config_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/api_key.h"
#include "shared/uuid.h"

enum { SOCKET_PATH_MAX = 107, SLOW_REQUEST_MS = 5000 };

/* --- texts --------------------------------------------------------------------------------- */

static bool
is_printable(const char *s, bool blanks)
{
    for (; *s; s++)
        if (*s > '~' || *s < (blanks ? ' ' : '!'))
            return false;
    return true;
}

bool
config_parse_int(const char *text, int64_t *out)
{
    int64_t v = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (*text - '0');
    }
    *out = v;
    return true;
}

static const char *
check_printable(const char *s)
{
    return is_printable(s, true) ? NULL : "must be printable ASCII";
}

static const char *
check_ratio(const char *s)
{
    size_t whole = strspn(s, "0123456789");
    size_t part = s[whole] == '.' ? 1 + strspn(s + whole + 1, "0123456789") : 0;

    if (!whole || s[whole + part] || strtod(s, NULL) > 1)
        return "must be a decimal number from 0 to 1";
    return NULL;
}

static const char *
check_uuid(const char *s)
{
    return uuid_is_valid(s) ? NULL : "must be a UUID";
}

static const char *
check_token(const char *s)
{
    if (!is_printable(s, false))
        return "must be printable ASCII without blanks";
    if (strchr(s, '.'))
        return "must not contain a dot: a runtime takes a dotted token for a JWT and refuses it "
               "(to use JWTs, set MACP_AUTH_SERVICE_URL)";
    return NULL;
}

static const char *
check_key(const char *s)
{
    struct api_key key;

    return api_key_parse(s, &key);
}

static const char *
check_pair(const char *s)
{
    return strchr(s, '=') > s ? NULL : "must be name=value";
}

/* --- addresses ----------------------------------------------------------------------------- */

/* Letters, digits, dots, hyphens (and underscores, which container networks use). */
static bool
is_host_name(const char *s, size_t n)
{
    if (!n || n > 253 || s[0] == '-' || s[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("-._", s[i]))
            return false;
    return true;
}

/* host:port with a name, an IPv4 address or [IPv6]; the port may be left out when asked for. */
static bool
is_host_port(const char *s, size_t n, int64_t port_min, bool port_optional)
{
    char text[320], ip[16];
    char *colon;
    int64_t port;

    if (n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    colon = strrchr(text, ':');
    if (text[0] == '[') {
        char *close = strchr(text, ']');

        if (!close || (close[1] && close + 1 != colon))
            return false;
        colon = close[1] ? colon : NULL;
        *close = '\0';
        if (inet_pton(AF_INET6, text + 1, ip) != 1)
            return false;
    } else if (!is_host_name(text, colon ? (size_t)(colon - text) : n)) {
        return false;
    }
    if (!colon)
        return port_optional;
    return config_parse_int(colon + 1, &port) && port >= port_min && port <= 65535;
}

static const char *
check_address(const char *s)
{
    return is_host_port(s, strlen(s), 0, false) ? NULL : "must be host:port";
}

static const char *
check_target(const char *s)
{
    static const char *const schemes[] = {"dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:"};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);

        if (strncmp(s, schemes[i], n) == 0 && !strpbrk(s, " \t") &&
            s[n + strspn(s + n, "/")] != '\0')
            return NULL;
    }
    return is_host_port(s, strlen(s), 1, false) ? NULL : "must be host:port or a gRPC target URI";
}

static const char *
check_listen(const char *s)
{
    if (s[0] == '/')
        return strlen(s) <= SOCKET_PATH_MAX ? NULL : "is too long for a socket path";
    return is_host_port(s, strlen(s), 1, false) ? NULL : "must be an absolute path or host:port";
}

static const char *
after_http(const char *s)
{
    if (strncasecmp(s, "http://", 7) == 0)
        return s + 7;
    return strncasecmp(s, "https://", 8) == 0 ? s + 8 : NULL;
}

static const char *
check_http_url(const char *s)
{
    const char *host = after_http(s);

    if (!host || !is_printable(s, false) || strpbrk(s, "?#"))
        return "must be an http or https URL without query";
    if (memchr(host, '@', strcspn(host, "/")))
        return "must not carry a user name or password";
    return is_host_port(host, strcspn(host, "/"), 1, true)
               ? NULL
               : "must be an http or https URL without query";
}

static const char *
check_origin(const char *s)
{
    const char *host = after_http(s);

    if (strcmp(s, "*") == 0)
        return NULL;
    return host && is_host_port(host, strlen(host), 1, true)
               ? NULL
               : "must be * or scheme://host[:port] without a path";
}

static const char *
check_postgres_url(const char *s)
{
    if (strncmp(s, "postgres://", 11) == 0 || strncmp(s, "postgresql://", 13) == 0)
        return NULL;
    return strchr(s, '=') && !strstr(s, "://")
               ? NULL
               : "must be a postgres:// URL or a keyword=value connection string";
}

static const char *
check_cidr(const char *s)
{
    char text[64], ip[16];
    size_t n = strcspn(s, "/");
    int64_t bits = 0;
    bool v6;

    if (n >= sizeof text)
        return "must be an IP address or network/bits";
    memcpy(text, s, n);
    text[n] = '\0';
    v6 = strchr(text, ':') != NULL;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, ip) != 1 ||
        (s[n] && (!config_parse_int(s + n + 1, &bits) || bits > (v6 ? 128 : 32))))
        return "must be an IP address or network/bits";
    return NULL;
}

static const char *
check_outbound(const char *s)
{
    size_t n = strlen(s);

    if (!check_cidr(s) || (is_host_name(s, n) && strspn(s, "0123456789.") != n))
        return NULL;
    return "must be an IP address, network/bits or a host name";
}

/* --- files --------------------------------------------------------------------------------- */

static const char *
check_file(const char *s)
{
    struct stat st;

    return stat(s, &st) == 0 && S_ISREG(st.st_mode) && access(s, R_OK) == 0
               ? NULL
               : "must be a readable file";
}

static const char *
check_dir(const char *s)
{
    struct stat st;

    return stat(s, &st) == 0 && S_ISDIR(st.st_mode) && access(s, W_OK | X_OK) == 0
               ? NULL
               : "must be a writable directory";
}

/* --- the types ----------------------------------------------------------------------------- */

static const char *const envs[] = {"development", "test", "production", NULL};
static const char *const levels[] = {"fatal", "error", "warn",   "info",
                                     "debug", "trace", "silent", NULL};
static const char *const kinds[] = {"rust", NULL};
static const char *const samplers[] = {"always_on",
                                       "always_off",
                                       "traceidratio",
                                       "parentbased_always_on",
                                       "parentbased_always_off",
                                       "parentbased_traceidratio",
                                       NULL};

// clang-format off
const struct config_type_rule config_types[CONFIG_TYPE__COUNT] = {
    [CONFIG_TYPE_INT]     = {"integer",                   CONFIG_KIND_INT,  NULL,     NULL},
    [CONFIG_TYPE_BOOL]    = {"boolean",                   CONFIG_KIND_BOOL, NULL,     NULL},
    [CONFIG_TYPE_STRING]  = {"text",                      CONFIG_KIND_TEXT, NULL,     NULL},
    [CONFIG_TYPE_TEXT]    = {"text",                      CONFIG_KIND_TEXT, NULL,     check_printable},
    [CONFIG_TYPE_ENV]     = {"choice",                    CONFIG_KIND_TEXT, envs,     NULL},
    [CONFIG_TYPE_LEVEL]   = {"choice",                    CONFIG_KIND_TEXT, levels,   NULL},
    [CONFIG_TYPE_KIND]    = {"choice",                    CONFIG_KIND_TEXT, kinds,    NULL},
    [CONFIG_TYPE_SAMPLER] = {"choice",                    CONFIG_KIND_TEXT, samplers, NULL},
    [CONFIG_TYPE_RATIO]   = {"number",                    CONFIG_KIND_TEXT, NULL,     check_ratio},
    [CONFIG_TYPE_UUID]    = {"UUID",                      CONFIG_KIND_TEXT, NULL,     check_uuid},
    [CONFIG_TYPE_PGURL]   = {"connection string",         CONFIG_KIND_TEXT, NULL,     check_postgres_url},
    [CONFIG_TYPE_HTTPURL] = {"URL",                       CONFIG_KIND_TEXT, NULL,     check_http_url},
    [CONFIG_TYPE_TARGET]  = {"gRPC address",              CONFIG_KIND_TEXT, NULL,     check_target},
    [CONFIG_TYPE_ADDRESS] = {"address",                   CONFIG_KIND_TEXT, NULL,     check_address},
    [CONFIG_TYPE_LISTEN]  = {"path or address",           CONFIG_KIND_TEXT, NULL,     check_listen},
    [CONFIG_TYPE_FILE]    = {"file",                      CONFIG_KIND_TEXT, NULL,     check_file},
    [CONFIG_TYPE_DIR]     = {"directory",                 CONFIG_KIND_TEXT, NULL,     check_dir},
    [CONFIG_TYPE_TOKEN]   = {"secret",                    CONFIG_KIND_TEXT, NULL,     check_token},
    [CONFIG_TYPE_LIST]    = {"list",                      CONFIG_KIND_LIST, NULL,     NULL},
    [CONFIG_TYPE_PAIRS]   = {"list of name=value",        CONFIG_KIND_LIST, NULL,     check_pair},
    [CONFIG_TYPE_KEYS]    = {"list of secrets",           CONFIG_KIND_LIST, NULL,     check_key},
    [CONFIG_TYPE_ORIGINS] = {"list of origins",           CONFIG_KIND_LIST, NULL,     check_origin},
    [CONFIG_TYPE_CIDRS]   = {"list of networks",          CONFIG_KIND_LIST, NULL,     check_cidr},
    [CONFIG_TYPE_TARGETS] = {"list of networks or hosts", CONFIG_KIND_LIST, NULL,     check_outbound},
    [CONFIG_TYPE_SECONDS] = {"list of seconds",           CONFIG_KIND_LIST, NULL,     NULL},
};
// clang-format on

/* --- rules between settings ---------------------------------------------------------------- */

struct check {
    const struct config *cfg;
    struct config_report *report;
    enum config_severity strict; /* an error in production, a warning in development */
};

#define complain(c, severity, key, ...)                                                            \
    config_problem_add((c)->report, (severity), key, __VA_ARGS__)

/* The same secret twice: harmless when it means the same, else nobody knows what it means. */
static void
check_repeated_key(const struct check *c, size_t i, size_t j)
{
    const char *a = c->cfg->auth_api_keys.items[i], *b = c->cfg->auth_api_keys.items[j];
    struct api_key one, two;

    if (api_key_parse(a, &one) || api_key_parse(b, &two) || strcmp(one.secret, two.secret) != 0)
        return;
    if (strcmp(a, b) == 0)
        complain(c, CONFIG_WARNING, "AUTH_API_KEYS", "item %zu repeats item %zu", i + 1, j + 1);
    else
        complain(c, CONFIG_ERROR, "AUTH_API_KEYS",
                 "item %zu has the key of item %zu under another name or role", i + 1, j + 1);
}

static void
check_fcgi(const struct check *c)
{
    const struct config_list *keys = &c->cfg->auth_api_keys;

    if (!keys->n)
        complain(c, c->strict, "AUTH_API_KEYS",
                 "is empty; outside development at least one key is required (in development any "
                 "key is accepted)");
    for (size_t i = 0; i < keys->n; i++)
        for (size_t j = 0; j < i; j++)
            check_repeated_key(c, i, j);
}

static void
check_credential(const struct check *c)
{
    const struct config *cfg = c->cfg;
    bool has_bearer = cfg->runtime_bearer_token[0] || cfg->macp_auth_service_url[0];

    if (!has_bearer)
        complain(c, CONFIG_WARNING, "RUNTIME_BEARER_TOKEN",
                 "is empty and MACP_AUTH_SERVICE_URL too: a runtime will reject every call");
    if (cfg->runtime_use_dev_header && (!cfg->is_development || !has_bearer))
        complain(c, c->strict, "RUNTIME_USE_DEV_HEADER",
                 "is for development only: a name proves nothing, and no runtime takes it for an "
                 "observer");
    if (!cfg->runtime_tls && !cfg->runtime_allow_insecure)
        complain(c, c->strict, "RUNTIME_TLS",
                 "is false%s; set it, or RUNTIME_ALLOW_INSECURE=true to accept plaintext",
                 has_bearer ? ", which would send the bearer in plaintext" : "");
}

static void
check_runtime_tls(const struct check *c)
{
    const struct config *cfg = c->cfg;
    bool cert = cfg->runtime_tls_cert_file[0], key = cfg->runtime_tls_key_file[0];

    if (cert != key)
        complain(c, CONFIG_ERROR, cert ? "RUNTIME_TLS_CERT_FILE" : "RUNTIME_TLS_KEY_FILE",
                 "needs %s as well", cert ? "RUNTIME_TLS_KEY_FILE" : "RUNTIME_TLS_CERT_FILE");
    if (!cfg->runtime_tls &&
        (cert || key || cfg->runtime_tls_ca_file[0] || cfg->runtime_tls_server_name[0]))
        complain(c, CONFIG_WARNING, "RUNTIME_TLS",
                 "is false, so the other RUNTIME_TLS_ settings have no effect");
}

static void
check_observerd(const struct check *c)
{
    const struct config *cfg = c->cfg;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t shards_max = cores > 2 ? cores / 2 : 1;

    check_credential(c);
    check_runtime_tls(c);
    if (cfg->session_poll_max_ms < cfg->session_poll_base_ms)
        complain(c, CONFIG_ERROR, "SESSION_POLL_MAX_MS",
                 "must not be less than SESSION_POLL_BASE_MS");
    if (cfg->stream_backoff_max_ms < cfg->stream_backoff_base_ms)
        complain(c, CONFIG_ERROR, "STREAM_BACKOFF_MAX_MS",
                 "must not be less than STREAM_BACKOFF_BASE_MS");
    if (cfg->observerd_shards > shards_max)
        complain(c, CONFIG_ERROR, "OBSERVERD_SHARDS",
                 "must be at most %lld on this machine (half its cores)", (long long)shards_max);
    if (cfg->runtime_request_timeout_ms < SLOW_REQUEST_MS)
        complain(c, CONFIG_WARNING, "RUNTIME_REQUEST_TIMEOUT_MS",
                 "is below %d: slow answers will count as failures", SLOW_REQUEST_MS);
    if (!cfg->observerd_spool_dir[0])
        complain(c, CONFIG_WARNING, "OBSERVERD_SPOOL_DIR",
                 "is empty: while Postgres is away, streams wait and a runtime may drop them");
}

static void
check_tracing(const struct check *c)
{
    const struct config *cfg = c->cfg;
    const char *endpoint = cfg->otel_exporter_otlp_endpoint;
    const char *reason = endpoint[0] ? check_http_url(endpoint) : NULL;

    if (reason)
        complain(c, cfg->otel_enabled ? CONFIG_ERROR : CONFIG_WARNING,
                 "OTEL_EXPORTER_OTLP_ENDPOINT", "%s", reason);
    if (cfg->otel_enabled && !endpoint[0])
        complain(c, CONFIG_WARNING, "OTEL_EXPORTER_OTLP_ENDPOINT",
                 "is empty while OTEL_ENABLED is true: no trace will arrive anywhere");
}

void
config_check_all(const struct config *cfg, enum config_process who, struct config_report *report)
{
    struct check c = {cfg, report, cfg->is_development ? CONFIG_WARNING : CONFIG_ERROR};

    if (!cfg->database_url[0])
        complain(&c, c.strict, "DATABASE_URL", "is required outside development");
    check_tracing(&c);
    if (who & CONFIG_FCGI)
        check_fcgi(&c);
    if (who & CONFIG_OBSERVERD)
        check_observerd(&c);
}
