/* TLS to the runtime, and who we are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/certificate.h"
#include "tests/support/crowd.h"
#include "tests/support/token_service.h"

#define DECISION "macp.mode.decision.v1"
#define HOST     "runtime.test"

enum {
    STOP_MS = 8000,
    SOON_MS = 15000,
    EXIT_CONFIG = 78,
    ENV_MAX = 12,
    SETTING_LEN = 128,
    CALLERS = 100,
    ENVELOPES = 6,
    PUMPED = 120,
    RATE = 60,
    HOUR_S = 3600,
};

static struct world world;
static struct token_service *tokens;
static char directory[64]; /* of the certificates */
static char tokens_url[64];

/* --- the observer and its settings ----------------------------------------------------------- */

static char settings[ENV_MAX][SETTING_LEN];
static const char *environment[ENV_MAX + 1];

/* "NAME=value"; a @ in the value is the directory of the certificates. Ends with NULL. */
static void
use(const char *const *list)
{
    size_t n = 0;

    for (; list[n]; n++) {
        const char *at = strchr(list[n], '@');

        assert_true(n < ENV_MAX);
        if (at)
            snprintf(settings[n], SETTING_LEN, "%.*s%s%s", (int)(at - list[n]), list[n], directory,
                     at + 1);
        else
            snprintf(settings[n], SETTING_LEN, "%s", list[n]);
        environment[n] = settings[n];
    }
    assert_true(n < ENV_MAX);
    environment[n++] = "LOG_LEVEL=trace"; /* no secret in what is said then, either */
    environment[n] = NULL;
    world.options.observerd_env = environment;
}

static void
stop_observer(void)
{
    if (process_alive(&world.observerd)) /* also without a leak, where those are looked for */
        assert_int_equal(world_stop_observerd(&world, process_slow(STOP_MS)), 0);
}

static void
start_with(const char *const *list)
{
    struct err err = {0};

    stop_observer(); /* of a test that failed */
    use(list);
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
}

#define TLS                                                                                        \
    "RUNTIME_TLS=true", "RUNTIME_TLS_CA_FILE=@/authority.crt",                                     \
        "RUNTIME_TLS_CERT_FILE=@/observer.crt", "RUNTIME_TLS_KEY_FILE=@/observer.key",             \
        "RUNTIME_TLS_SERVER_NAME=" HOST

/* Reports why a call failed, however often. */
#define PATIENT "RUNTIME_CIRCUIT_BREAKER_THRESHOLD=1000"

static const char *const right[] = {TLS, NULL};

/* --- TLS ------------------------------------------------------------------------------------- */

static void
run_is_observed_over_tls_with_a_client_certificate(void **state UNUSED)
{
    struct posted run;

    start_with(right);
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.positive", run.session, NULL);
    expect_status(&world, run.run, "completed");
    expect_stored_once(&world, run.run, run.session);
    stop_observer();
}

