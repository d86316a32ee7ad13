/*
 * auth.h - API keys.
 *
 * Purpose    decide whether an Authorization header carries a known key, without telling by time
 *            which one was nearly right, and name the caller without showing the key.
 * Ownership  struct auth is heap memory (auth_free); it keeps hashes, not keys.
 * Errors     outcomes are results.
 * Threads    any: it never changes after auth_new.
 */
#ifndef MACP_FCGI_AUTH_H
#define MACP_FCGI_AUTH_H

#include <stdbool.h>

#include "shared/config.h"
#include "shared/macros.h"

enum { AUTH_ACTOR_LEN = 13 }; /* "key-", 8 hexadecimal digits, NUL */

enum auth_outcome {
    AUTH_OK,
    AUTH_MISSING, /* no header, or an empty one */
    AUTH_WRONG,
};

struct auth;

/* No keys: everybody may in, nameless. */
struct auth *auth_new(const struct config_list *keys) MUST_CHECK;
void auth_free(struct auth *a);

/*
 * Check the value of the Authorization header (NULL when absent): "Bearer <key>" or the bare key.
 * actor is set for a known key only.
 */
enum auth_outcome auth_check(const struct auth *a, const char *header, char actor[AUTH_ACTOR_LEN]);

#endif
