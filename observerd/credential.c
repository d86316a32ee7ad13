#include "observerd/credential.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "observerd/token.h"
#include "shared/log.h"
#include "shared/meter.h"

struct credential {
    struct credential_options o;
    char *url;            /* of the token service, NULL: nothing is minted */
    const char *agent_id; /* without any token; NULL: none */
    bool silent;          /* plaintext: nothing of it is sent */
    _Atomic int64_t due_ms;
    pthread_mutex_t mu; /* all below */
    const char *bearer; /* the configured one, "": none */
    struct token token;
    char why[160]; /* the last attempt failed */
    bool falling_back;
    struct credential_waiter *waiters;
};

/* --- minting: under the lock ----------------------------------------------------------------- */

static void
failed(struct credential *c, const char *why)
{
    meter_add(METER_AUTH_MINT, 1, "error");
    token_failed(&c->token, c->o.mono_ms());
    snprintf(c->why, sizeof c->why, "%s", why);
    log_line(c->token.failures == 1 ? LOG_WARN : LOG_DEBUG, NULL,
             "no token from the token service: %s", why);
}

static void
minted(struct credential *c, const struct outbound_reply *reply)
{
    const struct config *cfg = c->o.cfg;
    char why[64], *value;
    int64_t lifetime_ms;
    struct err err;

    if (reply->status < 200 || reply->status > 299) {
        snprintf(why, sizeof why, "it answered %d", reply->status);
        failed(c, reply->status ? why : reply->error);
        return;
    }
    if (!token_parse(reply->body, reply->body_len, cfg->macp_auth_token_ttl_seconds, c->o.wall_ms(),
                     &value, &lifetime_ms, &err)) {
        failed(c, err.msg);
        return;
    }
    if (c->token.failures)
        log_info("the token service answers again");
    meter_add(METER_AUTH_MINT, 1, "ok");
    token_minted(&c->token, value, lifetime_ms, c->o.mono_ms());
    c->falling_back = false;
}

/* Nothing is due while an attempt is under way. */
static void
note_due(struct credential *c)
{
    atomic_store(&c->due_ms, c->url && !c->token.minting ? token_next_ms(&c->token) : INT64_MAX);
}

static void
answered(void *ctx, const struct outbound_reply *reply)
{
    struct credential *c = ctx;

    pthread_mutex_lock(&c->mu);
    minted(c, reply);
    note_due(c);
    for (struct credential_waiter *w = c->waiters; w; w = w->next)
        w->wake(w->ctx);
    pthread_mutex_unlock(&c->mu);
}

static void
mint(struct credential *c)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Accept: application/json"};
    const struct config *cfg = c->o.cfg;
    AUTO_BUF body = {0};

    buf_lit(&body, "{\"sender\":");
    buf_json(&body, cfg->macp_auth_token_sender);
    buf_printf(&body,
               ",\"ttl_seconds\":%lld,\"scopes\":{\"can_start_sessions\":false,"
               "\"is_observer\":true%s}}",
               (long long)cfg->macp_auth_token_ttl_seconds,
               cfg->macp_auth_token_can_manage_registry ? ",\"can_manage_mode_registry\":true"
                                                        : "");
    c->token.minting = true;
    if (!c->o.send(c->o.outbound,
                   &(struct outbound_request){.url = c->url,
                                              .headers = headers,
                                              .n_headers = ARRAY_LEN(headers),
                                              .body = buf_cstr(&body),
                                              .body_len = body.len,
                                              .timeout_ms = (int)cfg->macp_auth_service_timeout_ms,
                                              .trusted = true},
                   answered, c))
        failed(c, "too many outgoing requests are waiting");
    note_due(c);
}

/* --- the public half --------------------------------------------------------------------- */

struct credential *
credential_new(const struct credential_options *o)
{
    const struct config *cfg = o->cfg;
    struct credential *c = xcalloc(1, sizeof *c);
    AUTO_BUF url = {0};

    c->o = *o;
    pthread_mutex_init(&c->mu, NULL);
    c->bearer = cfg->runtime_bearer_token;
    c->agent_id = cfg->runtime_use_dev_header ? cfg->runtime_dev_agent_id : NULL;
    c->silent = !cfg->runtime_tls && !cfg->runtime_allow_insecure;
    if (c->silent)
        log_warn("the runtime is reached in plaintext: no credential is sent");
    if (!c->silent && cfg->macp_auth_service_url[0]) {
        buf_str(&url, cfg->macp_auth_service_url);
        while (url.len && url.p[url.len - 1] == '/')
            url.len--;
        buf_lit(&url, "/tokens");
        c->url = buf_steal(&url);
    }
    note_due(c);
    return c;
}

