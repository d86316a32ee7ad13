#include "tests/runtime/payload.h"

#include <stdlib.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

static void
put_varint(struct buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_char(out, (char)(v | 0x80));
    buf_char(out, (char)v);
}

static void
put_tag(struct buf *out, const ProtobufCFieldDescriptor *f, enum wire_type type)
{
    put_varint(out, (uint64_t)f->id << 3 | type);
}

static void
put_bytes(struct buf *out, const ProtobufCFieldDescriptor *f, const char *p, size_t n)
{
    put_tag(out, f, WIRE_BYTES);
    put_varint(out, n);
    buf_add(out, p, n);
}

static int
hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

bool
payload_from_hex(const char *hex, struct buf *out, struct err *err)
{
    for (; *hex; hex += 2) {
        int high = hex_digit(hex[0]);
        int low = hex_digit(hex[1]);

        if (high < 0 || low < 0)
            return err_set(err, ERR_VALIDATION, "not pairs of hexadecimal digits");
        buf_char(out, (char)(high << 4 | low));
    }
    return true;
}

static bool
encode_bytes(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out, struct err *err)
{
    AUTO_BUF raw = {0};
    const char *hex = json_string_value(json_object_get(v, "hex"));

    if (json_is_string(v)) {
        buf_add(&raw, json_string_value(v), json_string_length(v));
    } else if (hex) {
        if (!payload_from_hex(hex, &raw, err))
            return false;
    } else {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

        buf_str(&raw, text ? text : "");
        free(text);
    }
    put_bytes(out, f, buf_cstr(&raw), raw.len);
    return true;
}

static bool
encode_double(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out)
{
    double d = json_is_string(v) ? strtod(json_string_value(v), NULL) : json_number_value(v);
    uint64_t bits;

    memcpy(&bits, &d, sizeof(bits));
    put_tag(out, f, WIRE_FIXED64);
    for (int i = 0; i < 8; i++)
        buf_char(out, (char)(bits >> (8 * i)));
    return true;
}

static bool
encode_one(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out, struct err *err)
{
    AUTO_BUF inner = {0};

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (!json_is_string(v))
            break;
        put_bytes(out, f, json_string_value(v), json_string_length(v));
        return true;
    case PROTOBUF_C_TYPE_BYTES:
        return encode_bytes(f, v, out, err);
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(v))
            break;
        put_tag(out, f, WIRE_VARINT);
        put_varint(out, json_is_true(v));
        return true;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_ENUM:
        if (!json_is_integer(v))
            break;
        put_tag(out, f, WIRE_VARINT);
        put_varint(out, (uint64_t)json_integer_value(v));
        return true;
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!json_is_number(v) && !json_is_string(v))
            break;
        return encode_double(f, v, out);
    case PROTOBUF_C_TYPE_MESSAGE:
        if (!payload_encode(f->descriptor, v, &inner, err))
            return false;
        put_bytes(out, f, buf_cstr(&inner), inner.len);
        return true;
    default:
        break;
    }
    return err_set(err, ERR_VALIDATION, "field %s cannot hold that value", f->name);
}

/* A map is written as an object, and travels as a list of {key, value} messages. */
static bool
encode_map(const ProtobufCFieldDescriptor *f, const json_t *object, struct buf *out,
           struct err *err)
{
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        AUTO_BUF inner = {0};

        put_bytes(&inner, &entry->fields[0], key, strlen(key));
        if (!encode_one(&entry->fields[1], value, &inner, err))
            return false;
        put_bytes(out, f, buf_cstr(&inner), inner.len);
    }
    return true;
}

static bool
encode_field(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out, struct err *err)
{
    const json_t *one;
    size_t i;

    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return encode_one(f, v, out, err);
    if (json_is_object(v) && f->type == PROTOBUF_C_TYPE_MESSAGE)
        return encode_map(f, v, out, err);
    if (!json_is_array(v))
        return err_set(err, ERR_VALIDATION, "field %s needs a list", f->name);
    json_array_foreach (v, i, one) {
        if (!encode_one(f, one, out, err))
            return false;
    }
    return true;
}

/* What proto3 leaves out: false, 0 and empty texts. */
static bool
is_default(const json_t *v)
{
    return json_is_false(v) || (json_is_integer(v) && json_integer_value(v) == 0) ||
           (json_is_string(v) && json_string_length(v) == 0);
}

bool
payload_encode(const ProtobufCMessageDescriptor *d, const json_t *fields, struct buf *out,
               struct err *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(fields))
        return err_set(err, ERR_VALIDATION, "%s must be an object", d->short_name);
    json_object_foreach ((json_t *)(uintptr_t)fields, name, value) {
        if (!protobuf_c_message_descriptor_get_field_by_name(d, name))
            return err_set(err, ERR_VALIDATION, "%s has no field %s", d->short_name, name);
    }
    for (unsigned i = 0; i < d->n_fields; i++) { /* by number, as any encoder writes them */
        const json_t *v = json_object_get(fields, d->fields[i].name);

        if (v && !is_default(v) && !encode_field(&d->fields[i], v, out, err))
            return false;
    }
    return true;
}
