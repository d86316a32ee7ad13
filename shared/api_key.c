#include "shared/api_key.h"

#include <stdbool.h>
#include <string.h>

enum { SECRET_MIN = 16, SECRET_MAX = 256 };

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
#define ROLE_CHARS "abcdefghijklmnopqrstuvwxyz"

static const char *const role_names[API_ROLE__COUNT] = {
    [API_ROLE_READ] = "read",
    [API_ROLE_OPERATE] = "operate",
    [API_ROLE_ADMIN] = "admin",
};

const char *
api_role_name(enum api_role role)
{
    return role_names[role];
}

static bool
parse_role(const char *p, size_t n, enum api_role *out)
{
    for (int i = 0; i < API_ROLE__COUNT; i++)
        if (strlen(role_names[i]) == n && strncmp(role_names[i], p, n) == 0) {
            *out = (enum api_role)i;
            return true;
        }
    return false;
}

static const char *
check_secret(const char *s)
{
    size_t n = strlen(s);

    if (n < SECRET_MIN || n > SECRET_MAX)
        return "must be 16 to 256 characters long";
    for (; *s; s++)
        if (*s < '!' || *s > '~')
            return "must be printable ASCII without blanks";
    return NULL;
}

const char *
api_key_parse(const char *entry, struct api_key *out)
{
    size_t name_len = strspn(entry, NAME_CHARS);
    const char *role = entry + name_len + 1;
    size_t role_len = entry[name_len] == ':' ? strspn(role, ROLE_CHARS) : 0;
    struct api_key key = {.role = API_ROLE_ADMIN, .secret = entry};

    if (name_len && role_len && role[role_len] == ':') {
        key.name = entry;
        key.name_len = name_len;
        key.secret = role + role_len + 1;
        /* Taken as a nameless key, a mistyped role would lock its holder out without a word. */
        if (!parse_role(role, role_len, &key.role))
            return "must have the role read, operate or admin behind its name";
        if (name_len > API_KEY_NAME_MAX)
            return "must have a name of at most 32 characters";
        if (name_len == strlen(API_KEY_NOBODY) && strncmp(entry, API_KEY_NOBODY, name_len) == 0)
            return "must not be called " API_KEY_NOBODY;
    }
    *out = key;
    return check_secret(key.secret);
}
