/*
 * payload.h - payload bytes from JSON, by descriptor.
 *
 * Purpose    scripts and people write payloads as JSON with the wire's field names; one encoder
 *            serves every message there is.
 * Ownership  appends to the caller's buffer.
 * Errors     an unknown field or a value of the wrong kind fails with *err.
 * Threads    any.
 *
 * A bytes field takes a text (its UTF-8), {"hex": "00ff"} (those bytes) or any other object or list
 * (its JSON text). A double also takes "nan", "inf" and "-inf".
 */
#ifndef MACP_RUNTIME_PAYLOAD_H
#define MACP_RUNTIME_PAYLOAD_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "shared/buf.h"
#include "shared/err.h"

bool payload_encode(const ProtobufCMessageDescriptor *d, const json_t *fields, struct buf *out,
                    struct err *err) MUST_CHECK;
/* Bytes from pairs of hexadecimal digits. */
bool payload_from_hex(const char *hex, struct buf *out, struct err *err) MUST_CHECK;

#endif
