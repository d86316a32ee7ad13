#include "observerd/message_json.h"

#include <string.h>

#include "observerd/payload.h"
#include "shared/json.h"

static void
text(struct buf *out, const char *s)
{
    jv_write_text(out, s ? s : "", s ? strlen(s) : 0);
}

/* Bytes per element of a repeated field; 0: a kind that no message of the runtime has. */
static size_t
value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 0;
    }
}

static void
value(struct buf *out, const ProtobufCFieldDescriptor *f, const void *p)
{
    const ProtobufCEnumValue *name;

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        text(out, *(char *const *)p);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (*(ProtobufCMessage *const *)p)
            message_json(out, *(ProtobufCMessage *const *)p);
        else
            buf_lit(out, "null");
        break;
    case PROTOBUF_C_TYPE_BOOL:
        buf_str(out, *(const protobuf_c_boolean *)p ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        buf_int(out, *(const int64_t *)p);
        break;
    case PROTOBUF_C_TYPE_INT32:
        buf_int(out, *(const int32_t *)p);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        buf_int(out, *(const uint32_t *)p);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        jv_write_number(out, *(const double *)p);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        name = protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)p);
        if (name)
            text(out, name->name);
        else
            buf_int(out, *(const int *)p);
        break;
    default:
        buf_lit(out, "null");
        break;
    }
}

/* A map travels as repeated entries of a key and a value. */
static bool
is_map(const ProtobufCFieldDescriptor *f)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;
    size_t n;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE || d->n_fields != 2)
        return false;
    n = strlen(d->short_name);
    return n > 5 && strcmp(d->short_name + n - 5, "Entry") == 0 &&
           strcmp(d->fields[0].name, "key") == 0;
}

static void
repeated(struct buf *out, const ProtobufCFieldDescriptor *f, const char *items, size_t n)
{
    bool map = is_map(f);

    buf_char(out, map ? '{' : '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(out, ',');
        if (map) {
            const ProtobufCMessage *entry = ((ProtobufCMessage *const *)(const void *)items)[i];
            const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;

            text(out, *(char *const *)((const char *)entry + fields[0].offset));
            buf_char(out, ':');
            value(out, &fields[1], (const char *)entry + fields[1].offset);
        } else {
            value(out, f, items + i * value_size(f->type));
        }
    }
    buf_char(out, map ? '}' : ']');
}

void
message_json(struct buf *out, const ProtobufCMessage *m)
{
    char key[64];

    buf_char(out, '{');
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *p = (const char *)m + f->offset;

        payload_key(f->name, key, sizeof key);
        if (i)
            buf_char(out, ',');
        text(out, key);
        buf_char(out, ':');
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            repeated(out, f, *(char *const *)p,
                     *(const size_t *)((const char *)m + f->quantifier_offset));
        else
            value(out, f, p);
    }
    buf_char(out, '}');
}
