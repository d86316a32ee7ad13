#include "tests/runtime/script.h"

#include <string.h>

#include "shared/macros.h"
#include "tests/runtime/mode.h"

// clang-format off
#define VERSIONS "'mode_version':'1.0.0','configuration_version':'config.default'"
#define START(intent, participants)                                                                \
    {'A', "SessionStart", "{'intent':'" intent "','participants':[" participants "]," VERSIONS     \
     ",'ttl_ms':600000,'context_id':'ctx-demo','extensions':{'demo.origin':{'script':true}}}", 0}
#define AB  "'$A','$B'"
#define BC  "'$B','$C'"
#define ABC "'$A','$B','$C'"
#define COMMIT(action, positive)                                                                   \
    {'A', "Commitment", "{'commitment_id':'c1','action':'" action "','authority_scope':'session'," \
     "'reason':'as scripted'," VERSIONS ",'outcome_positive':" positive "}", 0}
#define SIGNAL(who, type, data)                                                                    \
    {who, "Signal", "{'signal_type':'" type "','data':" data ",'confidence':0.8,"                  \
     "'correlation_session_id':'$S'}", STEP_AMBIENT}
#define LLM(who, prompt, completion)                                                               \
    SIGNAL(who, "llm.call.completed", "{'model':'gpt-4o-mini','provider':'openai','promptTokens':" \
           prompt ",'completionTokens':" completion ",'latencyMs':890,'estimatedCostUsd':0.0004}")
#define PROGRESS(who, fraction, text)                                                              \
    {who, "Progress", "{'progress_token':'work','progress':" fraction ",'message':'" text "'}", 0}
#define CONTROL(verb) {'A', verb, "", STEP_CONTROL}

