/*
 * Whole sessions: raw input and events of our own in, numbered canonical events, projection and
 * metrics out. Walks the same way an envelope takes in the observer. A file named as argument holds
 * one session a line, checked instead of the vectors.
 */
#include <glob.h>
#include <string.h>

#include "observerd/normalize.h"
#include "observerd/seen.h"
#include "shared/metrics.h"
#include "shared/projection.h"
#include "tests/golden/pipeline.h"
#include "tests/support/vectors.h"

/* Vectors are made to be readable; one that is not ends the program. */
#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond))                                                                               \
            BUG("a vector breaks this: %s", #cond);                                                \
    } while (0)

struct session {
    const json_t *vector, *trace;
    struct normalizer normalizer;
    struct arena arena; /* of one input item */
    struct event_list events;
    struct seen seen;
    int64_t seq;
    struct projection *projection;
    struct metrics metrics;
    json_t *raw_seqs, *canonical; /* results */
};

static const char *
clean(struct session *s, const json_t *object, const char *key)
{
    const json_t *v = jv_get(object, key);

    return json_is_string(v) ? raw_clean(&s->arena, json_string_value(v), json_string_length(v))
                             : NULL;
}

static int64_t
integer(const json_t *object, const char *key)
{
    return (int64_t)json_number_value(jv_get(object, key));
}

/* --- raw bodies -------------------------------------------------------------------------- */

static void
base64_bytes(struct session *s, const json_t *object, const char *key, const char **p, size_t *n)
{
    const char *text = jv_cstr(jv_get(object, key));
    AUTO_BUF bytes = {0};

    if (!text)
        return;
    MUST(jv_base64_decode(text, strlen(text), &bytes));
    *p = arena_strndup(&s->arena, buf_cstr(&bytes), bytes.len);
    *n = bytes.len;
}

static const struct envelope *
envelope_of(struct session *s, const json_t *body)
{
    struct envelope *e = arena_zalloc(&s->arena, sizeof *e);
    const char *payload = NULL;

    e->macp_version = clean(s, body, "macpVersion");
    e->mode = clean(s, body, "mode");
    e->message_type = clean(s, body, "messageType");
    e->message_id = clean(s, body, "messageId");
    e->session_id = clean(s, body, "sessionId");
    e->sender = clean(s, body, "sender");
    e->timestamp_unix_ms = integer(body, "timestampUnixMs");
    base64_bytes(s, body, "payloadBase64", &payload, &e->payload_len);
    e->payload = payload;
    return e;
}

static const struct session_snapshot *
snapshot_of(struct session *s, const json_t *body)
{
    struct session_snapshot *out = arena_zalloc(&s->arena, sizeof *out);
    const json_t *keys = jv_get(body, "extensionKeys");
    const char **copies = arena_zalloc(&s->arena, (json_array_size(keys) + 1) * sizeof(char *));

    out->session_id = clean(s, body, "sessionId");
    out->mode = clean(s, body, "mode");
    out->state = clean(s, body, "state");
    out->has_started = jv_get(body, "startedAtUnixMs") != NULL;
    out->has_expires = jv_get(body, "expiresAtUnixMs") != NULL;
    out->started_at_unix_ms = integer(body, "startedAtUnixMs");
    out->expires_at_unix_ms = integer(body, "expiresAtUnixMs");
    out->mode_version = clean(s, body, "modeVersion");
    out->configuration_version = clean(s, body, "configurationVersion");
    out->policy_version = clean(s, body, "policyVersion");
    out->initiator = clean(s, body, "initiator");
    out->context_id = clean(s, body, "contextId");
    for (size_t i = 0; i < json_array_size(keys); i++)
        copies[i] = json_string_value(json_array_get(keys, i));
    out->extension_keys = copies;
    out->n_extension_keys = json_array_size(keys);
    return out;
}

static const struct stream_status *
status_of(struct session *s, const json_t *body)
{
    struct stream_status *out = arena_zalloc(&s->arena, sizeof *out);

    *out = (struct stream_status){clean(s, body, "status"), clean(s, body, "detail")};
    return out;
}

static const struct inline_error *
inline_error_of(struct session *s, const json_t *body)
{
    struct inline_error *out = arena_zalloc(&s->arena, sizeof *out);

    *out = (struct inline_error){clean(s, body, "code"), clean(s, body, "message"),
                                 clean(s, body, "sessionId"), clean(s, body, "messageId")};
    return out;
}

