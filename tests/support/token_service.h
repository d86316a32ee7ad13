/*
 * token_service.h - a service that mints tokens for the scripted runtime, badly on demand.
 *
 * Purpose    POST /tokens on the loopback: a new token at each request, granted at the runtime
 *            before it is handed out; a revoked one is refused there from then on.
 * Ownership  struct token_service is heap memory (token_service_start, token_service_stop).
 * Errors     false + *err when it cannot listen. That the runtime cannot be reached is a BUG.
 * Threads    its own, which answers one request after the other; the functions from one.
 */
#ifndef MACP_TESTS_SUPPORT_TOKEN_SERVICE_H
#define MACP_TESTS_SUPPORT_TOKEN_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"
#include "shared/macros.h"

enum token_service_mode {
    TOKENS_WELL,
    TOKENS_SLOWLY,  /* after half a second */
    TOKENS_FAIL,    /* 503, with a token in the body */
    TOKENS_GARBAGE, /* 200, and a token in something that is no JSON */
    TOKENS_UNKNOWN, /* that the runtime has never heard of */
    TOKENS_HANG,    /* no answer as long as the client waits */
    TOKENS_HANG_UP, /* nor a connection */
};

enum { TOKEN_SERVICE_LEN = 512, TOKEN_SERVICE_SLOW_MS = 500 };

/* Part of every token that was ever handed out, and of nothing else. */
#define TOKEN_SERVICE_MARK "TkNs3cR3t"

struct token_service;

/* control: path of the runtime's control socket, opened at the first request. */
bool token_service_start(const char *control, struct token_service **out,
                         struct err *err) MUST_CHECK;
void token_service_stop(struct token_service *s); /* NULL is fine */
int token_service_port(const struct token_service *s);

void token_service_set(struct token_service *s, enum token_service_mode mode, int ttl_s);
/* Requests so far. */
int token_service_asked(struct token_service *s);
/* The token that was handed out last, "" when there is none; the body of the last request. */
void token_service_last(struct token_service *s, char token[TOKEN_SERVICE_LEN],
                        char body[TOKEN_SERVICE_LEN]);

#endif
