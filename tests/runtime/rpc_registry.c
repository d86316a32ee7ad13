/* What the runtime is and offers: identification, modes, roots, policies, health. */
#include <stdlib.h>
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "macp/v1/core.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "shared/arena.h"
#include "shared/clock.h"
#include "tests/runtime/borrow.h"
#include "tests/runtime/mode.h"
#include "tests/runtime/policy.h"
#include "tests/runtime/rpc.h"
#include "tests/runtime/world.h"

#define AGENT_ID     "macp-runtime"
#define CONTENT_TYPE "application/macp-envelope+proto"
#define SCHEMA_URI   "buf.build/multiagentcoordinationprotocol/macp"

static int
text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **
supported_modes(struct world *w, struct arena *a, size_t *n)
{
    char **out = arena_alloc(a, modes_count * sizeof(*out));

    *n = 0;
    for (size_t i = 0; i < modes_count; i++) {
        if (mode_listed(w->settings.modes, modes[i].name))
            out[(*n)++] = borrow(modes[i].name);
    }
    qsort(out, *n, sizeof(*out), text_compare);
    return out;
}

static Macp__V1__Capabilities *
capabilities(struct world *w, struct arena *a)
{
#define NEW(var, Type, TYPE)                                                                       \
    Macp__V1__##Type *var = arena_alloc(a, sizeof(*(var)));                                        \
    *(var) = (Macp__V1__##Type)MACP__V1__##TYPE##__INIT
    NEW(all, Capabilities, CAPABILITIES);
    NEW(sessions, SessionsCapability, SESSIONS_CAPABILITY);
    NEW(cancellation, CancellationCapability, CANCELLATION_CAPABILITY);
    NEW(progress, ProgressCapability, PROGRESS_CAPABILITY);
    NEW(manifest, ManifestCapability, MANIFEST_CAPABILITY);
    NEW(registry, ModeRegistryCapability, MODE_REGISTRY_CAPABILITY);
    NEW(roots, RootsCapability, ROOTS_CAPABILITY);
    NEW(policies, PolicyRegistryCapability, POLICY_REGISTRY_CAPABILITY);
    NEW(experimental, ExperimentalCapabilities, EXPERIMENTAL_CAPABILITIES);
    NEW(feature, ExperimentalCapabilities__FeaturesEntry,
        EXPERIMENTAL_CAPABILITIES__FEATURES_ENTRY);
#undef NEW

    sessions->stream = sessions->list_sessions = sessions->watch_sessions = 1;
    cancellation->cancel_session = 1;
    progress->progress = 1;
    manifest->get_manifest = 1;
    registry->list_modes = registry->list_changed = 1;
    roots->list_roots = 1;
    policies->register_policy = !w->settings.policies_read_only;
    policies->list_policies = policies->list_changed = 1;
    feature->key = borrow("ext_mode_lifecycle");
    feature->value = borrow("true");
    experimental->n_features = 1;
    experimental->features = arena_alloc(a, sizeof(feature));
    experimental->features[0] = feature;
    all->sessions = sessions;
    all->cancellation = cancellation;
    all->progress = progress;
    all->manifest = manifest;
    all->mode_registry = registry;
    all->roots = roots;
    all->policy_registry = policies;
    all->experimental = experimental;
    return all;
}

void
rpc_initialize(struct call *c, const void *request)
{
    const Macp__V1__InitializeRequest *r = request;
    Macp__V1__RuntimeInfo runtime = MACP__V1__RUNTIME_INFO__INIT;
    Macp__V1__InitializeResponse m = MACP__V1__INITIALIZE_RESPONSE__INIT;
    struct arena a = {0};
    bool known = false;

    if (r->n_supported_protocol_versions == 0)
        return call_fail(c, GRPC_STATUS_INVALID_ARGUMENT,
                         "INVALID_REQUEST: supported_protocol_versions must not be empty");
    for (size_t i = 0; i < r->n_supported_protocol_versions; i++)
        known = known || strcmp(r->supported_protocol_versions[i], "1.0") == 0;
    if (!known)
        return call_fail(c, GRPC_STATUS_FAILED_PRECONDITION,
                         "UNSUPPORTED_PROTOCOL_VERSION: this runtime speaks 1.0");
    runtime.name = borrow(AGENT_ID);
    runtime.title = borrow("Scripted MACP runtime");
    runtime.version = c->world->settings.version;
    runtime.description = borrow("Plays scripted sessions for tests and the demo");
    m.selected_protocol_version = borrow("1.0");
    m.runtime_info = &runtime;
    m.capabilities = capabilities(c->world, &a);
    m.supported_modes = supported_modes(c->world, &a, &m.n_supported_modes);
    m.instructions = borrow("Authenticate with a bearer token.");
    call_reply(c, &m);
    arena_fini(&a);
}

void
rpc_get_manifest(struct call *c, const void *request)
{
    const Macp__V1__GetManifestRequest *r = request;
    Macp__V1__AgentManifest manifest = MACP__V1__AGENT_MANIFEST__INIT;
    Macp__V1__GetManifestResponse m = MACP__V1__GET_MANIFEST_RESPONSE__INIT;
    char *content_types[] = {borrow(CONTENT_TYPE)};
    struct arena a = {0};

    if (*r->agent_id && strcmp(r->agent_id, AGENT_ID) != 0)
        return call_fail(c, GRPC_STATUS_NOT_FOUND, "Agent '%s' not found", r->agent_id);
    manifest.agent_id = borrow(AGENT_ID);
    manifest.title = borrow("Scripted MACP runtime");
    manifest.description = borrow("Plays scripted sessions for tests and the demo");
    manifest.supported_modes = supported_modes(c->world, &a, &manifest.n_supported_modes);
    manifest.n_input_content_types = manifest.n_output_content_types = 1;
    manifest.input_content_types = manifest.output_content_types = content_types;
    m.manifest = &manifest;
    call_reply(c, &m);
    arena_fini(&a);
}

/* ---- modes and roots ---- */

static Macp__V1__ModeDescriptor *
mode_descriptor(const struct mode *mode, struct arena *a)
{
    Macp__V1__ModeDescriptor *d = arena_alloc(a, sizeof(*d));
    Macp__V1__ModeDescriptor__SchemaUrisEntry *uri = arena_alloc(a, sizeof(*uri));

    macp__v1__mode_descriptor__init(d);
    macp__v1__mode_descriptor__schema_uris_entry__init(uri);
    uri->key = borrow("protobuf");
    uri->value = borrow(SCHEMA_URI);
    d->mode = borrow(mode->name);
    d->mode_version = borrow(MODE_VERSION);
    d->title = borrow(mode->title);
    d->determinism_class = borrow(mode->determinism);
    d->participant_model = borrow(mode->participants);
    d->message_types = arena_alloc(a, (MODE_MESSAGES + 2) * sizeof(char *));
    d->message_types[d->n_message_types++] = borrow("SessionStart");
    for (size_t i = 0; i < MODE_MESSAGES && mode->messages[i].type; i++)
        d->message_types[d->n_message_types++] = borrow(mode->messages[i].type);
    d->message_types[d->n_message_types++] = borrow("Commitment");
    d->terminal_message_types = arena_alloc(a, sizeof(char *));
    d->terminal_message_types[d->n_terminal_message_types++] = borrow("Commitment");
    d->schema_uris = arena_alloc(a, sizeof(uri));
    d->schema_uris[d->n_schema_uris++] = uri;
    return d;
}

static void
reply_modes(struct call *c, bool standard)
{
    Macp__V1__ListModesResponse m = MACP__V1__LIST_MODES_RESPONSE__INIT;
    struct arena a = {0};

    m.modes = arena_alloc(&a, modes_count * sizeof(*m.modes));
    for (size_t i = 0; i < modes_count; i++) {
        if (modes[i].standard == standard && mode_listed(c->world->settings.modes, modes[i].name))
            m.modes[m.n_modes++] = mode_descriptor(&modes[i], &a);
    }
    call_reply(c, &m); /* ListExtModesResponse has the same single field */
    arena_fini(&a);
}

void
rpc_list_modes(struct call *c, const void *request)
{
    (void)request;
    reply_modes(c, true);
}

void
rpc_list_ext_modes(struct call *c, const void *request)
{
    (void)request;
    reply_modes(c, false);
}

void
rpc_list_roots(struct call *c, const void *request)
{
    Macp__V1__ListRootsResponse m = MACP__V1__LIST_ROOTS_RESPONSE__INIT;

    (void)request;
    call_reply(c, &m);
}

/* Watches that follow a version number: tell it once, and again whenever it has moved. */
static bool
moved(struct call *c, uint64_t version)
{
    if (c->at.greeted && c->at.next == version)
        return false;
    c->at.greeted = true;
    c->at.next = version;
    return true;
}

void
rpc_watch_once(struct call *c, const void *request)
{
    (void)request;
    c->at.greeted = false;
}

bool
rpc_watch_modes_pull(struct call *c, struct outgoing *out)
{
    Macp__V1__RegistryChanged change = MACP__V1__REGISTRY_CHANGED__INIT;
    Macp__V1__WatchModeRegistryResponse m = MACP__V1__WATCH_MODE_REGISTRY_RESPONSE__INIT;

    if (!moved(c, c->world->modes_version))
        return false;
    change.registry = borrow("modes");
    change.observed_at_unix_ms = clock_wall_ms();
    m.change = &change;
    *out = (struct outgoing){server_encode(&m), false};
    return true;
}

bool
rpc_watch_roots_pull(struct call *c, struct outgoing *out)
{
    Macp__V1__RootsChanged change = MACP__V1__ROOTS_CHANGED__INIT;
    Macp__V1__WatchRootsResponse m = MACP__V1__WATCH_ROOTS_RESPONSE__INIT;

    if (!moved(c, 0))
        return false;
    change.observed_at_unix_ms = clock_wall_ms();
    m.change = &change;
    *out = (struct outgoing){server_encode(&m), false};
    return true;
}

/* ---- policies ---- */

static Macp__V1__PolicyDescriptor *
policy_descriptor(const struct policy *p, struct arena *a)
{
    Macp__V1__PolicyDescriptor *d = arena_alloc(a, sizeof(*d));

    macp__v1__policy_descriptor__init(d);
    d->policy_id = p->id;
    d->mode = p->mode;
    d->description = p->description;
    d->rules = p->rules;
    d->schema_version = p->schema_version;
    return d;
}

static Macp__V1__PolicyDescriptor **
policy_descriptors(struct world *w, const char *mode, struct arena *a, size_t *n)
{
    const struct policy_registry *r = &w->policies;
    Macp__V1__PolicyDescriptor **out = arena_alloc(a, (r->count + 1) * sizeof(*out));

    *n = 0;
    for (size_t i = 0; i < r->count; i++) {
        const char *own = r->list[i]->mode;

        if (!*mode || strcmp(own, "*") == 0 || strcmp(own, mode) == 0)
            out[(*n)++] = policy_descriptor(r->list[i], a);
    }
    return out;
}

static bool
may_change_policies(struct call *c)
{
    if (c->world->settings.policies_read_only)
        call_fail(c, GRPC_STATUS_FAILED_PRECONDITION, "the policy registry is read-only");
    else if (!c->identity)
        call_fail(c, GRPC_STATUS_UNAUTHENTICATED, "Unauthenticated");
    else if (!c->identity->can_manage)
        call_fail(c, GRPC_STATUS_PERMISSION_DENIED, "FORBIDDEN: can_manage_mode_registry required");
    return !c->ending;
}

void
rpc_policies_changed(struct world *w)
{
    for (struct call *c = w->calls; c; c = c->next) {
        if (c->method && c->method->pull == rpc_watch_policies_pull)
            call_wake(c);
    }
}

/* Both change responses are {ok, error} with the same numbers. */
static void
reply_policy_change(struct call *c, const char *refused)
{
    Macp__V1__RegisterPolicyResponse m = MACP__V1__REGISTER_POLICY_RESPONSE__INIT;

    m.ok = !refused;
    if (refused)
        m.error = borrow(refused);
    call_reply(c, &m);
    if (!refused)
        rpc_policies_changed(c->world);
}

void
rpc_register_policy(struct call *c, const void *request)
{
    const Macp__V1__RegisterPolicyRequest *r = request;

    if (!may_change_policies(c))
        return;
    if (!r->policy_descriptor)
        return call_fail(c, GRPC_STATUS_INVALID_ARGUMENT, "policy_descriptor is required");
    reply_policy_change(c, policy_register(&c->world->policies, r->policy_descriptor));
}

void
rpc_unregister_policy(struct call *c, const void *request)
{
    const Macp__V1__UnregisterPolicyRequest *r = request;

    if (may_change_policies(c))
        reply_policy_change(c, policy_remove(&c->world->policies, r->policy_id));
}

void
rpc_get_policy(struct call *c, const void *request)
{
    const Macp__V1__GetPolicyRequest *r = request;
    Macp__V1__GetPolicyResponse m = MACP__V1__GET_POLICY_RESPONSE__INIT;
    const struct policy *p = policy_find(&c->world->policies, r->policy_id);
    struct arena a = {0};

    if (!p)
        return call_fail(c, GRPC_STATUS_NOT_FOUND, "Policy '%s' not found", r->policy_id);
    m.policy_descriptor = policy_descriptor(p, &a);
    call_reply(c, &m);
    arena_fini(&a);
}

void
rpc_list_policies(struct call *c, const void *request)
{
    const Macp__V1__ListPoliciesRequest *r = request;
    Macp__V1__ListPoliciesResponse m = MACP__V1__LIST_POLICIES_RESPONSE__INIT;
    struct arena a = {0};

    m.descriptors = policy_descriptors(c->world, r->mode, &a, &m.n_descriptors);
    call_reply(c, &m);
    arena_fini(&a);
}

void
rpc_watch_policies(struct call *c, const void *request)
{
    rpc_watch_once(c, request);
}

bool
rpc_watch_policies_pull(struct call *c, struct outgoing *out)
{
    Macp__V1__WatchPoliciesResponse m = MACP__V1__WATCH_POLICIES_RESPONSE__INIT;
    struct arena a = {0};

    if (!moved(c, c->world->policies.version))
        return false;
    m.descriptors = policy_descriptors(c->world, "", &a, &m.n_descriptors);
    m.observed_at_unix_ms = clock_wall_ms();
    *out = (struct outgoing){server_encode(&m), false};
    arena_fini(&a);
    return true;
}

/* ---- health ---- */

static bool
health_of(const char *service, Grpc__Health__V1__HealthCheckResponse *m)
{
    bool known = !*service || strcmp(service, "macp.v1.MACPRuntimeService") == 0;

    m->status = known ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                      : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    return known;
}

void
rpc_health_check(struct call *c, const void *request)
{
    const Grpc__Health__V1__HealthCheckRequest *r = request;
    Grpc__Health__V1__HealthCheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    if (!health_of(r->service, &m))
        return call_fail(c, GRPC_STATUS_NOT_FOUND, "unknown service %s", r->service);
    call_reply(c, &m);
}

void
rpc_health_watch(struct call *c, const void *request)
{
    const Grpc__Health__V1__HealthCheckRequest *r = request;
    Grpc__Health__V1__HealthCheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    c->at.next = health_of(r->service, &m); /* known or not is all the stream has to remember */
}

bool
rpc_health_watch_pull(struct call *c, struct outgoing *out)
{
    Grpc__Health__V1__HealthCheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    if (c->at.greeted)
        return false;
    c->at.greeted = true;
    (void)health_of(c->at.next ? "" : "unknown", &m);
    *out = (struct outgoing){server_encode(&m), false};
    return true;
}
