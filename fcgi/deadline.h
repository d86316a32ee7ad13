/*
 * deadline.h - who is to be looked at next.
 *
 * Purpose    a heap of points in time, each embedded in what it belongs to.
 * Ownership  deadlines are their owners'; the heap holds pointers and frees only its own array.
 * Errors     none.
 * Threads    one.
 */
#ifndef MACP_FCGI_DEADLINE_H
#define MACP_FCGI_DEADLINE_H

#include <stddef.h>
#include <stdint.h>

struct deadline {
    int64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not in it */
};

struct deadlines {
    struct deadline **heap;
    size_t n, cap;
};

/* Add, or move. */
void deadline_set(struct deadlines *all, struct deadline *d, int64_t at_ms);
void deadline_clear(struct deadlines *all, struct deadline *d);
/* The earliest, NULL when there is none. It stays. */
struct deadline *deadline_first(const struct deadlines *all);
void deadlines_fini(struct deadlines *all);

#endif
