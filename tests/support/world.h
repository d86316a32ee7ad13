/*
 * world.h - the whole path on loopback, private to one test program.
 *
 * Purpose    Postgres with a migrated database of its own, the scripted runtime (or a given one),
 *            macp-observerd, a web server with macp-fcgi; short timers; handles to poke each part.
 * Ownership  struct world is the caller's; world_stop ends what world_start started and removes
 *            its directory. Several worlds may live in one cluster (options.cluster).
 * Errors     false + *err; what was started is stopped again by world_stop.
 * Threads    one: children die with the thread that started them.
 */
#ifndef MACP_TESTS_SUPPORT_WORLD_H
#define MACP_TESTS_SUPPORT_WORLD_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/db.h"
#include "shared/err.h"
#include "shared/uuid.h"
#include "tests/support/http.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/runtime_ctl.h"
#include "tests/support/web.h"

#define WORLD_API_KEY        "test-key-of-the-integration-suite"
#define WORLD_OBSERVER_TOKEN "tok-observer" /* the scripted runtime's identity for us */

enum { WORLD_SESSION_LEN = 300, WORLD_INSTANCES = 3 };

/* One observer of several. */
struct world_instance {
    struct process process;
    char id[UUID_LEN]; /* also the application_name of its connections; "": a new one at start */
    int metrics_port;
};

struct world_options {
    const char *build;                /* NULL: found from the running program */
    struct postgres *cluster;         /* NULL: a cluster of its own */
    const char *const *runtime_args;  /* more arguments for the scripted runtime, NULL ended */
    const char *const *observerd_env; /* "NAME=value", NULL ended; replaces the default of a name */
    const char *observerd_env_file;   /* settings of observers besides; NULL: none */
    const char *const *fcgi_env;      /* the same for macp-fcgi */
    int postgres_port;                /* programs reach the cluster there, by TCP; 0: its socket */
    const char *postgres_address;     /* more of its address: "&name=value"; NULL: nothing */
    int runtime_port;                 /* observers reach the runtime there; 0: where it is */
    const char *runtime_address;      /* use this runtime instead of the scripted one */
    const char *runtime_bearer;       /* credential for it; NULL: the scripted one's observer */
    enum web_kind web;                /* which web server, and who starts macp-fcgi */
    int port;                         /* of the web server; 0: a free one */
    bool spool;                       /* each instance has a directory, spool<i> in dir */
    bool without_runtime;             /* started later by world_start_runtime */
    bool without_observerd;           /* started later by world_start_observerd */
};

struct world {
    struct world_options options;
    char build[PATH_MAX];
    char dir[128]; /* short: unix sockets live in it */
    struct postgres *postgres;
    bool own_cluster;
    char database[POSTGRES_NAME_LEN];
    char admin_url[POSTGRES_URL_LEN]; /* superuser */
    char observer_url[POSTGRES_URL_LEN];
    char api_url[POSTGRES_URL_LEN];
    char runtime_address[128];
    char control_path[160];
    char base_url[64];
    int runtime_port, metrics_port, web_port;
    struct process runtime, observerd, second, web; /* second: another observerd */
    struct process handlers; /* who holds the socket of macp-fcgi, when it is not the web server */
    struct world_instance instances[WORLD_INSTANCES];
    struct runtime_ctl ctl;
    struct http http;
    struct db *db; /* as superuser, for looking */
};

bool world_start(struct world *w, const struct world_options *options, struct err *err) MUST_CHECK;
void world_stop(struct world *w);
/* Until the API says that database, runtime and observer are there. */
bool world_wait_ready(struct world *w, struct err *err) MUST_CHECK;
/* Path of the directory with the programs of the build that the running program belongs to. */
bool world_find_build(char *out, size_t size, struct err *err) MUST_CHECK;

/* --- parts --------------------------------------------------------------------------------- */

bool world_start_runtime(struct world *w, struct err *err) MUST_CHECK;
/* SIGKILL: sessions are forgotten, as with a runtime that keeps them in memory. */
void world_kill_runtime(struct world *w);
bool world_start_observerd(struct world *w, struct err *err) MUST_CHECK;
/* Exit status as a shell shows it; SIGKILL after timeout_ms. */
int world_stop_observerd(struct world *w, int timeout_ms);
void world_kill_observerd(struct world *w);
/* Another instance on the same database and runtime; ended by world_stop at the latest. */
bool world_start_second_observerd(struct world *w, struct err *err) MUST_CHECK;
int world_stop_second_observerd(struct world *w, int timeout_ms);
/*
 * One of several observers with ids a test knows, numbered from 0. A killed one that comes back
 * with its id takes its runs at once; with the id emptied before, when its lease is over.
 */
bool world_start_instance(struct world *w, size_t i, struct err *err) MUST_CHECK;
/* Exit status as a shell shows it; SIGKILL after timeout_ms. */
int world_stop_instance(struct world *w, size_t i, int sig, int timeout_ms);
/* Another command of macp-observerd with at most one argument; process_stop(p, 0, ...) waits for
 * it. What it says is in the log, behind what an earlier one of that name said. */
bool world_start_command(struct world *w, struct process *p, const char *name,
                         const char *const args[3], struct err *err) MUST_CHECK;
/* `macp-observerd rebuild --all`; its exit status, the end of its log as heap text in *said. */
bool world_rebuild(struct world *w, int *status, char **said, struct err *err) MUST_CHECK;
bool world_start_web(struct world *w, struct err *err) MUST_CHECK;
void world_stop_web(struct world *w);
/* Where the web server does not start macp-fcgi: the parent that does. world_start_web calls it. */
bool world_start_handlers(struct world *w, struct err *err) MUST_CHECK;
/* Exit status of macp-fcgi as a shell shows it. */
int world_stop_handlers(struct world *w, int timeout_ms);
/* Process id of macp-fcgi, 0 when it is not there. */
int world_handler_pid(const struct world *w);
/* As after a crash of the server. */
void world_stop_postgres(struct world *w);
bool world_restart_postgres(struct world *w, struct err *err) MUST_CHECK;
bool world_start_postgres(struct world *w, struct err *err) MUST_CHECK;

/* --- looking ------------------------------------------------------------------------------- */

/* First column of the first row as text, "" when there is none. */
bool world_sql(struct world *w, char *out, size_t size, struct err *err, const char *fmt, ...)
    PRINTF_FMT(5, 6) MUST_CHECK;
bool world_sql_rows(struct world *w, struct db_result **out, struct err *err, const char *fmt, ...)
    PRINTF_FMT(4, 5) MUST_CHECK;

/* A run descriptor (new reference) for a mode and session; session NULL leaves the id out. */
json_t *world_descriptor(const char *mode, const char *session) MUST_CHECK;

/*
 * Poll the run until its status is the wanted one; *last (may be NULL, >= 32 bytes) gets the last
 * one seen. False at once when the run ended otherwise.
 */
bool world_wait_status(struct world *w, const char *run_id, const char *wanted, int timeout_ms,
                       char *last, struct err *err) MUST_CHECK;
/* Every canonical event of the run as the events endpoint gives them (new reference). */
json_t *world_events(struct world *w, const char *run_id, struct err *err) MUST_CHECK;

#endif
