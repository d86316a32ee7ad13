/* Draining: the verdict is known, the last envelopes may still be on their way. */
#include <stdio.h>
#include <stdlib.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/record.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"

enum {
    DRAIN_LIMIT_MS = 5000, /* then what is missing is a gap */
    DRAIN_QUIET_MS = 500,  /* silence that ends the drain of a session without a last message */
};

static bool
is_drained(const struct session *s)
{
    bool complete = s->run.cursor >= s->expected;

    if (s->ahead)
        return false;
    if (s->verdict == RUN_COMPLETED) {
        if (s->run.has_commitment)
            return true;
        if (!complete)
            return false;
        if (!s->compacted_to)
            return true;
        /* The count is complete by a gap: the last message may still come, see record_envelope. */
    } else if (complete) {
        return true;
    }
    return clock_mono_ms() >= s->quiet_since_ms + DRAIN_QUIET_MS;
}

/*
 * Silence counts while we listen only, and the limit while we read: what waits in a parked stream
 * or in the spool is not missing, however long Postgres is away.
 */
static void
put_off(struct session *s, int64_t now)
{
    if (s->parked || s->held_up || s->ahead)
        s->drain_until_ms = now + DRAIN_LIMIT_MS;
    if (s->parked || s->held_up || s->ahead ||
        (!s->stream_refused && (!s->stream || !rt_stream_is_open(s->stream))))
        s->quiet_since_ms = now;
}

/* The verdict's snapshot comes after the session's own events, the end after both. */
static void
finish_drain(struct session *s)
{
    const char *type;
    struct record r;

    session_let_in(s, &type);
    arena_reset(&s->shard->arena);
    record_begin(&r, s);
    /* Counts are lost when the runtime restarts, so more than expected is no contradiction. */
    if (s->run.cursor < s->expected)
        record_gap(&r, "compacted", s->run.cursor + 1, s->expected,
                   "accepted by the runtime, not delivered before the drain limit");
    record_snapshot(&r, s->verdict_meta);
    record_end(&r);
    if (s->verdict != RUN_FAILED) {
        session_end(s, s->verdict, NULL, NULL);
    } else if (s->reason) {
        char message[512];

        snprintf(message, sizeof message, "session %s expired before any agent opened it",
                 s->run.session_id);
        session_end(s, RUN_FAILED, message, RUN_REASON_SESSION_EXPIRED);
    } else {
        session_end(s, RUN_FAILED, "runtime session expired", RUN_REASON_SESSION_EXPIRED);
    }
}

/*
 * A stream that is silent while something is missing may lead nowhere: its other end is gone, and
 * the network has not said so yet. Before anything counts as missing it is asked for once more,
 * over another connection.
 */
static bool
read_anew(struct session *s, int64_t now)
{
    bool missing =
        s->run.cursor < s->expected && !(s->verdict == RUN_COMPLETED && s->run.has_commitment);

    if (!missing || s->read_anew || !s->stream)
        return false;
    session_log(s, LOG_WARN, "the stream brings nothing more and is opened anew", NULL);
    rt_stream_distrust(s->stream);
    session_close_stream(s);
    s->read_anew = true;
    s->reconnect_at_ms = now;
    s->quiet_since_ms = now;
    s->drain_until_ms = now + DRAIN_LIMIT_MS;
    return true;
}

void
session_drain_look(struct session *s, const struct input *in)
{
    int64_t now = clock_mono_ms();

    if (in->text && strcmp(in->text, "Commitment") == 0)
        s->run.has_commitment = true;
    put_off(s, now);
    if ((is_drained(s) || now >= s->drain_until_ms) && !read_anew(s, now)) {
        finish_drain(s);
        return;
    }
    if (!s->stream && !s->stream_refused && s->reconnect_at_ms && now >= s->reconnect_at_ms)
        session_subscribe(s);
    session_wait_until(s, now + 20);
}

void
session_drain_error(struct session *s, const struct input *in)
{
    int64_t base = session_compacted_before(in->text);

    if (base)
        session_compacted(s, base);
    session_drain_look(s, &(struct input){0});
}

void
session_drain_over(struct session *s, const struct input *in)
{
    int64_t base = session_compacted_before(in->status->text);

    if (session_comes_again(s, in->status))
        return;
    if (base)
        session_compacted(s, base);
    if (in->status->code == RT_INVALID_ARGUMENT || in->status->code == RT_UNIMPLEMENTED)
        s->stream_refused = true;
    if (!session_leave_out(s, in->status))
        s->reconnect_at_ms = clock_mono_ms() + session_doubled(100, s->drain_failures++, 1600);
    session_drain_look(s, &(struct input){0});
}

/* A copy that outlives the call's reply. */
static Macp__V1__SessionMetadata *
keep(const Macp__V1__SessionMetadata *meta)
{
    size_t n = protobuf_c_message_get_packed_size(&meta->base);
    uint8_t *bytes = xmalloc(n + 1);
    ProtobufCMessage *copy;

    protobuf_c_message_pack(&meta->base, bytes);
    copy = protobuf_c_message_unpack(&macp__v1__session_metadata__descriptor, NULL, n, bytes);
    free(bytes);
    if (!copy)
        BUG("a message cannot be read back");
    return (Macp__V1__SessionMetadata *)copy;
}

void
session_start_drain(struct session *s, enum run_status verdict,
                    const Macp__V1__SessionMetadata *meta)
{
    int64_t now = clock_mono_ms();

    s->state = SESSION_DRAINING;
    s->verdict = verdict;
    s->verdict_meta = keep(meta);
    s->expected = session_accepted_count(meta);
    s->drain_until_ms = now + DRAIN_LIMIT_MS;
    s->quiet_since_ms = now;
    if (!s->stream && !s->reconnect_at_ms)
        s->reconnect_at_ms = now;
    session_wait_until(s, now + 1);
}
