/*
 * subscribe.h - leaving a session or a bus.
 *
 * Purpose    undo what StreamSession and the watches attached; safe to repeat.
 * Ownership  drops the call's reference to its session. Errors: none.
 * Threads    under the world's lock.
 */
#ifndef MACP_RUNTIME_SUBSCRIBE_H
#define MACP_RUNTIME_SUBSCRIBE_H

struct call;

void subscribe_detach(struct call *c);

#endif
