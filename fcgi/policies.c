/*
 * policies.c - GET and POST /runtime/policies, GET and DELETE /runtime/policies/:policyId.
 *
 * The list is what observers last heard, all policies of all modes; here it is only looked through.
 * Changing one is the runtime's business: what can be seen to be wrong is refused here, the rest
 * there, and the list is read again before the answer.
 */
#include <math.h>
#include <string.h>

#include "fcgi/command.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/runtime.h"
#include "shared/json.h"
#include "shared/run.h"

enum { GRPC_NOT_FOUND = 5, POLICY_ID_MAX = 255 };

enum { Q_MODE };

const struct query_field policies_query[] = {
    [Q_MODE] = {.name = "mode", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    {0},
};

/* An array of descriptors as the runtime sent them (new reference). */
static bool
read_policies(struct request *rq, json_t **out, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    AUTO_JSON *body = NULL;
    json_t *list;

    if (!runtime_known(rq, "policies", &r, err))
        return false;
    body = jv_parse(db_text(r, 0, 0), db_len(r, 0, 0));
    list = jv_get(body, "descriptors");
    *out = json_is_array(list) ? json_incref(list) : json_array();
    return true;
}

/* The rules travel as a text; one that is no object means no rules, as it does to the runtime. */
static void
write_policy(struct buf *out, json_t *policy)
{
    const char *text = jv_cstr(jv_get(policy, "rules"));
    json_t *rules = text ? jv_parse(text, strlen(text)) : NULL;

    if (!json_is_object(rules)) {
        json_decref(rules);
        rules = json_object();
    }
    jv_put(policy, "rules", rules);
    jv_write(out, policy);
}

/* As the runtime itself would: policies of the mode and those of every mode. */
static bool
is_for_mode(const json_t *policy, const char *mode)
{
    const char *own = jv_cstr(jv_get(policy, "mode"));

    return !mode || (own && (strcmp(own, mode) == 0 || strcmp(own, "*") == 0));
}

bool
policies_list(struct request *rq, struct err *err)
{
    AUTO_JSON *list = NULL;
    bool first = true;
    json_t *policy;
    struct buf *b;
    size_t i;

    if (!read_policies(rq, &list, err))
        return false;
    b = reply_json(rq, 200);
    buf_char(b, '[');
    json_array_foreach (list, i, policy) {
        if (!is_for_mode(policy, rq->values[Q_MODE].text))
            continue;
        if (!first)
            buf_char(b, ',');
        first = false;
        write_policy(b, policy);
    }
    buf_char(b, ']');
    return true;
}

bool
policy_get(struct request *rq, struct err *err)
{
    AUTO_JSON *list = NULL;
    json_t *policy;
    size_t i;

    if (!read_policies(rq, &list, err))
        return false;
    json_array_foreach (list, i, policy) {
        const char *id = jv_cstr(jv_get(policy, "policyId"));

        if (id && strcmp(id, rq->params[0]) == 0) {
            write_policy(reply_json(rq, 200), policy);
            return true;
        }
    }
    runtime_refused(rq, GRPC_NOT_FOUND,
                    arena_printf(rq->arena, "Policy '%s' not found", rq->params[0]));
    return true;
}

/* --- changing ------------------------------------------------------------------------------ */

// clang-format off
static const struct field policy_fields[] = {
    {"policyId",      FIELD_STRING, 0, POLICY_ID_MAX, NULL, NULL, NULL, 0},
    {"mode",          FIELD_STRING, 0, 0,             NULL, NULL, NULL, 0},
    {"description",   FIELD_STRING, 0, 0,             NULL, NULL, NULL, 0},
    {"rules",         FIELD_ANY,    0, 0,             NULL, NULL, NULL, 0},
    {"schemaVersion", FIELD_ANY,    0, 0,             NULL, NULL, NULL, 0},
    {NULL,            FIELD_STRING, 0, 0,             NULL, NULL, NULL, 0},
};
// clang-format on

const struct body_schema policy_schema = {policy_fields, false, NULL};

static bool
is_blank(const char *text)
{
    return !text || text[strspn(text, " \t\r\n\f\v")] == '\0';
}

static bool
is_text(const json_t *object, const char *member, const char *wanted)
{
    const char *text = jv_cstr(jv_get(object, member));

    return text && strcmp(text, wanted) == 0;
}

static bool
is_filled_list(const json_t *v)
{
    return json_is_array(v) && json_array_size(v) > 0;
}

static bool
check_version(const json_t *version, struct err *err)
{
    double n = json_number_value(version);

    if (jv_nullish(version))
        return true;
    if (!json_is_number(version) || n != floor(n) || n > UINT32_MAX)
        return err_set(err, ERR_VALIDATION, "schemaVersion must be an integer number");
    return n >= 1 || err_set(err, ERR_VALIDATION, "schemaVersion must be > 0");
}

/* What every runtime would refuse; what rules mean beyond that is its own business. */
static bool
check_rules(const json_t *rules, struct err *err)
{
    const json_t *voting = jv_get(rules, "voting"), *commitment = jv_get(rules, "commitment");
    const json_t *threshold = jv_get(voting, "threshold");

    if (!json_is_object(rules))
        return err_set(err, ERR_VALIDATION, "rules must be a JSON object");
    if (is_text(voting, "algorithm", "weighted") && !json_is_object(jv_get(voting, "weights")))
        return err_set(err, ERR_VALIDATION, "weighted voting algorithm requires a weights map");
    if (is_text(voting, "algorithm", "supermajority") &&
        !(json_is_number(threshold) && json_number_value(threshold) > 0.5))
        return err_set(err, ERR_VALIDATION, "supermajority voting requires threshold > 0.5");
    if (is_text(commitment, "authority", "designated_role") &&
        !is_filled_list(jv_get(commitment, "designated_roles")) &&
        !is_filled_list(jv_get(commitment, "designatedRoles")))
        return err_set(err, ERR_VALIDATION,
                       "designated_role authority requires non-empty designated_roles list");
    return true;
}

static bool
check_policy(const json_t *policy, struct err *err)
{
    const char *id = jv_cstr(jv_get(policy, "policyId"));

    if (is_blank(id))
        return err_set(err, ERR_VALIDATION, "policyId is required");
    if (strcmp(id, RUN_DEFAULT_POLICY) == 0)
        return err_set(err, ERR_VALIDATION,
                       RUN_DEFAULT_POLICY " is reserved and cannot be registered");
    return check_version(jv_get(policy, "schemaVersion"), err) &&
           check_rules(jv_get(policy, "rules"), err);
}

static void
copy_text(json_t *args, const json_t *policy, const char *member)
{
    const json_t *text = jv_get(policy, member);

    jv_put(args, member,
           json_is_string(text) ? json_incref((json_t *)(uintptr_t)text) : json_string(""));
}

/* The descriptor as the runtime takes it: the rules are a text. */
static const char *
policy_args(struct request *rq)
{
    const json_t *policy = rq->document, *version = jv_get(policy, "schemaVersion");
    AUTO_JSON *args = json_object();
    AUTO_BUF rules = {0}, text = {0};

    jv_write(&rules, jv_get(policy, "rules"));
    copy_text(args, policy, "policyId");
    copy_text(args, policy, "mode");
    copy_text(args, policy, "description");
    jv_put(args, "rules", json_string(buf_cstr(&rules)));
    jv_put(args, "schemaVersion", jv_real(jv_nullish(version) ? 1 : json_number_value(version)));
    jv_write(&text, args);
    return arena_strndup(rq->arena, buf_cstr(&text), text.len);
}

static bool
change_policy(struct request *rq, enum command_kind kind, const char *args, int status,
              struct err *err)
{
    struct command_wish wish = {kind, 0, args};
    bool done;

    if (!command_do(rq, &wish, &done, err))
        return false;
    if (done)
        buf_lit(reply_json(rq, status), "{\"ok\":true}");
    return true;
}

bool
policy_register(struct request *rq, struct err *err)
{
    return check_policy(rq->document, err) &&
           change_policy(rq, COMMAND_POLICY_REGISTER, policy_args(rq), 201, err);
}

bool
policy_unregister(struct request *rq, struct err *err)
{
    AUTO_BUF args = {0};

    if (jv_text_chars(rq->params[0]) > POLICY_ID_MAX)
        return err_set(err, ERR_VALIDATION,
                       "policyId must be shorter than or equal to %d characters", POLICY_ID_MAX);
    buf_lit(&args, "{\"policyId\":");
    jv_write_text(&args, rq->params[0], strlen(rq->params[0]));
    buf_char(&args, '}');
    return change_policy(rq, COMMAND_POLICY_UNREGISTER, buf_cstr(&args), 200, err);
}
