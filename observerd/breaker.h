/*
 * breaker.h - a runtime that does not answer is left in peace for a while.
 *
 * Purpose    counts the unary calls that fail one after the other. At the threshold calls are
 *            refused (OPEN); when the reset time has passed since the last failure, one call at a
 *            time is let through as a probe (HALF_OPEN), and its outcome decides. Streams do not
 *            ask: what is open stays open, and one that answers makes a probe worth while at once.
 * Ownership  struct breaker is heap memory of main. Errors: none.
 * Threads    any; the function given for changes is called by whoever caused the change and must
 *            not come back here.
 */
#ifndef MACP_OBSERVERD_BREAKER_H
#define MACP_OBSERVERD_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"

enum { BREAKER_HISTORY_MAX = 200 };

#define BREAKER_REFUSAL "Circuit breaker is OPEN — runtime calls are temporarily disabled"

/* From best to worst. */
enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker_options {
    int64_t threshold, reset_ms;
    int64_t (*mono_ms)(void), (*wall_ms)(void); /* clocks */
    void (*changed)(void *ctx);                 /* the state is another one */
    void *ctx;
};

struct breaker;

struct breaker *breaker_new(const struct breaker_options *o) MUST_CHECK;
void breaker_free(struct breaker *b);

const char *breaker_state_name(enum breaker_state state);
/* As of now: time alone ends OPEN. */
enum breaker_state breaker_state(struct breaker *b);
/* The state, and the history as a JSON array of {state, enteredAt, reason}, oldest first. */
enum breaker_state breaker_read(struct breaker *b, struct buf *history);

/* May a call be made now? A call that may is reported once, with the ticket that it got here. */
bool breaker_admit(struct breaker *b, uint64_t *ticket) MUST_CHECK;
void breaker_succeeded(struct breaker *b);
void breaker_failed(struct breaker *b);
/* The call was given up by us: it says nothing about the runtime. */
void breaker_withdrawn(struct breaker *b, uint64_t ticket);

/* A stream has answered. */
void breaker_sign_of_life(struct breaker *b);

/* An operator knows better. */
void breaker_reset(struct breaker *b);

#endif
