#include "fcgi/outcome.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "shared/clock.h"

struct outcomes {
    pthread_mutex_t lock;
    pthread_cond_t told;
    struct outcome_wait *waits;
    int places;
    bool quitting;
};

struct outcomes *
outcomes_new(int threads)
{
    struct outcomes *o = xcalloc(1, sizeof *o);
    pthread_condattr_t monotonic;

    /* Half of the workers may wait otherwise (share.h): one more stays free. */
    o->places = threads > 3 ? threads / 2 - 1 : threads / 2;
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&o->told, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return o;
}

void
outcomes_free(struct outcomes *o)
{
    if (!o)
        return;
    pthread_cond_destroy(&o->told);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

bool
outcomes_enter(struct outcomes *o)
{
    bool ok;

    pthread_mutex_lock(&o->lock);
    ok = o->places > 0 && !o->quitting;
    if (ok)
        o->places--;
    pthread_mutex_unlock(&o->lock);
    return ok;
}

void
outcomes_leave(struct outcomes *o)
{
    pthread_mutex_lock(&o->lock);
    o->places++;
    pthread_mutex_unlock(&o->lock);
}

void
outcome_wait_begin(struct outcomes *o, struct outcome_wait *w)
{
    pthread_mutex_lock(&o->lock);
    w->told = false;
    w->next = o->waits;
    o->waits = w;
    pthread_mutex_unlock(&o->lock);
}

void
outcome_wait_end(struct outcomes *o, struct outcome_wait *w)
{
    struct outcome_wait **at = &o->waits;

    pthread_mutex_lock(&o->lock);
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    pthread_mutex_unlock(&o->lock);
}

bool
outcome_wait_until(struct outcomes *o, struct outcome_wait *w, int64_t until_ms)
{
    struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    bool go_on;

    pthread_mutex_lock(&o->lock);
    while (!w->told && !o->quitting && clock_mono_ms() < until_ms)
        pthread_cond_timedwait(&o->told, &o->lock, &until);
    w->told = false;
    go_on = !o->quitting;
    pthread_mutex_unlock(&o->lock);
    return go_on;
}

static bool
is_about(const struct outcome_wait *w, int64_t id)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->ids[i] == id)
            return true;
    return false;
}

void
outcomes_told(struct outcomes *o, int64_t id)
{
    pthread_mutex_lock(&o->lock);
    for (struct outcome_wait *w = o->waits; w; w = w->next)
        w->told = w->told || is_about(w, id);
    pthread_cond_broadcast(&o->told);
    pthread_mutex_unlock(&o->lock);
}

void
outcomes_lost(struct outcomes *o)
{
    pthread_mutex_lock(&o->lock);
    for (struct outcome_wait *w = o->waits; w; w = w->next)
        w->told = true;
    pthread_cond_broadcast(&o->told);
    pthread_mutex_unlock(&o->lock);
}

void
outcomes_quit(struct outcomes *o)
{
    pthread_mutex_lock(&o->lock);
    o->quitting = true;
    pthread_cond_broadcast(&o->told);
    pthread_mutex_unlock(&o->lock);
}
