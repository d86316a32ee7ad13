/* Streaming: the session is open, or was when the runtime was asked last. */
#include <stdio.h>
#include <stdlib.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/record.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"
#include "shared/wire.h"

enum {
    BEHIND_LIMIT_MS = 5000, /* accepted by the runtime, not here: subscribe again */
    BEHIND_AGAIN_MS = 1000, /* the question at the limit got no answer yet */
    FORBIDDEN_RETRY_MS = 60000,
    HEALTHY_STREAM_MS = 30000, /* resets the backoff */
    LAG_WINDOW_MS = 60000,
    LAGS_WITHOUT_BACKOFF = 3,
    MISSING_ANSWERS = 3, /* NOT_FOUND for a session that was there */
    MISSING_LIMIT_MS = 5000,
    SETTLED_STREAM_MS = 1000, /* refused subscriptions end sooner */
};

/* How long a runtime keeps a suspended session at most, and ten minutes for doubt. */
static const int64_t dead_after_ms = (7 * 24 * 60 + 10) * 60000;

/* The next message may be one that a gap has counted already, see record_envelope. */
static bool
is_counted(const struct session *s)
{
    return s->compacted_to && s->compacted_to == s->run.cursor;
}

static bool
stream_message(void *ctx, const void *bytes, size_t n)
{
    struct session *s = ctx;
    struct wire_reader reader = wire_read(bytes, n);
    struct wire_field f, body = {0};
    const char *text, *code;

    if (s->state > SESSION_DRAINING)
        return true; /* the run's last event is written: nothing of the session may follow it */
    if (s->state == SESSION_AWAITING) { /* its place is behind the events of the binding */
        buf_add(&s->first, bytes, n);
        return false;
    }
    s->quiet_since_ms = clock_mono_ms();
    /* envelope = 1, error = 2; the last one wins, anything else is none of ours */
    while (wire_next(&reader, &f) == WIRE_FIELD)
        if (f.type == WIRE_LEN && (f.number == 1 || f.number == 2))
            body = f;
    if (body.number == 1 && s->skip > 0) { /* its last owner has stored it */
        s->skip--;
        return true;
    }
    if (body.number == 2 && s->ahead) { /* its place is behind what is not recorded yet */
        session_close_stream(s);
        s->read_again = true;
        return false;
    }
    if (body.number == 1 && (s->ahead || (shard_is_spooling(s->shard) && !is_counted(s))))
        return session_spool(s, body.data, body.len);
    if (body.number == 1 && session_hold(s, body.data, body.len))
        return false;
    if (body.number == 1 && record_envelope(s, body.data, body.len, NULL, &text)) {
        session_handle(s, INPUT_ENVELOPE, &(struct input){.text = text});
    } else if (body.number == 2) {
        record_inline_error(s, body.data, body.len, &code, &text);
        session_handle(s, INPUT_ERROR, &(struct input){.text = text, .code = code});
    }
    if (!s->held_up && (shard_is_spooling(s->shard) || !writer_is_full(session_writer(s))))
        return true;
    if (s->stream && !s->held_up)
        shard_park(s->shard, s);
    return false;
}

static void
stream_closed(void *ctx, const struct rt_status *status)
{
    struct session *s = ctx;
    const char *type;

    s->stream = NULL;
    meter_add(METER_STREAM_ERRORS, 1, rt_code_name(status->code));
    session_let_in(s, &type); /* or it would be asked for again, and may be gone by then */
    if (s->parked && !s->waiting.len)
        shard_forget_parked(s->shard, s);
    if (s->stream_counted) {
        s->stream_counted = false;
        s->shard->counts.streams_open--;
    }
    session_handle(s, INPUT_STREAM_OVER, &(struct input){.status = status});
}

void
session_want_stream(struct session *s)
{
    if (!s->stream_wanted)
        s->shard->counts.streams_wanted++;
    s->stream_wanted = true;
}

static const struct rt_stream_ops stream_ops = {.message = stream_message, .closed = stream_closed};

