/*
 * run.h - the life of a run: statuses, legal transitions, what each one carries.
 *
 * Purpose    the status machine that both programs obey, as one table.
 * Ownership  plain values. Errors: run_status_parse returns false. Threads: any.
 *
 *   queued -> starting -> binding_session -> running <-> suspended
 *   completed from running or suspended; failed and cancelled from every live status.
 */
#ifndef MACP_SHARED_RUN_H
#define MACP_SHARED_RUN_H

#include <stdbool.h>

#include "shared/event.h"
#include "shared/macros.h"

#define RUN_STATUS_LIST(X)                                                                         \
    X(RUN_QUEUED, "queued", false)                                                                 \
    X(RUN_STARTING, "starting", false)                                                             \
    X(RUN_BINDING_SESSION, "binding_session", false)                                               \
    X(RUN_RUNNING, "running", false)                                                               \
    X(RUN_SUSPENDED, "suspended", false)                                                           \
    X(RUN_COMPLETED, "completed", true)                                                            \
    X(RUN_FAILED, "failed", true)                                                                  \
    X(RUN_CANCELLED, "cancelled", true)

enum run_status {
#define X(id, name, terminal) id,
    RUN_STATUS_LIST(X)
#undef X
        RUN_STATUS__COUNT
};

const char *run_status_name(enum run_status s);
bool run_status_parse(const char *name, enum run_status *out) MUST_CHECK;
bool run_status_is_terminal(enum run_status s);
bool run_transition_allowed(enum run_status from, enum run_status to);

/* Why a run failed, precisely (runs.failure_reason); error_code is RUN_FAILED for clients. */
#define RUN_ERROR_CODE             "RUN_FAILED"
#define RUN_REASON_SESSION_EXPIRED "session_expired"
#define RUN_REASON_OPEN_TIMEOUT    "open_timeout"
#define RUN_REASON_MODE            "mode_unsupported"
#define RUN_REASON_FORBIDDEN       "forbidden"
#define RUN_REASON_FORGOTTEN       "runtime_forgot_session"
#define RUN_REASON_INCOMPATIBLE    "runtime_incompatible"

/* Bind default: an empty policy version means this one. */
#define RUN_DEFAULT_POLICY "policy.default"

/* Name inside the run of the artifact that leads to its trace: the id is derived from it. */
#define RUN_TRACE_ARTIFACT "trace"

/* Notification channels and their payloads. */
#define CHANNEL_RUN  "macp_run"  /* empty or a run key: something to claim */
#define CHANNEL_CMD  "macp_cmd"  /* command id */
#define CHANNEL_DONE "macp_done" /* command id */
#define CHANNEL_EVT  "macp_evt"  /* <run uuid>:<max seq>:<1 when terminal> */
#define CHANNEL_HOOK "macp_hook" /* empty */

#endif
