/*
 * judge.h - is this envelope acceptable?
 *
 * Purpose    every reason to refuse an envelope, apart from storing and telling: session.c's.
 * Ownership  a judgement lends the session; `start` (a decoded SessionStart) goes to the caller
 *            when kind is JUDGED_START and nothing was refused.
 * Errors     code and name are the wire's; both NULL when the envelope is good.
 * Threads    under the world's lock.
 */
#ifndef MACP_RUNTIME_JUDGE_H
#define MACP_RUNTIME_JUDGE_H

#include "macp/v1/core.pb-c.h"
#include "macp/v1/envelope.pb-c.h"
#include "tests/runtime/session.h"

struct identity;
struct world;

enum judged {
    JUDGED_MESSAGE,
    JUDGED_AMBIENT,   /* Signal or Progress: told, not stored */
    JUDGED_DUPLICATE, /* accepted before */
    JUDGED_START,
    JUDGED_COMMITMENT,
};

struct judgement {
    enum judged kind;
    const char *code;
    const char *name;
    struct session *session;
    Macp__V1__SessionStartPayload *start;
};

void judge_envelope(struct world *w, const struct identity *id, const Macp__V1__Envelope *e,
                    enum accept_flags flags, struct judgement *out);

#endif
