#include "shared/facts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/json.h"
#include "shared/key.h"
#include "shared/metrics.h"
#include "shared/projection_state.h"
#include "shared/uuid.h"

/* An event, before it is folded. */
struct fact_source {
    const struct projection *p;
    const struct event *e;
    const json_t *data, *payload; /* NULL when absent */
    const struct price_list *prices;
    struct arena *arena;
};

/* --- values ------------------------------------------------------------------------------ */

static void
put_number(struct fact_value *out, double n)
{
    out->null = !isfinite(n);
    out->number = n > FACTS_NUMBER_MAX    ? FACTS_NUMBER_MAX
                  : n < -FACTS_NUMBER_MAX ? -FACTS_NUMBER_MAX
                                          : n;
}

static void
put_text(struct fact_value *out, const char *p, size_t n)
{
    out->null = false;
    out->text.p = p;
    out->text.n = n;
}

static void
put_key(struct arena *arena, struct fact_value *out, const char *p, size_t n)
{
    char hash[KEY_HASH_LEN];
    size_t key_n;
    const char *key = key_text(p, n, hash, &key_n);

    put_text(out, key == hash ? arena_strndup(arena, hash, key_n) : p, key_n);
}

/* Texts are borrowed where they are strings, else made. An empty one says nothing. */
static void
put_json(const struct fact_source *s, enum fact_type type, const json_t *v, struct fact_value *out)
{
    AUTO_BUF made = {0};
    struct view text;

    if (jv_nullish(v))
        return;
    if (type == FACT_DOUBLE) {
        put_number(out, value_num(v));
        return;
    }
    text = value_view(v, "", &made);
    if (!text.n)
        return;
    if (!json_is_string(v))
        text.p = arena_strndup(s->arena, text.p, text.n);
    if (type == FACT_KEY)
        put_key(s->arena, out, text.p, text.n);
    else
        put_text(out, text.p, text.n);
}

/* --- rules ------------------------------------------------------------------------------- */

static void
rule_seq(const struct fact_source *s, struct fact_value *out)
{
    *out = (struct fact_value){.integer = s->e->seq};
}

static void
rule_ts(const struct fact_source *s, struct fact_value *out)
{
    *out = (struct fact_value){.integer = s->e->ts_ms};
}

static struct view
action_of(const struct fact_source *s)
{
    const json_t *v = jv_first_of(s->payload, "action");
    AUTO_BUF made = {0};
    struct view action = value_view(v, "resolved", &made);

    if (v && !json_is_string(v))
        action.p = arena_strndup(s->arena, action.p, action.n);
    return action;
}

static void
rule_action(const struct fact_source *s, struct fact_value *out)
{
    struct view action = action_of(s);

    put_text(out, action.p, action.n);
}

static void
rule_outcome(const struct fact_source *s, struct fact_value *out)
{
    enum outcome outcome = decision_outcome(s->payload, action_of(s));

    out->null = outcome != OUTCOME_TRUE && outcome != OUTCOME_FALSE;
    out->truth = outcome == OUTCOME_TRUE;
}

/* The commitment that stands is as confident as its voters when it does not say so itself. */
static void
rule_decision_confidence(const struct fact_source *s, struct fact_value *out)
{
    put_number(out, s->p->decision.finalized ? value_num(jv_get(s->payload, "confidence"))
                                             : decision_confidence(s->p, s->payload));
}

static void
rule_final(const struct fact_source *s, struct fact_value *out)
{
    *out = (struct fact_value){.truth = !s->p->decision.finalized};
}

static enum vote
vote_of(const struct fact_source *s)
{
    AUTO_BUF made = {0};

    return decision_vote(value_view(jv_first_of(s->data, "messageType"), "", &made), s->payload);
}

static void
rule_vote(const struct fact_source *s, struct fact_value *out)
{
    const char *word = vote_of(s) == VOTE_ALLOW ? "allow" : "deny";

    put_text(out, word, strlen(word));
}

static void
put_subject(const struct fact_source *s, enum fact_type type, const json_t *named,
            struct fact_value *out)
{
    const char *subject = s->e->subject_id;

    if (named || !subject)
        put_json(s, type, named, out);
    else
        put_key(s->arena, out, subject, strlen(subject));
}

