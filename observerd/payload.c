#include "observerd/payload.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "macp/modes/decision/v1/decision.pb-c.h"
#include "macp/modes/handoff/v1/handoff.pb-c.h"
#include "macp/modes/multi_round/v1/multi_round.pb-c.h"
#include "macp/modes/proposal/v1/proposal.pb-c.h"
#include "macp/modes/quorum/v1/quorum.pb-c.h"
#include "macp/modes/task/v1/task.pb-c.h"
#include "macp/v1/core.pb-c.h"
#include "shared/buf.h"
#include "shared/json.h"
#include "shared/wire.h"

/* --- tables ------------------------------------------------------------------------------ */

#define CORE(name)          macp__v1__##name##_payload__descriptor
#define OF_MODE(mode, name) macp__modes__##mode##__v1__##name##_payload__descriptor
#define CORE_TYPE(type, name)                                                                      \
    {                                                                                              \
        "", type, &CORE(name)                                                                      \
    }
#define DECISION(type, name)                                                                       \
    {                                                                                              \
        "macp.mode.decision.v1", type, &OF_MODE(decision, name)                                    \
    }
#define PROPOSAL(type, name)                                                                       \
    {                                                                                              \
        "macp.mode.proposal.v1", type, &OF_MODE(proposal, name)                                    \
    }
#define TASK(type, name)                                                                           \
    {                                                                                              \
        "macp.mode.task.v1", type, &OF_MODE(task, name)                                            \
    }
#define HANDOFF(type, name)                                                                        \
    {                                                                                              \
        "macp.mode.handoff.v1", type, &OF_MODE(handoff, name)                                      \
    }
#define QUORUM(type, name)                                                                         \
    {                                                                                              \
        "macp.mode.quorum.v1", type, &OF_MODE(quorum, name)                                        \
    }
#define CONTRIBUTE_DESCRIPTOR OF_MODE(multi_round, contribute)

// clang-format off
const struct payload_type payload_types[] = {
    CORE_TYPE("SessionStart", session_start),
    CORE_TYPE("Commitment", commitment),
    CORE_TYPE("Signal", signal),
    CORE_TYPE("Progress", progress),
    CORE_TYPE("SessionCancel", session_cancel),
    CORE_TYPE("SessionSuspend", session_suspend),
    CORE_TYPE("SessionResume", session_resume),
    DECISION("Proposal", proposal),
    DECISION("Evaluation", evaluation),
    DECISION("Objection", objection),
    DECISION("Vote", vote),
    PROPOSAL("Proposal", proposal),
    PROPOSAL("CounterProposal", counter_proposal),
    PROPOSAL("Accept", accept),
    PROPOSAL("Reject", reject),
    PROPOSAL("Withdraw", withdraw),
    TASK("TaskRequest", task_request),
    TASK("TaskAccept", task_accept),
    TASK("TaskReject", task_reject),
    TASK("TaskUpdate", task_update),
    TASK("TaskComplete", task_complete),
    TASK("TaskFail", task_fail),
    HANDOFF("HandoffOffer", handoff_offer),
    HANDOFF("HandoffContext", handoff_context),
    HANDOFF("HandoffAccept", handoff_accept),
    HANDOFF("HandoffDecline", handoff_decline),
    QUORUM("ApprovalRequest", approval_request),
    QUORUM("Approve", approve),
    QUORUM("Reject", reject),
    QUORUM("Abstain", abstain),
    {"ext.multi_round.v1", "Contribute", &CONTRIBUTE_DESCRIPTOR},
};
// clang-format on
const size_t payload_types_count = ARRAY_LEN(payload_types);

/*
 * Members whose default is written out: a proto3 sender cannot say false on the wire, so a
 * missing value is one.
 */
static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    const char *key;
} always_present[] = {
    {&CORE(commitment), "outcomePositive"},
};

/* Contributions came as JSON before they had a message; readers see that by this type name. */
static const char json_marker[] = "__json__";

static const ProtobufCMessageDescriptor *
lookup(const char *mode, const char *message_type)
{
    const ProtobufCMessageDescriptor *core = NULL;

    for (size_t i = 0; i < payload_types_count; i++) {
        const struct payload_type *t = &payload_types[i];

        if (strcmp(t->message_type, message_type) != 0)
            continue;
        if (strcmp(t->mode, mode) == 0)
            return t->descriptor;
        if (!*t->mode)
            core = t->descriptor;
    }
    return core;
}

const char *
payload_mode_label(const char *mode)
{
    for (size_t i = 0; i < payload_types_count; i++)
        if (strcmp(payload_types[i].mode, mode) == 0)
            return payload_types[i].mode;
    return "other";
}

