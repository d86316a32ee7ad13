/*
 * server.h - the gRPC side: calls, their operations, the completion queue.
 *
 * Purpose    drive a call through its life (accepted, perhaps held back, request read, answered or
 *            streamed, ended); what is answered is in the method table of rpc.h.
 * Ownership  the server owns calls; a call is freed when its client is gone and no operation is
 *            pending. Messages given to call_reply are only read.
 * Errors     start fails with *err; a failing call ends with its status.
 * Threads    server_run is the queue thread. All else under the world's lock, from any thread.
 *
 * Streams are pulled: whoever makes something available wakes the call, the call asks its method's
 * pull function for one message at a time and asks again when that one is written. Nothing is
 * queued per call, so a slow reader costs a position and not memory.
 */
#ifndef MACP_RUNTIME_SERVER_H
#define MACP_RUNTIME_SERVER_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/macros.h"
#include "tests/runtime/bus.h"
#include "tests/runtime/identity.h"

struct call;
struct method;
struct server;
struct session;
struct world;

enum call_op_kind { OP_NEW, OP_CLOSE, OP_RECEIVE, OP_HEADERS, OP_SEND, OP_FINISH, OP__COUNT };

struct call_op {
    enum call_op_kind kind;
    bool pending;
    struct call *call;
};

enum { CALL_ERRORS = 8 };

/* What a StreamSession or a watch has sent so far. */
struct position {
    struct session *session; /* StreamSession: bound to it, counted reference */
    uint64_t next;           /* next envelope or event */
    uint64_t attached;       /* envelopes below are replay, not broadcast */
    bool half_closed;
    uint64_t flush_to; /* half-closed: send this many, then end */
    bool say_nothing;  /* unset_oneof: an empty response goes first */
    grpc_slice errors[CALL_ERRORS];
    size_t n_errors;
    char **snapshot; /* WatchSessions: ids still to be told; ends with NULL */
    size_t snapshot_next;
    bool greeted; /* watches with one opening message; WatchSessions: the odd event is out */
};

struct call {
    struct world *world;
    struct server *server;
    struct call *next;
    struct call *prev;
    const struct method *method; /* NULL for an unknown path */
    struct identity *identity;   /* NULL when not authenticated */

    grpc_call *grpc;
    grpc_call_details details;
    grpc_metadata_array metadata;
    struct call_op ops[OP__COUNT];
    grpc_byte_buffer *in;
    grpc_byte_buffer *out;
    int cancelled;

    int64_t held_until_ms; /* monotonic; 0: not held back */
    bool headers_out;
    bool ending; /* no more messages; status goes out when the current write is done */
    bool ended;  /* status is on its way */
    bool gone;   /* the client's side is closed: start nothing any more */
    grpc_status_code status;
    char status_text[256];

    struct listener listener;
    struct position at;
};

struct server_options {
    const char *address; /* host:port */
    int max_streams;     /* per connection */
    /* Files, PEM. NULL: plaintext. client_ca: clients must show a certificate that it signed. */
    const char *tls_cert, *tls_key, *client_ca;
};

struct server *server_start(struct world *w, const struct server_options *o,
                            struct err *err) MUST_CHECK;
/* Serve until server_stop was called and the last call is gone. Takes the lock itself. */
void server_run(struct server *s);
/* From any thread, once; takes the lock itself. */
void server_stop(struct server *s);
void server_free(struct server *s);

/* Timer: let calls go on whose delay is over. */
void server_tick(struct world *w);
/* Abort every StreamSession, or (connections) shut the sockets of all clients. Returns how many. */
size_t server_cut_streams(struct world *w);
size_t server_cut_connections(struct world *w);
/* End every stream and watch that the identity has opened with UNAUTHENTICATED. */
size_t server_expel(struct world *w, const struct identity *id);

/* For methods: answer a unary call, or end any call. */
void call_reply(struct call *c, const void *message);
void call_fail(struct call *c, grpc_status_code status, const char *fmt, ...) PRINTF_FMT(3, 4);
/* Something may have become available. */
void call_wake(struct call *c);

/* One message of a stream, as its pull function hands it out. */
struct outgoing {
    grpc_slice slice; /* a reference that the caller takes over */
    bool more;        /* another one is there already: may be buffered */
};

grpc_slice server_encode(const void *message);

#endif
