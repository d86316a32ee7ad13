/*
 * policy.h - the policy registry, as far as observers can see it.
 *
 * Purpose    register, list, remove; who may cancel a session bound to a policy.
 * Ownership  policies belong to the registry and live until removed.
 * Errors     a refused definition is a text for the response, not an err.
 * Threads    under the world's lock.
 */
#ifndef MACP_RUNTIME_POLICY_H
#define MACP_RUNTIME_POLICY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macp/v1/policy.pb-c.h"

#define POLICY_DEFAULT "policy.default"

struct policy {
    char *id;
    char *mode;
    char *description;
    char *rules;
    uint32_t schema_version;
    json_t *parsed; /* the rules, an object */
};

struct policy_registry {
    struct policy **list; /* sorted by id */
    size_t count;
    uint64_t version; /* moves with every change */
};

void policy_registry_init(struct policy_registry *r);
void policy_registry_fini(struct policy_registry *r);
const struct policy *policy_find(const struct policy_registry *r, const char *id);
/* NULL when registered, else the reason. */
const char *policy_register(struct policy_registry *r, const Macp__V1__PolicyDescriptor *d);
const char *policy_remove(struct policy_registry *r, const char *id);
/* Does the commitment rule of the policy name this sender? The initiator is the caller's business.
 */
bool policy_names(const struct policy *p, const char *sender, bool is_participant);

#endif
