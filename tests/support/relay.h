/*
 * relay.h - the network between two programs, as bad as a test wants it.
 *
 * Purpose    a loopback port whose connections are passed on to another one; they can be held up,
 *            cut, or lose their far end without a word. Of Postgres' protocol it understands enough
 *            to lose notifications, and to fail behind a chosen statement.
 * Ownership  struct relay is heap memory; relay_stop closes all connections and joins its thread.
 * Errors     NULL or false + *err. A connection whose target does not listen is closed.
 * Threads    one of its own; calls come from the thread that started it.
 */
#ifndef MACP_TESTS_SUPPORT_RELAY_H
#define MACP_TESTS_SUPPORT_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"

struct relay;

enum relay_kind { RELAY_BYTES, RELAY_POSTGRES /* without encryption */ };

/* port: where connections are passed on to; 0: relay_aim says so later. */
struct relay *relay_start(enum relay_kind kind, int port, struct err *err) MUST_CHECK;
void relay_stop(struct relay *p); /* NULL is fine */
void relay_aim(struct relay *p, int port);
int relay_port(const struct relay *p);

/*
 * Connections are taken and nothing is passed on, either way. What was held up arrives when it
 * ends, unless the sender has reset the connection meanwhile.
 */
void relay_hold(struct relay *p, bool hold);
/* All connections end now, as when a process dies. How many there were. */
size_t relay_cut(struct relay *p);
/*
 * The far end of every connection is gone, for both sides: nothing is acknowledged, nobody says
 * so, and it never comes back. New connections are passed on. False + *err when this account may
 * not do so.
 */
bool relay_vanish(struct relay *p, struct err *err) MUST_CHECK;
/* New connections are not answered either, as by a machine that is off. */
bool relay_go_deaf(struct relay *p, bool deaf, struct err *err) MUST_CHECK;

/* --- Postgres only --------------------------------------------------------------------------- */

/* Notifications are lost. */
void relay_mute(struct relay *p, bool mute);
/* How many were lost. */
size_t relay_muted(struct relay *p);
/*
 * The next connection that executes the prepared statement vanishes behind it: the server has
 * done it and hears nothing more. relay_has_struck says that it has happened.
 */
void relay_strike(struct relay *p, const char *statement);
bool relay_has_struck(struct relay *p);

#endif