static const struct step decision_minimal[] = {
    START("pick a colour", AB),
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue'}", 0},
    {'B', "Evaluation", "{'proposal_id':'p1','recommendation':'APPROVE','confidence':0.9}", 0},
    {'B', "Vote", "{'proposal_id':'p1','vote':'APPROVE'}", 0},
    {'A', "Vote", "{'proposal_id':'p1','vote':'APPROVE'}", 0},
    COMMIT("decision.selected", "true"),
};
static const struct step decision_positive[] = {
    START("choose a database", ABC),
    LLM('A', "180", "64"),
    {'A', "Proposal", "{'proposal_id':'p1','option':'postgres','rationale':'one engine less','supporting_data':{'cost':12}}", 0},
    {'B', "Proposal", "{'proposal_id':'p2','option':'sqlite','rationale':'no server'}", 0},
    PROGRESS('B', "0.25", "reading proposals"),
    {'B', "Evaluation", "{'proposal_id':'p1','recommendation':'APPROVE','confidence':0.92,'reason':'known to everybody'}", 0},
    LLM('C', "240", "90"),
    {'C', "Evaluation", "{'proposal_id':'p2','recommendation':'REVIEW','confidence':0.4,'reason':'writers?'}", 0},
    {'C', "Objection", "{'proposal_id':'p2','reason':'several writers','severity':'high'}", 0},
    SIGNAL('B', "attention", "{'topic':'votes are due'}"),
    {'A', "Vote", "{'proposal_id':'p1','vote':'APPROVE','reason':'fits'}", 0},
    {'B', "Vote", "{'proposal_id':'p1','vote':'approve'}", 0},
    {'C', "Vote", "{'proposal_id':'p2','vote':'ABSTAIN'}", 0},
    PROGRESS('A', "1.0", "votes counted"),
    COMMIT("decision.selected", "true"),
};
static const struct step decision_negative[] = {
    START("approve the release", ABC),
    {'A', "Proposal", "{'proposal_id':'p1','option':'release today'}", 0},
    {'B', "Evaluation", "{'proposal_id':'p1','recommendation':'BLOCK','confidence':0.99,'reason':'tests fail'}", 0},
    LLM('B', "300", "20"),
    {'C', "Objection", "{'proposal_id':'p1','reason':'data loss','severity':'critical'}", 0},
    {'B', "Vote", "{'proposal_id':'p1','vote':'REJECT'}", 0},
    {'C', "Vote", "{'proposal_id':'p1','vote':'REJECT'}", 0},
    COMMIT("decision.declined", "false"),
};
/* What hosted demo agents say: each tells when it begins and ends and how far it is. */
static const struct step decision_hosted[] = {
    START("approve the transfer", ABC),
    {'A', "Proposal", "{'proposal_id':'p1','option':'approve','rationale':'known customer'}", 0},
    SIGNAL('B', "session.started", "{'framework':'langgraph'}"),
    PROGRESS('B', "0.1", "reading the case"),
    PROGRESS('B', "0.3", "asking the model"),
    LLM('B', "180", "64"),
    {'B', "Evaluation", "{'proposal_id':'p1','recommendation':'APPROVE','confidence':0.9,'reason':'clean history'}", 0},
    PROGRESS('B', "0.75", "voting"),
    {'B', "Vote", "{'proposal_id':'p1','vote':'APPROVE','reason':'clean history'}", 0},
    PROGRESS('B', "1.0", "done"),
    SIGNAL('B', "session.ended", "{}"),
    SIGNAL('C', "session.started", "{'framework':'crewai'}"),
    LLM('C', "240", "90"),
    {'C', "Evaluation", "{'proposal_id':'p1','recommendation':'REVIEW','confidence':0.6,'reason':'large sum'}", 0},
    {'C', "Vote", "{'proposal_id':'p1','vote':'APPROVE'}", 0},
    SIGNAL('C', "session.ended", "{}"),
    SIGNAL('A', "session.context", "{'transactionAmount':2400,'deviceTrustScore':0.82}"),
    {'A', "Vote", "{'proposal_id':'p1','vote':'APPROVE'}", 0},
    COMMIT("approve", "true"),
};
static const struct step proposal_positive[] = {
    START("agree on a date", AB),
    {'A', "Proposal", "{'proposal_id':'p1','title':'Monday','summary':'first slot','tags':['early','remote']}", 0},
    {'B', "CounterProposal", "{'proposal_id':'p2','supersedes_proposal_id':'p1','title':'Tuesday','summary':'more time'}", 0},
    PROGRESS('A', "0.5", "comparing"),
    {'A', "Withdraw", "{'proposal_id':'p1','reason':'Tuesday is fine'}", 0},
    {'A', "Accept", "{'proposal_id':'p2','reason':'agreed'}", 0},
    SIGNAL('A', "calendar", "{'slot':'free'}"),
    {'B', "Accept", "{'proposal_id':'p2'}", 0},
    COMMIT("proposal.accepted", "true"),
};
static const struct step proposal_negative[] = {
    START("agree on a price", AB),
    {'A', "Proposal", "{'proposal_id':'p1','title':'100','details':{'currency':'EUR'}}", 0},
    {'B', "Reject", "{'proposal_id':'p1','reason':'too much'}", 0},
    {'A', "CounterProposal", "{'proposal_id':'p2','supersedes_proposal_id':'p1','title':'90'}", 0},
    {'B', "Reject", "{'proposal_id':'p2','terminal':true,'reason':'no budget'}", 0},
    COMMIT("proposal.rejected", "false"),
};
static const struct step task_positive[] = {
    START("summarise the report", AB),
    {'A', "TaskRequest", "{'task_id':'t1','title':'Summary','instructions':'one page','requested_assignee':'$B','input':{'doc':7},'deadline_unix_ms':$NOW}", 0},
    {'B', "TaskAccept", "{'task_id':'t1','assignee':'$B'}", 0},
    LLM('B', "900", "310"),
    {'B', "TaskUpdate", "{'task_id':'t1','status':'running','progress':0.5,'message':'half','partial_output':'draft'}", 0},
    PROGRESS('B', "0.75", "polishing"),
    {'B', "TaskUpdate", "{'task_id':'t1','status':'running','progress':0.9}", 0},
    {'B', "TaskComplete", "{'task_id':'t1','assignee':'$B','output':{'pages':1},'summary':'done'}", 0},
    COMMIT("task.completed", "true"),
};
static const struct step task_negative[] = {
    START("convert the archive", ABC),
    {'A', "TaskRequest", "{'task_id':'t1','title':'Convert'}", 0},
    {'C', "TaskReject", "{'task_id':'t1','reason':'busy'}", 0},
    {'B', "TaskAccept", "{'task_id':'t1'}", 0},
    {'B', "TaskUpdate", "{'task_id':'t1','status':'running','progress':0.1}", 0},
    {'B', "TaskFail", "{'task_id':'t1','error_code':'E_FORMAT','reason':'unknown format','retryable':true}", 0},
    COMMIT("task.failed", "false"),
};
static const struct step handoff_positive[] = {
    START("hand the ticket over", AB),
    {'A', "HandoffOffer", "{'handoff_id':'h1','target_participant':'$B','scope':'ticket 42','reason':'end of shift'}", 0},
    {'A', "HandoffContext", "{'handoff_id':'h1','content_type':'application/json','context':{'open':3}}", 0},
    SIGNAL('B', "presence", "'online'"),
    {'B', "HandoffAccept", "{'handoff_id':'h1','accepted_by':'$B','reason':'taking it'}", 0},
    {'A', "HandoffContext", "{'handoff_id':'h1','content_type':'text/plain','context':'call the customer'}", 0},
    COMMIT("handoff.accepted", "true"),
};
static const struct step handoff_negative[] = {
    START("hand the ticket over", AB),
    {'A', "HandoffOffer", "{'handoff_id':'h1','target_participant':'$B','scope':'ticket 43'}", 0},
    {'B', "HandoffDecline", "{'handoff_id':'h1','declined_by':'$B','reason':'not mine'}", 0},
    COMMIT("handoff.declined", "false"),
};
static const struct step handoff_implicit[] = {
    START("hand over, nobody answers", AB),
    {'A', "HandoffOffer", "{'handoff_id':'h1','target_participant':'$B','scope':'ticket 44'}", 0},
    {'B', "HandoffAccept", "{'handoff_id':'h1','accepted_by':'$B','reason':'implicit accept (timeout)','implicit':true}", STEP_RUNTIME},
    COMMIT("handoff.accepted", "true"),
};
static const struct step handoff_silent[] = {
    START("hand over, accepted without a word", AB),
    {'A', "HandoffOffer", "{'handoff_id':'h1','target_participant':'$B','scope':'ticket 45'}", 0},
    COMMIT("handoff.accepted", "true"),
};
static const struct step quorum_positive[] = {
    START("approve the deployment", BC),
    {'A', "ApprovalRequest", "{'request_id':'r1','action':'deploy','summary':'version 2','details':{'risk':'low'},'required_approvals':2}", 0},
    {'B', "Approve", "{'request_id':'r1','reason':'tests pass'}", 0},
    PROGRESS('B', "0.5", "one of two"),
    {'C', "Approve", "{'request_id':'r1'}", 0},
    COMMIT("quorum.approved", "true"),
};
static const struct step quorum_negative[] = {
    START("approve the purchase", BC),
    {'A', "ApprovalRequest", "{'request_id':'r1','action':'buy','summary':'a boat','required_approvals':2}", 0},
    {'B', "Reject", "{'request_id':'r1','reason':'no'}", 0},
    {'C', "Abstain", "{'request_id':'r1','reason':'no opinion'}", 0},
    COMMIT("quorum.rejected", "false"),
};
static const struct step multi_round_positive[] = {
    START("converge on a word", BC),
    {'B', "Contribute", "{'value':'build'}", 0},
    {'C', "Contribute", "{'value':'deploy'}", 0},
    LLM('B', "75", "12"),
    {'B', "Contribute", "{'value':'deploy'}", 0},
    COMMIT("multi_round.converged", "true"),
};
static const struct step multi_round_json[] = {
    START("converge, old and new agents", BC),
    {'B', "Contribute", "{'value':'deploy'}", STEP_TEXT},
    {'C', "Contribute", "{'value':'deploy'}", 0},
    {'B', "Contribute", "{'value':'deploy','round':2}", STEP_TEXT},
    {'C', "Contribute", "0a0d7b2276616c7565223a2278227d", STEP_HEX}, /* reads as both */
    COMMIT("multi_round.converged", "true"),
};
static const struct step multi_round_negative[] = {
    START("converge, in vain", BC),
    {'B', "Contribute", "{'value':'left'}", 0},
    {'C', "Contribute", "{'value':'right'}", 0},
    COMMIT("multi_round.failed", "false"),
};
static const struct step extension_positive[] = {
    START("an extension mode", AB),
    {'A', "Note", "{'text':'plain JSON','n':1}", STEP_TEXT},
    {'B', "Sketch", "not JSON at all", STEP_TEXT},
    {'B', "Blob", "fffe00c328", STEP_HEX}, /* no UTF-8 */
    {'B', "Empty", "", STEP_TEXT},
    {'A', "ToolCall", "{'toolName':'search','arguments':{'q':'macp'}}", STEP_TEXT},
    COMMIT("demo.done", "true"),
};
static const struct step odd_payloads[] = {
    START("things another runtime may let through", AB),
    {'B', "Brainstorm", "{'idea':'unknown type in a known mode'}", STEP_TEXT | STEP_FORCED},
    {'B', "Vote", "ffffffff", STEP_HEX | STEP_FORCED}, /* a known type that does not decode */
    {'B', "Proposal", "0a02c3281204626c7565", STEP_HEX | STEP_FORCED}, /* text that is no UTF-8 */
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue','supporting_data':{'hex':'00ff80'}}", 0},
    {'B', "Evaluation", "{'proposal_id':'p1','recommendation':'APPROVE','confidence':'nan'}", 0},
    {'C', "ToolResult", "{'ok':true}", STEP_TEXT | STEP_FORCED}, /* by somebody who is no participant */
    {'B', "Vote", "", STEP_TEXT | STEP_FORCED},
    COMMIT("decision.selected", "true"),
};
static const struct step refusals[] = {
    START("what is refused leaves no trace", AB),
    {'A', "SessionStart", "{'participants':['$A'],'ttl_ms':1000," VERSIONS "}", STEP_REFUSED},
    {'C', "Proposal", "{'proposal_id':'p0','option':'outsider'}", STEP_REFUSED},
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue'}", 0},
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue'}", STEP_AGAIN},
    {'B', "Nonsense", "{}", STEP_TEXT | STEP_REFUSED},
    {'B', "Commitment", "{'commitment_id':'c0','action':'decision.selected','authority_scope':'s','reason':'r'," VERSIONS ",'outcome_positive':true}", STEP_REFUSED},
    {'A', "Commitment", "{'commitment_id':'c0','action':'decision.selected','authority_scope':'s','reason':'r'," VERSIONS "}", STEP_REFUSED},
    COMMIT("decision.selected", "true"),
    {'B', "Vote", "{'proposal_id':'p1','vote':'APPROVE'}", STEP_REFUSED},
};
static const struct step signals_only[] = {
    START("side channels", AB),
    {'A', "Signal", "{'signal_type':'heartbeat','data':'{}','confidence':0.75}", STEP_AMBIENT}, /* no correlation */
    {'A', "Signal", "", STEP_AMBIENT | STEP_TEXT},
    SIGNAL('B', "note", "{'hex':'fffe'}"),
    {'B', "Progress", "{'progress_token':'all','progress':3,'total':9,'message':'ambient'}", STEP_AMBIENT},
    {'B', "Progress", "{'progress_token':'x','progress':'nan','total':'inf','target_message_id':'m'}", 0},
    PROGRESS('B', "0.5", "half way"),
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue'}", 0},
    COMMIT("decision.approved", "true"),
};
static const struct step cancelled[] = {
    START("cancelled half way", AB),
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue'}", 0},
    CONTROL("cancel"),
};
static const struct step suspended[] = {
    START("paused and resumed", AB),
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue'}", 0},
    CONTROL("suspend"),
    {'B', "Vote", "{'proposal_id':'p1','vote':'APPROVE'}", STEP_REFUSED},
    SIGNAL('B', "attention", "{'while':'paused'}"),
    CONTROL("resume"),
    {'B', "Vote", "{'proposal_id':'p1','vote':'APPROVE'}", 0},
    COMMIT("decision.selected", "true"),
};
static const struct step suspended_cancelled[] = {
    START("paused, then cancelled", AB),
    CONTROL("suspend"),
    CONTROL("cancel"),
};
static const struct step expired[] = {
    START("runs out of time", AB),
    {'B', "Proposal", "{'proposal_id':'p1','option':'blue'}", 0},
    CONTROL("expire"),
};

