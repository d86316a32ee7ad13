/*
 * bench_streams - event streams: how late events arrive, what idle streams cost.
 *
 * Latency: SUBSCRIBERS follow RUNS while the runtime sends RATE envelopes a second; from the
 * moment the runtime accepted an envelope until a client has read the frame that tells of it.
 * Floor: the same world and rate, one reader who looks at a cursor in the tables once a
 * millisecond - what the way to the rows costs before anybody streams them. Idle: IDLE streams
 * on one run that is over: memory of macp-fcgi per stream, and how fast one connection after
 * the other is answered beside them.
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
    REST_MS = 2000,
    WAIT_MS = 120000,
};

struct rest {
    double per_s;
    int64_t p50_us, p99_us;
};

struct figures {
    struct stream_load load;
    struct latency_figures floor;
    long rss_before_kb, rss_idle_kb;
    struct rest rest_alone, rest_beside;
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

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* One GET after the other, each on a connection of its own. */
static bool
measure_rest(struct world *w, const char *run, struct sse *beside, struct rest *out,
             struct err *err)
{
    enum { MOST = 100000 };
    int64_t *took = xcalloc(MOST, sizeof *took), began = clock_mono_ms();
    int n = 0;
    bool ok = true;

    while (ok && n < MOST && clock_mono_ms() - began < REST_MS) {
        AUTO_HTTP_REPLY r = {0};
        int64_t at = clock_mono_us();

        ok = http_get(&w->http, &r, err, "/runs/%s", run);
        took[n++] = clock_mono_us() - at;
        if (beside)
            sse_turn(beside, 0);
    }
    qsort(took, (size_t)n, sizeof *took, by_value);
    out->per_s = n * 1000.0 / (double)(clock_mono_ms() - began);
    out->p50_us = took[n / 2];
    out->p99_us = took[n * 99 / 100];
    free(took);
    return ok;
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
    bool ok = measure_rest(w, run, NULL, &f->rest_alone, err);

    sse_init(&idle, &w->http);
    f->rss_before_kb = memory_kib(world_handler_pid(w));
    while (ok && idle.n < IDLE) {
        for (int i = 0; i < IDLE_STEP; i++)
            sse_connect(sse_add(&idle, run, "stream", "?heartbeatMs=15000"), 0);
        ok = sse_until(&idle, has_snapshot, NULL, WAIT_MS) ||
             err_set(err, ERR_IO, "not every idle stream began");
    }
    f->idle = (int)idle.n;
    f->rss_idle_kb = memory_kib(world_handler_pid(w));
    ok = ok && measure_rest(w, run, &idle, &f->rest_beside, err);
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
print_rest(const char *what, const struct rest *r)
{
    printf("%-28s %8.0f per second, p50 %5.2f ms, p99 %5.2f ms\n", what, r->per_s,
           (double)r->p50_us / 1000, (double)r->p99_us / 1000);
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
    print_rest("GET /runs/:id alone", &f->rest_alone);
    print_rest("GET /runs/:id beside them", &f->rest_beside);
    printf("%-28s %8.0f %% of the rate (target: 80)\n", "kept beside them",
           100 * f->rest_beside.per_s / f->rest_alone.per_s);
}

int
main(void)
{
    static const char *const fcgi_env[] = {"FCGI_STREAMS=5000", NULL};
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
