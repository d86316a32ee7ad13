#include "observerd/record.h"

#include <stdlib.h>

#include "observerd/ambient.h"
#include "observerd/decoder.h"
#include "observerd/enrichment.h"
#include "observerd/envelope.h"
#include "observerd/payload.h"
#include "observerd/refold.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "observerd/spool.h"
#include "observerd/webhook_event.h"
#include "shared/api_key.h"
#include "shared/clock.h"
#include "shared/command.h"
#include "shared/json.h"
#include "shared/meter.h"

enum {
    PROJECTION_DELAY_MS = 250, /* a burst rewrites the stored projection at most this often */
};

const char *
session_state_name(int state)
{
    const ProtobufCEnumValue *v =
        protobuf_c_enum_descriptor_get_value(&macp__v1__session_state__descriptor, state);

    return v ? v->name : "SESSION_STATE_UNSPECIFIED";
}

void
record_begin(struct record *r, struct session *s)
{
    r->s = s;
    r->now_ms = clock_wall_ms();
    r->batch = writer_lock(session_writer(s));
    r->run = batch_run_entry(r->batch, &s->batch_serial, &s->batch_index, s->run.run_key,
                             s->run.cursor, s->run.seq);
    r->run->fence = s->run.fence;
    r->run->status = s->run.status;
    memcpy(r->run->run_id, s->run.run_id, UUID_LEN);
}

void
record_end(struct record *r)
{
    r->run->new_cursor = r->s->run.cursor;
    r->run->new_seq = r->s->run.seq;
    writer_unlock(session_writer(r->s));
}

/* --- rows -------------------------------------------------------------------------------- */

/* A text that is part of an index. */
static void
key_text(struct record *r, struct rows *t, const char *s)
{
    rows_text(t, envelope_key(&r->s->shard->arena, s));
}

struct raw_row {
    const char *source;
    int64_t ordinal;                 /* 0: none */
    const struct envelope *envelope; /* NULL: none */
    bool undecodable;
    int64_t received_ms; /* 0: now */
    const void *body;
    size_t body_len;
};

static void
add_raw(struct record *r, const struct raw_row *raw)
{
    struct rows *t = &r->batch->tables[BATCH_RAW];
    const struct envelope *e = raw->envelope;
    struct run_seed *run = &r->s->run;

    rows_int8(t, run->run_key);
    rows_date(t, run->day);
    rows_int4(t, ++run->seq);
    rows_text(t, raw->source);
    rows_int4(t, run->epoch);
    if (raw->ordinal)
        rows_int8(t, raw->ordinal);
    else
        rows_null(t);
    key_text(r, t, e ? e->message_id : NULL);
    key_text(r, t, e ? e->sender : NULL);
    key_text(r, t, e ? e->message_type : NULL);
    rows_text(t, e ? e->mode : NULL);
    rows_time(t, raw->received_ms ? raw->received_ms : r->now_ms);
    rows_time_or_null(t, e ? e->timestamp_unix_ms : 0);
    rows_bool(t, raw->undecodable);
    rows_bytes_value(t, raw->body, raw->body_len);
    r->batch->events++;
}

static void
add_canonical(struct record *r, const struct event *e, const char *data, size_t n)
{
    struct rows *t = &r->batch->tables[BATCH_CANONICAL];

    rows_int8(t, r->s->run.run_key);
    rows_date(t, r->s->run.day);
    rows_int4(t, e->seq);
    rows_time(t, e->ts_ms);
    rows_text(t, event_type_name(e->type));
    rows_text(t, e->subject_kind);
    rows_text(t, e->subject_id);
    rows_text(t, e->source_kind);
    rows_text(t, e->source_name);
    rows_text(t, e->raw_type);
    rows_text(t, jv_cstr(jv_get(e->data, "sender")));
    rows_text(t, e->trace_id);
    rows_text(t, e->span_id);
    rows_jsonb(t, data, n);
    r->batch->events++;
}

