/*
 * webhook.h - brings what subscribers are to be told to their endpoints.
 *
 * Purpose    rows of webhook_deliveries are written in the transaction of the transition they
 *            tell about; here they are taken when they are due, sent, and what came of it is
 *            stored. Several instances share them: a row is taken for a while, and taken anew by
 *            anybody when nobody said what came of it. So each delivery happens at least once, and
 *            a receiver knows a repeated one by its id.
 * Ownership  struct webhooks is heap memory of main. It sends through an outbound that lives
 *            longer than webhooks_quiet and shorter than webhooks_stop.
 * Errors     Postgres being away is no error: what is known waits, nothing new is taken.
 * Threads    a thread of its own with one connection; webhooks_ring from any thread.
 *
 * To one subscription the events of a run go one after the other, in the order they happened; an
 * event waits until the one before it is delivered or given up. No subscription has more than a few
 * attempts under way, and one that has none comes first: an endpoint that hangs delays its own.
 */
#ifndef MACP_OBSERVERD_WEBHOOK_H
#define MACP_OBSERVERD_WEBHOOK_H

#include <stdint.h>

#include "observerd/outbound.h"
#include "shared/config.h"
#include "shared/macros.h"

struct webhooks;

struct webhooks *webhooks_start(const struct config *cfg, struct outbound *outbound) MUST_CHECK;
/* There may be something to deliver; it looks by itself every second. */
void webhooks_ring(struct webhooks *w);
/* Take nothing any more. NULL is fine. */
void webhooks_quiet(struct webhooks *w);
/* Wait for the attempts that are under way, within the time. NULL is fine. */
void webhooks_drain(struct webhooks *w, int64_t limit_ms);
/*
 * Store what came of them within the time, end the thread, free. Nothing may be under way any
 * more: the outbound is stopped. NULL is fine.
 */
void webhooks_stop(struct webhooks *w, int64_t limit_ms);

#endif
