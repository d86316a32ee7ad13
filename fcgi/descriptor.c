#include "fcgi/descriptor.h"

#include <ctype.h>
#include <string.h>
#include <sys/random.h>

#include "fcgi/validate.h"
#include "shared/buf.h"
#include "shared/destination.h"
#include "shared/json.h"
#include "shared/run.h"

#define REDACTED "[REDACTED]"

// clang-format off
static const char *const modes[] = {"live", "sandbox", NULL};
static const char *const actor_types[] = {"user", "service", "system", NULL};

static const struct field runtime_fields[] = {
    {"kind",    FIELD_STRING, FIELD_REQUIRED, 64, NULL, NULL, NULL},
    {"version", FIELD_STRING, 0,              64, NULL, NULL, NULL},
    {NULL,      FIELD_STRING, 0,              0,  NULL, NULL, NULL},
};
static const struct field participant_fields[] = {
    {"id", FIELD_STRING, FIELD_REQUIRED | FIELD_NOT_EMPTY, 255, NULL, NULL, NULL},
    {NULL, FIELD_STRING, 0,                                0,   NULL, NULL, NULL},
};
static const struct field session_fields[] = {
    {"sessionId",            FIELD_STRING,   0,                                255, NULL, NULL, NULL},
    {"modeName",             FIELD_STRING,   FIELD_REQUIRED | FIELD_NOT_EMPTY, 255, NULL, NULL, NULL},
    {"modeVersion",          FIELD_STRING,   FIELD_REQUIRED,                   64,  NULL, NULL, NULL},
    {"configurationVersion", FIELD_STRING,   FIELD_REQUIRED,                   128, NULL, NULL, NULL},
    {"policyVersion",        FIELD_STRING,   0,                                128, NULL, NULL, NULL},
    {"ttlMs",                FIELD_POSITIVE, FIELD_REQUIRED,                   0,   NULL, NULL, NULL},
    {"participants",         FIELD_LIST,     FIELD_REQUIRED,                   1000,
     "Maximum 1000 participants per session", NULL, participant_fields},
    {"metadata",             FIELD_OBJECT,   0,                                0,   NULL, NULL, NULL},
    {NULL,                   FIELD_STRING,   0,                                0,   NULL, NULL, NULL},
};
static const struct field requester_fields[] = {
    {"actorId",   FIELD_STRING, 0, 0, NULL, NULL,        NULL},
    {"actorType", FIELD_ENUM,   0, 0, NULL, actor_types, NULL},
    {NULL,        FIELD_STRING, 0, 0, NULL, NULL,        NULL},
};
static const struct field execution_fields[] = {
    {"idempotencyKey", FIELD_STRING,  0, 255, NULL, NULL, NULL},
    {"tags",           FIELD_STRINGS, 0, 0,   NULL, NULL, NULL},
    {"requester",      FIELD_NESTED,  0, 0,   NULL, NULL, requester_fields},
    {NULL,             FIELD_STRING,  0, 0,   NULL, NULL, NULL},
};
static const struct field descriptor_fields[] = {
    {"mode",      FIELD_ENUM,   FIELD_REQUIRED, 0, NULL, modes, NULL},
    {"runtime",   FIELD_NESTED, FIELD_REQUIRED, 0, NULL, NULL,  runtime_fields},
    {"session",   FIELD_NESTED, FIELD_REQUIRED, 0, NULL, NULL,  session_fields},
    {"execution", FIELD_NESTED, 0,              0, NULL, NULL,  execution_fields},
    {NULL,        FIELD_STRING, 0,              0, NULL, NULL,  NULL},
};
// clang-format on

const struct body_schema descriptor_schema = {descriptor_fields, true, NULL};
const struct body_schema descriptor_validate_schema = {descriptor_fields, true, "session"};

/* --- ids ------------------------------------------------------------------------------------ */

