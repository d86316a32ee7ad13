/*
 * Vectors of single rules: decoding, derived types, subjects, LLM calls, redaction, and the event
 * list of a payload that is decoded already.
 */
#include <string.h>

#include "observerd/derive.h"
#include "observerd/llm.h"
#include "observerd/normalize.h"
#include "observerd/payload.h"
#include "tests/golden/pipeline.h"
#include "tests/support/vectors.h"

static const char *
text(const json_t *c, const char *key)
{
    return jv_cstr(jv_get(c, key));
}

/* null in a vector stands for absent. */
static json_t *
value_or_absent(const json_t *c, const char *key)
{
    json_t *v = jv_get(c, key);

    return jv_nullish(v) ? NULL : v;
}

static void
check_decode(const json_t *c, struct buf *diff)
{
    AUTO_BUF bytes = {0};
    AUTO_JSON *name = NULL;
    struct payload got;

    if (!jv_base64_decode(text(c, "payloadBase64"), strlen(text(c, "payloadBase64")), &bytes))
        BUG("payloadBase64 is no base64");
    got = payload_decode(text(c, "mode"), text(c, "messageType"), buf_cstr(&bytes), bytes.len);
    name = got.type_name ? json_string(got.type_name) : json_null();
    vector_diff(name, jv_get(c, "typeName"), "typeName", diff);
    vector_diff(got.value, jv_get(c, "decoded"), "decoded", diff);
    json_decref(got.value);
}

static void
check_derive(const json_t *c, struct buf *diff)
{
    enum event_type type = derive_type(text(c, "messageType"));
    AUTO_JSON *got = type == EVENT_UNKNOWN ? json_null() : json_string(event_type_name(type));

    vector_diff(got, jv_get(c, "derivedType"), "derivedType", diff);
}

static void
check_subject(const json_t *c, struct buf *diff)
{
    AUTO_JSON *got = json_object();
    struct arena arena = {0};
    const char *kind, *id;

    derive_subject(event_type_parse(text(c, "type")), text(c, "messageId"),
                   value_or_absent(c, "decoded"), &arena, &kind, &id);
    put_text(got, "kind", kind);
    put_text(got, "id", id);
    vector_diff(got, jv_get(c, "subject"), "subject", diff);
    arena_fini(&arena);
}

static void
check_llm(const json_t *c, struct buf *diff)
{
    AUTO_JSON *got = llm_call_extract(value_or_absent(c, "decoded"));

    vector_diff(got, jv_get(c, "expected"), "expected", diff);
}

static void
check_redaction(const json_t *c, struct buf *diff)
{
    struct redactor *r = redactor_of(jv_get(c, "patterns"));
    AUTO_JSON *got = redact_value(r, jv_get(c, "input"));

    vector_diff(got, jv_get(c, "output"), "output", diff);
    redact_free(r);
}

static const ProtobufCMessageDescriptor *
descriptor_of(const json_t *c, const json_t *value)
{
    const char *name = text(c, "payloadTypeName");

    return name && value && !payload_is_wrapper(value) ? payload_descriptor(name) : NULL;
}

static void
check_redact_data(const json_t *c, struct buf *diff)
{
    struct redactor *r = redactor_of(jv_get(c, "patterns"));
    const char *name = text(c, "payloadTypeName");
    AUTO_JSON *got = redact_data(r, jv_get(c, "data"), name ? payload_descriptor(name) : NULL);

    vector_diff(got, jv_get(c, "output"), "output", diff);
    redact_free(r);
}

static void
check_normalize(const json_t *c, struct buf *diff)
{
    AUTO_JSON *known = json_object(), *got = json_array();
    struct normalizer n = {.session_id = text(c, "sessionId"),
                           .known = known,
                           .redactor = redactor_of(jv_get(c, "redactPatterns"))};
    struct envelope e = {.mode = text(c, "mode"),
                         .message_type = text(c, "messageType"),
                         .message_id = text(c, "messageId"),
                         .session_id = text(c, "sessionId"),
                         .sender = text(c, "sender")};
    struct payload p = {.value = value_or_absent(c, "decoded"),
                        .type_name = text(c, "payloadTypeName")};
    struct event_list events = {0};
    struct arena arena = {0};

    p.decoded_as = descriptor_of(c, p.value);
    if (json_is_true(jv_get(c, "senderKnown")))
        json_object_set_new(known, e.sender, json_true());
    normalize_decoded(&n, &e, &p, 0, &arena, &events);
    for (size_t i = 0; i < events.n; i++)
        json_array_append_new(got, event_document(&events.items[i]));
    vector_diff(got, jv_get(c, "events"), "events", diff);
    event_list_fini(&events);
    arena_fini(&arena);
    redact_free((struct redactor *)n.redactor);
}

static const struct {
    const char *file;
    vector_check check;
} rules[] = {
    {"decode", check_decode},           {"decode_hostile", check_decode},
    {"derive", check_derive},           {"subject", check_subject},
    {"llm_extract", check_llm},         {"redaction", check_redaction},
    {"redact_data", check_redact_data}, {"normalize_decoded", check_normalize},
};

static void
run_file(struct vectors *v, size_t rule)
{
    AUTO_BUF path = {0}, name = {0}, diff = {0};
    AUTO_JSON *document = NULL;
    const json_t *cases;

    buf_printf(&path, VECTORS_DIR "unit/%s.json", rules[rule].file);
    document = vector_load(buf_cstr(&path));
    cases = jv_get(document, "cases");
    if (json_array_size(cases) == 0)
        BUG("%s holds no cases", path.p);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);

        buf_reset(&name);
        buf_reset(&diff);
        buf_printf(&name, "unit/%s #%zu %s", rules[rule].file, i,
                   text(c, "name") ? text(c, "name") : "");
        rules[rule].check(c, &diff);
        vectors_report(v, buf_cstr(&name), &diff);
    }
}

int
main(void)
{
    struct vectors v;

    vectors_begin(&v);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        run_file(&v, i);
    return vectors_end(&v) ? 0 : 1;
}
