/*
 * catalog.h - what the runtime offers, kept fresh for handlers that cannot ask it.
 *
 * Purpose    asks Initialize and GetManifest regularly and hands the answers, as JSON, to the
 *            control thread, which stores them.
 * Ownership  struct catalog is embedded in the watch that runs it; rows are mail to control.
 * Errors     a failed call is a row with ok false; the last body stays.
 * Threads    the watch's thread.
 */
#ifndef MACP_OBSERVERD_CATALOG_H
#define MACP_OBSERVERD_CATALOG_H

#include <stdbool.h>

#include "observerd/mailbox.h"
#include "observerd/runtime.h"
#include "observerd/timers.h"

/* CONTROL_CATALOG */
struct catalog_row {
    struct mail mail;
    const char *kind; /* static */
    bool ok;
    char *body; /* heap JSON, NULL when not ok */
    char detail[320];
};

struct catalog {
    struct rt_queue *queue;
    struct timers *timers;
    struct mailbox *control;
    struct timer timer;
    int in_flight;
};

/* Asks at once, then every ten seconds. */
void catalog_start(struct catalog *c, struct rt_queue *queue, struct timers *timers,
                   struct mailbox *control);
void catalog_row_free(struct catalog_row *row);

#endif
