#include "observerd/runtime.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "observerd/runtime_channel.h"
#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/macros.h"
#include "shared/meter.h"

#define SERVICE "/macp.v1.MACPRuntimeService/"

/* Every method this program can call. All of them read. */
static const struct {
    const char *path;
    const ProtobufCMessageDescriptor *reply;
} unary_methods[RT_UNARY__COUNT] = {
    [RT_INITIALIZE] = {SERVICE "Initialize", &macp__v1__initialize_response__descriptor},
    [RT_GET_SESSION] = {SERVICE "GetSession", &macp__v1__get_session_response__descriptor},
    [RT_GET_MANIFEST] = {SERVICE "GetManifest", &macp__v1__get_manifest_response__descriptor},
    [RT_LIST_SESSIONS] = {SERVICE "ListSessions", &macp__v1__list_sessions_response__descriptor},
    [RT_LIST_MODES] = {SERVICE "ListModes", &macp__v1__list_modes_response__descriptor},
    [RT_LIST_ROOTS] = {SERVICE "ListRoots", &macp__v1__list_roots_response__descriptor},
    [RT_LIST_POLICIES] = {SERVICE "ListPolicies", &macp__v1__list_policies_response__descriptor},
};

static const char *const stream_session_path = SERVICE "StreamSession";

static const char *const watch_paths[RT_WATCH__COUNT] = {
    [RT_WATCH_SESSIONS] = SERVICE "WatchSessions",  [RT_WATCH_SIGNALS] = SERVICE "WatchSignals",
    [RT_WATCH_MODES] = SERVICE "WatchModeRegistry", [RT_WATCH_ROOTS] = SERVICE "WatchRoots",
    [RT_WATCH_POLICIES] = SERVICE "WatchPolicies",
};

