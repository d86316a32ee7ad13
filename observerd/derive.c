#include "observerd/derive.h"

#include <string.h>

#include "shared/buf.h"
#include "shared/json.h"
#include "shared/macros.h"

// clang-format off
static const struct {
    const char *message_type;
    enum event_type type;
} derived[] = {
    {"Signal",                    EVENT_SIGNAL_EMITTED},
    {"SignalAck",                 EVENT_SIGNAL_ACKNOWLEDGED},
    {"SignalAcknowledged",        EVENT_SIGNAL_ACKNOWLEDGED},
    {"Commitment",                EVENT_DECISION_FINALIZED},
    {"Proposal",                  EVENT_PROPOSAL_CREATED},
    {"CounterProposal",           EVENT_PROPOSAL_CREATED},
    {"ApprovalRequest",           EVENT_PROPOSAL_CREATED},
    {"TaskRequest",               EVENT_PROPOSAL_CREATED},
    {"HandoffOffer",              EVENT_PROPOSAL_CREATED},
    {"Evaluation",                EVENT_PROPOSAL_UPDATED},
    {"Objection",                 EVENT_PROPOSAL_UPDATED},
    {"Vote",                      EVENT_PROPOSAL_UPDATED},
    {"Accept",                    EVENT_PROPOSAL_UPDATED},
    {"Reject",                    EVENT_PROPOSAL_UPDATED},
    {"Withdraw",                  EVENT_PROPOSAL_UPDATED},
    {"Approve",                   EVENT_PROPOSAL_UPDATED},
    {"Abstain",                   EVENT_PROPOSAL_UPDATED},
    {"TaskAccept",                EVENT_PROPOSAL_UPDATED},
    {"TaskReject",                EVENT_PROPOSAL_UPDATED},
    {"TaskUpdate",                EVENT_PROPOSAL_UPDATED},
    {"TaskComplete",              EVENT_PROPOSAL_UPDATED},
    {"TaskFail",                  EVENT_PROPOSAL_UPDATED},
    {"HandoffContext",            EVENT_PROPOSAL_UPDATED},
    {"HandoffAccept",             EVENT_PROPOSAL_UPDATED},
    {"HandoffDecline",            EVENT_PROPOSAL_UPDATED},
    {"Contribute",                EVENT_PROPOSAL_UPDATED},
    {"Progress",                  EVENT_PROGRESS_REPORTED},
    {"PolicyResolved",            EVENT_POLICY_RESOLVED},
    {"PolicyCommitmentEvaluated", EVENT_POLICY_COMMITMENT_EVALUATED},
    {"PolicyDenied",              EVENT_POLICY_DENIED},
};

/* Tool messages have no agreed spelling: any letter case, lower case here. */
static const struct {
    const char *message_type;
    enum event_type type;
} derived_tools[] = {
    {"toolcall",      EVENT_TOOL_CALLED},
    {"toolrequest",   EVENT_TOOL_CALLED},
    {"toolresult",    EVENT_TOOL_COMPLETED},
    {"toolcompleted", EVENT_TOOL_COMPLETED},
    {"tooloutput",    EVENT_TOOL_COMPLETED},
};

/* What a derived event is about: the first of these members, else its message. */
enum { SUBJECT_KEYS = 9 };
static const struct {
    enum event_type type;
    const char *kind;
    const char *keys[SUBJECT_KEYS]; /* ends with NULL */
} subjects[] = {
    {EVENT_SIGNAL_EMITTED,      "signal",   {NULL}},
    {EVENT_SIGNAL_ACKNOWLEDGED, "signal",   {"signalId", "signal_id"}},
    {EVENT_PROPOSAL_CREATED,    "proposal", {"proposalId", "proposal_id", "requestId", "request_id",
                                             "taskId", "task_id", "handoffId", "handoff_id"}},
    {EVENT_PROPOSAL_UPDATED,    "proposal", {"proposalId", "proposal_id", "requestId", "request_id",
                                             "taskId", "task_id", "handoffId", "handoff_id"}},
    {EVENT_DECISION_FINALIZED,  "decision", {"commitmentId", "commitment_id", "decisionId",
                                             "decision_id"}},
    {EVENT_TOOL_CALLED,         "tool",     {"toolCallId", "tool_call_id", "requestId",
                                             "request_id"}},
    {EVENT_TOOL_COMPLETED,      "tool",     {"toolCallId", "tool_call_id", "requestId",
                                             "request_id"}},
};
// clang-format on

static bool
same_in_lower_case(const char *s, const char *lower)
{
    for (; *s && *lower; s++, lower++)
        if ((*s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s) != *lower)
            return false;
    return *s == *lower;
}

enum event_type
derive_type(const char *message_type)
{
    for (size_t i = 0; i < ARRAY_LEN(derived); i++)
        if (strcmp(derived[i].message_type, message_type) == 0)
            return derived[i].type;
    for (size_t i = 0; i < ARRAY_LEN(derived_tools); i++)
        if (same_in_lower_case(message_type, derived_tools[i].message_type))
            return derived_tools[i].type;
    return EVENT_UNKNOWN;
}

const char *
derive_text(struct arena *arena, const json_t *v, const char *fallback)
{
    AUTO_BUF text = {0};

    if (!v)
        return fallback;
    if (json_is_string(v))
        return arena_strndup(arena, json_string_value(v), json_string_length(v));
    jv_str(&text, v);
    return arena_strndup(arena, buf_cstr(&text), text.len);
}

void
derive_subject(enum event_type type, const char *message_id, const json_t *inner,
               struct arena *arena, const char **kind, const char **id)
{
    *kind = "message";
    *id = message_id;
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        size_t n = 0;

        if (subjects[i].type != type)
            continue;
        while (subjects[i].keys[n])
            n++;
        *kind = subjects[i].kind;
        *id = derive_text(arena, jv_first(inner, subjects[i].keys, n), message_id);
        return;
    }
}
