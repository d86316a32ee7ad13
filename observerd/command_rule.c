#include "observerd/command_rule.h"

static bool
is_terminal(Macp__V1__SessionState state)
{
    return state == MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED ||
           state == MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED ||
           state == MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED;
}

static bool
is_wanted(enum command_kind kind, Macp__V1__SessionState state)
{
    switch (kind) {
    case COMMAND_CANCEL:
        return is_terminal(state); /* there is nothing left to cancel */
    case COMMAND_SUSPEND:
        return state == MACP__V1__SESSION_STATE__SESSION_STATE_SUSPENDED;
    case COMMAND_RESUME:
        return state == MACP__V1__SESSION_STATE__SESSION_STATE_OPEN;
    default:
        return false;
    }
}

static enum command_next
fail(const struct command_facts *f)
{
    return f->optimistic && f->kind == COMMAND_CANCEL ? COMMAND_NEXT_END : COMMAND_NEXT_FAIL;
}

enum command_next
command_after_call(const struct command_facts *f, enum rt_code code, const Macp__V1__Ack *ack)
{
    if (code == RT_OK && ack && ack->ok)
        return COMMAND_NEXT_CONFIRM;
    /* It may be what is wanted already, or not exist yet. */
    if (code == RT_OK || code == RT_NOT_FOUND || code == RT_FAILED_PRECONDITION)
        return COMMAND_NEXT_ASK;
    return fail(f);
}

enum command_next
command_after_look(const struct command_facts *f, enum rt_code code, Macp__V1__SessionState state)
{
    if (code == RT_OK && is_wanted(f->kind, state))
        return COMMAND_NEXT_CONFIRM;
    if (code == RT_NOT_FOUND && f->awaiting && f->kind == COMMAND_CANCEL)
        return COMMAND_NEXT_END; /* there is no session, and the run need not wait for one */
    return fail(f);
}

enum command_next
command_after_callback(const struct command_facts *f, int http_status)
{
    if (http_status < 200 || http_status > 299)
        return COMMAND_NEXT_FAIL;
    return command_after_acceptance(f);
}

enum command_next
command_after_acceptance(const struct command_facts *f)
{
    return f->awaiting || f->optimistic ? COMMAND_NEXT_END : COMMAND_NEXT_CONFIRM;
}

bool
command_is_confirmed(enum command_kind kind, enum run_status status)
{
    if (run_status_is_terminal(status))
        return true;
    return (kind == COMMAND_SUSPEND && status == RUN_SUSPENDED) ||
           (kind == COMMAND_RESUME && status == RUN_RUNNING);
}
