/*
 * bench_crowd - many sessions at once: idle, at a low rate each, and when their observer dies.
 *
 * Every part has a world of its own with the timers of production; sessions are discovered, as
 * most are. Latency is what Postgres itself notes: the time of the commit that made a row visible,
 * less the time that the runtime stamped on the envelope (whole milliseconds).
 *
 * Prints tables and asserts nothing but that all was stored: figures are for people. Run it from
 * the top of the tree. With an argument (idle, busy, takeover) that part alone is measured.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/cpu.h"
#include "tests/support/machine.h"
#include "tests/support/world.h"

enum {
    WAIT_MS = 180000,
    IDLE_SESSIONS = 10000,
    IDLE_MS = 20000,
    BUSY_SESSIONS = 1000,
    BUSY_RATE = 2000, /* of all together per second */
    BUSY_SECONDS = 20,
    TAKEN_SESSIONS = 1000,
    TAKEN_RATE = 500,
    LEASE_MS = 15000,
};

static const char *const production[] = {
    "LOG_LEVEL=warn",
    "OBSERVERD_LEASE_MS=15000",
    "OBSERVERD_CLAIM_INTERVAL_MS=1000",
    "OBSERVERD_STATE_CHECK_MS=60000",
    "STREAM_BACKOFF_MAX_MS=30000",
    "OBSERVERD_MAX_RUNS=20000",
    NULL,
};

static const char *const runtime_args[] = {"--max-streams", "128", NULL};

/* --- a world -----------------------------------------------------------------------------------
 */

static bool
open_world(struct world *w, struct postgres **cluster, bool instances, struct err *err)
{
    *cluster = postgres_start(
        &(struct postgres_options){.durable = true, .settings = "track_commit_timestamp = on\n"},
        err);
    return *cluster &&
           world_start(w,
                       &(struct world_options){.cluster = *cluster,
                                               .observerd_env = production,
                                               .runtime_args = runtime_args,
                                               .without_observerd = instances},
                       err) &&
           (!instances || (world_start_instance(w, 0, err) && world_start_instance(w, 1, err))) &&
           world_wait_ready(w, err);
}

static void
close_world(struct world *w, struct postgres *cluster)
{
    world_stop(w);
    postgres_stop(cluster);
}

static bool
wait_sql(struct world *w, const char *wanted, int timeout_ms, struct err *err, const char *sql)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    char got[64] = "";

    for (;;) {
        if (!world_sql(w, got, sizeof got, err, "%s", sql))
            return false;
        if (strcmp(got, wanted) == 0)
            return true;
        if (clock_mono_ms() >= until)
            return err_set(err, ERR_IO, "%s instead of %s: %s", got, wanted, sql);
        process_pause(20);
    }
}

/* Open so many sessions (a start and a proposal each, no end) and wait until they are observed. */
static json_t *
open_sessions(struct world *w, int sessions, struct err *err)
{
    json_t *ids = json_array(), *answer;
    char wanted[32];

    for (int i = 0; i < sessions; i++) {
        char id[UUID_LEN];

        uuid_v4(id);
        json_array_append_new(ids, json_string(id));
    }
    answer = runtime_ctl_call(&w->ctl,
                              json_pack("{s:s, s:O, s:i, s:i, s:b, s:b}", "cmd", "pump", "ids", ids,
                                        "envelopes", 3, "rate", 3000, "commit", 0, "wait", 1),
                              WAIT_MS, err);
    snprintf(wanted, sizeof wanted, "%d", sessions);
    if (!answer || !wait_sql(w, wanted, WAIT_MS, err,
                             "select count(*) from macp.run_observers where cursor >= 2 and not "
                             "closed")) {
        json_decref(ids);
        ids = NULL;
    }
    json_decref(answer);
    return ids;
}

/* --- idle ------------------------------------------------------------------------------------ */