/* Number, stamp, count, fold and store; the one way a canonical event comes into being. */
static void
add_event(struct record *r, struct event *e)
{
    struct session *s = r->s;
    AUTO_BUF data = {0};
    struct fact fact;

    e->seq = ++s->run.seq;
    e->trace_id = s->run.trace_id;
    metrics_fold(&s->run.metrics, e, s->shard->o.prices);
    if (facts_fold(&s->run.facts, s->run.projection, e, s->shard->o.prices, &s->shard->arena,
                   &fact))
        batch_add_fact(r->batch, s->run.run_key, &fact);
    if (e->type == EVENT_SIGNAL_EMITTED)
        meter_add(METER_SIGNALS, 1, jv_cstr(jv_get(e->data, "signalType")));
    run_trace_event(s, e);
    jv_write_around(&data, e->data, s->shard->events.known, s->shard->events.known_text);
    add_canonical(r, e, buf_cstr(&data), data.len);
    if (s->tail && !tail_add(s->tail, e, buf_cstr(&data), data.len)) {
        tail_free(s->tail);
        s->tail = NULL;
    }
    r->run->metrics = s->run.metrics;
    r->run->metrics_dirty = true;
    if (!s->dirty) {
        s->dirty = true;
        timer_set_by(&s->shard->timers, &s->flush, clock_mono_ms() + PROJECTION_DELAY_MS);
    }
}

static void
add_events(struct record *r, struct event_list *events)
{
    for (size_t i = 0; i < events->n; i++)
        add_event(r, &events->items[i]);
    event_list_reset(events);
}

/* --- events of our own ------------------------------------------------------------------- */

static struct event *
own_event(struct record *r, enum event_type type, const char *kind, const char *id)
{
    struct event *e = event_list_add(&r->s->shard->events, type, r->now_ms);

    e->source_kind = EVENT_SOURCE_SELF;
    e->source_name = "run-manager";
    event_set_subject(e, kind, id);
    return e;
}

static json_t *
text_value(const char *s)
{
    return jv_string(s, strlen(s));
}

static json_t *
time_value(int64_t wall_ms)
{
    char text[CLOCK_TEXT_LEN];

    return json_string(clock_text(wall_ms, text));
}

static void
finish_own(struct record *r)
{
    struct event_list *events = &r->s->shard->events;

    for (size_t i = 0; i < events->n; i++)
        normalize_redact_own(&r->s->normalizer, &events->items[i]);
    add_events(r, events);
}

static void
run_event(struct record *r, enum event_type type)
{
    struct run_seed *run = &r->s->run;
    struct event *e = own_event(r, type, "run", run->run_id);

    jv_put(e->data, "status", json_string(run_status_name(run->status)));
    jv_put(e->data, "runtimeSessionId", text_value(run->session_id));
    jv_put(e->data, "traceId", text_value(run->trace_id));
}

/* error NULL: none. It leaves the house, so the operator's redaction applies. */
static void
tell_subscribers(struct record *r, enum run_status from, enum run_status to, const char *error)
{
    struct rows *t = &r->batch->tables[BATCH_WEBHOOKS];
    const char *event = webhook_event_name(from, to);
    AUTO_JSON *clean = NULL, *shown = NULL;
    AUTO_BUF body = {0};

    if (!event)
        return;
    if (error) {
        clean = text_value(error);
        shown = redact_value(r->s->normalizer.redactor, clean);
    }
    webhook_event_body(event, r->s->run.run_id, to, r->now_ms, jv_cstr(shown), &body);
    rows_int8(t, r->s->run.run_key);
    rows_int4(t, r->run->transitions);
    rows_text(t, event);
    rows_bytes_value(t, body.p, body.len);
}

static void
transition(struct record *r, enum run_status to, const char *error)
{
    struct run_seed *run = &r->s->run;
    enum run_status from = run->status;

    if (!run_transition_allowed(run->status, to))
        BUG("run %s: no way from %s to %s", run->run_id, run_status_name(run->status),
            run_status_name(to));
    run->status = to;
    r->run->status = to;
    r->run->transitions++;
    tell_subscribers(r, from, to, error);
    if (to != RUN_BINDING_SESSION) /* it is left in the same step */
        meter_add(METER_TRANSITIONS, 1, run_status_name(to));
}