static void
has_stream(struct session *s, struct rt_stream *stream)
{
    int64_t now = clock_mono_ms();

    session_want_stream(s);
    s->stream = stream;
    s->stream_counted = true;
    s->shard->counts.streams_open++;
    s->reconnect_at_ms = 0;
    s->opened_at_ms = now;
    s->quiet_since_ms = now;
}

void
session_open_stream(struct session *s)
{
    struct rt_stream *stream = rt_session_subscribe(s->shard->queue, s->run.session_id,
                                                    s->run.cursor + s->ahead, &stream_ops, s);

    rt_stream_trace(stream, s->trace.traceparent);
    s->skip = 0;
    has_stream(s, stream);
}

void
session_take_stream(struct session *s, struct rt_stream *stream, int64_t at)
{
    s->skip = s->run.cursor + s->ahead - at;
    rt_stream_give(stream, &stream_ops, s);
    has_stream(s, stream);
    rt_stream_resume(stream);
}

/* A stream that has ended meanwhile is opened anew, behind what it gave. */
void
session_go_on_reading(struct session *s)
{
    bool ended = !s->stream, more = true;
    struct buf first = s->first;
    const char *type;

    s->first = (struct buf){0};
    if (first.len)
        more = stream_message(s, first.p, first.len);
    buf_fini(&first);
    if (ended) {
        session_let_in(s, &type);
        session_open_stream(s);
    } else if (more && s->stream) {
        rt_stream_resume(s->stream);
    }
}

void
session_subscribe(struct session *s)
{
    struct record r;

    if (s->opened_at_ms)
        meter_add(METER_STREAM_RECONNECTS, 1);
    arena_reset(&s->shard->arena);
    record_begin(&r, s);
    record_stream_opened(&r);
    record_end(&r);
    session_open_stream(s);
}

/* Arm the timer for whatever comes first. */
void
session_rearm(struct session *s)
{
    const struct config *cfg = s->shard->o.cfg;
    int64_t due = s->check_at_ms;
    int64_t idle = s->quiet_since_ms + cfg->stream_idle_timeout_ms;

    if (s->stream && idle < due)
        due = idle;
    if (s->reconnect_at_ms && s->reconnect_at_ms < due && !(s->doubtful && s->call))
        due = s->reconnect_at_ms; /* in doubt the answer comes first, and arms the timer again */
    session_wait_until(s, due);
}

/* When the runtime is asked next: regularly, and right after the session should have expired. */
void
session_plan_check(struct session *s)
{
    int64_t every = s->shard->o.cfg->observerd_state_check_ms, now = clock_mono_ms();
    int64_t expires_in = s->run.session_expires_ms - clock_wall_ms() + 1000;

    s->check_at_ms = now + every - session_random_ms(every / 5);
    if (s->run.session_expires_ms && expires_in > 0 && expires_in < every)
        s->check_at_ms = now + expires_in;
    if (s->behind_since_ms) {
        int64_t limit = s->behind_since_ms + BEHIND_LIMIT_MS;

        if (limit <= now) /* never a time that has passed: the timer would fire without end */
            limit = now + BEHIND_AGAIN_MS;
        if (s->check_at_ms > limit)
            s->check_at_ms = limit;
    }
}

void
session_stream_check(struct session *s, const struct input *in)
{
    (void)in;
    session_ask(s);
}

void
session_stream_look(struct session *s, const struct input *in)
{
    int64_t now = clock_mono_ms();

    (void)in;
    if (!s->stream && s->reconnect_at_ms && now >= s->reconnect_at_ms) {
        if (!s->doubtful)
            session_subscribe(s);
        else if (!s->call)
            session_ask(s);
    }
    if (now >= s->check_at_ms ||
        (s->stream && now >= s->quiet_since_ms + s->shard->o.cfg->stream_idle_timeout_ms)) {
        session_ask(s);
        s->quiet_since_ms = now;
        session_plan_check(s);
    }
    session_rearm(s);
}

