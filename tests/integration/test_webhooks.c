/* Subscribers are told what happens to runs: what they get, how often, and who waits for whom. */
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
#include "tests/support/expect.h"
#include "tests/support/receiver.h"

#define DECISION "macp.mode.decision.v1"
#define PLANNER  "agent://planner"
#define SECRET   "the-secret-of-every-webhook-h\xc3\xa9re"
#define NOTHING  "6f06ccae-bd8f-48c8-aa95-11744c274815"

enum { WAIT_MS = 20000, TIMEOUT_MS = 1500, PER_WEBHOOK = 4 };

struct subscription {
    const char *path, *events;
    char id[UUID_LEN];
};

// clang-format off
static struct subscription everything = {"/status/200?everything",   "[]", ""},
                           shaky      = {"/status/500,200?shaky",    "[\"run.started\",\"run.completed\"]", ""},
                           broken     = {"/status/400?broken",       "[\"run.completed\"]", ""},
                           gone       = {"/status/410?gone",         "[\"run.completed\"]", ""},
                           failures   = {"/status/204?failures",     "[\"run.failed\"]", ""},
                           silent     = {"/status/200?silent",       "[]", ""},
                           deleted    = {"/status/200?deleted",      "[]", ""},
                           forbidden  = {"/status/200?forbidden",    "[\"run.completed\"]", ""},
                           hanging    = {"/hang",                    "[\"nothing.like.it\"]", ""},
                           healthy    = {"/status/200?healthy",      "[\"nothing.like.it\"]", ""};
// clang-format on

static struct world world;
static struct receiver receiver;
static struct posted run; /* completed, after it was suspended and resumed */

/* --- the agents' side ------------------------------------------------------------------------ */

static void
say(const char *type, json_t *payload)
{
    json_decref(expect_control(&world, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "cmd", "send",
                                                 "session", run.session, "mode", DECISION, "type",
                                                 type, "sender", PLANNER, "payload", payload)));
}

static void
about_session(const char *verb)
{
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s}", "cmd", verb, "session", run.session)));
}

/* Step by step: the observer sees every state. */
static void
play_run(void)
{
    expect_posted(&world, DECISION, NULL, &run);
    say("SessionStart", json_pack("{s:s, s:[s], s:s, s:s, s:i}", "intent", "told", "participants",
                                  PLANNER, "mode_version", "1.0.0", "configuration_version",
                                  "config.default", "ttl_ms", 600000));
    expect_status(&world, run.run, "running");
    about_session("suspend");
    expect_status(&world, run.run, "suspended");
    about_session("resume");
    expect_status(&world, run.run, "running");
    say("Proposal", json_pack("{s:s, s:s}", "proposal_id", "p1", "option", "blue"));
    say("Commitment", json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "commitment_id", "c1",
                                "action", "decision.selected", "authority_scope", "session",
                                "reason", "agreed", "mode_version", "1.0.0",
                                "configuration_version", "config.default", "outcome_positive", 1));
    expect_status(&world, run.run, "completed");
}

/* --- asking ---------------------------------------------------------------------------------- */

static json_t *
call(const char *method, const char *path, const char *body, int status)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    expect_ok(http_send(&world.http,
                        &(struct http_request){.method = method,
                                               .path = path,
                                               .body = body,
                                               .body_len = body ? strlen(body) : 0},
                        &r, &err),
              &err, path);
    if (r.status != status)
        fail_msg("%s %s: wanted %d, got %d %.300s", method, path, status, r.status,
                 buf_cstr(&r.body));
    if (strstr(buf_cstr(&r.body), "the-secret"))
        fail_msg("%s %s tells a secret", method, path);
    return json_incref(r.json);
}

static const char *
text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (!text)
        fail_msg("no %s", name);
    return text;
}

