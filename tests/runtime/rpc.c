#include "tests/runtime/rpc.h"

#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "macp/v1/core.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "shared/macros.h"

#define REQUEST(name) &macp__v1__##name##_request__descriptor
#define PATH(name)    name, "/macp.v1.MACPRuntimeService/" name
#define HEALTH(name)  "Health" name, "/grpc.health.v1.Health/" name

// clang-format off
const struct method methods[] = {
    {PATH("Initialize"),        METHOD_UNARY, false, REQUEST(initialize),          rpc_initialize, NULL},
    {PATH("Send"),              METHOD_UNARY, false, REQUEST(send),                rpc_send, NULL}, /* bad credential: in the Ack */
    {PATH("StreamSession"),     METHOD_BIDI,  true,  REQUEST(stream_session),      rpc_stream_session, rpc_stream_session_pull},
    {PATH("GetSession"),        METHOD_UNARY, true,  REQUEST(get_session),         rpc_get_session, NULL},
    {PATH("CancelSession"),     METHOD_UNARY, true,  REQUEST(cancel_session),      rpc_cancel_session, NULL},
    {PATH("SuspendSession"),    METHOD_UNARY, true,  REQUEST(suspend_session),     rpc_suspend_session, NULL},
    {PATH("ResumeSession"),     METHOD_UNARY, true,  REQUEST(resume_session),      rpc_resume_session, NULL},
    {PATH("GetManifest"),       METHOD_UNARY, false, REQUEST(get_manifest),        rpc_get_manifest, NULL},
    {PATH("ListModes"),         METHOD_UNARY, false, REQUEST(list_modes),          rpc_list_modes, NULL},
    {PATH("WatchModeRegistry"), METHOD_WATCH, false, REQUEST(watch_mode_registry), rpc_watch_once, rpc_watch_modes_pull},
    {PATH("ListRoots"),         METHOD_UNARY, false, REQUEST(list_roots),          rpc_list_roots, NULL},
    {PATH("WatchRoots"),        METHOD_WATCH, false, REQUEST(watch_roots),         rpc_watch_once, rpc_watch_roots_pull},
    {PATH("ListExtModes"),      METHOD_UNARY, false, REQUEST(list_ext_modes),      rpc_list_ext_modes, NULL},
    {PATH("RegisterExtMode"),   METHOD_UNARY, true,  REQUEST(register_ext_mode),   NULL, NULL},
    {PATH("UnregisterExtMode"), METHOD_UNARY, true,  REQUEST(unregister_ext_mode), NULL, NULL},
    {PATH("PromoteMode"),       METHOD_UNARY, true,  REQUEST(promote_mode),        NULL, NULL},
    {PATH("WatchSignals"),      METHOD_WATCH, true,  REQUEST(watch_signals),       rpc_watch_signals, rpc_watch_signals_pull},
    {PATH("ListSessions"),      METHOD_UNARY, true,  REQUEST(list_sessions),       rpc_list_sessions, NULL},
    {PATH("WatchSessions"),     METHOD_WATCH, true,  REQUEST(watch_sessions),      rpc_watch_sessions, rpc_watch_sessions_pull},
    {PATH("RegisterPolicy"),    METHOD_UNARY, false, REQUEST(register_policy),     rpc_register_policy, NULL}, /* read-only is told before the credential is looked at */
    {PATH("UnregisterPolicy"),  METHOD_UNARY, false, REQUEST(unregister_policy),   rpc_unregister_policy, NULL},
    {PATH("GetPolicy"),         METHOD_UNARY, true,  REQUEST(get_policy),          rpc_get_policy, NULL},
    {PATH("ListPolicies"),      METHOD_UNARY, true,  REQUEST(list_policies),       rpc_list_policies, NULL},
    {PATH("WatchPolicies"),     METHOD_WATCH, false, REQUEST(watch_policies),      rpc_watch_policies, rpc_watch_policies_pull},
    {HEALTH("Check"), METHOD_UNARY, false, &grpc__health__v1__health_check_request__descriptor, rpc_health_check, NULL},
    {HEALTH("Watch"), METHOD_WATCH, false, &grpc__health__v1__health_check_request__descriptor, rpc_health_watch, rpc_health_watch_pull},
};
// clang-format on

const size_t methods_count = ARRAY_LEN(methods);

_Static_assert(ARRAY_LEN(methods) <= TALLY_CALLS, "one counter per method");

const struct method *
method_find(const char *path, size_t len)
{
    for (size_t i = 0; i < methods_count; i++) {
        if (strlen(methods[i].path) == len && memcmp(methods[i].path, path, len) == 0)
            return &methods[i];
    }
    return NULL;
}
