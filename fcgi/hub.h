/*
 * hub.h - the thread that owns all event streams.
 *
 * Purpose    writes frames to every subscriber without ever waiting for one: those who follow a
 *            run as it happens, and those who replay one.
 * Ownership  struct hub is heap memory (hub_start, hub_stop) and owns the tail. hub_attach takes
 *            the descriptor in every case.
 * Errors     none: a subscriber that is gone, too slow or stuck is let go, and resumes with the
 *            number of the last event it has seen.
 * Threads    hub_enter, hub_leave, hub_attach from workers. Streams and topics are the hub
 *            thread's own; it never touches the database.
 *
 *   worker ── attach ──► hub ── asks ──► tail ──► Postgres
 *                         ▲               │
 *                         └──── news ◄────┘
 */
#ifndef MACP_FCGI_HUB_H
#define MACP_FCGI_HUB_H

#include <stdatomic.h>
#include <stdbool.h>

#include "shared/config.h"
#include "shared/macros.h"

struct hub;
struct outcomes;
struct stream_plan;

/*
 * count: how many streams are open, for whoever wants to know. outcomes: who waits for commands,
 * told by the thread that listens. Both outlive the hub.
 */
struct hub *hub_start(const struct config *config, atomic_int *count,
                      struct outcomes *outcomes) MUST_CHECK;
/* Every stream is ended properly. No worker may be left. */
void hub_stop(struct hub *h);

/* Take a place for one stream; false when all are taken. */
bool hub_enter(struct hub *h) MUST_CHECK;
/* Give a place back that came to nothing. */
void hub_leave(struct hub *h);
/* Headers are sent; from now on the connection is the hub's. The plan is copied. */
void hub_attach(struct hub *h, int fd, const struct stream_plan *plan);

#endif