void
record_started(struct record *r)
{
    struct run_seed *run = &r->s->run;
    struct event *e;

    transition(r, RUN_STARTING, NULL);
    run->started_ms = r->now_ms;
    r->run->started_ms = r->now_ms;
    e = own_event(r, EVENT_RUN_STARTED, "run", run->run_id);
    jv_put(e->data, "status", json_string("starting"));
    jv_put(e->data, "startedAt", time_value(r->now_ms));
    jv_put(e->data, "modeName", text_value(run->mode_name));
    jv_put(e->data, "runtimeKind", text_value(run->runtime_kind));
    jv_put(e->data, "traceId", text_value(run->trace_id));
    finish_own(r);
}

/* --- binding ----------------------------------------------------------------------------- */

static json_t *
text_list(char **items, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, text_value(items[i]));
    return list;
}

static void
put_context(json_t *data, const Macp__V1__SessionMetadata *meta)
{
    if (meta->context_id[0])
        jv_put(data, "contextId", text_value(meta->context_id));
    if (meta->n_extension_keys)
        jv_put(data, "extensionKeys", text_list(meta->extension_keys, meta->n_extension_keys));
}

static void
bound_event(struct record *r, const Macp__V1__SessionMetadata *meta)
{
    struct run_seed *run = &r->s->run;
    const char *policy = run->policy_version[0] ? run->policy_version : RUN_DEFAULT_POLICY;
    struct event *e = own_event(r, EVENT_SESSION_BOUND, "session", run->session_id);

    jv_put(e->data, "sessionId", text_value(run->session_id));
    jv_put(e->data, "initiator", text_value(meta->initiator));
    jv_put(e->data, "state", json_string(session_state_name((int)meta->state)));
    jv_put(e->data, "modeName", text_value(run->mode_name));
    jv_put(e->data, "modeVersion", text_value(run->mode_version));
    jv_put(e->data, "configurationVersion", text_value(run->configuration_version));
    jv_put(e->data, "policyVersion", text_value(policy));
    jv_put(e->data, "participants", json_incref(run->participants));
    put_context(e->data, meta);
}

static void
announce_participants(struct record *r)
{
    struct run_seed *run = &r->s->run;
    json_t *id;
    size_t i;

    json_array_foreach (run->participants, i, id) {
        struct event *e;

        if (jv_get(run->known, jv_cstr(id)))
            continue;
        jv_put(run->known, jv_cstr(id), json_true());
        e = own_event(r, EVENT_PARTICIPANT_SEEN, "participant", jv_cstr(id));
        jv_put(e->data, "participantId", json_incref(id));
        jv_put(e->data, "status", json_string("idle"));
    }
}

static void
json_row(struct rows *t, json_t *v)
{
    AUTO_BUF text = {0};

    jv_write(&text, v);
    rows_bytes_value(t, buf_cstr(&text), text.len);
}

static void
bound_row(struct record *r, const Macp__V1__SessionMetadata *meta)
{
    struct rows *t = &r->batch->tables[BATCH_BOUND];
    struct run_seed *run = &r->s->run;
    AUTO_JSON *keys = text_list(meta->extension_keys, meta->n_extension_keys);
    AUTO_JSON *initiator = text_value(meta->initiator), *context = text_value(meta->context_id);

    rows_int8(t, run->run_key);
    rows_text(t, run->session_id);
    rows_text(t, run->runtime_kind);
    rows_text(t, run->mode_name);
    rows_text(t, run->mode_version);
    rows_text(t, run->configuration_version);
    rows_text(t, run->policy_version[0] ? run->policy_version : RUN_DEFAULT_POLICY);
    rows_text(t, jv_cstr(initiator));
    json_row(t, run->participants);
    rows_text(t, meta->context_id[0] ? jv_cstr(context) : NULL);
    json_row(t, keys);
    rows_text(t, session_state_name((int)meta->state));
    rows_text(t, r->s->shard->capabilities ? r->s->shard->capabilities : "{}");
    rows_time_or_null(t, meta->started_at_unix_ms);
    rows_time_or_null(t, meta->expires_at_unix_ms);
    rows_time(t, r->now_ms);
}

static void
remember_state(struct run_seed *run, const Macp__V1__SessionMetadata *meta)
{
    snprintf(run->session_state, sizeof run->session_state, "%s",
             session_state_name((int)meta->state));
    run->session_started_ms = meta->started_at_unix_ms;
    run->session_expires_ms = meta->expires_at_unix_ms;
}

