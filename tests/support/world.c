#include "tests/support/world.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/clock.h"
#include "tests/support/postgres.h"
#include "tests/support/web.h"

/*
 * Names of the daemon's variables are the operators'; values here are the smallest that keep the
 * behaviour recognisable, so that a test waits for what happens and not for a timer.
 */
static const char *const observerd_defaults[] = {
    "MACP_ENV=development",
    "LOG_LEVEL=info",
    "OBSERVERD_LEASE_MS=3000",
    "OBSERVERD_CLAIM_INTERVAL_MS=200",
    "OBSERVERD_STATE_CHECK_MS=1000",
    "OBSERVERD_DRAIN_MS=4000",
    "SESSION_POLL_BASE_MS=20",
    "SESSION_POLL_MAX_MS=200",
    "STREAM_BACKOFF_BASE_MS=20",
    "STREAM_BACKOFF_MAX_MS=300",
    "RUNTIME_REQUEST_TIMEOUT_MS=5000",
    "RUNTIME_CIRCUIT_BREAKER_RESET_MS=500",
    "DB_POOL_CONNECTION_TIMEOUT=1000",
    NULL,
};

static const char *const fcgi_defaults[] = {
    "MACP_ENV=development",   "LOG_LEVEL=info",
    "FCGI_THREADS=4",         "AUTH_API_KEYS=" WORLD_API_KEY,
    "THROTTLE_LIMIT=1000000", "DB_POOL_CONNECTION_TIMEOUT=1000",
    "COMMAND_WAIT_MS=5000",   NULL,
};

#define DIR_PREFIX "/tmp/macp-test."

enum { READY_MS = 10000, STOP_MS = 8000, LOOK_MS = 10000, REBUILD_MS = 60000, ENV_MAX = 48 };

/* --- environment lists --------------------------------------------------------------------- */

static size_t
name_len(const char *entry)
{
    return strcspn(entry, "=");
}

/* Later lists win by name. Entries are borrowed. */
static void
env_add(const char **out, const char *const *list)
{
    for (size_t i = 0; list && list[i]; i++) {
        size_t n = 0;

        while (out[n] && (name_len(out[n]) != name_len(list[i]) ||
                          strncmp(out[n], list[i], name_len(list[i])) != 0))
            n++;
        if (n + 1 >= ENV_MAX)
            BUG("more than %d environment variables", ENV_MAX);
        out[n] = list[i];
    }
}

/* --- directories --------------------------------------------------------------------------- */

bool
world_find_build(char *out, size_t size, struct err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n <= 0)
        return err_set(err, ERR_IO, "readlink /proc/self/exe: %s", strerror(errno));
    self[n] = '\0';
    /* The programs lie above tests/: tests/stack, tests/integration/test_x, tests/bench/x. */
    for (char *slash; (slash = strrchr(self, '/')) != NULL; *slash = '\0') {
        char probe[PATH_MAX + 32];

        snprintf(probe, sizeof(probe), "%s/macp-observerd", self);
        if (access(probe, X_OK) == 0) {
            snprintf(out, size, "%s", self);
            return true;
        }
    }
    return err_set(err, ERR_IO, "no macp-observerd above the running program: build it first");
}

