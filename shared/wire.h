/*
 * wire.h - walking protobuf bytes field by field.
 *
 * Purpose    the strict reading rules of the wire format in one place. The generated unpackers
 *            cut strings at U+0000 and forgive more than a record of what happened may.
 * Ownership  fields point into the bytes given.
 * Errors     wire_next says WIRE_MALFORMED; the reader is then worthless.
 * Threads    any.
 */
#ifndef MACP_SHARED_WIRE_H
#define MACP_SHARED_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/macros.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_LEN = 2,
    WIRE_GROUP = 3, /* skipped whole, with all that is in it */
    WIRE_END_GROUP = 4,
    WIRE_FIXED32 = 5,
};

enum { WIRE_MAX_GROUP_DEPTH = 100 };

struct wire_reader {
    const uint8_t *p, *end;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;      /* varint, or the bits of a fixed field */
    const uint8_t *data; /* WIRE_LEN */
    size_t len;
};

enum wire_result {
    WIRE_FIELD,
    WIRE_END,
    WIRE_MALFORMED,
};

static inline struct wire_reader
wire_read(const void *bytes, size_t n)
{
    return (struct wire_reader){bytes, (const uint8_t *)bytes + n};
}

/*
 * Malformed: a length or fixed value beyond the end, a varint of more than ten bytes, a tag above
 * 32 bits or with number 0, wire types 6 and 7, a group that is not closed by its own number or
 * nested deeper than WIRE_MAX_GROUP_DEPTH, a stray end of group.
 */
enum wire_result wire_next(struct wire_reader *r, struct wire_field *f) MUST_CHECK;

#endif
