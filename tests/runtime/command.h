/*
 * command.h - what the control socket understands.
 *
 * Purpose    one table of commands: name, arguments, meaning, function.
 * Ownership  answers are new JSON references. Errors: "ok": false with "error" in the answer.
 * Threads    any; the lock is taken inside.
 */
#ifndef MACP_RUNTIME_COMMAND_H
#define MACP_RUNTIME_COMMAND_H

#include <jansson.h>

#include "shared/buf.h"

struct world;

/* Run one line. Never NULL. */
json_t *command_run(struct world *w, const char *line);
void command_help(struct buf *out);

#endif