/* The session's id is used again: another life of it begins at ordinal 1. */
static void
next_epoch(struct session *s, const Macp__V1__SessionMetadata *meta)
{
    struct record r;

    session_log(s, LOG_WARN, "the runtime has started the session anew", NULL);
    session_close_stream(s);
    record_begin(&r, s);
    record_gap(&r, "reset", s->run.cursor + 1, s->run.cursor + 1,
               "the session started anew; what came after this ordinal is unknown");
    s->run.epoch++;
    s->run.cursor = 0;
    s->compacted_to = 0;
    s->run.has_commitment = false;
    s->run.session_started_ms = meta->started_at_unix_ms;
    seen_fini(&s->run.seen);
    record_observer(&r);
    record_end(&r);
    s->reconnect_at_ms = clock_mono_ms();
}

/* Compare what the runtime says with what is stored, and follow. */
static void
judge(struct session *s, const Macp__V1__SessionMetadata *meta)
{
    int64_t expected = session_accepted_count(meta), now = clock_mono_ms();
    struct record r;

    s->missing_answers = 0;
    if (s->run.session_started_ms && meta->started_at_unix_ms != s->run.session_started_ms)
        next_epoch(s, meta);
    record_begin(&r, s);
    if (meta->state != MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED &&
        meta->state != MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED &&
        meta->state != MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED)
        record_snapshot(&r, meta);
    if (meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_SUSPENDED &&
        s->run.status == RUN_RUNNING)
        record_suspended(&r);
    if (meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_OPEN &&
        s->run.status == RUN_SUSPENDED)
        record_resumed(&r);
    if (meta->expires_at_unix_ms != s->run.session_expires_ms) {
        s->run.session_expires_ms = meta->expires_at_unix_ms;
        record_observer(&r);
    }
    record_end(&r);
    if (meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED)
        session_start_drain(s, RUN_COMPLETED, meta);
    else if (meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED)
        session_start_drain(s, RUN_FAILED, meta);
    else if (meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED)
        session_start_drain(s, RUN_CANCELLED, meta);
    else if (expected <= s->run.cursor)
        s->behind_since_ms = 0;
    else if (!s->behind_since_ms)
        s->behind_since_ms = now;
    else if (now >= s->behind_since_ms + BEHIND_LIMIT_MS && s->stream && !s->parked &&
             !s->held_up) {
        session_log(s, LOG_WARN, "the stream is behind what the runtime has accepted", NULL);
        rt_stream_distrust(s->stream);
        session_close_stream(s);
        s->behind_since_ms = 0;
        s->reconnect_at_ms = now;
    }
}

void
session_follow(struct session *s, const Macp__V1__SessionMetadata *meta)
{
    judge(s, meta);
    if (s->state != SESSION_STREAMING)
        return;
    session_plan_check(s);
    session_rearm(s);
}

static void
set_observer_state(struct session *s, const char *state)
{
    struct record r;

    if (strcmp(s->observer_state, state) == 0)
        return;
    s->observer_state = state;
    record_begin(&r, s);
    record_observer(&r);
    record_end(&r);
}

void
session_stream_snapshot(struct session *s, const struct input *in)
{
    if (s->ahead) { /* it is asked again when the run is where the session is */
        if (!s->old_answer && in->meta->started_at_unix_ms == s->run.session_started_ms)
            s->doubtful = false;
        session_plan_check(s);
        session_rearm(s);
        return;
    }
    if (s->stream && rt_stream_is_open(s->stream) &&
        clock_mono_ms() >= s->opened_at_ms + SETTLED_STREAM_MS)
        set_observer_state(s, "ok");
    if (!s->old_answer)
        s->doubtful = false;
    session_follow(s, in->meta);
}

static void
back_off(struct session *s)
{
    const struct config *cfg = s->shard->o.cfg;

    s->stream_failures++;
    s->reconnect_at_ms =
        clock_mono_ms() +
        session_random_ms(session_doubled(cfg->stream_backoff_base_ms, s->stream_failures,
                                          cfg->stream_backoff_max_ms));
    set_observer_state(s,
                       s->stream_failures > cfg->stream_max_retries ? "degraded" : "disconnected");
}

