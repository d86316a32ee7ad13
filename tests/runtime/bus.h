/*
 * bus.h - what happened, for whoever watches: lifecycle events and signals.
 *
 * Purpose    a bounded ring with a running number; each watcher keeps its own position, so a slow
 *            one is told by how much it fell behind and a fast publisher never waits.
 * Ownership  an event owns its text and slice until it is overwritten; listeners are the
 *            watchers' and must leave before they die.
 * Errors     none. Threads: under the world's lock.
 */
#ifndef MACP_RUNTIME_BUS_H
#define MACP_RUNTIME_BUS_H

#include <grpc/slice.h>
#include <stdbool.h>
#include <stdint.h>

/* Somebody to wake; a ring of nodes whose head is not a listener itself. */
struct listener {
    struct listener *next;
    struct listener *prev;
    void (*wake)(struct listener *);
};

void listener_list_init(struct listener *head);
void listener_join(struct listener *head, struct listener *l);
/* Fine for a listener that is in no list. */
void listener_leave(struct listener *l);
void listener_wake_all(struct listener *head);

enum { BUS_CAP = 8192 }; /* a power of two; also the largest lag that can be allowed */

struct bus_event {
    int type;           /* lifecycle events: the event type */
    char *session_id;   /* lifecycle events */
    int64_t at_ms;      /* lifecycle events */
    grpc_slice message; /* signals: the encoded response */
};

struct bus {
    struct bus_event *ring;
    uint64_t count; /* published so far; event n lies at n % BUS_CAP */
    struct listener listeners;
};

void bus_init(struct bus *b);
void bus_fini(struct bus *b);
/* Takes over session_id and message, wakes the listeners. */
void bus_publish(struct bus *b, struct bus_event event);
/* n must be one of the last BUS_CAP events. */
const struct bus_event *bus_at(const struct bus *b, uint64_t n);

#endif