void
record_bound(struct record *r, const Macp__V1__SessionMetadata *meta)
{
    struct run_seed *run = &r->s->run;
    struct event *e;

    if (run->status == RUN_QUEUED)
        record_started(r);
    if (run->status != RUN_BINDING_SESSION)
        transition(r, RUN_BINDING_SESSION, NULL);
    bound_event(r, meta);
    announce_participants(r);
    bound_row(r, meta);
    transition(r, RUN_RUNNING, NULL);
    e = own_event(r, EVENT_SESSION_STATE_CHANGED, "session", run->session_id);
    jv_put(e->data, "sessionId", text_value(run->session_id));
    jv_put(e->data, "state", json_string("SESSION_STATE_OPEN"));
    finish_own(r);
    remember_state(run, meta);
    /* What the run was marked as; another real state is a snapshot of its own. */
    snprintf(run->session_state, sizeof run->session_state, "SESSION_STATE_OPEN");
    record_observer(r);
}

/* --- the stream -------------------------------------------------------------------------- */

/* The artifact that leads from a posted run to its trace; its id is derived: a repeat is the same.
 */
void
record_trace(struct record *r)
{
    struct run_seed *run = &r->s->run;
    struct rows *t = &r->batch->tables[BATCH_ARTIFACTS];
    AUTO_JSON *inlined = json_object();
    char id[UUID_LEN];
    struct event *e;

    if (run->traced)
        return;
    run->traced = true;
    uuid_v5(run->run_id, RUN_TRACE_ARTIFACT, id);
    jv_put(inlined, "traceId", text_value(run->trace_id));
    rows_int8(t, run->run_key);
    rows_uuid(t, id);
    rows_text(t, "trace");
    rows_text(t, "Root run trace");
    json_row(t, inlined);
    e = own_event(r, EVENT_ARTIFACT_CREATED, "artifact", id);
    e->source_name = "run-executor";
    jv_put(e->data, "kind", json_string("trace"));
    jv_put(e->data, "label", json_string("Root run trace"));
    jv_put(e->data, "traceId", text_value(run->trace_id));
    jv_put(e->data, "artifactId", json_string(id));
    finish_own(r);
}

void
record_stream_opened(struct record *r)
{
    static const char body[] = "{\"status\":\"opened\"}";
    struct session *s = r->s;
    struct stream_status status = {.status = "opened"};
    struct raw_event raw = {.kind = RAW_STREAM_STATUS, .received_ms = r->now_ms, .status = &status};

    add_raw(r, &(struct raw_row){.source = "status", .body = body, .body_len = sizeof body - 1});
    normalize(&s->normalizer, &raw, &s->shard->arena, &s->shard->events);
    add_events(r, &s->shard->events);
    if (s->run.posted && s->run.cursor == 0 && s->run.epoch == 0 && s->stream_failures == 0) {
        record_trace(r);
        meter_add(METER_OUTBOUND_MESSAGES, 1, "observer", "subscribed");
    }
}

void
record_stream_notice(struct record *r, const char *source, const char *status, const char *detail)
{
    struct event *e = own_event(r, EVENT_SESSION_STREAM_OPENED, "session", r->s->run.session_id);

    e->source_name = source;
    jv_put(e->data, "status", json_string(status));
    jv_put(e->data, "detail", json_string(detail));
    finish_own(r);
}

/* --- session states ---------------------------------------------------------------------- */

static const char *
clean(struct arena *a, const char *s)
{
    return raw_clean(a, s, strlen(s));
}

static void
snapshot_of(const Macp__V1__SessionMetadata *meta, struct arena *a, struct session_snapshot *out)
{
    const char **keys = arena_alloc(a, (meta->n_extension_keys + 1) * sizeof *keys);

    for (size_t i = 0; i < meta->n_extension_keys; i++)
        keys[i] = clean(a, meta->extension_keys[i]);
    *out = (struct session_snapshot){
        .session_id = clean(a, meta->session_id),
        .mode = clean(a, meta->mode),
        .state = session_state_name((int)meta->state),
        .has_started = true,
        .has_expires = true,
        .started_at_unix_ms = meta->started_at_unix_ms,
        .expires_at_unix_ms = meta->expires_at_unix_ms,
        .mode_version = clean(a, meta->mode_version),
        .configuration_version = clean(a, meta->configuration_version),
        .policy_version = clean(a, meta->policy_version),
        .initiator = clean(a, meta->initiator),
        .context_id = meta->context_id[0] ? clean(a, meta->context_id) : NULL,
        .extension_keys = keys,
        .n_extension_keys = meta->n_extension_keys,
    };
}