static const struct send_ack *
ack_of(struct session *s, const json_t *body)
{
    const json_t *error = jv_get(body, "error");
    struct send_ack *out = arena_zalloc(&s->arena, sizeof *out);

    out->ok = json_is_true(jv_get(body, "ok"));
    out->duplicate = json_is_true(jv_get(body, "duplicate"));
    out->message_id = clean(s, body, "messageId");
    out->session_id = clean(s, body, "sessionId");
    out->session_state = clean(s, body, "sessionState");
    out->has_accepted_at = jv_get(body, "acceptedAtUnixMs") != NULL;
    out->accepted_at_unix_ms = json_number_value(jv_get(body, "acceptedAtUnixMs"));
    out->has_error = error != NULL;
    out->error_code = clean(s, error, "code");
    out->error_message = clean(s, error, "message");
    out->reasons = jv_get(error, "reasons");
    base64_bytes(s, error, "detailsBase64", &out->details, &out->details_len);
    return out;
}

static const char *const body_keys[RAW__COUNT] = {
    [RAW_STREAM_ENVELOPE] = "envelope",
    [RAW_SESSION_SNAPSHOT] = "sessionSnapshot",
    [RAW_STREAM_STATUS] = "streamStatus",
    [RAW_STREAM_INLINE_ERROR] = "inlineError",
    [RAW_SEND_ACK] = "ack",
};

static struct raw_event
raw_of(struct session *s, const json_t *raw)
{
    struct raw_event out = {.kind = RAW__COUNT};
    const json_t *body;

    for (unsigned k = 0; k < RAW__COUNT; k++)
        if (strcmp(raw_kind_name((enum raw_kind)k), jv_cstr(jv_get(raw, "kind"))) == 0)
            out.kind = (enum raw_kind)k;
    MUST(out.kind < RAW__COUNT);
    MUST(clock_parse(jv_cstr(jv_get(raw, "receivedAt")), &out.received_ms));
    body = jv_get(raw, body_keys[out.kind]);
    if (!body)
        return out;
    switch (out.kind) {
    case RAW_STREAM_ENVELOPE:
        out.envelope = envelope_of(s, body);
        break;
    case RAW_SESSION_SNAPSHOT:
        out.snapshot = snapshot_of(s, body);
        break;
    case RAW_STREAM_STATUS:
        out.status = status_of(s, body);
        break;
    case RAW_STREAM_INLINE_ERROR:
        out.inline_error = inline_error_of(s, body);
        break;
    case RAW_SEND_ACK:
        out.ack = ack_of(s, body);
        break;
    case RAW__COUNT:
        break;
    }
    return out;
}

/* --- the pipeline ------------------------------------------------------------------------ */

static bool
is_duplicate(struct session *s, const struct raw_event *raw)
{
    const struct envelope *e = raw->kind == RAW_STREAM_ENVELOPE ? raw->envelope : NULL;

    return e && *e->message_id && !seen_add(&s->seen, e->message_id, e->message_type, e->sender);
}

static void
add_own(struct session *s, const json_t *events)
{
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *document = json_array_get(events, i);
        struct event *e = event_list_add(&s->events, EVENT_UNKNOWN, 0);

        json_object_set_new(document, "seq", json_integer(0)); /* the reader wants one */
        json_decref(e->data);
        MUST(event_read(document, e));
        normalize_redact_own(&s->normalizer, e);
    }
}

static void
finish(struct session *s, struct event *e)
{
    json_t *document;

    e->seq = ++s->seq;
    if (!e->trace_id && !e->span_id && !e->parent_span_id) {
        e->trace_id = jv_cstr(jv_get(s->trace, "traceId"));
        e->span_id = jv_cstr(jv_get(s->trace, "spanId"));
    }
    metrics_fold(&s->metrics, e, NULL);
    projection_fold(s->projection, e);
    document = event_document(e);
    jv_put(document, "id", json_null());
    put_text(document, "runId", jv_cstr(jv_get(jv_get(s->vector, "context"), "runId")));
    jv_put(document, "seq", json_integer(e->seq));
    put_text(document, "ts", e->ts);
    jv_put(document, "schemaVersion", json_integer(EVENT_SCHEMA_VERSION));
    json_array_append_new(s->canonical, document);
}

