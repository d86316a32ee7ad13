#include "tests/runtime/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/clock.h"
#include "shared/log.h"
#include "tests/runtime/file.h"
#include "tests/runtime/rpc.h"
#include "tests/runtime/subscribe.h"
#include "tests/runtime/world.h"

enum { PING_INTERVAL_MS = 5000 };

struct server {
    struct world *world;
    grpc_server *grpc;
    grpc_completion_queue *cq;
    struct call_op stop;
    bool stopping;
    bool stopped;
    size_t live; /* call objects, the one waiting for a client included */
};

/* ---- starting operations ---- */

static void
start_batch(struct call *c, enum call_op_kind kind, const grpc_op *ops, size_t n)
{
    struct call_op *op = &c->ops[kind];

    if (op->pending)
        BUG("operation %d is already pending", (int)kind);
    op->pending = true;
    if (grpc_call_start_batch(c->grpc, ops, n, op, NULL) != GRPC_CALL_OK)
        BUG("cannot start operation %d", (int)kind);
}

static void
start_receive(struct call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    op.data.recv_message.recv_message = &c->in;
    start_batch(c, OP_RECEIVE, &op, 1);
}

static void
start_headers(struct call *c)
{
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};

    c->headers_out = true;
    start_batch(c, OP_HEADERS, &op, 1);
}

/* Status, with whatever has to go before it: headers, the one message of a unary call. */
static void
start_finish(struct call *c)
{
    grpc_op ops[3] = {{0}};
    size_t n = 0;
    grpc_slice text = grpc_slice_from_copied_string(c->status_text);

    c->ending = c->ended = true;
    if (!c->headers_out)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    c->headers_out = true;
    if (c->out) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = c->out;
    }
    ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[n].data.send_status_from_server.status = c->status;
    ops[n++].data.send_status_from_server.status_details = &text;
    start_batch(c, OP_FINISH, ops, n);
    grpc_slice_unref(text);
    subscribe_detach(c);
}

static void
send_message(struct call *c, struct outgoing *m)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

    /* Without the hint every message is its own packet; with it on the last one it never leaves. */
    op.flags = m->more ? GRPC_WRITE_BUFFER_HINT : 0;
    c->out = grpc_raw_byte_buffer_create(&m->slice, 1);
    grpc_slice_unref(m->slice);
    op.data.send_message.send_message = c->out;
    start_batch(c, OP_SEND, &op, 1);
}

void
call_wake(struct call *c)
{
    struct outgoing m;

    if (c->gone || c->ending || !c->headers_out || c->ops[OP_HEADERS].pending ||
        c->ops[OP_SEND].pending)
        return;
    if (c->method->pull(c, &m))
        send_message(c, &m);
}

grpc_slice
server_encode(const void *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));

    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    return slice;
}

void
call_reply(struct call *c, const void *message)
{
    if (c->gone || c->ending)
        return;

    grpc_slice slice = server_encode(message);

    c->out = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    c->status = GRPC_STATUS_OK;
    start_finish(c);
}

void
call_fail(struct call *c, grpc_status_code status, const char *fmt, ...)
{
    va_list ap;

    if (c->gone || c->ending)
        return;
    c->ending = true;
    c->status = status;
    va_start(ap, fmt);
    vsnprintf(c->status_text, sizeof(c->status_text), fmt, ap);
    va_end(ap);
    if (!c->ops[OP_SEND].pending && !c->ops[OP_HEADERS].pending)
        start_finish(c);
}

/* ---- the life of a call ---- */

static void
wake_listener(struct listener *l)
{
    call_wake((struct call *)((char *)l - offsetof(struct call, listener)));
}

