/* What the runtime offers: served as it says, and as soon as it changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define DECISION "macp.mode.decision.v1"
#define MAJORITY "{\"voting\":{\"algorithm\":\"majority\",\"threshold\":0.6}}"

/* Far below the time after which the lists are read without a reason. */
enum { SEEN_MS = 15000 };

static struct world world;

static void
register_policy(const char *id, const char *mode, const char *rules)
{
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s, s:s, s:s, s:s}", "cmd", "policy", "id", id,
                                         "mode", mode, "description", "as asked", "rules", rules)));
}

static void
remove_policy(const char *id)
{
    json_decref(expect_control(
        &world, json_pack("{s:s, s:s, s:b}", "cmd", "policy", "id", id, "remove", 1)));
}

/* Until the path answers with the status; its body. */
static json_t *
answer_becomes(int status, const char *path)
{
    int64_t deadline = clock_mono_ms() + process_slow(SEEN_MS);

    for (;;) {
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};

        expect_ok(http_get(&world.http, &r, &err, "%s", path), &err, path);
        if (r.status == status)
            return json_incref(r.json);
        if (clock_mono_ms() >= deadline)
            fail_msg("%s stays %d: %.300s", path, r.status, buf_cstr(&r.body));
        process_pause(10);
    }
}

static void
length_becomes(size_t n, const char *path)
{
    int64_t deadline = clock_mono_ms() + process_slow(SEEN_MS);

    for (;;) {
        json_t *list = expect_get(&world, 200, "%s", path);
        size_t length = json_array_size(list);

        json_decref(list);
        if (length == n)
            return;
        if (clock_mono_ms() >= deadline)
            fail_msg("%s keeps %zu elements, wanted %zu", path, length, n);
        process_pause(10);
    }
}

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text)
        fail_msg("no text member %s", key);
    return text;
}

static void
modes_have_every_member_in_the_runtimes_order(void **state)
{
    static const char *const texts[] = {"modeVersion", "title", "description", "determinismClass",
                                        "participantModel"};
    json_t *list = answer_becomes(200, "/runtime/modes");
    const json_t *first = json_array_get(list, 0);

    (void)state;
    assert_int_equal(json_array_size(list), 5);
    assert_string_equal(text_of(first, "mode"), DECISION);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        text_of(first, texts[i]);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(first, "messageTypes"), 0)),
        "SessionStart");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(first, "terminalMessageTypes"), 0)),
        "Commitment");
    text_of(json_object_get(first, "schemaUris"), "protobuf");
    json_decref(list);
}

static void
modes_are_read_again_when_the_registry_changes(void **state)
{
    (void)state;
    json_decref(expect_control(&world, json_pack("{s:s, s:s}", "cmd", "set", "modes", DECISION)));
    length_becomes(1, "/runtime/modes");
    json_decref(expect_control(&world, json_pack("{s:s, s:s}", "cmd", "set", "modes", "")));
    length_becomes(5, "/runtime/modes");
}

static void
roots_are_the_runtimes_empty_list(void **state)
{
    json_t *list = answer_becomes(200, "/runtime/roots");

    (void)state;
    assert_true(json_is_array(list));
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
}

static void
default_policy_has_rules_as_an_object_and_numbers_as_numbers(void **state)
{
    json_t *policy = answer_becomes(200, "/runtime/policies/policy.default");

    (void)state;
    assert_string_equal(text_of(policy, "policyId"), "policy.default");
    assert_string_equal(text_of(policy, "mode"), "*");
    text_of(policy, "description");
    assert_true(json_is_object(json_object_get(policy, "rules")));
    assert_int_equal(json_integer_value(json_object_get(policy, "schemaVersion")), 1);
    assert_true(json_is_integer(json_object_get(policy, "registeredAtUnixMs")));
    json_decref(policy);
}

static void
policy_of_somebody_else_is_seen_and_forgotten_at_once(void **state)
{
    json_t *policy, *refused;

    (void)state;
    register_policy("policy.seen", DECISION, MAJORITY);
    policy = answer_becomes(200, "/runtime/policies/policy.seen");
    assert_string_equal(
        text_of(json_object_get(json_object_get(policy, "rules"), "voting"), "algorithm"),
        "majority");
    remove_policy("policy.seen");
    refused = answer_becomes(404, "/runtime/policies/policy.seen");
    assert_string_equal(text_of(refused, "errorCode"), "NOT_FOUND");
    assert_string_equal(text_of(refused, "message"), "Policy 'policy.seen' not found");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(refused, "metadata"), "grpcCode")), 5);
    json_decref(refused);
    json_decref(policy);
}

