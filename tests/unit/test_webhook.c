/* Deliveries: who is told what, how it is signed, what an answer means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "observerd/webhook_attempt.h"
#include "observerd/webhook_event.h"

static void
subscribers_are_told_about_six_transitions(void **state UNUSED)
{
    static const struct {
        enum run_status from, to;
        const char *event; /* NULL: none */
    } cases[] = {
        {RUN_QUEUED, RUN_STARTING, NULL},
        {RUN_STARTING, RUN_BINDING_SESSION, NULL},
        {RUN_BINDING_SESSION, RUN_RUNNING, "run.started"},
        {RUN_RUNNING, RUN_SUSPENDED, "run.suspended"},
        {RUN_SUSPENDED, RUN_RUNNING, "run.resumed"},
        {RUN_RUNNING, RUN_COMPLETED, "run.completed"},
        {RUN_SUSPENDED, RUN_COMPLETED, "run.completed"},
        {RUN_SUSPENDED, RUN_CANCELLED, "run.cancelled"},
        {RUN_QUEUED, RUN_CANCELLED, "run.cancelled"},
        {RUN_STARTING, RUN_FAILED, "run.failed"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *event = webhook_event_name(cases[i].from, cases[i].to);

        if (!cases[i].event)
            assert_null(event);
        else
            assert_string_equal(event, cases[i].event);
    }
}

static void
bodies_are_the_documented_bytes(void **state UNUSED)
{
    AUTO_BUF plain = {0};
    AUTO_BUF failed = {0};

    webhook_event_body("run.completed", "6f06ccae-bd8f-48c8-aa95-11744c274815", RUN_COMPLETED,
                       1772359200007, NULL, &plain);
    assert_string_equal(buf_cstr(&plain),
                        "{\"event\":\"run.completed\",\"runId\":\"6f06ccae-bd8f-48c8-aa95-"
                        "11744c274815\",\"status\":\"completed\",\"timestamp\":\"2026-03-01T10:00:"
                        "00.007Z\"}");
    webhook_event_body("run.failed", "6f06ccae-bd8f-48c8-aa95-11744c274815", RUN_FAILED,
                       1772359200007, "the \"last\" line\n", &failed);
    assert_string_equal(strstr(buf_cstr(&failed), ",\"data\""),
                        ",\"data\":{\"error\":\"the \\\"last\\\" line\\n\"}}");
}

/* Vectors of RFC 4231, and an empty body. */
static void
signatures_are_hmac_sha256_in_hex(void **state UNUSED)
{
    static const struct {
        const char *secret, *body, *signature;
    } cases[] = {
        {"Jefe", "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
         "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"key", "", "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char signature[WEBHOOK_SIGNATURE_LEN];

        webhook_sign(cases[i].secret, cases[i].body, strlen(cases[i].body), signature);
        assert_string_equal(signature, cases[i].signature);
    }
}

static const struct config config = {.webhook_retry_s = {1, 2, 30}, .webhook_retry_n = 3};

static void
answers_decide_what_becomes_of_a_delivery(void **state UNUSED)
{
    static const struct {
        int attempts;
        struct outbound_reply reply;
        const char *status;
        int64_t wait_ms;
        bool unsubscribe;
        const char *error;
    } cases[] = {
        {1, {.status = 200}, "delivered", 0, false, ""},
        {4, {.status = 299}, "delivered", 0, false, ""},
        {1, {.status = 302}, "pending", 1000, false, "webhook returned 302"},
        {1, {.status = 500}, "pending", 1000, false, "webhook returned 500"},
        {2, {.status = 500}, "pending", 2000, false, "webhook returned 500"},
        {3, {.status = 404}, "pending", 30000, false, "webhook returned 404"},
        {4, {.status = 500}, "failed", 0, false, "webhook returned 500"},
        {9, {.status = 500}, "failed", 0, false, "webhook returned 500"},
        {1, {.status = 410}, "failed", 0, true, "webhook returned 410"},
        {1,
         {.error = "no answer in time", .timed_out = true},
         "pending",
         1000,
         false,
         "no answer in time"},
        {1,
         {.error = "its host is not allowed", .refused = true},
         "failed",
         0,
         false,
         "its host is not allowed"},
        /* our own end says nothing about the endpoint */
        {1, {.error = "stopping", .stopped = true}, "pending", 0, false, ""},
        {9, {.error = "stopping", .stopped = true}, "pending", 0, false, ""},
        /* an endpoint may ask for more time, not for less and not for ever */
        {1, {.status = 503, .retry_after_s = 7}, "pending", 7000, false, "webhook returned 503"},
        {1, {.status = 429, .retry_after_s = 9}, "pending", 9000, false, "webhook returned 429"},
        {3, {.status = 503, .retry_after_s = 7}, "pending", 30000, false, "webhook returned 503"},
        {1, {.status = 500, .retry_after_s = 7}, "pending", 1000, false, "webhook returned 500"},
        {1,
         {.status = 503, .retry_after_s = INT32_MAX},
         "pending",
         86400000,
         false,
         "webhook returned 503"},
        {4, {.status = 503, .retry_after_s = 7}, "failed", 0, false, "webhook returned 503"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct webhook_verdict v;

        webhook_judge(&config, cases[i].attempts, 0, &cases[i].reply, &v);
        if (strcmp(v.status, cases[i].status) != 0 || v.wait_ms != cases[i].wait_ms ||
            v.unsubscribe != cases[i].unsubscribe || strcmp(v.error, cases[i].error) != 0 ||
            v.counts == cases[i].reply.stopped)
            fail_msg("case %zu: %s after %lld ms, \"%s\"", i, v.status, (long long)v.wait_ms,
                     v.error);
    }
}

static void
waits_are_lengthened_by_chance_up_to_a_fifth(void **state UNUSED)
{
    const struct outbound_reply reply = {.status = 500};
    struct webhook_verdict v;

    webhook_judge(&config, 3, 0.5, &reply, &v);
    assert_int_equal(v.wait_ms, 33000);
    webhook_judge(&config, 3, 1, &reply, &v);
    assert_int_equal(v.wait_ms, 36000);
}

static void
without_a_schedule_there_is_one_attempt(void **state UNUSED)
{
    const struct config none = {0};
    struct webhook_verdict v;

    webhook_judge(&none, 1, 0, &(struct outbound_reply){.status = 500}, &v);
    assert_string_equal(v.status, "failed");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscribers_are_told_about_six_transitions),
        cmocka_unit_test(bodies_are_the_documented_bytes),
        cmocka_unit_test(signatures_are_hmac_sha256_in_hex),
        cmocka_unit_test(answers_decide_what_becomes_of_a_delivery),
        cmocka_unit_test(waits_are_lengthened_by_chance_up_to_a_fifth),
        cmocka_unit_test(without_a_schedule_there_is_one_attempt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
