#include "tests/runtime/policy.h"

#include <stdlib.h>
#include <string.h>

#include "shared/macros.h"

static void
policy_free(struct policy *p)
{
    free(p->id);
    free(p->mode);
    free(p->description);
    free(p->rules);
    json_decref(p->parsed);
    free(p);
}

static int
policy_compare(const void *a, const void *b)
{
    return strcmp((*(struct policy *const *)a)->id, (*(struct policy *const *)b)->id);
}

static void
policy_add(struct policy_registry *r, const Macp__V1__PolicyDescriptor *d, json_t *parsed)
{
    struct policy *p = xcalloc(1, sizeof(*p));

    p->id = xstrdup(d->policy_id);
    p->mode = xstrdup(d->mode);
    p->description = xstrdup(d->description);
    p->rules = xstrdup(d->rules);
    p->schema_version = d->schema_version;
    p->parsed = parsed;
    r->list = xrealloc(r->list, (r->count + 1) * sizeof(*r->list));
    r->list[r->count++] = p;
    qsort(r->list, r->count, sizeof(*r->list), policy_compare);
    r->version++;
}

void
policy_registry_init(struct policy_registry *r)
{
    Macp__V1__PolicyDescriptor d = MACP__V1__POLICY_DESCRIPTOR__INIT;
    char id[] = POLICY_DEFAULT;
    char mode[] = "*";
    char description[] = "Initiator commits";
    char rules[] = "{}";

    d.policy_id = id;
    d.mode = mode;
    d.description = description;
    d.rules = rules;
    d.schema_version = 1;
    *r = (struct policy_registry){0};
    policy_add(r, &d, json_object());
}

void
policy_registry_fini(struct policy_registry *r)
{
    for (size_t i = 0; i < r->count; i++)
        policy_free(r->list[i]);
    free(r->list);
    *r = (struct policy_registry){0};
}

const struct policy *
policy_find(const struct policy_registry *r, const char *id)
{
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->list[i]->id, id) == 0)
            return r->list[i];
    }
    return NULL;
}

static const char *
rule_text(const json_t *rules, const char *group, const char *member)
{
    const char *s = json_string_value(json_object_get(json_object_get(rules, group), member));

    return s ? s : "";
}

/* The checks a client can run into; everything else in the rules is accepted. */
static const char *
rules_refused(const json_t *rules)
{
    const json_t *voting = json_object_get(rules, "voting");
    const json_t *threshold = json_object_get(voting, "threshold");
    const char *algorithm = rule_text(rules, "voting", "algorithm");

    if (!json_is_object(rules))
        return "INVALID_POLICY_DEFINITION: rules must be a JSON object";
    if (voting && !json_is_object(voting))
        return "INVALID_POLICY_DEFINITION: voting must be an object";
    if (threshold && !json_is_number(threshold))
        return "INVALID_POLICY_DEFINITION: voting.threshold must be a number";
    if (strcmp(algorithm, "weighted") == 0 &&
        json_object_size(json_object_get(voting, "weights")) == 0)
        return "INVALID_POLICY_DEFINITION: weighted voting needs weights";
    if (strcmp(algorithm, "supermajority") == 0 && json_number_value(threshold) <= 0.5)
        return "INVALID_POLICY_DEFINITION: supermajority needs a threshold above 0.5";
    if (strcmp(rule_text(rules, "commitment", "authority"), "designated_role") == 0 &&
        json_array_size(
            json_object_get(json_object_get(rules, "commitment"), "designated_roles")) == 0)
        return "INVALID_POLICY_DEFINITION: designated_role needs designated_roles";
    return NULL;
}

const char *
policy_register(struct policy_registry *r, const Macp__V1__PolicyDescriptor *d)
{
    json_t *rules;
    const char *refused;

    if (!*d->policy_id)
        return "INVALID_POLICY_DEFINITION: policy_id must not be empty";
    if (strcmp(d->policy_id, POLICY_DEFAULT) == 0)
        return "policy_id 'policy.default' is reserved";
    if (policy_find(r, d->policy_id))
        return "policy already registered";
    if (d->schema_version < 1 || d->schema_version > 3)
        return "INVALID_POLICY_DEFINITION: unsupported schema_version";
    rules = json_loads(*d->rules ? d->rules : "{}", JSON_DECODE_ANY, NULL);
    refused = rules_refused(rules);
    if (refused) {
        json_decref(rules);
        return refused;
    }
    policy_add(r, d, rules);
    return NULL;
}

const char *
policy_remove(struct policy_registry *r, const char *id)
{
    if (strcmp(id, POLICY_DEFAULT) == 0)
        return "policy 'policy.default' cannot be removed";
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->list[i]->id, id) == 0) {
            policy_free(r->list[i]);
            memmove(&r->list[i], &r->list[i + 1], (r->count - i - 1) * sizeof(*r->list));
            r->count--;
            r->version++;
            return NULL;
        }
    }
    return "policy not found";
}

bool
policy_names(const struct policy *p, const char *sender, bool is_participant)
{
    const char *authority = rule_text(p->parsed, "commitment", "authority");
    const json_t *roles =
        json_object_get(json_object_get(p->parsed, "commitment"), "designated_roles");

    if (strcmp(authority, "any_participant") == 0)
        return is_participant;
    if (strcmp(authority, "designated_role") != 0)
        return false;
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const char *name = json_string_value(json_array_get(roles, i));

        if (name && strcmp(name, sender) == 0)
            return true;
    }
    return false;
}
