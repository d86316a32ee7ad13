/*
 * api_key.h - one entry of AUTH_API_KEYS.
 *
 * Purpose    "name:role:secret" names who holds a key and what it may do; anything else is a key
 *            without a name that may do everything.
 * Ownership  parts are borrowed from the entry.
 * Errors     a reason, fit to stand behind the name of the setting.
 * Threads    any.
 */
#ifndef MACP_SHARED_API_KEY_H
#define MACP_SHARED_API_KEY_H

#include <stddef.h>

#include "shared/macros.h"

enum { API_KEY_NAME_MAX = 32 };

/* What whoever asks for without a key is called. */
#define API_KEY_NOBODY "anonymous"
/* What audit rows say about whoever holds a key. */
#define API_KEY_ACTOR_TYPE "service"

/* Each may do what the ones before it may. */
enum api_role {
    API_ROLE_READ,    /* look */
    API_ROLE_OPERATE, /* start, steer and annotate runs */
    API_ROLE_ADMIN,   /* delete, and change what all runs share */
    API_ROLE__COUNT
};

struct api_key {
    const char *name; /* not ended by a NUL; NULL: nameless */
    size_t name_len;
    enum api_role role;
    const char *secret;
};

/* NULL, or what is wrong. A key that merely contains colons has no name. */
const char *api_key_parse(const char *entry, struct api_key *out) MUST_CHECK;
const char *api_role_name(enum api_role role);

#endif
