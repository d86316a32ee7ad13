/*
 * rpc.h - the method table: every path, what it needs, what it does.
 *
 * Purpose    the one list of RPCs; counters and UNIMPLEMENTED follow from it.
 * Ownership  handlers borrow the decoded request for the call.
 * Errors     handlers answer through call_reply and call_fail.
 * Threads    under the world's lock.
 */
#ifndef MACP_RUNTIME_RPC_H
#define MACP_RUNTIME_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/runtime/server.h"

enum method_kind { METHOD_UNARY, METHOD_WATCH, METHOD_BIDI };

typedef void (*method_handle_fn)(struct call *c, const void *request);
/* False when nothing is available now (or the call was ended). */
typedef bool (*method_pull_fn)(struct call *c, struct outgoing *out);

struct method {
    const char *name; /* last part of the path */
    const char *path;
    enum method_kind kind;
    bool needs_identity;
    const ProtobufCMessageDescriptor *request;
    /* Unary: answer. Watch: attach. Bidi: one frame, NULL for the half-close. NULL: UNIMPLEMENTED.
     */
    method_handle_fn handle;
    method_pull_fn pull; /* streams */
};

extern const struct method methods[];
extern const size_t methods_count;

const struct method *method_find(const char *path, size_t len);

/* rpc_session.c: sessions. */
void rpc_send(struct call *c, const void *request);
void rpc_get_session(struct call *c, const void *request);
void rpc_cancel_session(struct call *c, const void *request);
void rpc_suspend_session(struct call *c, const void *request);
void rpc_resume_session(struct call *c, const void *request);
void rpc_list_sessions(struct call *c, const void *request);

/* subscribe.c: StreamSession. */
void rpc_stream_session(struct call *c, const void *request);
bool rpc_stream_session_pull(struct call *c, struct outgoing *out);

/* watch.c: WatchSessions and WatchSignals. */
void rpc_watch_sessions(struct call *c, const void *request);
bool rpc_watch_sessions_pull(struct call *c, struct outgoing *out);
void rpc_watch_signals(struct call *c, const void *request);
bool rpc_watch_signals_pull(struct call *c, struct outgoing *out);

/* rpc_registry.c: what the runtime is and offers. */
void rpc_initialize(struct call *c, const void *request);
void rpc_get_manifest(struct call *c, const void *request);
void rpc_list_modes(struct call *c, const void *request);
void rpc_list_ext_modes(struct call *c, const void *request);
void rpc_list_roots(struct call *c, const void *request);
void rpc_watch_once(struct call *c, const void *request);
bool rpc_watch_modes_pull(struct call *c, struct outgoing *out);
bool rpc_watch_roots_pull(struct call *c, struct outgoing *out);
void rpc_register_policy(struct call *c, const void *request);
void rpc_unregister_policy(struct call *c, const void *request);
void rpc_get_policy(struct call *c, const void *request);
void rpc_list_policies(struct call *c, const void *request);
void rpc_watch_policies(struct call *c, const void *request);
bool rpc_watch_policies_pull(struct call *c, struct outgoing *out);
/* Let the watchers look. */
void rpc_policies_changed(struct world *w);
void rpc_health_check(struct call *c, const void *request);
void rpc_health_watch(struct call *c, const void *request);
bool rpc_health_watch_pull(struct call *c, struct outgoing *out);

#endif
