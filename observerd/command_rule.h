/*
 * command_rule.h - what an answer means for a command: the decisions, without doing anything.
 *
 * Purpose    a run changes on evidence only. An agent that says yes has been asked; a session is
 *            cancelled when the runtime says so.
 * Ownership  plain values. Errors: none. Threads: any.
 */
#ifndef MACP_OBSERVERD_COMMAND_RULE_H
#define MACP_OBSERVERD_COMMAND_RULE_H

#include <stdbool.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/runtime.h"
#include "shared/command.h"
#include "shared/run.h"

enum command_next {
    COMMAND_NEXT_CONFIRM, /* wait until the run shows it */
    COMMAND_NEXT_ASK,     /* the runtime refused: look what the session really is */
    COMMAND_NEXT_END,     /* nobody else can: end the run here */
    COMMAND_NEXT_FAIL,
};

/* What is known about the run when an answer comes. */
struct command_facts {
    enum command_kind kind;
    bool awaiting;   /* its session was not seen yet */
    bool optimistic; /* the operator wants runs to be cancelled whatever becomes of the session */
};

/* Cancel, suspend or resume was answered. ack: NULL unless the status is RT_OK. */
enum command_next command_after_call(const struct command_facts *f, enum rt_code code,
                                     const Macp__V1__Ack *ack);
/* GetSession was answered after a refusal. */
enum command_next command_after_look(const struct command_facts *f, enum rt_code code,
                                     Macp__V1__SessionState state);
/* The agent's callback was answered; 0: it was not. */
enum command_next command_after_callback(const struct command_facts *f, int http_status);
/* The agent has agreed. */
enum command_next command_after_acceptance(const struct command_facts *f);
/* The run has become what the command wanted, or has ended otherwise. */
bool command_is_confirmed(enum command_kind kind, enum run_status status);

#endif
