#include "fcgi/auth.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct known_key {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct auth_caller caller;
};

struct auth {
    size_t n;
    struct known_key keys[];
};

static void
digest(const char *text, unsigned char out[SHA256_DIGEST_LENGTH])
{
    SHA256((const unsigned char *)text, strlen(text), out);
}

static void
learn(struct known_key *k, const char *entry)
{
    struct api_key key;

    if (api_key_parse(entry, &key))
        BUG("an API key passed the check and is none");
    digest(key.secret, k->digest);
    k->caller.role = key.role;
    if (key.name)
        snprintf(k->caller.actor, AUTH_ACTOR_LEN, "%.*s", (int)key.name_len, key.name);
    else
        snprintf(k->caller.actor, AUTH_ACTOR_LEN, "key-%02x%02x%02x%02x", k->digest[0],
                 k->digest[1], k->digest[2], k->digest[3]);
}

struct auth *
auth_new(const struct config_list *keys)
{
    struct auth *a = xmalloc(sizeof *a + keys->n * sizeof a->keys[0]);

    a->n = keys->n;
    for (size_t i = 0; i < keys->n; i++)
        learn(&a->keys[i], keys->items[i]);
    return a;
}

void
auth_free(struct auth *a)
{
    free(a);
}

enum auth_outcome
auth_check(const struct auth *a, const char *header, struct auth_caller *out)
{
    static const struct auth_caller nobody = {API_KEY_NOBODY, API_ROLE_ADMIN};
    const struct auth_caller *found = NULL;
    unsigned char given[SHA256_DIGEST_LENGTH];

    if (a->n == 0) {
        *out = nobody;
        return AUTH_OK;
    }
    if (!header || !*header)
        return AUTH_MISSING;
    if (strncmp(header, "Bearer ", 7) == 0)
        header += 7;
    digest(header, given);
    /* Every key is compared, each in constant time: neither a near hit nor its place shows. */
    for (size_t i = 0; i < a->n; i++)
        if (CRYPTO_memcmp(given, a->keys[i].digest, sizeof given) == 0)
            found = &a->keys[i].caller;
    if (!found)
        return AUTH_WRONG;
    *out = *found;
    return AUTH_OK;
}