static void
rule_proposal(const struct fact_source *s, struct fact_value *out)
{
    put_subject(s, FACT_KEY, decision_proposal(s->payload), out);
}

/* Signals without an id of their own are known by that of their event. */
static void
rule_signal_id(const struct fact_source *s, struct fact_value *out)
{
    const char *id = s->e->subject_id ? s->e->subject_id : s->e->id;
    char computed[UUID_LEN];

    if (!id && projection_event_id(s->p, s->e->seq, computed))
        id = arena_strdup(s->arena, computed);
    if (id)
        put_key(s->arena, out, id, strlen(id));
}

static void
rule_signal_name(const struct fact_source *s, struct fact_value *out)
{
    const json_t *type = jv_first_of(s->payload, "signalType");

    put_text(out, "Signal", 6);
    put_json(s, FACT_TEXT, type ? type : jv_first_of(s->data, "messageType"), out);
}

static void
rule_acknowledged(const struct fact_source *s, struct fact_value *out)
{
    put_subject(s, FACT_KEY, jv_first_of(s->payload, "signalId", "signal_id"), out);
}

static double
tokens(const struct fact_source *s, const char *key)
{
    double n = value_num(jv_get(s->payload, key));

    return isnan(n) ? 0 : n;
}

static void
rule_prompt_tokens(const struct fact_source *s, struct fact_value *out)
{
    put_number(out, tokens(s, "promptTokens"));
}

static void
rule_completion_tokens(const struct fact_source *s, struct fact_value *out)
{
    put_number(out, tokens(s, "completionTokens"));
}

static void
rule_total_tokens(const struct fact_source *s, struct fact_value *out)
{
    double total = value_num(jv_get(s->payload, "totalTokens"));
    struct fact_value prompt, completion;

    rule_prompt_tokens(s, &prompt);
    rule_completion_tokens(s, &completion);
    put_number(out, isnan(total) ? prompt.number + completion.number : total);
}

static void
rule_list_cost(const struct fact_source *s, struct fact_value *out)
{
    double cost = metrics_call_cost(s->e, s->prices);

    put_number(out, isnan(cost) ? 0 : isinf(cost) ? copysign(FACTS_NUMBER_MAX, cost) : cost);
}

/* --- tables ------------------------------------------------------------------------------ */

// clang-format off
#define SEQ_AND_TS {"seq", FACT_INT4, rule_seq, {0}, 0}, {"ts", FACT_TIME, rule_ts, {0}, 0}
#define SENDER(name) {name, FACT_KEY, NULL, {"sender"}, true}

const struct fact_layout fact_layouts[FACT__COUNT] = {
    [FACT_DECISION] = {9, {
        SEQ_AND_TS,
        {"commitment_id", FACT_KEY, NULL, {"commitmentId"}, 0},
        {"action", FACT_TEXT, rule_action, {0}, 0},
        {"outcome_positive", FACT_BOOL, rule_outcome, {0}, 0},
        {"confidence", FACT_DOUBLE, rule_decision_confidence, {0}, 0},
        SENDER("decided_by"),
        {"reason", FACT_TEXT, NULL, {"reason"}, 0},
        {"final", FACT_BOOL, rule_final, {0}, 0},
    }},
    [FACT_VOTE] = {6, {
        SEQ_AND_TS,
        {"proposal_id", FACT_KEY, rule_proposal, {0}, 0},
        SENDER("participant_id"),
        {"message_type", FACT_TEXT, NULL, {"messageType"}, true},
        {"vote", FACT_TEXT, rule_vote, {0}, 0},
    }},
    [FACT_SIGNAL] = {6, {
        SEQ_AND_TS,
        {"signal_id", FACT_KEY, rule_signal_id, {0}, 0},
        {"name", FACT_TEXT, rule_signal_name, {0}, 0},
        SENDER("participant_id"),
        {"confidence", FACT_DOUBLE, NULL, {"confidence"}, 0},
    }},
    [FACT_ACKNOWLEDGEMENT] = {4, {
        SEQ_AND_TS,
        {"signal_id", FACT_KEY, rule_acknowledged, {0}, 0},
        SENDER("acknowledged_by"),
    }},
    [FACT_LLM_CALL] = {11, {
        SEQ_AND_TS,
        SENDER("participant_id"),
        {"model", FACT_TEXT, NULL, {"model"}, 0},
        {"provider", FACT_TEXT, NULL, {"provider"}, 0},
        {"prompt_tokens", FACT_DOUBLE, rule_prompt_tokens, {0}, 0},
        {"completion_tokens", FACT_DOUBLE, rule_completion_tokens, {0}, 0},
        {"total_tokens", FACT_DOUBLE, rule_total_tokens, {0}, 0},
        {"latency_ms", FACT_DOUBLE, NULL, {"latencyMs"}, 0},
        {"estimated_cost_usd", FACT_DOUBLE, rule_list_cost, {0}, 0},
        {"reported_cost_usd", FACT_DOUBLE, NULL, {"estimatedCostUsd"}, 0},
    }},
    /* Filled from the state, not from one event: see facts_next_participant. */
    [FACT_PARTICIPANT] = {6, {
        {"participant_id", FACT_KEY, NULL, {0}, 0},
        {"declared", FACT_BOOL, NULL, {0}, 0},
        {"status", FACT_TEXT, NULL, {0}, 0},
        {"messages", FACT_INT8, NULL, {0}, 0},
        {"first_seen_at", FACT_TIME, NULL, {0}, 0},
        {"last_active_at", FACT_TIME, NULL, {0}, 0},
    }},
};
// clang-format on

