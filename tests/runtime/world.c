#include "tests/runtime/world.h"

#include <time.h>

#include "shared/clock.h"
#include "shared/macros.h"
#include "tests/runtime/session.h"

void
world_init(struct world *w)
{
    pthread_condattr_t attr;

    *w = (struct world){0};
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, &attr);
    pthread_condattr_destroy(&attr);
    settings_init(&w->settings);
    policy_registry_init(&w->policies);
    bus_init(&w->lifecycle);
    bus_init(&w->signals);
}

void
world_fini(struct world *w)
{
    session_forget_all(w);
    bus_fini(&w->signals);
    bus_fini(&w->lifecycle);
    policy_registry_fini(&w->policies);
    identity_set_fini(&w->identities);
    settings_fini(&w->settings);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}

void
world_lock(struct world *w)
{
    if (pthread_mutex_lock(&w->lock) != 0)
        BUG("lock");
}

void
world_unlock(struct world *w)
{
    if (pthread_mutex_unlock(&w->lock) != 0)
        BUG("unlock");
}

bool
world_wait(struct world *w, int64_t deadline_ms)
{
    struct timespec ts = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};

    if (clock_mono_ms() >= deadline_ms)
        return false;
    pthread_cond_timedwait(&w->changed, &w->lock, &ts);
    return true;
}

bool
world_sleep(struct world *w, int64_t ms)
{
    int64_t deadline = clock_mono_ms() + ms;
    bool go_on;

    world_lock(w);
    while (!w->stopping && world_wait(w, deadline))
        ;
    go_on = !w->stopping;
    world_unlock(w);
    return go_on;
}
