#include "observerd/normalize.h"

#include <string.h>

#include "observerd/derive.h"
#include "observerd/llm.h"
#include "observerd/payload.h"
#include "shared/buf.h"
#include "shared/json.h"

static const char *const raw_kinds[RAW__COUNT] = {
    [RAW_STREAM_ENVELOPE] = "stream-envelope",
    [RAW_SESSION_SNAPSHOT] = "session-snapshot",
    [RAW_STREAM_STATUS] = "stream-status",
    [RAW_SEND_ACK] = "send-ack",
    [RAW_STREAM_INLINE_ERROR] = "stream-inline-error",
};

const char *
raw_kind_name(enum raw_kind kind)
{
    return kind < RAW__COUNT ? raw_kinds[kind] : "unknown";
}

/* --- small values ------------------------------------------------------------------------ */

const char *
raw_clean(struct arena *a, const char *p, size_t n)
{
    AUTO_BUF clean = {0};

    if (jv_is_clean(p, n))
        return arena_strndup(a, p, n);
    jv_clean(&clean, p, n);
    return arena_strndup(a, buf_cstr(&clean), clean.len);
}

static json_t *
must(json_t *v)
{
    if (!v)
        BUG("out of memory");
    return v;
}

/* A new string value; NULL stays absent. */
static json_t *
text_value(const char *s)
{
    return s ? must(json_string_nocheck(s)) : NULL;
}

/* --- events ------------------------------------------------------------------------------ */

/* One raw event on its way; values that all its events share are made once. */
struct work {
    const struct normalizer *n;
    struct arena *arena;
    struct event_list *out;
    int64_t ts_ms;
    const char *raw_type;
    const ProtobufCMessageDescriptor *decoded_as;
    /* envelopes only */
    const struct envelope *envelope;
    json_t *mode, *message_type, *sender, *message_id, *session_id;
    const char *type_name;
    json_t *decoded, *inner; /* lent; NULL: no payload */
};

static struct event *
open_event(struct work *w, enum event_type type, const char *kind, const char *id)
{
    struct event *e = event_list_add(w->out, type, w->ts_ms);

    e->source_kind = EVENT_SOURCE_RUNTIME;
    e->source_name = EVENT_RUNTIME_NAME;
    e->raw_type = w->raw_type;
    event_set_subject(e, kind, id);
    return e;
}

static void
redact_event(const struct normalizer *n, struct event *e, const ProtobufCMessageDescriptor *type)
{
    json_t *data;

    if (!n->redactor)
        return;
    data = redact_data(n->redactor, e->data, type);
    json_decref(e->data);
    e->data = data;
}

static void
close_event(struct work *w, struct event *e)
{
    redact_event(w->n, e, w->decoded_as);
}

void
normalize_redact_own(const struct normalizer *n, struct event *e)
{
    redact_event(n, e, NULL);
}

/* An event of an envelope with what all of them carry. */
static struct event *
open_head(struct work *w, enum event_type type, const char *kind, const char *id)
{
    struct event *e = open_event(w, type, kind, id);

    jv_put(e->data, "modeName", json_incref(w->mode));
    jv_put(e->data, "messageType", json_incref(w->message_type));
    jv_put(e->data, "sender", json_incref(w->sender));
    return e;
}

static struct event *
open_base(struct work *w, enum event_type type, const char *kind, const char *id)
{
    struct event *e = open_head(w, type, kind, id);

    jv_put(e->data, "messageId", json_incref(w->message_id));
    jv_put(e->data, "sessionId", json_incref(w->session_id));
    return e;
}

static void
participant_seen(struct work *w)
{
    const char *sender = w->envelope->sender;
    struct event *e;

    if (!*sender || json_object_get(w->n->known, sender))
        return;
    jv_put(w->n->known, sender, json_true());
    e = open_event(w, EVENT_PARTICIPANT_SEEN, "participant", sender);
    jv_put(e->data, "participantId", json_incref(w->sender));
    close_event(w, e);
}

static void
message_received(struct work *w)
{
    struct event *e = open_base(w, EVENT_MESSAGE_RECEIVED, "message", w->envelope->message_id);
    json_t *payload = json_incref(w->decoded);

    if (!payload) {
        payload = must(json_object());
        jv_put(payload, "payloadBase64", text_value(""));
    }
    jv_put(e->data, "payload", payload);
    close_event(w, e);
}

static void
llm_call(struct work *w)
{
    json_t *call = llm_call_extract(w->inner);
    const json_t *model = jv_get(call, "model");
    struct event *e;

    if (!call)
        return;
    e = open_base(w, EVENT_LLM_CALL_COMPLETED, "message", w->envelope->message_id);
    e->cost_model = derive_text(w->arena, model, NULL);
    jv_put(e->data, "decodedPayload", call);
    close_event(w, e);
}

