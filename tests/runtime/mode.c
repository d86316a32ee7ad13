#include "tests/runtime/mode.h"

#include <string.h>

#include "macp/modes/decision/v1/decision.pb-c.h"
#include "macp/modes/handoff/v1/handoff.pb-c.h"
#include "macp/modes/multi_round/v1/multi_round.pb-c.h"
#include "macp/modes/proposal/v1/proposal.pb-c.h"
#include "macp/modes/quorum/v1/quorum.pb-c.h"
#include "macp/modes/task/v1/task.pb-c.h"
#include "macp/v1/core.pb-c.h"
#include "shared/macros.h"

// clang-format off
#define P(mode, name) &macp__modes__##mode##__v1__##name##_payload__descriptor

const struct mode modes[] = {
    {MODE_DECISION, "Decision", "semantic-deterministic", "declared", true, false, {
        {"Proposal",   P(decision, proposal),   ROLE_PARTICIPANT},
        {"Evaluation", P(decision, evaluation), ROLE_PARTICIPANT},
        {"Objection",  P(decision, objection),  ROLE_PARTICIPANT},
        {"Vote",       P(decision, vote),       ROLE_PARTICIPANT}}},
    {MODE_PROPOSAL, "Proposal", "semantic-deterministic", "peer", true, false, {
        {"Proposal",        P(proposal, proposal),         ROLE_PARTICIPANT},
        {"CounterProposal", P(proposal, counter_proposal), ROLE_PARTICIPANT},
        {"Accept",          P(proposal, accept),           ROLE_PARTICIPANT},
        {"Reject",          P(proposal, reject),           ROLE_PARTICIPANT},
        {"Withdraw",        P(proposal, withdraw),         ROLE_PARTICIPANT}}},
    {MODE_TASK, "Task", "structural-only", "orchestrated", true, false, {
        {"TaskRequest",  P(task, task_request),  ROLE_INITIATOR},
        {"TaskAccept",   P(task, task_accept),   ROLE_PARTICIPANT},
        {"TaskReject",   P(task, task_reject),   ROLE_PARTICIPANT},
        {"TaskUpdate",   P(task, task_update),   ROLE_PARTICIPANT},
        {"TaskComplete", P(task, task_complete), ROLE_PARTICIPANT},
        {"TaskFail",     P(task, task_fail),     ROLE_PARTICIPANT}}},
    {MODE_HANDOFF, "Handoff", "context-frozen", "delegated", true, false, {
        {"HandoffOffer",   P(handoff, handoff_offer),   ROLE_INITIATOR},
        {"HandoffContext", P(handoff, handoff_context), ROLE_INITIATOR},
        {"HandoffAccept",  P(handoff, handoff_accept),  ROLE_PARTICIPANT},
        {"HandoffDecline", P(handoff, handoff_decline), ROLE_PARTICIPANT}}},
    {MODE_QUORUM, "Quorum", "semantic-deterministic", "quorum", true, false, {
        {"ApprovalRequest", P(quorum, approval_request), ROLE_INITIATOR},
        {"Approve",         P(quorum, approve),          ROLE_PARTICIPANT},
        {"Reject",          P(quorum, reject),           ROLE_PARTICIPANT},
        {"Abstain",         P(quorum, abstain),          ROLE_PARTICIPANT}}},
    {MODE_MULTI_ROUND, "Multi-round", "semantic-deterministic", "peer", false, false, {
        {"Contribute", P(multi_round, contribute), ROLE_PARTICIPANT}}},
    {MODE_DEMO, "Demo extension", "structural-only", "peer", false, true, {
        {"Note", NULL, ROLE_PARTICIPANT}}},
};

#undef P

static const struct {
    const char *type;
    const ProtobufCMessageDescriptor *payload;
} core[] = {
    {"SessionStart", &macp__v1__session_start_payload__descriptor},
    {"Commitment",   &macp__v1__commitment_payload__descriptor},
    {"Signal",       &macp__v1__signal_payload__descriptor},
    {"Progress",     &macp__v1__progress_payload__descriptor},
};
// clang-format on

const size_t modes_count = ARRAY_LEN(modes);

const struct mode *
mode_find(const char *name)
{
    for (size_t i = 0; i < modes_count; i++) {
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    }
    return NULL;
}

const struct mode_message *
mode_message(const struct mode *mode, const char *type)
{
    for (size_t i = 0; i < MODE_MESSAGES && mode->messages[i].type; i++) {
        if (strcmp(mode->messages[i].type, type) == 0)
            return &mode->messages[i];
    }
    return NULL;
}

const ProtobufCMessageDescriptor *
mode_core_payload(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(core); i++) {
        if (strcmp(core[i].type, type) == 0)
            return core[i].payload;
    }
    return NULL;
}

const ProtobufCMessageDescriptor *
mode_payload(const char *mode, const char *type)
{
    const struct mode *m = mode_find(mode);
    const struct mode_message *message = m ? mode_message(m, type) : NULL;

    return message ? message->payload : mode_core_payload(type);
}

bool
mode_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = list; *p; p += strcspn(p, ",")) {
        p += *p == ',';
        if (strcspn(p, ",") == len && strncmp(p, name, len) == 0)
            return true;
    }
    return !*list;
}
