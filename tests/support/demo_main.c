/*
 * demo - the whole path on one port, with sessions of every mode to look at.
 *
 *   demo [--port N] [--check]
 *
 * Starts a private Postgres, the scripted runtime, macp-observerd and lighttpd with macp-fcgi;
 * posts runs and lets the runtime play them until Ctrl-C, which removes everything. --check posts
 * one run, waits until it is decided, reads it back over HTTP and by SQL, and exits 0 when all of
 * that agrees. Run it from the top of the tree.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/clock.h"
#include "tests/support/world.h"

enum { PORT = 8080, STEP_MS = 300, PAUSE_MS = 1000, CHECK_STEP_MS = 50, WAIT_MS = 30000 };

struct play {
    const char *script;
    const char *mode;
};

// clang-format off
static const struct play plays[] = {
    {"decision.positive",    "macp.mode.decision.v1"},
    {"proposal.positive",    "macp.mode.proposal.v1"},
    {"task.positive",        "macp.mode.task.v1"},
    {"handoff.positive",     "macp.mode.handoff.v1"},
    {"quorum.positive",      "macp.mode.quorum.v1"},
    {"multi_round.positive", "ext.multi_round.v1"},
    {"decision.negative",    "macp.mode.decision.v1"},
    {"session.suspend",      "macp.mode.decision.v1"},
    {"task.negative",        "macp.mode.task.v1"},
    {"quorum.negative",      "macp.mode.quorum.v1"},
    {"session.cancel",       "macp.mode.decision.v1"},
};
// clang-format on

struct ids {
    char run[UUID_LEN];
    char session[WORLD_SESSION_LEN];
};

static bool
post_run(struct world *w, const char *mode, struct ids *out, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    json_t *d = world_descriptor(mode, NULL);
    bool sent = http_post(&w->http, "/runs", d, &r, err);

    json_decref(d);
    if (!sent)
        return false;
    if (r.status != 201)
        return err_set(err, ERR_IO, "POST /runs: %d %.200s", r.status, buf_cstr(&r.body));
    snprintf(out->run, sizeof(out->run), "%s", json_string_value(json_object_get(r.json, "runId")));
    snprintf(out->session, sizeof(out->session), "%s",
             json_string_value(json_object_get(r.json, "sessionId")));
    return true;
}

/* The answer to play, new reference: the job's number, or with wait what was played. */
static json_t *
play(struct world *w, const char *script, const char *session, int step_ms, bool wait,
     struct err *err)
{
    return runtime_ctl_call(&w->ctl,
                            json_pack("{s:s, s:s, s:s, s:i, s:b}", "cmd", "play", "script", script,
                                      "session", session, "delayMs", step_ms, "wait", wait),
                            WAIT_MS, err);
}

/* --- check ----------------------------------------------------------------------------------- */

/* What the events endpoint gave. */
struct seen {
    int events;
    json_int_t last_seq;
};

static bool
check_rest(struct world *w, const char *run, struct seen *seen, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    json_t *list = world_events(w, run, err);

    if (!list)
        return false;
    seen->events = (int)json_array_size(list);
    seen->last_seq =
        json_integer_value(json_object_get(json_array_get(list, json_array_size(list) - 1), "seq"));
    json_decref(list);
    if (!http_get(&w->http, &r, err, "/runs/%s/state", run))
        return false;

    const json_t *current = json_object_get(json_object_get(r.json, "decision"), "current");
    const char *action = json_string_value(json_object_get(current, "action"));

    printf("  GET /runs/%s/state    decision: %s\n", run, action ? action : "(none)");
    printf("  GET /runs/%s/events   %d events\n", run, seen->events);
    if (!action || strcmp(action, "decision.selected") != 0)
        return err_set(err, ERR_IO, "the state shows no decision");
    return true;
}

static bool
check_sql(struct world *w, const char *run, json_int_t accepted, const struct seen *seen,
          struct err *err)
{
    char row[128], wanted[128];

    /* Signals may arrive behind the end of a run: only what the other endpoint saw is counted. */
    if (!world_sql(
            w, row, sizeof(row), err,
            "select concat_ws(' ', r.status, (select count(*) from macp.run_events_raw e "
            "where e.run_key = r.run_key and e.source = 'session'), (select count(*) from "
            "macp.run_events_canonical c where c.run_key = r.run_key and c.seq <= %lld)) from "
            "macp.runs r where r.id = '%s'",
            (long long)seen->last_seq, run))
        return false;
    printf("  SQL                    status, envelopes, events: %s\n", row);
    snprintf(wanted, sizeof(wanted), "completed %lld %d", (long long)accepted, seen->events);
    if (strcmp(row, wanted) != 0)
        return err_set(err, ERR_IO, "SQL shows '%s' where '%s' was expected", row, wanted);
    return true;
}

