/*
 * subscriber.h - one event stream, and the run it follows, inside the hub.
 *
 * Purpose    what a stream is in each phase of its life and how it gets from one to the next.
 * Ownership  streams and topics are heap memory of the hub. A stream is freed when it is closed
 *            and no page is on its way to it; a topic when the tail has forgotten it.
 * Errors     none: a stream that cannot go on is ended or closed.
 * Threads    the hub's.
 *
 *   first snapshot ──► behind ◄──► live ──► ending ──► gone
 *                        ▲ pages    ▲ events of the topic
 *   replay ─────────────────────────────────►
 *
 * A live one that cannot follow falls behind and reads pages at its own pace; one that takes
 * nothing at all is cut.
 */
#ifndef MACP_FCGI_SUBSCRIBER_H
#define MACP_FCGI_SUBSCRIBER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>
#include <utlist.h>

#include "fcgi/deadline.h"
#include "fcgi/inbox.h"
#include "fcgi/outbox.h"
#include "fcgi/stream.h"
#include "fcgi/tail.h"

enum phase {
    PHASE_FIRST_SNAPSHOT, /* nothing else is sent before it */
    PHASE_BEHIND,         /* reads pages up to the end of the log */
    PHASE_LIVE,           /* gets the topic's events */
    PHASE_REPLAY,
    PHASE_ENDING, /* the end is in the outbox */
    PHASE_GONE,   /* closed, but a page is still on its way here */
};

/* A run that somebody follows. */
struct topic {
    UT_hash_handle hh;
    char run_id[UUID_LEN];
    bool loaded;
    int64_t seq; /* last event that was told */
    struct stream *streams;
    struct topic *prev, *next; /* of all, those that the tail has still to forget included */
    atomic_int audience;       /* how many streams; the tail reads it */
};

struct stream {
    struct deadline deadline;   /* first member */
    struct stream *prev, *next; /* of the topic, or of the hub's list of all others */
    struct stream *all_prev, *all_next;
    struct stream *next_dirty;
    struct topic *topic;
    struct stream_plan plan;
    int fd;
    enum phase phase;
    bool dirty, wants_out;
    bool waits_snapshot; /* asked for, not come yet */
    bool page_pending, page_done;
    bool missed;          /* events were told while the last page was on its way or in hand */
    int64_t cursor;       /* events up to here are sent or not wanted */
    int64_t sent_seq;     /* last event sent on this connection */
    int64_t snapshot_seq; /* of the last snapshot sent */
    int64_t end_seq;      /* the event that ended the run, 0: not yet */
    int64_t heartbeat_ms, stuck_ms, pace_ms, end_ms; /* when; 0: not */
    int64_t paced_ts_ms; /* time of the last replayed event; -1: none yet */
    struct news *page;   /* history in hand */
    size_t page_at;
    int page_rows; /* of the next page at most */
    struct outbox outbox;
};

struct hub {
    pthread_t thread;
    struct tail *tail;
    struct inbox arrivals; /* struct attach; one with fd -1 stops */
    struct inbox news;     /* from the tail */
    atomic_int *count;
    int limit;

    /* The thread's own. */
    int ep;
    struct topic *topics; /* by run id */
    struct topic *all_topics;
    struct stream *all;
    struct stream *dirty;
    struct deadlines deadlines;
    struct frame *heartbeat; /* the last one made */
    int64_t heartbeat_made_ms;
    bool stopping;
};

/* From its arrival on. */
void subscriber_start(struct hub *h, struct stream *s);
/* One system call, whatever was put in. */
void subscriber_flush(struct hub *h, struct stream *s);
/* Its deadline has come. */
void subscriber_look(struct hub *h, struct stream *s, int64_t now);
/* The end goes out behind what waits. */
void subscriber_end(struct hub *h, struct stream *s);
/* Nothing more can or need be sent. */
void subscriber_close(struct hub *h, struct stream *s);
/* It is to be flushed at the end of this turn. */
void subscriber_mark(struct hub *h, struct stream *s);
/* Closed, and nobody points at it any more. */
void subscriber_free(struct hub *h, struct stream *s);

/* --- news; the caller keeps them, unless it is said otherwise -------------------------------- */

/* The topic is loaded. */
void subscriber_catch_up(struct hub *h, struct stream *s);
void subscriber_events(struct hub *h, struct stream *s, const struct news *n);
void subscriber_snapshot(struct hub *h, struct stream *s, const struct news *n);
/* Takes the page. */
void subscriber_page(struct hub *h, struct stream *s, struct news *n);

#endif
