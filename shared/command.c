#include "shared/command.h"

#include <string.h>

static const struct {
    const char *name, *action, *resource;
} kinds[COMMAND__COUNT] = {
#define X(kind, name, action, resource) [kind] = {name, action, resource},
    COMMAND_LIST(X)
#undef X
};

const char *
command_kind_name(enum command_kind kind)
{
    return kinds[kind].name;
}

const char *
command_audit_action(enum command_kind kind)
{
    return kinds[kind].action;
}

const char *
command_audit_resource(enum command_kind kind)
{
    return kinds[kind].resource;
}

bool
command_kind_parse(const char *name, enum command_kind *out)
{
    for (int i = 0; i < COMMAND__COUNT; i++)
        if (strcmp(name, kinds[i].name) == 0) {
            *out = (enum command_kind)i;
            return true;
        }
    return false;
}