static void
subscribe(struct subscription *s)
{
    AUTO_BUF body = {0};
    json_t *made;

    buf_printf(&body, "{\"url\":\"http://127.0.0.1:%d%s\",\"events\":%s,\"secret\":\"%s\"}",
               receiver.port, s->path, s->events, SECRET);
    made = call("POST", "/webhooks", buf_cstr(&body), 201);
    snprintf(s->id, sizeof s->id, "%s", text_of(made, "id"));
    json_decref(made);
}

static void
change(const struct subscription *s, const char *body)
{
    char path[128];

    snprintf(path, sizeof path, "/webhooks/%s", s->id);
    json_decref(call("PATCH", path, body, 200));
}

/* The deliveries of a webhook, newest first, as the API lists them. */
static json_t *
deliveries_of(const struct subscription *s)
{
    char path[128];
    json_t *page, *data;

    snprintf(path, sizeof path, "/webhooks/%s/deliveries", s->id);
    page = call("GET", path, NULL, 200);
    data = json_incref(json_object_get(page, "data"));
    json_decref(page);
    return data;
}

/* The i-th request that came for the subscription. */
static void
got(const struct subscription *s, size_t i, struct received *out)
{
    if (!receiver_wait(&receiver, s->path, i + 1, process_slow(WAIT_MS)))
        fail_msg("%s: only %zu requests came", s->path, receiver_count(&receiver, s->path));
    assert_true(receiver_get(&receiver, s->path, i, out));
}

static void
expect_header(const struct received *r, const char *name, const char *wanted)
{
    char value[256];

    assert_string_equal(received_header(r, name, value, sizeof value), wanted);
}

/* What the webhook's deliveries have become, oldest first. */
static void
expect_deliveries(const struct subscription *s, const char *wanted)
{
    expect_sql_becomes(&world, wanted,
                       "select coalesce(string_agg(concat_ws(' ', d.event, d.status, d.attempts, "
                       "d.response_status, d.error_message), '; ' order by d.id), '') from "
                       "macp.webhook_deliveries d join macp.webhooks w using (webhook_key) where "
                       "w.id = '%s'",
                       s->id);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void
every_transition_is_told_once_in_order_by_the_documented_request(void **state)
{
    static const char *const told[][2] = {{"run.started", "running"},
                                          {"run.suspended", "suspended"},
                                          {"run.resumed", "running"},
                                          {"run.completed", "completed"}};
    json_t *deliveries, *row;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        AUTO_RECEIVED r = {0};
        AUTO_BUF begin = {0};
        char value[256];
        int64_t at_ms;

        got(&everything, i, &r);
        buf_printf(&begin, "{\"event\":\"%s\",\"runId\":\"%s\",\"status\":\"%s\",\"timestamp\":\"",
                   told[i][0], run.run, told[i][1]);
        assert_memory_equal(buf_cstr(&r.body), buf_cstr(&begin), begin.len);
        assert_int_equal(r.body.len, begin.len + CLOCK_TEXT_LEN - 1 + 2);
        assert_string_equal(buf_cstr(&r.body) + r.body.len - 3, "Z\"}");
        expect_header(&r, "Content-Type", "application/json");
        expect_header(&r, "X-MACP-Event", told[i][0]);
        assert_true(uuid_is_valid(received_header(&r, "X-MACP-Delivery", value, sizeof value)));
        received_header(&r, "X-MACP-Timestamp", value, sizeof value);
        assert_true(clock_parse(value, &at_ms));
        assert_in_range(at_ms, clock_wall_ms() - 600000, clock_wall_ms());
    }
    expect_deliveries(&everything, "run.started delivered 1 200; run.suspended delivered 1 200; "
                                   "run.resumed delivered 1 200; run.completed delivered 1 200");
    assert_int_equal(receiver_count(&receiver, everything.path), ARRAY_LEN(told));

    deliveries = deliveries_of(&everything);
    row = expect_run(&world, run.run);
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        const json_t *d = json_array_get(deliveries, ARRAY_LEN(told) - 1 - i);
        AUTO_RECEIVED r = {0};

        got(&everything, i, &r);
        expect_header(&r, "X-MACP-Delivery", text_of(d, "id"));
        assert_string_equal(text_of(d, "runId"), run.run);
        if (i == ARRAY_LEN(told) - 1)
            assert_non_null(strstr(buf_cstr(&r.body), text_of(row, "endedAt")));
    }
    json_decref(row);
    json_decref(deliveries);
}

