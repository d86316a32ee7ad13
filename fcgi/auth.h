/*
 * auth.h - API keys.
 *
 * Purpose    decide whether an Authorization header carries a known key, without telling by time
 *            which one was nearly right; name the caller without showing the key, and say what the
 *            key may do.
 * Ownership  struct auth is heap memory (auth_free); it keeps hashes, not keys.
 * Errors     outcomes are results.
 * Threads    any: it never changes after auth_new.
 */
#ifndef MACP_FCGI_AUTH_H
#define MACP_FCGI_AUTH_H

#include <stdbool.h>

#include "shared/api_key.h"
#include "shared/config.h"
#include "shared/macros.h"

enum { AUTH_ACTOR_LEN = API_KEY_NAME_MAX + 1 };

enum auth_outcome {
    AUTH_OK,
    AUTH_MISSING, /* no header, or an empty one */
    AUTH_WRONG,
};

struct auth_caller {
    char actor[AUTH_ACTOR_LEN]; /* the key's name, or key-<8 hexadecimal digits of its hash> */
    enum api_role role;
};

struct auth;

/* No keys: everybody may in, as nobody, and do everything. */
struct auth *auth_new(const struct config_list *keys) MUST_CHECK;
void auth_free(struct auth *a);

/*
 * Check the value of the Authorization header (NULL when absent): "Bearer <key>" or the bare key.
 * out is set when the caller is let in.
 */
enum auth_outcome auth_check(const struct auth *a, const char *header, struct auth_caller *out);

#endif