static void
accept_next(struct server *s)
{
    struct call *c = xcalloc(1, sizeof(*c));

    c->world = s->world;
    c->server = s;
    c->listener.wake = wake_listener;
    for (int kind = 0; kind < OP__COUNT; kind++)
        c->ops[kind] = (struct call_op){.kind = (enum call_op_kind)kind, .call = c};
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->metadata);
    s->live++;
    if (grpc_server_request_call(s->grpc, &c->grpc, &c->details, &c->metadata, s->cq, s->cq,
                                 &c->ops[OP_NEW]) != GRPC_CALL_OK)
        BUG("cannot wait for a call");
}

static void
call_free(struct call *c)
{
    subscribe_detach(c);
    if (c->prev)
        c->prev->next = c->next;
    else if (c->world->calls == c)
        c->world->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->in)
        grpc_byte_buffer_destroy(c->in);
    if (c->out)
        grpc_byte_buffer_destroy(c->out);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->metadata);
    if (c->grpc)
        grpc_call_unref(c->grpc);
    c->server->live--;
    free(c);
}

/* The value of a header as text in buf, NULL when the call has none. */
static const char *
header(const struct call *c, const char *name, char *buf, size_t len)
{
    for (size_t i = 0; i < c->metadata.count; i++) {
        const grpc_metadata *m = &c->metadata.metadata[i];
        size_t n = GRPC_SLICE_LENGTH(m->value);

        if (grpc_slice_str_cmp(m->key, name) != 0 || n >= len)
            continue;
        memcpy(buf, GRPC_SLICE_START_PTR(m->value), n);
        buf[n] = '\0';
        return buf;
    }
    return NULL;
}

static void
authenticate(struct call *c)
{
    char text[4][1024];
    struct credential cred = {
        .authorization = header(c, "authorization", text[0], sizeof(text[0])),
        .macp_token = header(c, "x-macp-token", text[1], sizeof(text[1])),
        .agent_id = header(c, "x-macp-agent-id", text[2], sizeof(text[2])),
    };
    struct tally *t;

    if (header(c, "traceparent", text[3], sizeof(text[3])))
        snprintf(c->world->traceparent, sizeof(c->world->traceparent), "%.63s", text[3]);
    c->identity = identity_resolve(&c->world->identities, &cred);
    t = c->identity ? &c->identity->tally : &c->world->anonymous;
    if (c->method)
        t->calls[c->method - methods]++;
}

static bool
told_to_fail(const struct call *c)
{
    const char *name = c->world->settings.fail_method;

    return *name && (strcmp(name, "*") == 0 || strcmp(name, c->method->name) == 0);
}

static void
fail_as_told(struct call *c)
{
    const struct settings *s = &c->world->settings;
    char text[1024];
    const char *shown = header(c, "authorization", text, sizeof(text));

    call_fail(c, (grpc_status_code)s->fail_status, "scripted failure%s%s",
              s->fail_echo && shown ? ": \xff " : "", s->fail_echo && shown ? shown : "");
}

/* Answer at once what needs no request; else open the stream and ask for the request. */
static void
call_begin(struct call *c)
{
    c->held_until_ms = 0;
    if (!c->method || !c->method->handle)
        return call_fail(c, GRPC_STATUS_UNIMPLEMENTED, "%s", "");
    if (told_to_fail(c))
        return fail_as_told(c);
    if (c->method->needs_identity && !c->identity)
        return call_fail(c, GRPC_STATUS_UNAUTHENTICATED, "Unauthenticated");
    if (c->method->kind == METHOD_BIDI)
        start_headers(c);
    start_receive(c);
}

static void
on_new(struct call *c, bool ok)
{
    struct server *s = c->server;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    if (!ok)
        return call_free(c);
    if (!s->stopping)
        accept_next(s);
    c->next = c->world->calls;
    if (c->next)
        c->next->prev = c;
    c->world->calls = c;
    c->method = method_find((const char *)GRPC_SLICE_START_PTR(c->details.method),
                            GRPC_SLICE_LENGTH(c->details.method));
    op.data.recv_close_on_server.cancelled = &c->cancelled;
    start_batch(c, OP_CLOSE, &op, 1);
    authenticate(c);
    if (c->world->settings.headers_delay_ms > 0)
        c->held_until_ms = clock_mono_ms() + c->world->settings.headers_delay_ms;
    else
        call_begin(c);
}

