/*
 * Many followers of many busy runs, who come and go and read slowly, while the handlers are
 * restarted and killed and the observer is restarted. In the end each has seen every event of its
 * run once, in order, and nothing of them is left in macp-fcgi.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"
#include "tests/support/sse.h"
#include "tests/support/stream_load.h"

#define DECISION "macp.mode.decision.v1"

enum {
    RUNS_MAX = 50,
    SLOW_ONE_IN = 20,
    SLOW_BUFFER = 4096,
    TICK_MS = 20, /* every so often somebody leaves, and a slow one reads or rests */
    IDLE = 500,
    IDLE_MOST_BYTES = 8 << 10, /* of macp-fcgi, per stream */
    WAIT_MS = 60000,
};

struct form {
    int runs, followers, envelopes, rate, troubles;
    int load_ms; /* the time limit for all of it */
};

static const struct form short_form = {10, 200, 60, 150, 3, 60000};
static const struct form long_form = {RUNS_MAX, 1000, 600, 500, 12, 600000};

static const struct form *form = &short_form;
static struct world world;

/* --- followers ------------------------------------------------------------------------------- */

static bool
all_have_events(struct sse *s, void *ctx UNUSED)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->clients[i]->n == 0)
            return false;
    return true;
}

static bool
is_slow(size_t follower)
{
    return follower % SLOW_ONE_IN == SLOW_ONE_IN - 1;
}

static void
follow(struct sse *sse, json_int_t *job)
{
    const char *sessions[RUNS_MAX];
    struct posted runs[RUNS_MAX];
    struct err err = {0};

    sse_init(sse, &world.http);
    for (int i = 0; i < form->runs; i++) {
        expect_posted(&world, DECISION, NULL, &runs[i]);
        sessions[i] = runs[i].session;
    }
    for (int i = 0; i < form->followers; i++) {
        struct sse_client *c = sse_add(sse, runs[i % form->runs].run, "stream", "?afterSeq=1");

        c->resume = true;
        if (is_slow((size_t)i))
            c->receive_buffer = SLOW_BUFFER;
        sse_connect(c, 0);
        sse_turn(sse, 0);
    }
    expect_ok(
        stream_load_pump(&world, sessions, form->runs, form->envelopes, form->rate, 300, job, &err),
        &err, "pump");
    if (!sse_until(sse, all_have_events, NULL, process_slow(WAIT_MS)))
        fail_msg("not every follower saw a first event");
    /* From now on the header says where to go on. */
    for (size_t i = 0; i < sse->n; i++) {
        struct sse_client *c = sse->clients[i];

        buf_reset(&c->path);
        buf_printf(&c->path, "/runs/%s/stream", c->run);
    }
}

static size_t
events_seen(const struct sse *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->clients[i]->n;
    return n;
}

/* --- trouble --------------------------------------------------------------------------------- */

static void
end_handlers(void)
{
    kill(world_handler_pid(&world), SIGTERM);
}

static void
kill_handlers(void)
{
    int pid = world_handler_pid(&world);

    if (pid > 0)
        kill(pid, SIGKILL);
}

static void
restart_observer(void)
{
    struct err err = {0};

    assert_int_equal(world_stop_observerd(&world, process_slow(WAIT_MS)), 0);
    expect_ok(world_start_observerd(&world, &err), &err, "observerd");
}

/* One follower leaves and comes back; every slow one reads now or rests now. */
static void
tick(struct sse *s, bool rest)
{
    struct sse_client *c = s->clients[(size_t)random() % s->n];

    for (size_t i = 0; i < s->n; i++)
        if (is_slow(i))
            sse_pause(s->clients[i], rest && !s->clients[i]->terminal);
    if (c->state == SSE_OPEN && !c->terminal) {
        sse_disconnect(c);
        sse_connect(c, c->last_seq);
    }
}