static const char *const code_names[] = {
    [RT_OK] = "OK",
    [RT_CANCELLED] = "CANCELLED",
    [RT_UNKNOWN] = "UNKNOWN",
    [RT_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [RT_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [RT_NOT_FOUND] = "NOT_FOUND",
    [RT_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [RT_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [RT_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [RT_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [RT_ABORTED] = "ABORTED",
    [RT_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [RT_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [RT_INTERNAL] = "INTERNAL",
    [RT_UNAVAILABLE] = "UNAVAILABLE",
    [RT_DATA_LOSS] = "DATA_LOSS",
    [RT_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

/* A completion's tag: the only thing gRPC hands back. */
struct rt_op {
    void (*done)(struct rt_op *op, bool ok);
    bool pending;
    void *owner;
};

struct rt_queue {
    grpc_completion_queue *cq;
    struct rt_channels channels;
    char *authorization; /* "Bearer ...", NULL: none */
    char *agent_id;      /* x-macp-agent-id of old runtimes, NULL: none */
    int request_timeout_ms;
    grpc_channel *lame; /* for the doorbell */
    grpc_call *bell;
    struct rt_op bell_op;
    atomic_bool rung, stopping;
    struct rt_call *calls; /* live ones */
    struct rt_stream *streams;
};

/* What calls and streams have in common: one gRPC call and its status. */
struct rt_wire {
    struct rt_queue *q;
    grpc_call *call;
    grpc_metadata_array headers, trailers;
    grpc_byte_buffer *out, *in;
    grpc_status_code code;
    grpc_slice details;
    bool silent; /* cancelled by us: no callback any more */
};

struct rt_call {
    struct rt_wire wire;
    struct rt_op op;
    enum rt_unary method;
    rt_reply_fn *done;
    void *ctx;
    int64_t began_us; /* clock_mono_us */
    struct rt_call *prev, *next;
};

struct rt_stream {
    struct rt_wire wire;
    struct rt_op open_op, read_op, status_op;
    struct rt_channel *channel; /* NULL: the unary one */
    struct rt_stream_ops ops;
    void *ctx;
    bool open, over, parked;
    struct rt_stream *prev, *next;
};

const char *
rt_code_name(enum rt_code code)
{
    return (size_t)code < ARRAY_LEN(code_names) ? code_names[code] : "UNKNOWN";
}

/* --- the queue --------------------------------------------------------------------------- */

static bool
make_authorization(struct rt_queue *q, const struct config *cfg, struct err *err)
{
    AUTO_BUF value = {0};
    grpc_slice slice;
    bool legal;

    if (!cfg->runtime_bearer_token[0]) {
        if (cfg->runtime_use_dev_header)
            q->agent_id = xstrdup(cfg->runtime_dev_agent_id);
        return true;
    }
    buf_printf(&value, "Bearer %s", cfg->runtime_bearer_token);
    slice = grpc_slice_from_copied_string(buf_cstr(&value));
    legal = grpc_header_nonbin_value_is_legal(slice);
    grpc_slice_unref(slice);
    if (!legal)
        return err_set(err, ERR_CONFIG, "RUNTIME_BEARER_TOKEN has characters no header may have");
    q->authorization = buf_steal(&value);
    return true;
}

static void
bell_done(struct rt_op *op, bool ok)
{
    struct rt_queue *q = op->owner;

    (void)ok;
    atomic_store(&q->rung, false);
}

/* gRPC's own lines say more than an operator needs: what matters is in the status of a call. */
static void
log_of_grpc(gpr_log_func_args *line)
{
    log_debug("gRPC: %s", line->message);
}

bool
rt_queue_new(const struct config *cfg, struct rt_queue **out, struct err *err)
{
    struct rt_queue *q = xcalloc(1, sizeof *q);

    gpr_set_log_function(log_of_grpc);
    grpc_init();
    q->cq = grpc_completion_queue_create_for_next(NULL);
    q->request_timeout_ms = (int)cfg->runtime_request_timeout_ms;
    q->bell_op = (struct rt_op){.done = bell_done, .owner = q};
    q->lame = grpc_lame_client_channel_create("doorbell", GRPC_STATUS_UNAVAILABLE, "doorbell");
    q->bell = grpc_channel_create_call(q->lame, NULL, GRPC_PROPAGATE_DEFAULTS, q->cq,
                                       grpc_slice_from_static_string("/doorbell"), NULL,
                                       gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    if (!rt_channels_init(&q->channels, cfg, err) || !make_authorization(q, cfg, err)) {
        rt_queue_free(q);
        return false;
    }
    *out = q;
    return true;
}

void
rt_queue_free(struct rt_queue *q)
{
    if (!q)
        return;
    grpc_call_unref(q->bell);
    grpc_channel_destroy(q->lame);
    rt_channels_fini(&q->channels);
    grpc_completion_queue_shutdown(q->cq);
    while (grpc_completion_queue_next(q->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(q->cq);
    free(q->authorization);
    free(q->agent_id);
    free(q);
    grpc_shutdown();
}

void
rt_queue_wake(struct rt_queue *q)
{
    /* An empty batch comes out of the queue at once; one ring in flight is enough. */
    if (!atomic_exchange(&q->rung, true))
        grpc_call_start_batch(q->bell, NULL, 0, &q->bell_op, NULL);
}

void
rt_queue_stop(struct rt_queue *q)
{
    atomic_store(&q->stopping, true);
    rt_queue_wake(q);
}

static void
cancel_everything(struct rt_queue *q)
{
    for (struct rt_call *c = q->calls; c; c = c->next)
        rt_call_cancel(c);
    for (struct rt_stream *s = q->streams, *next; s; s = next) {
        next = s->next;
        rt_stream_cancel(s);
    }
}

static gpr_timespec
deadline_at(int64_t mono_ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(mono_ms - clock_mono_ms(), GPR_TIMESPAN));
}

static bool
deliver(struct rt_queue *q, gpr_timespec deadline)
{
    grpc_event ev = grpc_completion_queue_next(q->cq, deadline, NULL);
    struct rt_op *op = ev.tag;

    if (ev.type != GRPC_OP_COMPLETE)
        return false;
    op->pending = false;
    op->done(op, ev.success != 0);
    return true;
}

void
rt_queue_run(struct rt_queue *q, int64_t (*tick)(void *ctx), void *ctx)
{
    /* Ticks come between completions, too: a flood must not starve timers and mail. */
    enum { COMPLETIONS_PER_TICK = 64 };

    while (!atomic_load(&q->stopping)) {
        int64_t next = tick(ctx);

        if (!deliver(q, deadline_at(next)))
            continue;
        for (int i = 0; i < COMPLETIONS_PER_TICK; i++)
            if (!deliver(q, gpr_inf_past(GPR_CLOCK_MONOTONIC)))
                break;
    }
    cancel_everything(q);
    while (q->calls || q->streams || atomic_load(&q->rung))
        deliver(q, gpr_inf_future(GPR_CLOCK_REALTIME));
}

/* --- one gRPC call ----------------------------------------------------------------------- */

static void
wire_open(struct rt_wire *w, struct rt_queue *q, grpc_channel *channel, const char *path,
          gpr_timespec deadline)
{
    w->q = q;
    grpc_metadata_array_init(&w->headers);
    grpc_metadata_array_init(&w->trailers);
    w->details = grpc_empty_slice();
    w->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, q->cq,
                                       grpc_slice_from_static_string(path), NULL, deadline, NULL);
}

static void
wire_close(struct rt_wire *w)
{
    grpc_metadata_array_destroy(&w->headers);
    grpc_metadata_array_destroy(&w->trailers);
    grpc_slice_unref(w->details);
    if (w->out)
        grpc_byte_buffer_destroy(w->out);
    if (w->in)
        grpc_byte_buffer_destroy(w->in);
    grpc_call_unref(w->call);
}

static void
wire_status(const struct rt_wire *w, struct rt_status *out)
{
    size_t n = GRPC_SLICE_LENGTH(w->details);

    out->code = (enum rt_code)w->code;
    if (n >= sizeof out->text)
        n = sizeof out->text - 1;
    memcpy(out->text, GRPC_SLICE_START_PTR(w->details), n);
    out->text[n] = '\0';
}

static grpc_byte_buffer *
pack(const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    grpc_slice slice = grpc_slice_malloc(n);
    grpc_byte_buffer *out;

    protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(slice));
    out = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return out;
}

/* The received bytes in one piece; unref the slice. */
static grpc_slice
received(grpc_byte_buffer *in)
{
    grpc_byte_buffer_reader reader;
    grpc_slice all;

    if (!grpc_byte_buffer_reader_init(&reader, in))
        return grpc_empty_slice();
    all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return all;
}

/* The credential of a call; it is resolved anew for each one. */
static size_t
credential(const struct rt_queue *q, grpc_metadata *md)
{
    *md = (grpc_metadata){0};
    if (q->authorization) {
        md->key = grpc_slice_from_static_string("authorization");
        md->value = grpc_slice_from_copied_string(q->authorization);
        return 1;
    }
    if (q->agent_id) {
        md->key = grpc_slice_from_static_string("x-macp-agent-id");
        md->value = grpc_slice_from_copied_string(q->agent_id);
        return 1;
    }
    return 0;
}

static bool
start(struct rt_wire *w, grpc_op *ops, size_t n, struct rt_op *tag)
{
    grpc_call_error e = grpc_call_start_batch(w->call, ops, n, tag, NULL);

    if (e != GRPC_CALL_OK)
        BUG("gRPC refused a batch: %d", (int)e);
    tag->pending = true;
    return true;
}

/* --- unary calls ------------------------------------------------------------------------- */

static void
call_done(struct rt_op *op, bool ok)
{
    struct rt_call *c = op->owner;
    struct rt_status status;
    ProtobufCMessage *reply = NULL;

    (void)ok; /* a batch with a status always succeeds; the status says what happened */
    if (c->prev)
        c->prev->next = c->next;
    else
        c->wire.q->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    wire_status(&c->wire, &status);
    if (!c->wire.silent && status.code == RT_OK && c->wire.in) {
        grpc_slice bytes = received(c->wire.in);

        reply = protobuf_c_message_unpack(unary_methods[c->method].reply, NULL,
                                          GRPC_SLICE_LENGTH(bytes), GRPC_SLICE_START_PTR(bytes));
        grpc_slice_unref(bytes);
    }
    if (status.code == RT_OK && !reply) {
        status.code = RT_INTERNAL;
        snprintf(status.text, sizeof status.text, "the runtime's reply cannot be read");
    }
    if (!c->wire.silent) {
        meter_observe(METER_CALL_DURATION, clock_mono_us() - c->began_us,
                      unary_methods[c->method].path + sizeof SERVICE - 1,
                      status.code == RT_OK ? "ok" : "error");
        c->done(c->ctx, &status, reply);
    }
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
    wire_close(&c->wire);
    free(c);
}

struct rt_call *
rt_call_start(struct rt_queue *q, enum rt_unary method, const ProtobufCMessage *request,
              rt_reply_fn *done, void *ctx)
{
    struct rt_call *c = xcalloc(1, sizeof *c);
    grpc_op ops[6] = {0};
    grpc_metadata md;
    size_t n_md;

    c->method = method;
    c->began_us = clock_mono_us();
    c->done = done;
    c->ctx = ctx;
    c->op = (struct rt_op){.done = call_done, .owner = c};
    c->next = q->calls;
    if (c->next)
        c->next->prev = c;
    q->calls = c;
    wire_open(&c->wire, q, q->channels.unary, unary_methods[method].path,
              deadline_at(clock_mono_ms() + q->request_timeout_ms));
    c->wire.out = pack(request);
    n_md = credential(q, &md);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = n_md;
    ops[0].data.send_initial_metadata.metadata = &md;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = c->wire.out;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &c->wire.headers;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &c->wire.in;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &c->wire.trailers;
    ops[5].data.recv_status_on_client.status = &c->wire.code;
    ops[5].data.recv_status_on_client.status_details = &c->wire.details;
    start(&c->wire, ops, ARRAY_LEN(ops), &c->op);
    if (n_md)
        grpc_slice_unref(md.value);
    return c;
}

void
rt_call_cancel(struct rt_call *call)
{
    call->wire.silent = true;
    grpc_call_cancel(call->wire.call, NULL);
}

/* --- streams ----------------------------------------------------------------------------- */

/* Free the stream once gRPC owes it nothing any more. */
static void
stream_settle(struct rt_stream *s)
{
    struct rt_status status;

    /* A parked stream that is over has nothing more to read: what it did not take comes again. */
    if (!s->over || s->open_op.pending || s->read_op.pending || s->status_op.pending)
        return;
    wire_status(&s->wire, &status);
    if (s->prev)
        s->prev->next = s->next;
    else
        s->wire.q->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    if (!s->wire.silent)
        s->ops.closed(s->ctx, &status);
    wire_close(&s->wire);
    if (s->channel)
        rt_channel_give(s->channel);
    free(s);
}

static void
stream_read(struct rt_stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    op.data.recv_message.recv_message = &s->wire.in;
    start(&s->wire, &op, 1, &s->read_op);
}

static void
stream_opened(struct rt_op *op, bool ok)
{
    struct rt_stream *s = op->owner;

    s->open = ok;
    if (ok && !s->wire.silent && s->ops.opened)
        s->ops.opened(s->ctx);
    if (ok && !s->wire.silent)
        stream_read(s);
    stream_settle(s);
}

static void
stream_received(struct rt_op *op, bool ok)
{
    struct rt_stream *s = op->owner;
    grpc_slice bytes;
    bool more = true;

    (void)ok; /* the pointer tells whether there was a message */
    if (!s->wire.in) {
        stream_settle(s);
        return;
    }
    bytes = received(s->wire.in);
    grpc_byte_buffer_destroy(s->wire.in);
    s->wire.in = NULL;
    if (!s->wire.silent)
        more = s->ops.message(s->ctx, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes));
    grpc_slice_unref(bytes);
    s->parked = !more;
    if (more && !s->wire.silent)
        stream_read(s);
    stream_settle(s);
}

static void
stream_over(struct rt_op *op, bool ok)
{
    struct rt_stream *s = op->owner;

    (void)ok;
    s->over = true;
    stream_settle(s);
}

static struct rt_stream *
stream_open(struct rt_queue *q, struct rt_channel *channel, const char *path,
            const ProtobufCMessage *request, bool half_close, const struct rt_stream_ops *ops,
            void *ctx)
{
    struct rt_stream *s = xcalloc(1, sizeof *s);
    grpc_op open[4] = {0}, status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    size_t n = 0, n_md;
    grpc_metadata md;

    s->channel = channel;
    s->ops = *ops;
    s->ctx = ctx;
    s->open_op = (struct rt_op){.done = stream_opened, .owner = s};
    s->read_op = (struct rt_op){.done = stream_received, .owner = s};
    s->status_op = (struct rt_op){.done = stream_over, .owner = s};
    s->next = q->streams;
    if (s->next)
        s->next->prev = s;
    q->streams = s;
    wire_open(&s->wire, q, channel ? channel->channel : q->channels.unary, path,
              gpr_inf_future(GPR_CLOCK_REALTIME));
    s->wire.out = pack(request);
    n_md = credential(q, &md);
    open[n].op = GRPC_OP_SEND_INITIAL_METADATA;
    open[n].data.send_initial_metadata.count = n_md;
    open[n++].data.send_initial_metadata.metadata = &md;
    /* In the same batch: a call without a frame opens fine and stays silent for ever. */
    open[n].op = GRPC_OP_SEND_MESSAGE;
    open[n++].data.send_message.send_message = s->wire.out;
    if (half_close)
        open[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    open[n].op = GRPC_OP_RECV_INITIAL_METADATA;
    open[n++].data.recv_initial_metadata.recv_initial_metadata = &s->wire.headers;
    start(&s->wire, open, n, &s->open_op);
    if (n_md)
        grpc_slice_unref(md.value);
    status.data.recv_status_on_client.trailing_metadata = &s->wire.trailers;
    status.data.recv_status_on_client.status = &s->wire.code;
    status.data.recv_status_on_client.status_details = &s->wire.details;
    start(&s->wire, &status, 1, &s->status_op);
    return s;
}

struct rt_stream *
rt_session_subscribe(struct rt_queue *q, const char *session_id, int64_t after,
                     const struct rt_stream_ops *ops, void *ctx)
{
    Macp__V1__StreamSessionRequest frame = MACP__V1__STREAM_SESSION_REQUEST__INIT;
    struct rt_channel *channel = rt_channel_take(&q->channels);

    frame.subscribe_session_id = (char *)session_id;
    frame.after_sequence = (uint64_t)after;
    /* The write side stays open: a half-closed subscriber gets what is buffered and no more. */
    return stream_open(q, channel, stream_session_path, &frame.base, false, ops, ctx);
}

struct rt_stream *
rt_watch_open(struct rt_queue *q, enum rt_watch what, const struct rt_stream_ops *ops, void *ctx)
{
    Macp__V1__WatchSessionsRequest nothing = MACP__V1__WATCH_SESSIONS_REQUEST__INIT;

    return stream_open(q, NULL, watch_paths[what], &nothing.base, true, ops, ctx);
}

void
rt_stream_resume(struct rt_stream *s)
{
    if (!s->parked)
        return;
    s->parked = false;
    if (!s->over)
        stream_read(s);
}

void
rt_stream_give(struct rt_stream *s, const struct rt_stream_ops *ops, void *ctx)
{
    s->ops = *ops;
    s->ctx = ctx;
}

void
rt_stream_cancel(struct rt_stream *s)
{
    s->wire.silent = true;
    grpc_call_cancel(s->wire.call, NULL);
}

bool
rt_stream_is_open(const struct rt_stream *s)
{
    return s->open;
}
