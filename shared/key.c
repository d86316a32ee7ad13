#include "shared/key.h"

#include <openssl/sha.h>
#include <stdio.h>

const char *
key_hash(const void *p, size_t n, char out[KEY_HASH_LEN])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    int at = snprintf(out, KEY_HASH_LEN, "sha256:");

    SHA256(p, n, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        at += snprintf(out + at, 3, "%02x", digest[i]);
    return out;
}

const char *
key_text(const char *s, size_t n, char out[KEY_HASH_LEN], size_t *out_n)
{
    *out_n = n <= KEY_TEXT_MAX ? n : KEY_HASH_LEN - 1;
    return n <= KEY_TEXT_MAX ? s : key_hash(s, n, out);
}
