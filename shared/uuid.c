#include "shared/uuid.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#include "shared/macros.h"

_Static_assert(sizeof(uuid_t) == 16, "libuuid's type is the 16 bytes");

/* --- text -----------------------------------------------------------------------------------
 * By hand where libuuid goes through sscanf: a state shows fifty computed ids, and so does every
 * page of events. */

static bool
is_dash_at(int i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

// clang-format off
static const uint8_t hex_plus_one[256] = { /* 0: no digit */
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8,
    ['8'] = 9, ['9'] = 10,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};
// clang-format on

static int
hex_value(char c)
{
    return hex_plus_one[(uint8_t)c] - 1;
}

bool
uuid_is_valid(const char *s)
{
    for (int i = 0; i < UUID_LEN - 1; i++)
        if (is_dash_at(i) ? s[i] != '-' : hex_value(s[i]) < 0)
            return false;
    return s[UUID_LEN - 1] == '\0';
}

void
uuid_lower(const char *s, char out[UUID_LEN])
{
    for (int i = 0; i < UUID_LEN; i++)
        out[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] - 'A' + 'a') : s[i];
}

void
uuid_bytes(const char *s, uint8_t out[16])
{
    const char *at = s;

    for (int i = 0; i < 16; i++, at += 2) {
        int high, low;

        if (is_dash_at((int)(at - s)) && *at++ != '-')
            BUG("not a UUID: %.40s", s);
        high = hex_value(at[0]);
        low = high < 0 ? -1 : hex_value(at[1]);
        if (low < 0)
            BUG("not a UUID: %.40s", s);
        out[i] = (uint8_t)(high << 4 | low);
    }
}

static void
write_text(const uint8_t bytes[16], char out[UUID_LEN])
{
    static const char digits[] = "0123456789abcdef";
    int at = 0;

    for (int i = 0; i < 16; i++) {
        if (is_dash_at(at))
            out[at++] = '-';
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
    }
    out[at] = '\0';
}

/* --- making ------------------------------------------------------------------------------ */

void
uuid_v4(char out[UUID_LEN])
{
    uuid_t u;

    uuid_generate_random(u);
    write_text(u, out);
}

/* Looked up once: EVP_sha1() is looked up again for every digest, which costs more than hashing. */
static EVP_MD *sha1;
static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;

static void
fetch_sha1(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

void
uuid_v5(const char *ns, const char *name, char out[UUID_LEN])
{
    uint8_t space[16], digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx;

    pthread_once(&sha1_once, fetch_sha1);
    uuid_bytes(ns, space);
    ctx = EVP_MD_CTX_new();
    if (!sha1 || !ctx || !EVP_DigestInit_ex(ctx, sha1, NULL) ||
        !EVP_DigestUpdate(ctx, space, sizeof space) || !EVP_DigestUpdate(ctx, name, strlen(name)) ||
        !EVP_DigestFinal_ex(ctx, digest, NULL))
        BUG("libcrypto gives no SHA-1");
    EVP_MD_CTX_free(ctx);
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x50); /* version 5 */
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80); /* the usual variant */
    write_text(digest, out);
}

void
uuid_of_event(const char *run_id, int64_t seq, char out[UUID_LEN])
{
    char name[24];

    snprintf(name, sizeof name, "%lld", (long long)seq);
    uuid_v5(run_id, name, out);
}
