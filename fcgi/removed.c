/* removed.c - endpoints of the time when this service sent messages for agents. */
#include "fcgi/handlers.h"

#define ONBOARDING                                                                                 \
    "https://github.com/multiagentcoordinationprotocol/docs/blob/main/ONBOARDING_AN_AGENT.md"

static bool
removed(const char *what, struct err *err)
{
    return err_set(
        err, ERR_ENDPOINT_REMOVED,
        "POST /runs/:id/%s has been removed. Agents authenticate to the runtime directly "
        "via macp-sdk-python / macp-sdk-typescript. See " ONBOARDING,
        what);
}

bool
removed_messages(struct request *rq UNUSED, struct err *err)
{
    return removed("messages", err);
}

bool
removed_signal(struct request *rq UNUSED, struct err *err)
{
    return removed("signal", err);
}

bool
removed_context(struct request *rq UNUSED, struct err *err)
{
    return removed("context", err);
}
