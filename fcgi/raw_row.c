#include "fcgi/raw_row.h"

#include <string.h>

#include "fcgi/event_row.h"
#include "shared/event.h"
#include "shared/json.h"
#include "shared/uuid.h"
#include "shared/wire.h"

/* --- fields of a message ---------------------------------------------------------------------- */

enum shape {
    SHAPE_TEXT,
    SHAPE_INT,
    SHAPE_BYTES, /* base64 */
    SHAPE_STATE, /* name of a session state */
    SHAPE_TEXTS, /* repeated; left out when there is none */
};

struct message_field {
    const char *name; /* NULL ends a table */
    uint32_t number;
    enum shape shape;
    bool optional;         /* left out when empty */
    const char *otherwise; /* for an empty text */
};

enum { MESSAGE_FIELDS_MAX = 12 };

// clang-format off
static const struct message_field envelope_fields[] = {
    {"macpVersion",     1, SHAPE_TEXT,  false, ""},
    {"mode",            2, SHAPE_TEXT,  false, ""},
    {"messageType",     3, SHAPE_TEXT,  false, ""},
    {"messageId",       4, SHAPE_TEXT,  false, ""},
    {"sessionId",       5, SHAPE_TEXT,  false, ""},
    {"sender",          6, SHAPE_TEXT,  false, ""},
    {"timestampUnixMs", 7, SHAPE_INT,   false, ""},
    {"payloadBase64",   8, SHAPE_BYTES, false, ""},
    {0},
};
static const struct message_field snapshot_fields[] = {
    {"sessionId",            1,  SHAPE_TEXT,  false, ""},
    {"mode",                 2,  SHAPE_TEXT,  false, ""},
    {"state",                3,  SHAPE_STATE, false, ""},
    {"startedAtUnixMs",      4,  SHAPE_INT,   false, ""},
    {"expiresAtUnixMs",      5,  SHAPE_INT,   false, ""},
    {"modeVersion",          6,  SHAPE_TEXT,  false, ""},
    {"configurationVersion", 7,  SHAPE_TEXT,  false, ""},
    {"policyVersion",        8,  SHAPE_TEXT,  false, ""},
    {"initiator",            11, SHAPE_TEXT,  false, ""},
    {"contextId",            12, SHAPE_TEXT,  true,  ""},
    {"extensionKeys",        13, SHAPE_TEXTS, true,  ""},
    {0},
};
static const struct message_field error_fields[] = {
    {"code",      1, SHAPE_TEXT, false, "UNKNOWN"},
    {"message",   2, SHAPE_TEXT, false, ""},
    {"sessionId", 3, SHAPE_TEXT, false, ""},
    {"messageId", 4, SHAPE_TEXT, false, ""},
    {0},
};
// clang-format on

/* A raw source: its kind for clients, the member that holds its content. */
static const struct source {
    const char *name, *kind, *member;
    const struct message_field *fields; /* NULL: the body is JSON already */
} sources[] = {
    {"session", "stream-envelope", "envelope", envelope_fields},
    {"ambient", "stream-envelope", "envelope", envelope_fields},
    {"snapshot", "session-snapshot", "sessionSnapshot", snapshot_fields},
    {"inline-error", "stream-inline-error", "inlineError", error_fields},
    {"status", "stream-status", "streamStatus", NULL},
};

static const char *const state_names[] = {
    "SESSION_STATE_UNSPECIFIED", "SESSION_STATE_OPEN",      "SESSION_STATE_RESOLVED",
    "SESSION_STATE_EXPIRED",     "SESSION_STATE_SUSPENDED", "SESSION_STATE_CANCELLED",
};

static const struct source *
source_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (strcmp(sources[i].name, name) == 0)
            return &sources[i];
    return &sources[0];
}

/* --- one message ------------------------------------------------------------------------------ */

static void
write_field(const struct message_field *f, const struct wire_field *value, const struct buf *texts,
            struct buf *out)
{
    switch (f->shape) {
    case SHAPE_TEXT:
        if (value->len > 0)
            jv_write_text(out, (const char *)value->data, value->len);
        else
            buf_json(out, f->otherwise);
        break;
    case SHAPE_INT:
        buf_int(out, (int64_t)value->value);
        break;
    case SHAPE_BYTES:
        buf_char(out, '"');
        buf_base64(out, value->data ? (const void *)value->data : "", value->len);
        buf_char(out, '"');
        break;
    case SHAPE_STATE:
        if (value->value < ARRAY_LEN(state_names))
            buf_json(out, state_names[value->value]);
        else
            buf_int(out, (int32_t)value->value);
        break;
    case SHAPE_TEXTS:
        buf_char(out, '[');
        buf_add(out, buf_cstr(texts), texts->len);
        buf_char(out, ']');
        break;
    }
}

