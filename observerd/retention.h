/*
 * retention.h - what is old goes, what is needed soon is there.
 *
 * Purpose    every hour: tables for the events of the weeks to come, and away with instances long
 *            dead, signals of sessions that nobody observes, tombstones. When
 * DATA_RETENTION_ENABLED: a pass of sweep.h soon after the start and then every so many hours. The
 * command makes a pass at once, or says what it would remove, and shows what is stored. Ownership
 * struct retention is heap memory of main. Errors     none come out of the thread: they are logged,
 * and tried again. The command returns its exit status. Threads    a thread of its own with one
 * connection: nothing here delays claims or heartbeats. The settings are read anew for each pass.
 */
#ifndef MACP_OBSERVERD_RETENTION_H
#define MACP_OBSERVERD_RETENTION_H

#include "observerd/sweep.h"
#include "shared/config.h"

struct retention;

struct retention *retention_start(const struct config *cfg) MUST_CHECK;
/* Other settings from the next pass on; they and the earlier ones are borrowed. */
void retention_reload(struct retention *r, const struct config *cfg);
/* Begin nothing new; does not wait. NULL is fine. */
void retention_quiet(struct retention *r);
/* What is being removed just now is finished or left, free. NULL is fine. */
void retention_stop(struct retention *r);

/* The passes so far. */
struct retention_passes {
    int64_t started_ms; /* monotonic: when the program started */
    int64_t ended_ms;   /* monotonic: end of the last pass; 0: none yet */
    bool unfinished;    /* it left something that it could have removed */
};
/* When the next one is due; INT64_MAX when none is wanted. */
int64_t retention_due_ms(const struct config *cfg, const struct retention_passes *p) MUST_CHECK;

/* The command: no argument or --dry-run. Returns the exit status. */
int retention(const struct config *cfg, int argc, char **argv) MUST_CHECK;

#endif
