/* Names (interned) and texts (shared): what the structs of a state are made of. */
#include "shared/projection_state.h"

#include <stdlib.h>

#include "shared/json.h"

enum { BUCKETS_MIN = 32 };

/* What malloc really takes: a header word, in steps of sixteen bytes. */
static size_t
chunk(size_t n)
{
    return n ? (n + 8 + 15) & ~(size_t)15 : 0;
}

struct view
view_of(const char *s)
{
    return (struct view){s, strlen(s)};
}

void *
names_resize(struct names *names, void *p, size_t old_n, size_t n)
{
    names->bytes += chunk(n) - chunk(old_n);
    if (n)
        return xrealloc(p, n);
    free(p);
    return NULL;
}

/* --- names ------------------------------------------------------------------------------- */

/*
 * FNV-1a without a seed: the names of a run are bounded (a few thousand), so chosen collisions
 * cost a bounded scan.
 */
static uint32_t
hash_of(struct view v)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < v.n; i++)
        h = (h ^ (unsigned char)v.p[i]) * 16777619u;
    return h;
}

static struct name *
find_hashed(const struct names *names, struct view v, uint32_t hash)
{
    struct name *name;

    if (!names->n_buckets)
        return NULL;
    name = names->buckets[hash & (names->n_buckets - 1)];
    while (name && (name->hash != hash || name->len != v.n || memcmp(name->p, v.p, v.n) != 0))
        name = name->next;
    return name;
}

struct name *
name_find(const struct names *names, struct view v)
{
    return find_hashed(names, v, hash_of(v));
}

static void
add_buckets(struct names *names)
{
    uint32_t n = names->n_buckets ? names->n_buckets * 2 : BUCKETS_MIN;
    struct name **buckets = names_resize(names, NULL, 0, n * sizeof *buckets);

    memset(buckets, 0, n * sizeof *buckets);
    for (uint32_t i = 0; i < names->n_buckets; i++) {
        for (struct name *name = names->buckets[i], *next; name; name = next) {
            next = name->next;
            name->next = buckets[name->hash & (n - 1)];
            buckets[name->hash & (n - 1)] = name;
        }
    }
    names_resize(names, names->buckets, names->n_buckets * sizeof *buckets, 0);
    names->buckets = buckets;
    names->n_buckets = n;
}

struct name *
name_intern(struct names *names, struct view v)
{
    uint32_t hash = hash_of(v);
    struct name *name = find_hashed(names, v, hash), **bucket;

    if (name)
        return name_ref(name);
    if (names->n == names->n_buckets)
        add_buckets(names);
    name = names_resize(names, NULL, 0, sizeof *name + v.n + 1);
    bucket = &names->buckets[hash & (names->n_buckets - 1)];
    *name = (struct name){.next = *bucket,
                          .refs = 1,
                          .hash = hash,
                          .len = (uint32_t)v.n,
                          .participant = -1,
                          .node = -1,
                          .tally = -1};
    memcpy(name->p, v.p, v.n);
    name->p[v.n] = '\0';
    *bucket = name;
    names->n++;
    return name;
}

struct name *
name_ref(struct name *name)
{
    if (name)
        name->refs++;
    return name;
}

void
name_unref(struct names *names, struct name *name)
{
    struct name **link;

    if (!name || --name->refs)
        return;
    link = &names->buckets[name->hash & (names->n_buckets - 1)];
    while (*link != name)
        link = &(*link)->next;
    *link = name->next;
    names->n--;
    names_resize(names, name, sizeof *name + name->len + 1, 0);
}

/* --- texts ------------------------------------------------------------------------------- */

struct text *
text_new(struct names *names, struct view v)
{
    struct text *text = names_resize(names, NULL, 0, sizeof *text + v.n + 1);

    text->refs = 1;
    text->len = (uint32_t)v.n;
    memcpy(text->p, v.p, v.n);
    text->p[v.n] = '\0';
    return text;
}

struct text *
text_new_json(struct names *names, const json_t *v)
{
    AUTO_BUF json = {0};

    if (!v)
        return NULL;
    jv_write(&json, v);
    return text_new(names, (struct view){json.p, json.len});
}

struct text *
text_ref(struct text *text)
{
    if (text)
        text->refs++;
    return text;
}

void
text_unref(struct names *names, struct text *text)
{
    if (text && --text->refs == 0)
        names_resize(names, text, sizeof *text + text->len + 1, 0);
}

void
text_put(struct names *names, struct text **slot, struct text *value)
{
    text_unref(names, *slot);
    *slot = value;
}

void
text_set(struct names *names, struct text **slot, struct view v)
{
    if (!*slot || (*slot)->len != v.n || memcmp((*slot)->p, v.p, v.n) != 0)
        text_put(names, slot, text_new(names, v));
}

bool
text_is(const struct text *text, const char *expected)
{
    return text && strcmp(text->p, expected) == 0;
}