void
credential_reload(struct credential *c, const struct config *cfg)
{
    pthread_mutex_lock(&c->mu);
    c->bearer = cfg->runtime_bearer_token;
    pthread_mutex_unlock(&c->mu);
}

void
credential_free(struct credential *c)
{
    if (!c)
        return;
    token_fini(&c->token);
    pthread_mutex_destroy(&c->mu);
    free(c->url);
    free(c);
}

void
credential_join(struct credential *c, struct credential_waiter *w)
{
    pthread_mutex_lock(&c->mu);
    w->next = c->waiters;
    c->waiters = w;
    pthread_mutex_unlock(&c->mu);
}

void
credential_leave(struct credential *c, struct credential_waiter *w)
{
    struct credential_waiter **at = &c->waiters;

    pthread_mutex_lock(&c->mu);
    while (*at && *at != w)
        at = &(*at)->next;
    if (*at)
        *at = w->next;
    pthread_mutex_unlock(&c->mu);
}

static void
fall_back(struct credential *c)
{
    meter_add(METER_AUTH_FALLBACK, 1, "bearer");
    if (!c->falling_back)
        log_warn("RUNTIME_BEARER_TOKEN is used until a token can be minted");
    c->falling_back = true;
}

enum credential_state
credential_take(struct credential *c, struct credential_use *out, struct err *why)
{
    enum credential_state state = CREDENTIAL_READY;
    int64_t now = c->o.mono_ms();

    buf_reset(&out->authorization);
    out->agent_id = NULL;
    out->serial = 0;
    pthread_mutex_lock(&c->mu);
    if (c->url && token_is_due(&c->token, now))
        mint(c);
    if (c->url && token_is_good(&c->token, now)) {
        buf_printf(&out->authorization, "Bearer %s", c->token.value);
        out->serial = c->token.serial;
    } else if (c->url && c->token.minting) {
        state = CREDENTIAL_PENDING;
    } else if (c->bearer[0] && !c->silent) {
        if (c->url)
            fall_back(c);
        buf_printf(&out->authorization, "Bearer %s", c->bearer);
    } else if (c->url) {
        err_set(why, ERR_RUNTIME, "no token for the runtime: %s", c->why);
        state = CREDENTIAL_MISSING;
    } else if (c->agent_id && !c->silent) {
        out->agent_id = c->agent_id;
        /* Newer runtimes without tokens of their own take a bearer for the name. */
        buf_printf(&out->authorization, "Bearer %s", c->agent_id);
    }
    pthread_mutex_unlock(&c->mu);
    return state;
}

bool
credential_refused(struct credential *c, uint64_t serial)
{
    if (!serial)
        return false;
    pthread_mutex_lock(&c->mu);
    if (c->token.value && c->token.serial == serial) {
        log_info("the runtime no longer takes the token");
        snprintf(c->why, sizeof c->why, "the runtime refuses what it mints");
    }
    token_refused(&c->token, serial, c->o.mono_ms());
    note_due(c);
    pthread_mutex_unlock(&c->mu);
    return true;
}

static void
cross_out(char *text, const char *secret)
{
    size_t n = secret ? strlen(secret) : 0;

    for (char *at = n ? strstr(text, secret) : NULL; at; at = strstr(at, secret))
        memset(at, '*', n);
}

void
credential_hide(struct credential *c, char *text)
{
    pthread_mutex_lock(&c->mu);
    cross_out(text, c->token.value);
    cross_out(text, c->bearer);
    pthread_mutex_unlock(&c->mu);
}

void
credential_tick(struct credential *c)
{
    if (c->o.mono_ms() < atomic_load(&c->due_ms))
        return;
    pthread_mutex_lock(&c->mu);
    if (c->url && token_is_due(&c->token, c->o.mono_ms()))
        mint(c);
    pthread_mutex_unlock(&c->mu);
}

int64_t
credential_due_ms(const struct credential *c)
{
    return atomic_load(&c->due_ms);
}
