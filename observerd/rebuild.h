/*
 * rebuild.h - the command that folds runs anew from their stored events.
 *
 * Purpose    projection, metrics and facts are folds of the canonical events; when the rules of a
 *            fold change, or a table was damaged, they are made again by the functions that made
 *            them. Doing it twice gives the same rows.
 * Ownership  none kept. Errors: logged per run; the exit status says whether any run failed.
 * Threads    one; it does not disturb a running observer.
 *
 * One run is one transaction that holds the lock of its run_observers row, so nobody appends or
 * claims meanwhile. Events are read in pages: memory does not grow with a run. A live instance that
 * owns the run has its state in memory and would overwrite what is made here: it is asked to do it,
 * by a row of commands.
 */
#ifndef MACP_OBSERVERD_REBUILD_H
#define MACP_OBSERVERD_REBUILD_H

#include "shared/config.h"

/* Arguments: run ids, or --all with or without --since TIME. Returns the exit status. */
int rebuild(const struct config *cfg, int argc, char **argv) MUST_CHECK;

#endif