static void
feed(struct session *s, const json_t *item)
{
    arena_reset(&s->arena);
    event_list_reset(&s->events);
    if (strcmp(jv_cstr(jv_get(item, "op")), "raw") == 0) {
        struct raw_event raw = raw_of(s, jv_get(item, "raw"));

        if (is_duplicate(s, &raw)) {
            json_array_append_new(s->raw_seqs, json_null());
            return;
        }
        json_array_append_new(s->raw_seqs, json_integer(++s->seq));
        normalize(&s->normalizer, &raw, &s->arena, &s->events);
    } else {
        add_own(s, jv_get(item, "events"));
    }
    for (size_t i = 0; i < s->events.n; i++)
        finish(s, &s->events.items[i]);
}

/* --- checking ---------------------------------------------------------------------------- */

static json_t *
parsed(const struct buf *text)
{
    json_t *v = json_loadb(buf_cstr(text), text->len, JSON_DECODE_INT_AS_REAL, NULL);

    MUST(v);
    return v;
}

static void
compare(struct session *s, struct buf *diff)
{
    AUTO_BUF text = {0};
    AUTO_JSON *projection = NULL, *metrics = NULL;
    json_t *recent;

    vector_diff(s->raw_seqs, jv_get(s->vector, "rawSeqs"), "rawSeqs", diff);
    vector_diff(s->canonical, jv_get(s->vector, "canonical"), "canonical", diff);
    projection_write(s->projection, &text);
    projection = parsed(&text);
    recent = jv_get(jv_get(projection, "timeline"), "recent");
    for (size_t i = 0; i < json_array_size(recent); i++)
        json_object_set_new(json_array_get(recent, i), "id", json_null());
    vector_diff(projection, jv_get(s->vector, "projection"), "projection", diff);
    buf_reset(&text);
    metrics_write(&s->metrics, jv_cstr(jv_get(jv_get(s->vector, "context"), "runId")), false,
                  &text);
    metrics = parsed(&text);
    vector_diff(metrics, jv_get(s->vector, "metrics"), "metrics", diff);
}

static void
run_vector(const json_t *vector, struct buf *diff)
{
    const json_t *context = jv_get(vector, "context"), *known, *input = jv_get(vector, "input");
    struct session s = {.vector = vector,
                        .trace = jv_get(context, "traceContext"),
                        .raw_seqs = json_array(),
                        .canonical = json_array(),
                        .projection = projection_new(jv_cstr(jv_get(context, "runId")))};

    s.normalizer.session_id = jv_cstr(jv_get(context, "runtimeSessionId"));
    s.normalizer.known = json_object();
    s.normalizer.redactor = redactor_of(jv_get(jv_get(vector, "config"), "redactPatterns"));
    known = jv_get(context, "knownParticipants");
    for (size_t i = 0; i < json_array_size(known); i++)
        json_object_set_new(s.normalizer.known, jv_cstr(json_array_get(known, i)), json_true());
    for (size_t i = 0; i < json_array_size(input); i++)
        feed(&s, json_array_get(input, i));
    compare(&s, diff);
    event_list_fini(&s.events);
    arena_fini(&s.arena);
    projection_free(s.projection);
    redact_free((struct redactor *)s.normalizer.redactor);
    json_decref(s.normalizer.known);
    seen_fini(&s.seen);
    json_decref(s.raw_seqs);
    json_decref(s.canonical);
}

static void
run_file(struct vectors *v, const char *path)
{
    AUTO_JSON *vector = vector_load(path);
    AUTO_BUF diff = {0};

    run_vector(vector, &diff);
    vectors_report(v, jv_cstr(jv_get(vector, "name")), &diff);
}

static void
run_files(struct vectors *v)
{
    glob_t files;

    if (glob(VECTORS_DIR "*.json", 0, NULL, &files) != 0)
        BUG("no session vectors in " VECTORS_DIR);
    for (size_t i = 0; i < files.gl_pathc; i++)
        run_file(v, files.gl_pathv[i]);
    globfree(&files);
}

int
main(int argc, char **argv)
{
    struct vectors v;

    vectors_begin(&v);
    if (argc > 1)
        vectors_check_lines(&v, argv[1], run_vector);
    else
        run_files(&v);
    return vectors_end(&v) ? 0 : 1;
}
