/*
 * supervisor.h - what systemd is told, over the socket that NOTIFY_SOCKET names.
 *
 * Purpose    READY=1 once the work has begun; STATUS for `systemctl status`; WATCHDOG=1 only while
 *            all loops turn, so that a stuck process is ended and its runs are taken over;
 *            RELOADING=1 and STOPPING=1. Without the socket nothing happens.
 * Ownership  struct supervisor is the caller's and holds no resources. Errors: none.
 * Threads    the control thread.
 */
#ifndef MACP_OBSERVERD_SUPERVISOR_H
#define MACP_OBSERVERD_SUPERVISOR_H

#include "observerd/status.h"

struct supervisor {
    const struct status *status;
    int64_t watchdog_ms; /* how often systemd wants to hear from us; 0: it does not watch */
    int64_t ready_by_ms; /* ready by then, whatever is still missing */
    int64_t told_ms;
    bool ready;
};

/* How long a loop may stand still before the process counts as stuck. */
int64_t supervisor_stuck_ms(void);
void supervisor_init(struct supervisor *s, const struct status *status);
/* As often as the control loop turns; one line for people. */
void supervisor_tell(struct supervisor *s, const char *line);
/* When to call it next at the latest (clock_mono_ms). */
int64_t supervisor_due(const struct supervisor *s);
void supervisor_reloading(void);
void supervisor_reloaded(const struct supervisor *s);
/* The end may take so long. */
void supervisor_stopping(int64_t limit_ms);

#endif
