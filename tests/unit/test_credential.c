/* Minted tokens and what is sent instead: clock and token service are variables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observerd/credential.h"
#include "observerd/token.h"
#include "shared/json.h"

enum { WALL_MS = 1700000000, SECOND = 1000 };

/* --- the clock and the service -----------------------------------------------------------------
 */

static int64_t now_ms;
static struct {
    int asked;
    bool full;
    bool waiting;
    outbound_done_fn *done;
    void *ctx;
    char url[128], body[256];
} service;
static int woken;

static int64_t
mono(void)
{
    return now_ms;
}

static int64_t
wall(void)
{
    return WALL_MS * INT64_C(1000) + now_ms;
}

static bool
send_to_service(struct outbound *o UNUSED, const struct outbound_request *request,
                outbound_done_fn *done, void *ctx)
{
    assert_false(service.waiting);
    assert_true(request->trusted);
    if (service.full)
        return false;
    service.asked++;
    service.waiting = true;
    service.done = done;
    service.ctx = ctx;
    snprintf(service.url, sizeof service.url, "%s", request->url);
    snprintf(service.body, sizeof service.body, "%s", request->body);
    return true;
}

static void
answer(int status, const char *body)
{
    assert_true(service.waiting);
    service.waiting = false;
    service.done(service.ctx, &(struct outbound_reply){.status = status,
                                                       .error = status ? "" : "it does not answer",
                                                       .body = body,
                                                       .body_len = strlen(body)});
}

static void
wake(void *ctx UNUSED)
{
    woken++;
}

static struct credential_waiter waiter = {.wake = wake};

static struct config
minting_config(void)
{
    return (struct config){.runtime_allow_insecure = true,
                           .runtime_bearer_token = "",
                           .macp_auth_service_url = "http://tokens.example/base//",
                           .macp_auth_service_timeout_ms = 5000,
                           .macp_auth_token_ttl_seconds = 3600,
                           .macp_auth_token_sender = "me",
                           .runtime_dev_agent_id = "old-name"};
}

static struct credential *
start(const struct config *cfg)
{
    struct credential *c;

    now_ms = 1000000;
    memset(&service, 0, sizeof service);
    woken = 0;
    c = credential_new(&(struct credential_options){
        .cfg = cfg, .send = send_to_service, .mono_ms = mono, .wall_ms = wall});
    credential_join(c, &waiter);
    return c;
}

static void
stop(struct credential *c)
{
    credential_leave(c, &waiter);
    credential_free(c);
}

/* "READY Bearer x", "PENDING" or "MISSING reason". */
static const char *
taken(struct credential *c)
{
    static char text[256];
    struct credential_use use = {0};
    struct err why = {0};

    switch (credential_take(c, &use, &why)) {
    case CREDENTIAL_READY:
        snprintf(text, sizeof text, "READY %s", buf_cstr(&use.authorization));
        break;
    case CREDENTIAL_PENDING:
        snprintf(text, sizeof text, "PENDING");
        break;
    case CREDENTIAL_MISSING:
        snprintf(text, sizeof text, "MISSING %.200s", why.msg);
        break;
    }
    buf_fini(&use.authorization);
    return text;
}

static uint64_t
serial(struct credential *c)
{
    struct credential_use use = {0};
    struct err why;

    assert_int_equal(credential_take(c, &use, &why), CREDENTIAL_READY);
    buf_fini(&use.authorization);
    return use.serial;
}

/* --- minting --------------------------------------------------------------------------------- */

static void
all_callers_wait_for_one_request(void **state UNUSED)
{
    struct config cfg = minting_config();
    struct credential *c = start(&cfg);

    for (int i = 0; i < 100; i++)
        assert_string_equal(taken(c), "PENDING");
    assert_int_equal(service.asked, 1);
    assert_string_equal(service.url, "http://tokens.example/base/tokens");
    assert_string_equal(service.body, "{\"sender\":\"me\",\"ttl_seconds\":3600,\"scopes\":"
                                      "{\"can_start_sessions\":false,\"is_observer\":true}}");
    assert_int_equal(woken, 0);
    answer(200, "{\"token\":\"t1\",\"expires_in_seconds\":300}");
    assert_int_equal(woken, 1);
    for (int i = 0; i < 100; i++)
        assert_string_equal(taken(c), "READY Bearer t1");
    assert_int_equal(service.asked, 1);
    stop(c);
}

