/*
 * control.h - the control socket: one JSON object per line in, one per line out.
 *
 * Purpose    drive the runtime from tests, shell scripts and people; the commands are one table.
 * Ownership  struct control belongs to main; control_stop ends its threads and removes the socket.
 * Errors     a command's failure is its answer; opening the socket fails with *err.
 * Threads    an accept thread and one thread per connection; a command takes the lock itself.
 */
#ifndef MACP_RUNTIME_CONTROL_H
#define MACP_RUNTIME_CONTROL_H

#include <stdbool.h>

#include "shared/err.h"

struct control;
struct world;

struct control *control_start(struct world *w, const char *path, struct err *err) MUST_CHECK;
/* NULL is fine. */
void control_stop(struct control *c);
/* Client: send one command, print the answer. True when it says ok. */
bool control_ask(const char *path, const char *line, struct err *err) MUST_CHECK;

#endif