void
record_snapshot(struct record *r, const Macp__V1__SessionMetadata *meta)
{
    struct session *s = r->s;
    struct arena *arena = &s->shard->arena;
    struct session_snapshot snapshot;
    struct raw_event raw = {
        .kind = RAW_SESSION_SNAPSHOT, .received_ms = r->now_ms, .snapshot = &snapshot};
    size_t n = protobuf_c_message_get_packed_size(&meta->base);
    uint8_t *body;

    if (strcmp(s->run.session_state, session_state_name((int)meta->state)) == 0)
        return;
    body = arena_alloc(arena, n + 1);
    protobuf_c_message_pack(&meta->base, body);
    add_raw(r, &(struct raw_row){.source = "snapshot", .body = body, .body_len = n});
    snapshot_of(meta, arena, &snapshot);
    normalize(&s->normalizer, &raw, arena, &s->shard->events);
    add_events(r, &s->shard->events);
    remember_state(&s->run, meta);
    r->run->session = true;
    r->run->seen_ms = r->now_ms;
    record_observer(r);
}

void
record_suspended(struct record *r)
{
    transition(r, RUN_SUSPENDED, NULL);
    run_event(r, EVENT_RUN_SUSPENDED);
    finish_own(r);
}

void
record_resumed(struct record *r)
{
    transition(r, RUN_RUNNING, NULL);
    run_event(r, EVENT_RUN_RESUMED);
    finish_own(r);
}

/* --- the end ----------------------------------------------------------------------------- */

/* Signals may come in behind the end; what the end said about them is said again. */
static void
correct_figures(struct record *r)
{
    char *corrected = enrichment_corrected(r->run->metadata, &r->s->run.metrics);

    free(r->run->metadata);
    r->run->metadata = corrected;
}

void
record_ended(struct record *r, enum run_status to, const char *message, const char *reason)
{
    static const enum event_type events[RUN_STATUS__COUNT] = {
        [RUN_COMPLETED] = EVENT_RUN_COMPLETED,
        [RUN_FAILED] = EVENT_RUN_FAILED,
        [RUN_CANCELLED] = EVENT_RUN_CANCELLED,
    };
    struct session *s = r->s;
    struct event *e;

    transition(r, to, message);
    if (to != RUN_CANCELLED && s->run.started_ms)
        meter_observe(METER_RUN_DURATION, (r->now_ms - s->run.started_ms) * 1000,
                      run_status_name(to), payload_mode_label(s->run.mode_name));
    e = own_event(r, events[to], "run", s->run.run_id);
    jv_put(e->data, "status", json_string(run_status_name(to)));
    jv_put(e->data, "endedAt", time_value(r->now_ms));
    jv_put(e->data, "runtimeSessionId", text_value(s->run.session_id));
    jv_put(e->data, "traceId", text_value(s->run.trace_id));
    if (message)
        jv_put(e->data, "error", text_value(message));
    finish_own(r);
    r->run->ended_ms = r->now_ms;
    if (message) {
        AUTO_JSON *text = text_value(message); /* clean */

        free(r->run->error_message);
        r->run->error_message = xstrdup(jv_cstr(text));
        r->run->failure_reason = reason;
    }
    free(r->run->metadata);
    r->run->metadata = enrichment_of(&s->run, r->now_ms, message, reason);
    r->run->outcome_positive = projection_outcome(s->run.projection);
    r->run->terminal = true;
    record_observer(r);
    run_trace_ended(s, r->now_ms, message);
}

void
record_gap(struct record *r, const char *kind, int64_t from, int64_t to, const char *detail)
{
    struct rows *t = &r->batch->tables[BATCH_GAPS];

    meter_add(METER_GAPS, 1, kind);
    rows_int8(t, r->s->run.run_key);
    rows_text(t, kind);
    rows_int4(t, r->s->run.epoch);
    rows_int8(t, from);
    rows_int8(t, to);
    rows_null(t);
    rows_time(t, r->now_ms);
    rows_text(t, detail);
}

