/*
 * The wall clock is set, by hours and by weeks, under the observer and under the handlers. Leases,
 * deadlines and waits are none of its business.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/crowd.h"
#include "tests/support/scene.h"

enum {
    RUNS = 10,
    ENVELOPES = 60,
    RATE = 400,
    HOUR = 3600,
    AWAY_MS = 1000,
    HANGING_MS = 4000,
};

static struct world world;
static char dir[] = "/tmp/macp-clock.XXXXXX", clock_file[40], library[40];
static volatile int64_t *ahead;

/* From now on the programs believe that it is so many seconds later, or earlier. */
static void
set_clock(int64_t seconds)
{
    *ahead = seconds;
}

static void
set(json_t *settings)
{
    json_object_set_new(settings, "cmd", json_string("set"));
    json_decref(expect_control(&world, settings));
}

static void
load(struct crowd *c)
{
    crowd_post(c, &world, RUNS);
    crowd_pump(c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = RATE});
    crowd_wait_stored(c, RUNS * 5);
    assert_true(crowd_is_pumping(c));
}

static void
expect_whole(struct crowd *c, const char *what)
{
    crowd_pumped(c);
    crowd_expect_whole(c, what);
    assert_true(process_alive(&world.instances[0].process));
    /* Nobody was taken for dead. */
    expect_sql(&world, "1", "select max(fence) from macp.run_observers");
    crowd_free(c);
}

static void
clock_that_is_set_while_runs_go_on_changes_nothing(void **state)
{
    static const int64_t hours[] = {3, -5, 24 * 30, -24 * 30, 0};
    struct crowd c;

    (void)state;
    load(&c);
    for (size_t i = 0; i < ARRAY_LEN(hours); i++) {
        set_clock(hours[i] * HOUR);
        crowd_wait_stored(&c, crowd_stored(&c) + RUNS);
    }
    expect_whole(&c, "clock set again and again");
    /* Events say what the clock said. */
    expect_sql(&world, "t",
               "select max(ts) - min(ts) > interval '59 days' from macp.run_events_canonical");
}

/* Calls have deadlines, and a connection that broke is made again: by a clock that nobody sets. */
static void
runtime_that_was_away_is_read_on_by_a_clock_that_was_set_back(void **state)
{
    struct crowd c;

    (void)state;
    load(&c);
    set_clock(-5 * HOUR);
    set(json_pack("{s:s, s:i}", "failMethod", "*", "failStatus", 14));
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cut", "what", "connections")));
    process_pause(AWAY_MS); /* the fault itself */
    set(json_pack("{s:s}", "failMethod", ""));
    expect_whole(&c, "runtime away, clock set back");
    set_clock(0);
}

static bool
call_has_timed_out(void *ctx UNUSED)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err;
    struct http page;

    http_init(&page, world.instances[0].metrics_port, "", process_slow(HANGING_MS));
    return http_get(&page, &r, &err, "/metrics") &&
           !strstr(buf_cstr(&r.body), "\nmacp_circuit_breaker_failures_total 0\n");
}

static void
calls_end_at_their_deadline_though_the_clock_was_set_back(void **state)
{
    struct crowd c;

    (void)state;
    load(&c);
    assert_false(call_has_timed_out(NULL));
    set_clock(-5 * HOUR);
    process_signal(&world.runtime, SIGSTOP);
    assert_true(process_poll(call_has_timed_out, NULL, process_slow(HANGING_MS)));
    process_signal(&world.runtime, SIGCONT);
    expect_whole(&c, "runtime hangs, clock set back");
    set_clock(0);
}

static int
set_up(void **state)
{
    static char preload[64];
    static const char *const env[] = {preload, "RUNTIME_REQUEST_TIMEOUT_MS=1000", NULL};
    char build[PATH_MAX], built[PATH_MAX + 32];
    struct err err = {0};
    int fd;

    if (!mkdtemp(dir) || !world_find_build(build, sizeof build, &err))
        return -1;
    snprintf(clock_file, sizeof clock_file, "%s/clock", dir);
    snprintf(library, sizeof library, "%s/jump.so", dir);
    snprintf(built, sizeof built, "%s/tests/clock_jump.so", build);
    fd = open(clock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (symlink(built, library) < 0 || fd < 0 || ftruncate(fd, sizeof *ahead) < 0)
        return -1;
    ahead = mmap(NULL, sizeof *ahead, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (ahead == MAP_FAILED)
        return -1;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    /* A sanitizer wants to be the first library, and need not. */
    if (process_slow(1) > 1)
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
    return scene_open(
        state, &world,
        &(struct world_options){
            .without_observerd = true, .web = WEB_HELD, .observerd_env = env, .fcgi_env = env},
        SCENE_INSTANCE | SCENE_READY | SCENE_WITNESS);
}

static int
tear_down(void **state)
{
    scene_close(state);
    unlink(clock_file);
    unlink(library);
    rmdir(dir);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_that_is_set_while_runs_go_on_changes_nothing),
        cmocka_unit_test(calls_end_at_their_deadline_though_the_clock_was_set_back),
        cmocka_unit_test(runtime_that_was_away_is_read_on_by_a_clock_that_was_set_back),
        cmocka_unit_test(only_the_owner_of_a_run_moved_it),
        cmocka_unit_test(stored_projections_are_what_refolding_gives),
    };

    return cmocka_run_group_tests_name("clock", tests, set_up, tear_down);
}
