/*
 * player.h - make envelopes happen: scripts, single sends, signals.
 *
 * Purpose    perform script steps and hand-written envelopes through the same acceptance as Send.
 * Ownership  results are new JSON references. Errors: "ok": false with "error" in the result.
 * Threads    both functions take the lock themselves, once per envelope.
 */
#ifndef MACP_RUNTIME_PLAYER_H
#define MACP_RUNTIME_PLAYER_H

#include <jansson.h>

struct world;

/* {"script", "session", "delayMs", "participants", "loop", "gapMs"}; script "all" plays every one.
 */
json_t *player_play(struct world *w, const json_t *args);
/* {"session", "mode", "type", "sender", "payload" | "text" | "hex", "messageId", "timestamp",
 * "forced"} */
json_t *player_send(struct world *w, const json_t *args);

#endif
