#include "observerd/tracer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"
#include "shared/uuid.h"

enum {
    SPANS_MAX = 2048, /* that wait */
    BYTES_MAX = 4 << 20,
    SEND_EVERY_MS = 1000,
    SEND_TIMEOUT_MS = 5000,
    AGAIN_MAX_MS = 60000,
};

struct tracer {
    const struct config *cfg;
    char *url;
    uint64_t sampled_below; /* of the trace id's last 63 bits; UINT64_MAX: all */
    pthread_mutex_t mu;     /* of these */
    struct buf waiting;     /* spans as JSON, with commas */
    int n_waiting;

    atomic_int n_sent; /* spans on their way; 0: none */
    atomic_int failures;
    _Atomic int64_t due_ms;
};

/* --- sampling -------------------------------------------------------------------------------- */

static uint64_t
threshold(const struct config *cfg)
{
    static const char parent[] = "parentbased_";
    const char *sampler = cfg->otel_traces_sampler;
    double share = strtod(cfg->otel_traces_sampler_arg, NULL);

    if (strncmp(sampler, parent, sizeof parent - 1) == 0)
        sampler += sizeof parent - 1;
    if (strcmp(sampler, "always_off") == 0)
        return 0;
    if (strcmp(sampler, "always_on") == 0 || share >= 1)
        return UINT64_MAX;
    return (uint64_t)(share * 9223372036854775808.0); /* 2^63 */
}

bool
tracer_samples(const struct tracer *t, const char *trace_id)
{
    size_t n = strlen(trace_id);

    if (!t || n < 16)
        return false;
    return strtoull(trace_id + n - 16, NULL, 16) >> 1 < t->sampled_below;
}

/* --- spans as JSON -----------------------------------------------------------------------------
 */

static void
write_text(struct buf *out, const char *s)
{
    jv_write_text(out, s, strlen(s));
}

static void
write_attributes(struct buf *out, const struct span_attribute *a)
{
    buf_char(out, '[');
    for (bool first = true; a->key; a++, first = false) {
        buf_printf(out, "%s{\"key\":\"%s\",\"value\":{", first ? "" : ",", a->key);
        if (a->text) {
            buf_lit(out, "\"stringValue\":");
            write_text(out, a->text);
        } else {
            buf_printf(out, "\"intValue\":\"%" PRId64 "\"", a->number);
        }
        buf_lit(out, "}}");
    }
    buf_char(out, ']');
}

void
tracer_event(struct buf *events, const char *name, int64_t wall_ms,
             const struct span_attribute *attributes)
{
    buf_printf(events, "%s{\"timeUnixNano\":\"%" PRId64 "000000\",\"name\":\"%s\",\"attributes\":",
               events->len ? "," : "", wall_ms, name);
    write_attributes(events, attributes);
    buf_char(events, '}');
}

static void
first_half(const char *uuid, char out[TRACER_ID_LEN])
{
    size_t n = 0;

    for (; n < TRACER_ID_LEN - 1; uuid++)
        if (*uuid != '-')
            out[n++] = *uuid;
    out[n] = '\0';
}

void
tracer_run_id(const char *run_id, char out[TRACER_ID_LEN])
{
    char id[UUID_LEN];

    uuid_v5(run_id, "run.lifecycle", id);
    first_half(id, out);
}

static void
write_span(struct buf *out, const struct span *s)
{
    char id[TRACER_ID_LEN], uuid[UUID_LEN];

    if (!s->id) {
        uuid_v4(uuid);
        first_half(uuid, id);
    }
    buf_printf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\"", s->trace_id, s->id ? s->id : id);
    if (s->parent_id)
        buf_printf(out, ",\"parentSpanId\":\"%s\"", s->parent_id);
    buf_printf(out,
               ",\"name\":\"%s\",\"kind\":1,\"startTimeUnixNano\":\"%" PRId64
               "000\",\"endTimeUnixNano\":\"%" PRId64 "000\",\"attributes\":",
               s->name, s->start_us, s->end_us > s->start_us ? s->end_us : s->start_us);
    write_attributes(out, s->attributes);
    if (s->events && *s->events)
        buf_printf(out, ",\"events\":[%s]", s->events);
    buf_printf(out, ",\"status\":{\"code\":%d", s->error ? 2 : 1);
    if (s->error) {
        buf_lit(out, ",\"message\":");
        write_text(out, s->error);
    }
    buf_lit(out, "}}");
}

void
tracer_add(struct tracer *t, const struct span *span)
{
    bool full;

    if (!t)
        return;
    pthread_mutex_lock(&t->mu);
    full = t->n_waiting >= SPANS_MAX || t->waiting.len >= BYTES_MAX;
    if (!full) {
        if (t->n_waiting++)
            buf_char(&t->waiting, ',');
        write_span(&t->waiting, span);
    }
    pthread_mutex_unlock(&t->mu);
    if (full)
        meter_add(METER_SPANS, 1, "dropped");
}

/* --- to the collector --------------------------------------------------------------------------
 */

