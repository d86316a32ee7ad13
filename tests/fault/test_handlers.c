/*
 * macp-fcgi is told to end, or killed, while clients post runs and follow streams. What was
 * acknowledged is stored, whoever followed a run has seen all of it, and nobody was turned away.
 * The socket is held by a parent: a lighttpd that starts macp-fcgi itself does not hold it, and
 * answers 503 until it has started it again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"
#include "tests/support/sse.h"
#include "tests/support/stream_load.h"

#define DECISION "macp.mode.decision.v1"

enum {
    POSTERS = 4,
    FOLLOWED = 5, /* runs */
    FOLLOWERS = 50,
    ENVELOPES = 120,
    RATE = 100,
    TIMES = 5,    /* so often macp-fcgi goes */
    BETWEEN = 20, /* acknowledged posts from one time to the next */
    PACE_MS = 5,  /* of one poster: the runtime is asked about every run */
    THREADS = 4,  /* of macp-fcgi: so many requests a kill can cost */
    WAIT_MS = 30000,
    ERROR_LEN = 200,
};

static struct world world;
static enum web_kind web = WEB_HELD;

/* --- who posts ------------------------------------------------------------------------------- */

struct posters {
    pthread_t threads[POSTERS];
    atomic_bool stop;
    atomic_long acknowledged, refused;
    pthread_mutex_t lock;
    json_t *runs; /* idempotency key to the run that was answered */
    char error[ERROR_LEN];
    const char *name;
    atomic_int next;
};

static void
note(struct posters *p, const char *key, const struct http_reply *r, const struct err *err)
{
    const char *run = json_string_value(json_object_get(r->json, "runId"));

    pthread_mutex_lock(&p->lock);
    if (r->status == 201 && run)
        json_object_set_new(p->runs, key, json_string(run));
    else if (!p->error[0])
        snprintf(p->error, ERROR_LEN, "%d %.60s %.100s", r->status, err->msg, buf_cstr(&r->body));
    pthread_mutex_unlock(&p->lock);
}

/* True: acknowledged. */
static bool
post(struct posters *p, const char *key)
{
    struct http http = world.http;
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    json_t *d = world_descriptor(DECISION, NULL);
    bool done;

    json_object_set_new(d, "execution", json_pack("{s:s}", "idempotencyKey", key));
    done = http_post(&http, "/runs", d, &r, &err) && r.status == 201;
    json_decref(d);
    note(p, key, &r, &err);
    atomic_fetch_add(done ? &p->acknowledged : &p->refused, 1);
    return done;
}

/* A key is posted until it is acknowledged, as clients do. */
static void *
poster_main(void *arg)
{
    struct posters *p = arg;

    while (!atomic_load(&p->stop)) {
        int64_t deadline = clock_mono_ms() + process_slow(WAIT_MS);
        char key[64];

        snprintf(key, sizeof key, "%s-%d", p->name, atomic_fetch_add(&p->next, 1));
        while (!post(p, key) && clock_mono_ms() < deadline)
            process_pause(PACE_MS);
        process_pause(PACE_MS);
    }
    return NULL;
}

static void
posters_start(struct posters *p, const char *name)
{
    *p = (struct posters){.name = name, .runs = json_object()};
    pthread_mutex_init(&p->lock, NULL);
    for (int i = 0; i < POSTERS; i++)
        if (pthread_create(&p->threads[i], NULL, poster_main, p) != 0)
            fail_msg("no thread");
}

static void
posters_stop(struct posters *p)
{
    atomic_store(&p->stop, true);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
}

/* Each key made one run, the one that was answered. */
static void
expect_acknowledged_stored(struct posters *p)
{
    char *text = json_dumps(p->runs, JSON_COMPACT);
    long keys = (long)json_object_size(p->runs);

    assert_int_equal(keys, atomic_load(&p->next));
    assert_int_equal(expect_sql_int(&world,
                                    "select count(*) from jsonb_each_text('%s') k join macp.runs r "
                                    "on r.idempotency_key = k.key and r.id = k.value::uuid",
                                    text),
                     keys);
    expect_sql(&world, "0",
               "select count(*) from macp.runs r where idempotency_key like '%s-%%' and not exists "
               "(select from macp.run_events_canonical c where c.run_key = r.run_key and "
               "c.type = 'run.created')",
               p->name);
    free(text);
    json_decref(p->runs);
}

/* --- who follows ----------------------------------------------------------------------------- */

static void
follow(struct sse *sse, json_int_t *job)
{
    const char *sessions[FOLLOWED];
    struct posted runs[FOLLOWED];
    struct err err = {0};

    sse_init(sse, &world.http);
    for (int i = 0; i < FOLLOWED; i++) {
        expect_posted(&world, DECISION, NULL, &runs[i]);
        sessions[i] = runs[i].session;
    }
    for (int i = 0; i < FOLLOWERS; i++) {
        struct sse_client *c = sse_add(sse, runs[i % FOLLOWED].run, "stream", "?afterSeq=1");

        sse_connect(c, 0);
        /* From now on the header says where to go on. */
        c->resume = true;
        buf_reset(&c->path);
        buf_printf(&c->path, "/runs/%s/stream", c->run);
    }
    expect_ok(stream_load_pump(&world, sessions, FOLLOWED, ENVELOPES, RATE, 300, job, &err), &err,
              "pump");
}

static bool
all_ended(struct sse *s, void *ctx UNUSED)
{
    return sse_ended(s) == s->n;
}

