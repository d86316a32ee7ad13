/*
 * world.h - everything the scripted runtime knows, behind one lock.
 *
 * Purpose    the parts (settings, identities, sessions, buses, policies) and the lock around them.
 * Ownership  main owns the one world; the parts belong to it.
 * Errors     none.
 * Threads    the completion-queue thread, the timer thread, control connections and jobs all take
 *            `lock`; every function that takes a struct world expects it held unless it says so.
 *            A single lock is enough: holding it costs a microsecond per envelope, and starting a
 *            gRPC batch under it cannot call back into us.
 */
#ifndef MACP_RUNTIME_WORLD_H
#define MACP_RUNTIME_WORLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/runtime/bus.h"
#include "tests/runtime/identity.h"
#include "tests/runtime/keymap.h"
#include "tests/runtime/policy.h"
#include "tests/runtime/settings.h"

struct call;
struct job;
struct late_event;
struct session;

struct world {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a subscriber came, a job ended, stopping; monotonic clock */
    bool stopping;

    struct settings settings;
    struct identity_set identities;
    struct tally anonymous; /* calls without a valid credential */
    char traceparent[64];   /* of the last call that carried one */
    struct policy_registry policies;
    struct keymap sessions;  /* id -> struct session */
    size_t held;             /* sessions that withhold their last envelope for a while */
    struct late_event *late; /* lifecycle events that are published later */
    int64_t next_sweep_ms;   /* monotonic */
    struct bus lifecycle;
    struct bus signals;
    uint64_t modes_version; /* moves when the list of supported modes changes */

    struct call *calls; /* every call alive */
    struct job *jobs;   /* running and finished ones */
    int64_t last_job_id;
    int port;
};

void world_init(struct world *w);
void world_fini(struct world *w);
void world_lock(struct world *w);
void world_unlock(struct world *w);
/* Sleep without the lock; false as soon as the world is stopping. Takes the lock itself. */
bool world_sleep(struct world *w, int64_t ms);
/* With the lock held, wait for `changed` until the monotonic deadline. False when it has passed. */
bool world_wait(struct world *w, int64_t deadline_ms);

#endif
