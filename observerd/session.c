#include "observerd/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/record.h"
#include "observerd/shard.h"
#include "observerd/wire.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"

enum {
    BEHIND_LIMIT_MS = 5000,   /* accepted by the runtime, not here: subscribe again */
    DRAIN_LIMIT_MS = 5000,    /* then what is missing is a gap */
    DRAIN_QUIET_MS = 500,     /* silence that ends the drain of a session without a last message */
    FORBIDDEN_RETRY_MS = 60000,
    HEALTHY_STREAM_MS = 30000, /* resets the backoff */
    LAG_WINDOW_MS = 60000,
    LAGS_WITHOUT_BACKOFF = 3,
    FORBIDDEN_ANSWERS = 3,
    MISSING_ANSWERS = 3, /* NOT_FOUND for a session that was there */
    MISSING_LIMIT_MS = 5000,
    LINGER_MS = 60000, /* the run stays ours for late ambient envelopes */
};

enum input_kind {
    INPUT_TIMER,
    INPUT_WAKE,       /* something happened on the runtime */
    INPUT_SNAPSHOT,   /* GetSession answered */
    INPUT_NO_ANSWER,  /* GetSession failed */
    INPUT_ENVELOPE,
    INPUT_ERROR,      /* an error inside the stream */
    INPUT_STREAM_OVER,
    INPUT_COMMITTED,  /* the batch with the end, or the close, is stored */
    INPUT__COUNT
};

struct input {
    const Macp__V1__SessionMetadata *meta; /* INPUT_SNAPSHOT */
    const struct rt_status *status;        /* INPUT_NO_ANSWER, INPUT_STREAM_OVER */
    const char *text; /* INPUT_ENVELOPE: message type; INPUT_ERROR: message */
};

typedef void input_fn(struct session *s, const struct input *in);

static input_fn await_look, await_snapshot, await_no_answer;
static input_fn stream_look, stream_check, stream_snapshot, stream_no_answer, stream_envelope,
    stream_error, stream_over;
static input_fn drain_look, drain_over, drain_error;
static input_fn end_committed, linger_over, close_committed, ignore;

/* What a session does with an input, by its state. */
static input_fn *const behaviour[SESSION_STATE__COUNT][INPUT__COUNT] = {
    // clang-format off
    /*                      TIMER        WAKE          SNAPSHOT         NO_ANSWER         ENVELOPE         ERROR         STREAM_OVER  COMMITTED */
    [SESSION_AWAITING]  = {await_look,  await_look,   await_snapshot,  await_no_answer,  ignore,          ignore,       ignore,      ignore},
    [SESSION_STREAMING] = {stream_look, stream_check, stream_snapshot, stream_no_answer, stream_envelope, stream_error, stream_over, ignore},
    [SESSION_DRAINING]  = {drain_look,  ignore,       ignore,          ignore,           drain_look,      drain_error,  drain_over,  ignore},
    [SESSION_ENDING]    = {ignore,      ignore,       ignore,          ignore,           ignore,          ignore,       ignore,      end_committed},
    [SESSION_LINGERING] = {linger_over, ignore,       ignore,          ignore,           ignore,          ignore,       ignore,      ignore},
    [SESSION_CLOSING]   = {ignore,      ignore,       ignore,          ignore,           ignore,          ignore,       ignore,      close_committed},
    // clang-format on
};

static void
handle(struct session *s, enum input_kind kind, const struct input *in)
{
    static const struct input nothing;

    behaviour[s->state][kind](s, in ? in : &nothing);
}

static void
ignore(struct session *s, const struct input *in)
{
    (void)s;
    (void)in;
}

static void
wait_until(struct session *s, int64_t mono_ms)
{
    timer_set(&s->shard->timers, &s->timer, mono_ms);
}

/* Uniform between 0 and max: instances and runs must not act in step. */
static int64_t
random_ms(int64_t max)
{
    return max > 0 ? random() % (max + 1) : 0;
}

static int64_t
doubled(int64_t base, int times, int64_t max)
{
    for (; times > 0 && base < max; times--)
        base *= 2;
    return base < max ? base : max;
}

static void
log_session(const struct session *s, enum log_level level, const char *what, const char *detail)
{
    struct log_ctx ctx = {.run_id = s->run.run_id, .session_id = s->run.session_id};

    log_line(level, &ctx, "%s%s%s", what, detail && detail[0] ? ": " : "", detail ? detail : "");
}