/* The runtime does not know a session that was there. */
static void
session_missing(struct session *s)
{
    int64_t now = clock_mono_ms();
    char message[256];

    if (s->missing_answers++ == 0)
        s->missing_since_ms = now;
    if (s->missing_answers < MISSING_ANSWERS || now < s->missing_since_ms + MISSING_LIMIT_MS) {
        s->check_at_ms = now + MISSING_LIMIT_MS / 2;
        session_rearm(s);
        return;
    }
    if (s->run.has_commitment) {
        struct record r;

        record_begin(&r, s);
        record_gap(&r, "forgotten", s->run.cursor + 1, s->run.cursor + 1,
                   "the runtime forgot the session; its end is inferred from the commitment");
        record_end(&r);
        session_end(s, RUN_COMPLETED, NULL, NULL);
        return;
    }
    if (s->run.session_expires_ms && clock_wall_ms() > s->run.session_expires_ms) {
        session_end(s, RUN_FAILED, "runtime session expired", RUN_REASON_SESSION_EXPIRED);
        return;
    }
    snprintf(message, sizeof message,
             "the runtime forgot the session (last state %s, %lld envelopes stored)",
             s->run.session_state, (long long)s->run.cursor);
    session_end(s, RUN_FAILED, message, RUN_REASON_FORGOTTEN);
}

void
session_stream_no_answer(struct session *s, const struct input *in)
{
    if (s->doubtful && !s->stream && s->reconnect_at_ms)
        back_off(s);
    if (in->status->code == RT_NOT_FOUND && !s->ahead) {
        session_missing(s);
        return;
    }
    session_log(s, LOG_DEBUG, "GetSession", in->status->text);
    if (in->status->code == RT_UNAVAILABLE)
        shard_runtime_lost(s->shard);
    if (!s->ahead && s->run.session_expires_ms &&
        clock_wall_ms() > s->run.session_expires_ms + dead_after_ms) {
        session_end(s, RUN_FAILED, "runtime session expired", RUN_REASON_SESSION_EXPIRED);
        return;
    }
    s->check_at_ms = clock_mono_ms() + s->shard->o.cfg->session_poll_max_ms * 5;
    session_rearm(s);
}

/* Types after which the session may be over, or paused: ask. */
static bool
is_hint(const char *message_type)
{
    static const char *const hints[] = {"Commitment", "SessionCancel", "SessionSuspend",
                                        "SessionResume"};

    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        if (strcmp(message_type, hints[i]) == 0)
            return true;
    return false;
}

void
session_stream_envelope(struct session *s, const struct input *in)
{
    set_observer_state(s, "ok");
    if (strcmp(in->text, "Commitment") == 0)
        s->run.has_commitment = true;
    if (is_hint(in->text))
        session_ask(s);
}

/* The next message is larger than we accept. */
static bool
is_oversize(const struct rt_status *status)
{
    return status->code == RT_RESOURCE_EXHAUSTED && strstr(status->text, "larger than max");
}

/* "session history before ordinal N was compacted": N, or 0 when the text is another one. */
int64_t
session_compacted_before(const char *text)
{
    static const char marker[] = "history before ordinal ";
    const char *at = strstr(text, marker);
    char *end;
    long long n;

    if (!at)
        return 0;
    n = strtoll(at + sizeof marker - 1, &end, 10);
    return n > 0 && strncmp(end, " was compacted", 14) == 0 ? n : 0;
}

/* What was compacted before we read it is a gap, and the count goes on behind it. */
void
session_compacted(struct session *s, int64_t to)
{
    struct record r;

    session_log(s, LOG_WARN, "the runtime has compacted history that was not read", NULL);
    if (to <= s->run.cursor)
        return;
    record_begin(&r, s);
    record_gap(&r, "compacted", s->run.cursor + 1, to, "the runtime compacted its history");
    s->run.cursor = to;
    s->compacted_to = to;
    record_end(&r);
}

void
session_stream_error(struct session *s, const struct input *in)
{
    int64_t base = session_compacted_before(in->text);

    if (base) {
        session_compacted(s, base);
        session_ask(s);
    } else if (strncmp(in->text, "FORBIDDEN", 9) == 0 || strncmp(in->code, "FORBIDDEN", 9) == 0) {
        /* Nothing will come on this stream: our identity may not see the session. */
        session_log(s, LOG_ERROR, "the runtime refuses the subscription", in->text);
        session_close_stream(s);
        set_observer_state(s, "forbidden");
        s->reconnect_at_ms = clock_mono_ms() + FORBIDDEN_RETRY_MS;
        session_rearm(s);
    }
}

