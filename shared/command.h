/*
 * command.h - what people can have done outside Postgres.
 *
 * Purpose    the kinds of commands as one table: how a row names each, and what its audit row says.
 * Ownership  static values. Errors: command_kind_parse returns false. Threads: any.
 *
 * A handler inserts a row in state requested; an observer carries it out (running) and writes what
 * came of it (done, failed), or nobody could in time (expired). Results are JSON objects:
 *
 *   done     {"outcome": "done" | "unconfirmed" | "unobserved", "status": of the run, if it is
 * about one} unconfirmed: whoever was asked agreed, and the session lives on unobserved (rebuild
 * only): nobody has the run in memory, whoever wants it may do it failed   {"failure": "runtime" |
 * "breaker" | "refused" | "policy" | "callback", "message": text, "grpcCode": number (runtime
 * only)}
 *
 * Events that a handler has for a run (append: args {"events": as events_append takes them}) never
 * expire and are not audited: they are promised, and their own row says who wanted them.
 *
 * A running command with a result was accepted by whoever was asked, but is not confirmed yet.
 */
#ifndef MACP_SHARED_COMMAND_H
#define MACP_SHARED_COMMAND_H

#include <stdbool.h>

#include "shared/macros.h"

// clang-format off
/* kind, name, action and resource of its audit row */
#define COMMAND_LIST(X)                                                                            \
    X(COMMAND_CANCEL,            "cancel",            "run.cancelled",         "run")              \
    X(COMMAND_SUSPEND,           "suspend",           "run.suspended",         "run")              \
    X(COMMAND_RESUME,            "resume",            "run.resumed",           "run")              \
    X(COMMAND_ADOPT,             "adopt",             "run.adopted",           "run")              \
    X(COMMAND_REBUILD,           "rebuild",           "projection.rebuilt",    "run")              \
    X(COMMAND_APPEND,            "append",            "run.appended",          "run")              \
    X(COMMAND_POLICY_REGISTER,   "policy-register",   "policy.registered",     "policy")           \
    X(COMMAND_POLICY_UNREGISTER, "policy-unregister", "policy.unregistered",   "policy")           \
    X(COMMAND_BREAKER_RESET,     "breaker-reset",     "circuit_breaker.reset", "circuit-breaker")
// clang-format on

enum command_kind {
#define X(kind, name, action, resource) kind,
    COMMAND_LIST(X)
#undef X
        COMMAND__COUNT
};

const char *command_kind_name(enum command_kind kind);
const char *command_audit_action(enum command_kind kind);
const char *command_audit_resource(enum command_kind kind);
bool command_kind_parse(const char *name, enum command_kind *out) MUST_CHECK;

/* What the failure of a command is, by the member "failure" of its result. */
#define COMMAND_FAILED_RUNTIME  "runtime"  /* a gRPC status */
#define COMMAND_FAILED_BREAKER  "breaker"  /* the runtime is left in peace for a while */
#define COMMAND_FAILED_REFUSED  "refused"  /* the runtime answered no */
#define COMMAND_FAILED_POLICY   "policy"   /* the same, about a policy */
#define COMMAND_FAILED_CALLBACK "callback" /* of the agent */

#endif
