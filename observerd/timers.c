#include "observerd/timers.h"

#include <stdlib.h>

#include "shared/macros.h"

void
timers_fini(struct timers *ts)
{
    free(ts->heap);
    *ts = (struct timers){0};
}

static void
put(struct timers *ts, size_t i, struct timer *t)
{
    ts->heap[i] = t;
    t->place = i + 1;
}

static void
sift_up(struct timers *ts, size_t i)
{
    struct timer *t = ts->heap[i];

    while (i > 0 && ts->heap[(i - 1) / 2]->due_ms > t->due_ms) {
        put(ts, i, ts->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(ts, i, t);
}

static void
sift_down(struct timers *ts, size_t i)
{
    struct timer *t = ts->heap[i];

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= ts->n)
            break;
        if (child + 1 < ts->n && ts->heap[child + 1]->due_ms < ts->heap[child]->due_ms)
            child++;
        if (ts->heap[child]->due_ms >= t->due_ms)
            break;
        put(ts, i, ts->heap[child]);
        i = child;
    }
    put(ts, i, t);
}

void
timer_set(struct timers *ts, struct timer *t, int64_t due_ms)
{
    t->due_ms = due_ms;
    if (!t->place) {
        if (ts->n == ts->cap) {
            ts->cap = ts->cap ? ts->cap * 2 : 64;
            ts->heap = xrealloc(ts->heap, ts->cap * sizeof *ts->heap);
        }
        put(ts, ts->n++, t);
    }
    sift_up(ts, t->place - 1);
    sift_down(ts, t->place - 1);
}

void
timer_set_by(struct timers *ts, struct timer *t, int64_t due_ms)
{
    if (!t->place || t->due_ms > due_ms)
        timer_set(ts, t, due_ms);
}

void
timer_cancel(struct timers *ts, struct timer *t)
{
    size_t i = t->place - 1;

    if (!t->place)
        return;
    t->place = 0;
    ts->n--;
    if (i == ts->n)
        return;
    put(ts, i, ts->heap[ts->n]);
    sift_up(ts, i);
    sift_down(ts, ts->heap[i]->place - 1);
}

void
timers_run(struct timers *ts, int64_t now_ms)
{
    for (size_t turn = ts->n; turn && ts->n && ts->heap[0]->due_ms <= now_ms; turn--) {
        struct timer *t = ts->heap[0];

        timer_cancel(ts, t);
        t->fire(t);
    }
}

int64_t
timers_next(const struct timers *ts, int64_t otherwise)
{
    return ts->n ? ts->heap[0]->due_ms : otherwise;
}
