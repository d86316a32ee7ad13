/*
 * config.h - every setting of both programs, in one table.
 *
 * Purpose    settings are environment variables. The table below says for each one: name, field of
 *            struct config, type, default, bounds, which program reads it, whether it is a secret,
 *            whether a reload picks it up, and what it means. Parsing, --help, the example file,
 *            check-config, config and the tests are all loops over this table.
 * Ownership  config_load returns one heap object that owns every string in it; config_free frees
 *            it. It never changes afterwards: everybody else gets a const pointer.
 * Errors     a bad value is never replaced by a default: config_load returns false and the report
 *            holds all problems at once, each naming its key and never a secret value.
 * Threads    load before the first thread starts; the result may be read by all of them.
 *
 * How values are read: an empty variable is an unset one; blanks around a value are cut; integers
 * are decimal digits only; booleans are 1/0, true/false, yes/no, on/off in any case; lists are
 * split at commas, trimmed, empty items dropped. Every secret NAME may come from the file named by
 * NAME_FILE instead. A program ignores the variables of the other one.
 */
#ifndef MACP_SHARED_CONFIG_H
#define MACP_SHARED_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/arena.h"
#include "shared/macros.h"

struct buf;

enum config_process {
    CONFIG_FCGI = 1,
    CONFIG_OBSERVERD = 2,
    CONFIG_BOTH = CONFIG_FCGI | CONFIG_OBSERVERD,
};

enum config_flag {
    CONFIG_PLAIN = 0,
    CONFIG_SECRET = 1, /* never printed; has a _FILE twin */
    CONFIG_RELOAD = 2, /* a reload (SIGHUP to macp-observerd) picks it up */
    CONFIG_LOCAL = 4,  /* may differ between the two programs: not part of the hash */
};

#define CONFIG_PRIVATE_NETWORKS                                                                    \
    "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
#define CONFIG_LOCAL_DATABASE "postgres://postgres:postgres@localhost:5432/macp_control_plane"

/*
 * Name, field, type, default, minimum, maximum, process, flags, meaning. Bounds of list types count
 * items, those of SECONDS bound each item; 0, 0 means none. Defaults that depend on something:
 *   @development?VALUE  VALUE when MACP_ENV is development, else empty (false)
 *   @NAME               the value of that variable, which stands above
 */