static ProtobufCMessage *
take_request(struct call *c)
{
    grpc_byte_buffer_reader reader;
    grpc_slice all;
    ProtobufCMessage *m;

    grpc_byte_buffer_reader_init(&reader, c->in);
    all = grpc_byte_buffer_reader_readall(&reader);
    m = protobuf_c_message_unpack(c->method->request, NULL, GRPC_SLICE_LENGTH(all),
                                  GRPC_SLICE_START_PTR(all));
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(c->in);
    c->in = NULL;
    return m;
}

static void
on_receive(struct call *c)
{
    bool bidi = c->method->kind == METHOD_BIDI;

    if (c->gone || c->ending)
        return;
    if (!c->in) { /* the client closed its side */
        if (bidi)
            c->method->handle(c, NULL);
        else
            call_fail(c, GRPC_STATUS_INVALID_ARGUMENT, "the request is missing");
        return;
    }

    ProtobufCMessage *request = take_request(c);

    if (!request)
        return call_fail(c, GRPC_STATUS_INTERNAL, "the request cannot be decoded");
    c->method->handle(c, request);
    protobuf_c_message_free_unpacked(request, NULL);
    if (c->ending)
        return;
    if (bidi)
        start_receive(c);
    else if (c->method->kind == METHOD_WATCH)
        start_headers(c); /* only now: a client may rely on coverage from the headers on */
}

static void
on_event(struct call_op *op, bool ok)
{
    struct call *c = op->call;

    op->pending = false;
    switch (op->kind) {
    case OP_NEW:
        on_new(c, ok);
        return;
    case OP_CLOSE:
        c->gone = true;
        subscribe_detach(c);
        break;
    case OP_RECEIVE:
        on_receive(c);
        break;
    case OP_SEND:
        grpc_byte_buffer_destroy(c->out);
        c->out = NULL;
        /* fall through */
    case OP_HEADERS:
        if (c->ending && !c->ended && !c->gone && !c->ops[OP_SEND].pending)
            start_finish(c);
        else
            call_wake(c);
        break;
    case OP_FINISH:
    case OP__COUNT:
        break;
    }
    if (!c->gone)
        return;
    for (int kind = 0; kind < OP__COUNT; kind++) {
        if (c->ops[kind].pending)
            return;
    }
    call_free(c);
}

/* ---- the server ---- */

static grpc_server_credentials *
make_credentials(const struct server_options *o, struct err *err)
{
    AUTO_BUF cert = {0}, key = {0}, ca = {0};
    grpc_ssl_pem_key_cert_pair pair;

    if (!o->tls_cert)
        return grpc_insecure_server_credentials_create();
    if (!file_read(o->tls_cert, &cert, err) || !file_read(o->tls_key, &key, err) ||
        (o->client_ca && !file_read(o->client_ca, &ca, err)))
        return NULL;
    pair = (grpc_ssl_pem_key_cert_pair){key.p, cert.p};
    return grpc_ssl_server_credentials_create_ex(
        ca.p, &pair, 1,
        ca.p ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        NULL);
}

