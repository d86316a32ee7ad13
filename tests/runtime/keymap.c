#include "tests/runtime/keymap.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
hash_of(const char *key)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

    for (; *key; key++)
        h = (h ^ (uint8_t)*key) * 0x100000001b3u;
    return h ^ (h >> 29);
}

void
keymap_fini(struct keymap *m)
{
    free(m->slots);
    *m = (struct keymap){0};
}

/* Where key is, or the free slot where it would go. The table is never full. */
static struct keymap_slot *
slot_for(const struct keymap *m, const char *key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);

    while (m->slots[i].key && (m->slots[i].hash != hash || strcmp(m->slots[i].key, key) != 0))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

void *
keymap_get(const struct keymap *m, const char *key)
{
    return m->cap ? slot_for(m, key, hash_of(key))->value : NULL;
}

static void
grow(struct keymap *m)
{
    struct keymap bigger = {.cap = m->cap ? m->cap * 2 : 16, .count = m->count};

    bigger.slots = xcalloc(bigger.cap, sizeof(*bigger.slots));
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].key)
            *slot_for(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    }
    free(m->slots);
    *m = bigger;
}

void
keymap_put(struct keymap *m, const char *key, void *value)
{
    uint64_t hash = hash_of(key);

    if ((m->count + 1) * 4 > m->cap * 3)
        grow(m);
    *slot_for(m, key, hash) = (struct keymap_slot){key, value, hash};
    m->count++;
}

void
keymap_remove(struct keymap *m, const char *key)
{
    struct keymap_slot *hole = m->cap ? slot_for(m, key, hash_of(key)) : NULL;

    if (!hole || !hole->key)
        return;

    /* Close the gap: an entry may move back unless that would put it before its own place. */
    size_t mask = m->cap - 1;
    size_t h = (size_t)(hole - m->slots);

    for (size_t i = (h + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;

        if (((i - home) & mask) >= ((i - h) & mask)) {
            m->slots[h] = m->slots[i];
            h = i;
        }
    }
    m->slots[h] = (struct keymap_slot){0};
    m->count--;
}
