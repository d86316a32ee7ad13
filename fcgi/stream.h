/*
 * stream.h - what a client of an event stream asked for.
 *
 * Purpose    from query and Last-Event-ID header to a plan that the hub carries out.
 * Ownership  plain values. Errors: none; the query was validated by its field table.
 * Threads    any.
 */
#ifndef MACP_FCGI_STREAM_H
#define MACP_FCGI_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi/validate.h"
#include "shared/uuid.h"

enum stream_kind {
    STREAM_FOLLOW,
    STREAM_REPLAY,
};

struct stream_plan {
    enum stream_kind kind;
    char run_id[UUID_LEN]; /* lower case */
    int64_t after;         /* first event is the next one behind this number */
    /* follow */
    bool snapshot;  /* begins with one */
    bool stay_open; /* the run had ended when the client came */
    int heartbeat_ms;
    /* replay */
    int64_t to;
    bool timed;
    double speed;
    int max_delay_ms;
    int batch; /* rows per page */
};

/* A stored sequence number that a client sent back; 0 when it is none. */
int64_t stream_cursor(const char *last_event_id);

/* now_seq: the last number handed out when the run was looked up. */
void stream_follow_plan(const struct query_value *q, const char *last_event_id, int heartbeat_ms,
                        int64_t now_seq, struct stream_plan *out);
void stream_replay_plan(const struct query_value *q, const char *last_event_id,
                        struct stream_plan *out);

#endif
