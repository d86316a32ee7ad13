#include "observerd/catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/message_json.h"
#include "observerd/shard.h"
#include "shared/clock.h"

enum { EVERY_MS = 10000, AGAIN_MS = 1000 };

void
catalog_row_free(struct catalog_row *row)
{
    free(row->body);
    free(row);
}

static void
report(struct catalog *c, const char *kind, const struct rt_status *status,
       const ProtobufCMessage *document)
{
    struct catalog_row *row = xcalloc(1, sizeof *row);
    AUTO_BUF body = {0};

    c->in_flight--;
    row->mail.kind = CONTROL_CATALOG;
    row->kind = kind;
    row->ok = status->code == RT_OK && document;
    if (row->ok) {
        message_json(&body, document);
        row->body = buf_steal(&body);
    } else {
        snprintf(row->detail, sizeof row->detail, "%s: %s", rt_code_name(status->code),
                 status->text);
        timer_set_by(c->timers, &c->timer, clock_mono_ms() + AGAIN_MS);
    }
    if (!mailbox_post(c->control, &row->mail))
        catalog_row_free(row); /* the next one comes soon */
}

static void
hello_answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    report(ctx, "initialize", status, reply);
}

static void
manifest_answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    const Macp__V1__GetManifestResponse *answer = (const void *)reply;

    report(ctx, "manifest", status, answer && answer->manifest ? &answer->manifest->base : NULL);
}

static void
due(struct timer *t)
{
    struct catalog *c = (struct catalog *)((char *)t - offsetof(struct catalog, timer));
    Macp__V1__InitializeRequest hello = MACP__V1__INITIALIZE_REQUEST__INIT;
    Macp__V1__GetManifestRequest manifest = MACP__V1__GET_MANIFEST_REQUEST__INIT;
    Macp__V1__ClientInfo client = MACP__V1__CLIENT_INFO__INIT;
    char *versions[] = {(char *)"1.0"};

    timer_set(c->timers, &c->timer, clock_mono_ms() + EVERY_MS);
    if (c->in_flight)
        return;
    client.name = (char *)"macp-control-plane";
    client.version = (char *)MACP_VERSION;
    hello.n_supported_protocol_versions = ARRAY_LEN(versions);
    hello.supported_protocol_versions = versions;
    hello.client_info = &client;
    c->in_flight = 2;
    rt_call_start(c->queue, RT_INITIALIZE, &hello.base, hello_answered, c);
    rt_call_start(c->queue, RT_GET_MANIFEST, &manifest.base, manifest_answered, c);
}

void
catalog_start(struct catalog *c, struct rt_queue *queue, struct timers *timers,
              struct mailbox *control)
{
    *c = (struct catalog){.queue = queue, .timers = timers, .control = control};
    c->timer.fire = due;
    timer_set(timers, &c->timer, clock_mono_ms());
}