bool
descriptor_session_id_ok(const char *s)
{
    enum { SHORTEST = 22 };
    size_t n = strlen(s);

    return n >= SHORTEST &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

/* n lower-case hexadecimal digits, not all of them zero. */
static bool
is_hex_id(const char *p, size_t n)
{
    return strspn(p, "0123456789abcdef") >= n && strspn(p, "0") < n;
}

void
descriptor_trace_id(const char *traceparent, char out[TRACE_ID_LEN])
{
    /* version "-" trace id "-" parent id "-" flags; later versions may append more */
    enum { TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, LEN = 55 };
    static const char hex[] = "0123456789abcdef";
    const char *t = traceparent;
    unsigned char random[16] = {0};

    if (t && strlen(t) >= LEN && strspn(t, hex) == 2 && strncmp(t, "ff", 2) != 0 && t[2] == '-' &&
        t[PARENT_AT - 1] == '-' && t[FLAGS_AT - 1] == '-' && is_hex_id(t + TRACE_AT, 32) &&
        is_hex_id(t + PARENT_AT, 16) && strspn(t + FLAGS_AT, hex) == 2 &&
        (t[LEN] == '\0' || (t[LEN] == '-' && t[1] != '0'))) {
        memcpy(out, t + TRACE_AT, TRACE_ID_LEN - 1);
        out[TRACE_ID_LEN - 1] = '\0';
        return;
    }
    if (getrandom(random, sizeof random, 0) != sizeof random)
        BUG("no random bytes");
    random[0] |= 1; /* never all zeros */
    for (size_t i = 0; i < sizeof random; i++) {
        out[2 * i] = hex[random[i] >> 4];
        out[2 * i + 1] = hex[random[i] & 15];
    }
    out[TRACE_ID_LEN - 1] = '\0';
}

/* --- pieces of the draft -------------------------------------------------------------------- */

/* A member's text, conversions included; NULL when it is absent or null. */
static const char *
text_of(struct arena *arena, const json_t *object, const char *key)
{
    const json_t *v = jv_get(object, key);
    AUTO_BUF text = {0};

    if (jv_nullish(v))
        return NULL;
    if (json_is_string(v))
        return json_string_value(v);
    jv_str(&text, v);
    return arena_strndup(arena, buf_cstr(&text), text.len);
}

bool
descriptor_check_tags(const json_t *document, struct err *err)
{
    enum { LONGEST = 512 }; /* four bytes each are still an entry of an index */
    json_t *tag;
    size_t i;

    json_array_foreach (jv_get(jv_get(document, "execution"), "tags"), i, tag)
        if (jv_text_chars(json_string_value(tag)) > LONGEST)
            return err_set(
                err, ERR_VALIDATION,
                "execution.each value in tags must be shorter than or equal to %d characters",
                LONGEST);
    return true;
}

static const char *
write_json(struct arena *arena, const json_t *v)
{
    AUTO_BUF text = {0};

    jv_write(&text, v);
    return arena_strndup(arena, buf_cstr(&text), text.len);
}

/* Move the secret out of the document and check where the callback goes. */
static bool
take_callback(struct arena *arena, json_t *session_metadata, const struct config *config,
              struct run_draft *d, struct err *err)
{
    json_t *callback = jv_get(session_metadata, "cancelCallback");
    const json_t *bearer = jv_get(callback, "bearer");
    const char *url = jv_cstr(jv_get(callback, "url"));
    struct err why;

    if (url && *url) {
        if (!destination_check_url(url, config, &why))
            return err_set(err, ERR_VALIDATION,
                           "session.metadata.cancelCallback.url is not allowed: %s", why.msg);
        d->callback_url = url;
    }
    if (!jv_truthy(bearer))
        return true;
    if (json_is_string(bearer))
        d->callback_bearer = arena_strdup(arena, json_string_value(bearer));
    json_object_set_new(callback, "bearer", json_string(REDACTED));
    return true;
}

static const char *
make_tags(struct arena *arena, const json_t *execution, bool sandbox)
{
    const json_t *given = jv_get(execution, "tags");
    AUTO_JSON *tags = json_is_array(given) ? json_copy((json_t *)(uintptr_t)given) : json_array();
    bool present = false;
    json_t *tag;
    size_t i;

    json_array_foreach (tags, i, tag)
        present = present || strcmp(json_string_value(tag), "sandbox") == 0;
    if (sandbox && !present)
        json_array_append_new(tags, json_string("sandbox"));
    return write_json(arena, tags);
}

/* Everything of the run's metadata except the descriptor, which is put back when it is read. */
static const char *
make_metadata(struct arena *arena, const json_t *session_metadata, const json_t *execution)
{
    static const char *const lifted[] = {"environment", "scenarioRef"};
    static const char *const truthy[] = {"cancelCallback", "cancellationDelegated"};
    AUTO_JSON *metadata = json_object();
    json_t *requester = jv_get(execution, "requester");

    if (!jv_nullish(requester))
        json_object_set(metadata, "requester", requester);
    for (size_t i = 0; i < ARRAY_LEN(truthy); i++)
        if (jv_truthy(jv_get(session_metadata, truthy[i])))
            json_object_set(metadata, truthy[i], jv_get(session_metadata, truthy[i]));
    for (size_t i = 0; i < ARRAY_LEN(lifted); i++)
        if (!jv_nullish(jv_get(session_metadata, lifted[i])))
            json_object_set(metadata, lifted[i], jv_get(session_metadata, lifted[i]));
    return write_json(arena, metadata);
}

static const char *
make_event_data(struct arena *arena, const struct run_draft *d)
{
    AUTO_BUF data = {0};

    buf_printf(&data, "{\"status\":\"%s\",\"modeName\":", run_status_name(RUN_QUEUED));
    buf_json(&data, d->mode_name);
    buf_lit(&data, ",\"runtimeKind\":");
    buf_json(&data, d->runtime_kind);
    if (d->runtime_version) {
        buf_lit(&data, ",\"runtimeVersion\":");
        buf_json(&data, d->runtime_version);
    }
    buf_lit(&data, ",\"sessionId\":");
    buf_json(&data, d->session_id);
    buf_printf(&data, ",\"traceId\":\"%s\"}", d->trace_id);
    return arena_strndup(arena, buf_cstr(&data), data.len);
}

/* The caller's session id, or a fresh one that is put into the document. */
static bool
take_session_id(struct arena *arena, json_t *session, struct run_draft *d, struct err *err)
{
    const char *given = jv_cstr(jv_get(session, "sessionId"));
    char *fresh;

    if (given && *given) {
        d->session_id = given;
        return descriptor_session_id_ok(given) ||
               err_set(err, ERR_VALIDATION,
                       "session.sessionId must be a UUID v4/v7 or base64url 22+ chars");
    }
    fresh = arena_alloc(arena, UUID_LEN);
    uuid_v4(fresh);
    json_object_set_new(session, "sessionId", json_string(fresh));
    d->session_id = fresh;
    return true;
}

bool
descriptor_draft(struct arena *arena, json_t *document, const char *traceparent,
                 const struct config *config, struct run_draft *out, struct err *err)
{
    json_t *session = jv_get(document, "session"), *metadata = jv_get(session, "metadata");
    const json_t *execution = jv_get(document, "execution");
    const json_t *runtime = jv_get(document, "runtime");
    struct run_draft d = {0};

    d.mode = jv_cstr(jv_get(document, "mode"));
    d.mode_name = jv_cstr(jv_get(session, "modeName"));
    d.runtime_kind = jv_cstr(jv_get(runtime, "kind"));
    d.runtime_version = jv_cstr(jv_get(runtime, "version"));
    if (strcmp(d.runtime_kind, config->runtime_kind) != 0)
        return err_set(err, ERR_VALIDATION, "runtime provider '%s' is not registered",
                       d.runtime_kind);
    if (!descriptor_check_tags(document, err) || !take_session_id(arena, session, &d, err) ||
        !take_callback(arena, metadata, config, &d, err))
        return false;

    uuid_v4(d.run_id);
    descriptor_trace_id(traceparent, d.trace_id);
    d.idempotency_key = jv_cstr(jv_get(execution, "idempotencyKey"));
    if (d.idempotency_key && !*d.idempotency_key)
        d.idempotency_key = NULL;
    d.source_kind = text_of(arena, metadata, "source");
    d.source_ref = text_of(arena, metadata, "sourceRef");
    d.environment = text_of(arena, metadata, "environment");
    d.scenario_ref = text_of(arena, metadata, "scenarioRef");
    d.cancel_delegated = jv_truthy(jv_get(metadata, "cancellationDelegated"));
    d.tags = make_tags(arena, execution, strcmp(d.mode, "sandbox") == 0);
    d.metadata = make_metadata(arena, metadata, execution);
    d.descriptor = write_json(arena, document);
    d.event_data = make_event_data(arena, &d);
    *out = d;
    return true;
}