/* --- asking for the session ---------------------------------------------------------------- */

static void
answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct session *s = ctx;
    const Macp__V1__GetSessionResponse *response = (const void *)reply;
    struct rt_status missing = {RT_INTERNAL, "the runtime's answer has no session"};

    s->call = NULL;
    arena_reset(&s->shard->arena);
    if (status->code == RT_OK && response->metadata)
        handle(s, INPUT_SNAPSHOT, &(struct input){.meta = response->metadata});
    else
        handle(s, INPUT_NO_ANSWER,
               &(struct input){.status = status->code == RT_OK ? &missing : status});
    /* Woken while the question was on its way: the answer may be older than the news. */
    if (s->look_again && !s->call && s->state == SESSION_AWAITING)
        wait_until(s, clock_mono_ms());
    s->look_again = false;
}

static void
ask(struct session *s)
{
    Macp__V1__GetSessionRequest request = MACP__V1__GET_SESSION_REQUEST__INIT;

    if (s->call)
        return;
    request.session_id = s->run.session_id;
    s->call = rt_call_start(s->shard->queue, RT_GET_SESSION, &request.base, answered, s);
}

/* Envelopes that the runtime says it has accepted: all participants' messages and the start. */
static int64_t
accepted_count(const Macp__V1__SessionMetadata *meta)
{
    int64_t n = 1;

    for (size_t i = 0; i < meta->n_participant_activity; i++)
        n += meta->participant_activity[i]->message_count;
    return n;
}

/* --- the end ----------------------------------------------------------------------------- */

static void
close_stream(struct session *s)
{
    if (s->stream)
        rt_stream_cancel(s->stream);
    s->stream = NULL;
    if (s->stream_counted) {
        s->stream_counted = false;
        s->shard->counts.streams_open--;
    }
}

/* The run's last transaction; nothing says "ended" before it is committed. */
static void
end_run(struct session *s, enum run_status to, const char *message, const char *reason)
{
    struct record r;

    timer_cancel(&s->shard->timers, &s->timer);
    record_begin(&r, s);
    record_ended(&r, to, message, reason);
    record_end(&r);
    record_projection(s);
    s->state = SESSION_ENDING;
    if (message)
        log_session(s, LOG_INFO, "run failed", message);
}

static void
end_committed(struct session *s, const struct input *in)
{
    (void)in;
    close_stream(s);
    s->shard->counts.streams_wanted--;
    s->state = SESSION_LINGERING;
    wait_until(s, clock_mono_ms() + LINGER_MS);
}

static void
linger_over(struct session *s, const struct input *in)
{
    struct record r;

    (void)in;
    s->state = SESSION_CLOSING;
    record_begin(&r, s);
    record_closed(&r);
    record_end(&r);
}

static void
close_committed(struct session *s, const struct input *in)
{
    (void)in;
    session_drop(s);
}

/* --- awaiting: the run is posted, its session not seen yet -------------------------------- */

static void
await_failed(struct session *s, const char *reason, const char *text)
{
    char message[512];

    if (strcmp(reason, RUN_REASON_OPEN_TIMEOUT) == 0)
        snprintf(message, sizeof message,
                 "timed out after %lldms waiting for initiator agent to open session %s",
                 (long long)s->shard->cfg->session_poll_timeout_ms, s->run.session_id);
    else
        snprintf(message, sizeof message, "%s", text);
    end_run(s, RUN_FAILED, message, reason);
}

/* The modes the runtime offers, for the message of a run that asked for another one. */
static void
unsupported_mode(struct session *s)
{
    AUTO_BUF text = {0};
    json_t *mode;
    size_t i;

    buf_printf(&text, "Runtime does not support mode '%s'. Supported: ", s->run.mode_name);
    json_array_foreach(s->shard->modes, i, mode)
        buf_printf(&text, "%s%s", i ? ", " : "", jv_cstr(mode) ? jv_cstr(mode) : "");
    end_run(s, RUN_FAILED, buf_cstr(&text), RUN_REASON_MODE);
}