// clang-format off
#define CONFIG_TABLE(X)                                                                            \
    /* --- process and HTTP --- */                                                                 \
    X(MACP_ENV, macp_env, ENV, "production", 0, 0, BOTH, PLAIN,                                    \
      "Environment. Only development relaxes checks. Unset: NODE_ENV is read instead")             \
    X(LOG_LEVEL, log_level, LEVEL, "info", 0, 0, BOTH, RELOAD | CONFIG_LOCAL,                      \
      "Least severe level that is logged")                                                         \
    X(FCGI_LISTEN, fcgi_listen, LISTEN, "", 0, 0, FCGI, PLAIN,                                     \
      "FastCGI socket: absolute path or host:port. Unset: the inherited socket (descriptor 0)")    \
    X(FCGI_THREADS, fcgi_threads, INT, "0", 0, 1024, FCGI, PLAIN,                                  \
      "Worker threads. 0: four per core, at least 8")                                              \
    X(FCGI_STREAMS, fcgi_streams, INT, "4000", 1, 100000, FCGI, PLAIN,                             \
      "Event streams one process serves; further ones are answered 503")                           \
    X(CORS_ORIGIN, cors_origin, ORIGINS, "http://localhost:3000", 0, 64, FCGI, PLAIN,              \
      "Allowed browser origins; * allows any, without credentials")                                \
    X(AUTH_API_KEYS, auth_api_keys, KEYS, "", 0, 1024, FCGI, SECRET,                               \
      "Accepted API keys, 16 to 256 characters each, or name:role:key with the role read, "         \
      "operate or admin (without one: admin). Required outside development")                \
    X(THROTTLE_TTL_MS, throttle_ttl_ms, INT, "60000", 1000, 3600000, FCGI, PLAIN,                  \
      "Length of a rate-limit window")                                                             \
    X(THROTTLE_LIMIT, throttle_limit, INT, "100", 1, 1000000, FCGI, PLAIN,                         \
      "Requests per window, route and caller")                                                     \
    X(TRUSTED_PROXIES, trusted_proxies, CIDRS, "", 0, 256, FCGI, PLAIN,                            \
      "Networks whose X-Forwarded-For is believed")                                                \
    X(DOCS_ENABLED, docs_enabled, BOOL, "@development?true", 0, 0, FCGI, PLAIN,                         \
      "Serve the API documentation pages")                                                         \
    X(COMMAND_WAIT_MS, command_wait_ms, INT, "10000", 1000, 60000, FCGI, PLAIN,                    \
      "How long a request waits for the result of its command")                                    \
    X(OUTBOUND_ALLOW, outbound_allow, TARGETS, "@development?" CONFIG_PRIVATE_NETWORKS, 0, 256, BOTH, PLAIN, \
      "Private and loopback targets that callbacks and webhooks may reach: networks or host names") \
    /* --- database --- */                                                                         \
    X(DATABASE_URL, database_url, PGURL, "@development?" CONFIG_LOCAL_DATABASE, 0, 0, BOTH, SECRET,  \
      "Postgres connection string. Required outside development")                                  \
    X(DATABASE_READ_URL, database_read_url, PGURL, "@DATABASE_URL", 0, 0, FCGI, SECRET,            \
      "Replica for lists, exports and the dashboard")                                              \
    X(DB_POOL_CONNECTION_TIMEOUT, db_pool_connection_timeout, INT, "5000", 100, 60000, BOTH, PLAIN, \
      "Milliseconds that connecting and waiting for a lock or statement may take")                 \
    /* --- runtime --- */                                                                          \
    X(RUNTIME_KIND, runtime_kind, KIND, "rust", 0, 0, BOTH, PLAIN,                                 \
      "The runtime's kind, as run descriptors name it")                                            \
    X(RUNTIME_ADDRESS, runtime_address, TARGET, "127.0.0.1:50051", 0, 0, OBSERVERD, PLAIN,         \
      "gRPC address of the runtime: host:port or a gRPC target URI")                               \
    X(RUNTIME_TLS, runtime_tls, BOOL, "false", 0, 0, OBSERVERD, PLAIN,                             \
      "Use TLS, with the system's roots unless RUNTIME_TLS_CA_FILE names others")                  \
    X(RUNTIME_TLS_CA_FILE, runtime_tls_ca_file, FILE, "", 0, 0, OBSERVERD, PLAIN,                  \
      "Certificate authorities that may sign the runtime's certificate")                           \
    X(RUNTIME_TLS_CERT_FILE, runtime_tls_cert_file, FILE, "", 0, 0, OBSERVERD, PLAIN,              \
      "Client certificate; needs RUNTIME_TLS_KEY_FILE")                                            \
    X(RUNTIME_TLS_KEY_FILE, runtime_tls_key_file, FILE, "", 0, 0, OBSERVERD, PLAIN,                \
      "Key of the client certificate")                                                             \
    X(RUNTIME_TLS_SERVER_NAME, runtime_tls_server_name, STRING, "", 0, 0, OBSERVERD, PLAIN,        \
      "Name the runtime's certificate must carry, when it is not the host of the address")         \
    X(RUNTIME_ALLOW_INSECURE, runtime_allow_insecure, BOOL, "@development?true", 0, 0, OBSERVERD, PLAIN, \
      "Permit a runtime connection, and the bearer on it, without TLS")                            \
    X(RUNTIME_BEARER_TOKEN, runtime_bearer_token, TOKEN, "", 0, 0, OBSERVERD, SECRET | CONFIG_RELOAD, \
      "Observer credential; the fallback when minting fails. Must not contain a dot")              \
    X(RUNTIME_USE_DEV_HEADER, runtime_use_dev_header, BOOL, "@development?true", 0, 0, OBSERVERD, PLAIN, \
      "Send a name, as x-macp-agent-id and as bearer, when there is no token. Refused outside development") \
    X(RUNTIME_DEV_AGENT_ID, runtime_dev_agent_id, TEXT, "macp-control-plane", 0, 0, OBSERVERD, PLAIN, \
      "That name")                                                                                 \
    X(RUNTIME_REQUEST_TIMEOUT_MS, runtime_request_timeout_ms, INT, "30000", 500, 300000, OBSERVERD, PLAIN, \
      "Deadline of every unary call; streams have none")                                           \
    X(RUNTIME_CIRCUIT_BREAKER_THRESHOLD, runtime_circuit_breaker_threshold, INT, "5", 1, 1000, OBSERVERD, PLAIN, \
      "Consecutive failures that open the breaker")                                                \
    X(RUNTIME_CIRCUIT_BREAKER_RESET_MS, runtime_circuit_breaker_reset_ms, INT, "30000", 100, 3600000, OBSERVERD, PLAIN, \
      "How long the breaker stays open before a probe")                                            \
    X(RUNTIME_GRPC_MAX_MESSAGE_BYTES, runtime_grpc_max_message_bytes, INT, "16777216", 1048576, 268435456, OBSERVERD, PLAIN, \
      "Largest message that is received")                                                          \
    X(RUNTIME_KEEPALIVE_MS, runtime_keepalive_ms, INT, "30000", 10000, 600000, OBSERVERD, PLAIN,   \
      "HTTP/2 ping interval; faster ones make servers close the connection")                       \
    /* --- token minting --- */                                                                    \
    X(MACP_AUTH_SERVICE_URL, macp_auth_service_url, HTTPURL, "", 0, 0, OBSERVERD, PLAIN,           \
      "Base URL of the service that mints runtime tokens. Unset: no minting")                      \
    X(MACP_AUTH_SERVICE_TIMEOUT_MS, macp_auth_service_timeout_ms, INT, "5000", 100, 60000, OBSERVERD, PLAIN, \
      "How long minting a token may take")                                                         \
    X(MACP_AUTH_TOKEN_TTL_SECONDS, macp_auth_token_ttl_seconds, INT, "3600", 60, 86400, OBSERVERD, PLAIN, \
      "Requested lifetime of a token")                                                             \
    X(MACP_AUTH_TOKEN_SENDER, macp_auth_token_sender, TEXT, "macp-control-plane", 0, 0, OBSERVERD, PLAIN, \
      "Subject of the token")                                                                      \
    X(MACP_AUTH_TOKEN_CAN_MANAGE_REGISTRY, macp_auth_token_can_manage_registry, BOOL, "false", 0, 0, OBSERVERD, PLAIN, \
      "Ask for the right to register and unregister policies")                                     \
    /* --- observation --- */                                                                      \
    X(SESSION_POLL_BASE_MS, session_poll_base_ms, INT, "100", 10, 60000, OBSERVERD, PLAIN,         \
      "First wait between two looks for the session of a new run")                                 \
    X(SESSION_POLL_MAX_MS, session_poll_max_ms, INT, "1000", 10, 600000, OBSERVERD, PLAIN,         \
      "Longest such wait; the wait doubles up to it")                                              \
    X(SESSION_POLL_TIMEOUT_MS, session_poll_timeout_ms, INT, "60000", 1000, 86400000, BOTH, PLAIN, \
      "A run whose session has not appeared after this time fails")                                \
    X(SESSION_DISCOVERY_ENABLED, session_discovery_enabled, BOOL, "true", 0, 0, OBSERVERD, PLAIN,  \
      "Create runs for sessions nobody posted")                                                    \
    X(SIGNALS_ENABLED, signals_enabled, BOOL, "@SESSION_DISCOVERY_ENABLED", 0, 0, OBSERVERD, PLAIN, \
      "Watch ambient signals")                                                                     \
    X(DISCOVERY_BACKFILL_MS, discovery_backfill_ms, INT, "3600000", 0, 2678400000, OBSERVERD, PLAIN, \
      "Discover already ended sessions that started at most this long ago")                        \
    X(STREAM_IDLE_TIMEOUT_MS, stream_idle_timeout_ms, INT, "120000", 1000, 86400000, OBSERVERD, PLAIN, \
      "Silence on a session's stream that triggers a look at its state; the stream stays")         \
    X(STREAM_MAX_RETRIES, stream_max_retries, INT, "5", 0, 1000, OBSERVERD, PLAIN,                 \
      "Consecutive stream failures before a run counts as degraded; it never fails for that")      \
    X(STREAM_BACKOFF_BASE_MS, stream_backoff_base_ms, INT, "250", 10, 60000, OBSERVERD, RELOAD,    \
      "First wait before a stream is opened again")                                                \
    X(STREAM_BACKOFF_MAX_MS, stream_backoff_max_ms, INT, "30000", 10, 600000, OBSERVERD, RELOAD,   \
      "Longest such wait, before jitter")                                                          \
    X(RUN_RECOVERY_ENABLED, run_recovery_enabled, BOOL, "true", 0, 0, OBSERVERD, PLAIN,            \
      "Take over unfinished runs; false takes only runs that nobody observed before")              \
    X(CANCEL_CALLBACK_TIMEOUT_MS, cancel_callback_timeout_ms, INT, "5000", 100, 60000, BOTH, PLAIN, \
      "How long an agent's cancel callback may take")                                              \
    X(CANCEL_OPTIMISTIC, cancel_optimistic, BOOL, "false", 0, 0, OBSERVERD, PLAIN,                 \
      "Mark a run cancelled as soon as its callback accepted, without waiting for the runtime")    \
    X(MACP_REDACT_PATTERNS, macp_redact_patterns, LIST, "", 0, 1024, OBSERVERD, RELOAD,            \
      "Regular expressions; what they match in event data becomes [REDACTED]")                     \
    X(MACP_REDACT_PATTERNS_FILE, macp_redact_patterns_file, FILE, "", 0, 0, OBSERVERD, RELOAD,     \
      "File with further patterns, one per line (here a pattern may contain commas)")              \
    X(MODEL_PRICES_FILE, model_prices_file, FILE, "", 0, 0, OBSERVERD, PLAIN,                       \
      "JSON object of model prices in USD per million tokens, over the built-in list")             \
    /* --- event streams to clients, replay --- */                                                 \
    X(STREAM_SSE_HEARTBEAT_MS, stream_sse_heartbeat_ms, INT, "15000", 1000, 300000, FCGI, PLAIN,   \
      "Heartbeat of event streams, unless the client asks for another")                            \
    X(REPLAY_MAX_DELAY_MS, replay_max_delay_ms, INT, "2000", 0, 600000, FCGI, PLAIN,               \
      "Longest pause between two events of a timed replay")                                        \
    X(REPLAY_BATCH_SIZE, replay_batch_size, INT, "500", 1, 10000, FCGI, PLAIN,                     \
      "Rows read at once by a replay")                                                             \
    /* --- macp-observerd's own --- */                                                             \
    X(OBSERVERD_INSTANCE_ID, observerd_instance_id, UUID, "", 0, 0, OBSERVERD, PLAIN,              \
      "Identity of this instance. Unset: a new one at each start")                                 \
    X(OBSERVERD_LEASE_MS, observerd_lease_ms, INT, "15000", 3000, 300000, OBSERVERD, PLAIN,        \
      "How long an instance counts as alive after its last sign; renewed at a third")              \
    X(OBSERVERD_CLAIM_INTERVAL_MS, observerd_claim_interval_ms, INT, "1000", 100, 60000, OBSERVERD, PLAIN, \
      "How often due runs are looked for when no notification comes")                              \
    X(OBSERVERD_MAX_RUNS, observerd_max_runs, INT, "10000", 1, 1000000, OBSERVERD, PLAIN,          \
      "Runs one instance observes at a time")                                                      \
    X(OBSERVERD_SHARDS, observerd_shards, INT, "1", 1, 512, OBSERVERD, PLAIN,                      \
      "Pairs of threads that receive and write; at most half the cores")                           \
    X(OBSERVERD_BATCH_EVENTS, observerd_batch_events, INT, "1000", 1, 10000, OBSERVERD, PLAIN,     \
      "Events of a pending batch; streams wait when it is full")                                   \
    X(OBSERVERD_BATCH_BYTES, observerd_batch_bytes, INT, "1048576", 65536, 67108864, OBSERVERD, PLAIN, \
      "Bytes of a pending batch; streams wait when it is full")                                    \
    X(OBSERVERD_LINGER_MS, observerd_linger_ms, INT, "2", 0, 1000, OBSERVERD, PLAIN,               \
      "Wait before a commit under load, so that batches grow")                                     \
    X(OBSERVERD_SPOOL_DIR, observerd_spool_dir, DIR, "", 0, 0, OBSERVERD, PLAIN,                   \
      "Directory that keeps what arrives while Postgres is away. Unset: streams wait instead")     \
    X(OBSERVERD_SPOOL_BYTES, observerd_spool_bytes, INT, "1073741824", 16777216, 1099511627776, OBSERVERD, PLAIN, \
      "Largest size of the spool")                                                                 \
    X(OBSERVERD_STREAMS_PER_CHANNEL, observerd_streams_per_channel, INT, "100", 1, 10000, OBSERVERD, PLAIN, \
      "Streams on one connection; runtimes commonly allow 128")                                    \
    X(OBSERVERD_STATE_CHECK_MS, observerd_state_check_ms, INT, "60000", 1000, 3600000, OBSERVERD, PLAIN, \
      "How often the state of a live run is asked for")                                            \
    X(OBSERVERD_DRAIN_MS, observerd_drain_ms, INT, "12000", 0, 300000, OBSERVERD, PLAIN,           \
      "How long a shutdown may take to write what has arrived")                                    \
    X(OBSERVERD_METRICS_ADDR, observerd_metrics_addr, ADDRESS, "127.0.0.1:9465", 0, 0, OBSERVERD, PLAIN, \
      "Where metrics and health are served; port 0 takes a free one")                              \
    /* --- webhooks --- */                                                                         \
    X(WEBHOOK_RETRY_SCHEDULE, webhook_retry_schedule, SECONDS, "1,2,30,120,600,3600,21600", 1, 86400, OBSERVERD, PLAIN, \
      "Seconds between the attempts of a delivery, at most 20 of them")                            \
    X(WEBHOOK_TIMEOUT_MS, webhook_timeout_ms, INT, "10000", 100, 60000, OBSERVERD, PLAIN,          \
      "How long one attempt may take")                                                             \
    X(WEBHOOK_MAX_IN_FLIGHT, webhook_max_in_flight, INT, "64", 1, 1024, OBSERVERD, PLAIN,          \
      "Attempts at the same time; at most 4 to one endpoint")                                      \
    /* --- retention --- */                                                                        \
    X(DATA_RETENTION_ENABLED, data_retention_enabled, BOOL, "false", 0, 0, OBSERVERD, RELOAD,      \
      "Remove old runs, audit rows and deliveries")                                                \
    X(DATA_RETENTION_TTL_DAYS, data_retention_ttl_days, INT, "30", 1, 36500, OBSERVERD, RELOAD,    \
      "Age at which an ended run is removed")                                                      \
    X(DATA_RETENTION_INTERVAL_HOURS, data_retention_interval_hours, INT, "24", 1, 8760, OBSERVERD, RELOAD, \
      "Pause between two passes")                                                                  \
    X(DATA_RETENTION_BATCH_SIZE, data_retention_batch_size, INT, "500", 1, 10000, OBSERVERD, RELOAD, \
      "Rows of the small tables removed at once")                                                  \
    X(AUDIT_RETENTION_TTL_DAYS, audit_retention_ttl_days, INT, "@DATA_RETENTION_TTL_DAYS", 1, 36500, OBSERVERD, RELOAD, \
      "Age at which an audit row is removed")                                                      \
    /* --- tracing --- */                                                                          \
    X(OTEL_ENABLED, otel_enabled, BOOL, "false", 0, 0, BOTH, LOCAL,                                \
      "Send traces")                                                                               \
    X(OTEL_SERVICE_NAME, otel_service_name, TEXT, "macp-control-plane", 0, 0, BOTH, LOCAL,         \
      "Service name of the traces; the program is a resource attribute")                           \
    X(OTEL_EXPORTER_OTLP_ENDPOINT, otel_exporter_otlp_endpoint, STRING, "", 0, 0, BOTH, LOCAL,     \
      "Base URL of the collector (OTLP over HTTP)")                                                \
    X(OTEL_EXPORTER_OTLP_HEADERS, otel_exporter_otlp_headers, PAIRS, "", 0, 64, BOTH, SECRET | CONFIG_LOCAL, \
      "Headers sent to the collector, as name=value")                                              \
    X(OTEL_RESOURCE_ATTRIBUTES, otel_resource_attributes, PAIRS, "", 0, 64, BOTH, LOCAL,            \
      "Further resource attributes, as name=value")                                                \
    X(OTEL_TRACES_SAMPLER, otel_traces_sampler, SAMPLER, "parentbased_always_on", 0, 0, BOTH, LOCAL, \
      "Which traces are kept")                                                                     \
    X(OTEL_TRACES_SAMPLER_ARG, otel_traces_sampler_arg, RATIO, "1", 0, 0, BOTH, LOCAL,             \
      "Share of traces that the ratio samplers keep, 0 to 1")