static void
derived_event(struct work *w, enum event_type type)
{
    const char *kind, *id;
    struct event *e;

    derive_subject(type, w->envelope->message_id, w->inner, w->arena, &kind, &id);
    e = open_base(w, type, kind, id);
    jv_put(e->data, "decodedPayload", json_incref(w->inner));
    jv_put(e->data, "payloadTypeName", text_value(w->type_name));
    close_event(w, e);
}

/* A fraction as percent; absent when there is none. */
static json_t *
percentage(const json_t *inner)
{
    const json_t *fraction = jv_get(inner, "progress");

    return jv_nullish(fraction) ? NULL : jv_real(jv_num(fraction) * 100);
}

/* Progress that a task message implies; steals its values. */
static void
task_progress(struct work *w, json_t *percent, json_t *message)
{
    struct event *e = open_head(w, EVENT_PROGRESS_REPORTED, "message", w->envelope->message_id);
    json_t *body = must(json_object());

    jv_put(body, "percentage", percent);
    jv_put(body, "message", message);
    jv_put(e->data, "decodedPayload", body);
    close_event(w, e);
}

/* The first of two members, else a text of ours. New reference. */
static json_t *
note(const json_t *inner, const char *a, const char *b, const char *fallback)
{
    json_t *v = jv_first_of(inner, a, b);

    return v ? json_incref(v) : text_value(fallback);
}

static void
task_update(struct work *w)
{
    if (jv_get(w->inner, "progress"))
        task_progress(w, percentage(w->inner), note(w->inner, "message", "status", ""));
}

static void
task_complete(struct work *w)
{
    task_progress(w, jv_real(100), text_value("completed"));
}

static void
task_fail(struct work *w)
{
    task_progress(w, NULL, note(w->inner, "reason", "reason", "failed"));
}

static void
policy_resolved(struct work *w)
{
    const json_t *id = jv_first_of(w->inner, "policyId", "policyVersion");
    json_t *version = jv_first_of(w->inner, "policyVersion", "policyId");
    struct event *e;

    if (!w->decoded)
        return;
    e = open_head(w, EVENT_POLICY_RESOLVED, "policy", derive_text(w->arena, id, ""));
    jv_put(e->data, "policyVersion", json_incref(version));
    jv_put(e->data, "decodedPayload", json_incref(w->inner));
    close_event(w, e);
}

static void
policy_evaluated(struct work *w)
{
    const json_t *id = jv_first_of(w->inner, "commitmentId");
    struct event *e;

    if (!w->decoded)
        return;
    e = open_head(w, EVENT_POLICY_COMMITMENT_EVALUATED, "policy", derive_text(w->arena, id, ""));
    jv_put(e->data, "decodedPayload", json_incref(w->inner));
    close_event(w, e);
}

static void
policy_denied(struct work *w)
{
    const json_t *id = jv_first_of(w->inner, "commitmentId", "policyId");
    struct event *e = open_head(w, EVENT_POLICY_DENIED, "policy", derive_text(w->arena, id, ""));

    jv_put(e->data, "decodedPayload", w->inner ? json_incref(w->inner) : must(json_object()));
    close_event(w, e);
}

static void
progress(struct work *w)
{
    json_t *percent, *body;
    struct event *e;

    if (!w->decoded)
        return;
    percent = percentage(w->inner);
    if (w->decoded_as && !jv_get(w->inner, "progress"))
        percent = jv_real(0); /* zero is not written in protobuf */
    body = must(json_object());
    jv_put(body, "percentage", percent);
    jv_put(body, "message",
           text_value(derive_text(w->arena, jv_first_of(w->inner, "message"), "")));
    jv_put(body, "progressToken", json_incref(jv_get(w->inner, "progressToken")));
    jv_put(body, "total", json_incref(jv_get(w->inner, "total")));
    e = open_head(w, EVENT_PROGRESS_REPORTED, "participant", w->envelope->sender);
    jv_put(e->data, "decodedPayload", body);
    close_event(w, e);
}

/* --- envelopes --------------------------------------------------------------------------- */

/*
 * What some message types add. Before and after the check for a denied policy, which any payload
 * can carry. A type whose own event replaces the derived one does so with a payload only, except
 * where it needs none.
 */
