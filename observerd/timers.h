/*
 * timers.h - deadlines of one thread's sessions, a binary heap.
 *
 * Ownership  struct timer is embedded in its owner; the heap only points at it: cancel before
 *            freeing.
 * Errors     none. Threads: the owning thread only. Times are clock_mono_ms().
 */
#ifndef MACP_OBSERVERD_TIMERS_H
#define MACP_OBSERVERD_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    size_t place; /* position in the heap + 1; 0: not armed */
    int64_t due_ms;
    void (*fire)(struct timer *t);
};

struct timers {
    struct timer **heap;
    size_t n, cap;
};

void timers_fini(struct timers *ts);
/* Arm, or move an armed one. */
void timer_set(struct timers *ts, struct timer *t, int64_t due_ms);
/* Like timer_set, but an armed earlier deadline stays. */
void timer_set_by(struct timers *ts, struct timer *t, int64_t due_ms);
void timer_cancel(struct timers *ts, struct timer *t);
/*
 * Fire what is due; a fired timer is disarmed before its function runs. One that is armed again
 * for a time that has passed fires in the next turn: the thread gets to its other work.
 */
void timers_run(struct timers *ts, int64_t now_ms);
/* The next deadline, or otherwise when nothing is armed. */
int64_t timers_next(const struct timers *ts, int64_t otherwise);

#endif
