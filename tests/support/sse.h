/*
 * sse.h - many clients of event streams in one thread.
 *
 * Purpose    connections that follow streams over plain sockets, decode chunks and frames as they
 *            come, keep what tests ask about, and come back with Last-Event-ID when they are told
 *            to.
 * Ownership  struct sse is the caller's (sse_init, sse_fini) and owns its clients.
 * Errors     a connection that fails is a state of its client, not an error.
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_SSE_H
#define MACP_TESTS_SUPPORT_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/uuid.h"
#include "tests/support/http.h"

enum sse_state {
    SSE_IDLE, /* not connected */
    SSE_OPEN, /* request sent */
    SSE_DONE, /* the server ended it, or refused (status) */
};

struct sse_event {
    int64_t seq;
    int64_t seen_ms; /* wall clock */
};

struct sse_client {
    struct sse *all;
    char run[UUID_LEN];
    struct buf path;
    enum sse_state state;
    int fd;
    int status; /* 0: no answer yet */
    int connects;
    bool resume;        /* connect again until the run's last event was seen */
    bool pause;         /* read nothing */
    int receive_buffer; /* bytes; 0: the system's */
    int64_t again_ms;   /* when to connect again */
    struct buf head, raw, text;
    bool in_body, chunked;
    size_t left;     /* of a body with a length: a web server may have had all of it at once */
    bool ended_well; /* the last chunk or byte came */
    /* What was seen, over all its connections. */
    struct sse_event *events;
    size_t n, cap;
    struct buf kinds; /* a letter a frame: s snapshot, e event, E event that ends the run, h, ? */
    int64_t last_seq;
    int64_t snapshot_seq; /* timeline.latestSeq of the last snapshot */
    bool terminal;
    bool disorder;     /* an event not behind the one before it, or a frame that is none */
    bool id_elsewhere; /* an id on something that is no event */
    size_t bytes;
};

struct sse {
    int port;
    char key[128];
    int ep;
    struct sse_client **clients;
    size_t n;
};

void sse_init(struct sse *s, const struct http *http);
void sse_fini(struct sse *s);
/* Not connected yet. query: "" or with its question mark. */
struct sse_client *sse_add(struct sse *s, const char *run, const char *what, const char *query);
/* last_event_id 0: no such header. */
void sse_connect(struct sse_client *c, int64_t last_event_id);
void sse_disconnect(struct sse_client *c);
void sse_pause(struct sse_client *c, bool pause);
/* Wait at most so long for something to read, and read it. */
void sse_turn(struct sse *s, int timeout_ms);
/* Until the condition holds; the last answer. */
bool sse_until(struct sse *s, bool (*holds)(struct sse *s, void *ctx), void *ctx, int timeout_ms);
/* How many clients have seen their run end. */
size_t sse_ended(const struct sse *s);

#endif