/* Nobody is told more than that the runtime is away, and no run is blamed. */
static void
connection_that_cannot_be_trusted_is_not_used(void **state UNUSED)
{
    static const struct {
        const char *said, *env[ENV_MAX];
    } refusals[] = {
        /* another authority */
        {"certificate verify failed",
         {"RUNTIME_TLS=true", "RUNTIME_TLS_CA_FILE=@/stranger.crt",
          "RUNTIME_TLS_CERT_FILE=@/observer.crt", "RUNTIME_TLS_KEY_FILE=@/observer.key",
          "RUNTIME_TLS_SERVER_NAME=" HOST, PATIENT}},
        /* the system's authorities */
        {"certificate verify failed",
         {"RUNTIME_TLS=true", "RUNTIME_TLS_SERVER_NAME=" HOST, PATIENT}},
        /* another name */
        {"Peer name other.test is not in peer certificate",
         {"RUNTIME_TLS=true", "RUNTIME_TLS_CA_FILE=@/authority.crt",
          "RUNTIME_TLS_CERT_FILE=@/observer.crt", "RUNTIME_TLS_KEY_FILE=@/observer.key",
          "RUNTIME_TLS_SERVER_NAME=other.test", PATIENT}},
        /* a certificate for a name, and only its address is known */
        {"Peer name 127.0.0.1 is not in peer certificate",
         {"RUNTIME_TLS=true", "RUNTIME_TLS_CA_FILE=@/authority.crt",
          "RUNTIME_TLS_CERT_FILE=@/observer.crt", "RUNTIME_TLS_KEY_FILE=@/observer.key", PATIENT}},
        /* no certificate of ours */
        {"failed to connect",
         {"RUNTIME_TLS=true", "RUNTIME_TLS_CA_FILE=@/authority.crt",
          "RUNTIME_TLS_SERVER_NAME=" HOST, PATIENT}},
        /* one that another authority signed */
        {"failed to connect",
         {"RUNTIME_TLS=true", "RUNTIME_TLS_CA_FILE=@/authority.crt",
          "RUNTIME_TLS_CERT_FILE=@/impostor.crt", "RUNTIME_TLS_KEY_FILE=@/impostor.key",
          "RUNTIME_TLS_SERVER_NAME=" HOST, PATIENT}},
        {"failed to connect", {"RUNTIME_TLS=false", PATIENT}},
    };
    struct posted run;

    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.positive", run.session, NULL);
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct err err = {0};
        char none[2];

        expect_ok(world_sql(&world, none, sizeof(none), &err, "delete from macp.runtime_catalog"),
                  &err, "forget the catalog");
        start_with(refusals[i].env);
        expect_sql_becomes(&world, "f",
                           "select ok from macp.runtime_catalog where kind = 'manifest'");
        expect_sql(&world, "t",
                   "select detail like 'UNAVAILABLE: %%%s%%' from macp.runtime_catalog "
                   "where kind = 'manifest'",
                   refusals[i].said);
        expect_sql(&world, "queued", "select status from macp.runs where id = '%s'", run.run);
        stop_observer();
    }
    start_with(right);
    expect_status(&world, run.run, "completed");
    stop_observer();
}

