/*
 * token.h - a token that a service minted for us: how long it is good, when to mint the next one.
 *
 * Purpose    the rules, without clock and network: a token is used until it ends, the next one is
 *            minted before that, failures are followed by growing pauses.
 * Ownership  struct token is the caller's; a zeroed one is empty and valid; token_fini frees it.
 * Errors     token_parse: false + *err, which holds nothing of the answer.
 * Threads    one owner at a time. Times are monotonic milliseconds unless they say otherwise.
 */
#ifndef MACP_OBSERVERD_TOKEN_H
#define MACP_OBSERVERD_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum {
    TOKEN_MAX = 6144, /* with other headers it must fit what a runtime reads of them */
    TOKEN_REFRESH_BEFORE_MS = 40000,
    TOKEN_JITTER_MS = 5000,
    TOKEN_PAUSE_MAX_MS = 30000,
    TOKEN_SETTLED_MS = 60000, /* one that was good for so long was refused for its age */
};

struct token {
    char *value;     /* NULL: none */
    uint64_t serial; /* another one for each value; 0: there was none yet */
    int64_t minted_ms, refresh_ms, ends_ms;
    int64_t not_before_ms; /* no attempt before */
    int failures;          /* attempts in a row */
    int refusals;          /* fresh tokens in a row that the runtime did not take */
    bool minting;          /* an attempt is under way: there is only one */
};

void token_fini(struct token *t);
bool token_is_good(const struct token *t, int64_t now_ms);
/* It is time for an attempt. */
bool token_is_due(const struct token *t, int64_t now_ms);
/* When token_is_due may become true; only an attempt's end matters while one is under way. */
int64_t token_next_ms(const struct token *t);

/* The attempt is over. The value is taken over. */
void token_minted(struct token *t, char *value, int64_t lifetime_ms, int64_t now_ms);
void token_failed(struct token *t, int64_t now_ms);
/* The runtime did not take the value of that serial: forget it, if it is still the one in use. */
void token_refused(struct token *t, uint64_t serial, int64_t now_ms);

/*
 * The answer of the service: its token and how long it is good, in whole seconds. What the service
 * says is not stretched, and the end that a JWT carries is not passed. otherwise_s: when it does
 * not say.
 */
bool token_parse(const char *body, size_t n, int64_t otherwise_s, int64_t wall_ms, char **value,
                 int64_t *lifetime_ms, struct err *err) MUST_CHECK;

#endif
