#include "observerd/runtime_channel.h"

#include <stdlib.h>

#include "observerd/tls.h"

static grpc_arg
int_arg(const char *key, int v)
{
    return (grpc_arg){GRPC_ARG_INTEGER, (char *)key, {.integer = v}};
}

static grpc_channel *
channel_new(const struct rt_channels *c)
{
    grpc_arg args[] = {
        int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1), /* a connection of its own */
        int_arg(GRPC_ARG_ENABLE_RETRIES, 0),            /* only we know the ordinal */
        int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0), /* or a parked stream buffers without bound */
        int_arg(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65535),
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, c->max_message),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, c->keepalive_ms),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 250),
        int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 250),
        int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000),
        int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0), /* it would be obeyed for 127.0.0.1, too */
        {GRPC_ARG_STRING, (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, {.string = c->server_name}},
    };
    size_t n = ARRAY_LEN(args) - (c->server_name ? 0 : 1);
    grpc_channel_args all = {n, args};

    return grpc_channel_create(c->target, c->credentials, &all);
}

static bool
make_credentials(struct rt_channels *c, const struct config *cfg, struct err *err)
{
    AUTO_TLS tls = {0};
    grpc_ssl_pem_key_cert_pair pair;

    if (!cfg->runtime_tls) {
        c->credentials = grpc_insecure_credentials_create();
        return true;
    }
    if (!tls_load(&tls, cfg, err))
        return false;
    pair = (grpc_ssl_pem_key_cert_pair){buf_cstr(&tls.key), buf_cstr(&tls.certificate)};
    c->credentials =
        grpc_ssl_credentials_create(tls.authorities.len ? buf_cstr(&tls.authorities) : NULL,
                                    tls.certificate.len ? &pair : NULL, NULL, NULL);
    return c->credentials || err_set(err, ERR_CONFIG, "unusable TLS files for the runtime");
}

bool
rt_channels_init(struct rt_channels *c, const struct config *cfg, struct err *err)
{
    c->target = xstrdup(cfg->runtime_address);
    c->streams_per_channel = (int)cfg->observerd_streams_per_channel;
    c->max_message = (int)cfg->runtime_grpc_max_message_bytes;
    c->keepalive_ms = (int)cfg->runtime_keepalive_ms;
    if (cfg->runtime_tls && cfg->runtime_tls_server_name[0])
        c->server_name = xstrdup(cfg->runtime_tls_server_name);
    if (!make_credentials(c, cfg, err))
        return false;
    c->unary = channel_new(c);
    return true;
}

void
rt_channels_fini(struct rt_channels *c)
{
    if (c->unary)
        grpc_channel_destroy(c->unary);
    for (size_t i = 0; i < c->n_pool; i++) {
        if (c->pool[i]->channel)
            grpc_channel_destroy(c->pool[i]->channel);
        free(c->pool[i]);
    }
    if (c->credentials)
        grpc_channel_credentials_release(c->credentials);
    free(c->pool);
    free(c->target);
    free(c->server_name);
}

struct rt_channel *
rt_channel_take(struct rt_channels *c)
{
    struct rt_channel *best = NULL, *empty = NULL;

    for (size_t i = 0; i < c->n_pool; i++) {
        struct rt_channel *each = c->pool[i];

        if (!each->channel)
            empty = each;
        else if (!each->suspect && each->live < c->streams_per_channel &&
                 (!best || each->live > best->live))
            best = each;
    }
    if (!best && !empty) {
        c->pool = xrealloc(c->pool, (c->n_pool + 1) * sizeof(struct rt_channel *));
        empty = c->pool[c->n_pool++] = xcalloc(1, sizeof *empty);
    }
    if (!best) {
        empty->channel = channel_new(c);
        empty->suspect = false;
        best = empty;
    }
    best->live++;
    return best;
}

void
rt_channel_give(struct rt_channel *channel)
{
    if (--channel->live == 0) { /* an idle connection costs the runtime, too */
        grpc_channel_destroy(channel->channel);
        channel->channel = NULL;
    }
}
