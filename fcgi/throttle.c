#include "fcgi/throttle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 32,
    SHARDS = 64,
    WAYS = 256, /* pairs per shard */
    CALLER_LEN = 64,
};

struct pair {
    char caller[CALLER_LEN]; /* "" when free */
    int route;
    int64_t blocked_until_ms; /* 0: not blocked */
    int64_t last_ms;
    int64_t newest;       /* number of the newest slot (time / slot length) */
    uint32_t hits[SLOTS]; /* ring, by slot number */
};

struct shard {
    pthread_mutex_t lock;
    struct pair pairs[WAYS];
};

struct throttle {
    int64_t limit, window_ms, slot_ms;
    struct shard shards[SHARDS];
};

struct throttle *
throttle_new(int64_t limit, int64_t window_ms)
{
    struct throttle *t = xcalloc(1, sizeof *t);

    t->limit = limit;
    t->window_ms = window_ms;
    t->slot_ms = (window_ms + SLOTS - 1) / SLOTS;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&t->shards[i].lock, NULL);
    return t;
}

void
throttle_free(struct throttle *t)
{
    if (!t)
        return;
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&t->shards[i].lock);
    free(t);
}

static uint64_t
hash(const char *caller, int route)
{
    uint64_t h = 14695981039346656037u ^ (uint64_t)route;

    for (; *caller; caller++)
        h = (h ^ (unsigned char)*caller) * 1099511628211u;
    return h ^ h >> 32;
}

/* The pair's place, or the place of the one unseen the longest among its neighbours. */
static struct pair *
place(struct shard *s, uint64_t h, const char *caller, int route)
{
    enum { NEIGHBOURS = 8 };
    size_t at = (size_t)(h / SHARDS) % WAYS;
    struct pair *oldest = NULL;

    for (size_t i = 0; i < NEIGHBOURS; i++) {
        struct pair *p = &s->pairs[(at + i) % WAYS];

        if (p->route == route && strcmp(p->caller, caller) == 0)
            return p;
        if (!oldest || p->last_ms < oldest->last_ms)
            oldest = p;
    }
    *oldest = (struct pair){.route = route};
    memcpy(oldest->caller, caller, strlen(caller) + 1);
    return oldest;
}

/* Forget what has left the window, count what is in it. */
static int64_t
advance(struct pair *p, int64_t slot)
{
    int64_t sum = 0;

    if (slot - p->newest >= SLOTS)
        memset(p->hits, 0, sizeof p->hits);
    else
        for (int64_t s = p->newest + 1; s <= slot; s++)
            p->hits[s % SLOTS] = 0;
    if (slot > p->newest)
        p->newest = slot;
    for (int i = 0; i < SLOTS; i++)
        sum += p->hits[i];
    return sum;
}

static int64_t
seconds_up(int64_t ms)
{
    return (ms + 999) / 1000;
}

static int64_t
oldest_leaves_ms(const struct throttle *t, const struct pair *p, int64_t now_ms)
{
    for (int64_t s = p->newest - SLOTS + 1; s < p->newest; s++)
        if (s >= 0 && p->hits[s % SLOTS])
            return (s + SLOTS) * t->slot_ms - now_ms;
    return t->window_ms;
}

static void
count(struct throttle *t, struct pair *p, int64_t now_ms, struct throttle_answer *out)
{
    int64_t sum;

    *out = (struct throttle_answer){0};
    p->last_ms = now_ms;
    if (p->blocked_until_ms > now_ms) {
        out->retry_s = seconds_up(p->blocked_until_ms - now_ms);
        return;
    }
    if (p->blocked_until_ms) {
        p->blocked_until_ms = 0;
        memset(p->hits, 0, sizeof p->hits);
    }
    sum = advance(p, now_ms / t->slot_ms) + 1;
    p->hits[p->newest % SLOTS]++;
    if (sum > t->limit) {
        p->blocked_until_ms = now_ms + t->window_ms;
        out->retry_s = seconds_up(t->window_ms);
        return;
    }
    out->allowed = true;
    out->remaining = t->limit - sum;
    out->reset_s = seconds_up(oldest_leaves_ms(t, p, now_ms));
}

void
throttle_hit(struct throttle *t, const char *caller, int route, int64_t now_ms,
             struct throttle_answer *out)
{
    char name[CALLER_LEN];
    struct shard *s;
    uint64_t h;

    snprintf(name, sizeof name, "%s", caller);
    h = hash(name, route);
    s = &t->shards[h % SHARDS];
    pthread_mutex_lock(&s->lock);
    count(t, place(s, h, name, route), now_ms, out);
    pthread_mutex_unlock(&s->lock);
}
