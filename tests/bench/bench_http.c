/*
 * bench_http - requests a second through the web server, what they cost, and what they could cost.
 *
 * wrk keeps LOAD_CONNECTIONS connections busy for SECONDS with each of three requests: a run, the
 * state of a typical finished run, and a durable POST of a new one. Every row has two floors, taken
 * in the same run: lighttpd sending the same bytes from a file, and pgbench doing the same
 * statement on the same database from as many connections. Processor time is per request and
 * process. Before these the run is read beside CANCELS cancels whose agents do not answer.
 *
 * Prints a table and asserts nothing: figures are for people. Needs wrk and pgbench. Run it from
 * the top of the tree. --short: a second each, to see that it works.
 */
#include <ctype.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.gen.h"
#include "tests/support/agent.h"
#include "tests/support/load.h"
#include "tests/support/machine.h"
#include "tests/support/runtime_ctl.h"
#include "tests/support/world.h"

#define DECISION "macp.mode.decision.v1"
#define PGBENCH  "/usr/lib/postgresql/15/bin/pgbench"

enum { SECONDS = 5, WAIT_MS = 60000, CANCELS = 100 };

struct figures {
    int seconds;
    char run[UUID_LEN];
    int file_port;
    struct process files; /* the other lighttpd */
};

/* --- floor: the same bytes from a file ------------------------------------------------------- */

static bool
start_files(struct world *w, struct figures *f, struct err *err)
{
    char config[LOAD_PATH_LEN];
    AUTO_BUF text = {0};

    f->file_port = process_free_port();
    buf_printf(&text,
               "server.port = %d\nserver.bind = \"127.0.0.1\"\nserver.document-root = \"%s\"\n"
               "mimetype.assign = ( \"\" => \"application/json\" )\n",
               f->file_port, w->dir);
    return load_file(w, "files.conf", text.p, text.len, config, err) &&
           process_start(
               &f->files,
               &(struct process_spec){
                   .name = "files",
                   .dir = w->dir,
                   .argv = (const char *const[]){"/usr/sbin/lighttpd", "-D", "-f", config, NULL}},
               err) &&
           process_wait_port(&f->files, f->file_port, WAIT_MS, err);
}

static bool
file_floor(struct world *w, const struct figures *f, const char *name, const struct buf *body,
           struct load_figures *out, struct err *err)
{
    char path[LOAD_PATH_LEN], target[64];

    snprintf(target, sizeof target, "/%s", name);
    return load_file(w, name, body->p, body->len, path, err) &&
           load_wrk(
               w,
               &(struct load_spec){
                   .web = &f->files, .port = f->file_port, .target = target, .seconds = f->seconds},
               out, err);
}

/* --- floor: the same statement from pgbench --------------------------------------------------- */

/*
 * The statement with its parameters written out. One that starts with ':' or a function is
 * pgbench's own expression, everything else becomes a literal; a blank behind each colon keeps
 * pgbench from seeing variables there. NULL: null.
 */
static void
write_parameter(struct buf *out, const char *value)
{
    if (!value) {
        buf_lit(out, "null");
    } else if (*value == '(') {
        buf_str(out, value);
    } else {
        buf_char(out, '\'');
        for (; *value; value++) {
            buf_char(out, *value);
            if (*value == '\'')
                buf_char(out, '\'');
            else if (*value == ':')
                buf_char(out, ' ');
        }
        buf_char(out, '\'');
    }
}

static void
write_statement(struct buf *out, enum sql_id id, const char *const *values)
{
    for (const char *p = sql_statements[id].text; *p;) {
        char *end;

        if (*p == '$' && isdigit((unsigned char)p[1])) {
            write_parameter(out, values[strtol(p + 1, &end, 10) - 1]);
            p = end;
        } else {
            buf_char(out, *p++);
        }
    }
    buf_lit(out, ";\n");
}

static bool
statement_floor(struct world *w, const struct figures *f, enum sql_id id, const char *const *values,
                double *per_s, struct err *err)
{
    char script[LOAD_PATH_LEN], clients[16], seconds[16];
    AUTO_BUF text = {0};
    const char *const argv[] = {PGBENCH, "-n", "-M",    "prepared", "-c",   clients,      "-j",
                                "1",     "-T", seconds, "-f",       script, w->admin_url, NULL};
    char *said = NULL;
    const char *line;
    bool ok;

    buf_lit(&text, "\\set a random(1, 1000000000000)\n\\set b random(1, 1000000000000)\n");
    write_statement(&text, id, values);
    snprintf(clients, sizeof clients, "%d", LOAD_CONNECTIONS);
    snprintf(seconds, sizeof seconds, "%d", f->seconds);
    if (!load_file(w, "pgbench.sql", text.p, text.len, script, err))
        return false;
    ok = load_program(w, "pgbench", argv, f->seconds, &said, err);
    line = said ? strstr(said, "tps = ") : NULL;
    if (ok && !line)
        ok = err_set(err, ERR_IO, "pgbench said %.300s", said ? said : "nothing");
    *per_s = ok ? strtod(line + 6, NULL) : 0;
    free(said);
    return ok;
}