static const struct special {
    const char *message_type;
    void (*before)(struct work *w);
    void (*after)(struct work *w);
    enum { ADDS, REPLACES, REPLACES_ALWAYS } derived;
} specials[] = {
    {"TaskUpdate", task_update, NULL, ADDS},
    {"TaskComplete", task_complete, NULL, ADDS},
    {"TaskFail", task_fail, NULL, ADDS},
    {"PolicyResolved", policy_resolved, NULL, REPLACES},
    {"PolicyCommitmentEvaluated", policy_evaluated, NULL, REPLACES},
    {"PolicyDenied", policy_denied, NULL, REPLACES_ALWAYS},
    {"Progress", NULL, progress, REPLACES},
};

static const struct special *
special_of(const char *message_type)
{
    static const struct special nothing = {0};

    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        if (strcmp(specials[i].message_type, message_type) == 0)
            return &specials[i];
    return &nothing;
}

static void
envelope_events(struct work *w)
{
    const char *message_type = w->envelope->message_type;
    const struct special *special = special_of(message_type);
    enum event_type type = derive_type(message_type);
    bool replaced =
        special->derived == REPLACES_ALWAYS || (special->derived == REPLACES && w->decoded);

    participant_seen(w);
    message_received(w);
    llm_call(w);
    if (type != EVENT_UNKNOWN && !replaced)
        derived_event(w, type);
    if (special->before)
        special->before(w);
    if (special->before != policy_denied && json_is_true(jv_get(w->inner, "policyDenied")))
        policy_denied(w);
    if (special->after)
        special->after(w);
}

static const char *
or_empty(const char *s)
{
    return s ? s : "";
}

void
normalize_decoded(const struct normalizer *n, const struct envelope *envelope,
                  const struct payload *payload, int64_t ts_ms, struct arena *arena,
                  struct event_list *out)
{
    struct envelope clean = *envelope;
    struct work w = {.n = n, .arena = arena, .out = out, .ts_ms = ts_ms, .envelope = &clean};

    clean.mode = or_empty(clean.mode);
    clean.message_type = or_empty(clean.message_type);
    clean.message_id = or_empty(clean.message_id);
    clean.session_id = or_empty(clean.session_id);
    clean.sender = or_empty(clean.sender);
    w.raw_type = clean.message_type;
    w.mode = text_value(clean.mode);
    w.message_type = text_value(clean.message_type);
    w.message_id = text_value(clean.message_id);
    w.session_id = text_value(clean.session_id);
    w.sender = text_value(clean.sender);
    w.decoded = payload->value;
    w.decoded_as = payload->decoded_as;
    w.type_name = payload->type_name;
    w.inner = payload_inner(payload->value);
    envelope_events(&w);
    json_decref(w.mode);
    json_decref(w.message_type);
    json_decref(w.message_id);
    json_decref(w.session_id);
    json_decref(w.sender);
}

static void
normalize_envelope(const struct normalizer *n, const struct raw_event *raw, struct arena *arena,
                   struct event_list *out)
{
    const struct envelope *e = raw->envelope;
    struct payload payload =
        payload_decode(or_empty(e->mode), or_empty(e->message_type), e->payload, e->payload_len);

    normalize_decoded(n, e, &payload, raw->received_ms, arena, out);
    json_decref(payload.value);
}

/* --- everything else --------------------------------------------------------------------- */

static void
stream_status(struct work *w, const struct stream_status *s)
{
    struct event *e = open_event(w, EVENT_SESSION_STREAM_OPENED, "session", w->n->session_id);

    if (s) {
        jv_put(e->data, "status", text_value(s->status));
        jv_put(e->data, "detail", text_value(s->detail));
    }
    close_event(w, e);
}

/* States are names; one that this observer does not know is the number the runtime sent. */
static json_t *
state_value(const char *state)
{
    if (state && *state && state[strspn(state, "0123456789-")] == '\0') {
        AUTO_JSON *text = text_value(state);

        return jv_real(jv_num(text));
    }
    return text_value(state);
}

static void
session_snapshot(struct work *w, const struct session_snapshot *s)
{
    struct event *e = open_event(w, EVENT_SESSION_STATE_CHANGED, "session", s->session_id);
    json_t *data = e->data, *keys;

    jv_put(data, "sessionId", text_value(s->session_id));
    jv_put(data, "state", state_value(s->state));
    if (s->has_started)
        jv_put(data, "startedAtUnixMs", jv_real((double)s->started_at_unix_ms));
    if (s->has_expires)
        jv_put(data, "expiresAtUnixMs", jv_real((double)s->expires_at_unix_ms));
    jv_put(data, "modeName", text_value(s->mode));
    jv_put(data, "modeVersion", text_value(s->mode_version));
    jv_put(data, "configurationVersion", text_value(s->configuration_version));
    jv_put(data, "policyVersion", text_value(s->policy_version));
    if (s->context_id && *s->context_id)
        jv_put(data, "contextId", text_value(s->context_id));
    if (s->n_extension_keys) {
        keys = must(json_array());
        for (size_t i = 0; i < s->n_extension_keys; i++)
            json_array_append_new(keys, text_value(or_empty(s->extension_keys[i])));
        jv_put(data, "extensionKeys", keys);
    }
    close_event(w, e);
}