void
record_observer(struct record *r)
{
    struct session *s = r->s;
    int64_t now = clock_mono_ms();

    r->run->observer = true;
    r->run->epoch = s->run.epoch;
    /* The enum's names are static; the seed's copy is not. */
    r->run->session_state = "SESSION_STATE_UNSPECIFIED";
    for (int i = 0; i < (int)macp__v1__session_state__descriptor.n_values; i++)
        if (strcmp(session_state_name(i), s->run.session_state) == 0)
            r->run->session_state = session_state_name(i);
    r->run->session_started_ms = s->run.session_started_ms;
    r->run->session_expires_ms = s->run.session_expires_ms;
    r->run->observer_state = s->observer_state;
    if (s->outage_from_ms) /* the time that the runtime is away does not count */
        now = s->outage_from_ms;
    if (s->state == SESSION_AWAITING)
        r->run->poll_remaining_ms = s->open_by_ms > now ? s->open_by_ms - now : 0;
}

void
record_closed(struct record *r)
{
    record_observer(r);
    r->run->closed = true;
}

/* --- what the runtime sends -------------------------------------------------------------- */

/*
 * Remember the envelope; false when it was there already. Keys are as the rows hold them, so that
 * an owner who read them from there knows the same ones.
 */
static bool
is_new(struct session *s, const struct envelope *e, const char *identity)
{
    struct arena *arena = &s->shard->arena;

    return seen_add(&s->run.seen, identity, envelope_key(arena, e->message_type),
                    envelope_key(arena, e->sender));
}

static void
count_received(struct batch *b, const struct envelope *e, bool whole)
{
    const char *mode = payload_mode_label(e->mode);

    meter_add(METER_INBOUND_MESSAGES, 1, mode, payload_type_label(e->message_type));
    if (!whole)
        meter_add(METER_UNDECODABLE, 1, mode);
    batch_note_received(b, clock_mono_us());
}

/* False: it is another session's. */
static bool
read_envelope(struct session *s, const void *bytes, size_t n, struct envelope *e, bool *whole)
{
    arena_reset(&s->shard->arena);
    *whole = envelope_read(bytes, n, &s->shard->arena, e);
    return !e->session_id[0] || strcmp(e->session_id, s->run.session_id) == 0;
}

static bool
is_first(struct session *s, const struct envelope *e)
{
    if (!e->message_id[0] || is_new(s, e, envelope_key(&s->shard->arena, e->message_id)))
        return true;
    meter_add(METER_DUPLICATES, 1, "session");
    return false;
}

struct accepted {
    const struct envelope *envelope;
    bool whole; /* it could be read */
    const void *bytes;
    size_t n;
    int64_t ordinal, received_ms;
    const struct decoded *decoded; /* NULL: not yet */
};

static void
normalize_accepted(struct session *s, const struct accepted *a)
{
    struct raw_event raw = {
        .kind = RAW_STREAM_ENVELOPE, .envelope = a->envelope, .received_ms = a->received_ms};
    struct event_list *events = &s->shard->events;

    if (a->decoded) {
        normalize_decoded(&s->normalizer, a->envelope, &a->decoded->payload, a->received_ms,
                          &s->shard->arena, events);
        events->known = payload_inner(a->decoded->payload.value);
        events->known_text = &a->decoded->text;
    } else {
        normalize(&s->normalizer, &raw, &s->shard->arena, events);
    }
}

static void
store_envelope(struct session *s, const struct accepted *a)
{
    int64_t began_us = clock_wall_us();
    struct record r;

    if (a->whole)
        normalize_accepted(s, a);
    record_begin(&r, s);
    r.now_ms = a->received_ms;
    count_received(r.batch, a->envelope, a->whole);
    add_raw(&r, &(struct raw_row){.source = "session",
                                  .ordinal = a->ordinal,
                                  .envelope = a->envelope,
                                  .undecodable = !a->whole,
                                  .body = a->bytes,
                                  .body_len = a->n});
    if (s->shard->spool) /* if Postgres is away for longer, the spool must have it, too */
        spool_encode(&r.batch->log, &(struct spool_record){.run_key = s->run.run_key,
                                                           .ordinal = a->ordinal,
                                                           .received_ms = a->received_ms,
                                                           .epoch = s->run.epoch,
                                                           .bytes = a->bytes,
                                                           .n = a->n});
    s->run.cursor = a->ordinal;
    add_events(&r, &s->shard->events);
    s->shard->events.known = NULL;
    record_end(&r);
    run_trace_envelope(s, a->envelope->message_type, began_us);
}

