#include "observerd/webhook_attempt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

enum {
    LONGEST_WAIT_S = 86400, /* that an endpoint may ask for */
    STATUS_GONE = 410,
    STATUS_TOO_MANY = 429,
    STATUS_UNAVAILABLE = 503,
};

void
webhook_sign(const char *secret, const char *body, size_t n, char out[WEBHOOK_SIGNATURE_LEN])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len;

    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body, n, digest,
              &len))
        BUG("no HMAC");
    for (unsigned int i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static int64_t
wait_before_next(const struct config *cfg, int attempts, double chance,
                 const struct outbound_reply *reply)
{
    int64_t wait_s = cfg->webhook_retry_s[attempts - 1];
    int64_t asked_s = reply->retry_after_s < LONGEST_WAIT_S ? reply->retry_after_s : LONGEST_WAIT_S;

    if (reply->status != STATUS_TOO_MANY && reply->status != STATUS_UNAVAILABLE)
        asked_s = 0;
    if (asked_s > wait_s)
        wait_s = asked_s;
    return wait_s * 1000 + (int64_t)((double)wait_s * 200 * chance);
}

void
webhook_judge(const struct config *cfg, int attempts, double chance,
              const struct outbound_reply *reply, struct webhook_verdict *out)
{
    *out = (struct webhook_verdict){.status = "failed", .counts = true};
    if (reply->status >= 200 && reply->status < 300) {
        out->status = "delivered";
        return;
    }
    if (reply->stopped) {
        out->status = "pending";
        out->counts = false;
        return;
    }
    if (reply->status)
        snprintf(out->error, sizeof out->error, "webhook returned %d", reply->status);
    else
        snprintf(out->error, sizeof out->error, "%s", reply->error);
    out->unsubscribe = reply->status == STATUS_GONE;
    if (out->unsubscribe || reply->refused || attempts > (int)cfg->webhook_retry_n)
        return;
    out->status = "pending";
    out->wait_ms = wait_before_next(cfg, attempts, chance, reply);
}
