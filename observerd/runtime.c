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
#include <utlist.h>

#include "macp/v1/core.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "observerd/futex.h"
#include "observerd/runtime_channel.h"
#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/macros.h"
#include "shared/meter.h"

#define SERVICE "/macp.v1.MACPRuntimeService/"

/* Every unary method this program can call. None of them carries an envelope. */
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
    [RT_CANCEL_SESSION] = {SERVICE "CancelSession", &macp__v1__cancel_session_response__descriptor},
    [RT_SUSPEND_SESSION] = {SERVICE "SuspendSession",
                            &macp__v1__suspend_session_response__descriptor},
    [RT_RESUME_SESSION] = {SERVICE "ResumeSession", &macp__v1__resume_session_response__descriptor},
    [RT_REGISTER_POLICY] = {SERVICE "RegisterPolicy",
                            &macp__v1__register_policy_response__descriptor},
    [RT_UNREGISTER_POLICY] = {SERVICE "UnregisterPolicy",
                              &macp__v1__unregister_policy_response__descriptor},
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
    struct rt_options o;
    struct rt_channels channels;
    struct credential_waiter waiter;
    struct credential_use use; /* of the call in hand */
    grpc_channel *lame;        /* for the doorbell */
    grpc_call *bell;
    struct rt_op bell_op;
    atomic_bool rung, stopping;
    struct rt_call *calls; /* on their way */
    struct rt_stream *streams;
    struct rt_call *unsent_calls; /* new ones, and those that wait for a credential */
    struct rt_stream *unsent_streams;
    atomic_bool look; /* at the unsent ones: something has changed */
};

/* What calls and streams have in common: one gRPC call and its status. */
struct rt_wire {
    struct rt_queue *q;
    grpc_slice request;
    uint64_t serial;                      /* of the minted token it carries; 0: none */
    bool again;                           /* it carries the second one: there is no third */
    char traceparent[RT_TRACEPARENT_LEN]; /* "": none */
    grpc_call *call;                      /* NULL: not on its way */
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
    int64_t deadline_ms;
    uint64_t ticket; /* of the breaker */
    rt_reply_fn *done;
    void *ctx;
    int64_t began_us; /* clock_mono_us */
    struct rt_call *prev, *next;
};

struct rt_stream {
    struct rt_wire wire;
    struct rt_op open_op, read_op, status_op;
    const char *path;
    bool pooled;                /* a session's; else beside the unary calls, and half closed */
    struct rt_channel *channel; /* of a pooled one on its way */
    struct rt_stream_ops ops;
    void *ctx;
    bool open, over, parked;
    bool heard; /* a message: it cannot be opened again as if nothing had been */
    struct rt_stream *prev, *next;
};

const char *
rt_code_name(enum rt_code code)
{
    return (size_t)code < ARRAY_LEN(code_names) ? code_names[code] : "UNKNOWN";
}

/* --- the queue --------------------------------------------------------------------------- */

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

/* The credential is known now. */
static void
credential_known(void *ctx)
{
    struct rt_queue *q = ctx;

    atomic_store(&q->look, true);
    rt_queue_wake(q);
}