bool
record_envelope(struct session *s, const void *bytes, size_t n, const struct decoded *decoded,
                const char **message_type)
{
    struct envelope envelope;
    struct accepted a = {.envelope = &envelope,
                         .bytes = bytes,
                         .n = n,
                         .ordinal = s->run.cursor,
                         .decoded = decoded};
    bool ours = read_envelope(s, bytes, n, &envelope, &a.whole);

    *message_type = envelope.message_type;
    if (!ours || !is_first(s, &envelope))
        return false;
    /*
     * A runtime may compact before it sends the last message: what it reported as compacted has
     * counted this one already.
     */
    if (s->compacted_to && s->run.cursor == s->compacted_to &&
        strcmp(envelope.message_type, "Commitment") == 0)
        s->compacted_to = 0;
    else
        a.ordinal++;
    a.received_ms = clock_wall_ms();
    store_envelope(s, &a);
    return true;
}

bool
record_is_new(struct session *s, const void *bytes, size_t n)
{
    struct envelope envelope;
    bool whole;

    return read_envelope(s, bytes, n, &envelope, &whole) && is_first(s, &envelope);
}

void
record_spooled(struct session *s, const void *bytes, size_t n, int64_t received_ms,
               const char **message_type)
{
    struct envelope envelope;
    struct accepted a = {.envelope = &envelope,
                         .bytes = bytes,
                         .n = n,
                         .ordinal = s->run.cursor + 1,
                         .received_ms = received_ms};

    read_envelope(s, bytes, n, &envelope, &a.whole);
    *message_type = envelope.message_type;
    if (envelope.message_id[0]) /* an owner that did not receive it has not seen it yet */
        is_new(s, &envelope, envelope_key(&s->shard->arena, envelope.message_id));
    store_envelope(s, &a);
}

/* Takes no ordinal. The row it was read from goes in the transaction that brings its events. */
void
record_ambient(struct session *s, const struct ambient_mail *mail)
{
    struct arena *arena = &s->shard->arena;
    struct envelope envelope;
    struct raw_event raw = {.kind = RAW_STREAM_ENVELOPE, .envelope = &envelope};
    struct record r;
    bool whole, fresh;

    arena_reset(arena);
    whole = envelope_read(mail->bytes, mail->n, arena, &envelope);
    fresh = is_new(s, &envelope, envelope_identity(arena, &envelope, mail->bytes, mail->n));
    if (!fresh)
        meter_add(METER_DUPLICATES, 1, "ambient");
    if (!fresh && !mail->ambient_key)
        return;
    raw.received_ms = clock_wall_ms();
    if (fresh && whole)
        normalize(&s->normalizer, &raw, arena, &s->shard->events);
    record_begin(&r, s);
    r.now_ms = raw.received_ms;
    if (fresh) {
        count_received(r.batch, &envelope, whole);
        add_raw(&r, &(struct raw_row){.source = "ambient",
                                      .envelope = &envelope,
                                      .undecodable = !whole,
                                      .received_ms = mail->received_ms,
                                      .body = mail->bytes,
                                      .body_len = mail->n});
        add_events(&r, &s->shard->events);
        if (run_status_is_terminal(s->run.status))
            correct_figures(&r);
    }
    if (mail->ambient_key) {
        rows_int8(&r.batch->tables[BATCH_AMBIENT], s->run.run_key);
        rows_int8(&r.batch->tables[BATCH_AMBIENT], mail->ambient_key);
    }
    record_end(&r);
}

