#include "observerd/breaker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/clock.h"
#include "shared/meter.h"

struct entry {
    enum breaker_state state;
    int64_t entered_ms; /* wall clock */
    char reason[48];
};

struct breaker {
    struct breaker_options o;
    pthread_mutex_t mu;
    enum breaker_state state;
    int64_t failures; /* in a row */
    int64_t failed_ms;
    uint64_t probe; /* ticket of the call on its way while HALF_OPEN; 0: none */
    uint64_t last_ticket;
    struct entry history[BREAKER_HISTORY_MAX]; /* a ring */
    size_t first, n;
};

static const char *const names[] = {
    [BREAKER_CLOSED] = "CLOSED", [BREAKER_HALF_OPEN] = "HALF_OPEN", [BREAKER_OPEN] = "OPEN"};

const char *
breaker_state_name(enum breaker_state state)
{
    return names[state];
}

/* --- under the lock ------------------------------------------------------------------------ */

static void
remember(struct breaker *b, const char *reason)
{
    struct entry *e = &b->history[(b->first + b->n) % BREAKER_HISTORY_MAX];

    *e = (struct entry){.state = b->state, .entered_ms = b->o.wall_ms()};
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    if (b->n < BREAKER_HISTORY_MAX)
        b->n++;
    else
        b->first = (b->first + 1) % BREAKER_HISTORY_MAX;
}

/* True when the state is another one. */
static bool
enter(struct breaker *b, enum breaker_state state, const char *reason)
{
    if (b->state == state)
        return false;
    b->state = state;
    b->probe = 0;
    meter_put(METER_BREAKER, (int)state);
    remember(b, reason);
    return true;
}

/* The reset time has passed: a probe may tell more. */
static bool
look_at_clock(struct breaker *b)
{
    int64_t elapsed = b->o.mono_ms() - b->failed_ms;
    char reason[48];

    if (b->state != BREAKER_OPEN || elapsed < b->o.reset_ms)
        return false;
    snprintf(reason, sizeof reason, "reset timeout after %lldms", (long long)elapsed);
    return enter(b, BREAKER_HALF_OPEN, reason);
}

static void
leave(struct breaker *b, bool changed)
{
    pthread_mutex_unlock(&b->mu);
    if (changed)
        b->o.changed(b->o.ctx);
}

/* --- the public half ----------------------------------------------------------------------- */

struct breaker *
breaker_new(const struct breaker_options *o)
{
    struct breaker *b = xcalloc(1, sizeof *b);

    b->o = *o;
    pthread_mutex_init(&b->mu, NULL);
    meter_put(METER_BREAKER, BREAKER_CLOSED);
    remember(b, "initial");
    return b;
}

void
breaker_free(struct breaker *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->mu);
    free(b);
}

enum breaker_state
breaker_state(struct breaker *b)
{
    enum breaker_state state;
    bool changed;

    pthread_mutex_lock(&b->mu);
    changed = look_at_clock(b);
    state = b->state;
    leave(b, changed);
    return state;
}

enum breaker_state
breaker_read(struct breaker *b, struct buf *history)
{
    enum breaker_state state;

    pthread_mutex_lock(&b->mu);
    (void)look_at_clock(b); /* whoever reads sees the change */
    buf_char(history, '[');
    for (size_t i = 0; i < b->n; i++) {
        const struct entry *e = &b->history[(b->first + i) % BREAKER_HISTORY_MAX];
        char text[CLOCK_TEXT_LEN];

        buf_printf(history, "%s{\"state\":\"%s\",\"enteredAt\":\"%s\",\"reason\":\"%s\"}",
                   i ? "," : "", names[e->state], clock_text(e->entered_ms, text), e->reason);
    }
    buf_char(history, ']');
    state = b->state;
    leave(b, false);
    return state;
}

bool
breaker_admit(struct breaker *b, uint64_t *ticket)
{
    bool changed, admitted;

    pthread_mutex_lock(&b->mu);
    changed = look_at_clock(b);
    admitted = b->state == BREAKER_CLOSED || (b->state == BREAKER_HALF_OPEN && !b->probe);
    if (admitted)
        *ticket = ++b->last_ticket;
    if (admitted && b->state == BREAKER_HALF_OPEN)
        b->probe = *ticket;
    leave(b, changed);
    return admitted;
}

void
breaker_succeeded(struct breaker *b)
{
    bool changed;

    meter_add(METER_BREAKER_SUCCESSES, 1);
    pthread_mutex_lock(&b->mu);
    b->failures = 0;
    changed = enter(b, BREAKER_CLOSED,
                    b->state == BREAKER_HALF_OPEN ? "half-open probe succeeded" : "success");
    leave(b, changed);
}

void
breaker_failed(struct breaker *b)
{
    bool changed = false;
    char reason[48];

    meter_add(METER_BREAKER_FAILURES, 1);
    pthread_mutex_lock(&b->mu);
    b->failures++;
    b->failed_ms = b->o.mono_ms();
    snprintf(reason, sizeof reason, "%lld consecutive failures", (long long)b->failures);
    if (b->state == BREAKER_HALF_OPEN || b->failures >= b->o.threshold)
        changed = enter(b, BREAKER_OPEN, reason);
    leave(b, changed);
}

void
breaker_withdrawn(struct breaker *b, uint64_t ticket)
{
    pthread_mutex_lock(&b->mu);
    if (b->probe == ticket)
        b->probe = 0;
    leave(b, false);
}

/* After a restart of the runtime sessions must not wait for the reset time: history may go. */
void
breaker_sign_of_life(struct breaker *b)
{
    bool changed;

    pthread_mutex_lock(&b->mu);
    changed = b->state == BREAKER_OPEN && enter(b, BREAKER_HALF_OPEN, "a stream answers");
    leave(b, changed);
}

void
breaker_reset(struct breaker *b)
{
    bool changed;

    pthread_mutex_lock(&b->mu);
    b->failures = 0;
    changed = enter(b, BREAKER_CLOSED, "manual reset");
    leave(b, changed);
}
