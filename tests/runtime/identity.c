#include "tests/runtime/identity.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const char *const identity_default_json =
    "[{\"token\":\"tok-planner\",\"sender\":\"agent://planner\"},"
    "{\"token\":\"tok-reviewer\",\"sender\":\"agent://reviewer\",\"can_start_sessions\":false},"
    "{\"token\":\"tok-critic\",\"sender\":\"agent://critic\",\"can_start_sessions\":false},"
    "{\"token\":\"tok-observer\",\"sender\":\"macp-control-plane\",\"can_start_sessions\":false,"
    "\"is_observer\":true},"
    "{\"token\":\"tok-operator\",\"sender\":\"macp-operator\",\"can_start_sessions\":false,"
    "\"is_observer\":true,\"can_manage_mode_registry\":true}]";

static struct identity *
identity_add(struct identity_set *set, const char *token, const char *sender)
{
    struct identity *id = xcalloc(1, sizeof(*id));

    id->token = token ? xstrdup(token) : NULL;
    id->sender = xstrdup(sender);
    id->can_start = true;
    set->list = xrealloc(set->list, (set->count + 1) * sizeof(*set->list));
    set->list[set->count++] = id;
    return id;
}

static void
read_bool(const json_t *entry, const char *name, bool *out)
{
    const json_t *v = json_object_get(entry, name);

    if (json_is_boolean(v))
        *out = json_is_true(v);
}

static bool
add_entry(struct identity_set *set, const json_t *entry, struct identity **out, struct err *err)
{
    const char *token = json_string_value(json_object_get(entry, "token"));
    const char *sender = json_string_value(json_object_get(entry, "sender"));
    const json_t *modes = json_object_get(entry, "allowed_modes");

    if (!token || !sender || !*token || !*sender)
        return err_set(err, ERR_CONFIG, "token and sender are required");

    struct identity *id = identity_add(set, token, sender);

    read_bool(entry, "can_start_sessions", &id->can_start);
    read_bool(entry, "is_observer", &id->is_observer);
    read_bool(entry, "can_manage_mode_registry", &id->can_manage);
    id->max_open = json_integer_value(json_object_get(entry, "max_open_sessions"));
    id->modes = xcalloc(json_array_size(modes) + 1, sizeof(*id->modes));
    for (size_t m = 0; m < json_array_size(modes); m++) {
        const char *mode = json_string_value(json_array_get(modes, m));

        if (mode)
            id->modes[id->n_modes++] = xstrdup(mode);
    }
    *out = id;
    return true;
}

bool
identity_set_load(struct identity_set *set, const char *json, struct err *err)
{
    json_error_t where;
    json_auto_t *root = json_loads(json, 0, &where);
    const json_t *list = json_is_object(root) ? json_object_get(root, "tokens") : root;
    const json_t *entry;
    struct identity *id;
    struct err why;
    size_t i;

    if (!json_is_array(list))
        return err_set(err, ERR_CONFIG, "tokens: not a JSON list%s%s", root ? "" : ": ",
                       root ? "" : where.text);
    json_array_foreach (list, i, entry) {
        if (!add_entry(set, entry, &id, &why))
            return err_set(err, ERR_CONFIG, "tokens[%zu]: %s", i, why.msg);
    }
    return true;
}

bool
identity_grant(struct identity_set *set, const json_t *entry, struct err *err)
{
    struct identity *id;

    if (!add_entry(set, entry, &id, err))
        return false;
    id->signed_token = true;
    return true;
}

struct identity *
identity_revoke(struct identity_set *set, const char *token)
{
    for (size_t i = 0; i < set->count; i++) {
        struct identity *id = set->list[i];

        if (!id->token || strcmp(id->token, token) != 0)
            continue;
        free(id->token);
        id->token = NULL;
        return id;
    }
    return NULL;
}

void
identity_set_fini(struct identity_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct identity *id = set->list[i];

        for (size_t m = 0; m < id->n_modes; m++)
            free(id->modes[m]);
        free(id->modes);
        free(id->token);
        free(id->sender);
        free(id);
    }
    free(set->list);
    *set = (struct identity_set){0};
}

static struct identity *
by_sender(struct identity_set *set, const char *sender)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->list[i]->sender, sender) == 0)
            return set->list[i];
    }
    return NULL;
}

static struct identity *
dev_identity(struct identity_set *set, const char *sender)
{
    struct identity *id = by_sender(set, sender);

    if (!id || id->token) {
        id = identity_add(set, NULL, sender);
        id->can_manage = true; /* but not an observer: a client must bring a real token for that */
    }
    return id;
}

struct identity *
identity_resolve(struct identity_set *set, const struct credential *cred)
{
    const char *token = cred->macp_token;

    /* The scheme is matched exactly; anything else in the header leaves x-macp-token to decide. */
    if (cred->authorization && strncmp(cred->authorization, "Bearer ", 7) == 0)
        token = cred->authorization + 7;
    if (!token || !*token) {
        if (!set->accept_agent_id || !cred->agent_id || !*cred->agent_id)
            return NULL;

        struct identity *id = by_sender(set, cred->agent_id);
        return id ? id : dev_identity(set, cred->agent_id);
    }
    if (set->dev_fallback)
        return dev_identity(set, token);
    for (size_t i = 0; i < set->count; i++) {
        struct identity *id = set->list[i];

        /* A dotted one is a signed token, which a static one never equals. */
        if (id->token && strcmp(id->token, token) == 0 && (id->signed_token || !strchr(token, '.')))
            return id;
    }
    return NULL;
}

bool
identity_may_send_in(const struct identity *id, const char *mode)
{
    if (id->n_modes == 0)
        return true;
    for (size_t i = 0; i < id->n_modes; i++) {
        if (strcmp(id->modes[i], mode) == 0)
            return true;
    }
    return false;
}