static void
await_look(struct session *s, const struct input *in)
{
    int64_t now = clock_mono_ms(), wait_ms;

    (void)in;
    if (s->call) {
        s->look_again = true;
        return;
    }
    if (!s->shard->ready) {
        /* Not the run's fault: the time the runtime is away does not count. */
        if (!s->outage_from_ms)
            s->outage_from_ms = now;
        wait_until(s, now + s->shard->cfg->session_poll_max_ms);
        return;
    }
    if (!shard_mode_is_supported(s->shard, s->run.mode_name)) {
        unsupported_mode(s);
        return;
    }
    if (s->run.status == RUN_QUEUED) {
        struct record r;

        record_begin(&r, s);
        record_started(&r);
        record_end(&r);
    }
    if (!shard_may_poll(s->shard, &wait_ms)) {
        wait_until(s, now + wait_ms);
        return;
    }
    ask(s);
}

static void
await_again(struct session *s)
{
    const struct config *cfg = s->shard->cfg;
    int64_t now = clock_mono_ms();
    int64_t wait = doubled(cfg->session_poll_base_ms, s->attempts++, cfg->session_poll_max_ms);

    if (!s->outage_from_ms && now >= s->open_by_ms) {
        await_failed(s, RUN_REASON_OPEN_TIMEOUT, NULL);
        return;
    }
    wait += random_ms(wait / 5);
    if (!s->outage_from_ms && now + wait > s->open_by_ms)
        wait = s->open_by_ms - now; /* one last look at the deadline */
    wait_until(s, now + wait);
}

/* The runtime answers again: what it was away for is given back, durably. */
static void
outage_over(struct session *s)
{
    struct record r;

    if (!s->outage_from_ms)
        return;
    s->open_by_ms += clock_mono_ms() - s->outage_from_ms;
    s->outage_from_ms = 0;
    s->attempts = 0;
    record_begin(&r, s);
    record_observer(&r);
    record_end(&r);
}

static void
await_no_answer(struct session *s, const struct input *in)
{
    switch (in->status->code) {
    case RT_NOT_FOUND: /* the normal answer before an agent has opened it */
        outage_over(s);
        s->forbidden_answers = 0;
        break;
    case RT_PERMISSION_DENIED:
        outage_over(s);
        if (++s->forbidden_answers >= FORBIDDEN_ANSWERS) {
            await_failed(s, RUN_REASON_FORBIDDEN, in->status->text);
            return;
        }
        break;
    case RT_INVALID_ARGUMENT:
    case RT_UNIMPLEMENTED:
        await_failed(s, RUN_REASON_INCOMPATIBLE, in->status->text);
        return;
    default: /* the runtime, the way to it, or our credential: nothing the run can be blamed for */
        log_session(s, LOG_DEBUG, "GetSession", in->status->text);
        if (!s->outage_from_ms)
            s->outage_from_ms = clock_mono_ms();
        if (in->status->code == RT_UNAVAILABLE)
            shard_runtime_lost(s->shard);
        break;
    }
    await_again(s);
}

static void open_stream(struct session *s);
static void follow(struct session *s, const Macp__V1__SessionMetadata *meta);

static void
await_snapshot(struct session *s, const struct input *in)
{
    struct record r;

    outage_over(s);
    if (in->meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_UNSPECIFIED) {
        await_again(s);
        return;
    }
    if (in->meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED)
        s->reason = RUN_REASON_OPEN_TIMEOUT; /* expired before we ever saw it open */
    record_begin(&r, s);
    record_bound(&r, in->meta);
    record_stream_opened(&r);
    record_end(&r);
    s->state = SESSION_STREAMING;
    open_stream(s);
    follow(s, in->meta);
}

/* --- streaming --------------------------------------------------------------------------- */

static bool
stream_message(void *ctx, const void *bytes, size_t n)
{
    struct session *s = ctx;
    struct wire_reader reader = wire_read(bytes, n);
    struct wire_field f, body = {0};
    const char *text;

    s->quiet_since_ms = clock_mono_ms();
    /* envelope = 1, error = 2; the last one wins, anything else is none of ours */
    while (wire_next(&reader, &f) == WIRE_FIELD)
        if (f.type == WIRE_LEN && (f.number == 1 || f.number == 2))
            body = f;
    if (body.number == 1 && record_envelope(s, body.data, body.len, &text)) {
        handle(s, INPUT_ENVELOPE, &(struct input){.text = text});
    } else if (body.number == 2) {
        record_inline_error(s, body.data, body.len, &text);
        handle(s, INPUT_ERROR, &(struct input){.text = text});
    }
    if (!writer_is_full(s->shard->writer))
        return true;
    if (s->stream)
        shard_park(s->shard, s);
    return false;
}