/* A denial that came with an error; steals reasons. */
static void
denied_by_error(struct work *w, const char *message_id, const char *session_id, const char *code,
                const char *message, json_t *reasons)
{
    struct event *e = open_event(w, EVENT_POLICY_DENIED, "policy", message_id);
    json_t *body = must(json_object());

    jv_put(body, "decision", text_value("deny"));
    jv_put(body, "reasons", reasons);
    if (session_id) {
        jv_put(e->data, "messageId", text_value(message_id));
        jv_put(e->data, "sessionId", text_value(session_id));
    }
    jv_put(e->data, "errorCode", text_value(code));
    jv_put(e->data, "errorMessage", text_value(message));
    jv_put(e->data, "decodedPayload", body);
    close_event(w, e);
}

static json_t *
one_reason(const char *message)
{
    json_t *reasons = must(json_array());

    json_array_append_new(reasons, text_value(or_empty(message)));
    return reasons;
}

static bool
is_denied(const char *code)
{
    return code && strcmp(code, "POLICY_DENIED") == 0;
}

static json_t *
ack_reasons(const struct send_ack *ack)
{
    AUTO_JSON *details = NULL;
    json_t *reasons = (json_t *)ack->reasons;

    if (json_array_size(reasons) == 0 && ack->details_len) {
        details = jv_parse(ack->details, ack->details_len);
        reasons = jv_get(details, "reasons");
    }
    if (json_array_size(reasons) > 0)
        return json_incref(reasons);
    return one_reason(ack->error_message);
}

static void
send_ack(struct work *w, const struct send_ack *ack)
{
    struct event *e = open_event(w, EVENT_MESSAGE_SENT, "message", ack->message_id);

    jv_put(e->data, "messageId", text_value(ack->message_id));
    jv_put(e->data, "sessionId", text_value(ack->session_id));
    jv_put(e->data, "ok", json_boolean(ack->ok));
    jv_put(e->data, "duplicate", json_boolean(ack->duplicate));
    jv_put(e->data, "sessionState", text_value(ack->session_state));
    if (ack->has_accepted_at)
        jv_put(e->data, "acceptedAtUnixMs", jv_real(ack->accepted_at_unix_ms));
    close_event(w, e);
    if (!ack->ok && ack->has_error && is_denied(ack->error_code))
        denied_by_error(w, ack->message_id, or_empty(ack->session_id), ack->error_code,
                        or_empty(ack->error_message), ack_reasons(ack));
}

static void
inline_error(struct work *w, const struct inline_error *error)
{
    const char *message_id = or_empty(error->message_id);
    struct event *e = open_event(w, EVENT_MESSAGE_SEND_FAILED, "message", message_id);

    jv_put(e->data, "errorCode", text_value(error->code));
    jv_put(e->data, "errorMessage", text_value(error->message));
    jv_put(e->data, "sessionId", text_value(error->session_id));
    jv_put(e->data, "messageId", text_value(error->message_id));
    close_event(w, e);
    if (is_denied(error->code))
        denied_by_error(w, message_id, NULL, error->code, error->message,
                        one_reason(error->message));
}

void
normalize(const struct normalizer *n, const struct raw_event *raw, struct arena *arena,
          struct event_list *out)
{
    struct work w = {.n = n,
                     .arena = arena,
                     .out = out,
                     .ts_ms = raw->received_ms,
                     .raw_type = raw_kind_name(raw->kind)};

    switch (raw->kind) {
    case RAW_STREAM_STATUS: /* says something without a body too */
        stream_status(&w, raw->status);
        break;
    case RAW_STREAM_ENVELOPE:
        if (raw->envelope)
            normalize_envelope(n, raw, arena, out);
        break;
    case RAW_SESSION_SNAPSHOT:
        if (raw->snapshot)
            session_snapshot(&w, raw->snapshot);
        break;
    case RAW_STREAM_INLINE_ERROR:
        if (raw->inline_error)
            inline_error(&w, raw->inline_error);
        break;
    case RAW_SEND_ACK:
        if (raw->ack)
            send_ack(&w, raw->ack);
        break;
    case RAW__COUNT:
        break;
    }
}
