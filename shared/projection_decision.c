/* Reducers of proposals and commitments: contributions, votes, the outcome. */
#include "shared/projection_state.h"

#include <math.h>

#include "shared/json.h"

/* Members that name the proposal a message is about, in the order they are looked for. */
static const char *const proposal_keys[] = {
    "proposalId", "proposal_id", "requestId", "request_id",
    "taskId",     "task_id",     "handoffId", "handoff_id",
};

/* --- what a message means ----------------------------------------------------------------- */

static const struct vote_rule {
    enum vote vote;
    const char *words[4]; /* said in the payload, any case */
    const char *types[4]; /* or meant by the message type */
} vote_rules[] = {
    {VOTE_ALLOW,
     {"approve", "accept", "allow", "yes"},
     {"Accept", "Approve", "TaskAccept", "HandoffAccept"}},
    {VOTE_DENY, {"reject", "deny", "block", "no"}, {"Reject", "TaskReject", "HandoffDecline"}},
};

enum vote
decision_vote(struct view message_type, const json_t *payload)
{
    AUTO_BUF scratch = {0};
    struct view word = value_view(jv_first_of(payload, "vote", "recommendation"), "", &scratch);

    for (size_t i = 0; i < ARRAY_LEN(vote_rules); i++)
        if (view_in(word, vote_rules[i].words, ARRAY_LEN(vote_rules[i].words)))
            return vote_rules[i].vote;
    for (size_t i = 0; i < ARRAY_LEN(vote_rules); i++)
        for (size_t k = 0; k < ARRAY_LEN(vote_rules[i].types) && vote_rules[i].types[k]; k++)
            if (view_is(message_type, vote_rules[i].types[k]))
                return vote_rules[i].vote;
    return VOTE_NONE;
}

static struct view
infer_action(struct view message_type, const json_t *payload, struct buf *scratch)
{
    const json_t *said = jv_first_of(payload, "vote", "recommendation");

    if (!jv_truthy(said))
        said = jv_first_of(payload, "action", "option", "revisedAction");
    if (jv_truthy(said))
        return value_view(said, "", scratch);
    return message_type.n ? message_type : view_of("contribution");
}

static void
add_reason(struct buf *json, const json_t *v)
{
    if (!json_is_string(v) || !json_string_length(v))
        return;
    if (json->len > 1)
        buf_char(json, ',');
    jv_write(json, v);
}

/* The texts that explain a contribution, as a JSON array. */
static struct text *
infer_reasons(struct names *names, const json_t *payload)
{
    const json_t *more = jv_get(payload, "reasons");
    AUTO_BUF json = {0};

    buf_char(&json, '[');
    add_reason(&json, jv_get(payload, "reason"));
    add_reason(&json, jv_get(payload, "rationale"));
    add_reason(&json, jv_get(payload, "summary"));
    for (size_t i = 0; i < json_array_size(more); i++)
        add_reason(&json, json_array_get(more, i));
    buf_char(&json, ']');
    return text_new(names, (struct view){json.p, json.len});
}

/* By the last word of a dotted action. */
static enum outcome
infer_outcome(struct view action)
{
    static const char *const positive[] = {"approve",  "approved", "accept",
                                           "accepted", "selected", "completed"};
    static const char *const negative[] = {"reject", "rejected", "decline", "declined", "failed"};
    const char *dot = memrchr(action.p, '.', action.n);
    struct view word = action;

    if (dot)
        word = (struct view){dot + 1, action.n - (size_t)(dot + 1 - action.p)};
    if (view_in(word, positive, ARRAY_LEN(positive)))
        return OUTCOME_TRUE;
    return view_in(word, negative, ARRAY_LEN(negative)) ? OUTCOME_FALSE : OUTCOME_NULL;
}

const json_t *
decision_proposal(const json_t *payload)
{
    return jv_first(payload, proposal_keys, ARRAY_LEN(proposal_keys));
}

enum outcome
decision_outcome(const json_t *payload, struct view action)
{
    const json_t *said = jv_first_of(payload, "outcomePositive", "outcome_positive");

    return !said ? infer_outcome(action) : jv_truthy(said) ? OUTCOME_TRUE : OUTCOME_FALSE;
}

/* --- contributions ------------------------------------------------------------------------ */

struct share {
    double allow, votes;
};

static void
share_add(struct share *share, enum vote vote)
{
    share->votes += vote != VOTE_NONE;
    share->allow += vote == VOTE_ALLOW;
}

/* Of the contributions kept, which are at most 50. */
static struct share
share_of_allow(const struct projection *p)
{
    struct share share = {0};

    for (uint32_t i = 0; i < p->rings[RING_CONTRIBUTIONS].n; i++) {
        const struct contribution *c = ring_at(p, RING_CONTRIBUTIONS, i);

        share_add(&share, c->vote);
    }
    return share;
}

static void
put_reason(struct projection *p, struct view reason)
{
    AUTO_BUF json = {0};

    buf_char(&json, '[');
    buf_json_n(&json, reason.p, reason.n);
    buf_char(&json, ']');
    text_set(&p->names, &p->decision.reasons_json, (struct view){json.p, json.len});
}

static void
add_contribution(struct reduction *r, struct view message_type, struct name *sender, enum vote vote,
                 double confidence)
{
    struct names *names = &r->p->names;
    AUTO_BUF scratch = {0};
    struct contribution *c = ring_push(r->p, RING_CONTRIBUTIONS);

    c->participant = name_ref(sender);
    c->action = text_new(names, infer_action(message_type, r->payload, &scratch));
    c->confidence = isnan(confidence) && view_is(message_type, "Vote") ? 1 : confidence;
    c->reasons_json = infer_reasons(names, r->payload);
    c->ts = text_ref(r->ts);
    c->vote = vote;
    c->message_type = message_type.n ? name_intern(names, message_type) : NULL;
    r->p->decision.has_proposals = true;
}

