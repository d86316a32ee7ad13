#include "observerd/seen.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "shared/macros.h"

/* SipHash-2-4 over the three strings with their NULs, keyed once per process. */

static uint64_t key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void
make_key(void)
{
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        BUG("no randomness");
}

#define ROTATE(x, b) ((x) << (b) | (x) >> (64 - (b)))

struct sip {
    uint64_t v0, v1, v2, v3;
    uint64_t word;
    unsigned fill;
    uint8_t total;
};

static void
sip_round(struct sip *s)
{
    s->v0 += s->v1, s->v1 = ROTATE(s->v1, 13) ^ s->v0, s->v0 = ROTATE(s->v0, 32);
    s->v2 += s->v3, s->v3 = ROTATE(s->v3, 16) ^ s->v2;
    s->v0 += s->v3, s->v3 = ROTATE(s->v3, 21) ^ s->v0;
    s->v2 += s->v1, s->v1 = ROTATE(s->v1, 17) ^ s->v2, s->v2 = ROTATE(s->v2, 32);
}

static void
sip_word(struct sip *s, uint64_t w)
{
    s->v3 ^= w;
    sip_round(s);
    sip_round(s);
    s->v0 ^= w;
}

static void
sip_text(struct sip *s, const char *text)
{
    size_t n = strlen(text) + 1;

    for (size_t i = 0; i < n; i++) {
        s->word |= (uint64_t)(uint8_t)text[i] << (8 * s->fill);
        if (++s->fill == 8) {
            sip_word(s, s->word);
            s->word = 0;
            s->fill = 0;
        }
    }
    s->total = (uint8_t)(s->total + n);
}

static uint64_t
hash(const char *a, const char *b, const char *c)
{
    struct sip s = {key[0] ^ 0x736f6d6570736575u,
                    key[1] ^ 0x646f72616e646f6du,
                    key[0] ^ 0x6c7967656e657261u,
                    key[1] ^ 0x7465646279746573u,
                    0,
                    0,
                    0};
    uint64_t h;

    sip_text(&s, a);
    sip_text(&s, b);
    sip_text(&s, c);
    sip_word(&s, s.word | (uint64_t)s.total << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    h = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return h ? h : 1;
}

void
seen_fini(struct seen *s)
{
    free(s->slots);
    *s = (struct seen){0};
}

static bool
insert(struct seen *s, uint64_t h)
{
    for (size_t i = h & (s->cap - 1);; i = (i + 1) & (s->cap - 1)) {
        if (s->slots[i] == h)
            return false;
        if (!s->slots[i]) {
            s->slots[i] = h;
            s->n++;
            return true;
        }
    }
}

static void
grow(struct seen *s)
{
    struct seen bigger = {.cap = s->cap ? s->cap * 2 : 16};

    bigger.slots = xcalloc(bigger.cap, sizeof *bigger.slots);
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i])
            insert(&bigger, s->slots[i]);
    free(s->slots);
    *s = bigger;
}

bool
seen_add(struct seen *s, const char *message_id, const char *message_type, const char *sender)
{
    pthread_once(&key_once, make_key);
    if (2 * (s->n + 1) > s->cap)
        grow(s);
    return insert(s, hash(message_id, message_type, sender));
}