static void
registry_right_is_asked_for_only_when_wanted(void **state UNUSED)
{
    struct config cfg = minting_config();
    struct credential *c;

    cfg.macp_auth_token_can_manage_registry = true;
    c = start(&cfg);
    assert_string_equal(taken(c), "PENDING");
    assert_non_null(strstr(service.body, ",\"can_manage_mode_registry\":true}}"));
    answer(0, "");
    stop(c);
}

static void
next_token_is_minted_before_the_last_one_ends_and_nobody_waits(void **state UNUSED)
{
    struct config cfg = minting_config();
    struct credential *c = start(&cfg);

    assert_string_equal(taken(c), "PENDING");
    answer(200, "{\"token\":\"t1\",\"expires_in_seconds\":300}");
    now_ms += (300 - 46) * SECOND;
    credential_tick(c);
    assert_int_equal(service.asked, 1);
    now_ms += (46 - 34) * SECOND;
    assert_true(credential_due_ms(c) <= now_ms);
    credential_tick(c);
    assert_int_equal(service.asked, 2);
    assert_string_equal(taken(c), "READY Bearer t1");
    answer(200, "{\"token\":\"t2\",\"expires_in_seconds\":300}");
    assert_string_equal(taken(c), "READY Bearer t2");
    stop(c);
}

/* A failed refresh costs nothing while the token is good; then callers are told at once. */
static void
good_token_outlives_failures_of_the_service(void **state UNUSED)
{
    struct config cfg = minting_config();
    struct credential *c = start(&cfg);

    assert_string_equal(taken(c), "PENDING");
    answer(200, "{\"token\":\"t1\",\"expires_in_seconds\":300}");
    now_ms += 280 * SECOND;
    credential_tick(c);
    answer(503, "{\"token\":\"secret\"}");
    assert_string_equal(taken(c), "READY Bearer t1");
    now_ms += 500;
    credential_tick(c); /* it failed just now */
    assert_int_equal(service.asked, 2);
    now_ms += 19 * SECOND;
    assert_string_equal(taken(c), "READY Bearer t1");
    assert_int_equal(service.asked, 3);
    now_ms += SECOND;
    assert_string_equal(taken(c), "PENDING");
    answer(0, "");
    assert_string_equal(taken(c), "MISSING no token for the runtime: it does not answer");
    assert_int_equal(service.asked, 3);
    stop(c);
}

static void
pauses_between_failed_attempts_double_up_to_half_a_minute(void **state UNUSED)
{
    static const int pauses_s[] = {1, 2, 4, 8, 16, 30, 30};
    struct config cfg = minting_config();
    struct credential *c = start(&cfg);

    assert_string_equal(taken(c), "PENDING");
    for (size_t i = 0; i < ARRAY_LEN(pauses_s); i++) {
        answer(500, "");
        assert_string_equal(taken(c), "MISSING no token for the runtime: it answered 500");
        now_ms += pauses_s[i] * SECOND * 9 / 10 - 1;
        credential_tick(c);
        assert_int_equal(service.asked, i + 1);
        now_ms += pauses_s[i] * SECOND / 10 + 1;
        credential_tick(c);
        assert_int_equal(service.asked, i + 2);
    }
    answer(200, "{\"token\":\"t1\"}");
    assert_string_equal(taken(c), "READY Bearer t1");
    stop(c);
}

static void
configured_bearer_stands_in_while_nothing_can_be_minted(void **state UNUSED)
{
    struct config cfg = minting_config();
    struct credential *c;

    cfg.runtime_bearer_token = "static";
    c = start(&cfg);
    assert_string_equal(taken(c), "PENDING");
    answer(200, "no json");
    assert_string_equal(taken(c), "READY Bearer static");
    assert_int_equal(serial(c), 0);
    assert_false(credential_refused(c, 0)); /* there is no other one */
    now_ms += SECOND;
    assert_string_equal(taken(c), "PENDING");
    answer(200, "{\"token\":\"t1\"}");
    assert_string_equal(taken(c), "READY Bearer t1");
    stop(c);
}

