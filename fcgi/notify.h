/*
 * notify.h - hints to other processes, sent by one thread on one connection.
 *
 * Purpose    after a commit a handler says on which channel there is something to look at. Equal
 *            hints are sent once, and at most one batch every 10 ms: notifying commits are
 *            serialised by the server and must not slow down the writers.
 * Ownership  struct notify is heap memory; notify_stop joins its thread and frees it.
 * Errors     none for callers. A hint that cannot be sent is dropped: listeners also look by
 *            themselves every second.
 * Threads    notify_send from any thread.
 */
#ifndef MACP_FCGI_NOTIFY_H
#define MACP_FCGI_NOTIFY_H

#include <stdbool.h>

#include "shared/config.h"
#include "shared/macros.h"

struct notify;

/*
 * The thread checks the database's schema whenever it connects; on one that this program does
 * not know it calls refused, once.
 */
struct notify *notify_start(const struct config *config, void (*refused)(void)) MUST_CHECK;
void notify_stop(struct notify *n);

void notify_send(struct notify *n, const char *channel, const char *payload);

#endif
