/*
 * notifier.h - "look" to the readers, coalesced.
 *
 * Purpose    collects which runs have new committed events and which commands have a result; the
 *            control thread sends them as notifications, at most every 10 ms, one per run. Also
 *            whether there are webhooks to deliver.
 * Ownership  run ids are copied in. Errors: none; a full notifier drops, readers look anyway.
 * Threads    notifier_add from any thread; notifier_take from the control thread. wake runs on
 *            the adder's thread when there was nothing to send before.
 */
#ifndef MACP_OBSERVERD_NOTIFIER_H
#define MACP_OBSERVERD_NOTIFIER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/uuid.h"

enum { NOTIFIER_MAX = 4096, NOTIFIER_DONE_MAX = 1024, NOTIFIER_INTERVAL_MS = 10 };

struct notifier {
    pthread_mutex_t mu;
    size_t n;
    struct {
        char run_id[UUID_LEN];
        int64_t seq;
        bool terminal;
    } pending[NOTIFIER_MAX];
    size_t slots[2 * NOTIFIER_MAX]; /* hash of run id -> place + 1 */
    bool deliveries;
    size_t n_done;
    int64_t done[NOTIFIER_DONE_MAX]; /* command ids */
    void (*wake)(void *ctx);
    void *ctx;
};

void notifier_init(struct notifier *n, void (*wake)(void *ctx), void *ctx);
void notifier_fini(struct notifier *n);
void notifier_add(struct notifier *n, const char *run_id, int64_t seq, bool terminal);
/* Deliveries were committed. */
void notifier_add_deliveries(struct notifier *n);
/* Whether any were since it was last asked. */
bool notifier_take_deliveries(struct notifier *n);
/* The command has a result. */
void notifier_done(struct notifier *n, int64_t command_id);
/* There is something to take. */
bool notifier_pending(struct notifier *n);
/* The payloads as a Postgres text array literal, and forget them; false when there are none. */
bool notifier_take(struct notifier *n, struct buf *payloads);
/* The same for commands. */
bool notifier_take_done(struct notifier *n, struct buf *ids);

#endif
