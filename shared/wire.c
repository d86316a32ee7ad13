#include "shared/wire.h"

#include <stdbool.h>

static bool
read_varint(struct wire_reader *r, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;

        if (r->p == r->end)
            return false;
        byte = *r->p++;
        value |= (uint64_t)(byte & 0x7F) << shift; /* the tenth byte gives one bit */
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool
read_tag(struct wire_reader *r, struct wire_field *f)
{
    uint64_t tag;

    if (!read_varint(r, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    *f = (struct wire_field){.number = (uint32_t)tag >> 3, .type = (enum wire_type)(tag & 7)};
    return true;
}

static bool
read_bytes(struct wire_reader *r, uint64_t n, struct wire_field *f)
{
    if (n > (size_t)(r->end - r->p))
        return false;
    f->data = r->p;
    f->len = (size_t)n;
    r->p += n;
    return true;
}

/* n little-endian bytes into value. */
static bool
read_fixed(struct wire_reader *r, size_t n, struct wire_field *f)
{
    if (!read_bytes(r, n, f))
        return false;
    for (size_t i = n; i-- > 0;)
        f->value = f->value << 8 | f->data[i];
    return true;
}

/* What is behind a tag, groups excepted. */
static bool
read_value(struct wire_reader *r, struct wire_field *f)
{
    uint64_t n;

    switch (f->type) {
    case WIRE_VARINT:
        return read_varint(r, &f->value);
    case WIRE_FIXED64:
        return read_fixed(r, 8, f);
    case WIRE_FIXED32:
        return read_fixed(r, 4, f);
    case WIRE_LEN:
        return read_varint(r, &n) && read_bytes(r, n, f);
    default:
        return false;
    }
}

static bool
skip_group(struct wire_reader *r, uint32_t number)
{
    uint32_t open[WIRE_MAX_GROUP_DEPTH]; /* groups that wait for their end */
    struct wire_field f;
    size_t depth = 0;

    open[depth++] = number;
    while (depth > 0) {
        if (!read_tag(r, &f))
            return false;
        if (f.type == WIRE_END_GROUP) {
            if (f.number != open[--depth])
                return false;
        } else if (f.type == WIRE_GROUP) {
            if (depth == WIRE_MAX_GROUP_DEPTH)
                return false;
            open[depth++] = f.number;
        } else if (!read_value(r, &f)) {
            return false;
        }
    }
    return true;
}

enum wire_result
wire_next(struct wire_reader *r, struct wire_field *f)
{
    bool ok;

    if (r->p == r->end)
        return WIRE_END;
    if (!read_tag(r, f))
        return WIRE_MALFORMED;
    ok = f->type == WIRE_GROUP ? skip_group(r, f->number) : read_value(r, f);
    return ok ? WIRE_FIELD : WIRE_MALFORMED;
}
