#include "fcgi/auth.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct auth {
    size_t n;
    unsigned char digests[][SHA256_DIGEST_LENGTH];
};

static void
digest(const char *text, unsigned char out[SHA256_DIGEST_LENGTH])
{
    SHA256((const unsigned char *)text, strlen(text), out);
}

struct auth *
auth_new(const struct config_list *keys)
{
    struct auth *a = xmalloc(sizeof *a + keys->n * sizeof a->digests[0]);

    a->n = keys->n;
    for (size_t i = 0; i < keys->n; i++)
        digest(keys->items[i], a->digests[i]);
    return a;
}

void
auth_free(struct auth *a)
{
    free(a);
}

enum auth_outcome
auth_check(const struct auth *a, const char *header, char actor[AUTH_ACTOR_LEN])
{
    unsigned char given[SHA256_DIGEST_LENGTH];
    int found = 0;

    if (a->n == 0)
        return AUTH_OK;
    if (!header || !*header)
        return AUTH_MISSING;
    if (strncmp(header, "Bearer ", 7) == 0)
        header += 7;
    digest(header, given);
    /* Every key is compared, each in constant time: neither a near hit nor its place shows. */
    for (size_t i = 0; i < a->n; i++)
        found |= CRYPTO_memcmp(given, a->digests[i], sizeof given) == 0;
    if (!found)
        return AUTH_WRONG;
    snprintf(actor, AUTH_ACTOR_LEN, "key-%02x%02x%02x%02x", given[0], given[1], given[2], given[3]);
    return AUTH_OK;
}
