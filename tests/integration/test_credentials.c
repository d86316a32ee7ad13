/* TLS to the runtime, and who we are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/certificate.h"
#include "tests/support/expect.h"

#define DECISION "macp.mode.decision.v1"
#define HOST     "runtime.test"

enum { STOP_MS = 8000, EXIT_CONFIG = 78, ENV_MAX = 12, SETTING_LEN = 128 };

static struct world world;
static char directory[64]; /* of the certificates */

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
    environment[n] = NULL;
    world.options.observerd_env = environment;
}

static void
start_with(const char *const *list)
{
    struct err err = {0};

    use(list);
    expect_ok(world_start_observerd(&world, &err), &err, "start observerd");
}

static void
stop_observer(void)
{
    world_stop_observerd(&world, process_slow(STOP_MS));
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
    return 0;
}

static int
tear_down(void **state UNUSED)
{
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
    };

    return cmocka_run_group_tests_name("credentials", tests, set_up, tear_down);
}
