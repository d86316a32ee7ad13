#include "shared/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 8192, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t cap;
    size_t pad; /* keeps data 16-byte aligned */
    char data[];
};

static struct arena_block *
block_new(size_t n)
{
    size_t cap = n > BLOCK_SIZE ? n : BLOCK_SIZE;
    struct arena_block *b = xmalloc(sizeof *b + cap);

    *b = (struct arena_block){.cap = cap};
    return b;
}

void
arena_fini(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;

        free(a->blocks);
        a->blocks = next;
    }
}

void
arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;

    while (a->blocks) {
        struct arena_block *next = a->blocks->next;

        /* A block made for one huge value is not kept: it would stay for the thread's life. */
        if (!keep && a->blocks->cap == BLOCK_SIZE)
            keep = a->blocks;
        else
            free(a->blocks);
        a->blocks = next;
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->blocks = keep;
}

void *
arena_alloc(struct arena *a, size_t n)
{
    struct arena_block *b = a->blocks;
    size_t rounded = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    void *p;

    if (rounded < n)
        BUG("allocation of %zu bytes", n);
    if (!b || b->cap - b->used < rounded) {
        b = block_new(rounded);
        /* One huge value does not end the use of the block in front. */
        if (a->blocks && rounded > BLOCK_SIZE) {
            b->next = a->blocks->next;
            a->blocks->next = b;
        } else {
            b->next = a->blocks;
            a->blocks = b;
        }
    }
    p = b->data + b->used;
    b->used += rounded;
    return p;
}

void *
arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);

    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        BUG("bad format %s", fmt);
    p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}