static void
tls_files_that_cannot_be_used_refuse_the_start(void **state UNUSED)
{
    static const struct {
        const char *env[ENV_MAX], *said;
    } cases[] = {
        {{"RUNTIME_TLS=true", "RUNTIME_TLS_CA_FILE=@/authority.key"},
         "RUNTIME_TLS_CA_FILE holds no PEM certificate"},
        {{"RUNTIME_TLS=true", "RUNTIME_TLS_CERT_FILE=@/observer.key",
          "RUNTIME_TLS_KEY_FILE=@/observer.key"},
         "RUNTIME_TLS_CERT_FILE holds no PEM certificate"},
        {{"RUNTIME_TLS=true", "RUNTIME_TLS_CERT_FILE=@/observer.crt",
          "RUNTIME_TLS_KEY_FILE=@/observer.crt"},
         "RUNTIME_TLS_KEY_FILE holds no PEM key"},
        {{"RUNTIME_TLS=true", "RUNTIME_TLS_CERT_FILE=@/observer.crt",
          "RUNTIME_TLS_KEY_FILE=@/impostor.key"},
         "RUNTIME_TLS_KEY_FILE is not the key of RUNTIME_TLS_CERT_FILE"},
        {{"RUNTIME_TLS=true", "RUNTIME_TLS_CERT_FILE=@/observer.crt"},
         "RUNTIME_TLS_CERT_FILE: needs RUNTIME_TLS_KEY_FILE as well"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *tail;

        start_with(cases[i].env);
        assert_int_equal(process_stop(&world.observerd, 0, process_slow(STOP_MS)), EXIT_CONFIG);
        tail = process_log_tail(world.observerd.log, 1000);
        if (!strstr(tail, cases[i].said))
            fail_msg("wanted \"%s\" in: %s", cases[i].said, tail);
        free(tail);
    }
}

/* --- minted tokens -----------------------------------------------------------------------------
 */

static void
start_minting(enum token_service_mode mode, int ttl_s)
{
    token_service_set(tokens, mode, ttl_s);
    start_with((const char *const[]){TLS, "RUNTIME_BEARER_TOKEN=", tokens_url, NULL});
}

static void
revoke_token(bool streams)
{
    char token[TOKEN_SERVICE_LEN], body[TOKEN_SERVICE_LEN];

    token_service_last(tokens, token, body);
    json_decref(expect_control(
        &world, json_pack("{s:s, s:s, s:b}", "cmd", "revoke", "token", token, "streams", streams)));
}

static void
one_token_is_minted_for_a_hundred_callers(void **state UNUSED)
{
    char token[TOKEN_SERVICE_LEN], body[TOKEN_SERVICE_LEN];
    int before = token_service_asked(tokens);
    struct crowd c;

    crowd_post(&c, &world, CALLERS);
    start_minting(TOKENS_SLOWLY, HOUR_S);
    crowd_pump(&c, &(struct crowd_load){.envelopes = ENVELOPES, .rate = CALLERS * ENVELOPES});
    crowd_pumped(&c);
    crowd_expect_whole(&c, "one token");
    crowd_free(&c);
    assert_int_equal(token_service_asked(tokens) - before, 1);
    token_service_last(tokens, token, body);
    assert_string_equal(body, "{\"sender\":\"macp-control-plane\",\"ttl_seconds\":3600,"
                              "\"scopes\":{\"can_start_sessions\":false,\"is_observer\":true}}");
    stop_observer();
}

static void
expect_cursor(const struct posted *run, int at_least)
{
    expect_sql_becomes(&world, "t",
                       "select cursor >= %d from macp.run_observers join macp.runs using (run_key) "
                       "where id = '%s'",
                       at_least, run->run);
}

/* First while it streams, then only when it comes back. */
static void
token_that_ends_in_the_middle_loses_nothing(void **state UNUSED)
{
    struct posted run;
    json_t *answer;
    json_int_t job;
    int before;

    start_minting(TOKENS_WELL, HOUR_S);
    expect_posted(&world, DECISION, NULL, &run);
    answer = expect_control(&world,
                            json_pack("{s:s, s:[s], s:i, s:i, s:b}", "cmd", "pump", "ids",
                                      run.session, "envelopes", PUMPED, "rate", RATE, "wait", 0));
    job = json_integer_value(json_object_get(answer, "job"));
    json_decref(answer);
    expect_cursor(&run, PUMPED / 10);
    before = token_service_asked(tokens);
    revoke_token(true);
    expect_cursor(&run, PUMPED / 2);
    assert_int_equal(token_service_asked(tokens) - before, 1);
    revoke_token(false);
    json_decref(expect_control(&world, json_pack("{s:s, s:s}", "cmd", "cut", "what", "streams")));
    json_decref(
        expect_control(&world, json_pack("{s:s, s:I, s:b}", "cmd", "job", "id", job, "wait", 1)));
    expect_status(&world, run.run, "completed");
    assert_int_equal(expect_stored_once(&world, run.run, run.session), PUMPED);
    assert_int_equal(token_service_asked(tokens) - before, 2);
    stop_observer();
}

static bool
has_minted_more(void *ctx)
{
    return token_service_asked(tokens) >= *(int *)ctx;
}

static void
tokens_are_replaced_before_they_end(void **state UNUSED)
{
    int enough = token_service_asked(tokens) + 3;

    start_minting(TOKENS_WELL, 2);
    assert_true(process_poll(has_minted_more, &enough, process_slow(SOON_MS)));
    stop_observer();
}

/* Whatever is wrong with the service, runs wait for it, and the reason is shown. */
static void
without_a_token_runs_wait_and_go_on_when_there_is_one(void **state UNUSED)
{
    static const struct {
        enum token_service_mode mode;
        const char *why;
    } cases[] = {
        {TOKENS_FAIL, "it answered 503"},
        {TOKENS_GARBAGE, "the answer is no JSON object"},
        {TOKENS_HANG, "no answer in time"},
        {TOKENS_HANG_UP, "the connection was closed without an answer"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct posted run;
        char none[2];

        expect_ok(world_sql(&world, none, sizeof(none), &err, "delete from macp.runtime_catalog"),
                  &err, "forget the catalog");
        expect_posted(&world, DECISION, NULL, &run);
        expect_played(&world, "decision.minimal", run.session, NULL);
        token_service_set(tokens, cases[i].mode, HOUR_S);
        start_with((const char *const[]){TLS, "RUNTIME_BEARER_TOKEN=", tokens_url,
                                         "MACP_AUTH_SERVICE_TIMEOUT_MS=300", NULL});
        expect_sql_becomes(&world, "f",
                           "select ok from macp.runtime_catalog where kind = 'manifest'");
        expect_sql(&world, "t",
                   "select detail like 'UNAUTHENTICATED: no token for the runtime: %s%%' from "
                   "macp.runtime_catalog where kind = 'manifest'",
                   cases[i].why);
        expect_sql(&world, "queued", "select status from macp.runs where id = '%s'", run.run);
        token_service_set(tokens, TOKENS_WELL, HOUR_S);
        expect_status(&world, run.run, "completed");
        expect_sql(&world, "t",
                   "select json_array_length(breaker_history) = 1 from macp.observer_instances "
                   "where alive_until > now()");
        stop_observer();
    }
}

static void
tokens_that_the_runtime_does_not_know_are_not_minted_without_end(void **state UNUSED)
{
    int before = token_service_asked(tokens);
    int64_t began = clock_mono_ms();
    struct posted run;

    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    start_minting(TOKENS_UNKNOWN, HOUR_S);
    before += 3;
    assert_true(process_poll(has_minted_more, &before, process_slow(SOON_MS)));
    assert_true(clock_mono_ms() - began >= 900); /* the third one has waited */
    token_service_set(tokens, TOKENS_WELL, HOUR_S);
    expect_status(&world, run.run, "completed");
    stop_observer();
}

static void
configured_bearer_stands_in_for_the_service(void **state UNUSED)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    struct posted run;

    token_service_set(tokens, TOKENS_FAIL, HOUR_S);
    start_with((const char *const[]){TLS, tokens_url, NULL});
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    expect_status(&world, run.run, "completed");
    expect_sql_becomes(&world, "t",
                       "select metrics::text like '%%macp_auth_fallback_total%%' from "
                       "macp.observer_instances where alive_until > now()");
    expect_ok(http_get(&world.http, &r, &err, "/metrics"), &err, "/metrics");
    if (!strstr(r.body.p, "macp_auth_fallback_total{outcome=\"bearer\"} ") ||
        !strstr(r.body.p, "macp_auth_mint_total{outcome=\"error\"} "))
        fail_msg("not counted: %s", r.body.p);
    stop_observer();
}

static void
write_token(const char *path, const char *token)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fprintf(f, "%s\n", token) > 0 && fclose(f) == 0);
}

