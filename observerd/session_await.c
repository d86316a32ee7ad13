/* Awaiting: the run is posted, its session not seen yet. */
#include <stdio.h>
#include <stdlib.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/record.h"
#include "observerd/session_input.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"

enum { FORBIDDEN_ANSWERS = 3, OUTAGE_NOTE_MS = 10000 };

static void
await_failed(struct session *s, const char *reason, const char *text)
{
    char message[512];

    if (strcmp(reason, RUN_REASON_OPEN_TIMEOUT) == 0 && !s->run.posted) {
        reason = RUN_REASON_FORGOTTEN; /* it was there when it was discovered */
        snprintf(message, sizeof message, "the runtime forgot the session before it was read");
    } else if (strcmp(reason, RUN_REASON_OPEN_TIMEOUT) == 0)
        snprintf(message, sizeof message,
                 "timed out after %lldms waiting for initiator agent to open session %s",
                 (long long)s->shard->o.cfg->session_poll_timeout_ms, s->run.session_id);
    else
        snprintf(message, sizeof message, "%s", text);
    session_end(s, RUN_FAILED, message, reason);
}

/* The modes the runtime offers, for the message of a run that asked for another one. */
static void
unsupported_mode(struct session *s)
{
    AUTO_BUF text = {0};
    json_t *mode;
    size_t i;

    buf_printf(&text, "Runtime does not support mode '%s'. Supported: ", s->run.mode_name);
    json_array_foreach (s->shard->modes, i, mode)
        buf_printf(&text, "%s%s", i ? ", " : "", jv_cstr(mode) ? jv_cstr(mode) : "");
    session_end(s, RUN_FAILED, buf_cstr(&text), RUN_REASON_MODE);
}

/* The runtime is away: the deadline stands still, also for whoever takes the run over. */
static void
outage_goes_on(struct session *s)
{
    int64_t now = clock_mono_ms();
    struct record r;

    if (!s->outage_from_ms) {
        s->outage_from_ms = now;
        s->outage_noted_ms = now;
    }
    if (now < s->outage_noted_ms + OUTAGE_NOTE_MS)
        return;
    s->outage_noted_ms = now;
    record_begin(&r, s);
    record_observer(&r);
    record_end(&r);
}

void
session_await_look(struct session *s, const struct input *in)
{
    int64_t now = clock_mono_ms(), wait_ms;

    (void)in;
    if (s->call) {
        s->look_again = true;
        return;
    }
    if (!s->shard->ready) {
        outage_goes_on(s);
        session_wait_until(s, now + s->shard->o.cfg->session_poll_max_ms);
        return;
    }
    /* A session that is there has a mode that the runtime knows, whatever it said at first. */
    if (s->run.posted && !shard_mode_is_supported(s->shard, s->run.mode_name)) {
        unsupported_mode(s);
        return;
    }
    if (s->run.status == RUN_QUEUED) {
        struct record r;

        record_begin(&r, s);
        record_started(&r);
        record_end(&r);
    }
    /* With a stream there is something to ask about: no poll among thousands. */
    if (!s->stream && !shard_may_poll(s->shard, &wait_ms)) {
        session_wait_until(s, now + wait_ms);
        return;
    }
    session_ask(s);
}

static void
await_again(struct session *s)
{
    const struct config *cfg = s->shard->o.cfg;
    int64_t now = clock_mono_ms();
    int64_t wait =
        session_doubled(cfg->session_poll_base_ms, s->attempts++, cfg->session_poll_max_ms);

    if (!s->outage_from_ms && now >= s->open_by_ms) {
        await_failed(s, RUN_REASON_OPEN_TIMEOUT, NULL);
        return;
    }
    wait += session_random_ms(wait / 5);
    if (!s->outage_from_ms && now + wait > s->open_by_ms)
        wait = s->open_by_ms - now; /* one last look at the deadline */
    session_wait_until(s, now + wait);
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

void
session_await_no_answer(struct session *s, const struct input *in)
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
        session_log(s, LOG_DEBUG, "GetSession", in->status->text);
        outage_goes_on(s);
        if (in->status->code == RT_UNAVAILABLE)
            shard_runtime_lost(s->shard);
        break;
    }
    await_again(s);
}

void
session_await_snapshot(struct session *s, const struct input *in)
{
    struct record r;

    outage_over(s);
    if (in->meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_UNSPECIFIED) {
        await_again(s);
        return;
    }
    if (s->run.posted && in->meta->state == MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED)
        s->reason = RUN_REASON_OPEN_TIMEOUT; /* expired before we ever saw it open */
    record_begin(&r, s);
    record_bound(&r, in->meta);
    record_stream_opened(&r);
    record_end(&r);
    s->state = SESSION_STREAMING;
    run_trace_opened(s);
    session_look_for_signals(s); /* those that came before the session was seen */
    session_go_on_reading(s);
    session_follow(s, in->meta);
}

void
session_await_order(struct session *s, const struct input *in)
{
    in->order->answer = ORDER_AWAITING;
    if (in->order->kind == ORDER_READY)
        return;
    session_end(s, RUN_CANCELLED, NULL, NULL);
    in->order->answer = ORDER_DONE;
}
