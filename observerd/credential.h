/*
 * credential.h - what tells the runtime who we are.
 *
 * Purpose    one credential for the whole process: a minted token, the configured bearer, or the
 *            name that old runtimes believe. Minting happens once at a time, in the background
 *            while there is a token, and callers wait for it only when there is none.
 * Ownership  struct credential is heap memory of main; a waiter is the caller's until it leaves.
 * Errors     that no token can be had is a result, with the reason. Tokens, and what the service
 *            said, are in no text and no log line.
 * Threads    any. Waiters are woken under the lock: they must not come back from there.
 *
 * A credential goes over plaintext only when RUNTIME_ALLOW_INSECURE says so.
 */
#ifndef MACP_OBSERVERD_CREDENTIAL_H
#define MACP_OBSERVERD_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "observerd/outbound.h"
#include "shared/buf.h"
#include "shared/config.h"
#include "shared/err.h"

struct credential;

enum credential_state {
    CREDENTIAL_READY,
    CREDENTIAL_PENDING, /* waiters are woken when it is known */
    CREDENTIAL_MISSING, /* minting failed, and there is nothing to fall back on */
};

/* What a call carries. */
struct credential_use {
    struct buf authorization; /* value of the header; empty: none */
    const char *agent_id;     /* value of x-macp-agent-id; NULL: none. Lives with the credential */
    uint64_t serial;          /* of a minted token, else 0 */
};

struct credential_waiter {
    void (*wake)(void *ctx);
    void *ctx;
    struct credential_waiter *next;
};

/* As outbound_send; another one in tests. */
typedef bool credential_send_fn(struct outbound *o, const struct outbound_request *request,
                                outbound_done_fn *done, void *ctx);

struct credential_options {
    const struct config *cfg;
    struct outbound *outbound;
    credential_send_fn *send;
    int64_t (*mono_ms)(void), (*wall_ms)(void); /* clocks */
};

struct credential *credential_new(const struct credential_options *o) MUST_CHECK;
/* The bearer that is configured now; the settings are borrowed. */
void credential_reload(struct credential *c, const struct config *cfg);
/* Nothing may be on its way any more: outbound has been stopped. NULL is fine. */
void credential_free(struct credential *c);

void credential_join(struct credential *c, struct credential_waiter *w);
void credential_leave(struct credential *c, struct credential_waiter *w);

/* *out is emptied first. CREDENTIAL_MISSING: *why says the reason. */
enum credential_state credential_take(struct credential *c, struct credential_use *out,
                                      struct err *why) MUST_CHECK;
/*
 * The runtime answered UNAUTHENTICATED to a call that carried this. True: it was minted, so another
 * one may be taken.
 */
bool credential_refused(struct credential *c, uint64_t serial);

/* Cross out what is in a text of somebody who was shown it. */
void credential_hide(struct credential *c, char *text);

/* Mint when it is time to. Cheap; called often by everybody, whether they make calls or not. */
void credential_tick(struct credential *c);
/* When it is time, as far as known now. */
int64_t credential_due_ms(const struct credential *c);

#endif