static void
bearer_in_a_file_is_read_again_on_sighup(void **state UNUSED)
{
    char path[96];
    struct posted run;

    snprintf(path, sizeof(path), "%s/bearer", directory);
    write_token(path, "tok-of-yesterday");
    expect_posted(&world, DECISION, NULL, &run);
    expect_played(&world, "decision.minimal", run.session, NULL);
    start_with((const char *const[]){
        TLS, "RUNTIME_BEARER_TOKEN=", "RUNTIME_BEARER_TOKEN_FILE=@/bearer", NULL});
    expect_sql_becomes(&world, "starting", "select status from macp.runs where id = '%s'", run.run);
    write_token(path, WORLD_OBSERVER_TOKEN);
    process_signal(&world.observerd, SIGHUP);
    expect_status(&world, run.run, "completed");
    stop_observer();
}

/* A runtime, or what stands before it, may say what it was shown. */
static void
credential_that_the_runtime_repeats_is_crossed_out(void **state UNUSED)
{
    token_service_set(tokens, TOKENS_WELL, HOUR_S);
    for (int minted = 0; minted < 2; minted++) {
        struct err err = {0};
        char none[2];

        expect_ok(world_sql(&world, none, sizeof(none), &err, "delete from macp.runtime_catalog"),
                  &err, "forget the catalog");
        json_decref(
            expect_control(&world, json_pack("{s:s, s:s, s:i, s:b}", "cmd", "set", "failMethod",
                                             "*", "failStatus", 13, "failEcho", 1)));
        start_with((const char *const[]){TLS, PATIENT,
                                         minted ? tokens_url : "MACP_AUTH_SERVICE_URL=", NULL});
        expect_sql_becomes(&world, "f",
                           "select ok from macp.runtime_catalog where kind = 'manifest'");
        expect_sql(&world, "t",
                   "select detail like 'INTERNAL: scripted failure: \uFFFD Bearer ***%%' from "
                   "macp.runtime_catalog where kind = 'manifest'");
        stop_observer();
    }
    json_decref(expect_control(
        &world, json_pack("{s:s, s:s, s:b}", "cmd", "set", "failMethod", "", "failEcho", 0)));
}

/* --- secrets -----------------------------------------------------------------------------------
 */