/* The block marked as python in the documentation, as a program that checks its standard input. */
static void
write_documented_check(const char *path)
{
    static const char begin[] = "```python\n", end[] = "```\n";
    static const char use[] = "\nimport sys\n"
                              "sys.exit(0 if is_genuine(sys.argv[1], sys.stdin.buffer.read(), "
                              "sys.argv[2]) else 1)\n";
    char *text = process_log_tail("fcgi/README.md", 1 << 20), *from, *to;
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    from = strstr(text, begin);
    assert_non_null(from);
    from += sizeof begin - 1;
    to = strstr(from, end);
    assert_non_null(to);
    assert_true(fwrite(from, 1, (size_t)(to - from), f) == (size_t)(to - from));
    assert_true(fputs(use, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(text);
}

static int
run_documented_check(const char *program, const struct received *r, const char *secret)
{
    char signature[128];
    AUTO_BUF command = {0};
    FILE *f;

    received_header(r, "X-MACP-Signature", signature, sizeof signature);
    buf_printf(&command, "python3 '%s' '%s' '%s'", program, secret, signature);
    f = popen(buf_cstr(&command), "w");
    assert_non_null(f);
    assert_true(fwrite(r->body.p, 1, r->body.len, f) == r->body.len);
    return pclose(f);
}

static void
documented_check_accepts_the_signature_and_nothing_else(void **state)
{
    char program[160];
    AUTO_RECEIVED r = {0};

    (void)state;
    snprintf(program, sizeof program, "%s/check.py", world.dir);
    write_documented_check(program);
    got(&everything, 3, &r);
    assert_int_equal(run_documented_check(program, &r, SECRET), 0);
    assert_int_not_equal(run_documented_check(program, &r, "another secret"), 0);
    r.body.p[r.body.len - 2] = ' ';
    assert_int_not_equal(run_documented_check(program, &r, SECRET), 0);
}

static void
a_failed_attempt_is_repeated_and_later_events_wait_for_it(void **state)
{
    static const char *const events[] = {"run.started", "run.started", "run.completed"};
    char first[64], second[64];
    struct received r[ARRAY_LEN(events)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        got(&shaky, i, &r[i]);
        expect_header(&r[i], "X-MACP-Event", events[i]);
    }
    assert_int_equal(r[0].status, 500);
    assert_int_equal(r[1].status, 200);
    assert_true(r[1].at_ms - r[0].at_ms >= 990); /* by another clock than the schedule's */
    assert_string_equal(buf_cstr(&r[0].body), buf_cstr(&r[1].body));
    assert_string_equal(received_header(&r[0], "X-MACP-Delivery", first, sizeof first),
                        received_header(&r[1], "X-MACP-Delivery", second, sizeof second));
    expect_deliveries(&shaky, "run.started delivered 2 200; run.completed delivered 1 200");
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        received_fini(&r[i]);
}

static void
a_delivery_is_given_up_at_the_end_of_the_schedule(void **state)
{
    json_t *deliveries, *list, *w;
    size_t i;

    (void)state;
    expect_deliveries(&broken, "run.completed failed 3 400 webhook returned 400");
    assert_int_equal(receiver_count(&receiver, broken.path), 3);
    expect_sql(
        &world, "noted\n",
        "select response_head from macp.webhook_deliveries where error_message like '%%400'");
    deliveries = deliveries_of(&broken);
    assert_string_equal(text_of(json_array_get(deliveries, 0), "status"), "failed");
    assert_string_equal(text_of(json_array_get(deliveries, 0), "errorMessage"),
                        "webhook returned 400");
    json_decref(deliveries);
    list = call("GET", "/webhooks", NULL, 200);
    json_array_foreach (list, i, w) {
        const json_t *stats = json_object_get(w, "deliveryStats");

        if (strcmp(text_of(w, "id"), broken.id) == 0)
            assert_int_equal(json_integer_value(json_object_get(stats, "failed")), 1);
    }
    json_decref(list);
}

static void
an_endpoint_that_is_gone_is_switched_off(void **state)
{
    (void)state;
    expect_deliveries(&gone, "run.completed failed 1 410 webhook returned 410");
    expect_sql(&world, "f", "select active from macp.webhooks where id = '%s'", gone.id);
    expect_sql(&world, "macp-observerd system",
               "select actor || ' ' || actor_type from macp.audit_log where action = "
               "'webhook.updated' and resource_id = '%s'",
               gone.id);
}

static void
who_is_not_subscribed_gets_nothing(void **state)
{
    (void)state;
    expect_deliveries(&silent, "");
    expect_deliveries(&failures, "");
    expect_sql(&world, "0", "select count(*) from macp.webhooks where id = '%s'", deleted.id);
    assert_int_equal(receiver_count(&receiver, silent.path), 0);
    assert_int_equal(receiver_count(&receiver, failures.path), 0);
    assert_int_equal(receiver_count(&receiver, deleted.path), 0);
}

static void
an_address_that_is_not_allowed_is_not_tried_twice(void **state)
{
    (void)state;
    expect_deliveries(&forbidden, "run.completed failed 1 its host is private and not listed in "
                                  "OUTBOUND_ALLOW");
}

static void
a_failed_run_says_why_without_what_is_redacted(void **state)
{
    struct posted refused;
    AUTO_RECEIVED r = {0};
    json_t *row;

    (void)state;
    expect_posted(&world, "macp.mode.unheard_of.v1", NULL, &refused);
    got(&failures, 0, &r);
    assert_non_null(strstr(buf_cstr(&r.body), refused.run));
    assert_non_null(strstr(buf_cstr(&r.body),
                           "\",\"data\":{\"error\":\"Runtime does not support mode "
                           "'macp.mode.[REDACTED].v1'. Supported: "));
    row = expect_run(&world, refused.run);
    assert_string_equal(text_of(row, "status"), "failed");
    json_decref(row);
}

static void
put_deliveries(const struct subscription *s, int n)
{
    char count[16];

    snprintf(count, sizeof count, "%d", n);
    expect_sql(
        &world, count,
        "with made as (insert into macp.webhook_deliveries (public_id, webhook_key, "
        "run_key, run_version, event, body) select gen_random_uuid(), webhook_key, 0 - n, 1, "
        "'run.completed', '{}' from macp.webhooks, generate_series(1, %d) n where id = '%s' "
        "returning 1) select count(*) from made",
        n, s->id);
}

/* Ten times as much waits for the one that hangs; all of the other's comes before a second round.
 */
static void
an_endpoint_that_hangs_delays_no_other(void **state)
{
    enum { MANY = 100, FEW = 20 };
    long most = 0;

    (void)state;
    put_deliveries(&hanging, MANY);
    assert_true(receiver_wait(&receiver, hanging.path, PER_WEBHOOK, process_slow(WAIT_MS)));
    put_deliveries(&healthy, FEW);
    for (size_t n = 0; n < FEW; n = receiver_count(&receiver, healthy.path)) {
        long now = expect_sql_int(&world,
                                  "select count(*) from macp.webhook_deliveries d join "
                                  "macp.webhooks w using (webhook_key) where w.id = '%s' and "
                                  "d.lease_until > now()",
                                  hanging.id);

        most = now > most ? now : most;
        assert_true(receiver_wait(&receiver, healthy.path, n + 1, process_slow(WAIT_MS)));
    }
    assert_int_equal(most, PER_WEBHOOK);
    assert_true(receiver_count(&receiver, hanging.path) < MANY);
    /* Switched off, what waits for it waits on. */
    change(&hanging, "{\"active\":false}");
    expect_sql_becomes(&world, "100 0",
                       "select count(*) filter (where d.status = 'pending') || ' ' || count(*) "
                       "filter (where d.lease_until > now()) from macp.webhook_deliveries d join "
                       "macp.webhooks w using (webhook_key) where w.id = '%s'",
                       hanging.id);
    expect_sql(
        &world, "no answer in time",
        "select distinct d.error_message from macp.webhook_deliveries d join macp.webhooks w "
        "using (webhook_key) where w.id = '%s' and d.error_message is not null",
        hanging.id);
}

static void
a_delivery_is_made_again_on_demand(void **state)
{
    json_t *deliveries = deliveries_of(&everything), *again;
    char id[UUID_LEN], path[256];
    AUTO_RECEIVED before = {0};
    AUTO_RECEIVED after = {0};

    (void)state;
    got(&everything, 3, &before);
    snprintf(id, sizeof id, "%s", text_of(json_array_get(deliveries, 0), "id"));
    snprintf(path, sizeof path, "/webhooks/%s/deliveries/%s/redeliver", everything.id, id);
    again = call("POST", path, NULL, 202);
    assert_string_equal(text_of(again, "id"), id);
    assert_string_equal(text_of(again, "status"), "pending");
    assert_string_equal(text_of(again, "runId"), run.run);
    assert_true(json_is_null(json_object_get(again, "deliveredAt")));
    got(&everything, 4, &after);
    expect_header(&after, "X-MACP-Delivery", id);
    assert_string_equal(buf_cstr(&after.body), buf_cstr(&before.body));
    expect_sql_becomes(&world, "delivered 1",
                       "select status || ' ' || attempts from macp.webhook_deliveries where "
                       "public_id = '%s'",
                       id);
    expect_sql(&world, id,
               "select details ->> 'deliveryId' from macp.audit_log where action = "
               "'webhook.redelivered' and resource_id = '%s'",
               everything.id);
    json_decref(again);
    json_decref(deliveries);
}

static void
what_cannot_be_delivered_again_is_said(void **state)
{
    json_t *deliveries = deliveries_of(&gone);
    char path[256];

    (void)state;
    snprintf(path, sizeof path, "/webhooks/%s/deliveries/%s/redeliver", gone.id,
             text_of(json_array_get(deliveries, 0), "id"));
    json_decref(call("POST", path, NULL, 409));
    snprintf(path, sizeof path, "/webhooks/" NOTHING "/deliveries/%s/redeliver", NOTHING);
    json_decref(call("POST", path, NULL, 404));
    snprintf(path, sizeof path, "/webhooks/%s/deliveries/%s/redeliver", everything.id, NOTHING);
    json_decref(call("POST", path, NULL, 404));
    snprintf(path, sizeof path, "/webhooks/%s/deliveries/first/redeliver", everything.id);
    json_decref(call("POST", path, NULL, 400));
    json_decref(deliveries);
}

/* One that is deleted while deliveries wait takes them along. */
static void
a_deleted_webhook_takes_its_deliveries_along(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "/webhooks/%s", hanging.id);
    json_decref(call("DELETE", path, NULL, 204));
    expect_sql(&world, "0",
               "select count(*) from macp.webhook_deliveries where body = '{}' and "
               "status = 'pending'");
}

/* What reached its end, either way, as operators see it. */
static void
ends_are_counted(void **state)
{
    char line[128], delivered[32];
    AUTO_HTTP_REPLY page = {0};
    struct err err = {0};
    struct http observer;

    (void)state;
    http_init(&observer, world.metrics_port, "", process_slow(WAIT_MS));
    expect_ok(http_get(&observer, &page, &err, "/metrics"), &err, "the observer's metrics");
    assert_non_null(
        strstr(buf_cstr(&page.body), "\nmacp_webhook_deliveries_total{status=\"failed\"} 3\n"));
    expect_ok(world_sql(&world, delivered, sizeof delivered, &err,
                        "select count(*) + 1 from macp.webhook_deliveries where status = "
                        "'delivered'"), /* one of them twice */
              &err, "count");
    snprintf(line, sizeof line, "\nmacp_webhook_deliveries_total{status=\"delivered\"} %s\n",
             delivered);
    assert_non_null(strstr(buf_cstr(&page.body), line));
}

static void
no_log_knows_a_secret(void **state)
{
    static const char *const what[] = {"the-secret", "?everything"};
    char *log = process_log_tail(world.observerd.log, 1 << 24);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(what); i++)
        if (strstr(log, what[i]))
            fail_msg("the log says %s", what[i]);
    free(log);
}