static bool
is_vote(const struct fact_source *s)
{
    return vote_of(s) != VOTE_NONE;
}

static bool
names_a_signal(const struct fact_source *s)
{
    struct fact_value id = {.null = true};

    rule_acknowledged(s, &id);
    return !id.null;
}

static bool
is_call(const struct fact_source *s)
{
    return jv_truthy(s->payload);
}

static const struct fact_rule {
    enum event_type type;
    enum fact_table table;
    bool (*applies)(const struct fact_source *s); /* NULL: always */
} fact_rules[] = {
    {EVENT_DECISION_FINALIZED, FACT_DECISION, NULL},
    {EVENT_PROPOSAL_CREATED, FACT_VOTE, is_vote},
    {EVENT_PROPOSAL_UPDATED, FACT_VOTE, is_vote},
    {EVENT_SIGNAL_EMITTED, FACT_SIGNAL, NULL},
    {EVENT_SIGNAL_ACKNOWLEDGED, FACT_ACKNOWLEDGEMENT, names_a_signal},
    {EVENT_LLM_CALL_COMPLETED, FACT_LLM_CALL, is_call},
};

static void
fill(const struct fact_source *s, const struct fact_column *c, struct fact_value *out)
{
    *out = (struct fact_value){.null = true};
    if (c->rule) {
        c->rule(s, out);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(c->keys) && c->keys[i] && out->null; i++)
        put_json(s, c->type, jv_get(c->data ? s->data : s->payload, c->keys[i]), out);
}

static bool
read_fact(const struct projection *p, const struct event *e, const struct price_list *prices,
          struct arena *arena, struct fact *out)
{
    for (size_t i = 0; i < ARRAY_LEN(fact_rules); i++) {
        const struct fact_rule *rule = &fact_rules[i];
        const struct fact_layout *layout = &fact_layouts[rule->table];
        struct fact_source s = {p, e, e->data, NULL, prices, arena};

        if (rule->type != e->type)
            continue;
        s.payload = jv_get(e->data, "decodedPayload");
        if (rule->applies && !rule->applies(&s))
            return false;
        out->table = rule->table;
        for (int c = 0; c < layout->n; c++)
            fill(&s, &layout->columns[c], &out->values[c]);
        return true;
    }
    return false;
}

/* --- participants ------------------------------------------------------------------------ */

static void
note_new_participants(struct facts *f, const struct projection *p, int64_t ts_ms)
{
    while (f->n < p->n_participants) {
        if (f->n == f->cap) {
            f->cap = f->cap ? f->cap * 2 : 4;
            f->participants = xrealloc(f->participants, f->cap * sizeof *f->participants);
        }
        f->participants[f->n++] = (struct fact_participant){.first_seen_ms = ts_ms, .status = -1};
    }
}