static const char *const secrets[] = {TOKEN_SERVICE_MARK, WORLD_OBSERVER_TOKEN, "tok-of-yesterday",
                                      "PRIVATE KEY"};

static void
expect_no_secret(const char *where, const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        if (strstr(text, secrets[i]))
            fail_msg("%s has %s: %.200s", where, secrets[i], strstr(text, secrets[i]));
}

/* Last: of all that the programs have said above. */
static void
no_secret_is_in_any_log_or_row_or_answer(void **state UNUSED)
{
    static const char *const names[] = {"observerd", "runtime", "lighttpd"};
    static const char *const tables[] = {"runtime_catalog", "observer_instances", "runs",
                                         "run_events_canonical", "audit_log"};
    static const char *const paths[] = {"/readyz", "/runtime/health", "/metrics",
                                        "/admin/circuit-breaker/history"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[sizeof(world.dir) + 32], *text;

        snprintf(path, sizeof(path), "%s/%s.log", world.dir, names[i]);
        text = process_log_tail(path, 64 << 20);
        assert_true(text[0] || i > 0);
        expect_no_secret(names[i], text);
        free(text);
    }
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        for (size_t k = 0; k < ARRAY_LEN(secrets); k++)
            expect_sql(&world, "0", "select count(*) from macp.%s t where t::text like '%%%s%%'",
                       tables[i], secrets[k]);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};

        expect_ok(http_get(&world.http, &r, &err, "%s", paths[i]), &err, paths[i]);
        expect_no_secret(paths[i], buf_cstr(&r.body));
    }
}

/* --- the world ------------------------------------------------------------------------------- */

static int
set_up(void **state UNUSED)
{
    static const struct {
        const char *name, *issuer, *host;
    } certificates[] = {
        {"authority", NULL, NULL},      {"stranger", NULL, NULL},
        {"runtime", "authority", HOST}, {"observer", "authority", NULL},
        {"impostor", "stranger", NULL},
    };
    static char cert[96], key[96], ca[96];
    static const char *const args[] = {"--tls-cert",  cert, "--tls-key", key,
                                       "--client-ca", ca,   NULL};
    struct world_options options = {.without_observerd = true, .runtime_args = args};
    struct err err = {0};

    snprintf(directory, sizeof(directory), "/tmp/macp-certificates.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(cert, sizeof(cert), "%s/runtime.crt", directory);
    snprintf(key, sizeof(key), "%s/runtime.key", directory);
    snprintf(ca, sizeof(ca), "%s/authority.crt", directory);
    for (size_t i = 0; i < ARRAY_LEN(certificates); i++)
        expect_ok(certificate_make(directory, certificates[i].name, certificates[i].issuer,
                                   certificates[i].host, &err),
                  &err, "make certificates");
    expect_ok(world_start(&world, &options, &err), &err, "start the world");
    expect_ok(token_service_start(world.control_path, &tokens, &err), &err, "token service");
    snprintf(tokens_url, sizeof(tokens_url), "MACP_AUTH_SERVICE_URL=http://127.0.0.1:%d/",
             token_service_port(tokens));
    return 0;
}

static int
tear_down(void **state UNUSED)
{
    token_service_stop(tokens);
    world_stop(&world);
    certificate_remove(directory);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_is_observed_over_tls_with_a_client_certificate),
        cmocka_unit_test(connection_that_cannot_be_trusted_is_not_used),
        cmocka_unit_test(tls_files_that_cannot_be_used_refuse_the_start),
        cmocka_unit_test(one_token_is_minted_for_a_hundred_callers),
        cmocka_unit_test(token_that_ends_in_the_middle_loses_nothing),
        cmocka_unit_test(tokens_are_replaced_before_they_end),
        cmocka_unit_test(without_a_token_runs_wait_and_go_on_when_there_is_one),
        cmocka_unit_test(tokens_that_the_runtime_does_not_know_are_not_minted_without_end),
        cmocka_unit_test(configured_bearer_stands_in_for_the_service),
        cmocka_unit_test(bearer_in_a_file_is_read_again_on_sighup),
        cmocka_unit_test(credential_that_the_runtime_repeats_is_crossed_out),
        cmocka_unit_test(no_secret_is_in_any_log_or_row_or_answer),
    };

    return cmocka_run_group_tests_name("credentials", tests, set_up, tear_down);
}