static void
trouble_until_all_ended(struct sse *s)
{
    static void (*const troubles[])(void) = {end_handlers, kill_handlers, restart_observer};
    /* The numbers of a run hold each message twice, so this is an early part of all events. */
    const size_t all = (size_t)form->followers * (size_t)form->envelopes;
    int64_t deadline = clock_mono_ms() + process_slow(form->load_ms), next_tick = 0;
    int done = 0;
    bool rest = false;

    while (sse_ended(s) < s->n) {
        int64_t now = clock_mono_ms();

        if (now >= deadline)
            fail_msg("%zu of %zu followers saw the end", sse_ended(s), s->n);
        if (now >= next_tick) {
            tick(s, rest = !rest);
            next_tick = now + TICK_MS;
        }
        if (done < form->troubles &&
            events_seen(s) > all * (size_t)(done + 1) / (size_t)(form->troubles + 1))
            troubles[done++ % (int)ARRAY_LEN(troubles)]();
        sse_turn(s, 5);
    }
    assert_int_equal(done, form->troubles);
}

static void
followers_see_everything_through_all_troubles(void **state)
{
    struct sse sse;
    struct err err = {0};
    json_int_t job;
    char what[128] = "";
    size_t connects = 0;

    (void)state;
    follow(&sse, &job);
    trouble_until_all_ended(&sse);
    expect_ok(stream_load_pumped(&world, job, &err), &err, "pump");
    if (!stream_load_all_complete(&world, &sse, 1, what, sizeof what, &err))
        fail_msg("%s", err.code ? err.msg : what);
    for (size_t i = 0; i < sse.n; i++)
        connects += (size_t)sse.clients[i]->connects;
    print_message("%zu followers saw %zu events of %d runs over %zu connections\n", sse.n,
                  events_seen(&sse), form->runs, connects);
    sse_fini(&sse);
}

/* --- what is left ---------------------------------------------------------------------------- */

static bool
nobody_is_left(void *ctx UNUSED)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err;

    return http_get(&world.http, &r, &err, "/metrics") &&
           strstr(buf_cstr(&r.body), "\nactive_sse_connections 0\n");
}

static void
nothing_is_left_of_those_who_are_gone(void **state)
{
    (void)state;
    assert_true(process_poll(nobody_is_left, NULL, process_slow(WAIT_MS)));
}

static long
handler_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", world_handler_pid(&world));
    f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static bool
all_have_snapshots(struct sse *s, void *ctx UNUSED)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->clients[i]->kinds.len)
            return false;
    return true;
}

static void
idle_streams_cost_little_memory(void **state)
{
    struct posted run;
    struct sse sse;
    long before, after;

    (void)state;
    expect_posted(&world, DECISION, NULL, &run);
    sse_init(&sse, &world.http);
    before = handler_kib();
    for (int i = 0; i < IDLE; i++) {
        sse_connect(sse_add(&sse, run.run, "stream", ""), 0);
        sse_turn(&sse, 0);
    }
    if (!sse_until(&sse, all_have_snapshots, NULL, process_slow(WAIT_MS)))
        fail_msg("not every idle stream began");
    after = handler_kib();
    sse_fini(&sse);
    print_message("%d idle streams: %ld KiB more\n", IDLE, after - before);
    /* A sanitizer's memory is not the program's. */
    if (process_slow(1) == 1)
        assert_in_range(after - before, 0, (long)IDLE * IDLE_MOST_BYTES / 1024);
}

/* --------------------------------------------------------------------------------------------- */

static int
set_up(void **state)
{
    static const char *const fcgi_env[] = {"FCGI_STREAMS=2000", NULL};
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }

    return scene_open(state, &world, &(struct world_options){.web = WEB_HELD, .fcgi_env = fcgi_env},
                      SCENE_READY);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        /* First: afterwards there is memory to be used again. */
        cmocka_unit_test(idle_streams_cost_little_memory),
        cmocka_unit_test(followers_see_everything_through_all_troubles),
        cmocka_unit_test(nothing_is_left_of_those_who_are_gone),
    };

    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--long") != 0)) {
        fprintf(stderr, "usage: test_followers [--long]\n");
        return 2;
    }
    if (argc == 2)
        form = &long_form;
    srandom((unsigned)clock_wall_ms());
    return cmocka_run_group_tests_name("followers", tests, set_up, scene_close);
}
