/*
 * A session while Postgres is away: what its stream brings goes to the shard's spool.
 *
 * The run stands still meanwhile. s->ahead counts the envelopes behind its cursor that we have got
 * hold of; they are recorded in their order when there is room. Until then the runtime's answers
 * change nothing, because they are about a session that is further than the run: they are asked
 * for again. A stream that has to be opened anew is opened behind what we hold.
 */
#include "observerd/record.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "observerd/spool.h"
#include "shared/clock.h"

/* Behind what the session has in the spool already. */
static bool
append(struct session *s, const void *bytes, size_t n, int64_t received_ms)
{
    return shard_spool(s->shard, &(struct spool_record){.run_key = s->run.run_key,
                                                        .ordinal = s->run.cursor + s->ahead,
                                                        .received_ms = received_ms,
                                                        .epoch = s->run.epoch,
                                                        .bytes = bytes,
                                                        .n = n});
}

bool
session_spool(struct session *s, const void *bytes, size_t n)
{
    if (!record_is_new(s, bytes, n))
        return true;
    s->ahead++;
    if (append(s, bytes, n, clock_wall_ms()))
        return true;
    /* Full: this one waits here, the others where they are. */
    buf_add(&s->waiting, bytes, n);
    s->waiting_ms = clock_wall_ms();
    shard_park(s->shard, s);
    return false;
}

void
session_spool_held(struct session *s)
{
    struct buf held = s->held;
    bool more;

    if (!held.len)
        return;
    s->held = (struct buf){0}; /* the move goes on without it */
    more = session_spool(s, held.p, held.len);
    if (more && s->stream)
        rt_stream_resume(s->stream);
    buf_fini(&held);
}

bool
session_spool_waiting(struct session *s)
{
    struct buf waiting = s->waiting;
    const char *type;

    if (!waiting.len)
        return true;
    if (shard_is_spooling(s->shard)) {
        if (!append(s, waiting.p, waiting.len, s->waiting_ms))
            return false;
        buf_fini(&s->waiting);
        return true;
    }
    if (s->ahead != 1)
        BUG("%lld envelopes are ahead of an empty spool", (long long)s->ahead);
    s->waiting = (struct buf){0};
    s->ahead = 0;
    record_spooled(s, waiting.p, waiting.len, s->waiting_ms, &type);
    buf_fini(&waiting);
    session_handle(s, INPUT_ENVELOPE, &(struct input){.text = type});
    session_caught_up(s);
    return true;
}

void
session_caught_up(struct session *s)
{
    if (s->read_again)
        s->reconnect_at_ms = clock_mono_ms();
    s->read_again = false;
    if (s->state != SESSION_STREAMING)
        return;
    session_ask(s);
    session_rearm(s);
}

enum session_replay
session_replay(struct session *s, const struct spool_record *r)
{
    const char *type;

    if (s->state > SESSION_DRAINING)
        s->ahead = 0; /* nothing of the session may follow the run's last event */
    if (!s->ahead || r->epoch != s->run.epoch || r->ordinal <= s->run.cursor)
        return SESSION_REPLAYED;
    if (r->ordinal != s->run.cursor + 1)
        return SESSION_REPLAY_BROKEN;
    if (s->state == SESSION_AWAITING || s->held_up || session_must_move(s, r->n) ||
        writer_is_full(session_writer(s)))
        return SESSION_REPLAY_LATER;
    s->ahead--;
    record_spooled(s, r->bytes, r->n, r->received_ms, &type);
    session_handle(s, INPUT_ENVELOPE, &(struct input){.text = type});
    if (!s->ahead)
        session_caught_up(s);
    return SESSION_REPLAYED;
}