/* What the decision shows while nothing is committed: the proposal touched last. */
static void
update_decision(struct reduction *r, struct view proposal, double confidence)
{
    struct names *names = &r->p->names;
    struct decision *d = &r->p->decision;
    AUTO_BUF scratch = {0};
    const json_t *said = jv_first_of(r->payload, "reason", "summary", "rationale");
    struct view reason = value_view(said, r->type->p, &scratch);

    text_set(names, &d->action,
             proposal.n         ? proposal
             : r->e->subject_id ? view_of(r->e->subject_id)
                                : view_of("proposal"));
    if (!isnan(confidence))
        d->confidence = confidence;
    if (reason.n)
        put_reason(r->p, reason);
    else
        text_set(names, &d->reasons_json, view_of("[]"));
    d->finalized = false;
    text_set(names, &d->proposal_id, proposal);
}

static void
count_vote(struct projection *p, struct view proposal, struct name *sender,
           struct view message_type, enum vote vote)
{
    struct name *id = name_intern(&p->names, proposal);
    struct name *type = name_intern(&p->names, message_type);
    struct tally *t = tally_of(p, id);

    if (t) {
        tally_vote(p, t, sender, type, vote);
        tally_count(p, t);
        if (p->policy.quorum == QUORUM_ABSENT)
            p->policy.quorum = QUORUM_PENDING;
    }
    name_unref(&p->names, type);
    name_unref(&p->names, id);
}

void
reduce_proposal(struct reduction *r)
{
    struct projection *p = r->p;
    AUTO_BUF type_text = {0}, sender_text = {0}, proposal_text = {0};
    struct view message_type = value_view(jv_first_of(r->data, "messageType"), "", &type_text);
    struct view proposal = reduction_str(r, decision_proposal(r->payload), &proposal_text);
    struct name *sender =
        name_intern(&p->names, value_view(jv_first_of(r->data, "sender"), "", &sender_text));
    double explicit = value_num(jv_get(r->payload, "confidence"));
    enum vote vote = decision_vote(message_type, r->payload);
    struct share share = share_of_allow(p); /* with the oldest, which the new one may push out */

    share_add(&share, vote);
    p->decision.present = true;
    add_contribution(r, message_type, sender, vote, explicit);
    if (!p->decision.finalized)
        update_decision(r, proposal, share.votes > 0 ? share.allow / share.votes : explicit);
    if (vote != VOTE_NONE && proposal.n)
        count_vote(p, proposal, sender, message_type, vote);
    name_unref(&p->names, sender);
}

/* --- commitment --------------------------------------------------------------------------- */

static void
note_supersedes(struct reduction *r)
{
    const json_t *v = jv_get(r->payload, "supersedes");
    AUTO_BUF session_text = {0}, hash_text = {0}, json = {0};
    struct view session = value_view(jv_first_of(v, "sessionId", "session_id"), "", &session_text);
    struct view hash =
        value_view(jv_first_of(v, "commitmentHash", "commitment_hash"), "", &hash_text);

    if (!session.n && !hash.n)
        return;
    buf_lit(&json, "{\"sessionId\":");
    buf_json_n(&json, session.p, session.n);
    buf_lit(&json, ",\"commitmentHash\":");
    buf_json_n(&json, hash.p, hash.n);
    buf_char(&json, '}');
    text_set(&r->p->names, &r->p->decision.supersedes_json, (struct view){json.p, json.len});
}

double
decision_confidence(const struct projection *p, const json_t *payload)
{
    double explicit = value_num(jv_get(payload, "confidence"));
    struct share share = share_of_allow(p);

    if (!isnan(explicit))
        return explicit;
    return share.votes > 0 ? share.allow / share.votes : p->decision.confidence;
}

static void
settle_policy(struct reduction *r, enum outcome outcome)
{
    struct policy *policy = &r->p->policy;

    policy->outcome = outcome;
    if (!policy->resolved_at)
        policy->resolved_at = text_ref(r->ts);
    if (policy->quorum == QUORUM_ABSENT || policy->quorum == QUORUM_PENDING)
        policy->quorum = outcome == OUTCOME_FALSE ? QUORUM_FAILED : QUORUM_REACHED;
}

/* The first commitment stands. */
void
reduce_decision(struct reduction *r)
{
    struct names *names = &r->p->names;
    struct decision *d = &r->p->decision;
    AUTO_BUF action_text = {0}, reason_text = {0}, id_text = {0};
    const json_t *id = jv_first_of(r->payload, "commitmentId");
    const json_t *sender = jv_first_of(r->data, "sender");
    struct view action = value_view(jv_first_of(r->payload, "action"), "resolved", &action_text);

    if (d->finalized)
        return;
    d->outcome = decision_outcome(r->payload, action);
    d->confidence = decision_confidence(r->p, r->payload);
    d->present = d->finalized = true;
    text_set(names, &d->action, action);
    put_reason(r->p,
               value_view(jv_first_of(r->payload, "reason"), "Commitment observed", &reason_text));
    if (id || !d->proposal_id)
        text_set(names, &d->proposal_id, value_view(id, "", &id_text));
    text_put(names, &d->resolved_at, text_ref(r->ts));
    text_put(names, &d->resolved_by_json, text_new_json(names, sender));
    note_supersedes(r);
    if (!r->p->terminal)
        projection_set_status(r->p, "\"completed\"");
    settle_policy(r, d->outcome);
}

int
projection_outcome(const struct projection *p)
{
    if (!p->decision.finalized)
        return -1;
    return p->decision.outcome == OUTCOME_TRUE ? 1 : p->decision.outcome == OUTCOME_FALSE ? 0 : -1;
}
