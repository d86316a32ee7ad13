/*
 * The lane of a run: whose batches its rows go into; and large payloads, wherever it is.
 *
 * Every run starts in the ordinary lane. One with a large envelope, or a large state, moves to the
 * bulk lane and stays there. Two lanes commit on their own, so nothing of the run may be pending
 * in the old one when the first row goes into the new one. And a large payload is decoded by
 * another thread, because this one has other sessions to serve. Until both is done the stream is
 * not read, and the envelope waits.
 */
#include "observerd/decoder.h"
#include "observerd/record.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "shared/clock.h"

enum {
    BULK_ENVELOPE = 64 << 10,   /* bytes: costs Postgres some 10 ms, several times over as rows */
    BULK_PROJECTION = 64 << 10, /* bytes of state, written up to four times a second */
    LOOK_MS = 5,
    DECODE_MS = 30000, /* an answer that is lost must not hold the run up for ever */
};

struct writer *
session_writer(const struct session *s)
{
    return s->shard->writers[s->lane];
}

static void
start_move(struct session *s)
{
    if (s->lane == LANE_BULK || s->held_up)
        return;
    s->held_up = true;
    timer_set(&s->shard->timers, &s->move, clock_mono_ms() + LOOK_MS);
}

bool
session_must_move(struct session *s, size_t n)
{
    if (n < BULK_ENVELOPE || s->lane == LANE_BULK)
        return false;
    start_move(s);
    return true;
}

bool
session_hold(struct session *s, const void *bytes, size_t n)
{
    if (n < BULK_ENVELOPE || s->held.len)
        return false;
    s->held_token = ++s->shard->held_tokens;
    s->decoding = decoder_ask(s->shard->decoder, s->run.run_key, s->held_token, bytes, n);
    if (!session_must_move(s, n)) {
        if (!s->decoding)
            return false; /* there are too many already */
        s->held_up = true;
        timer_set(&s->shard->timers, &s->move, clock_mono_ms() + DECODE_MS);
    }
    buf_add(&s->held, bytes, n);
    return true;
}

void
session_weigh_projection(struct session *s, size_t n)
{
    if (n >= BULK_PROJECTION && s->state == SESSION_STREAMING)
        start_move(s);
}

static void
drop_decoded(struct session *s)
{
    s->decoding = false;
    decoder_release(s->shard->decoder, s->decoded);
    s->decoded = NULL;
}

bool
session_let_in(struct session *s, const char **message_type)
{
    struct buf held = s->held;
    bool recorded;

    s->held = (struct buf){0};
    recorded = held.len && s->state <= SESSION_DRAINING &&
               record_envelope(s, held.p, held.len, s->decoded, message_type);
    if (recorded && strcmp(*message_type, "Commitment") == 0)
        s->run.has_commitment = true;
    buf_fini(&held);
    drop_decoded(s);
    if (s->lane == LANE_BULK) { /* nothing else was waited for */
        timer_cancel(&s->shard->timers, &s->move);
        s->held_up = false;
    }
    return recorded;
}

void
session_forget_held(struct session *s)
{
    timer_cancel(&s->shard->timers, &s->move);
    s->held_up = false;
    buf_fini(&s->held);
    drop_decoded(s);
}

/* False: the ordinary lane has not stored all of the run yet. */
static bool
change_lane(struct session *s)
{
    if (s->lane == LANE_BULK)
        return true;
    if (!writer_is_past(session_writer(s), s->batch_serial)) {
        timer_set(&s->shard->timers, &s->move, clock_mono_ms() + LOOK_MS);
        return false;
    }
    if (s->parked)
        shard_forget_parked(s->shard, s); /* it waits for the other lane's room now */
    s->lane = LANE_BULK;
    s->batch_serial = 0; /* the other writer counts its own */
    return true;
}

static void
go_on(struct session *s)
{
    const char *type;

    if (session_let_in(s, &type))
        session_handle(s, INPUT_ENVELOPE, &(struct input){.text = type});
    if (!s->stream && !s->waiting.len)
        return;
    if (s->waiting.len || (writer_is_full(session_writer(s)) && !shard_is_spooling(s->shard)))
        shard_park(s->shard, s);
    else
        rt_stream_resume(s->stream);
}

static void
move_due(struct timer *t)
{
    struct session *s = (struct session *)((char *)t - offsetof(struct session, move));
    bool moved = s->lane == LANE_BULK; /* then it is the answer's time that is over */

    if (!change_lane(s))
        return;
    if (s->decoding && !moved)
        timer_set(&s->shard->timers, &s->move, clock_mono_ms() + DECODE_MS);
    else
        go_on(s);
}

void
session_decoded(struct session *s, struct decoded *decoded)
{
    bool waits = s->decoding && decoded->token == s->held_token;

    if (waits && s->held.len)
        s->decoded = decoded;
    else
        decoder_release(s->shard->decoder, decoded);
    if (!waits)
        return;
    s->decoding = false;
    if (s->held_up && change_lane(s))
        go_on(s);
}

void
session_lane_init(struct session *s)
{
    s->lane = LANE_ORDINARY;
    s->move.fire = move_due;
}