/* --- what is asked --------------------------------------------------------------------------- */

static void
print_row(const char *what, double target, const struct load_figures *m)
{
    char target_text[16] = "";

    if (target > 0)
        snprintf(target_text, sizeof target_text, "%.0f", target);
    printf("%-34s %8.0f %8s %8.2f %8.2f %7ld %8.0f %8.0f %8.0f\n", what, m->per_s, target_text,
           m->p50_ms, m->p99_ms, m->failed, m->web_us, m->fcgi_us, m->postgres_us);
    fflush(stdout);
}

static void
print_statement(double per_s)
{
    printf("%-34s %8.0f\n", "  floor: its statement by pgbench", per_s);
    fflush(stdout);
}

/* A finished run like many: every kind of message of its mode, one decision. */
static bool
play_run(struct world *w, struct figures *f, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    json_t *d = world_descriptor(DECISION, NULL), *played;
    bool ok = http_post(&w->http, "/runs", d, &r, err);

    json_decref(d);
    if (!ok || r.status != 201)
        return ok && err_set(err, ERR_IO, "POST /runs: %d", r.status);
    snprintf(f->run, UUID_LEN, "%s", json_string_value(json_object_get(r.json, "runId")));
    played =
        runtime_ctl_call(&w->ctl,
                         json_pack("{s:s, s:s, s:O}", "cmd", "play", "script", "decision.positive",
                                   "session", json_object_get(r.json, "sessionId")),
                         WAIT_MS, err);
    json_decref(played);
    return played && world_wait_status(w, f->run, "completed", WAIT_MS, NULL, err);
}

static bool
measure_get(struct world *w, const struct figures *f, const char *what, const char *suffix,
            double target, enum sql_id id, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    char path[128];
    struct load_figures m;
    double floor;

    snprintf(path, sizeof path, "/runs/%s%s", f->run, suffix);
    if (!http_get(&w->http, &r, err, "%s", path))
        return false;
    if (r.status != 200)
        return err_set(err, ERR_IO, "%s: %d", path, r.status);
    if (!load_wrk(w,
                  &(struct load_spec){.port = w->web_port, .target = path, .seconds = f->seconds},
                  &m, err))
        return false;
    print_row(what, target, &m);
    if (!file_floor(w, f, "body.json", &r.body, &m, err))
        return false;
    print_row("  floor: its bytes from a file", 0, &m);
    if (!statement_floor(w, f, id, (const char *const[]){f->run}, &floor, err))
        return false;
    print_statement(floor);
    return true;
}

static bool
measure_post(struct world *w, const struct figures *f, const char *what, double target,
             struct err *err)
{
    json_t *d = world_descriptor(DECISION, NULL);
    char *text = json_dumps(d, JSON_COMPACT);
    /* In the order of the statement's parameters. */
    const char *const values[] = {
        "(md5(:a || '-' || :b)::uuid)",
        "('session-' || :a || '-' || :b)",
        NULL,
        "live",
        DECISION,
        "rust",
        NULL,
        "4bf92f3577b34da6a3ce929d0e0e4736",
        NULL,
        NULL,
        NULL,
        NULL,
        "[]",
        text,
        "{}",
        NULL,
        NULL,
        "f",
        "60000",
        "(now())",
        "{\"status\": \"queued\"}",
        "key-00000000",
        "service",
        "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11",
        "posted",
        "run.created",
        "{}",
    };
    struct load_figures m;
    double floor;
    bool ok =
        load_wrk(w,
                 &(struct load_spec){
                     .port = w->web_port, .target = "/runs", .post = text, .seconds = f->seconds},
                 &m, err);

    if (ok) {
        print_row(what, target, &m);
        ok = statement_floor(w, f, SQL_RUN_CREATE, values, &floor, err);
    }
    if (ok)
        print_statement(floor);
    free(text);
    json_decref(d);
    return ok;
}

/* --- beside cancels that hang ------------------------------------------------------------------
 */

struct cancel {
    pthread_t thread;
    const struct world *world;
    char run[UUID_LEN];
    bool started;
};