static void
stream_closed(void *ctx, const struct rt_status *status)
{
    struct session *s = ctx;

    s->stream = NULL;
    if (s->stream_counted) {
        s->stream_counted = false;
        s->shard->counts.streams_open--;
    }
    handle(s, INPUT_STREAM_OVER, &(struct input){.status = status});
}

static void
open_stream(struct session *s)
{
    static const struct rt_stream_ops ops = {stream_message, stream_closed};
    int64_t now = clock_mono_ms();

    s->stream = rt_session_subscribe(s->shard->queue, s->run.session_id, s->run.cursor, &ops, s);
    s->stream_counted = true;
    s->shard->counts.streams_open++;
    s->reconnect_at_ms = 0;
    s->opened_at_ms = now;
    s->quiet_since_ms = now;
}

static void
subscribe(struct session *s)
{
    struct record r;

    arena_reset(&s->shard->arena);
    record_begin(&r, s);
    record_stream_opened(&r);
    record_end(&r);
    open_stream(s);
}

/* Arm the timer for whatever comes first. */
static void
stream_rearm(struct session *s)
{
    const struct config *cfg = s->shard->cfg;
    int64_t due = s->check_at_ms;
    int64_t idle = s->quiet_since_ms + cfg->stream_idle_timeout_ms;

    if (s->stream && idle < due)
        due = idle;
    if (s->reconnect_at_ms && s->reconnect_at_ms < due)
        due = s->reconnect_at_ms;
    wait_until(s, due);
}

/* When the runtime is asked next: regularly, and right after the session should have expired. */
static void
plan_check(struct session *s)
{
    int64_t every = s->shard->cfg->observerd_state_check_ms;
    int64_t expires_in = s->run.session_expires_ms - clock_wall_ms() + 1000;

    s->check_at_ms = clock_mono_ms() + every - random_ms(every / 5);
    if (s->run.session_expires_ms && expires_in > 0 && expires_in < every)
        s->check_at_ms = clock_mono_ms() + expires_in;
    if (s->behind_since_ms && s->check_at_ms > s->behind_since_ms + BEHIND_LIMIT_MS)
        s->check_at_ms = s->behind_since_ms + BEHIND_LIMIT_MS;
}

static void
stream_check(struct session *s, const struct input *in)
{
    (void)in;
    ask(s);
}

static void
stream_look(struct session *s, const struct input *in)
{
    int64_t now = clock_mono_ms();

    (void)in;
    if (!s->stream && s->reconnect_at_ms && now >= s->reconnect_at_ms)
        subscribe(s);
    if (now >= s->check_at_ms ||
        (s->stream && now >= s->quiet_since_ms + s->shard->cfg->stream_idle_timeout_ms)) {
        ask(s);
        s->quiet_since_ms = now;
        plan_check(s);
    }
    stream_rearm(s);
}

/* The session's id is used again: another life of it begins at ordinal 1. */
static void
next_epoch(struct session *s, const Macp__V1__SessionMetadata *meta)
{
    struct record r;

    log_session(s, LOG_WARN, "the runtime has started the session anew", NULL);
    close_stream(s);
    record_begin(&r, s);
    record_gap(&r, "reset", s->run.cursor + 1, s->run.cursor + 1,
               "the session started anew; what came after this ordinal is unknown");
    s->run.epoch++;
    s->run.cursor = 0;
    s->run.has_commitment = false;
    s->run.session_started_ms = meta->started_at_unix_ms;
    seen_fini(&s->run.seen);
    record_observer(&r);
    record_end(&r);
    s->reconnect_at_ms = clock_mono_ms();
}

static void start_drain(struct session *s, enum run_status verdict,
                        const Macp__V1__SessionMetadata *meta);