const char *
payload_type_label(const char *message_type)
{
    if (!*message_type)
        return "";
    for (size_t i = 0; i < payload_types_count; i++)
        if (strcmp(payload_types[i].message_type, message_type) == 0)
            return payload_types[i].message_type;
    return "other";
}

const ProtobufCMessageDescriptor *
payload_descriptor(const char *type_name)
{
    for (size_t i = 0; i < payload_types_count; i++)
        if (strcmp(payload_types[i].descriptor->name, type_name) == 0)
            return payload_types[i].descriptor;
    return NULL;
}

/* --- members ----------------------------------------------------------------------------- */

void
payload_key(const char *field, char *out, size_t cap)
{
    size_t n = 0;
    bool up = false;

    for (; *field && n + 1 < cap; field++) {
        if (*field == '_') {
            up = true;
            continue;
        }
        out[n++] = (char)(up && *field >= 'a' && *field <= 'z' ? *field - 'a' + 'A' : *field);
        up = false;
    }
    out[n] = '\0';
}

static bool
is_repeated(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED;
}

/*
 * protobuf-c does not mark the messages that protoc makes for maps. They are known by their
 * reserved shape: a nested message <Field>Entry of a key (1) and a value (2).
 */
static bool
is_map(const ProtobufCMessageDescriptor *parent, const ProtobufCFieldDescriptor *f)
{
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    size_t parent_len = strlen(parent->name), len;

    if (!is_repeated(f) || f->type != PROTOBUF_C_TYPE_MESSAGE || entry->n_fields != 2)
        return false;
    len = strlen(entry->name);
    return len > parent_len + 6 && strncmp(entry->name, parent->name, parent_len) == 0 &&
           entry->name[parent_len] == '.' && strcmp(entry->name + len - 5, "Entry") == 0 &&
           entry->fields[0].id == 1 && strcmp(entry->fields[0].name, "key") == 0 &&
           entry->fields[1].id == 2 && strcmp(entry->fields[1].name, "value") == 0;
}

enum payload_member
payload_member_kind(const ProtobufCMessageDescriptor *type, const char *key)
{
    char name[PAYLOAD_KEY_LEN];

    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];

        payload_key(f->name, name, sizeof name);
        if (strcmp(name, key) != 0)
            continue;
        if (f->type == PROTOBUF_C_TYPE_BYTES && !is_repeated(f))
            return PAYLOAD_BYTES;
        if (is_map(type, f))
            return PAYLOAD_BYTES_MAP;
        break;
    }
    return PAYLOAD_PLAIN;
}

/* --- protobuf to JSON -------------------------------------------------------------------- */

static json_t *decode_message(const ProtobufCMessageDescriptor *type, const void *p, size_t n);

static json_t *
must(json_t *v)
{
    if (!v)
        BUG("out of memory");
    return v;
}

static json_t *
base64_text(const void *p, size_t n)
{
    AUTO_BUF text = {0};

    buf_base64(&text, p, n);
    return must(json_stringn_nocheck(buf_cstr(&text), text.len));
}

/* The wire type that carries a field; -1 for kinds that no payload has, which are skipped. */
static int
wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
        return WIRE_VARINT;
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LEN;
    default:
        return -1;
    }
}

/* The value of one field, NULL when the bytes are malformed; *is_default: "", 0, false. */
static json_t *
read_value(const struct wire_field *wire, const ProtobufCFieldDescriptor *f, bool *is_default)
{
    const char *text = (const char *)wire->data;
    double real;

    *is_default = wire->type == WIRE_LEN ? wire->len == 0 : wire->value == 0;
    switch (f->type) {
    case PROTOBUF_C_TYPE_DOUBLE:
        memcpy(&real, &wire->value, sizeof real);
        *is_default = real == 0; /* of either sign */
        return jv_real(real);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(wire->value != 0);
    case PROTOBUF_C_TYPE_UINT32:
        *is_default = (uint32_t)wire->value == 0;
        return jv_real((uint32_t)wire->value);
    case PROTOBUF_C_TYPE_INT64:
        return jv_real((double)(int64_t)wire->value);
    case PROTOBUF_C_TYPE_MESSAGE:
        *is_default = false;
        return decode_message(f->descriptor, wire->data, wire->len);
    case PROTOBUF_C_TYPE_BYTES:
        return base64_text(wire->data, wire->len);
    default: /* a string: wire_type_of let nothing else through */
        return jv_is_utf8(text, wire->len) ? jv_string(text, wire->len) : NULL;
    }
}

