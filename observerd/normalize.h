/*
 * normalize.h - what came from the runtime to canonical events.
 *
 * Purpose    one raw event in, an ordered list of canonical events out, by tables.
 * Ownership  the events borrow strings from the raw event, its arena, the normalizer and their own
 *            data; they live until the list is reset. Events of one envelope share payload values:
 *            data is read, never changed in place.
 * Errors     none: nothing a sender does can stop its run's stream.
 * Threads    the run's owner.
 */
#ifndef MACP_OBSERVERD_NORMALIZE_H
#define MACP_OBSERVERD_NORMALIZE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/redact.h"
#include "shared/arena.h"
#include "shared/event.h"

/* Strings are clean UTF-8 without U+0000 (see raw_clean); NULL means the field is absent. */
struct envelope {
    const char *macp_version, *mode, *message_type, *message_id, *session_id, *sender;
    int64_t timestamp_unix_ms; /* the sender's clock */
    const void *payload;
    size_t payload_len;
};

struct session_snapshot {
    const char *session_id, *mode, *state; /* state: enum name, or decimal when unknown */
    bool has_started, has_expires;
    int64_t started_at_unix_ms, expires_at_unix_ms;
    const char *mode_version, *configuration_version, *policy_version, *initiator, *context_id;
    const char *const *extension_keys;
    size_t n_extension_keys;
};

struct stream_status {
    const char *status, *detail;
};

struct inline_error {
    const char *code, *message, *session_id, *message_id;
};

/* Never produced by this observer, which sends nothing; kept so that stored ones fold alike. */
struct send_ack {
    bool ok, duplicate;
    const char *message_id, *session_id, *session_state;
    bool has_accepted_at;
    double accepted_at_unix_ms;
    bool has_error;
    const char *error_code, *error_message;
    const json_t *reasons; /* array or NULL */
    const char *details;   /* bytes, NULL when absent */
    size_t details_len;
};

enum raw_kind {
    RAW_STREAM_ENVELOPE,
    RAW_SESSION_SNAPSHOT,
    RAW_STREAM_STATUS,
    RAW_STREAM_INLINE_ERROR,
    RAW_SEND_ACK,
    RAW__COUNT
};

const char *raw_kind_name(enum raw_kind kind); /* stream-envelope, ... */

struct raw_event {
    enum raw_kind kind;
    int64_t received_ms; /* wall clock: the time of all its events */
    union {              /* NULL: the body is missing */
        const struct envelope *envelope;
        const struct session_snapshot *snapshot;
        const struct stream_status *status;
        const struct inline_error *inline_error;
        const struct send_ack *ack;
    };
};

struct normalizer {
    const char *session_id;          /* of the run */
    json_t *known;                   /* object used as the set of announced participants; grows */
    const struct redactor *redactor; /* NULL: none */
};

/* Clean copy of n bytes in the arena. */
const char *raw_clean(struct arena *a, const char *p, size_t n);

/* Appends to out; event numbers, trace and ids are the caller's. */
void normalize(const struct normalizer *n, const struct raw_event *raw, struct arena *arena,
               struct event_list *out);

struct payload;
/* The part behind the decoder, for payloads that are decoded already. Borrows the payload. */
void normalize_decoded(const struct normalizer *n, const struct envelope *envelope,
                       const struct payload *payload, int64_t ts_ms, struct arena *arena,
                       struct event_list *out);

/* Events of our own go through the same redaction. */
void normalize_redact_own(const struct normalizer *n, struct event *e);

#endif