#define CONFIG_TYPES(X)                                                                            \
    X(INT) X(BOOL) X(STRING) X(TEXT) X(ENV) X(LEVEL) X(KIND) X(SAMPLER) X(RATIO) X(UUID) X(PGURL)  \
    X(HTTPURL) X(TARGET) X(ADDRESS) X(LISTEN) X(FILE) X(DIR) X(TOKEN) X(LIST) X(PAIRS) X(KEYS)     \
    X(ORIGINS) X(CIDRS) X(TARGETS) X(SECONDS)
// clang-format on

enum config_type {
#define X(type) CONFIG_TYPE_##type,
    CONFIG_TYPES(X)
#undef X
        CONFIG_TYPE__COUNT
};

enum config_key {
#define X(name, ...) CONFIG_KEY_##name,
    CONFIG_TABLE(X)
#undef X
        CONFIG_KEY__COUNT
};

struct config_list {
    size_t n;
    const char **items;
};

/* The C type of a field, by the type of its row. */
#define CONFIG_CTYPE_INT     int64_t
#define CONFIG_CTYPE_BOOL    bool
#define CONFIG_CTYPE_STRING  const char * /* any text; "" when unset, as all texts below */
#define CONFIG_CTYPE_TEXT    const char * /* printable ASCII */
#define CONFIG_CTYPE_ENV     const char *
#define CONFIG_CTYPE_LEVEL   const char *
#define CONFIG_CTYPE_KIND    const char *
#define CONFIG_CTYPE_SAMPLER const char *
#define CONFIG_CTYPE_RATIO   const char *
#define CONFIG_CTYPE_UUID    const char *
#define CONFIG_CTYPE_PGURL   const char *
#define CONFIG_CTYPE_HTTPURL const char *
#define CONFIG_CTYPE_TARGET  const char * /* host:port or gRPC target URI */
#define CONFIG_CTYPE_ADDRESS const char * /* host:port */
#define CONFIG_CTYPE_LISTEN  const char * /* absolute path or host:port */
#define CONFIG_CTYPE_FILE    const char * /* a readable file */
#define CONFIG_CTYPE_DIR     const char * /* a writable directory */
#define CONFIG_CTYPE_TOKEN   const char *
#define CONFIG_CTYPE_LIST    struct config_list
#define CONFIG_CTYPE_PAIRS   struct config_list /* name=value */
#define CONFIG_CTYPE_KEYS    struct config_list
#define CONFIG_CTYPE_ORIGINS struct config_list
#define CONFIG_CTYPE_CIDRS   struct config_list /* address or address/bits */
#define CONFIG_CTYPE_TARGETS struct config_list /* CIDR or host name */
#define CONFIG_CTYPE_SECONDS struct config_list /* see webhook_retry_s */

