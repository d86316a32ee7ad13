/*
 * hostile.h - a session whose senders do everything they can.
 *
 * Purpose    payloads that are no message of their type, the largest ones a runtime takes, JSON
 *            of any depth, every control character, ids of any length, thousands of senders.
 * Ownership  nothing. Errors: false + *err when the runtime does not take an envelope.
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_HOSTILE_H
#define MACP_TESTS_SUPPORT_HOSTILE_H

#include "tests/support/world.h"

enum { HOSTILE_SENDERS = 10000, HOSTILE_PAYLOAD_MAX = 1 << 20 };

enum hostile_way {
    HOSTILE_GARBAGE,
    HOSTILE_DEEP_JSON,
    HOSTILE_CONTROL_CHARACTERS,
    HOSTILE_LONG_IDS,
    HOSTILE_LARGEST_PAYLOADS,
    HOSTILE_CROWD,
    HOSTILE__COUNT
};

/* What it is, for people. */
const char *hostile_name(enum hostile_way way);

/* Open the (decision) session and leave it open. */
bool hostile_open(struct world *w, const char *session, struct err *err) MUST_CHECK;
/* As fast as the runtime takes it; adds the envelopes it has accepted to *sent, also on failure. */
bool hostile_send(struct world *w, const char *session, enum hostile_way way, int *sent,
                  struct err *err) MUST_CHECK;
/* End it with a decision. */
bool hostile_close(struct world *w, const char *session, struct err *err) MUST_CHECK;

#endif
