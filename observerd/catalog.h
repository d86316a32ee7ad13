/*
 * catalog.h - what the runtime offers, kept fresh for handlers that cannot ask it.
 *
 * Purpose    asks the runtime regularly what it is and offers, at once when it says that something
 *            has changed, and hands the answers, as JSON, to the control thread, which stores them.
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

enum catalog_kind {
    CATALOG_INITIALIZE,
    CATALOG_MANIFEST,
    CATALOG_MODES,
    CATALOG_ROOTS,
    CATALOG_POLICIES,
    CATALOG__COUNT
};

/* CONTROL_CATALOG */
struct catalog_row {
    struct mail mail;
    const char *kind; /* static */
    bool ok;
    char *body;       /* heap JSON, NULL when not ok */
    char detail[420]; /* nothing is cut, or a character might be */
};

/* One kind of answer: when it is asked for next, and the watch that says so earlier. */
struct catalog_entry {
    struct catalog *catalog;
    struct timer timer, reconnect;
    struct rt_call *call;
    struct rt_stream *watch;
    bool again; /* it changed while the question was on its way */
    int64_t opened_ms, backoff_ms;
};

struct catalog {
    struct rt_queue *queue;
    struct timers *timers;
    struct mailbox *control;
    char failure[320]; /* the last one that a call has met; the breaker's refusals are none */
    struct catalog_entry entries[CATALOG__COUNT];
};

/* Asks at once. */
void catalog_start(struct catalog *c, struct rt_queue *queue, struct timers *timers,
                   struct mailbox *control);
void catalog_row_free(struct catalog_row *row);

#endif
