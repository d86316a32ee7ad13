#include "tests/runtime/job.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/clock.h"
#include "shared/macros.h"
#include "tests/runtime/world.h"

enum { RESULT_WAIT_MS = 1000 };

struct job {
    struct job *next;
    struct world *world;
    int64_t id;
    job_fn run;
    json_t *args;
    json_t *result; /* NULL while running */
    pthread_t thread;
};

json_t *
job_error(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return json_pack("{s:b, s:s}", "ok", 0, "error", text);
}

static void *
job_main(void *arg)
{
    struct job *j = arg;
    json_t *result = j->run(j->world, j->args);

    world_lock(j->world);
    j->result = result;
    pthread_cond_broadcast(&j->world->changed);
    world_unlock(j->world);
    return NULL;
}

int64_t
job_start(struct world *w, job_fn run, const json_t *args)
{
    struct job *j = xcalloc(1, sizeof(*j));
    int64_t id;

    j->world = w;
    j->run = run;
    j->args = json_deep_copy(args);
    world_lock(w);
    id = j->id = ++w->last_job_id;
    j->next = w->jobs;
    w->jobs = j;
    if (pthread_create(&j->thread, NULL, job_main, j) != 0)
        BUG("cannot start a thread");
    world_unlock(w);
    return id;
}

json_t *
job_result(struct world *w, int64_t id, bool wait)
{
    struct job *j;
    json_t *out;

    world_lock(w);
    for (j = w->jobs; j && j->id != id; j = j->next)
        ;
    while (j && wait && !j->result && !w->stopping)
        (void)world_wait(w, clock_mono_ms() + RESULT_WAIT_MS);
    if (!j)
        out = job_error("there is no job %lld", (long long)id);
    else
        out =
            json_pack("{s:b, s:b, s:O?}", "ok", 1, "done", j->result != NULL, "result", j->result);
    world_unlock(w);
    return out;
}

void
jobs_join(struct world *w)
{
    while (w->jobs) {
        struct job *j = w->jobs;

        pthread_join(j->thread, NULL);
        w->jobs = j->next;
        json_decref(j->args);
        json_decref(j->result);
        free(j);
    }
}
