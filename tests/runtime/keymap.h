/*
 * keymap.h - a hash table from text to pointer.
 *
 * Purpose    sessions by id, message ids already accepted.
 * Ownership  keys and values are borrowed; they must outlive their entry. keymap_fini frees the
 * table. Errors     none: exhausted memory is BUG(). Threads    one owner at a time.
 */
#ifndef MACP_RUNTIME_KEYMAP_H
#define MACP_RUNTIME_KEYMAP_H

#include <stddef.h>
#include <stdint.h>

#include "shared/macros.h"

struct keymap_slot {
    const char *key; /* NULL: free */
    void *value;
    uint64_t hash;
};

struct keymap {
    struct keymap_slot *slots;
    size_t cap; /* 0 or a power of two */
    size_t count;
};

void keymap_fini(struct keymap *m);
void *keymap_get(const struct keymap *m, const char *key);
/* The key must not be in the table yet. */
void keymap_put(struct keymap *m, const char *key, void *value);
void keymap_remove(struct keymap *m, const char *key);

#endif