static void
policies_of_a_mode_include_those_of_every_mode(void **state)
{
    json_t *list;

    (void)state;
    register_policy("policy.of.task", "macp.mode.task.v1", "{}");
    json_decref(answer_becomes(200, "/runtime/policies/policy.of.task"));
    list = expect_get(&world, 200, "/runtime/policies?mode=macp.mode.task.v1");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text_of(json_array_get(list, 0), "policyId"), "policy.default");
    assert_string_equal(text_of(json_array_get(list, 1), "policyId"), "policy.of.task");
    json_decref(list);
    list = expect_get(&world, 200, "/runtime/policies?mode=" DECISION);
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
    list = expect_get(&world, 200, "/runtime/policies?mode=");
    assert_int_equal(json_array_size(list), 2);
    json_decref(list);
    remove_policy("policy.of.task");
    length_becomes(1, "/runtime/policies");
}

/* The runtime takes an empty text for no rules. */
static void
policy_without_readable_rules_has_none(void **state)
{
    json_t *policy;

    (void)state;
    register_policy("policy.bare", "*", "");
    policy = answer_becomes(200, "/runtime/policies/policy.bare");
    assert_true(json_is_object(json_object_get(policy, "rules")));
    assert_int_equal(json_object_size(json_object_get(policy, "rules")), 0);
    json_decref(policy);
    remove_policy("policy.bare");
}

static void
odd_policy_ids_name_no_policy(void **state)
{
    static const char *const ids[] = {
        "policy%2Fdefault", "POLICY.DEFAULT", "%27%20or%201%3D1%20--", "%22%5C", "%E2%80%94", "%20",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        json_decref(expect_get(&world, 404, "/runtime/policies/%s", ids[i]));
    json_decref(expect_get(&world, 400, "/runtime/policies/%%00"));
    json_decref(expect_get(&world, 400, "/runtime/policies/%%ff"));
    json_decref(expect_get(&world, 400, "/runtime/policies/%%zz"));
}

static void
what_the_runtime_offers_needs_a_key(void **state)
{
    static const char *const paths[] = {"/runtime/modes", "/runtime/roots", "/runtime/policies",
                                        "/runtime/policies/policy.default"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};

        expect_ok(http_send(&world.http,
                            &(struct http_request){.path = paths[i], .without_key = true}, &r,
                            &err),
                  &err, paths[i]);
        assert_int_equal(r.status, 401);
    }
}

/* Served as it was known; the watch that ended is opened again and brings what changed. */
static void
lists_outlive_the_runtime_and_follow_its_successor(void **state)
{
    struct err err = {0};

    (void)state;
    world_kill_runtime(&world);
    json_decref(expect_get(&world, 200, "/runtime/policies/policy.default"));
    expect_ok(world_start_runtime(&world, &err), &err, "runtime");
    register_policy("policy.later", "*", MAJORITY);
    json_decref(answer_becomes(200, "/runtime/policies/policy.later"));
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){0}, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_have_every_member_in_the_runtimes_order),
        cmocka_unit_test(modes_are_read_again_when_the_registry_changes),
        cmocka_unit_test(roots_are_the_runtimes_empty_list),
        cmocka_unit_test(default_policy_has_rules_as_an_object_and_numbers_as_numbers),
        cmocka_unit_test(policy_of_somebody_else_is_seen_and_forgotten_at_once),
        cmocka_unit_test(policies_of_a_mode_include_those_of_every_mode),
        cmocka_unit_test(policy_without_readable_rules_has_none),
        cmocka_unit_test(odd_policy_ids_name_no_policy),
        cmocka_unit_test(what_the_runtime_offers_needs_a_key),
        cmocka_unit_test(lists_outlive_the_runtime_and_follow_its_successor),
    };

    return cmocka_run_group_tests_name("catalog", tests, set_up, scene_close);
}
