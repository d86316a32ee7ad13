#include "observerd/envelope.h"

#include <string.h>

#include "shared/key.h"
#include "shared/wire.h"

/* Envelope: 1 version, 2 mode, 3 type, 4 id, 5 session, 6 sender, 7 timestamp, 8 payload. */
enum { FIELD_TEXTS = 6, FIELD_TIMESTAMP = 7, FIELD_PAYLOAD = 8 };

bool
wire_texts(const void *bytes, size_t n, struct arena *a, const char **texts, uint32_t max)
{
    struct wire_reader reader = wire_read(bytes, n);
    enum wire_result result;
    struct wire_field f;

    while ((result = wire_next(&reader, &f)) == WIRE_FIELD)
        if (f.type == WIRE_LEN && f.number <= max)
            texts[f.number] = raw_clean(a, (const char *)f.data, f.len);
    return result == WIRE_END;
}

bool
envelope_read(const void *bytes, size_t n, struct arena *a, struct envelope *out)
{
    const char *texts[FIELD_TEXTS + 1] = {"", "", "", "", "", "", ""};
    bool whole = wire_texts(bytes, n, a, texts, FIELD_TEXTS);
    struct wire_reader reader = wire_read(bytes, n);
    struct wire_field f;

    *out = (struct envelope){
        .macp_version = texts[1],
        .mode = texts[2],
        .message_type = texts[3],
        .message_id = texts[4],
        .session_id = texts[5],
        .sender = texts[6],
        .payload = "",
    };
    while (wire_next(&reader, &f) == WIRE_FIELD) {
        if (f.type == WIRE_VARINT && f.number == FIELD_TIMESTAMP) {
            out->timestamp_unix_ms = (int64_t)f.value;
        } else if (f.type == WIRE_LEN && f.number == FIELD_PAYLOAD) {
            out->payload = f.data;
            out->payload_len = f.len;
        }
    }
    return whole;
}

const char *
envelope_key(struct arena *a, const char *text)
{
    size_t n = text ? strlen(text) : 0;

    return n <= KEY_TEXT_MAX ? text : key_hash(text, n, arena_alloc(a, KEY_HASH_LEN));
}

const char *
envelope_identity(struct arena *a, const struct envelope *e, const void *bytes, size_t n)
{
    return e->message_id[0] ? envelope_key(a, e->message_id)
                            : key_hash(bytes, n, arena_alloc(a, KEY_HASH_LEN));
}
