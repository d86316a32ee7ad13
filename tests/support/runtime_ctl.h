/*
 * runtime_ctl.h - the control socket of the scripted runtime.
 *
 * Purpose    one JSON object a line in, one out: play scripts, pump envelopes, cut streams, ask
 *            for counters and for what a session has accepted.
 * Ownership  struct runtime_ctl is the caller's (runtime_ctl_open/_close). Commands are stolen,
 *            answers are new references.
 * Errors     false or NULL + *err: no connection, no answer in time, or the runtime refused (its
 *            own sentence).
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_RUNTIME_CTL_H
#define MACP_TESTS_SUPPORT_RUNTIME_CTL_H

#include <jansson.h>
#include <stdbool.h>

#include "shared/buf.h"
#include "shared/err.h"

struct runtime_ctl {
    int fd; /* -1: not connected */
    struct buf in;
};

bool runtime_ctl_open(struct runtime_ctl *c, const char *path, struct err *err) MUST_CHECK;
void runtime_ctl_close(struct runtime_ctl *c);
json_t *runtime_ctl_call(struct runtime_ctl *c, json_t *command, int timeout_ms,
                         struct err *err) MUST_CHECK;

#endif
