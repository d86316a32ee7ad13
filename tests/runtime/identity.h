/*
 * identity.h - who calls: static tokens with their rights, and what each caller has done.
 *
 * Purpose    resolve call metadata to an identity the way a runtime does, and count per identity.
 * Ownership  identities live as long as their set; identity_set_fini frees all.
 * Errors     loading fails with *err; an unknown credential is NULL, not an error.
 * Threads    under the world's lock.
 */
#ifndef MACP_RUNTIME_IDENTITY_H
#define MACP_RUNTIME_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum { TALLY_CALLS = 32 }; /* room for one counter per RPC */

struct tally {
    uint64_t calls[TALLY_CALLS]; /* by position in the method table */
    uint64_t frames;             /* StreamSession requests */
    uint64_t envelope_frames;    /* ... that carried an envelope */
    uint64_t subscribes;         /* ... that asked for a session */
    uint64_t half_closes;        /* the client closed its side of a StreamSession */
};

struct identity {
    char *token;       /* NULL for identities made on the fly, and when it was revoked */
    bool signed_token; /* as if an issuer had signed it: may have dots */
    char *sender;
    bool can_start;
    bool is_observer;
    bool can_manage;
    char **modes; /* allowed to send in; none listed: all */
    size_t n_modes;
    int64_t max_open; /* 0: no limit */
    struct tally tally;
};

struct identity_set {
    struct identity **list;
    size_t count;
    bool dev_fallback;    /* any token is the sender's name; static tokens are ignored */
    bool accept_agent_id; /* x-macp-agent-id alone identifies; off by default, as in a runtime */
};

/* What a call carried; NULL where absent. */
struct credential {
    const char *authorization;
    const char *macp_token;
    const char *agent_id;
};

/* The built-in tokens, as the JSON text that identity_set_load takes. */
extern const char *const identity_default_json;

/* A list of token objects, or an object with a member "tokens" holding one. */
bool identity_set_load(struct identity_set *set, const char *json, struct err *err) MUST_CHECK;
/* One token object, as an issuer would make it while the runtime runs. */
bool identity_grant(struct identity_set *set, const json_t *entry, struct err *err) MUST_CHECK;
/* The token is worth nothing from now on. Returns whose it was, NULL when nobody's. */
struct identity *identity_revoke(struct identity_set *set, const char *token);
void identity_set_fini(struct identity_set *set);
struct identity *identity_resolve(struct identity_set *set, const struct credential *cred);
bool identity_may_send_in(const struct identity *id, const char *mode);

#endif
