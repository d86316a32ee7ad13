/*
 * bench_neighbour - what an ordinary session notices of a hostile one.
 *
 * One session gets envelopes at a low rate, another one all that hostile senders can do, one way
 * after the other, as fast as the runtime takes it. Printed is how long the ordinary one's
 * envelopes took until they were committed, how that divides into the way to the daemon and the way
 * from there (the 99th percentile of each), when a reader of the tables saw them, and how big the
 * daemon grew. Both sessions
 * share a shard, so a connection to Postgres: what is measured is the worst case.
 *
 * Asserts nothing: figures are for people. Run it from the top of the tree.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/cpu.h"
#include "tests/support/hostile.h"
#include "tests/support/latency.h"
#include "tests/support/machine.h"

#define DECISION "macp.mode.decision.v1"

enum { ENVELOPES = 200, RATE = 50, WAIT_MS = 120000 };

#define NOBODY HOSTILE__COUNT

static bool
post_run(struct world *w, char session[WORLD_SESSION_LEN], struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    json_t *d = world_descriptor(DECISION, NULL);
    bool sent = http_post(&w->http, "/runs", d, &r, err);

    json_decref(d);
    if (!sent)
        return false;
    if (r.status != 201)
        return err_set(err, ERR_IO, "POST /runs: %d %.200s", r.status, buf_cstr(&r.body));
    snprintf(session, WORLD_SESSION_LEN, "%s",
             json_string_value(json_object_get(r.json, "sessionId")));
    return true;
}

static bool
start_neighbour(struct world *w, const char *session, struct err *err)
{
    json_t *job = runtime_ctl_call(&w->ctl,
                                   json_pack("{s:s, s:[s], s:i, s:i, s:b, s:b}", "cmd", "pump",
                                             "ids", session, "envelopes", ENVELOPES, "rate", RATE,
                                             "waitSubscribers", 1, "wait", 0),
                                   WAIT_MS, err);

    json_decref(job);
    return job != NULL;
}

struct figures {
    int64_t p50_ms, p99_ms, max_ms;  /* sent to committed */
    int64_t arriving_ms, storing_ms; /* 99th percentile of the way to the daemon, and of the rest */
};

/* As Postgres notes commits: whoever looks at the tables shares the processors with all of it. */
static bool
read_figures(struct world *w, const char *session, struct figures *out, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    int64_t *const columns[] = {&out->p50_ms, &out->p99_ms, &out->max_ms, &out->arriving_ms,
                                &out->storing_ms};

    if (!world_sql_rows(w, &r, err,
                        "select percentile_disc(0.5) within group (order by a + s)::bigint, "
                        "percentile_disc(0.99) within group (order by a + s)::bigint, max(a + "
                        "s)::bigint, percentile_disc(0.99) within group (order by a)::bigint, "
                        "percentile_disc(0.99) within group (order by s)::bigint from (select "
                        "extract(epoch from received_at - sent_at) * 1000 as a, extract(epoch from "
                        "pg_xact_commit_timestamp(e.xmin) - received_at) * 1000 as s from "
                        "macp.run_events_raw e join macp.runs using (run_key) where session_id = "
                        "'%s' and source = 'session') x",
                        session))
        return false;
    for (int i = 0; i < (int)ARRAY_LEN(columns); i++)
        *columns[i] = db_int(r, 0, i);
    return true;
}

static bool
measure(struct world *w, unsigned way, struct err *err)
{
    char hostile[WORLD_SESSION_LEN], neighbour[WORLD_SESSION_LEN];
    struct latency_figures seen;
    struct latency *watch;
    struct figures f = {0};
    int64_t took_ms = 0;
    int sent = 0;
    bool ok;

    if (!post_run(w, hostile, err) || !post_run(w, neighbour, err) ||
        !hostile_open(w, hostile, err))
        return false;
    watch = latency_watch(w->admin_url, neighbour, ENVELOPES, WAIT_MS);
    ok = start_neighbour(w, neighbour, err);
    if (ok && way != NOBODY) {
        took_ms = clock_mono_ms();
        ok = hostile_send(w, hostile, (enum hostile_way)way, &sent, err);
        took_ms = clock_mono_ms() - took_ms;
    }
    ok = latency_finish(watch, &seen, err) && ok && hostile_close(w, hostile, err) &&
         read_figures(w, neighbour, &f, err);
    if (ok)
        printf("  %-28s %9d %9.1f %8" PRId64 " %8" PRId64 " %8" PRId64 " %9" PRId64 " %9" PRId64
               " %9" PRId64 " %9.1f\n",
               way == NOBODY ? "nobody hostile" : hostile_name((enum hostile_way)way), sent,
               (double)took_ms / 1000, f.p50_ms, f.p99_ms, f.max_ms, f.arriving_ms, f.storing_ms,
               seen.p99_ms, (double)memory_peak_kib(w->observerd.pid) / 1024);
    fflush(stdout);
    return ok;
}

int
main(void)
{
    static const char *const runtime[] = {"--set", "compaction=false", NULL};
    static const enum hostile_way order[] = {
        NOBODY,           HOSTILE_GARBAGE, HOSTILE_DEEP_JSON,       HOSTILE_CONTROL_CHARACTERS,
        HOSTILE_LONG_IDS, HOSTILE_CROWD,   HOSTILE_LARGEST_PAYLOADS};
    struct err err = {0};
    struct postgres *cluster;
    struct world w = {0};
    bool ok;

    machine_print();
    cluster = postgres_start(
        &(struct postgres_options){.settings = "track_commit_timestamp = on\n"}, &err);
    ok = cluster &&
         world_start(&w, &(struct world_options){.cluster = cluster, .runtime_args = runtime},
                     &err) &&
         world_wait_ready(&w, &err);
    printf("\nan ordinary session at %d envelopes/s beside a hostile one (milliseconds +-1)\n",
           RATE);
    printf("  %-28s %9s %9s %8s %8s %8s %9s %9s %9s %9s\n", "", "envelopes", "sent in s", "p50 ms",
           "p99 ms", "max ms", "arriving", "storing", "seen", "peak MiB");
    for (size_t i = 0; ok && i < ARRAY_LEN(order); i++)
        ok = measure(&w, order[i], &err);
    if (!ok)
        fprintf(stderr, "bench: %s\n", err.msg);
    world_stop(&w);
    postgres_stop(cluster);
    return ok ? 0 : 1;
}