static void
refused_token_is_minted_anew_once_and_then_more_slowly(void **state UNUSED)
{
    struct config cfg = minting_config();
    struct credential *c = start(&cfg);
    uint64_t first, second;

    assert_string_equal(taken(c), "PENDING");
    answer(200, "{\"token\":\"t1\"}");
    first = serial(c);
    for (int i = 0; i < 50; i++) /* all calls that were on their way */
        assert_true(credential_refused(c, first));
    assert_string_equal(taken(c), "PENDING");
    assert_int_equal(service.asked, 2);
    answer(200, "{\"token\":\"t2\"}");
    assert_true(credential_refused(c, first)); /* a late one */
    assert_string_equal(taken(c), "READY Bearer t2");
    second = serial(c);
    assert_true(credential_refused(c, second));
    assert_string_equal(taken(c),
                        "MISSING no token for the runtime: the runtime refuses what it mints");
    assert_int_equal(service.asked, 2);
    now_ms += SECOND;
    assert_string_equal(taken(c), "PENDING");
    answer(200, "{\"token\":\"t3\"}");
    now_ms += TOKEN_SETTLED_MS;
    assert_true(credential_refused(c, serial(c))); /* revoked after a while: no pause */
    assert_string_equal(taken(c), "PENDING");
    answer(0, "");
    stop(c);
}

static void
too_many_outgoing_requests_are_a_failure(void **state UNUSED)
{
    struct config cfg = minting_config();
    struct credential *c = start(&cfg);

    service.full = true;
    assert_string_equal(taken(c),
                        "MISSING no token for the runtime: too many outgoing requests are waiting");
    service.full = false;
    now_ms += SECOND;
    assert_string_equal(taken(c), "PENDING");
    answer(0, "");
    stop(c);
}

/* --- what is sent without minting ---------------------------------------------------------------
 */