/* Last value wins, as protobuf has it; a field of another wire type than declared is not ours. */
static bool
write_message(const struct message_field *fields, const void *body, size_t n, struct buf *out)
{
    struct wire_field values[MESSAGE_FIELDS_MAX] = {0}, f;
    struct wire_reader reader = wire_read(body, n);
    enum wire_result result;
    AUTO_BUF texts = {0};
    const char *comma = "";

    while ((result = wire_next(&reader, &f)) == WIRE_FIELD)
        for (size_t i = 0; fields[i].name; i++) {
            bool number = fields[i].shape == SHAPE_INT || fields[i].shape == SHAPE_STATE;

            if (fields[i].number != f.number || f.type != (number ? WIRE_VARINT : WIRE_LEN))
                continue;
            values[i] = f;
            if (fields[i].shape == SHAPE_TEXTS) {
                if (texts.len > 0)
                    buf_char(&texts, ',');
                jv_write_text(&texts, (const char *)f.data, f.len);
            }
        }
    buf_char(out, '{');
    for (size_t i = 0; fields[i].name; i++) {
        bool empty = fields[i].shape == SHAPE_TEXTS ? texts.len == 0 : values[i].len == 0;

        if (fields[i].optional && empty)
            continue;
        buf_str(out, comma);
        buf_json(out, fields[i].name);
        buf_char(out, ':');
        write_field(&fields[i], &values[i], &texts, out);
        comma = ",";
    }
    buf_char(out, '}');
    return result == WIRE_END;
}

bool
raw_payload_write(const char *source, const void *body, size_t n, struct buf *out)
{
    const struct source *s = source_find(source);

    if (s->fields)
        return write_message(s->fields, body, n, out);
    buf_add(out, body, n);
    return true;
}

/* --- the row ---------------------------------------------------------------------------------- */

static int
hex_digit(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Postgres' text form of bytes: backslash, x, two digits each. */
static void
read_bytes(const struct db_result *r, int row, int col, struct buf *out)
{
    const char *p = db_text(r, row, col);
    size_t n = db_len(r, row, col) / 2;
    char *to;

    if (n == 0)
        return;
    to = buf_reserve(out, n);
    for (size_t i = 1; i < n; i++)
        *to++ = (char)(hex_digit(p[2 * i]) << 4 | hex_digit(p[2 * i + 1]));
    out->len = n - 1;
    *to = '\0';
}

void
raw_row_write(const struct db_result *r, int row, const char *run_id, bool as_line, struct buf *out)
{
    const struct source *s = source_find(db_text(r, row, RAW_COL_SOURCE));
    AUTO_BUF body = {0};
    char id[UUID_LEN];

    read_bytes(r, row, RAW_COL_BODY, &body);
    uuid_of_event(run_id, db_int(r, row, RAW_COL_SEQ), id);
    buf_char(out, '{');
    if (as_line)
        buf_printf(out, "\"type\":\"raw_event\",\"eventType\":\"%s\",", s->kind);
    buf_printf(out, "\"id\":\"%s\",\"runId\":\"%s\",\"seq\":%s,\"ts\":", id, run_id,
               db_text(r, row, RAW_COL_SEQ));
    row_time(r, row, RAW_COL_RECEIVED_AT, out);
    buf_printf(out,
               ",\"kind\":\"%s\",\"sourceName\":\"%s\",\"payload\":{\"kind\":\"%s\","
               "\"receivedAt\":",
               s->kind, EVENT_RUNTIME_NAME, s->kind);
    row_time(r, row, RAW_COL_RECEIVED_AT, out);
    buf_printf(out, ",\"%s\":", s->member);
    if (!raw_payload_write(s->name, buf_cstr(&body), body.len, out) ||
        db_bool(r, row, RAW_COL_UNDECODABLE)) {
        buf_lit(out, ",\"undecodable\":true,\"bodyBase64\":\"");
        buf_base64(out, buf_cstr(&body), body.len);
        buf_char(out, '"');
    }
    buf_lit(out, "},\"traceId\":null,\"spanId\":null,\"createdAt\":");
    row_time(r, row, RAW_COL_CREATED_AT, out);
    buf_char(out, '}');
}