bool
rt_queue_new(const struct rt_options *o, struct rt_queue **out, struct err *err)
{
    struct rt_queue *q = xcalloc(1, sizeof *q);

    gpr_set_log_function(log_of_grpc);
    futex_init();
    grpc_init();
    q->o = *o;
    q->cq = grpc_completion_queue_create_for_next(NULL);
    q->bell_op = (struct rt_op){.done = bell_done, .owner = q};
    q->lame = grpc_lame_client_channel_create("doorbell", GRPC_STATUS_UNAVAILABLE, "doorbell");
    q->bell = grpc_channel_create_call(q->lame, NULL, GRPC_PROPAGATE_DEFAULTS, q->cq,
                                       grpc_slice_from_static_string("/doorbell"), NULL,
                                       gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    q->waiter = (struct credential_waiter){.wake = credential_known, .ctx = q};
    credential_join(o->credential, &q->waiter);
    if (!rt_channels_init(&q->channels, o->cfg, err)) {
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
    credential_leave(q->o.credential, &q->waiter);
    grpc_call_unref(q->bell);
    grpc_channel_destroy(q->lame);
    rt_channels_fini(&q->channels);
    grpc_completion_queue_shutdown(q->cq);
    while (grpc_completion_queue_next(q->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(q->cq);
    buf_fini(&q->use.authorization);
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

static gpr_timespec
deadline_at(int64_t mono_ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(mono_ms - clock_mono_ms(), GPR_TIMESPAN));
}

/* --- one gRPC call ----------------------------------------------------------------------- */

static void
wire_open(struct rt_wire *w, grpc_channel *channel, const char *path, gpr_timespec deadline)
{
    grpc_metadata_array_init(&w->headers);
    grpc_metadata_array_init(&w->trailers);
    w->details = grpc_empty_slice();
    w->out = grpc_raw_byte_buffer_create(&w->request, 1);
    w->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, w->q->cq,
                                       grpc_slice_from_static_string(path), NULL, deadline, NULL);
}

static void
wire_close(struct rt_wire *w)
{
    if (!w->call)
        return;
    grpc_metadata_array_destroy(&w->headers);
    grpc_metadata_array_destroy(&w->trailers);
    grpc_slice_unref(w->details);
    grpc_byte_buffer_destroy(w->out);
    if (w->in)
        grpc_byte_buffer_destroy(w->in);
    w->in = NULL;
    grpc_call_unref(w->call);
    w->call = NULL;
}

static void
wire_status(const struct rt_wire *w, struct rt_status *out)
{
    AUTO_BUF text = {0};
    size_t n;

    *out = (struct rt_status){.code = (enum rt_code)w->code};
    if (!GRPC_SLICE_LENGTH(w->details))
        return;
    /* Whoever is at the other end wrote it, and it is shown. */
    jv_clean(&text, (const char *)GRPC_SLICE_START_PTR(w->details), GRPC_SLICE_LENGTH(w->details));
    credential_hide(w->q->o.credential, text.p);
    n = text.len < sizeof out->text ? text.len : sizeof out->text - 1;
    while (n < text.len && n > 0 && (text.p[n] & 0xc0) == 0x80)
        n--;
    memcpy(out->text, text.p, n);
}

static struct rt_status
local_status(enum rt_code code, const char *text)
{
    struct rt_status status = {.code = code};

    snprintf(status.text, sizeof status.text, "%.255s", text);
    return status;
}

static grpc_slice
pack(const ProtobufCMessage *m)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(m));

    protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(slice));
    return slice;
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

/*
 * The credential of a call, resolved anew for each one. Not CREDENTIAL_READY: the call is not sent
 * now, or (CREDENTIAL_MISSING) never, and *status says why.
 */
static enum credential_state
wire_identify(struct rt_wire *w, struct rt_status *status)
{
    struct credential_use *use = &w->q->use;
    struct err why = {0};
    enum credential_state state = credential_take(w->q->o.credential, use, &why);

    w->serial = use->serial;
    if (state == CREDENTIAL_MISSING)
        *status = local_status(RT_UNAUTHENTICATED, why.msg);
    return state;
}

enum { CALL_HEADERS = 3 };

static size_t
call_headers(const struct rt_wire *w, grpc_metadata md[CALL_HEADERS])
{
    const struct credential_use *use = &w->q->use;
    size_t n = 0;

    memset(md, 0, CALL_HEADERS * sizeof *md);
    if (use->authorization.len) {
        md[n].key = grpc_slice_from_static_string("authorization");
        md[n++].value = grpc_slice_from_copied_string(buf_cstr(&use->authorization));
    }
    if (use->agent_id) {
        md[n].key = grpc_slice_from_static_string("x-macp-agent-id");
        md[n++].value = grpc_slice_from_copied_string(use->agent_id);
    }
    if (w->traceparent[0]) {
        md[n].key = grpc_slice_from_static_string("traceparent");
        md[n++].value = grpc_slice_from_copied_string(w->traceparent);
    }
    return n;
}

static void
free_headers(grpc_metadata *md, size_t n)
{
    for (size_t i = 0; i < n; i++)
        grpc_slice_unref(md[i].value);
}

/* The runtime did not take the token: another one may be taken, once. */
static bool
wire_may_go_again(struct rt_wire *w, const struct rt_status *status)
{
    if (status->code != RT_UNAUTHENTICATED || !credential_refused(w->q->o.credential, w->serial) ||
        w->again || w->silent)
        return false;
    w->again = true;
    atomic_store(&w->q->look, true);
    return true;
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

/* It is in no list any more. */
static void
call_finish(struct rt_call *c, const struct rt_status *status, const ProtobufCMessage *reply)
{
    if (!c->wire.silent) {
        meter_observe(METER_CALL_DURATION, clock_mono_us() - c->began_us,
                      unary_methods[c->method].path + sizeof SERVICE - 1,
                      status->code == RT_OK ? "ok" : "error");
        c->done(c->ctx, status, reply);
    }
    wire_close(&c->wire);
    grpc_slice_unref(c->wire.request);
    free(c);
}

/* What the outcome says about the runtime: refusals are proof of life. */
static void
tell_breaker(const struct rt_call *c, enum rt_code code)
{
    struct breaker *b = c->wire.q->o.breaker;

    if (c->wire.silent)
        breaker_withdrawn(b, c->ticket);
    else if (code == RT_UNAVAILABLE || code == RT_DEADLINE_EXCEEDED || code == RT_INTERNAL ||
             code == RT_UNKNOWN || code == RT_RESOURCE_EXHAUSTED)
        breaker_failed(b);
    else
        breaker_succeeded(b);
}

static void
call_done(struct rt_op *op, bool ok)
{
    struct rt_call *c = op->owner;
    struct rt_queue *q = c->wire.q;
    struct rt_status status;
    ProtobufCMessage *reply = NULL;

    (void)ok; /* a batch with a status always succeeds; the status says what happened */
    DL_DELETE(q->calls, c);
    wire_status(&c->wire, &status);
    if (!c->wire.silent && status.code == RT_OK && c->wire.in) {
        grpc_slice bytes = received(c->wire.in);

        reply = protobuf_c_message_unpack(unary_methods[c->method].reply, NULL,
                                          GRPC_SLICE_LENGTH(bytes), GRPC_SLICE_START_PTR(bytes));
        grpc_slice_unref(bytes);
    }
    if (status.code == RT_OK && !reply)
        status = local_status(RT_INTERNAL, "the runtime's reply cannot be read");
    tell_breaker(c, status.code);
    if (wire_may_go_again(&c->wire, &status)) {
        wire_close(&c->wire);
        DL_APPEND(q->unsent_calls, c);
        return;
    }
    call_finish(c, &status, reply);
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
}

static void
call_send(struct rt_call *c)
{
    struct rt_queue *q = c->wire.q;
    grpc_op ops[6] = {0};
    grpc_metadata md[CALL_HEADERS];
    size_t n_md = call_headers(&c->wire, md);

    wire_open(&c->wire, q->channels.unary, unary_methods[c->method].path,
              deadline_at(c->deadline_ms));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = n_md;
    ops[0].data.send_initial_metadata.metadata = md;
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
    free_headers(md, n_md);
}

/* Send it, or say why it is not sent; it stays while it waits for a credential. */
static void
call_try(struct rt_call *c)
{
    struct rt_queue *q = c->wire.q;
    enum credential_state state = CREDENTIAL_MISSING;
    struct rt_status status = {0};

    if (clock_mono_ms() >= c->deadline_ms)
        status = local_status(RT_DEADLINE_EXCEEDED, "there was no token in time");
    else if (!c->wire.silent)
        state = wire_identify(&c->wire, &status);
    if (state == CREDENTIAL_PENDING)
        return;
    DL_DELETE(q->unsent_calls, c);
    if (state == CREDENTIAL_READY && !breaker_admit(q->o.breaker, &c->ticket)) {
        status = local_status(RT_UNAVAILABLE, BREAKER_REFUSAL);
        status.by_breaker = true;
        state = CREDENTIAL_MISSING;
    }
    if (state == CREDENTIAL_READY) {
        DL_APPEND(q->calls, c);
        call_send(c);
    } else {
        call_finish(c, &status, NULL);
    }
}

struct rt_call *
rt_call_start(struct rt_queue *q, enum rt_unary method, const ProtobufCMessage *request,
              rt_reply_fn *done, void *ctx)
{
    struct rt_call *c = xcalloc(1, sizeof *c);

    c->wire.q = q;
    c->wire.request = pack(request);
    c->method = method;
    c->began_us = clock_mono_us();
    c->deadline_ms = clock_mono_ms() + q->o.cfg->runtime_request_timeout_ms;
    c->done = done;
    c->ctx = ctx;
    c->op = (struct rt_op){.done = call_done, .owner = c};
    DL_APPEND(q->unsent_calls, c);
    atomic_store(&q->look, true);
    return c;
}

static void
wire_cancel(struct rt_wire *w)
{
    w->silent = true;
    if (w->call)
        grpc_call_cancel(w->call, NULL);
    else
        atomic_store(&w->q->look, true);
}

static void
wire_trace(struct rt_wire *w, const char *traceparent)
{
    snprintf(w->traceparent, sizeof w->traceparent, "%s", traceparent);
}

void
rt_call_trace(struct rt_call *call, const char *traceparent)
{
    wire_trace(&call->wire, traceparent);
}

void
rt_stream_trace(struct rt_stream *s, const char *traceparent)
{
    wire_trace(&s->wire, traceparent);
}

void
rt_call_cancel(struct rt_call *call)
{
    wire_cancel(&call->wire);
}

/* --- streams ----------------------------------------------------------------------------- */

/* It is in no list any more. */
static void
stream_finish(struct rt_stream *s, const struct rt_status *status)
{
    if (!s->wire.silent)
        s->ops.closed(s->ctx, status);
    wire_close(&s->wire);
    grpc_slice_unref(s->wire.request);
    free(s);
}

/* Free the stream once gRPC owes it nothing any more. */
static void
stream_settle(struct rt_stream *s)
{
    struct rt_queue *q = s->wire.q;
    struct rt_status status;

    /* A parked stream that is over has nothing more to read: what it did not take comes again. */
    if (!s->over || s->open_op.pending || s->read_op.pending || s->status_op.pending)
        return;
    wire_status(&s->wire, &status);
    DL_DELETE(q->streams, s);
    if (s->channel)
        rt_channel_give(s->channel);
    s->channel = NULL;
    if (wire_may_go_again(&s->wire, &status) && !s->heard) {
        wire_close(&s->wire);
        s->open = s->over = s->parked = false;
        DL_APPEND(q->unsent_streams, s);
        return;
    }
    stream_finish(s, &status);
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
    if (!s->heard)
        breaker_sign_of_life(s->wire.q->o.breaker);
    s->heard = true;
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

static void
stream_send(struct rt_stream *s)
{
    struct rt_queue *q = s->wire.q;
    grpc_op open[4] = {0}, status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    grpc_metadata md[CALL_HEADERS];
    size_t n = 0, n_md = call_headers(&s->wire, md);

    if (s->pooled)
        s->channel = rt_channel_take(&q->channels);
    wire_open(&s->wire, s->channel ? s->channel->channel : q->channels.unary, s->path,
              gpr_inf_future(GPR_CLOCK_REALTIME));
    open[n].op = GRPC_OP_SEND_INITIAL_METADATA;
    open[n].data.send_initial_metadata.count = n_md;
    open[n++].data.send_initial_metadata.metadata = md;
    /* In the same batch: a call without a frame opens fine and stays silent for ever. */
    open[n].op = GRPC_OP_SEND_MESSAGE;
    open[n++].data.send_message.send_message = s->wire.out;
    /* A session's write side stays open: else it gets what is buffered and no more. */
    if (!s->pooled)
        open[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    open[n].op = GRPC_OP_RECV_INITIAL_METADATA;
    open[n++].data.recv_initial_metadata.recv_initial_metadata = &s->wire.headers;
    start(&s->wire, open, n, &s->open_op);
    free_headers(md, n_md);
    status.data.recv_status_on_client.trailing_metadata = &s->wire.trailers;
    status.data.recv_status_on_client.status = &s->wire.code;
    status.data.recv_status_on_client.status_details = &s->wire.details;
    start(&s->wire, &status, 1, &s->status_op);
}

/* As call_try; a stream has no deadline and asks no breaker. */
static void
stream_try(struct rt_stream *s)
{
    struct rt_queue *q = s->wire.q;
    struct rt_status status = {0};
    enum credential_state state =
        s->wire.silent ? CREDENTIAL_MISSING : wire_identify(&s->wire, &status);

    if (state == CREDENTIAL_PENDING)
        return;
    DL_DELETE(q->unsent_streams, s);
    if (state == CREDENTIAL_READY) {
        DL_APPEND(q->streams, s);
        stream_send(s);
    } else {
        stream_finish(s, &status);
    }
}

static struct rt_stream *
stream_start(struct rt_queue *q, const char *path, bool pooled, const ProtobufCMessage *request,
             const struct rt_stream_ops *ops, void *ctx)
{
    struct rt_stream *s = xcalloc(1, sizeof *s);

    s->wire.q = q;
    s->wire.request = pack(request);
    s->path = path;
    s->pooled = pooled;
    s->ops = *ops;
    s->ctx = ctx;
    s->open_op = (struct rt_op){.done = stream_opened, .owner = s};
    s->read_op = (struct rt_op){.done = stream_received, .owner = s};
    s->status_op = (struct rt_op){.done = stream_over, .owner = s};
    DL_APPEND(q->unsent_streams, s);
    atomic_store(&q->look, true);
    return s;
}

struct rt_stream *
rt_session_subscribe(struct rt_queue *q, const char *session_id, int64_t after,
                     const struct rt_stream_ops *ops, void *ctx)
{
    Macp__V1__StreamSessionRequest frame = MACP__V1__STREAM_SESSION_REQUEST__INIT;

    frame.subscribe_session_id = (char *)session_id;
    frame.after_sequence = (uint64_t)after;
    return stream_start(q, stream_session_path, true, &frame.base, ops, ctx);
}

struct rt_stream *
rt_watch_open(struct rt_queue *q, enum rt_watch what, const struct rt_stream_ops *ops, void *ctx)
{
    Macp__V1__WatchSessionsRequest nothing = MACP__V1__WATCH_SESSIONS_REQUEST__INIT;

    return stream_start(q, watch_paths[what], false, &nothing.base, ops, ctx);
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
    wire_cancel(&s->wire);
}

void
rt_stream_distrust(struct rt_stream *s)
{
    if (s->channel)
        s->channel->suspect = true;
}

bool
rt_stream_is_open(const struct rt_stream *s)
{
    return s->open;
}

/* --- the thread ---------------------------------------------------------------------------- */

/* Their callbacks may start and cancel others: those are seen here or in the next turn. */
static void
send_unsent(struct rt_queue *q)
{
    struct rt_call *call, *next_call;
    struct rt_stream *stream, *next_stream;

    atomic_store(&q->look, false);
    DL_FOREACH_SAFE(q->unsent_calls, call, next_call)
    {
        call_try(call);
    }
    DL_FOREACH_SAFE(q->unsent_streams, stream, next_stream)
    {
        stream_try(stream);
    }
}

static void
cancel_everything(struct rt_queue *q)
{
    struct rt_call *call, *next_call;
    struct rt_stream *stream, *next_stream;

    DL_FOREACH_SAFE(q->calls, call, next_call)
    {
        rt_call_cancel(call);
    }
    DL_FOREACH_SAFE(q->unsent_calls, call, next_call)
    {
        rt_call_cancel(call);
    }
    DL_FOREACH_SAFE(q->streams, stream, next_stream)
    {
        rt_stream_cancel(stream);
    }
    DL_FOREACH_SAFE(q->unsent_streams, stream, next_stream)
    {
        rt_stream_cancel(stream);
    }
    send_unsent(q);
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

/* Until when the thread may sleep, when there is no work of its owner before next. */
static int64_t
sleep_until(struct rt_queue *q, int64_t next)
{
    enum { WAITING_MS = 100 }; /* a call's deadline may pass while it waits for a token */
    int64_t now = clock_mono_ms(), until = credential_due_ms(q->o.credential);

    if (atomic_load(&q->look))
        return now;
    if (until > next)
        until = next;
    return q->unsent_calls && until > now + WAITING_MS ? now + WAITING_MS : until;
}

void
rt_queue_run(struct rt_queue *q, int64_t (*tick)(void *ctx), void *ctx)
{
    /* Ticks come between completions, too: a flood must not starve timers and mail. */
    enum { COMPLETIONS_PER_TICK = 64 };

    while (!atomic_load(&q->stopping)) {
        int64_t next = tick(ctx);

        credential_tick(q->o.credential);
        if (atomic_load(&q->look) || q->unsent_calls)
            send_unsent(q);
        if (!deliver(q, deadline_at(sleep_until(q, next))))
            continue;
        for (int i = 0; i < COMPLETIONS_PER_TICK; i++)
            if (!deliver(q, gpr_inf_past(GPR_CLOCK_MONOTONIC)))
                break;
    }
    cancel_everything(q);
    while (q->calls || q->streams || atomic_load(&q->rung))
        deliver(q, gpr_inf_future(GPR_CLOCK_REALTIME));
}