/* Compare what the runtime says with what is stored, and follow. */
static void
judge(struct session *s, const Macp__V1__SessionMetadata *meta)
{
    int64_t expected = accepted_count(meta), now = clock_mono_ms();
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
        start_drain(s, RUN_COMPLETED, meta);
    else if (meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED)
        start_drain(s, RUN_FAILED, meta);
    else if (meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED)
        start_drain(s, RUN_CANCELLED, meta);
    else if (expected <= s->run.cursor)
        s->behind_since_ms = 0;
    else if (!s->behind_since_ms)
        s->behind_since_ms = now;
    else if (now >= s->behind_since_ms + BEHIND_LIMIT_MS && s->stream) {
        log_session(s, LOG_WARN, "the stream is behind what the runtime has accepted", NULL);
        close_stream(s);
        s->behind_since_ms = 0;
        s->reconnect_at_ms = now;
    }
}

static void
follow(struct session *s, const Macp__V1__SessionMetadata *meta)
{
    judge(s, meta);
    if (s->state != SESSION_STREAMING)
        return;
    plan_check(s);
    stream_rearm(s);
}

static void
stream_snapshot(struct session *s, const struct input *in)
{
    follow(s, in->meta);
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
        stream_rearm(s);
        return;
    }
    if (s->run.has_commitment) {
        struct record r;

        record_begin(&r, s);
        record_gap(&r, "forgotten", s->run.cursor + 1, s->run.cursor + 1,
                   "the runtime forgot the session; its end is inferred from the commitment");
        record_end(&r);
        end_run(s, RUN_COMPLETED, NULL, NULL);
        return;
    }
    if (s->run.session_expires_ms && clock_wall_ms() > s->run.session_expires_ms) {
        end_run(s, RUN_FAILED, "runtime session expired", RUN_REASON_SESSION_EXPIRED);
        return;
    }
    snprintf(message, sizeof message,
             "the runtime forgot the session (last state %s, %lld envelopes stored)",
             s->run.session_state, (long long)s->run.cursor);
    end_run(s, RUN_FAILED, message, RUN_REASON_FORGOTTEN);
}