/* The entry of the participant with that name; NULL when the projection has none. */
static struct fact_participant *
participant_of(struct facts *f, const struct projection *p, struct view id)
{
    const struct name *name = name_find(&p->names, id);

    return name && name->participant >= 0 ? &f->participants[name->participant] : NULL;
}

static void
note_announced(struct facts *f, const struct projection *p, const struct event *e)
{
    const json_t *id = jv_first_of(e->data, "participantId");
    bool own = e->source_kind && strcmp(e->source_kind, EVENT_SOURCE_RUNTIME) != 0;
    AUTO_BUF made = {0};
    struct fact_participant *who =
        own ? participant_of(f, p, value_view(id, e->subject_id ? e->subject_id : "", &made))
            : NULL;

    if (who && !who->declared)
        who->declared = who->changed = true;
}

static void
note_message(struct facts *f, const struct projection *p, const struct event *e)
{
    AUTO_BUF made = {0};
    struct view sender = value_view(jv_first_of(e->data, "sender", "from"), "", &made);
    struct fact_participant *who = sender.n ? participant_of(f, p, sender) : NULL;

    if (!who)
        return;
    who->messages++;
    who->last_active_ms = e->ts_ms;
    who->changed = true;
}

bool
facts_fold(struct facts *f, struct projection *p, const struct event *e,
           const struct price_list *prices, struct arena *arena, struct fact *out)
{
    /* Before the fold: the first commitment is the one that finds the decision open. */
    bool any = out && read_fact(p, e, prices, arena, out);

    projection_fold(p, e);
    note_new_participants(f, p, e->ts_ms);
    if (e->type == EVENT_PARTICIPANT_SEEN)
        note_announced(f, p, e);
    else if (e->type == EVENT_MESSAGE_RECEIVED || e->type == EVENT_MESSAGE_SENT)
        note_message(f, p, e);
    return any;
}

bool
facts_next_participant(struct facts *f, const struct projection *p, uint32_t *at,
                       struct arena *arena, struct fact *out)
{
    for (; *at < f->n; (*at)++) {
        struct fact_participant *who = &f->participants[*at];
        const struct participant *known = &p->participants[*at];
        struct fact_value *v = out->values;

        if (!who->changed && who->status == (int8_t)known->status)
            continue;
        who->changed = false;
        who->status = (int8_t)known->status;
        out->table = FACT_PARTICIPANT;
        put_key(arena, v++, known->id->p, known->id->len);
        *v++ = (struct fact_value){.truth = who->declared};
        put_text(v, node_status_names[known->status], strlen(node_status_names[known->status]));
        v++;
        *v++ = (struct fact_value){.integer = who->messages};
        *v++ = (struct fact_value){.integer = who->first_seen_ms};
        *v = (struct fact_value){.integer = who->last_active_ms, .null = !who->last_active_ms};
        (*at)++;
        return true;
    }
    return false;
}

/* By its name, or by the hash that stands for a long one. */
static struct fact_participant *
find_stored(struct facts *f, const struct projection *p, const char *id)
{
    struct fact_participant *who = participant_of(f, p, view_of(id));

    for (uint32_t i = 0; !who && i < p->n_participants; i++) {
        const struct name *name = p->participants[i].id;
        char hash[KEY_HASH_LEN];
        size_t n;

        if (name->len > KEY_TEXT_MAX && strcmp(key_text(name->p, name->len, hash, &n), id) == 0)
            who = &f->participants[i];
    }
    return who;
}

void
facts_load_participant(struct facts *f, const struct projection *p,
                       const struct fact_participant_row *row)
{
    struct fact_participant *who;

    note_new_participants(f, p, row->first_seen_ms);
    who = find_stored(f, p, row->id);
    if (!who)
        return;
    *who = (struct fact_participant){
        .messages = row->messages,
        .first_seen_ms = row->first_seen_ms,
        .last_active_ms = row->last_active_ms,
        .declared = row->declared,
        .status = -1,
    };
    for (int i = 0; i < NODE_STATUS__COUNT; i++)
        if (strcmp(node_status_names[i], row->status) == 0)
            who->status = (int8_t)i;
}

void
facts_fini(struct facts *f)
{
    free(f->participants);
    *f = (struct facts){0};
}