static int
set_up(void **state)
{
    static const char *const daemon[] = {"OUTBOUND_ALLOW=127.0.0.0/8",
                                         "WEBHOOK_RETRY_SCHEDULE=1,1",
                                         "WEBHOOK_TIMEOUT_MS=1500",
                                         "WEBHOOK_MAX_IN_FLIGHT=6",
                                         "MACP_REDACT_PATTERNS=unheard_of",
                                         "LOG_LEVEL=debug",
                                         NULL};
    static const char *const api[] = {"OUTBOUND_ALLOW=127.0.0.0/8", NULL};
    struct subscription *const all[] = {&everything, &shaky,   &broken,    &gone,    &failures,
                                        &silent,     &deleted, &forbidden, &hanging, &healthy};
    struct err err = {0};
    char path[128];

    (void)state;
    if (!receiver_start(&receiver, 0, &err) ||
        !world_start(&world, &(struct world_options){.observerd_env = daemon, .fcgi_env = api},
                     &err)) {
        print_error("%s\n", err.msg);
        world_stop(&world);
        return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        subscribe(all[i]);
    change(&silent, "{\"active\":false}");
    snprintf(path, sizeof path, "/webhooks/%s", deleted.id);
    json_decref(call("DELETE", path, NULL, 204));
    /* The API takes no such address; one that was allowed may not be any more. */
    expect_sql(&world, "1",
               "with changed as (update macp.webhooks set url = 'http://10.9.8.7:9/' where id = "
               "'%s' returning 1) select count(*) from changed",
               forbidden.id);
    play_run();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    world_stop(&world);
    receiver_stop(&receiver);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transition_is_told_once_in_order_by_the_documented_request),
        cmocka_unit_test(documented_check_accepts_the_signature_and_nothing_else),
        cmocka_unit_test(a_failed_attempt_is_repeated_and_later_events_wait_for_it),
        cmocka_unit_test(a_delivery_is_given_up_at_the_end_of_the_schedule),
        cmocka_unit_test(an_endpoint_that_is_gone_is_switched_off),
        cmocka_unit_test(who_is_not_subscribed_gets_nothing),
        cmocka_unit_test(an_address_that_is_not_allowed_is_not_tried_twice),
        cmocka_unit_test(a_delivery_is_made_again_on_demand),
        cmocka_unit_test(a_failed_run_says_why_without_what_is_redacted),
        cmocka_unit_test(an_endpoint_that_hangs_delays_no_other),
        cmocka_unit_test(what_cannot_be_delivered_again_is_said),
        cmocka_unit_test(a_deleted_webhook_takes_its_deliveries_along),
        cmocka_unit_test(ends_are_counted),
        cmocka_unit_test(no_log_knows_a_secret),
    };

    return cmocka_run_group_tests_name("webhooks", tests, set_up, tear_down);
}
