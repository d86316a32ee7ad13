/*
 * runtime.h - calls to a MACP runtime, the only user of gRPC.
 *
 * Purpose    a completion queue of one thread with its channels: unary calls, the passive
 *            subscription to a session and the watches. Its table has methods that read, and the
 *            few that people's commands need; a request that carries an envelope cannot be built
 *            here.
 * Ownership  struct rt_queue is heap memory of the thread that runs it. A call or stream belongs
 *            to the queue and dies after its last callback; cancelling silences it at once.
 * Errors     a status with the gRPC code and text comes through the callback. rt_queue_new fails
 *            on unusable options. Nothing blocks.
 * Threads    everything from the thread in rt_queue_run, except rt_queue_wake and rt_queue_stop.
 *
 * Unary calls have a deadline, streams have none: a lost peer is noticed by keepalive pings.
 *
 * Each call carries the process's credential as it is then; one that waits for its first token
 * waits here. A minted token that the runtime refuses is replaced, and the call made once more,
 * before anybody hears of it; a stream only if it has said nothing yet. Unary calls pass the
 * breaker.
 */
#ifndef MACP_OBSERVERD_RUNTIME_H
#define MACP_OBSERVERD_RUNTIME_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observerd/breaker.h"
#include "observerd/credential.h"
#include "shared/config.h"
#include "shared/err.h"

enum rt_code { /* gRPC status codes */
               RT_OK = 0,
               RT_CANCELLED = 1,
               RT_UNKNOWN = 2,
               RT_INVALID_ARGUMENT = 3,
               RT_DEADLINE_EXCEEDED = 4,
               RT_NOT_FOUND = 5,
               RT_ALREADY_EXISTS = 6,
               RT_PERMISSION_DENIED = 7,
               RT_RESOURCE_EXHAUSTED = 8,
               RT_FAILED_PRECONDITION = 9,
               RT_ABORTED = 10,
               RT_OUT_OF_RANGE = 11,
               RT_UNIMPLEMENTED = 12,
               RT_INTERNAL = 13,
               RT_UNAVAILABLE = 14,
               RT_DATA_LOSS = 15,
               RT_UNAUTHENTICATED = 16,
};

struct rt_status {
    enum rt_code code;
    char text[256];
    bool by_breaker; /* RT_UNAVAILABLE, and nobody was asked */
};

const char *rt_code_name(enum rt_code code);

/* The unary methods. */
enum rt_unary {
    RT_INITIALIZE,
    RT_GET_SESSION,
    RT_GET_MANIFEST,
    RT_LIST_SESSIONS,
    RT_LIST_MODES,
    RT_LIST_ROOTS,
    RT_LIST_POLICIES,
    /* What somebody asked for: command_step.c only. */
    RT_CANCEL_SESSION,
    RT_SUSPEND_SESSION,
    RT_RESUME_SESSION,
    RT_REGISTER_POLICY,
    RT_UNREGISTER_POLICY,
    RT_UNARY__COUNT
};

/* What can be watched as a whole; no request has a field. */
enum rt_watch {
    RT_WATCH_SESSIONS,
    RT_WATCH_SIGNALS,
    RT_WATCH_MODES,
    RT_WATCH_ROOTS,
    RT_WATCH_POLICIES,
    RT_WATCH__COUNT
};

struct rt_queue;
struct rt_call;
struct rt_stream;

/* The reply is NULL unless the status is RT_OK; it lives until the function returns. */
typedef void rt_reply_fn(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply);

struct rt_stream_ops {
    /*
     * One response, as it travelled; valid during the call. False: do not read the next one until
     * rt_stream_resume (the peer feels the back-pressure).
     */
    bool (*message)(void *ctx, const void *bytes, size_t n);
    /* The stream is over and gone; not called after rt_stream_cancel. */
    void (*closed)(void *ctx, const struct rt_status *status);
    /* Response headers have arrived; a refusal may begin so, too, and then again. May be NULL. */
    void (*opened)(void *ctx);
};

/* What the queues of the process share. Borrowed for their life. */
struct rt_options {
    const struct config *cfg;
    struct credential *credential;
    struct breaker *breaker;
};

bool rt_queue_new(const struct rt_options *o, struct rt_queue **out, struct err *err) MUST_CHECK;
/* Nothing may be open any more, the queue must have stopped. */
void rt_queue_free(struct rt_queue *q);

/*
 * Deliver callbacks until stopped and every call is over. tick runs at the start, after
 * rt_queue_wake and when the time it returned last (clock_mono_ms) has come.
 */
void rt_queue_run(struct rt_queue *q, int64_t (*tick)(void *ctx), void *ctx);
void rt_queue_wake(struct rt_queue *q);
/* Cancel everything silently and let rt_queue_run return. */
void rt_queue_stop(struct rt_queue *q);

/* The request is packed before the function returns. */
struct rt_call *rt_call_start(struct rt_queue *q, enum rt_unary method,
                              const ProtobufCMessage *request, rt_reply_fn *done, void *ctx);
void rt_call_cancel(struct rt_call *call);
enum { RT_TRACEPARENT_LEN = 56 };
/* Right after the start: the traceparent header, copied. */
void rt_call_trace(struct rt_call *call, const char *traceparent);
void rt_stream_trace(struct rt_stream *s, const char *traceparent);

/* Passive: one frame, the write side stays open. after: ordinal of the last envelope held. */
struct rt_stream *rt_session_subscribe(struct rt_queue *q, const char *session_id, int64_t after,
                                       const struct rt_stream_ops *ops, void *ctx);
struct rt_stream *rt_watch_open(struct rt_queue *q, enum rt_watch what,
                                const struct rt_stream_ops *ops, void *ctx);
void rt_stream_resume(struct rt_stream *s);
/* Callbacks go to somebody else from here on. */
void rt_stream_give(struct rt_stream *s, const struct rt_stream_ops *ops, void *ctx);
void rt_stream_cancel(struct rt_stream *s);
/* Response headers have arrived. */
/* It is silent when it should not be: streams opened from now on get another connection. */
void rt_stream_distrust(struct rt_stream *s);
bool rt_stream_is_open(const struct rt_stream *s);

#endif
