/*
 * raw_row.h - a raw row as clients see it: what was received, rebuilt from its bytes.
 *
 * Purpose    stored are the protobuf bytes as they travelled; an export shows them as JSON. Only
 *            the few fields of an envelope, a session and an error are read, payloads stay base64.
 * Ownership  rows are borrowed.
 * Errors     none: bytes that are no message give the fields that could be read, and themselves.
 * Threads    any.
 */
#ifndef MACP_FCGI_RAW_ROW_H
#define MACP_FCGI_RAW_ROW_H

#include <stdbool.h>

#include "shared/buf.h"
#include "shared/db.h"

/* Columns of export_raw. */
enum raw_column {
    RAW_COL_SEQ,
    RAW_COL_SOURCE,
    RAW_COL_RECEIVED_AT,
    RAW_COL_CREATED_AT,
    RAW_COL_UNDECODABLE,
    RAW_COL_BODY,
};

/* As a line of an export the object says so, and what kind of thing was received. */
void raw_row_write(const struct db_result *r, int row, const char *run_id, bool as_line,
                   struct buf *out);

/* The payload member for one body. Returns false when the bytes are no message. */
bool raw_payload_write(const char *source, const void *body, size_t n, struct buf *out);

#endif
