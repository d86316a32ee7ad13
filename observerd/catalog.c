#include "observerd/catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "macp/v1/core.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "observerd/message_json.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/log.h"

enum {
    ALIVE_MS = 10000, /* what also says that the runtime answers */
    LIST_MS = 30000,
    AGAIN_MS = 1000, /* after a failure */
    SOON_MS = 20,    /* one question for a burst of changes */
    BACKOFF_MIN_MS = 500,
    BACKOFF_MAX_MS = 30000,
    HEALTHY_MS = 30000,
    UNSUPPORTED_MS = 300000, /* a runtime without the watch may be replaced by one that has it */
};

static const struct {
    const char *name;
    enum rt_unary method;
    int every_ms;
    enum rt_watch watch; /* RT_WATCH__COUNT: there is none */
} kinds[CATALOG__COUNT] = {
    [CATALOG_INITIALIZE] = {"initialize", RT_INITIALIZE, ALIVE_MS, RT_WATCH__COUNT},
    [CATALOG_MANIFEST] = {"manifest", RT_GET_MANIFEST, ALIVE_MS, RT_WATCH__COUNT},
    [CATALOG_MODES] = {"modes", RT_LIST_MODES, LIST_MS, RT_WATCH_MODES},
    [CATALOG_ROOTS] = {"roots", RT_LIST_ROOTS, LIST_MS, RT_WATCH_ROOTS},
    [CATALOG_POLICIES] = {"policies", RT_LIST_POLICIES, LIST_MS, RT_WATCH_POLICIES},
};

void
catalog_row_free(struct catalog_row *row)
{
    free(row->body);
    free(row);
}

static enum catalog_kind
kind_of(const struct catalog_entry *e)
{
    return (enum catalog_kind)(e - e->catalog->entries);
}

/* --- asking -------------------------------------------------------------------------------- */

static void
report(struct catalog_entry *e, const struct rt_status *status, const ProtobufCMessage *document)
{
    struct catalog_row *row = xcalloc(1, sizeof *row);
    AUTO_BUF body = {0};

    row->mail.kind = CONTROL_CATALOG;
    row->kind = kinds[kind_of(e)].name;
    row->ok = status->code == RT_OK && document;
    if (row->ok) {
        message_json(&body, document);
        row->body = buf_steal(&body);
    } else if (status->by_breaker) { /* why it is open is what helps */
        snprintf(row->detail, sizeof row->detail, "%s (last failure: %s)", BREAKER_REFUSAL,
                 e->catalog->failure);
    } else {
        snprintf(row->detail, sizeof row->detail, "%s: %s", rt_code_name(status->code),
                 status->text);
        snprintf(e->catalog->failure, sizeof e->catalog->failure, "%s: %s",
                 rt_code_name(status->code), status->text);
    }
    if (!mailbox_post(e->catalog->control, &row->mail))
        catalog_row_free(row); /* the next one comes soon */
}

static void
answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct catalog_entry *e = ctx;
    const Macp__V1__GetManifestResponse *answer = (const void *)reply;
    int64_t now = clock_mono_ms();

    e->call = NULL;
    if (kind_of(e) == CATALOG_MANIFEST && answer)
        reply = answer->manifest ? &answer->manifest->base : NULL;
    report(e, status, reply);
    if (e->again)
        timer_set_by(e->catalog->timers, &e->timer, now + SOON_MS);
    else if (status->code != RT_OK && status->code != RT_UNIMPLEMENTED)
        timer_set_by(e->catalog->timers, &e->timer, now + AGAIN_MS);
    e->again = false;
}

static void
ask(struct catalog_entry *e)
{
    Macp__V1__InitializeRequest hello = MACP__V1__INITIALIZE_REQUEST__INIT;
    Macp__V1__ListModesRequest nothing = MACP__V1__LIST_MODES_REQUEST__INIT;
    Macp__V1__ClientInfo client = MACP__V1__CLIENT_INFO__INIT;
    const ProtobufCMessage *request = &nothing.base; /* all the others are empty: for everything */
    char *versions[] = {(char *)"1.0"};

    client.name = (char *)"macp-control-plane";
    client.version = (char *)MACP_VERSION;
    hello.n_supported_protocol_versions = ARRAY_LEN(versions);
    hello.supported_protocol_versions = versions;
    hello.client_info = &client;
    if (kind_of(e) == CATALOG_INITIALIZE)
        request = &hello.base;
    e->call = rt_call_start(e->catalog->queue, kinds[kind_of(e)].method, request, answered, e);
}

static void
due(struct timer *t)
{
    struct catalog_entry *e =
        (struct catalog_entry *)((char *)t - offsetof(struct catalog_entry, timer));

    timer_set(e->catalog->timers, t, clock_mono_ms() + kinds[kind_of(e)].every_ms);
    if (!e->call)
        ask(e);
}

/* --- watching ------------------------------------------------------------------------------ */

/* It begins with what there is and goes on with what changes: either way the list is read anew. */
static bool
changed(void *ctx, const void *bytes, size_t n)
{
    struct catalog_entry *e = ctx;

    (void)bytes;
    (void)n;
    if (e->call)
        e->again = true;
    else
        timer_set_by(e->catalog->timers, &e->timer, clock_mono_ms() + SOON_MS);
    return true;
}

static void
watch_over(void *ctx, const struct rt_status *status)
{
    struct catalog_entry *e = ctx;
    int64_t now = clock_mono_ms(), wait;

    e->watch = NULL;
    log_debug("the watch on %s ended: %s %s", kinds[kind_of(e)].name, rt_code_name(status->code),
              status->text);
    if (now - e->opened_ms >= HEALTHY_MS)
        e->backoff_ms = BACKOFF_MIN_MS;
    wait = e->backoff_ms / 2 + random() % e->backoff_ms;
    e->backoff_ms = e->backoff_ms * 2 < BACKOFF_MAX_MS ? e->backoff_ms * 2 : BACKOFF_MAX_MS;
    timer_set(e->catalog->timers, &e->reconnect,
              now + (status->code == RT_UNIMPLEMENTED ? UNSUPPORTED_MS : wait));
}

static void
reconnect_due(struct timer *t)
{
    static const struct rt_stream_ops ops = {.message = changed, .closed = watch_over};
    struct catalog_entry *e =
        (struct catalog_entry *)((char *)t - offsetof(struct catalog_entry, reconnect));

    e->opened_ms = clock_mono_ms();
    e->watch = rt_watch_open(e->catalog->queue, kinds[kind_of(e)].watch, &ops, e);
}

void
catalog_start(struct catalog *c, struct rt_queue *queue, struct timers *timers,
              struct mailbox *control)
{
    *c = (struct catalog){.queue = queue, .timers = timers, .control = control};
    for (int i = 0; i < CATALOG__COUNT; i++) {
        struct catalog_entry *e = &c->entries[i];

        e->catalog = c;
        e->timer.fire = due;
        e->reconnect.fire = reconnect_due;
        e->backoff_ms = BACKOFF_MIN_MS;
        timer_set(timers, &e->timer, clock_mono_ms());
        if (kinds[i].watch != RT_WATCH__COUNT)
            timer_set(timers, &e->reconnect, clock_mono_ms());
    }
}
