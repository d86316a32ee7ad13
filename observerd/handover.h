/*
 * handover.h - runs that pass from one live instance to another.
 *
 * Purpose    no moment unread: the runtime drops the history of a session that ends while nobody
 *            reads it. So the new owner reads first. It asks for runs of an instance that leaves
 *            (or has more than its share) in run_heirs, opens their streams (heir.h) and says so
 *            there; the owner stores what it has, makes the other one the owner, and closes its
 *            own stream last.
 * Ownership  struct handover is heap memory of its claim.
 * Errors     as db_run. Whatever fails, the run has an owner: the old one until the row says
 *            otherwise.
 * Threads    the control thread.
 */
#ifndef MACP_OBSERVERD_HANDOVER_H
#define MACP_OBSERVERD_HANDOVER_H

#include <stdbool.h>

#include "shared/err.h"

struct claim;
struct handover;
struct run_mail;

struct handover *handover_new(struct claim *c) MUST_CHECK;
void handover_free(struct handover *h);

/* We were dead, or away: no place for runs that have an owner, for as long as a lease. */
void handover_wait(struct handover *h);
/* CONTROL_HEIR: a shard reads the session of a run that we asked for, or cannot. */
void handover_heard(struct handover *h, const struct run_mail *m);
/* CONTROL_STORED: a shard has nothing unstored of a run whose heir waits for it. */
void handover_stored(struct handover *h, const struct run_mail *m);
/* Everything that can be done now, in both directions. */
bool handover_work(struct handover *h, struct err *err) MUST_CHECK;
/* We leave: shards let go what needs no heir. */
void handover_leave(struct handover *h);

#endif