static void
write_resource(struct buf *out, const struct config *cfg)
{
    const struct config_list *more = &cfg->otel_resource_attributes;

    buf_lit(out, "{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":");
    write_text(out, cfg->otel_service_name);
    buf_lit(out, "}},{\"key\":\"service.instance.id\",\"value\":{\"stringValue\":");
    write_text(out, cfg->observerd_instance_id);
    buf_lit(out, "}},{\"key\":\"process.executable.name\",\"value\":{\"stringValue\":"
                 "\"macp-observerd\"}}");
    for (size_t i = 0; i < more->n; i++) {
        const char *equals = strchr(more->items[i], '=');

        buf_lit(out, ",{\"key\":");
        jv_write_text(out, more->items[i], (size_t)(equals - more->items[i]));
        buf_lit(out, ",\"value\":{\"stringValue\":");
        write_text(out, equals + 1);
        buf_lit(out, "}}");
    }
    buf_lit(out, "]}");
}

static void
sent(void *ctx, const struct outbound_reply *reply)
{
    struct tracer *t = ctx;
    bool ok = reply->status >= 200 && reply->status < 300;
    int64_t wait_ms = SEND_EVERY_MS;

    meter_add(METER_SPANS, t->n_sent, ok ? "exported" : "dropped");
    if (!ok) {
        int failures = atomic_fetch_add(&t->failures, 1);

        for (; failures > 0 && wait_ms < AGAIN_MAX_MS; failures--)
            wait_ms *= 2;
        if (reply->status)
            log_line(t->failures == 1 ? LOG_WARN : LOG_DEBUG, NULL,
                     "the trace collector answers %d, spans are dropped", reply->status);
        else
            log_line(t->failures == 1 ? LOG_WARN : LOG_DEBUG, NULL,
                     "the trace collector does not answer, spans are dropped: %s", reply->error);
    } else if (atomic_exchange(&t->failures, 0) > 0) {
        log_info("the trace collector answers again");
    }
    t->due_ms = clock_mono_ms() + (wait_ms < AGAIN_MAX_MS ? wait_ms : AGAIN_MAX_MS);
    t->n_sent = 0;
}

/* What waits, and how many it is. */
static int
take(struct tracer *t, struct buf *out)
{
    int n;

    pthread_mutex_lock(&t->mu);
    *out = t->waiting;
    t->waiting = (struct buf){0};
    n = t->n_waiting;
    t->n_waiting = 0;
    pthread_mutex_unlock(&t->mu);
    return n;
}

/* False: there is nothing, or outbound does not take it. */
static bool
send_waiting(struct tracer *t, struct outbound *o)
{
    AUTO_BUF spans = {0}, body = {0};
    const char *headers[64 + 1] = {"Content-Type: application/json"};
    size_t n_headers = 1;
    struct arena arena = {0};
    bool taken;
    int n;

    n = take(t, &spans);
    if (!n)
        return false;
    buf_lit(&body, "{\"resourceSpans\":[{\"resource\":");
    write_resource(&body, t->cfg);
    buf_lit(&body, ",\"scopeSpans\":[{\"scope\":{\"name\":\"macp-observerd\",\"version\":\"");
    buf_str(&body, MACP_VERSION "\"},\"spans\":[");
    buf_add(&body, spans.p, spans.len);
    buf_lit(&body, "]}]}]}");
    for (size_t i = 0; i < t->cfg->otel_exporter_otlp_headers.n && n_headers < 64; i++) {
        const char *pair = t->cfg->otel_exporter_otlp_headers.items[i];
        int name = (int)strcspn(pair, "=");

        headers[n_headers++] = arena_printf(&arena, "%.*s: %s", name, pair, pair + name + 1);
    }
    t->n_sent = n;
    taken = outbound_send(o,
                          &(struct outbound_request){.url = t->url,
                                                     .headers = headers,
                                                     .n_headers = n_headers,
                                                     .body = body.p,
                                                     .body_len = body.len,
                                                     .timeout_ms = SEND_TIMEOUT_MS,
                                                     .trusted = true},
                          sent, t);
    if (!taken) {
        meter_add(METER_SPANS, n, "dropped");
        t->n_sent = 0;
    }
    arena_fini(&arena);
    return taken;
}

void
tracer_send(struct tracer *t, struct outbound *o)
{
    if (t && !t->n_sent && clock_mono_ms() >= t->due_ms)
        send_waiting(t, o);
}

void
tracer_drain(struct tracer *t, struct outbound *o, int64_t limit_ms)
{
    int64_t until = clock_mono_ms() + limit_ms;
    bool more = t != NULL;

    while (more && clock_mono_ms() < until) {
        if (!t->n_sent)
            more = send_waiting(t, o);
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

struct tracer *
tracer_new(const struct config *cfg)
{
    const char *endpoint = cfg->otel_exporter_otlp_endpoint;
    size_t n = strlen(endpoint);
    AUTO_BUF url = {0};
    struct tracer *t;

    if (!cfg->otel_enabled || !n)
        return NULL;
    while (n && endpoint[n - 1] == '/')
        n--;
    buf_add(&url, endpoint, n);
    buf_lit(&url, "/v1/traces");
    t = xcalloc(1, sizeof *t);
    t->cfg = cfg;
    t->url = buf_steal(&url);
    t->sampled_below = threshold(cfg);
    pthread_mutex_init(&t->mu, NULL);
    return t;
}

void
tracer_free(struct tracer *t)
{
    if (!t)
        return;
    if (t->n_waiting)
        log_warn("%d spans were not sent", t->n_waiting);
    pthread_mutex_destroy(&t->mu);
    buf_fini(&t->waiting);
    free(t->url);
    free(t);
}