static bool
measure_idle(struct err *err)
{
    struct postgres *cluster = NULL;
    struct world w = {0};
    struct cpu_use before, after;
    int64_t began = 0;
    json_t *ids = NULL;
    bool ok = open_world(&w, &cluster, false, err);

    printf("\n%d idle sessions in one observerd\n", IDLE_SESSIONS);
    fflush(stdout);
    if (ok) {
        began = clock_mono_ms();
        ids = open_sessions(&w, IDLE_SESSIONS, err);
        ok = ids != NULL;
    }
    if (ok) {
        printf("  opened, discovered and streaming after %.1f s\n",
               (double)(clock_mono_ms() - began) / 1000);
        process_pause(5000); /* what the opening has left to do */
        cpu_note(&w, &before);
        process_pause(IDLE_MS); /* the measurement itself */
        cpu_note(&w, &after);
        cpu_print(&before, &after);
        printf("  observerd: %.0f MiB resident, %.0f MiB at its peak\n",
               (double)memory_kib(w.observerd.pid) / 1024,
               (double)memory_peak_kib(w.observerd.pid) / 1024);
    }
    fflush(stdout);
    json_decref(ids);
    close_world(&w, cluster);
    return ok;
}

/* --- busy ------------------------------------------------------------------------------------ */

static bool
print_latency(struct world *w, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    if (!world_sql_rows(w, &r, err,
                        "select count(*), percentile_disc(array[0.5, 0.9, 0.99, 0.999]) within "
                        "group (order by ms) from (select round(extract(epoch from "
                        "pg_xact_commit_timestamp(e.xmin) - e.sent_at) * 1000, 1) as ms from "
                        "macp.run_events_raw e where source = 'session' and message_type = "
                        "'Evaluation') l"))
        return false;
    printf("  %s envelopes; sent to committed, milliseconds, {p50,p90,p99,p99.9}: %s\n",
           db_text(r, 0, 0), db_text(r, 0, 1));
    return true;
}

static bool
measure_busy(struct err *err)
{
    struct postgres *cluster = NULL;
    struct world w = {0};
    struct cpu_use before, after;
    json_t *answer = NULL;
    char wanted[32];
    bool ok = open_world(&w, &cluster, false, err);

    printf("\n%d sessions at %.1f envelopes/s each, for %d s\n", BUSY_SESSIONS,
           (double)BUSY_RATE / BUSY_SESSIONS, BUSY_SECONDS);
    fflush(stdout);
    if (ok) {
        cpu_note(&w, &before);
        answer = runtime_ctl_call(&w.ctl,
                                  json_pack("{s:s, s:i, s:i, s:i, s:b, s:b}", "cmd", "pump",
                                            "sessions", BUSY_SESSIONS, "envelopes",
                                            BUSY_RATE * BUSY_SECONDS / BUSY_SESSIONS, "rate",
                                            BUSY_RATE, "commit", 0, "wait", 1),
                                  WAIT_MS, err);
        snprintf(wanted, sizeof wanted, "%d", BUSY_RATE * BUSY_SECONDS);
        ok = answer && wait_sql(&w, wanted, WAIT_MS, err,
                                "select count(*) from macp.run_events_raw where source = "
                                "'session'");
        cpu_note(&w, &after);
    }
    if (ok) {
        cpu_print(&before, &after);
        ok = print_latency(&w, err);
    }
    fflush(stdout);
    json_decref(answer);
    close_world(&w, cluster);
    return ok;
}

/* --- taken over --------------------------------------------------------------------------------
 */

static bool
count_sql(struct world *w, int64_t *out, struct err *err, const char *sql)
{
    char got[32];

    if (!world_sql(w, got, sizeof got, err, "%s", sql))
        return false;
    *out = strtoll(got, NULL, 10);
    return true;
}

