#include "observerd/notifier.h"

#include <string.h>

void
notifier_init(struct notifier *n, void (*wake)(void *ctx), void *ctx)
{
    memset(n, 0, sizeof *n);
    n->wake = wake;
    n->ctx = ctx;
    pthread_mutex_init(&n->mu, NULL);
}

void
notifier_fini(struct notifier *n)
{
    pthread_mutex_destroy(&n->mu);
}

/* Slot of a run id: FNV-1a, linear probing; the table is at most half full. */
static size_t *
slot(struct notifier *n, const char *run_id)
{
    uint64_t h = 14695981039346656037u;
    size_t i;

    for (const char *p = run_id; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    for (i = h % (2 * NOTIFIER_MAX); n->slots[i]; i = (i + 1) % (2 * NOTIFIER_MAX))
        if (strcmp(n->pending[n->slots[i] - 1].run_id, run_id) == 0)
            break;
    return &n->slots[i];
}

void
notifier_add(struct notifier *n, const char *run_id, int64_t seq, bool terminal)
{
    bool first = false;
    size_t *place;

    pthread_mutex_lock(&n->mu);
    place = slot(n, run_id);
    if (!*place && n->n < NOTIFIER_MAX) {
        first = n->n == 0;
        memcpy(n->pending[n->n].run_id, run_id, UUID_LEN);
        n->pending[n->n].seq = 0;
        n->pending[n->n].terminal = false;
        *place = ++n->n;
    }
    if (*place) {
        n->pending[*place - 1].seq = seq;
        n->pending[*place - 1].terminal |= terminal;
    }
    pthread_mutex_unlock(&n->mu);
    if (first)
        n->wake(n->ctx);
}

void
notifier_add_deliveries(struct notifier *n)
{
    bool first;

    pthread_mutex_lock(&n->mu);
    first = !n->deliveries;
    n->deliveries = true;
    pthread_mutex_unlock(&n->mu);
    if (first)
        n->wake(n->ctx);
}

bool
notifier_take_deliveries(struct notifier *n)
{
    bool any;

    pthread_mutex_lock(&n->mu);
    any = n->deliveries;
    n->deliveries = false;
    pthread_mutex_unlock(&n->mu);
    return any;
}

void
notifier_done(struct notifier *n, int64_t command_id)
{
    bool first;

    pthread_mutex_lock(&n->mu);
    first = n->n_done == 0;
    if (n->n_done < NOTIFIER_DONE_MAX)
        n->done[n->n_done++] = command_id;
    pthread_mutex_unlock(&n->mu);
    if (first)
        n->wake(n->ctx);
}

bool
notifier_pending(struct notifier *n)
{
    bool any;

    pthread_mutex_lock(&n->mu);
    any = n->n > 0 || n->n_done > 0;
    pthread_mutex_unlock(&n->mu);
    return any;
}

bool
notifier_take(struct notifier *n, struct buf *payloads)
{
    bool any;

    pthread_mutex_lock(&n->mu);
    any = n->n > 0;
    buf_char(payloads, '{');
    for (size_t i = 0; i < n->n; i++)
        buf_printf(payloads, "%s%s:%lld:%d", i ? "," : "", n->pending[i].run_id,
                   (long long)n->pending[i].seq, n->pending[i].terminal);
    buf_char(payloads, '}');
    n->n = 0;
    memset(n->slots, 0, sizeof n->slots);
    pthread_mutex_unlock(&n->mu);
    return any;
}

bool
notifier_take_done(struct notifier *n, struct buf *ids)
{
    bool any;

    pthread_mutex_lock(&n->mu);
    any = n->n_done > 0;
    buf_char(ids, '{');
    for (size_t i = 0; i < n->n_done; i++)
        buf_printf(ids, "%s%lld", i ? "," : "", (long long)n->done[i]);
    buf_char(ids, '}');
    n->n_done = 0;
    pthread_mutex_unlock(&n->mu);
    return any;
}
