/*
 * payload.h - payload bytes of an envelope to JSON, by mode and message type.
 *
 * Purpose    the lookup table (mode, type) -> message and a strict walk over the bytes by the
 *            generated descriptor; JSON first where the bytes are JSON; text and base64 when
 *            nothing fits. No code per message type.
 * Ownership  payload_decode returns a new reference or NULL for "no payload".
 * Errors     none: whatever a sender wrote becomes some value.
 * Threads    any.
 */
#ifndef MACP_OBSERVERD_PAYLOAD_H
#define MACP_OBSERVERD_PAYLOAD_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/macros.h"

enum { PAYLOAD_KEY_LEN = 64 }; /* longest JSON key of a field, with the NUL */

struct payload {
    json_t *value;         /* new reference; NULL: absent */
    const char *type_name; /* full message name, "__json__", or NULL; static */
    /* Set when value came from protobuf: tells which members hold base64 of bytes. */
    const ProtobufCMessageDescriptor *decoded_as;
};

struct payload payload_decode(const char *mode, const char *message_type, const void *bytes,
                              size_t n);

/* The rows of the lookup table; mode "" holds the types that every mode knows. */
struct payload_type {
    const char *mode, *message_type;
    const ProtobufCMessageDescriptor *descriptor;
};
extern const struct payload_type payload_types[];
extern const size_t payload_types_count;

/* The table's spelling of a mode or message type; "other" for what it does not hold, "" stays. */
const char *payload_mode_label(const char *mode);
const char *payload_type_label(const char *message_type);

/* The descriptor for a full message name of the table, NULL when it is not in it. */
const ProtobufCMessageDescriptor *payload_descriptor(const char *type_name) MUST_CHECK;
/* A value that wraps text or JSON which had no message type. */
bool payload_is_wrapper(const json_t *value);
/* The object inside a JSON wrapper that holds an object, else the value itself. Lends. */
json_t *payload_inner(json_t *value);
/* The member's camelCase key: proposal_id -> proposalId. Cut when out is too small. */
void payload_key(const char *field, char *out, size_t cap);

enum payload_member {
    PAYLOAD_PLAIN,     /* as it reads */
    PAYLOAD_BYTES,     /* base64 text of bytes */
    PAYLOAD_BYTES_MAP, /* object of such texts */
};

/* What a member of a decoded message holds; PAYLOAD_PLAIN for keys that are no field. */
enum payload_member payload_member_kind(const ProtobufCMessageDescriptor *type, const char *key);

#endif