/* Every session has a subscriber at the runtime again. */
static bool
wait_streaming(struct world *w, int sessions, struct err *err)
{
    int64_t until = clock_mono_ms() + WAIT_MS;
    char wanted[32];

    snprintf(wanted, sizeof wanted, "%d", sessions);
    while (clock_mono_ms() < until) {
        json_t *answer =
            runtime_ctl_call(&w->ctl, json_pack("{s:s}", "cmd", "sessions"), WAIT_MS, err);
        json_t *each;
        size_t i;
        int read = 0;

        if (!answer)
            return false;
        json_array_foreach (json_object_get(answer, "sessions"), i, each)
            read += json_integer_value(json_object_get(each, "subscribers")) > 0;
        json_decref(answer);
        if (read == sessions)
            return wait_sql(w, wanted, WAIT_MS, err,
                            "select count(*) from macp.run_observers o join "
                            "macp.observer_instances i on i.instance_id = o.owner where "
                            "i.alive_until > now()");
        process_pause(50);
    }
    return err_set(err, ERR_IO, "not every session is read again");
}

static bool
measure_takeover(struct err *err)
{
    struct postgres *cluster = NULL;
    struct world w = {0};
    int64_t killed_ms = 0, orphans = 0, gaps = 0;
    json_t *ids = NULL, *job = NULL, *done = NULL;
    char wanted[32];
    bool ok = open_world(&w, &cluster, true, err);

    printf("\n%d live sessions on two instances, one of them killed (lease %d s)\n", TAKEN_SESSIONS,
           LEASE_MS / 1000);
    fflush(stdout);
    ids = ok ? open_sessions(&w, TAKEN_SESSIONS, err) : NULL;
    if (ids)
        job =
            runtime_ctl_call(&w.ctl,
                             json_pack("{s:s, s:O, s:i, s:i, s:b, s:b}", "cmd", "pump", "ids", ids,
                                       "envelopes", 40, "rate", TAKEN_RATE, "commit", 1, "wait", 0),
                             WAIT_MS, err);
    ok = job && count_sql(&w, &orphans, err,
                          "select count(*) from macp.run_observers o join "
                          "macp.observer_instances i on i.instance_id = o.owner where "
                          "not o.closed group by owner order by 1 limit 1");
    if (ok) {
        world_stop_instance(&w, 0, SIGKILL, 1000);
        killed_ms = clock_mono_ms();
        ok = wait_streaming(&w, TAKEN_SESSIONS, err);
    }
    if (ok) {
        printf("  %" PRId64 " runs lost their observer; all are owned and streaming after %.1f s\n",
               orphans, (double)(clock_mono_ms() - killed_ms) / 1000);
        done = runtime_ctl_call(&w.ctl,
                                json_pack("{s:s, s:O, s:b}", "cmd", "job", "id",
                                          json_object_get(job, "job"), "wait", 1),
                                WAIT_MS, err);
        snprintf(wanted, sizeof wanted, "%d", TAKEN_SESSIONS);
        ok = done &&
             wait_sql(&w, wanted, WAIT_MS, err,
                      "select count(*) from macp.runs where status = 'completed'") &&
             count_sql(&w, &gaps, err,
                       "select count(*) from macp.observer_gaps where run_key is not null");
    }
    if (ok)
        printf("  all %d completed, %" PRId64 " gaps\n", TAKEN_SESSIONS, gaps);
    fflush(stdout);
    json_decref(ids);
    json_decref(job);
    json_decref(done);
    close_world(&w, cluster);
    return ok;
}

static const struct {
    const char *name;
    bool (*measure)(struct err *err);
} parts[] = {{"idle", measure_idle}, {"busy", measure_busy}, {"takeover", measure_takeover}};

int
main(int argc, char **argv)
{
    struct err err = {0};
    bool known = false;

    machine_print();
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (argc == 2 && strcmp(argv[1], parts[i].name) != 0)
            continue;
        known = true;
        if (!parts[i].measure(&err)) {
            fprintf(stderr, "bench: %s\n", err.msg);
            return 1;
        }
    }
    if (!known)
        fprintf(stderr, "usage: bench_crowd [idle|busy|takeover]\n");
    return known ? 0 : 2;
}
