#include "observerd/token.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/json.h"

enum { PAUSE_MIN_MS = 1000 };

void
token_fini(struct token *t)
{
    free(t->value);
    *t = (struct token){0};
}

bool
token_is_good(const struct token *t, int64_t now_ms)
{
    return t->value && now_ms < t->ends_ms;
}

bool
token_is_due(const struct token *t, int64_t now_ms)
{
    return !t->minting && now_ms >= token_next_ms(t);
}

int64_t
token_next_ms(const struct token *t)
{
    int64_t wanted_ms = t->value ? t->refresh_ms : 0;

    return wanted_ms > t->not_before_ms ? wanted_ms : t->not_before_ms;
}

/* Instances that failed together shall not come back together. */
static int64_t
pause_ms(int times)
{
    int64_t ms = PAUSE_MIN_MS;

    for (int i = 1; i < times && ms < TOKEN_PAUSE_MAX_MS; i++)
        ms *= 2;
    if (ms > TOKEN_PAUSE_MAX_MS)
        ms = TOKEN_PAUSE_MAX_MS;
    return ms - random() % (ms / 10);
}

void
token_minted(struct token *t, char *value, int64_t lifetime_ms, int64_t now_ms)
{
    int64_t before_ms =
        TOKEN_REFRESH_BEFORE_MS - TOKEN_JITTER_MS + random() % (2 * TOKEN_JITTER_MS);

    if (before_ms > lifetime_ms / 2)
        before_ms = lifetime_ms / 2;
    free(t->value);
    t->value = value;
    t->serial++;
    t->minted_ms = now_ms;
    t->ends_ms = now_ms + lifetime_ms;
    t->refresh_ms = t->ends_ms - before_ms;
    t->not_before_ms = now_ms + PAUSE_MIN_MS; /* however short it lives */
    t->failures = 0;
    t->minting = false;
}

void
token_failed(struct token *t, int64_t now_ms)
{
    t->minting = false;
    t->not_before_ms = now_ms + pause_ms(++t->failures);
}

void
token_refused(struct token *t, uint64_t serial, int64_t now_ms)
{
    if (!t->value || t->serial != serial)
        return; /* many calls may be told so, and the next one may be here already */
    free(t->value);
    t->value = NULL;
    if (now_ms - t->minted_ms >= TOKEN_SETTLED_MS)
        t->refusals = 0;
    /* The first time it may have been revoked; a service whose tokens are never taken is slowed. */
    t->not_before_ms = now_ms + (t->refusals ? pause_ms(t->refusals) : 0);
    t->refusals++;
}

/* --- the answer ---------------------------------------------------------------------------- */

/* The end that a JWT carries, in ms since 1970; false when it carries none. */
static bool
jwt_end(const char *token, double *end_ms)
{
    const char *from = strchr(token, '.'), *to = from ? strchr(from + 1, '.') : NULL;
    AUTO_BUF text = {0}, claims = {0};
    AUTO_JSON *json = NULL;
    const json_t *end;

    if (!to)
        return false;
    for (const char *c = from + 1; c < to; c++)
        buf_char(&text, *c == '-' ? '+' : *c == '_' ? '/' : *c);
    if (!jv_base64_decode(buf_cstr(&text), text.len, &claims))
        return false;
    json = jv_parse(buf_cstr(&claims), claims.len);
    end = jv_get(json, "exp");
    *end_ms = json_number_value(end) * 1000;
    return json_is_number(end);
}

/* A value that can be sent as a header. */
static bool
is_sendable(const char *value)
{
    size_t n = strlen(value);

    for (size_t i = 0; i < n; i++)
        if (value[i] <= ' ' || value[i] > '~')
            return false;
    return n > 0 && n <= TOKEN_MAX;
}

bool
token_parse(const char *body, size_t n, int64_t otherwise_s, int64_t wall_ms, char **value,
            int64_t *lifetime_ms, struct err *err)
{
    AUTO_JSON *json = jv_parse(body, n);
    const char *token = jv_cstr(jv_get(json, "token"));
    const json_t *expires = jv_get(json, "expires_in_seconds");
    double seconds = (double)otherwise_s, end_ms;

    if (!json_is_object(json))
        return err_set(err, ERR_RUNTIME, "the answer is no JSON object");
    if (!token || !is_sendable(token))
        return err_set(err, ERR_RUNTIME, "the answer has no usable token");
    if (!jv_nullish(expires) && !json_is_number(expires))
        return err_set(err, ERR_RUNTIME, "expires_in_seconds is no number");
    if (json_is_number(expires))
        seconds = floor(json_number_value(expires));
    if (seconds > (double)otherwise_s)
        seconds = (double)otherwise_s; /* longer than asked for: a new one is cheap */
    if (jwt_end(token, &end_ms) && end_ms < (double)wall_ms + seconds * 1000)
        seconds = floor((end_ms - (double)wall_ms) / 1000);
    if (seconds < 1)
        return err_set(err, ERR_RUNTIME, "the token has ended already (are the clocks right?)");
    *value = xstrdup(token);
    *lifetime_ms = (int64_t)seconds * 1000;
    return true;
}
