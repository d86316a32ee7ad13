#include "shared/metrics.h"

#include <string.h>

#include "shared/json.h"

static double
token_count(const json_t *call, const char *key)
{
    double n = 0;

    return jv_opt_num(jv_get(call, key), &n) ? n : 0;
}

double
metrics_call_cost(const struct event *e, const struct price_list *prices)
{
    const json_t *call = jv_get(e->data, "decodedPayload");
    double prompt = token_count(call, "promptTokens");
    double completion = token_count(call, "completionTokens");

    if (!(prompt > 0) && !(completion > 0))
        return 0;
    return price_of_call(prices, e->cost_model ? e->cost_model : jv_cstr(jv_get(call, "model")),
                         prompt, completion);
}

static void
count_tokens(struct metrics *m, const struct event *e, const struct price_list *prices)
{
    const json_t *call = jv_get(e->data, "decodedPayload");
    double prompt = token_count(call, "promptTokens");
    double completion = token_count(call, "completionTokens");

    if (!(prompt > 0) && !(completion > 0))
        return;
    m->prompt_tokens += prompt;
    m->completion_tokens += completion;
    m->total_tokens += prompt + completion;
    m->estimated_cost_usd += metrics_call_cost(e, prices);
}

/* --- fold -------------------------------------------------------------------------------- */

static bool
starts_with(const struct event *e, const char *prefix)
{
    const char *name = e->type_name ? e->type_name : event_type_name(e->type);

    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool
is_text(const json_t *v, const char *expected)
{
    const char *text = jv_cstr(v);

    return text && strcmp(text, expected) == 0;
}

static void
note_session_state(struct metrics *m, const json_t *state)
{
    static const char *const final[] = {"SESSION_STATE_RESOLVED", "SESSION_STATE_EXPIRED",
                                        "SESSION_STATE_CANCELLED"};
    const char *text = jv_cstr(state);
    size_t n;

    if (!text)
        return;
    n = strlen(text);
    if (n >= sizeof m->session_state) { /* no state we know; cut between code points */
        n = sizeof m->session_state - 1;
        while (n && ((unsigned char)text[n] & 0xC0) == 0x80)
            n--;
    }
    memcpy(m->session_state, text, n);
    m->session_state[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(final); i++)
        m->frozen = m->frozen || strcmp(text, final[i]) == 0;
}

void
metrics_fold(struct metrics *m, const struct event *e, const struct price_list *prices)
{
    bool ending = e->type == EVENT_RUN_COMPLETED || e->type == EVENT_RUN_FAILED ||
                  e->type == EVENT_RUN_CANCELLED;

    m->event_count++;
    /* By prefix: foreign data may hold further types of the same families. */
    m->message_count += starts_with(e, "message.");
    m->proposal_count += starts_with(e, "proposal.");
    m->tool_call_count += starts_with(e, "tool.");
    m->signal_count += e->type == EVENT_SIGNAL_EMITTED;
    m->decision_count += e->type == EVENT_DECISION_FINALIZED || e->type == EVENT_DECISION_PROPOSED;
    m->stream_reconnect_count += e->type == EVENT_SESSION_STREAM_OPENED &&
                                 is_text(jv_get(e->data, "status"), "reconnecting");
    if (!m->has_events)
        m->first_event_ms = m->last_event_ms = e->ts_ms;
    m->has_events = true;
    if (!m->frozen || (ending && !m->ended))
        m->last_event_ms = e->ts_ms;
    if (e->type == EVENT_SESSION_STATE_CHANGED)
        note_session_state(m, jv_get(e->data, "state"));
    if (ending)
        m->frozen = m->ended = true;
    if (e->type == EVENT_LLM_CALL_COMPLETED)
        count_tokens(m, e, prices);
}

/* --- summary ----------------------------------------------------------------------------- */

static void
write_count(struct buf *out, const char *name, double n)
{
    buf_char(out, ',');
    buf_json(out, name);
    buf_char(out, ':');
    jv_write_number(out, n);
}

static void
write_time(struct buf *out, const char *name, const int64_t *ms)
{
    char text[CLOCK_TEXT_LEN];

    buf_char(out, ',');
    buf_json(out, name);
    buf_char(out, ':');
    buf_json(out, ms ? clock_text(*ms, text) : NULL);
}

void
metrics_write(const struct metrics *m, const char *run_id, bool all, struct buf *out)
{
    buf_lit(out, "{\"runId\":");
    buf_json(out, run_id);
    write_count(out, "eventCount", (double)m->event_count);
    write_count(out, "messageCount", (double)m->message_count);
    write_count(out, "signalCount", (double)m->signal_count);
    write_count(out, "proposalCount", (double)m->proposal_count);
    write_count(out, "toolCallCount", (double)m->tool_call_count);
    write_count(out, "decisionCount", (double)m->decision_count);
    write_count(out, "streamReconnectCount", (double)m->stream_reconnect_count);
    write_count(out, "promptTokens", m->prompt_tokens);
    write_count(out, "completionTokens", m->completion_tokens);
    write_count(out, "totalTokens", m->total_tokens);
    write_count(out, "estimatedCostUsd", m->estimated_cost_usd);
    if (m->has_events || all) {
        write_time(out, "firstEventAt", m->has_events ? &m->first_event_ms : NULL);
        write_time(out, "lastEventAt", m->has_events ? &m->last_event_ms : NULL);
        if (m->has_events)
            write_count(out, "durationMs", (double)(m->last_event_ms - m->first_event_ms));
        else
            buf_lit(out, ",\"durationMs\":null");
    }
    if (*m->session_state || all) {
        buf_lit(out, ",\"sessionState\":");
        buf_json(out, *m->session_state ? m->session_state : NULL);
    }
    buf_char(out, '}');
}