struct server *
server_start(struct world *w, const struct server_options *o, struct err *err)
{
    grpc_arg args[] = {
        {GRPC_ARG_INTEGER, GRPC_ARG_MAX_CONCURRENT_STREAMS, {.integer = o->max_streams}},
        {GRPC_ARG_INTEGER, GRPC_ARG_ALLOW_REUSEPORT, {.integer = 0}},
        /* Observers keep idle streams for hours and ping on them. */
        {GRPC_ARG_INTEGER,
         GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
         {.integer = PING_INTERVAL_MS}},
        {GRPC_ARG_INTEGER, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, {.integer = 1}},
        {GRPC_ARG_INTEGER,
         GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         {.integer = (1 << 20) + (64 << 10)}},
    };
    grpc_channel_args list = {ARRAY_LEN(args), args};
    grpc_server_credentials *creds = make_credentials(o, err);
    struct server *s;

    if (!creds)
        return NULL;
    s = xcalloc(1, sizeof(*s));
    s->world = w;
    s->grpc = grpc_server_create(&list, NULL);
    s->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s->grpc, s->cq, NULL);
    w->port = grpc_server_add_http2_port(s->grpc, o->address, creds);
    grpc_server_credentials_release(creds);
    grpc_server_start(s->grpc);
    if (w->port == 0) {
        server_stop(s);
        server_run(s);
        server_free(s);
        err_set(err, ERR_IO, "cannot listen on %s", o->address);
        return NULL;
    }
    accept_next(s);
    return s;
}

void
server_run(struct server *s)
{
    for (;;) {
        grpc_event ev = grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);

        if (ev.type == GRPC_QUEUE_SHUTDOWN)
            return;
        world_lock(s->world);
        if (ev.tag == &s->stop)
            s->stopped = true;
        else
            on_event(ev.tag, ev.success != 0);
        if (s->stopped && s->live == 0)
            grpc_completion_queue_shutdown(s->cq);
        world_unlock(s->world);
    }
}

void
server_stop(struct server *s)
{
    world_lock(s->world);
    s->stopping = true;
    grpc_server_shutdown_and_notify(s->grpc, s->cq, &s->stop);
    grpc_server_cancel_all_calls(s->grpc);
    world_unlock(s->world);
}

void
server_free(struct server *s)
{
    grpc_server_destroy(s->grpc);
    grpc_completion_queue_destroy(s->cq);
    free(s);
}

void
server_tick(struct world *w)
{
    int64_t now = clock_mono_ms();

    for (struct call *c = w->calls; c; c = c->next) {
        if (c->held_until_ms && c->held_until_ms <= now && !c->gone)
            call_begin(c);
    }
}

size_t
server_cut_streams(struct world *w)
{
    size_t n = 0;

    for (struct call *c = w->calls; c; c = c->next) {
        if (!c->method || c->method->kind != METHOD_BIDI || c->gone)
            continue;
        grpc_call_cancel_with_status(c->grpc, GRPC_STATUS_UNAVAILABLE, "connection lost", NULL);
        n++;
    }
    return n;
}

size_t
server_expel(struct world *w, const struct identity *id)
{
    size_t n = 0;

    for (struct call *c = w->calls; c; c = c->next) {
        if (!c->method || c->method->kind == METHOD_UNARY || c->identity != id)
            continue;
        call_fail(c, GRPC_STATUS_UNAUTHENTICATED, "Unauthenticated");
        n++;
    }
    return n;
}

/* Is fd a client's connection to our port? */
static bool
is_client(int fd, int port)
{
    struct sockaddr_storage own;
    struct sockaddr_storage peer;
    socklen_t own_len = sizeof(own);
    socklen_t peer_len = sizeof(peer);

    if (getsockname(fd, (struct sockaddr *)&own, &own_len) != 0 ||
        getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0)
        return false;
    if (own.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&own)->sin_port) == port;
    return own.ss_family == AF_INET6 && ntohs(((struct sockaddr_in6 *)&own)->sin6_port) == port;
}

/* gRPC offers no way to drop a connection rudely, so its sockets are found and shut from outside.
 */
size_t
server_cut_connections(struct world *w)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    size_t n = 0;

    if (!dir)
        return 0;
    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        int fd = (int)strtol(entry->d_name, NULL, 10);

        if (is_client(fd, w->port) && shutdown(fd, SHUT_RDWR) == 0)
            n++;
    }
    closedir(dir);
    return n;
}
