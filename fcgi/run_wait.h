/*
 * run_wait.h - a short wait for a run that may be about to appear.
 *
 * Purpose    a client that has just seen a session may ask for its run before discovery has
 *            written it. Such a request looks again for up to a second before it says 404.
 * Ownership  plain values.
 * Errors     none.
 * Threads    any; at most half of the workers wait, the others answer at once.
 */
#ifndef MACP_FCGI_RUN_WAIT_H
#define MACP_FCGI_RUN_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/macros.h"

struct app;

struct run_wait {
    bool started;
    bool granted;
    int64_t until_ms;
};

/* Called when the run was not found. True: some time has passed, look again. */
bool run_wait_more(struct app *app, struct run_wait *w) MUST_CHECK;
/* Gives the place back; fine for a wait that never began. */
void run_wait_end(struct app *app, struct run_wait *w);

#endif
