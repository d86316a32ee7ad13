/*
 * bench_neighbour - what an ordinary session notices of a hostile one.
 *
 * One session gets envelopes at a low rate, another one all that hostile senders can do, one way
 * after the other, as fast as the runtime takes it. Printed is how long the ordinary one's
 * envelopes took until a reader of the tables saw them, and how big the daemon grew. Both sessions
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

static bool
measure(struct world *w, unsigned way, struct err *err)
{
    char hostile[WORLD_SESSION_LEN], neighbour[WORLD_SESSION_LEN];
    struct latency_figures seen;
    struct latency *watch;
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
    ok = latency_finish(watch, &seen, err) && ok && hostile_close(w, hostile, err);
    if (ok)
        printf("  %-28s %9d %9.1f %8" PRId64 " %8" PRId64 " %8" PRId64 " %9.1f\n",
               way == NOBODY ? "nobody hostile" : hostile_name((enum hostile_way)way), sent,
               (double)took_ms / 1000, seen.p50_ms, seen.p99_ms, seen.max_ms,
               (double)memory_peak_kib(w->observerd.pid) / 1024);
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
    struct world w;
    bool ok;

    machine_print();
    ok = world_start(&w, &(struct world_options){.runtime_args = runtime}, &err) &&
         world_wait_ready(&w, &err);
    printf("\nan ordinary session at %d envelopes/s beside a hostile one (milliseconds +-1)\n",
           RATE);
    printf("  %-28s %9s %9s %8s %8s %8s %9s\n", "", "envelopes", "sent in s", "p50 ms", "p99 ms",
           "max ms", "peak MiB");
    for (size_t i = 0; ok && i < ARRAY_LEN(order); i++)
        ok = measure(&w, order[i], &err);
    if (!ok)
        fprintf(stderr, "bench: %s\n", err.msg);
    world_stop(&w);
    return ok ? 0 : 1;
}
