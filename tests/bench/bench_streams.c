/*
 * bench_streams - event streams: how late events arrive, what idle streams cost.
 *
 * Latency: SUBSCRIBERS follow RUNS while the runtime sends RATE envelopes a second; from the
 * moment the runtime accepted an envelope until a client has read the frame that tells of it.
 * Floor: the same world and rate, one reader who looks at a cursor in the tables once a
 * millisecond - what the way to the rows costs before anybody streams them. Idle: IDLE streams
 * on one run that is over: memory and processor time of macp-fcgi per stream, and how fast wrk is
 * answered beside them.
 *
 * Prints a table and asserts nothing: figures are for people. Run it from the top of the tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shared/clock.h"
#include "tests/support/cpu.h"
#include "tests/support/latency.h"
#include "tests/support/load.h"
#include "tests/support/machine.h"
#include "tests/support/stream_load.h"

#define DECISION "macp.mode.decision.v1"

enum {
    RUNS = 50,
    SUBSCRIBERS = 1000,
    RATE = 500,
    ENVELOPES = 100, /* per run: ten seconds */
    FLOOR_RATE = RATE / RUNS,
    IDLE = 4000,
    IDLE_STEP = 100,
    REST_S = 5,
    HEARTBEAT_MS = 15000,
    WAIT_MS = 120000,
};

struct figures {
    struct stream_load load;
    struct latency_figures floor;
    long rss_before_kb, rss_idle_kb;
    double idle_cpu_s;
    struct load_figures rest_alone, rest_beside;
    int idle;
};

/* --- latency ---------------------------------------------------------------------------------- */

static bool
measure_floor(struct world *w, char run[UUID_LEN], struct latency_figures *out, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    json_t *d = world_descriptor(DECISION, NULL);
    bool sent = http_post(&w->http, "/runs", d, &r, err);
    const char *session;
    struct latency *l;
    json_int_t job;

    json_decref(d);
    if (!sent)
        return false;
    session = json_string_value(json_object_get(r.json, "sessionId"));
    if (!session)
        return err_set(err, ERR_IO, "POST /runs: %d", r.status);
    snprintf(run, UUID_LEN, "%s", json_string_value(json_object_get(r.json, "runId")));
    l = latency_watch(w->admin_url, session, ENVELOPES, WAIT_MS);
    sent = stream_load_pump(w, &session, 1, ENVELOPES, FLOOR_RATE, 300, &job, err) &&
           stream_load_pumped(w, job, err);
    return latency_finish(l, out, err) && sent;
}

/* --- idle ------------------------------------------------------------------------------------- */

/* wrk beside streams that nobody reads meanwhile: what comes in so short a time fits in a socket.
 */
static bool
measure_rest(struct world *w, const char *run, struct load_figures *out, struct err *err)
{
    char target[64];

    snprintf(target, sizeof target, "/runs/%s", run);
    return load_wrk(
        w, &(struct load_spec){.port = w->web_port, .target = target, .seconds = REST_S}, out, err);
}

/* What macp-fcgi uses while nobody asks anything: over a time with a heartbeat for each stream. */
static double
measure_idle_cpu(struct world *w, struct sse *idle)
{
    double before = cpu_seconds(world_handler_pid(w));
    int64_t until = clock_mono_ms() + HEARTBEAT_MS;

    while (clock_mono_ms() < until)
        sse_turn(idle, (int)(until - clock_mono_ms()));
    return cpu_seconds(world_handler_pid(w)) - before;
}

static bool
has_snapshot(struct sse *s, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < s->n; i++)
        if (!s->clients[i]->kinds.len)
            return false;
    return true;
}

static bool
measure_idle(struct world *w, const char *run, struct figures *f, struct err *err)
{
    struct sse idle;
    char query[32];
    bool ok = measure_rest(w, run, &f->rest_alone, err);

    snprintf(query, sizeof query, "?heartbeatMs=%d", HEARTBEAT_MS);
    sse_init(&idle, &w->http);
    f->rss_before_kb = memory_kib(world_handler_pid(w));
    while (ok && idle.n < IDLE) {
        for (int i = 0; i < IDLE_STEP; i++)
            sse_connect(sse_add(&idle, run, "stream", query), 0);
        ok = sse_until(&idle, has_snapshot, NULL, WAIT_MS) ||
             err_set(err, ERR_IO, "not every idle stream began");
    }
    f->idle = (int)idle.n;
    f->rss_idle_kb = memory_kib(world_handler_pid(w));
    if (ok)
        f->idle_cpu_s = measure_idle_cpu(w, &idle);
    ok = ok && measure_rest(w, run, &f->rest_beside, err);
    sse_fini(&idle);
    return ok;
}

