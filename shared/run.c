#include "shared/run.h"

#include <string.h>

static const struct {
    const char *name;
    bool terminal;
} statuses[RUN_STATUS__COUNT] = {
#define X(id, name, terminal) [id] = {name, terminal},
    RUN_STATUS_LIST(X)
#undef X
};

#define TO(s) (1u << (s))

static const unsigned targets[RUN_STATUS__COUNT] = {
    [RUN_QUEUED] = TO(RUN_STARTING) | TO(RUN_FAILED) | TO(RUN_CANCELLED),
    [RUN_STARTING] = TO(RUN_BINDING_SESSION) | TO(RUN_FAILED) | TO(RUN_CANCELLED),
    [RUN_BINDING_SESSION] = TO(RUN_RUNNING) | TO(RUN_FAILED) | TO(RUN_CANCELLED),
    [RUN_RUNNING] = TO(RUN_SUSPENDED) | TO(RUN_COMPLETED) | TO(RUN_FAILED) | TO(RUN_CANCELLED),
    [RUN_SUSPENDED] = TO(RUN_RUNNING) | TO(RUN_COMPLETED) | TO(RUN_FAILED) | TO(RUN_CANCELLED),
};

const char *
run_status_name(enum run_status s)
{
    return statuses[s].name;
}

bool
run_status_parse(const char *name, enum run_status *out)
{
    for (int i = 0; i < RUN_STATUS__COUNT; i++)
        if (strcmp(name, statuses[i].name) == 0) {
            *out = (enum run_status)i;
            return true;
        }
    return false;
}

bool
run_status_is_terminal(enum run_status s)
{
    return statuses[s].terminal;
}

bool
run_transition_allowed(enum run_status from, enum run_status to)
{
    return targets[from] & TO(to);
}
