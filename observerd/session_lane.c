/*
 * The lane of a run: whose batches its rows go into.
 *
 * Every run starts in the ordinary lane. One with a large envelope, or a large state, moves to the
 * bulk lane and stays there. Two lanes commit on their own, so nothing of the run may be pending
 * in the old one when the first row goes into the new one: until then its stream is not read, and
 * the envelope that made it move waits.
 */
#include "observerd/record.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "shared/clock.h"

enum {
    BULK_ENVELOPE = 64 << 10,   /* bytes: costs Postgres some 10 ms, several times over as rows */
    BULK_PROJECTION = 64 << 10, /* bytes of state, written up to four times a second */
    LOOK_MS = 5,
};

struct writer *
session_writer(const struct session *s)
{
    return s->shard->writers[s->lane];
}

static void
start_move(struct session *s)
{
    if (s->lane == LANE_BULK || s->moving)
        return;
    s->moving = true;
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
    if (s->held.len || !session_must_move(s, n))
        return false;
    buf_add(&s->held, bytes, n);
    return true;
}

void
session_weigh_projection(struct session *s, size_t n)
{
    if (n >= BULK_PROJECTION && s->state == SESSION_STREAMING)
        start_move(s);
}

bool
session_let_in(struct session *s, const char **message_type)
{
    struct buf held = s->held;
    bool recorded;

    s->held = (struct buf){0};
    recorded = held.len && s->state <= SESSION_DRAINING &&
               record_envelope(s, held.p, held.len, message_type);
    if (recorded && strcmp(*message_type, "Commitment") == 0)
        s->run.has_commitment = true;
    buf_fini(&held);
    return recorded;
}

void
session_forget_held(struct session *s)
{
    timer_cancel(&s->shard->timers, &s->move);
    s->moving = false;
    buf_fini(&s->held);
}

static void
move_due(struct timer *t)
{
    struct session *s = (struct session *)((char *)t - offsetof(struct session, move));
    const char *type;

    if (!writer_is_past(session_writer(s), s->batch_serial)) {
        timer_set(&s->shard->timers, &s->move, clock_mono_ms() + LOOK_MS);
        return;
    }
    if (s->parked)
        shard_forget_parked(s->shard, s); /* it waits for the other lane's room now */
    s->lane = LANE_BULK;
    s->batch_serial = 0; /* the other writer counts its own */
    s->moving = false;
    if (session_let_in(s, &type))
        session_handle(s, INPUT_ENVELOPE, &(struct input){.text = type});
    if (!s->stream && !s->waiting.len)
        return;
    if (s->waiting.len || (writer_is_full(session_writer(s)) && !shard_is_spooling(s->shard)))
        shard_park(s->shard, s);
    else
        rt_stream_resume(s->stream);
}

void
session_lane_init(struct session *s)
{
    s->lane = LANE_ORDINARY;
    s->move.fire = move_due;
}
