#include "shared/uuid.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#include "shared/macros.h"

_Static_assert(sizeof(uuid_t) == 16, "libuuid's type is the 16 bytes");

void
uuid_v4(char out[UUID_LEN])
{
    uuid_t u;

    uuid_generate_random(u);
    uuid_unparse_lower(u, out);
}

void
uuid_bytes(const char *s, uint8_t out[16])
{
    if (uuid_parse(s, out) != 0)
        BUG("not a UUID: %.40s", s);
}

void
uuid_v5(const char *ns, const char *name, char out[UUID_LEN])
{
    uuid_t space, u;

    uuid_bytes(ns, space);
    uuid_generate_sha1(u, space, name, strlen(name));
    uuid_unparse_lower(u, out);
}

void
uuid_of_event(const char *run_id, int64_t seq, char out[UUID_LEN])
{
    char name[24];

    snprintf(name, sizeof name, "%lld", (long long)seq);
    uuid_v5(run_id, name, out);
}

bool
uuid_is_valid(const char *s)
{
    for (int i = 0; i < UUID_LEN - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
            return false;
    }
    return s[UUID_LEN - 1] == '\0';
}

void
uuid_lower(const char *s, char out[UUID_LEN])
{
    for (int i = 0; i < UUID_LEN; i++)
        out[i] = (char)tolower((unsigned char)s[i]);
}