static void
expect_followed(struct sse *sse, json_int_t job)
{
    struct err err = {0};
    size_t resumed = 0;
    char what[128] = "";

    if (!sse_until(sse, all_ended, NULL, process_slow(WAIT_MS)))
        fail_msg("%zu of %zu followers saw the end", sse_ended(sse), sse->n);
    expect_ok(stream_load_pumped(&world, job, &err), &err, "pump");
    if (!stream_load_all_complete(&world, sse, 1, what, sizeof what, &err))
        fail_msg("%s", err.code ? err.msg : what);
    for (size_t i = 0; i < sse->n; i++)
        resumed += sse->clients[i]->connects > 1;
    assert_true(resumed > 0);
    sse_fini(sse);
}

/* --- trouble --------------------------------------------------------------------------------- */

struct moment {
    struct posters *posters;
    long acknowledged; /* at least */
    int not_pid;       /* and another process is there */
};

static bool
has_come(struct sse *s UNUSED, void *ctx)
{
    const struct moment *m = ctx;
    int pid = world_handler_pid(&world);

    return pid && pid != m->not_pid && atomic_load(&m->posters->acknowledged) >= m->acknowledged;
}

static bool
all_have_events(struct sse *s, void *ctx UNUSED)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->clients[i]->n == 0)
            return false;
    return true;
}

/* Under load, so often; every time the successor must do some work first. */
static void
send_often(int sig, struct posters *p, struct sse *sse)
{
    struct moment m = {.posters = p, .acknowledged = BETWEEN};

    /* Who has seen an event comes back with its number. */
    if (!sse_until(sse, all_have_events, NULL, process_slow(WAIT_MS)))
        fail_msg("not every follower saw a first event");
    for (int i = 0; i < TIMES; i++) {
        int pid;

        if (!sse_until(sse, has_come, &m, process_slow(WAIT_MS)))
            fail_msg("after %d times nothing is served: %s", i, p->error);
        pid = world_handler_pid(&world);
        kill(pid, sig);
        m = (struct moment){p, atomic_load(&p->acknowledged) + BETWEEN, pid};
    }
    if (!sse_until(sse, has_come, &m, process_slow(WAIT_MS)))
        fail_msg("nothing is served at the end: %s", p->error);
}

static void
go_under_load(int sig, const char *name, struct posters *p)
{
    struct sse sse;
    json_int_t job;

    follow(&sse, &job);
    posters_start(p, name);
    send_often(sig, p, &sse);
    posters_stop(p);
    expect_followed(&sse, job);
    expect_acknowledged_stored(p);
    print_message("%s %d times: %ld posts acknowledged, %ld not at once\n", name, TIMES,
                  atomic_load(&p->acknowledged), atomic_load(&p->refused));
}

static void
restarts_refuse_no_connection_and_lose_nothing(void **state)
{
    struct posters p;

    (void)state;
    go_under_load(SIGTERM, "restarted", &p);
    if (atomic_load(&p.refused))
        fail_msg("%ld posts were refused, the first one with %s", atomic_load(&p.refused), p.error);
}

static void
kills_cost_at_most_the_requests_in_hand_and_lose_nothing(void **state)
{
    struct posters p;

    (void)state;
    go_under_load(SIGKILL, "killed", &p);
    if (atomic_load(&p.refused) > TIMES * THREADS)
        fail_msg("%ld posts were refused, the first one with %s", atomic_load(&p.refused), p.error);
}

/* --- one request in hand --------------------------------------------------------------------- */

static void *
post_once(void *arg)
{
    post(arg, "held-up");
    return NULL;
}

static void
script(struct db *db, const char *text)
{
    struct err err = {0};

    expect_ok(db_script(db, text, &err), &err, text);
}

static void
told_to_end_it_finishes_the_request_in_hand_first(void **state)
{
    struct posters p = {.name = "held-up", .runs = json_object(), .next = 1};
    struct db *locker = db_new(world.admin_url, "locker", process_slow(5000));
    pthread_t thread;
    int pid = world_handler_pid(&world);

    (void)state;
    pthread_mutex_init(&p.lock, NULL);
    script(locker, "begin; lock table macp.runs in exclusive mode");
    if (pthread_create(&thread, NULL, post_once, &p) != 0)
        fail_msg("no thread");
    expect_sql_becomes(&world, "1",
                       "select count(*) from pg_stat_activity where application_name = 'macp-fcgi' "
                       "and datname = current_database() and wait_event_type = 'Lock'");
    kill(pid, SIGTERM);
    script(locker, "commit");
    pthread_join(thread, NULL);
    pthread_mutex_destroy(&p.lock);
    db_close(locker);
    if (atomic_load(&p.acknowledged) != 1)
        fail_msg("the request in hand got %s", p.error);
    expect_acknowledged_stored(&p);
}

/* --------------------------------------------------------------------------------------------- */

static int
set_up(void **state)
{
    /* Most runs here have no session: the observer need not ask about them often. */
    static const char *const observerd_env[] = {"SESSION_POLL_BASE_MS=2000",
                                                "SESSION_POLL_MAX_MS=10000", NULL};

    return scene_open(state, &world,
                      &(struct world_options){.web = web, .observerd_env = observerd_env},
                      SCENE_READY);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_refuse_no_connection_and_lose_nothing),
        cmocka_unit_test(kills_cost_at_most_the_requests_in_hand_and_lose_nothing),
        cmocka_unit_test(told_to_end_it_finishes_the_request_in_hand_first),
    };

    if (argc > 1 && !web_read_arguments(argc, argv, &web))
        return 2;
    return cmocka_run_group_tests_name("handlers", tests, set_up, scene_close);
}
