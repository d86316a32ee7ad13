/*
 * derive.h - what a message means besides having been received.
 *
 * Purpose    the table message type -> canonical type, and the table canonical type -> what the
 *            event is about. Both work for every mode: agents spell members in two ways, and other
 *            systems send the same messages as JSON.
 * Ownership  kinds are static, ids go to the arena or are the caller's message id.
 * Errors     none. Threads: any.
 */
#ifndef MACP_OBSERVERD_DERIVE_H
#define MACP_OBSERVERD_DERIVE_H

#include <jansson.h>

#include "shared/arena.h"
#include "shared/event.h"

/* EVENT_UNKNOWN when a message type stands for nothing more. */
enum event_type derive_type(const char *message_type) MUST_CHECK;
/* inner: the payload without its wrapper, may be NULL. The id may be empty. */
void derive_subject(enum event_type type, const char *message_id, const json_t *inner,
                    struct arena *arena, const char **kind, const char **id);
/* The value as text in the arena; fallback when it is absent. */
const char *derive_text(struct arena *arena, const json_t *v, const char *fallback);

#endif