#define SCRIPT(name, mode, steps, doc) {name, mode, doc, steps, ARRAY_LEN(steps)}

const struct script scripts[] = {
    SCRIPT("decision.minimal",     MODE_DECISION, decision_minimal,     "two agents, six envelopes"),
    SCRIPT("decision.positive",    MODE_DECISION, decision_positive,    "three agents, evaluations, objection, votes, selected"),
    SCRIPT("decision.negative",    MODE_DECISION, decision_negative,    "blocked and declined"),
    SCRIPT("decision.hosted",      MODE_DECISION, decision_hosted,      "three agents that report on themselves, approved"),
    SCRIPT("proposal.positive",    MODE_PROPOSAL, proposal_positive,    "counter-proposal accepted by all"),
    SCRIPT("proposal.negative",    MODE_PROPOSAL, proposal_negative,    "terminal rejection"),
    SCRIPT("task.positive",        MODE_TASK, task_positive,            "accepted, updated, completed"),
    SCRIPT("task.negative",        MODE_TASK, task_negative,            "rejected by one, failed by another"),
    SCRIPT("handoff.positive",     MODE_HANDOFF, handoff_positive,      "offered with context, accepted"),
    SCRIPT("handoff.negative",     MODE_HANDOFF, handoff_negative,      "declined"),
    SCRIPT("handoff.implicit",     MODE_HANDOFF, handoff_implicit,      "accepted by the runtime when the offer timed out"),
    SCRIPT("handoff.silent",       MODE_HANDOFF, handoff_silent,        "the same on an older runtime: no acceptance is seen"),
    SCRIPT("quorum.positive",      MODE_QUORUM, quorum_positive,        "enough approvals"),
    SCRIPT("quorum.negative",      MODE_QUORUM, quorum_negative,        "cannot be reached any more"),
    SCRIPT("multi_round.positive", MODE_MULTI_ROUND, multi_round_positive, "two rounds, converged"),
    SCRIPT("multi_round.json",     MODE_MULTI_ROUND, multi_round_json,  "contributions as JSON and as messages"),
    SCRIPT("multi_round.negative", MODE_MULTI_ROUND, multi_round_negative, "never converges"),
    SCRIPT("extension.positive",   MODE_DEMO, extension_positive,       "unknown types; JSON, text, bytes, nothing"),
    SCRIPT("odd.payloads",         MODE_DECISION, odd_payloads,         "undecodable, not UTF-8, NaN, unknown types in a known mode"),
    SCRIPT("odd.refusals",         MODE_DECISION, refusals,             "refused and repeated envelopes between good ones"),
    SCRIPT("odd.signals",          MODE_DECISION, signals_only,         "signals and progress of every shape"),
    SCRIPT("session.cancel",       MODE_DECISION, cancelled,            "cancelled"),
    SCRIPT("session.suspend",      MODE_DECISION, suspended,            "suspended, resumed, decided"),
    SCRIPT("session.suspend_cancel", MODE_DECISION, suspended_cancelled, "suspended, then cancelled"),
    SCRIPT("session.expire",       MODE_DECISION, expired,              "expired"),
};
// clang-format on

const size_t scripts_count = ARRAY_LEN(scripts);

const struct script *
script_find(const char *name)
{
    for (size_t i = 0; i < scripts_count; i++) {
        if (strcmp(scripts[i].name, name) == 0)
            return &scripts[i];
    }
    return NULL;
}
