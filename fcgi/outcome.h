/*
 * outcome.h - requests that wait for the outcome of a command.
 *
 * Purpose    lets a worker sleep until somebody says that its command has ended, without taking
 *            all workers: a share of them waits, the others answer at once.
 * Ownership  struct outcomes is heap memory of main.
 * Errors     none. What is told may be told too early or not at all: whoever waits looks at the
 *            row, and looks by itself every second.
 * Threads    any; outcomes_told and outcomes_lost are the LISTEN thread's.
 */
#ifndef MACP_FCGI_OUTCOME_H
#define MACP_FCGI_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/macros.h"

struct outcomes;

/* threads: how many workers there are. */
struct outcomes *outcomes_new(int threads) MUST_CHECK;
/* Nobody may wait any more. NULL is fine. */
void outcomes_free(struct outcomes *o);

/* Take a place among those that wait; false when all are taken. */
bool outcomes_enter(struct outcomes *o) MUST_CHECK;
void outcomes_leave(struct outcomes *o);

/* Who waits for which commands; on the waiting worker's stack. */
struct outcome_wait {
    const int64_t *ids;
    size_t n;
    bool told;
    struct outcome_wait *next;
};

/* From now on nothing that is told is missed: look at the rows afterwards. */
void outcome_wait_begin(struct outcomes *o, struct outcome_wait *w);
void outcome_wait_end(struct outcomes *o, struct outcome_wait *w);
/* Until one of them was told, or the time (clock_mono_ms) has come, or the process stops: false. */
bool outcome_wait_until(struct outcomes *o, struct outcome_wait *w, int64_t until_ms) MUST_CHECK;

/* The command has ended. */
void outcomes_told(struct outcomes *o, int64_t id);
/* Something may have been said that nobody heard: all look. */
void outcomes_lost(struct outcomes *o);
/* The process stops: nobody waits from now on. */
void outcomes_quit(struct outcomes *o);

#endif
