#include "fcgi/serve.h"

#include <string.h>

#include "fcgi/app.h"
#include "fcgi/auth.h"
#include "fcgi/proxy.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/route.h"
#include "fcgi/throttle.h"
#include "fcgi/validate.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/uuid.h"

enum {
    ROUTE_FAILED_AUTH = -1, /* throttles wrong keys by address */
    REQUEST_ID_MAX = 1024,
    OUTAGE_LOG_MS = 1000,
    RETRY_AFTER_S = 1,
};

static void
take_request_id(struct request *rq)
{
    const char *given = request_env(rq, "HTTP_X_REQUEST_ID");
    /* It goes into headers, log lines and audit rows. */
    bool fits =
        given && *given && strlen(given) <= REQUEST_ID_MAX && jv_is_utf8(given, strlen(given));
    char *fresh;

    for (const char *p = given; fits && *p; p++)
        fits = (unsigned char)*p >= 0x20 && *p != 0x7f;
    if (fits) {
        rq->request_id = given;
        return;
    }
    fresh = arena_alloc(rq->arena, UUID_LEN);
    uuid_v4(fresh);
    rq->request_id = fresh;
}

static void
take_address(struct request *rq)
{
    enum { ADDRESS_LEN = 64 };

    rq->address = proxy_client(rq->address, request_env(rq, "HTTP_X_FORWARDED_FOR"),
                               &rq->app->config->trusted_proxies,
                               arena_alloc(rq->arena, ADDRESS_LEN), ADDRESS_LEN);
}

/* --- key and rate ------------------------------------------------------------------------- */

static bool
refuse_rate(struct request *rq, const struct throttle_answer *answer, struct err *err)
{
    reply_header_int(rq, "Retry-After", answer->retry_s);
    return err_set(err, ERR_RATE_LIMITED, "ThrottlerException: Too Many Requests");
}

static bool
authenticate(struct request *rq, enum api_role *role, struct err *err)
{
    struct auth_caller caller;
    struct throttle_answer answer;

    switch (auth_check(rq->app->auth, request_env(rq, "HTTP_AUTHORIZATION"), &caller)) {
    case AUTH_OK:
        rq->actor = arena_strdup(rq->arena, caller.actor);
        *role = caller.role;
        return true;
    case AUTH_MISSING:
        return err_set(err, ERR_UNAUTHORIZED, "Missing Authorization header");
    case AUTH_WRONG:
        break;
    }
    throttle_hit(rq->app->throttle, rq->address, ROUTE_FAILED_AUTH, clock_mono_ms(), &answer);
    if (!answer.allowed)
        return refuse_rate(rq, &answer, err);
    return err_set(err, ERR_UNAUTHORIZED, "Invalid authorization token");
}

static bool
check_rate(struct request *rq, struct err *err)
{
    bool named = strcmp(rq->actor, API_KEY_NOBODY) != 0;
    struct throttle_answer answer;

    throttle_hit(rq->app->throttle, named ? rq->actor : rq->address, (int)(rq->route - routes),
                 clock_mono_ms(), &answer);
    if (!answer.allowed)
        return refuse_rate(rq, &answer, err);
    reply_header_int(rq, "X-RateLimit-Limit", rq->app->config->throttle_limit);
    reply_header_int(rq, "X-RateLimit-Remaining", answer.remaining);
    reply_header_int(rq, "X-RateLimit-Reset", answer.reset_s);
    return true;
}

static bool
check_role(const struct request *rq, enum api_role role, struct err *err)
{
    static const enum api_role needed[] = {
        [ROUTE_READ] = API_ROLE_READ,
        [ROUTE_OPERATE] = API_ROLE_OPERATE,
        [ROUTE_ADMIN] = API_ROLE_ADMIN,
    };
    enum api_role least = needed[rq->route->access];

    return role >= least ||
           err_set(err, ERR_FORBIDDEN, "this needs a key with the role %s", api_role_name(least));
}