enum { CONFIG_RETRIES_MAX = 20, CONFIG_HASH_LEN = 17 };

struct config {
#define X(name, field, type, ...) CONFIG_CTYPE_##type field;
    CONFIG_TABLE(X)
#undef X

    /* Derived. */
    enum config_process process; /* whose settings these are; the others hold defaults */
    bool is_development;
    struct config_list redact_patterns;          /* of the variable, then of the file */
    int64_t webhook_retry_s[CONFIG_RETRIES_MAX]; /* webhook_retry_schedule as numbers */
    size_t webhook_retry_n;
    bool is_set[CONFIG_KEY__COUNT]; /* given by the environment or a file, not by default */
    const char *env_file;           /* whose settings go before the environment's; "": none */
    struct arena arena;             /* owns every text above */
};

enum config_severity {
    CONFIG_ERROR,   /* refuses the start */
    CONFIG_WARNING, /* starts, but probably not as meant */
    CONFIG_NOTICE,  /* a setting without effect */
    CONFIG_SEVERITY__COUNT
};

struct config_problem {
    enum config_severity severity;
    const char *key;  /* the variable it is about */
    const char *text; /* "KEY: sentence" */
};

/* A zeroed one is empty and valid; config_report_fini frees its texts. */
struct config_report {
    struct config_problem *items;
    size_t n;
    size_t cap;
    size_t count[CONFIG_SEVERITY__COUNT];
    struct arena arena;
};

