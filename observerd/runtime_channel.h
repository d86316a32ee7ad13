/*
 * runtime_channel.h - inside runtime.h: connections to the runtime.
 *
 * Purpose    plaintext or TLS, one connection for unary calls and watches, a pool for the streams
 *            of sessions: a runtime allows 128 on a connection, and gRPC queues what is above that
 *            without a word.
 * Ownership  struct rt_channels is the queue's; connections that are taken are given back.
 * Errors     rt_channels_init: false + *err, unusable TLS files. A runtime that cannot be reached
 *            is the status of each call.
 * Threads    as struct rt_queue.
 */
#ifndef MACP_OBSERVERD_RUNTIME_CHANNEL_H
#define MACP_OBSERVERD_RUNTIME_CHANNEL_H

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "shared/config.h"
#include "shared/err.h"

/* One connection of the pool. */
struct rt_channel {
    grpc_channel *channel;
    int live;     /* streams on it */
    bool suspect; /* it may lead nowhere: it gets no more */
};

struct rt_channels {
    grpc_channel_credentials *credentials;
    grpc_channel *unary;
    struct rt_channel **pool; /* grows: streams that were cancelled count until they are gone */
    size_t n_pool;
    char *target, *server_name; /* server_name NULL: the host of the target */
    int streams_per_channel, max_message, keepalive_ms;
};

bool rt_channels_init(struct rt_channels *c, const struct config *cfg, struct err *err) MUST_CHECK;
/* Half-built ones are fine. */
void rt_channels_fini(struct rt_channels *c);
/* The connection with room that has most streams, so that others empty; a new one if none. */
struct rt_channel *rt_channel_take(struct rt_channels *c);
void rt_channel_give(struct rt_channel *channel);

#endif