/* --- all ---------------------------------------------------------------------------------------
 */

static bool
measure(struct world *w, struct figures *f, struct err *err)
{
    const struct stream_load_spec spec = {.runs = RUNS,
                                          .subscribers = SUBSCRIBERS,
                                          .envelopes = ENVELOPES,
                                          .rate = RATE,
                                          .timeout_ms = WAIT_MS};
    char run[UUID_LEN];

    /* Idle streams before the load: behind it there is memory to be used again. */
    return world_wait_ready(w, err) && measure_floor(w, run, &f->floor, err) &&
           measure_idle(w, run, f, err) && stream_load_run(w, &spec, &f->load, err);
}

static void
print_rest(const char *what, const struct load_figures *r)
{
    printf(
        "%-28s %8.0f per second, p50 %5.2f ms, p99 %5.2f ms; us of processor time each: lighttpd "
        "%.0f, macp-fcgi %.0f, Postgres %.0f\n",
        what, r->per_s, r->p50_ms, r->p99_ms, r->web_us, r->fcgi_us, r->postgres_us);
}

static void
print(const struct figures *f)
{
    const struct stream_load *l = &f->load;

    printf("\n%d subscribers, %d runs, %d envelopes/s in all: %.1f s, %zu frames to clients "
           "(%.0f/s), %zu of them snapshots, %.1f MB\n",
           SUBSCRIBERS, RUNS, RATE, (double)l->elapsed_ms / 1000, l->frames,
           (double)l->frames * 1000 / (double)l->elapsed_ms, l->snapshots, (double)l->bytes / 1e6);
    printf("%-28s p50 %4lld ms  p99 %4lld ms  max %4lld ms  (%zu events; targets 30 and 80)\n",
           "runtime to client", (long long)l->p50_ms, (long long)l->p99_ms, (long long)l->max_ms,
           l->events);
    printf("%-28s p50 %4lld ms  p99 %4lld ms  max %4lld ms  (%d envelopes, one idle path)\n",
           "floor: runtime to row", (long long)f->floor.p50_ms, (long long)f->floor.p99_ms,
           (long long)f->floor.max_ms, f->floor.n);
    printf("\n%-28s %8d\n", "idle streams", f->idle);
    printf("%-28s %8ld KB before, %ld KB with them: %.2f KB each (target: below 8)\n",
           "resident, macp-fcgi", f->rss_before_kb, f->rss_idle_kb,
           (double)(f->rss_idle_kb - f->rss_before_kb) / (f->idle ? f->idle : 1));
    printf("%-28s %8.1f us a second and stream, over one heartbeat each\n", "processor, macp-fcgi",
           f->idle_cpu_s * 1e6 / (HEARTBEAT_MS / 1000.0) / (f->idle ? f->idle : 1));
    print_rest("GET /runs/:id alone", &f->rest_alone);
    print_rest("GET /runs/:id beside them", &f->rest_beside);
    printf("%-28s %8.0f %% of the rate (target: 80)\n", "kept beside them",
           100 * f->rest_beside.per_s / f->rest_alone.per_s);
}

int
main(void)
{
    static const char *const fcgi_env[] = {"FCGI_STREAMS=5000", "FCGI_THREADS=0",
                                           "THROTTLE_TTL_MS=1000", NULL};
    static struct figures f;
    struct rlimit files;
    struct world w;
    struct err err = {0};
    bool ok;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    machine_print();
    ok = world_start(&w, &(struct world_options){.fcgi_env = fcgi_env}, &err) &&
         measure(&w, &f, &err);
    if (ok)
        print(&f);
    else
        fprintf(stderr, "bench_streams: %s\n", err.msg);
    if (f.load.sse.n)
        stream_load_fini(&f.load);
    world_stop(&w);
    return ok ? 0 : 1;
}