static bool
admit(struct request *rq, struct err *err)
{
    enum api_role role = API_ROLE_READ;

    if (rq->route->access == ROUTE_PUBLIC)
        return true;
    return authenticate(rq, &role, err) && check_rate(rq, err) && check_role(rq, role, err);
}

/* --- pipeline ----------------------------------------------------------------------------- */

/* True: go on. False: the reply or *err says why not. */
static bool
validate(struct request *rq, bool *replied, struct err *err)
{
    static const struct query_field no_fields[] = {{0}};
    const struct route *route = rq->route;
    AUTO_TEXTS texts = {0};

    rq->values = query_parse(rq->arena, rq->query, route->query ? route->query : no_fields, &texts);
    if (route->body) {
        if (!request_parse_body(rq, err))
            return false;
        body_validate(rq->document, route->body, &texts);
    }
    if (texts.n) {
        reply_validation(rq, buf_cstr(&texts.json));
        *replied = true;
        return false;
    }
    if (route->flags & ROUTE_RUN_ID && !uuid_is_valid(rq->params[0]))
        return err_set(err, ERR_VALIDATION, "Validation failed (uuid is expected)");
    return true;
}

/* Of a request that did not come whole, nothing is done. */
static bool
check_arrival(struct request *rq, struct err *err)
{
    if (rq->body_state == REQUEST_BODY_LATE)
        return err_set(err, ERR_BODY_LATE, "the body did not arrive in time");
    if (rq->body_state != REQUEST_BODY_REFUSED)
        return true;
    reply_header_int(rq, "Retry-After", RETRY_AFTER_S);
    return err_set(err, ERR_BUSY, "the rest of this request is not waited for; try again");
}

static bool
answer(struct request *rq, struct err *err)
{
    bool replied = false;

    switch (route_find(rq, err)) {
    case ROUTE_NONE:
        reply_no_route(rq);
        return true;
    case ROUTE_BAD_PARAM:
        return false;
    case ROUTE_FOUND:
        break;
    }
    if (!check_arrival(rq, err) || !admit(rq, err))
        return false;
    if (!validate(rq, &replied, err))
        return replied;
    return rq->route->handler(rq, err);
}

/* An unreachable database fails every request: one line a second tells it. */
static bool
is_outage_news(struct app *app)
{
    long long now = clock_mono_ms(), last = atomic_load(&app->outage_logged_ms);

    return now - last >= OUTAGE_LOG_MS &&
           atomic_compare_exchange_strong(&app->outage_logged_ms, &last, now);
}

static void
log_failure(struct request *rq, const struct err *err)
{
    struct log_ctx ctx = {.request_id = rq->request_id, .err = err};
    const char *path = rq->route ? rq->route->path : "unmatched";

    if (err_http_status(err->code) < 500 || err->code == ERR_IO)
        log_line(LOG_DEBUG, &ctx, "%s %s refused", rq->method_name, path);
    else if (err->code != ERR_DB || is_outage_news(rq->app))
        log_line(LOG_ERROR, &ctx, "%s %s failed", rq->method_name, path);
}

void
serve(struct request *rq)
{
    struct err err = {0};

    if (rq->method == HTTP_OPTIONS) {
        reply_preflight(rq);
        return;
    }
    take_request_id(rq);
    take_address(rq);
    if (!answer(rq, &err)) {
        if (rq->reply->started)
            reply_late_error(rq, &err);
        else
            reply_error(rq, &err);
        log_failure(rq, &err);
    }
    if (log_enabled(LOG_DEBUG))
        log_line(LOG_DEBUG, &(struct log_ctx){.request_id = rq->request_id}, "%s %s %d in %lld ms",
                 rq->method_name, rq->route ? rq->route->path : "unmatched", rq->reply->status,
                 (long long)(clock_mono_ms() - rq->started_ms));
}
