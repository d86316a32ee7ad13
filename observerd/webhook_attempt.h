/*
 * webhook_attempt.h - one attempt of a delivery: how it is signed, and what its answer means.
 *
 * Purpose    the rules of deliveries as functions of their arguments.
 * Ownership  plain values. Errors: none. Threads: any.
 */
#ifndef MACP_OBSERVERD_WEBHOOK_ATTEMPT_H
#define MACP_OBSERVERD_WEBHOOK_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/outbound.h"
#include "shared/config.h"

enum { WEBHOOK_SIGNATURE_LEN = 65 }; /* with the NUL */

/* Lower-case hex HMAC-SHA256 of the body, keyed by the secret. */
void webhook_sign(const char *secret, const char *body, size_t n, char out[WEBHOOK_SIGNATURE_LEN]);

struct webhook_verdict {
    const char *status; /* of the delivery: delivered, failed, or pending: once more */
    int64_t wait_ms;    /* until the next attempt */
    bool counts;        /* as an attempt: false when nothing is known about the endpoint */
    bool unsubscribe;   /* the endpoint is gone and says so */
    char error[128];    /* "": none */
};

/*
 * attempts: made so far, this one included. chance: 0 to 1, lengthens the wait by up to a fifth, so
 * that what failed together does not come back together.
 */
void webhook_judge(const struct config *cfg, int attempts, double chance,
                   const struct outbound_reply *reply, struct webhook_verdict *out);

#endif