bool
session_comes_again(struct session *s, const struct rt_status *status)
{
    if (!s->ahead || (!is_oversize(status) && !session_compacted_before(status->text)))
        return false;
    s->read_again = true;
    return true;
}

bool
session_leave_out(struct session *s, const struct rt_status *status)
{
    struct record r;

    if (!is_oversize(status))
        return false;
    record_begin(&r, s);
    record_gap(&r, "oversize", s->run.cursor + 1, s->run.cursor + 1, status->text);
    s->run.cursor++;
    record_end(&r);
    s->reconnect_at_ms = clock_mono_ms();
    return true;
}

/* Subscribe again: when, and with what notice. */
static void
plan_reconnect(struct session *s, const struct rt_status *status)
{
    int64_t now = clock_mono_ms();
    struct record r;

    if (now - s->opened_at_ms >= HEALTHY_STREAM_MS)
        s->stream_failures = 0;
    if (now - s->lag_window_ms >= LAG_WINDOW_MS) {
        s->lag_window_ms = now;
        s->lags = 0;
    }
    if (session_leave_out(s, status))
        return;
    if (status->code == RT_RESOURCE_EXHAUSTED && s->lags++ < LAGS_WITHOUT_BACKOFF) {
        s->reconnect_at_ms = now; /* cut for being slow: everything is still there */
        return;
    }
    record_begin(&r, s);
    record_stream_notice(&r, "stream-consumer", "reconnecting",
                         "polling getSession for terminal state");
    record_end(&r);
    back_off(s);
}

void
session_stream_over(struct session *s, const struct input *in)
{
    const struct rt_status *status = in->status;
    int64_t base = session_compacted_before(status->text);

    session_log(s, LOG_INFO, "stream ended", rt_code_name(status->code));
    if (session_comes_again(s, status)) {
        session_rearm(s);
        return;
    }
    if (base > s->run.cursor) { /* newer runtimes end the stream with it */
        session_compacted(s, base);
        s->reconnect_at_ms = clock_mono_ms();
        session_ask(s);
        session_rearm(s);
        return;
    }
    switch (status->code) {
    case RT_INVALID_ARGUMENT:
    case RT_UNIMPLEMENTED:
        session_log(s, LOG_ERROR, "the runtime cannot stream; only its state is followed",
                    status->text);
        s->stream_refused = true;
        set_observer_state(s, "degraded");
        break;
    case RT_PERMISSION_DENIED:
        set_observer_state(s, "forbidden");
        s->reconnect_at_ms = clock_mono_ms() + FORBIDDEN_RETRY_MS;
        break;
    default:
        /*
         * A runtime without memory may be another one now: its session of this id has ordinals of
         * its own, and must not be read from ours on. One that cuts us for being slow is the same.
         */
        s->doubtful = status->code != RT_RESOURCE_EXHAUSTED;
        plan_reconnect(s, status);
        break;
    }
    session_ask(s);
    session_rearm(s);
}

/*
 * Is everything read that the runtime has accepted? A session that is cancelled may lose its
 * history, so the question is answered by what the runtime says now.
 */
static bool
is_up_to_date(const struct session *s, int64_t since_ms)
{
    if (s->stream_refused)
        return true; /* nothing can be read anyway */
    return s->known_ms >= since_ms && !s->behind_since_ms && s->stream &&
           rt_stream_is_open(s->stream) && !s->parked && !s->held_up && !s->ahead;
}

void
session_stream_order(struct session *s, const struct input *in)
{
    struct shard_order *order = in->order;

    if (order->kind == ORDER_END_ANYWAY) {
        session_end(s, RUN_CANCELLED, NULL, NULL);
        order->answer = ORDER_DONE;
        return;
    }
    order->answer = is_up_to_date(s, order->since_ms) ? ORDER_UP_TO_DATE : ORDER_BEHIND;
    if (order->answer == ORDER_BEHIND)
        session_ask(s);
}
