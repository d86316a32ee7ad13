/*
 * Every message that answers a catalog question, once empty and once full: each field by its
 * camelCase name, nothing left out. Messages are filled by descriptor, so a field that is added to
 * the wire is covered when it is generated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "macp/v1/core.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "observerd/message_json.h"
#include "observerd/payload.h"
#include "shared/json.h"

static const ProtobufCMessageDescriptor *const messages[] = {
    &macp__v1__initialize_response__descriptor,
    &macp__v1__capabilities__descriptor,
    &macp__v1__runtime_info__descriptor,
    &macp__v1__agent_manifest__descriptor,
    &macp__v1__get_manifest_response__descriptor,
    &macp__v1__mode_descriptor__descriptor,
    &macp__v1__list_modes_response__descriptor,
    &macp__v1__list_ext_modes_response__descriptor,
    &macp__v1__root__descriptor,
    &macp__v1__list_roots_response__descriptor,
    &macp__v1__session_metadata__descriptor,
    &macp__v1__policy_descriptor__descriptor,
    &macp__v1__list_policies_response__descriptor,
};

static ProtobufCMessage *
empty(const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = xcalloc(1, d->sizeof_message);

    d->message_init(m);
    return m;
}

static ProtobufCMessage *full(const ProtobufCMessageDescriptor *d);

static void
set_value(const ProtobufCFieldDescriptor *f, void *p)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        *(char **)p = xstrdup("a \"text\"");
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)p = full(f->descriptor);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)p = 1;
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
        *(uint32_t *)p = 1;
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        *(int64_t *)p = 1700000000123;
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)p = 0.25;
        break;
    default:
        fail_msg("field %s is of a kind that is not written", f->name);
    }
}

static size_t
size_of(const ProtobufCFieldDescriptor *f)
{
    if (f->type == PROTOBUF_C_TYPE_BOOL)
        return sizeof(protobuf_c_boolean);
    if (f->type == PROTOBUF_C_TYPE_INT32 || f->type == PROTOBUF_C_TYPE_UINT32 ||
        f->type == PROTOBUF_C_TYPE_ENUM)
        return 4;
    return 8;
}

/* Every field set; two elements in every list, one entry in every map. */
static ProtobufCMessage *
full(const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = empty(d);

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        char *p = (char *)m + f->offset;

        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            bool map = f->type == PROTOBUF_C_TYPE_MESSAGE &&
                       strstr(((const ProtobufCMessageDescriptor *)f->descriptor)->name, "Entry");
            size_t n = map ? 1 : 2;
            char *items = xcalloc(n, size_of(f));

            for (size_t k = 0; k < n; k++)
                set_value(f, items + k * size_of(f));
            *(void **)(void *)p = items;
            *(size_t *)(void *)((char *)m + f->quantifier_offset) = n;
        } else {
            set_value(f, p);
        }
    }
    return m;
}

static json_t *
written(const ProtobufCMessage *m)
{
    AUTO_BUF out = {0};
    json_t *v;

    message_json(&out, m);
    v = jv_parse(buf_cstr(&out), out.len);
    if (!v)
        fail_msg("%s is no JSON: %s", m->descriptor->name, buf_cstr(&out));
    return v;
}

/* The member of a field, which must be there. */
static json_t *
member(const json_t *v, const ProtobufCFieldDescriptor *f)
{
    char key[64];
    json_t *found;

    payload_key(f->name, key, sizeof key);
    assert_null(strchr(key, '_'));
    found = json_object_get(v, key);
    if (!found)
        fail_msg("member %s is missing", key);
    return found;
}

static void
test_empty_messages_have_all_their_members(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        ProtobufCMessage *m = empty(messages[i]);
        AUTO_JSON *v = written(m);

        assert_int_equal(json_object_size(v), messages[i]->n_fields);
        for (unsigned k = 0; k < messages[i]->n_fields; k++) {
            const ProtobufCFieldDescriptor *f = &messages[i]->fields[k];
            json_t *value = member(v, f);

            if (f->label == PROTOBUF_C_LABEL_REPEATED)
                assert_true((json_is_array(value) || json_is_object(value)) &&
                            json_array_size(value) + json_object_size(value) == 0);
            else if (f->type == PROTOBUF_C_TYPE_STRING)
                assert_true(json_is_string(value));
            else if (f->type == PROTOBUF_C_TYPE_BOOL)
                assert_true(json_is_false(value));
            else if (f->type == PROTOBUF_C_TYPE_MESSAGE)
                assert_true(json_is_null(value));
        }
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static void
test_full_messages_have_all_their_values(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        ProtobufCMessage *m = full(messages[i]);
        AUTO_JSON *v = written(m);

        for (unsigned k = 0; k < messages[i]->n_fields; k++) {
            const ProtobufCFieldDescriptor *f = &messages[i]->fields[k];
            json_t *value = member(v, f);

            if (f->label == PROTOBUF_C_LABEL_REPEATED) {
                assert_int_equal(json_array_size(value) + json_object_size(value),
                                 json_is_object(value) ? 1 : 2);
                value = json_is_array(value) ? json_array_get(value, 1) : NULL;
            }
            if (!value)
                continue;
            if (f->type == PROTOBUF_C_TYPE_STRING)
                assert_string_equal(json_string_value(value), "a \"text\"");
            else if (f->type == PROTOBUF_C_TYPE_BOOL)
                assert_true(json_is_true(value));
            else if (f->type == PROTOBUF_C_TYPE_MESSAGE)
                assert_true(json_is_object(value));
            else if (f->type == PROTOBUF_C_TYPE_ENUM)
                assert_true(json_is_string(value));
            else
                assert_true(json_is_number(value));
        }
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static void
test_hello_reads_like_this(void **state UNUSED)
{
    Macp__V1__InitializeResponse m = MACP__V1__INITIALIZE_RESPONSE__INIT;
    Macp__V1__RuntimeInfo info = MACP__V1__RUNTIME_INFO__INIT;
    char *modes[] = {(char *)"a", (char *)"b\n"};
    AUTO_BUF out = {0};

    m.selected_protocol_version = (char *)"1.0";
    info.name = (char *)"macp-runtime";
    m.runtime_info = &info;
    m.n_supported_modes = 2;
    m.supported_modes = modes;
    message_json(&out, &m.base);
    assert_non_null(strstr(buf_cstr(&out), "{\"selectedProtocolVersion\":\"1.0\",\"runtimeInfo\":"
                                           "{\"name\":\"macp-runtime\","));
    assert_non_null(strstr(buf_cstr(&out), "\"capabilities\":null,\"supportedModes\":"
                                           "[\"a\",\"b\\n\"],\"instructions\":\"\"}"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_messages_have_all_their_members),
        cmocka_unit_test(test_full_messages_have_all_their_values),
        cmocka_unit_test(test_hello_reads_like_this),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
