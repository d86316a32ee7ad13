#include "fcgi/deadline.h"

#include <stdlib.h>

#include "shared/macros.h"

static void
put(struct deadlines *all, struct deadline *d, size_t place)
{
    all->heap[place - 1] = d;
    d->place = place;
}

static void
up(struct deadlines *all, struct deadline *d, size_t place)
{
    for (; place > 1 && all->heap[place / 2 - 1]->at_ms > d->at_ms; place /= 2)
        put(all, all->heap[place / 2 - 1], place);
    put(all, d, place);
}

static void
down(struct deadlines *all, struct deadline *d, size_t place)
{
    for (size_t child; (child = 2 * place) <= all->n; place = child) {
        if (child < all->n && all->heap[child]->at_ms < all->heap[child - 1]->at_ms)
            child++;
        if (all->heap[child - 1]->at_ms >= d->at_ms)
            break;
        put(all, all->heap[child - 1], place);
    }
    put(all, d, place);
}

void
deadline_set(struct deadlines *all, struct deadline *d, int64_t at_ms)
{
    if (d->place && at_ms >= d->at_ms) {
        d->at_ms = at_ms;
        down(all, d, d->place);
        return;
    }
    d->at_ms = at_ms;
    if (!d->place) {
        if (all->n == all->cap) {
            all->cap = all->cap ? all->cap * 2 : 64;
            all->heap = xrealloc(all->heap, all->cap * sizeof(struct deadline *));
        }
        d->place = ++all->n;
    }
    up(all, d, d->place);
}

void
deadline_clear(struct deadlines *all, struct deadline *d)
{
    struct deadline *last;
    size_t place = d->place;

    if (!place)
        return;
    d->place = 0;
    last = all->heap[--all->n];
    if (last == d)
        return;
    put(all, last, place);
    up(all, last, place);
    down(all, last, last->place);
}

struct deadline *
deadline_first(const struct deadlines *all)
{
    return all->n ? all->heap[0] : NULL;
}

void
deadlines_fini(struct deadlines *all)
{
    free(all->heap);
    *all = (struct deadlines){0};
}
