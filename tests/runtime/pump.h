/*
 * pump.h - load: many sessions, many envelopes.
 *
 * Purpose    push N x M decision envelopes through acceptance, at a rate or flat out.
 * Ownership  the result is a new JSON reference. Errors: "ok": false with "error".
 * Threads    takes the lock itself, for a few envelopes at a time.
 */
#ifndef MACP_RUNTIME_PUMP_H
#define MACP_RUNTIME_PUMP_H

#include <jansson.h>

struct world;

/*
 * {"sessions", "envelopes" (per session, all counted), "rate" (all sessions together per second,
 *  0: flat out), "payloadBytes", "ids": [...] or "prefix", "waitSubscribers", "timeoutMs",
 *  "commit": false leaves the sessions open}
 */
json_t *pump_run(struct world *w, const json_t *args);

#endif