static void
without_minting_the_bearer_or_the_old_name_is_sent(void **state UNUSED)
{
    static const struct {
        const char *bearer, *taken, *agent_id;
        bool header, insecure, tls;
    } cases[] = {
        {"tok", "READY Bearer tok", NULL, true, true, false},
        {"tok", "READY Bearer tok", NULL, false, false, true},
        {"tok", "READY ", NULL, true, false, false}, /* not over plaintext */
        {"", "READY Bearer old-name", "old-name", true, true, false},
        {"", "READY ", NULL, false, true, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config cfg = minting_config();
        struct credential_use use = {0};
        struct credential *c;
        struct err why;

        cfg.macp_auth_service_url = "";
        cfg.runtime_bearer_token = cases[i].bearer;
        cfg.runtime_use_dev_header = cases[i].header;
        cfg.runtime_allow_insecure = cases[i].insecure;
        cfg.runtime_tls = cases[i].tls;
        c = start(&cfg);
        assert_string_equal(taken(c), cases[i].taken);
        assert_int_equal(credential_take(c, &use, &why), CREDENTIAL_READY);
        if (cases[i].agent_id)
            assert_string_equal(use.agent_id, cases[i].agent_id);
        else
            assert_null(use.agent_id);
        buf_fini(&use.authorization);
        credential_tick(c);
        assert_int_equal(service.asked, 0);
        stop(c);
    }
}

/* --- the answer of the service ------------------------------------------------------------------
 */

/* A JWT with an end so many seconds from now; not padded, as in the wild. */
static void
jwt(char *out, size_t size, int64_t ends_in_s)
{
    AUTO_BUF claims = {0}, coded = {0};

    buf_printf(&claims, "{\"sub\":\"\xc3\xbf\xc3\xbe?>\",\"exp\":%lld}",
               (long long)(WALL_MS + ends_in_s));
    buf_base64(&coded, claims.p, claims.len);
    for (char *p = coded.p; *p; p++)
        *p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
    snprintf(out, size, "eyJhbGciOiJub25lIn0.%.*s.c2ln", (int)strcspn(coded.p, "="), coded.p);
}

static void
lifetime_is_what_service_and_token_say(void **state UNUSED)
{
    static const struct {
        const char *expires; /* as in the answer; NULL: not there */
        int64_t jwt_s;       /* end of the JWT; 0: the token is none */
        int64_t wanted_s;    /* 0: refused */
    } cases[] = {
        {"300", 0, 300},   {"300.9", 0, 300},  {"45", 0, 45},      {NULL, 0, 3600},
        {"null", 0, 3600}, {"1", 0, 1},        {"0.9", 0, 0},      {"0", 0, 0},
        {"-5", 0, 0},      {"1e300", 0, 3600}, {"86400", 0, 3600}, {"\"300\"", 0, 0},
        {"true", 0, 0},    {"300", 120, 120},  {"60", 120, 60},    {NULL, 900, 900},
        {"300", -5, 0},    {"300", 1, 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char token[256] = "opaque", body[512], *value = NULL;
        int64_t lifetime_ms = 0;
        struct err err;
        bool ok;

        if (cases[i].jwt_s)
            jwt(token, sizeof token, cases[i].jwt_s);
        snprintf(body, sizeof body, "{\"token\":\"%s\"%s%s}", token,
                 cases[i].expires ? ",\"expires_in_seconds\":" : "",
                 cases[i].expires ? cases[i].expires : "");
        ok = token_parse(body, strlen(body), 3600, WALL_MS * INT64_C(1000), &value, &lifetime_ms,
                         &err);
        if (ok != (cases[i].wanted_s > 0) || lifetime_ms != cases[i].wanted_s * 1000)
            fail_msg("%s, %lld: %d %lld", body, (long long)cases[i].jwt_s, ok,
                     (long long)lifetime_ms);
        if (ok)
            assert_string_equal(value, token);
        free(value);
    }
}

static void
answer_without_a_usable_token_is_refused_and_not_repeated(void **state UNUSED)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "\"s3cret\"",
        "{}",
        "{\"token\":null}",
        "{\"token\":5}",
        "{\"token\":\"\"}",
        "{\"token\":\"s3cret with blanks\"}",
        "{\"token\":\"s3cret\\n\"}",
        "{\"token\":\"s3cret\xc3\xbc\"}",
        "{\"token\":\"s3cret\"",
        "<html>s3cret</html>",
        "{\"Token\":\"s3cret\"}",
        "{\"token\":\"s3cret\",\"expires_in_seconds\":\"soon\"}",
    };
    AUTO_BUF large = {0};
    int64_t lifetime_ms;
    struct err err;
    char *value;

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_false(
            token_parse(bodies[i], strlen(bodies[i]), 3600, 0, &value, &lifetime_ms, &err));
        assert_null(strstr(err.msg, "s3cret"));
    }
    buf_lit(&large, "{\"token\":\"");
    for (int i = 0; i <= TOKEN_MAX; i++)
        buf_char(&large, 'x');
    buf_lit(&large, "\"}");
    assert_false(token_parse(large.p, large.len, 3600, 0, &value, &lifetime_ms, &err));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_callers_wait_for_one_request),
        cmocka_unit_test(registry_right_is_asked_for_only_when_wanted),
        cmocka_unit_test(next_token_is_minted_before_the_last_one_ends_and_nobody_waits),
        cmocka_unit_test(good_token_outlives_failures_of_the_service),
        cmocka_unit_test(pauses_between_failed_attempts_double_up_to_half_a_minute),
        cmocka_unit_test(configured_bearer_stands_in_while_nothing_can_be_minted),
        cmocka_unit_test(refused_token_is_minted_anew_once_and_then_more_slowly),
        cmocka_unit_test(too_many_outgoing_requests_are_a_failure),
        cmocka_unit_test(without_minting_the_bearer_or_the_old_name_is_sent),
        cmocka_unit_test(lifetime_is_what_service_and_token_say),
        cmocka_unit_test(answer_without_a_usable_token_is_refused_and_not_repeated),
    };

    return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