/* Move key and value of a decoded map entry to the map; the last one of a key stays. */
static void
add_entry(json_t *message, const char *key, json_t *entry)
{
    json_t *map = json_object_get(message, key), *value = json_object_get(entry, "value");
    const char *name = jv_cstr(json_object_get(entry, "key"));

    if (!map) {
        map = must(json_object());
        jv_put(message, key, map);
    }
    jv_put(map, name ? name : "", value ? json_incref(value) : must(json_string("")));
    json_decref(entry);
}

static void
add_item(json_t *message, const char *key, json_t *item)
{
    json_t *array = json_object_get(message, key);

    if (!array) {
        array = must(json_array());
        jv_put(message, key, array);
    }
    if (json_array_append_new(array, item) != 0)
        BUG("out of memory");
}

/* Read one field into the message. False when the bytes are malformed. */
static bool
read_field(const struct wire_field *wire, const ProtobufCMessageDescriptor *type,
           const ProtobufCFieldDescriptor *f, json_t *message)
{
    char key[PAYLOAD_KEY_LEN];
    bool is_default;
    json_t *value = read_value(wire, f, &is_default);

    if (!value)
        return false;
    payload_key(f->name, key, sizeof key);
    if (is_map(type, f)) {
        add_entry(message, key, value);
    } else if (is_repeated(f)) {
        add_item(message, key, value);
    } else if (is_default) { /* as if it had never been there, earlier occurrences included */
        json_object_del(message, key);
        json_decref(value);
    } else {
        jv_put(message, key, value);
    }
    return true;
}

static json_t *
decode_message(const ProtobufCMessageDescriptor *type, const void *p, size_t n)
{
    AUTO_JSON *message = must(json_object());
    struct wire_reader reader = wire_read(p, n);
    const ProtobufCFieldDescriptor *f;
    struct wire_field wire;
    enum wire_result result;

    while ((result = wire_next(&reader, &wire)) == WIRE_FIELD) {
        f = protobuf_c_message_descriptor_get_field(type, wire.number);
        if (f && wire_type_of(f->type) == (int)wire.type && !read_field(&wire, type, f, message))
            return NULL;
    }
    if (result == WIRE_MALFORMED)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(always_present); i++)
        if (always_present[i].descriptor == type &&
            !json_object_get(message, always_present[i].key))
            jv_put(message, always_present[i].key, json_false());
    return json_incref(message);
}

/* --- the whole payload ------------------------------------------------------------------- */

static json_t *
wrap(const char *key, json_t *value, const char *encoding)
{
    json_t *wrapper = must(json_object());

    jv_put(wrapper, key, value);
    jv_put(wrapper, "encoding", must(json_string(encoding)));
    return wrapper;
}

static json_t *
wrap_json(const char *p, size_t n)
{
    json_t *value = jv_parse(p, n);

    return value ? wrap("json", value, "json") : NULL;
}

static json_t *
wrap_text(const char *p, size_t n)
{
    json_t *wrapper = wrap("text", jv_string(p, n), "text");

    jv_put(wrapper, "payloadBase64", base64_text(p, n));
    return wrapper;
}

struct payload
payload_decode(const char *mode, const char *message_type, const void *bytes, size_t n)
{
    const ProtobufCMessageDescriptor *type = lookup(mode, message_type);
    bool contribute = type == &CONTRIBUTE_DESCRIPTOR;
    const char *p = n ? bytes : "";
    bool tried_json = !type || *p == '{' || *p == '[';
    struct payload out = {.type_name = contribute ? json_marker : type ? type->name : NULL};

    if (n && tried_json && (out.value = wrap_json(p, n)))
        return out;
    if (type) {
        out.value = decode_message(type, p, n);
        /* A contribution is nothing but its value: without one the bytes meant something else. */
        if (out.value && (!contribute || json_object_get(out.value, "value"))) {
            out.type_name = type->name;
            out.decoded_as = type;
            return out;
        }
        json_decref(out.value);
        out.value = NULL;
    }
    if (n && !tried_json)
        out.value = wrap_json(p, n);
    if (n && !out.value)
        out.value = wrap_text(p, n);
    return out;
}

bool
payload_is_wrapper(const json_t *value)
{
    const char *encoding = jv_cstr(jv_get(value, "encoding"));

    return encoding && (strcmp(encoding, "json") == 0 || strcmp(encoding, "text") == 0);
}

json_t *
payload_inner(json_t *value)
{
    json_t *inner = payload_is_wrapper(value) ? jv_get(value, "json") : NULL;

    return json_is_object(inner) ? inner : value;
}