static void *
cancel_main(void *arg)
{
    struct cancel *c = arg;
    struct http http = c->world->http;
    AUTO_HTTP_REPLY r = {0};
    char path[64];
    struct err err;

    snprintf(path, sizeof path, "/runs/%s/cancel", c->run);
    if (!http_send(
            &http,
            &(struct http_request){.method = "POST", .path = path, .body = "{}", .body_len = 2}, &r,
            &err))
        fprintf(stderr, "bench_http: cancel: %s\n", err.msg);
    return NULL;
}

static bool
post_cancellable(struct world *w, const char *callback, struct cancel *c, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    json_t *d = world_descriptor(DECISION, NULL);
    bool ok;

    json_object_set_new(json_object_get(d, "session"), "metadata",
                        json_pack("{s:{s:s}}", "cancelCallback", "url", callback));
    ok = http_post(&w->http, "/runs", d, &r, err);
    json_decref(d);
    if (!ok || r.status != 201)
        return ok && err_set(err, ERR_IO, "POST /runs: %d", r.status);
    snprintf(c->run, sizeof c->run, "%s", json_string_value(json_object_get(r.json, "runId")));
    return true;
}

/* People cancel runs whose agents do not answer, while others read. */
static bool
measure_beside_cancels(struct world *w, const struct figures *f, struct err *err)
{
    static struct cancel cancels[CANCELS];
    char path[128], callback[128];
    struct agent *agent = NULL;
    struct load_figures m;
    bool ok = agent_start(w->control_path, &agent, err);

    if (ok)
        agent_url(agent, "/hang", callback, sizeof callback);
    for (int i = 0; ok && i < CANCELS; i++) {
        cancels[i].world = w;
        ok = post_cancellable(w, callback, &cancels[i], err);
    }
    for (int i = 0; ok && i < CANCELS; i++)
        cancels[i].started =
            pthread_create(&cancels[i].thread, NULL, cancel_main, &cancels[i]) == 0;
    snprintf(path, sizeof path, "/runs/%s", f->run);
    ok =
        ok &&
        load_wrk(w, &(struct load_spec){.port = w->web_port, .target = path, .seconds = f->seconds},
                 &m, err);
    if (ok)
        print_row("GET beside hanging cancels", 0, &m);
    for (int i = 0; i < CANCELS; i++)
        if (cancels[i].started)
            pthread_join(cancels[i].thread, NULL);
    if (ok)
        printf("  %d cancels, %d callbacks that hang; p99 target 50 ms\n", CANCELS,
               agent_calls(agent, "/hang"));
    agent_stop(agent);
    return ok;
}

static bool
measure(struct world *w, struct figures *f, struct err *err)
{
    if (!world_wait_ready(w, err) || !play_run(w, f, err) || !start_files(w, f, err))
        return false;
    printf("\n%d connections, %d s each; microseconds of processor time per request\n\n%-34s %8s "
           "%8s %8s %8s %7s %8s %8s %8s\n",
           LOAD_CONNECTIONS, f->seconds, "", "per s", "target", "p50 ms", "p99 ms", "failed",
           "web us", "fcgi us", "pg us");
    if (!measure_beside_cancels(w, f, err))
        return false;
    world_stop_observerd(w, WAIT_MS); /* it would look after every run that is posted */
    return measure_get(w, f, "GET /runs/:id", "", 8000, SQL_RUN_GET, err) &&
           measure_get(w, f, "GET /runs/:id/state", "/state", 4000, SQL_RUN_STATE, err) &&
           measure_post(w, f, "POST /runs (p99 target 40 ms)", 2500, err);
}

int
main(int argc, char **argv)
{
    static const char *const fcgi_env[] = {"FCGI_THREADS=0", "THROTTLE_TTL_MS=1000", NULL};
    struct figures f = {.seconds = SECONDS};
    struct err err = {0};
    struct postgres *cluster;
    struct world w = {0};
    bool ok;

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--short") != 0)) {
        fprintf(stderr, "usage: bench_http [--short]\n");
        return 2;
    }
    if (argc == 2)
        f.seconds = 1;
    machine_print();
    cluster = postgres_start(&(struct postgres_options){.durable = true}, &err);
    ok = cluster &&
         world_start(&w, &(struct world_options){.cluster = cluster, .fcgi_env = fcgi_env}, &err) &&
         measure(&w, &f, &err);
    if (!ok)
        fprintf(stderr, "bench_http: %s\n", err.msg);
    process_stop(&f.files, SIGTERM, WAIT_MS);
    world_stop(&w);
    postgres_stop(cluster);
    return ok ? 0 : 1;
}