/* One row of the table, for code that loops over it. */
struct config_row {
    const char *name;
    enum config_type type;
    size_t offset; /* of the field in struct config */
    const char *fallback;
    int64_t min, max;
    unsigned process; /* mask of enum config_process */
    unsigned flags;   /* mask of enum config_flag */
    const char *doc;
};

/*
 * Read the variables of one program out of envp ("NAME=value" strings, NULL-terminated). False when
 * the report has errors; *out is set only on success. The report may hold warnings either way.
 */
bool config_load(enum config_process who, char *const envp[], struct config **out,
                 struct config_report *report) MUST_CHECK;
/*
 * The same from the environment of this process, and before that from the file, when it is not "".
 * The only place that reads the environment.
 */
bool config_load_env(enum config_process who, const char *env_file, struct config **out,
                     struct config_report *report) MUST_CHECK;
/*
 * Read again what running was read from. *out has the new values of what may be reloaded and those
 * of running for everything else, so running must live as long; the report says what changed, and
 * what would need a restart. False: a value is bad, and nothing changes.
 */
bool config_reload(const struct config *running, struct config **out,
                   struct config_report *report) MUST_CHECK;
void config_free(struct config *cfg);

/* Add a problem found elsewhere (a pattern that does not compile, say). */
void config_problem_add(struct config_report *report, enum config_severity severity,
                        const char *key, const char *fmt, ...) PRINTF_FMT(4, 5);