static bool
check(struct world *w, int64_t began_ms, struct err *err)
{
    struct ids ids;
    json_t *played;
    json_int_t accepted;
    struct seen seen = {0};

    if (!post_run(w, plays[0].mode, &ids, err))
        return false;
    printf("  POST /runs             run %s\n", ids.run);
    played = play(w, plays[0].script, ids.session, CHECK_STEP_MS, true, err);
    if (!played)
        return false;
    accepted = json_integer_value(json_object_get(played, "accepted"));
    printf("  runtime                accepted %lld envelopes of session %s\n", (long long)accepted,
           ids.session);
    json_decref(played);
    if (!world_wait_status(w, ids.run, "completed", WAIT_MS, NULL, err))
        return false;
    printf("  GET /runs/%s          completed, %.1f s after the start of the demo\n", ids.run,
           (double)(clock_mono_ms() - began_ms) / 1000);
    return check_rest(w, ids.run, &seen, err) && check_sql(w, ids.run, accepted, &seen, err);
}

/* --- show ------------------------------------------------------------------------------------ */

static void
print_welcome(const struct world *w)
{
    printf("\n  For another terminal:\n\n");
    printf("    export API=%s KEY=%s CONTROL=%s\n", w->base_url, WORLD_API_KEY, w->control_path);
    printf("    psql '%s'\n\n", w->admin_url);
    printf("  Sessions of every mode are played, one after the other. Look at them:\n\n");
    printf("    curl -s %s/healthz\n", w->base_url);
    printf("    curl -s -H 'Authorization: Bearer %s' %s/runs\n", WORLD_API_KEY, w->base_url);
    printf("    curl -s -H 'Authorization: Bearer %s' %s/runs/RUN/state\n", WORLD_API_KEY,
           w->base_url);
    printf("    curl -s -H 'Authorization: Bearer %s' %s/runs/RUN/events\n\n", WORLD_API_KEY,
           w->base_url);
    printf("  Ctrl-C ends the demo and removes everything.\n\n");
    fflush(stdout);
}

/* True when the user wants to stop. */
static bool
pause_for(const sigset_t *signals, int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    return sigtimedwait(signals, NULL, &t) > 0;
}

static bool
show(struct world *w, const sigset_t *signals, struct err *err)
{
    print_welcome(w);
    for (size_t i = 0;; i = (i + 1) % ARRAY_LEN(plays)) {
        struct ids ids;
        json_t *job;
        bool over = false;

        if (!post_run(w, plays[i].mode, &ids, err))
            return false;
        printf("  %-20s run %s\n", plays[i].script, ids.run);
        fflush(stdout);
        job = play(w, plays[i].script, ids.session, STEP_MS, false, err);
        if (!job)
            return false;
        while (!over) {
            json_t *now;

            if (pause_for(signals, PAUSE_MS)) {
                json_decref(job);
                return true;
            }
            now = runtime_ctl_call(
                &w->ctl, json_pack("{s:s, s:s}", "cmd", "session", "session", ids.session), WAIT_MS,
                err);
            over = !now || (strcmp(json_string_value(json_object_get(now, "state")),
                                   "SESSION_STATE_OPEN") != 0 &&
                            strcmp(json_string_value(json_object_get(now, "state")),
                                   "SESSION_STATE_SUSPENDED") != 0);
            json_decref(now);
        }
        json_decref(job);
    }
}

static bool
read_options(int argc, char **argv, int *port, bool *unattended)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"check", no_argument, NULL, 'c'},
        {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'p')
            *port = (int)strtol(optarg, NULL, 10);
        else if (c == 'c')
            *unattended = true;
        else
            return false;
    }
    return optind == argc && *port >= 0 && *port <= 65535;
}

int
main(int argc, char **argv)
{
    int64_t began_ms = clock_mono_ms();
    int port = 0;
    bool unattended = false;
    struct world w;
    struct err err = {0};
    sigset_t signals;
    bool ok;

    if (!read_options(argc, argv, &port, &unattended)) {
        fprintf(stderr, "usage: %s [--port N] [--check]\n", argv[0]);
        return 2;
    }
    if (port == 0 && process_port_is_free(PORT))
        port = PORT;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    printf("macp-observer demo: starting Postgres, a scripted runtime, observerd and lighttpd\n");
    fflush(stdout);
    ok = world_start(&w, &(struct world_options){.port = port}, &err) && world_wait_ready(&w, &err);
    if (ok)
        ok = unattended ? check(&w, began_ms, &err) : show(&w, &signals, &err);
    if (!ok)
        fprintf(stderr, "demo: %s\n", err.msg);
    world_stop(&w);
    if (unattended)
        printf("demo check: %s\n", ok ? "passed" : "failed");
    return ok ? 0 : 1;
}