void
record_inline_error(struct session *s, const void *bytes, size_t n, const char **code,
                    const char **message)
{
    const char *texts[5] = {"", "", "", "", ""};
    struct arena *arena = &s->shard->arena;
    struct inline_error error;
    struct raw_event raw = {.kind = RAW_STREAM_INLINE_ERROR, .inline_error = &error};
    struct record r;

    arena_reset(arena);
    if (!wire_texts(bytes, n, arena, texts, 4))
        texts[2] = "an error that cannot be read";
    error = (struct inline_error){
        .code = texts[1][0] ? texts[1] : "UNKNOWN",
        .message = texts[2],
        .session_id = texts[3],
        .message_id = texts[4],
    };
    *code = error.code;
    *message = texts[2][0] ? texts[2] : error.code;
    record_begin(&r, s);
    raw.received_ms = r.now_ms;
    add_raw(&r, &(struct raw_row){.source = "inline-error", .body = bytes, .body_len = n});
    normalize(&s->normalizer, &raw, arena, &s->shard->events);
    add_events(&r, &s->shard->events);
    record_end(&r);
}

/* Its size. */
static size_t
add_projection(struct record *r)
{
    struct session *s = r->s;
    struct batch_projection *p =
        batch_projection_start(r->run, projection_latest_seq(s->run.projection));
    struct arena scratch = {0};
    struct fact who;
    uint32_t at = 0;
    size_t n = 0;

    for (int i = 0; i < PROJECTION__COUNT; i++)
        projection_write_section(s->run.projection, (enum projection_section)i, &p->sections[i]);
    for (int i = 0; i < PROJECTION__COUNT; i++)
        n += p->sections[i].len;
    r->batch->state_bytes += n;
    while (facts_next_participant(&s->run.facts, s->run.projection, &at, &scratch, &who))
        batch_add_fact(r->batch, s->run.run_key, &who);
    arena_fini(&scratch);
    s->dirty = false;
    timer_cancel(&s->shard->timers, &s->flush);
    return n;
}

void
record_projection(struct session *s)
{
    struct record r;
    size_t n;

    if (!s->dirty)
        return;
    record_begin(&r, s);
    n = add_projection(&r);
    record_end(&r);
    session_weigh_projection(s, n);
}

static void
add_command(struct record *r, int64_t command_id, enum command_kind kind)
{
    struct rows *t = &r->batch->tables[BATCH_COMMANDS];

    rows_int8(t, r->s->run.run_key);
    rows_int8(t, command_id);
    rows_text(t, API_KEY_ACTOR_TYPE);
    rows_text(t, kind == COMMAND_APPEND ? NULL : command_audit_action(kind));
    rows_text(t, command_audit_resource(kind));
}

/* They are as the caller of the API sent them, as those that a handler stores itself. */
void
record_appended(struct session *s, const char *args, int64_t command_id)
{
    AUTO_JSON *document = jv_parse(args, strlen(args));
    json_t *each;
    struct record r;
    size_t i;

    arena_reset(&s->shard->arena);
    record_begin(&r, s);
    json_array_foreach (jv_get(document, "events"), i, each) {
        enum event_type type = event_type_parse(jv_cstr(jv_get(each, "type")));
        struct event *e = own_event(&r, type, jv_cstr(jv_get(each, "subjectKind")),
                                    jv_cstr(jv_get(each, "subjectId")));

        e->source_name = jv_cstr(jv_get(each, "sourceName"));
        json_object_update(e->data, jv_get(each, "data"));
    }
    add_events(&r, &s->shard->events);
    add_command(&r, command_id, COMMAND_APPEND);
    record_end(&r);
}

void
record_refolded(struct session *s, struct refold *fold, int64_t command_id)
{
    struct run_seed *run = &s->run;
    struct record r;
    size_t n;

    refold_tail(fold, s->tail, s->shard->o.prices);
    tail_free(s->tail);
    s->tail = NULL;
    projection_free(run->projection);
    facts_fini(&run->facts);
    run->projection = fold->projection;
    run->facts = fold->facts;
    run->metrics = fold->metrics;
    fold->projection = NULL;
    fold->facts = (struct facts){0};
    record_begin(&r, s);
    batch_replace_facts(r.batch, run->run_key, &fold->rows);
    r.run->metrics = run->metrics;
    r.run->metrics_dirty = true;
    if (run_status_is_terminal(run->status))
        correct_figures(&r);
    n = add_projection(&r);
    add_command(&r, command_id, COMMAND_REBUILD);
    record_end(&r);
    session_weigh_projection(s, n);
}