void config_report_fini(struct config_report *report);
/* One line per problem, errors first. */
void config_report_print(const struct config_report *report, FILE *to);

const struct config_row *config_row(enum config_key key);
/* The value as it is shown: secrets masked. */
void config_write_value(struct buf *out, const struct config *cfg, const struct config_row *row);

/* Table of the variables one program reads: name, type, default, bounds, meaning. */
void config_print_help(FILE *to, enum config_process who);
/* The same as the ENVIRONMENT section of a manual page. */
void config_print_man(FILE *to, enum config_process who);
/* A file of NAME=value lines, every one commented out and showing its default. */
void config_print_example(FILE *to, enum config_process who);
/* What is in force; secrets are masked, in connection strings only the password. */
void config_print_effective(FILE *to, const struct config *cfg, enum config_process who);
/* What its own program reads, without secrets, as one JSON object of strings, numbers, booleans and
 * arrays. */
void config_write_json(struct buf *out, const struct config *cfg);
/*
 * Hash of the values both programs read and must agree on (no secrets, no LOCAL ones): different
 * text means that they were started with different limits.
 */
void config_hash(const struct config *cfg, char out[CONFIG_HASH_LEN]);
/* Append a connection string with its password replaced by ****. */
void config_mask_url(struct buf *out, const char *url);

#endif
