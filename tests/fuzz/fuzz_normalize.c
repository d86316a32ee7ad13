/*
 * Normalizing any envelope, with and without redaction: the first byte chooses the message type,
 * the second the redactor, the third the length of the sender. Events must be complete.
 */
#include <stdint.h>
#include <stdlib.h>

#include "observerd/normalize.h"
#include "observerd/payload.h"
#include "shared/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const other_types[] = {
    "SignalAck",    "PolicyResolved", "PolicyCommitmentEvaluated",
    "PolicyDenied", "ToolCall",       "Custom",
};

static struct redactor *
redactor(void)
{
    static const char *const patterns[] = {"[a-z]+\\d", "secret", "(?<=a)b"};
    struct redactor *r = NULL;

    if (!redact_new(patterns, ARRAY_LEN(patterns), &r, NULL))
        abort();
    return r;
}

static void
choose_type(uint8_t choice, struct envelope *e)
{
    e->mode = "mode";
    if (choice < payload_types_count) {
        e->mode = payload_types[choice].mode;
        e->message_type = payload_types[choice].message_type;
    } else {
        e->message_type = other_types[choice % ARRAY_LEN(other_types)];
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct redactor *r;
    struct normalizer normalizer = {.session_id = "s"};
    struct envelope e = {.message_id = "m", .session_id = "s"};
    struct raw_event raw = {.kind = RAW_STREAM_ENVELOPE, .envelope = &e};
    struct event_list events = {0};
    struct arena arena = {0};
    size_t sender;

    if (n < 3)
        return 0;
    if (!r)
        r = redactor();
    sender = data[2] < n - 3 ? data[2] : n - 3;
    choose_type(data[0], &e);
    e.sender = raw_clean(&arena, (const char *)data + 3, sender);
    e.payload = data + 3 + sender;
    e.payload_len = n - 3 - sender;
    normalizer.known = json_object();
    normalizer.redactor = data[1] & 1 ? r : NULL;
    normalize(&normalizer, &raw, &arena, &events);
    if (events.n == 0)
        abort();
    for (size_t i = 0; i < events.n; i++) {
        const struct event *event = &events.items[i];
        AUTO_BUF text = {0};

        jv_write(&text, event->data);
        if (!json_is_object(event->data) || !jv_is_clean(text.p, text.len) ||
            (event->subject_kind && !*event->subject_id))
            abort();
    }
    event_list_fini(&events);
    json_decref(normalizer.known);
    arena_fini(&arena);
    return 0;
}
