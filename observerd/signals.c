#include "observerd/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observerd/envelope.h"
#include "observerd/payload.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"
#include "shared/wire.h"

enum {
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 10000, /* what is said meanwhile is lost */
    HEALTHY_MS = 5000,
    SETTLE_MS = 100, /* a refusal also begins with headers */
};

const char *
signals_session_of(const struct envelope *e, struct arena *a)
{
    static const char *const names[] = {"correlationSessionId", "correlation_session_id"};
    struct payload payload;
    const char *id = NULL;

    if (e->session_id[0])
        return e->session_id;
    payload = payload_decode("", e->message_type, e->payload, e->payload_len);
    for (size_t i = 0; i < ARRAY_LEN(names) && (!id || !id[0]); i++)
        id = jv_cstr(jv_get(payload_inner(payload.value), names[i]));
    id = id ? arena_strdup(a, id) : "";
    json_decref(payload.value);
    return id;
}

/* The stream is open and stays so. */
static void
settled(struct signals *s)
{
    timer_cancel(s->timers, &s->settle);
    meter_put(METER_WATCH_CONNECTED, 1, "signals");
    if (!s->lost_ms)
        return;
    log_info("signals are heard again");
    ambient_interrupted(s->ambient, s->lost_ms, s->opened_ms, s->cause);
    s->lost_ms = 0;
}

static void
settle_due(struct timer *t)
{
    settled((struct signals *)((char *)t - offsetof(struct signals, settle)));
}

static void
opened(void *ctx)
{
    struct signals *s = ctx;

    s->opened_ms = clock_wall_ms();
    s->healthy_ms = clock_mono_ms() + HEALTHY_MS;
    timer_set(s->timers, &s->settle, clock_mono_ms() + SETTLE_MS);
}

static bool
message(void *ctx, const void *bytes, size_t n)
{
    struct signals *s = ctx;
    struct wire_reader reader = wire_read(bytes, n);
    struct wire_field f, body = {0};
    struct envelope envelope;
    bool whole;

    settled(s);
    while (wire_next(&reader, &f) == WIRE_FIELD)
        if (f.type == WIRE_LEN && f.number == 1) /* envelope; the last one wins */
            body = f;
    if (!body.number)
        return true;
    arena_reset(&s->arena);
    whole = envelope_read(body.data, body.len, &s->arena, &envelope);
    (void)whole; /* what cannot be read whole is stored as such */
    if (envelope.message_type[0])
        ambient_received(s->ambient, signals_session_of(&envelope, &s->arena), body.data, body.len);
    return true;
}

static void
closed(void *ctx, const struct rt_status *status)
{
    struct signals *s = ctx;
    int64_t now = clock_mono_ms();

    s->stream = NULL;
    meter_put(METER_WATCH_CONNECTED, 0, "signals");
    meter_add(METER_STREAM_ERRORS, 1, rt_code_name(status->code));
    timer_cancel(s->timers, &s->settle);
    if (!s->lost_ms) {
        s->lost_ms = clock_wall_ms();
        snprintf(s->cause, sizeof s->cause, "the watch was down: %s %.150s",
                 rt_code_name(status->code), status->text);
        log_warn("signals are not heard: %s %s", rt_code_name(status->code), status->text);
    } else {
        log_debug("the signal watch ended: %s %s", rt_code_name(status->code), status->text);
    }
    if (s->healthy_ms && now >= s->healthy_ms)
        s->backoff_ms = BACKOFF_MIN_MS;
    s->healthy_ms = 0;
    timer_set(s->timers, &s->reconnect, now + s->backoff_ms / 2 + random() % s->backoff_ms);
    s->backoff_ms = s->backoff_ms * 2 < BACKOFF_MAX_MS ? s->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void
reconnect_due(struct timer *t)
{
    static const struct rt_stream_ops ops = {
        .message = message, .closed = closed, .opened = opened};
    struct signals *s = (struct signals *)((char *)t - offsetof(struct signals, reconnect));

    s->stream = rt_watch_open(s->queue, RT_WATCH_SIGNALS, &ops, s);
}

void
signals_start(struct signals *s, struct rt_queue *queue, struct timers *timers,
              struct ambient *ambient)
{
    *s = (struct signals){.queue = queue, .timers = timers, .ambient = ambient};
    s->backoff_ms = BACKOFF_MIN_MS;
    s->reconnect.fire = reconnect_due;
    s->settle.fire = settle_due;
    if (!ambient)
        return;
    meter_put(METER_WATCH_CONNECTED, 0, "signals");
    timer_set(timers, &s->reconnect, clock_mono_ms());
}

void
signals_fini(struct signals *s)
{
    arena_fini(&s->arena);
}