static void
stream_no_answer(struct session *s, const struct input *in)
{
    if (in->status->code == RT_NOT_FOUND) {
        session_missing(s);
        return;
    }
    log_session(s, LOG_DEBUG, "GetSession", in->status->text);
    if (in->status->code == RT_UNAVAILABLE)
        shard_runtime_lost(s->shard);
    s->check_at_ms = clock_mono_ms() + s->shard->cfg->session_poll_max_ms * 5;
    stream_rearm(s);
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

static void
stream_envelope(struct session *s, const struct input *in)
{
    if (strcmp(in->text, "Commitment") == 0)
        s->run.has_commitment = true;
    if (is_hint(in->text))
        ask(s);
}

/* "session history before ordinal N was compacted": N, or 0 when the text is another one. */
static int64_t
compacted_before(const char *text)
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
static void
compacted(struct session *s, int64_t to)
{
    struct record r;

    log_session(s, LOG_WARN, "the runtime has compacted history that was not read", NULL);
    if (to <= s->run.cursor)
        return;
    record_begin(&r, s);
    record_gap(&r, "compacted", s->run.cursor + 1, to, "the runtime compacted its history");
    s->run.cursor = to;
    record_end(&r);
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

static void
stream_error(struct session *s, const struct input *in)
{
    int64_t base = compacted_before(in->text);

    if (base) {
        compacted(s, base);
        ask(s);
    } else if (strncmp(in->text, "FORBIDDEN", 9) == 0) {
        /* Nothing will come on this stream: our identity may not see the session. */
        log_session(s, LOG_ERROR, "the runtime refuses the subscription", in->text);
        close_stream(s);
        set_observer_state(s, "forbidden");
        s->reconnect_at_ms = clock_mono_ms() + FORBIDDEN_RETRY_MS;
        stream_rearm(s);
    }
}

/* The next message is larger than we accept: leave it out, and say so. */
static bool
is_oversize(const struct rt_status *status)
{
    return status->code == RT_RESOURCE_EXHAUSTED && strstr(status->text, "larger than max");
}

/* Subscribe again: when, and with what notice. */
static void
plan_reconnect(struct session *s, const struct rt_status *status)
{
    const struct config *cfg = s->shard->cfg;
    int64_t now = clock_mono_ms();
    struct record r;

    if (now - s->opened_at_ms >= HEALTHY_STREAM_MS)
        s->stream_failures = 0;
    if (now - s->lag_window_ms >= LAG_WINDOW_MS) {
        s->lag_window_ms = now;
        s->lags = 0;
    }
    if (is_oversize(status)) {
        record_begin(&r, s);
        record_gap(&r, "oversize", s->run.cursor + 1, s->run.cursor + 1, status->text);
        s->run.cursor++;
        record_end(&r);
        s->reconnect_at_ms = now;
        return;
    }
    if (status->code == RT_RESOURCE_EXHAUSTED && s->lags++ < LAGS_WITHOUT_BACKOFF) {
        s->reconnect_at_ms = now; /* cut for being slow: everything is still there */
        return;
    }
    record_begin(&r, s);
    record_stream_notice(&r, "stream-consumer", "reconnecting",
                         "polling getSession for terminal state");
    record_end(&r);
    s->stream_failures++;
    s->reconnect_at_ms = now + random_ms(doubled(cfg->stream_backoff_base_ms, s->stream_failures,
                                                 cfg->stream_backoff_max_ms));
    set_observer_state(s, s->stream_failures > cfg->stream_max_retries ? "degraded"
                                                                       : "disconnected");
}

static void
stream_over(struct session *s, const struct input *in)
{
    const struct rt_status *status = in->status;
    int64_t base = compacted_before(status->text);

    log_session(s, LOG_INFO, "stream ended", rt_code_name(status->code));
    if (base)
        compacted(s, base);
    switch (status->code) {
    case RT_INVALID_ARGUMENT:
    case RT_UNIMPLEMENTED:
        log_session(s, LOG_ERROR, "the runtime cannot stream; only its state is followed",
                    status->text);
        s->stream_refused = true;
        set_observer_state(s, "degraded");
        break;
    case RT_PERMISSION_DENIED:
        set_observer_state(s, "forbidden");
        s->reconnect_at_ms = clock_mono_ms() + FORBIDDEN_RETRY_MS;
        break;
    default:
        plan_reconnect(s, status);
        break;
    }
    ask(s);
    stream_rearm(s);
}

/* --- draining: the verdict is known, the last envelopes may still be on their way ---------- */

static bool
is_drained(const struct session *s)
{
    if (s->run.cursor >= s->expected)
        return true;
    if (s->verdict == RUN_COMPLETED)
        return s->run.has_commitment;
    return clock_mono_ms() >= s->quiet_since_ms + DRAIN_QUIET_MS;
}

/* The verdict's snapshot comes after the session's own events, the end after both. */
static void
finish_drain(struct session *s)
{
    struct record r;

    arena_reset(&s->shard->arena);
    record_begin(&r, s);
    /* Counts are lost when the runtime restarts, so more than expected is no contradiction. */
    if (s->run.cursor < s->expected)
        record_gap(&r, "compacted", s->run.cursor + 1, s->expected,
                   "accepted by the runtime, not delivered before the drain limit");
    record_snapshot(&r, s->verdict_meta);
    record_end(&r);
    if (s->verdict != RUN_FAILED) {
        end_run(s, s->verdict, NULL, NULL);
    } else if (s->reason) {
        char message[512];

        snprintf(message, sizeof message, "session %s expired before any agent opened it",
                 s->run.session_id);
        end_run(s, RUN_FAILED, message, RUN_REASON_SESSION_EXPIRED);
    } else {
        end_run(s, RUN_FAILED, "runtime session expired", RUN_REASON_SESSION_EXPIRED);
    }
}

static void
drain_look(struct session *s, const struct input *in)
{
    int64_t now = clock_mono_ms();

    if (in->text && strcmp(in->text, "Commitment") == 0)
        s->run.has_commitment = true;
    if (is_drained(s) || now >= s->drain_until_ms) {
        finish_drain(s);
        return;
    }
    if (!s->stream && !s->stream_refused && s->reconnect_at_ms && now >= s->reconnect_at_ms)
        subscribe(s);
    wait_until(s, now + 20);
}

static void
drain_error(struct session *s, const struct input *in)
{
    int64_t base = compacted_before(in->text);

    if (base)
        compacted(s, base);
    drain_look(s, &(struct input){0});
}

static void
drain_over(struct session *s, const struct input *in)
{
    int64_t base = compacted_before(in->status->text);

    if (base)
        compacted(s, base);
    s->reconnect_at_ms = clock_mono_ms() + 100;
    drain_look(s, &(struct input){0});
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

static void
start_drain(struct session *s, enum run_status verdict, const Macp__V1__SessionMetadata *meta)
{
    int64_t now = clock_mono_ms();

    s->state = SESSION_DRAINING;
    s->verdict = verdict;
    s->verdict_meta = keep(meta);
    s->expected = accepted_count(meta);
    s->drain_until_ms = now + DRAIN_LIMIT_MS;
    s->quiet_since_ms = now;
    if (!s->stream && !s->reconnect_at_ms)
        s->reconnect_at_ms = now;
    wait_until(s, now + 1);
}

/* --- life -------------------------------------------------------------------------------- */

void
run_seed_free(struct run_seed *seed)
{
    free(seed->session_id);
    free(seed->trace_id);
    free(seed->runtime_kind);
    free(seed->mode_name);
    free(seed->mode_version);
    free(seed->configuration_version);
    free(seed->policy_version);
    json_decref(seed->participants);
    json_decref(seed->known);
    projection_free(seed->projection);
    seen_fini(&seed->seen);
}

static void
timer_fired(struct timer *t)
{
    handle((struct session *)((char *)t - offsetof(struct session, timer)), INPUT_TIMER, NULL);
}

static void
flush_due(struct timer *t)
{
    record_projection((struct session *)((char *)t - offsetof(struct session, flush)));
}

/* A run that was observed before goes on at its cursor. */
static void
resume(struct session *s)
{
    struct record r;

    s->state = SESSION_STREAMING;
    record_begin(&r, s);
    record_stream_notice(&r, "run-recovery", "recovered", "stream resumed after restart");
    record_end(&r);
    s->stream_failures = 1; /* not the first subscription: no second trace artifact */
    subscribe(s);
    s->stream_failures = 0;
    ask(s);
    plan_check(s);
    stream_rearm(s);
}

void
session_adopt(struct shard *shard, struct run_seed *seed)
{
    struct session *s = xcalloc(1, sizeof *s);
    int64_t now = clock_mono_ms();

    s->run = *seed;
    free(seed);
    s->shard = shard;
    s->observer_state = "ok";
    s->normalizer = (struct normalizer){s->run.session_id, s->run.known, shard->redactor};
    s->timer.fire = timer_fired;
    s->flush.fire = flush_due;
    s->open_by_ms = now + s->run.poll_remaining_ms;
    s->lag_window_ms = now;
    HASH_ADD(by_key, shard->by_key, run.run_key, sizeof s->run.run_key, s);
    HASH_ADD_KEYPTR(by_session, shard->by_session, s->run.session_id, strlen(s->run.session_id),
                    s);
    shard->counts.runs++;
    if (run_status_is_terminal(s->run.status)) {
        s->state = SESSION_LINGERING;
        wait_until(s, now + LINGER_MS);
        return;
    }
    shard->counts.streams_wanted++;
    if (s->run.status == RUN_RUNNING || s->run.status == RUN_SUSPENDED) {
        resume(s);
        return;
    }
    s->state = SESSION_AWAITING;
    await_look(s, NULL);
}

void
session_wake(struct session *s)
{
    handle(s, INPUT_WAKE, NULL);
}

void
session_committed(struct session *s, const struct writer_result *r)
{
    (void)r;
    handle(s, INPUT_COMMITTED, NULL);
}

void
session_drop(struct session *s)
{
    struct shard *shard = s->shard;

    if (s->call)
        rt_call_cancel(s->call);
    close_stream(s);
    timer_cancel(&shard->timers, &s->timer);
    timer_cancel(&shard->timers, &s->flush);
    if (s->parked)
        shard_forget_parked(shard, s);
    if (s->state < SESSION_LINGERING)
        shard->counts.streams_wanted--;
    shard->counts.runs--;
    HASH_DELETE(by_key, shard->by_key, s);
    HASH_DELETE(by_session, shard->by_session, s);
    if (s->verdict_meta)
        protobuf_c_message_free_unpacked(&s->verdict_meta->base, NULL);
    run_seed_free(&s->run);
    free(s);
}

void
session_drain(struct session *s)
{
    if (s->call)
        rt_call_cancel(s->call);
    s->call = NULL;
    close_stream(s);
    timer_cancel(&s->shard->timers, &s->timer);
    record_projection(s);
}

void
session_unpark(struct session *s)
{
    s->parked = false;
    if (s->stream)
        rt_stream_resume(s->stream);
}
