/*
 * The spool of a shard: when streams begin to go there, and how what is in it is recorded.
 *
 * It is a queue for all runs of the shard: as long as it holds something that is not recorded,
 * everything that streams bring goes behind it. The file is emptied when all of it is committed.
 */
#include "observerd/session.h"
#include "observerd/shard.h"
#include "observerd/spool.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/meter.h"

enum {
    SPOOL_AFTER_MS = 200,  /* without a commit, while streams wait for it */
    SPOOL_RETRY_MS = 1000, /* a disk that is full may get room */
    REPLAY_TURN = 1000,    /* records a turn */
};

bool
shard_spool_open(struct shard *s, struct err *err)
{
    const struct config *cfg = s->o.cfg;

    if (!cfg->observerd_spool_dir[0])
        return true;
    if (!spool_open(&(struct spool_options){.dir = cfg->observerd_spool_dir,
                                            .shard = s->o.number,
                                            .n_shards = (size_t)cfg->observerd_shards,
                                            .max_bytes = cfg->observerd_spool_bytes,
                                            .instance_id = s->o.instance_id},
                    &s->spool, err))
        return false;
    if (!spool_is_read(s->spool))
        log_info("%lld bytes of envelopes are in the spool", (long long)spool_bytes(s->spool));
    atomic_store(&s->spooling, !spool_is_read(s->spool));
    return true;
}

bool
shard_is_spooling(const struct shard *s)
{
    return atomic_load(&s->spooling);
}

bool
shard_spool_has_room(const struct shard *s)
{
    return clock_mono_ms() >= s->spool_retry_ms;
}

int64_t
shard_spooled(const struct shard *s, int64_t run_key, int epoch, int64_t cursor)
{
    return s->spool ? spool_reach(s->spool, run_key, epoch, cursor) - cursor : 0;
}

/* --- writing ------------------------------------------------------------------------------- */

/* A spool that takes nothing is said once, and asked again after a pause. */
static bool
taken(struct shard *s, bool yes)
{
    if (yes) {
        s->spool_retry_ms = 0;
        return true;
    }
    meter_add(METER_SPOOL_REFUSED, 1);
    if (!s->spool_retry_ms)
        log_error("the spool takes no more: %s; streams wait", spool_problem(s->spool));
    s->spool_retry_ms = clock_mono_ms() + SPOOL_RETRY_MS;
    return false;
}

bool
shard_spool(struct shard *s, const struct spool_record *r)
{
    if (!taken(s, spool_append(s->spool, r)))
        return false;
    meter_add(METER_SPOOLED, 1);
    return true;
}

bool
shard_spool_batches(struct shard *s)
{
    AUTO_BUF logs = {0};

    for (int lane = 0; lane < LANE__COUNT; lane++)
        writer_copy_logs(s->writers[lane], &logs);
    return taken(s, spool_append_encoded(s->spool, &logs));
}

/* Streams wait for a batch, and no batch comes back: read on into the spool. */
static void
consider_spooling(struct shard *s)
{
    bool stuck = false;

    if (shard_is_spooling(s) || !shard_spool_has_room(s))
        return;
    for (int lane = 0; lane < LANE__COUNT; lane++)
        stuck =
            stuck || (s->parked_head[lane] && writer_stuck_ms(s->writers[lane]) >= SPOOL_AFTER_MS);
    /* What is in batches goes with it: the process may end before Postgres is there again. */
    if (!stuck || !shard_spool_batches(s))
        return;
    log_warn("Postgres has stored nothing for %d ms, envelopes go to the spool", SPOOL_AFTER_MS);
    atomic_store(&s->spooling, true);
    for (struct session *each = s->by_key; each; each = each->by_key.next)
        session_spool_held(each);
}

/* --- reading ------------------------------------------------------------------------------- */

/* What cannot be read any more is asked of the runtime again, if it still has it. */
static void
give_up_spool(struct shard *s)
{
    log_error("the spool is damaged, what is left of it is dropped");
    for (struct session *each = s->by_key, *next; each; each = next) {
        next = each->by_key.next;
        if (each->ahead)
            shard_let_go(s, each, true);
    }
    spool_clear(s->spool);
}

/* False: not now. */
static bool
replay_one(struct shard *s, const struct spool_record *r)
{
    struct session *session = shard_find(s, r->run_key);

    if (!session) /* settled: another instance has the run by now, and reads the session itself */
        return s->settled;
    switch (session_replay(session, r)) {
    case SESSION_REPLAYED:
        break;
    case SESSION_REPLAY_LATER:
        return false;
    case SESSION_REPLAY_BROKEN:
        shard_let_go(s, session, true);
        break;
    }
    return true;
}

static bool
any_is_full(struct shard *s)
{
    for (int lane = 0; lane < LANE__COUNT; lane++)
        if (writer_is_full(s->writers[lane]))
            return true;
    return false;
}

/* Record what is in the spool, as far as there is room. */
static void
replay(struct shard *s)
{
    enum spool_read got = SPOOL_RECORD;
    struct spool_record r;

    for (int n = 0; (got = spool_front(s->spool, &r)) == SPOOL_RECORD; n++) {
        if (n == REPLAY_TURN) {
            rt_queue_wake(s->queue); /* it is others' turn */
            return;
        }
        if (!replay_one(s, &r))
            return;
        spool_next(s->spool);
    }
    if (got == SPOOL_DAMAGED)
        give_up_spool(s);
    if (any_is_full(s))
        return; /* the next envelope would have to come here again */
    log_info("all that was in the spool is recorded");
    atomic_store(&s->spooling, false);
    for (int lane = 0; lane < LANE__COUNT; lane++)
        s->spool_stored[lane] = writer_last_serial(s->writers[lane]);
}

static void
clear_stored(struct shard *s)
{
    if (spool_bytes(s->spool) == 0)
        return;
    for (int lane = 0; lane < LANE__COUNT; lane++)
        if (!writer_is_past(s->writers[lane], s->spool_stored[lane]))
            return;
    spool_clear(s->spool);
}

void
shard_spool_turn(struct shard *s)
{
    int64_t bytes;

    if (!s->spool)
        return;
    consider_spooling(s);
    if (shard_is_spooling(s))
        replay(s);
    else
        clear_stored(s);
    if (!spool_sync(s->spool, false))
        log_warn("the spool cannot be brought to its disk");
    bytes = spool_bytes(s->spool);
    meter_add(METER_SPOOL_BYTES, bytes - s->spool_metered);
    s->spool_metered = bytes;
}