/* Plain files, sockets and directories of these are made in a world's directory. */
static void
remove_directory(const char *dir)
{
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        char inner[PATH_MAX];

        if (unlinkat(dirfd(d), e->d_name, 0) == 0 || errno != EISDIR || e->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", dir, e->d_name);
        remove_directory(inner);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

/* A test that was killed could not clean up: the next one does. The name tells whose it is. */
static void
remove_leftovers(void)
{
    DIR *d = opendir("/tmp");

    for (struct dirent *e; d && (e = readdir(d));) {
        char dir[sizeof(DIR_PREFIX) + 64];
        long pid;

        if (strlen(e->d_name) > 60)
            continue;
        snprintf(dir, sizeof(dir), "/tmp/%.60s", e->d_name);
        if (strncmp(dir, DIR_PREFIX, strlen(DIR_PREFIX)) != 0)
            continue;
        pid = strtol(dir + strlen(DIR_PREFIX), NULL, 10);
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            remove_directory(dir);
    }
    if (d)
        closedir(d);
}

static bool
make_directory(struct world *w, struct err *err)
{
    remove_leftovers();
    snprintf(w->dir, sizeof(w->dir), DIR_PREFIX "%ld.XXXXXX", (long)getpid());
    if (!mkdtemp(w->dir)) {
        w->dir[0] = '\0';
        return err_set(err, ERR_IO, "mkdtemp: %s", strerror(errno));
    }
    return true;
}

/* --- database ------------------------------------------------------------------------------ */

/* How the programs of the world reach its database. */
static void
program_url(const struct world *w, const char *role, char out[POSTGRES_URL_LEN])
{
    const struct world_options *o = &w->options;
    size_t n;

    if (o->postgres_port)
        postgres_tcp_url(w->postgres, w->database, role, o->postgres_port, out);
    else
        postgres_url(w->postgres, w->database, role, out);
    n = strlen(out);
    if (snprintf(out + n, POSTGRES_URL_LEN - n, "%s",
                 o->postgres_address ? o->postgres_address : "") >= (int)(POSTGRES_URL_LEN - n))
        BUG("a database address that is too long");
}

static bool
open_database(struct world *w, struct err *err)
{
    w->postgres = w->options.cluster;
    if (!w->postgres) {
        w->postgres = postgres_start(NULL, err);
        if (!w->postgres)
            return false;
        w->own_cluster = true;
    }
    if (!postgres_database(w->postgres, w->database, err))
        return false;
    postgres_url(w->postgres, w->database, POSTGRES_ADMIN, w->admin_url);
    program_url(w, POSTGRES_OBSERVER, w->observer_url);
    program_url(w, POSTGRES_API, w->api_url);
    w->db = db_new(w->admin_url, "test", process_slow(LOOK_MS));
    return true;
}

static void
close_database(struct world *w)
{
    struct err err;

    db_close(w->db);
    w->db = NULL;
    if (w->own_cluster)
        postgres_stop(w->postgres);
    else if (w->postgres && w->database[0] && !postgres_drop(w->postgres, w->database, &err))
        fprintf(stderr, "%s stays behind: %s\n", w->database, err.msg);
    w->postgres = NULL;
}

bool
world_restart_postgres(struct world *w, struct err *err)
{
    world_stop_postgres(w);
    return world_start_postgres(w, err);
}

void
world_stop_postgres(struct world *w)
{
    db_disconnect(w->db);
    postgres_down(w->postgres, POSTGRES_IMMEDIATE);
}

bool
world_start_postgres(struct world *w, struct err *err)
{
    return postgres_up(w->postgres, err);
}

/* --- parts --------------------------------------------------------------------------------- */

bool
world_start_runtime(struct world *w, struct err *err)
{
    char program[PATH_MAX + 32];
    char port[16];
    const char *argv[ENV_MAX] = {program, "--port", port, "--control", w->control_path, NULL};

    snprintf(program, sizeof(program), "%s/tests/scripted-runtime", w->build);
    snprintf(port, sizeof(port), "%d", w->runtime_port);
    for (size_t i = 0; w->options.runtime_args && w->options.runtime_args[i] && i + 7 < ENV_MAX;
         i++)
        argv[i + 5] = w->options.runtime_args[i];
    unlink(w->control_path);
    return process_start(&w->runtime,
                         &(struct process_spec){.name = "runtime", .dir = w->dir, .argv = argv},
                         err) &&
           process_wait_port(&w->runtime, w->runtime_port, process_slow(READY_MS), err) &&
           process_wait_socket(&w->runtime, w->control_path, process_slow(READY_MS), err) &&
           runtime_ctl_open(&w->ctl, w->control_path, err);
}

void
world_kill_runtime(struct world *w)
{
    runtime_ctl_close(&w->ctl);
    process_stop(&w->runtime, SIGKILL, process_slow(STOP_MS));
}

/* The variables in more win over the usual ones, the world's own over both. */
static bool
start_program(struct world *w, struct process *process, const char *name, const char *const *args,
              int metrics_port, const char *const *more, struct err *err)
{
    char program[PATH_MAX + 32], url[POSTGRES_URL_LEN + 32], address[160], bearer[320], metrics[64];
    const char *env[ENV_MAX] = {NULL};
    const char *file = w->options.observerd_env_file;
    const char *argv[] = {program,
                          file ? "--env-file" : args[0],
                          file ? file : args[1],
                          file ? args[0] : NULL,
                          file ? args[1] : NULL,
                          NULL};

    snprintf(program, sizeof(program), "%s/macp-observerd", w->build);
    snprintf(url, sizeof(url), "DATABASE_URL=%s", w->observer_url);
    snprintf(address, sizeof(address), "RUNTIME_ADDRESS=%s", w->runtime_address);
    snprintf(bearer, sizeof(bearer), "RUNTIME_BEARER_TOKEN=%s",
             w->options.runtime_bearer ? w->options.runtime_bearer : WORLD_OBSERVER_TOKEN);
    snprintf(metrics, sizeof(metrics), "OBSERVERD_METRICS_ADDR=127.0.0.1:%d", metrics_port);
    env_add(env, observerd_defaults);
    env_add(env, (const char *const[]){url, address, bearer, metrics, NULL});
    env_add(env, more);
    env_add(env, w->options.observerd_env);
    return process_start(
        process, &(struct process_spec){.name = name, .dir = w->dir, .argv = argv, .env = env},
        err);
}

static bool
start_observer(struct world *w, struct process *process, const char *name, int metrics_port,
               const char *const *more, struct err *err)
{
    return start_program(w, process, name, (const char *const[]){"run", NULL}, metrics_port, more,
                         err);
}

bool
world_start_observerd(struct world *w, struct err *err)
{
    return start_observer(w, &w->observerd, "observerd", w->metrics_port, NULL, err);
}

bool
world_start_second_observerd(struct world *w, struct err *err)
{
    return start_observer(w, &w->second, "second", process_free_port(), NULL, err);
}

bool
world_start_instance(struct world *w, size_t i, struct err *err)
{
    struct world_instance *one = &w->instances[i];
    char url[POSTGRES_URL_LEN + 128], id[UUID_LEN + 32], name[32];
    char variable[192] = "OBSERVERD_SPOOL_DIR=", *spool = variable + strlen(variable);

    if (!one->id[0])
        uuid_v4(one->id);
    snprintf(name, sizeof(name), "instance%zu", i);
    snprintf(url, sizeof(url), "DATABASE_URL=%s&application_name=%s", w->observer_url, one->id);
    snprintf(id, sizeof(id), "OBSERVERD_INSTANCE_ID=%s", one->id);
    if (w->options.spool) {
        snprintf(spool, sizeof(variable) - strlen(variable), "%s/spool%zu", w->dir, i);
        if (mkdir(spool, 0700) != 0 && errno != EEXIST)
            return err_set(err, ERR_IO, "%s: %s", spool, strerror(errno));
    }
    one->metrics_port = process_free_port();
    return start_observer(w, &one->process, name, one->metrics_port,
                          (const char *const[]){url, id, variable, NULL}, err);
}

int
world_stop_instance(struct world *w, size_t i, int sig, int timeout_ms)
{
    return process_stop(&w->instances[i].process, sig, timeout_ms);
}

bool
world_start_command(struct world *w, struct process *p, const char *name, const char *const args[3],
                    struct err *err)
{
    return start_program(w, p, name, args, process_free_port(), NULL, err);
}

bool
world_rebuild(struct world *w, int *status, char **said, struct err *err)
{
    struct process rebuild = {0};

    if (!world_start_command(w, &rebuild, "rebuild",
                             (const char *const[]){"rebuild", "--all", NULL}, err))
        return false;
    *status = process_stop(&rebuild, 0, process_slow(REBUILD_MS)); /* no signal: waits for it */
    *said = process_log_tail(rebuild.log, 2000);
    return true;
}

int
world_stop_second_observerd(struct world *w, int timeout_ms)
{
    return process_stop(&w->second, SIGTERM, timeout_ms);
}

int
world_stop_observerd(struct world *w, int timeout_ms)
{
    return process_stop(&w->observerd, SIGTERM, timeout_ms);
}

void
world_kill_observerd(struct world *w)
{
    process_stop(&w->observerd, SIGKILL, process_slow(STOP_MS));
}

/* What macp-fcgi gets, whoever starts it. Entries are borrowed. */
static void
handler_env(const struct world *w, const char *url, const char **out)
{
    env_add(out, fcgi_defaults);
    env_add(out, (const char *const[]){url, NULL});
    env_add(out, w->options.fcgi_env);
}

static void
socket_path(const struct world *w, char *out, size_t size)
{
    snprintf(out, size, "%s/fcgi.sock", w->dir);
}

bool
world_start_handlers(struct world *w, struct err *err)
{
    char url[POSTGRES_URL_LEN + 32], hold[PATH_MAX + 32], program[PATH_MAX + 32], path[160];
    const char *env[ENV_MAX] = {NULL};

    snprintf(url, sizeof(url), "DATABASE_URL=%s", w->api_url);
    snprintf(hold, sizeof(hold), "%s/tests/hold", w->build);
    snprintf(program, sizeof(program), "%s/macp-fcgi", w->build);
    socket_path(w, path, sizeof(path));
    handler_env(w, url, env);
    return process_start(&w->handlers,
                         &(struct process_spec){
                             .name = "handlers",
                             .dir = w->dir,
                             .argv = (const char *const[]){hold, path, program, NULL},
                             .env = env,
                             .death_signal = SIGTERM, /* passed on */
                         },
                         err) &&
           process_wait_socket(&w->handlers, path, process_slow(READY_MS), err);
}

int
world_stop_handlers(struct world *w, int timeout_ms)
{
    return process_stop(&w->handlers, SIGTERM, timeout_ms);
}

bool
world_start_web(struct world *w, struct err *err)
{
    const struct web_server *server = &web_servers[w->options.web];
    char url[POSTGRES_URL_LEN + 32], config[160];
    const char *env[ENV_MAX] = {NULL}, *argv[WEB_ARGV_MAX] = {NULL};
    size_t n = 0;

    snprintf(url, sizeof(url), "DATABASE_URL=%s", w->api_url);
    snprintf(config, sizeof(config), "%s/web.conf", w->dir);
    handler_env(w, url, env);
    for (; server->argv[n]; n++)
        argv[n] = server->argv[n];
    argv[n] = config;
    if (!web_config(&(struct web_paths){.kind = w->options.web,
                                        .config = config,
                                        .dir = w->dir,
                                        .build = w->build,
                                        .env = env,
                                        .port = w->web_port},
                    err) ||
        (server->held && !world_start_handlers(w, err)))
        return false;
    return process_start(&w->web,
                         &(struct process_spec){
                             .name = "web",
                             .dir = w->dir,
                             .argv = argv,
                             .env = env,
                             /* Killed outright it would leave macp-fcgi behind. */
                             .death_signal = SIGTERM,
                         },
                         err) &&
           process_wait_port(&w->web, w->web_port, process_slow(READY_MS), err);
}

void
world_stop_web(struct world *w)
{
    process_stop(&w->web, SIGTERM, process_slow(STOP_MS));
    world_stop_handlers(w, process_slow(STOP_MS));
}

int
world_handler_pid(const struct world *w)
{
    int parent = (int)(w->handlers.pid ? w->handlers.pid : w->web.pid);
    char path[64], line[512] = "";
    FILE *f;
    int pid = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    f = fopen(path, "r");
    if (f && fgets(line, sizeof(line), f))
        pid = (int)strtol(line, NULL, 10); /* it starts nothing else */
    if (f)
        fclose(f);
    return pid;
}

/* --- whole --------------------------------------------------------------------------------- */

static void
choose_ports(struct world *w)
{
    w->runtime_port = process_free_port();
    w->metrics_port = process_free_port();
    w->web_port = w->options.port ? w->options.port : process_free_port();
    snprintf(w->base_url, sizeof(w->base_url), "http://127.0.0.1:%d", w->web_port);
    snprintf(w->control_path, sizeof(w->control_path), "%s/control", w->dir);
    if (w->options.runtime_address)
        snprintf(w->runtime_address, sizeof(w->runtime_address), "%s", w->options.runtime_address);
    else
        snprintf(w->runtime_address, sizeof(w->runtime_address), "127.0.0.1:%d",
                 w->options.runtime_port ? w->options.runtime_port : w->runtime_port);
}

static bool
start_parts(struct world *w, struct err *err)
{
    const struct world_options *o = &w->options;

    if (!open_database(w, err))
        return false;
    if (!o->without_runtime && !o->runtime_address && !world_start_runtime(w, err))
        return false;
    if (!o->without_observerd && !world_start_observerd(w, err))
        return false;
    return world_start_web(w, err);
}

bool
world_start(struct world *w, const struct world_options *options, struct err *err)
{
    *w = (struct world){.options = *options, .ctl.fd = -1};
    if (options->build)
        snprintf(w->build, sizeof(w->build), "%s", options->build);
    else if (!world_find_build(w->build, sizeof(w->build), err))
        return false;
    if (!make_directory(w, err))
        return false;
    /* Apache has an account of its own, which must reach the socket; the files stay ours. */
    if (chmod(w->dir, 0711) < 0)
        return err_set(err, ERR_IO, "chmod: %s", strerror(errno));
    choose_ports(w);
    http_init(&w->http, w->web_port, WORLD_API_KEY, process_slow(LOOK_MS));
    return start_parts(w, err);
}

static bool
is_ready(void *ctx)
{
    struct world *w = ctx;
    AUTO_HTTP_REPLY r = {0};
    struct err err;

    return http_get(&w->http, &r, &err, "/readyz") && json_is_true(json_object_get(r.json, "ok"));
}

bool
world_wait_ready(struct world *w, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};

    if (process_poll(is_ready, w, process_slow(READY_MS)))
        return true;
    if (!http_get(&w->http, &r, err, "/readyz"))
        return false;
    return err_set(err, ERR_IO, "not ready: %.300s", buf_cstr(&r.body));
}

void
world_stop(struct world *w)
{
    runtime_ctl_close(&w->ctl);
    world_stop_web(w);
    world_stop_observerd(w, process_slow(STOP_MS));
    world_stop_second_observerd(w, process_slow(STOP_MS));
    for (size_t i = 0; i < WORLD_INSTANCES; i++) {
        process_signal(&w->instances[i].process, SIGCONT); /* a paused one could not end */
        world_stop_instance(w, i, SIGTERM, process_slow(STOP_MS));
    }
    process_stop(&w->runtime, SIGTERM, process_slow(STOP_MS));
    close_database(w);
    if (w->dir[0])
        remove_directory(w->dir);
    w->dir[0] = '\0';
}

/* --- looking ------------------------------------------------------------------------------- */

bool
world_sql_rows(struct world *w, struct db_result **out, struct err *err, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        BUG("vasprintf");
    va_end(ap);

    bool ok = db_script_rows(w->db, text, out, err);

    free(text);
    return ok;
}

bool
world_sql(struct world *w, char *out, size_t size, struct err *err, const char *fmt, ...)
{
    AUTO_DB_RESULT *rows = NULL;
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        BUG("vasprintf");
    va_end(ap);

    bool ok = db_script_rows(w->db, text, &rows, err);

    free(text);
    if (ok)
        snprintf(out, size, "%s", db_rows(rows) > 0 ? db_text(rows, 0, 0) : "");
    return ok;
}

json_t *
world_descriptor(const char *mode, const char *session)
{
    json_t *d = json_pack("{s:s, s:{s:s}, s:{s:s, s:s, s:s, s:i, s:[{s:s},{s:s}]}}", "mode", "live",
                          "runtime", "kind", "rust", "session", "modeName", mode, "modeVersion",
                          "1.0.0", "configurationVersion", "config.default", "ttlMs", 60000,
                          "participants", "id", "agent://planner", "id", "agent://reviewer");

    if (session)
        json_object_set_new(json_object_get(d, "session"), "sessionId", json_string(session));
    return d;
}

bool
world_wait_status(struct world *w, const char *run_id, const char *wanted, int timeout_ms,
                  char *last, struct err *err)
{
    static const char *const ends[] = {"completed", "failed", "cancelled"};
    int64_t deadline = clock_mono_ms() + process_slow(timeout_ms);
    char seen[32] = "";

    for (;;) {
        AUTO_HTTP_REPLY r = {0};

        /* A request may be refused while a test has taken Postgres away. */
        if (http_get(&w->http, &r, err, "/runs/%s", run_id) && r.status == 200)
            snprintf(seen, sizeof(seen), "%s",
                     json_string_value(json_object_get(r.json, "status")));
        if (last)
            snprintf(last, 32, "%s", seen);
        if (strcmp(seen, wanted) == 0)
            return true;
        for (size_t i = 0; i < ARRAY_LEN(ends); i++)
            if (strcmp(seen, ends[i]) == 0)
                return err_set(err, ERR_IO, "run %s is %s instead of %s: %.300s", run_id, seen,
                               wanted, buf_cstr(&r.body));
        if (clock_mono_ms() >= deadline)
            return err_set(err, ERR_IO, "run %s is still %s, not %s", run_id, seen, wanted);
        process_pause(10);
    }
}

json_t *
world_events(struct world *w, const char *run_id, struct err *err)
{
    json_t *all = json_array();
    json_int_t after = 0;

    for (;;) {
        AUTO_HTTP_REPLY r = {0};

        if (!http_get(&w->http, &r, err, "/runs/%s/events?limit=5000&afterSeq=%lld", run_id,
                      (long long)after))
            break;
        if (r.status != 200 || !json_is_array(r.json)) {
            err_set(err, ERR_IO, "events of %s: %d %.200s", run_id, r.status, buf_cstr(&r.body));
            break;
        }
        if (json_array_size(r.json) == 0)
            return all;
        json_array_extend(all, r.json);
        after = json_integer_value(
            json_object_get(json_array_get(all, json_array_size(all) - 1), "seq"));
    }
    json_decref(all);
    return NULL;
}
