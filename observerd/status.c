#include "observerd/status.h"

#include <stdlib.h>

#include "shared/clock.h"

enum { ANSWER_MS = 15000 }; /* the runtime is asked every ten seconds */

void
status_init(struct status *s, size_t n_shards, int64_t stuck_ms)
{
    *s = (struct status){.n = STATUS_SHARDS + n_shards, .instance_id = "", .stuck_ms = stuck_ms};
    s->turned_ms = xcalloc(s->n, sizeof *s->turned_ms);
    for (size_t i = 0; i < s->n; i++)
        status_turn(&s->turned_ms[i]);
}

void
status_fini(struct status *s)
{
    free(s->turned_ms);
}

void
status_turn(_Atomic int64_t *slot)
{
    if (slot)
        atomic_store_explicit(slot, clock_mono_ms(), memory_order_relaxed);
}

/* The first loop that does not turn; n: all do. */
static size_t
stuck(const struct status *s)
{
    int64_t oldest = clock_mono_ms() - s->stuck_ms;
    size_t i = 0;

    while (i < s->n && s->turned_ms[i] >= oldest)
        i++;
    return i;
}

static bool
is_stored(const struct status *s)
{
    return clock_mono_ms() < s->stored_until_ms;
}

static bool
is_answered(const struct status *s)
{
    return s->answered_ms && clock_mono_ms() - s->answered_ms < ANSWER_MS;
}

bool
status_is_alive(const struct status *s)
{
    return s->draining || stuck(s) == s->n; /* who leaves has loops that end */
}

bool
status_is_ready(const struct status *s)
{
    return status_is_alive(s) && is_stored(s) && is_answered(s) && !s->draining;
}

void
status_write_alive(const struct status *s, struct buf *out)
{
    size_t i = s->draining ? s->n : stuck(s);

    buf_printf(out, "{\"ok\":%s,\"service\":\"macp-observerd\"", i == s->n ? "true" : "false");
    if (i == STATUS_CONTROL)
        buf_lit(out, ",\"stuck\":\"control\"");
    else if (i == STATUS_WATCH)
        buf_lit(out, ",\"stuck\":\"watch\"");
    else if (i < s->n)
        buf_printf(out, ",\"stuck\":\"shard %zu\"", i - STATUS_SHARDS);
    buf_char(out, '}');
}

void
status_write_ready(const struct status *s, struct buf *out)
{
    buf_printf(out,
               "{\"ok\":%s,\"instance\":\"%s\",\"alive\":%s,\"database\":\"%s\",\"runtime\":\"%s\","
               "\"draining\":%s}",
               status_is_ready(s) ? "true" : "false", s->instance_id,
               status_is_alive(s) ? "true" : "false", is_stored(s) ? "ok" : "unhealthy",
               is_answered(s) ? "ok" : "unhealthy", s->draining ? "true" : "false");
}
