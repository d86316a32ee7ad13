/*
 * message_json.h - a protobuf message of the runtime's own, as JSON for clients.
 *
 * Purpose    catalog documents: every field of the message, defaults included, camelCase keys,
 *            maps as objects, groups that were not sent as null.
 * Ownership  appends to the caller's buffer. Errors: none. Threads: any.
 */
#ifndef MACP_OBSERVERD_MESSAGE_JSON_H
#define MACP_OBSERVERD_MESSAGE_JSON_H

#include <protobuf-c/protobuf-c.h>

#include "shared/buf.h"

void message_json(struct buf *out, const ProtobufCMessage *m);

#endif
