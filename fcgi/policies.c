/*
 * policies.c - GET /runtime/policies and /runtime/policies/:policyId.
 *
 * The list is what observers last heard, all policies of all modes; here it is only looked through.
 */
#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/runtime.h"
#include "shared/json.h"

enum { GRPC_NOT_FOUND = 5 };

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
