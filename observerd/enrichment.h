/*
 * enrichment.h - what the metadata of an ended run say about it.
 *
 * Purpose    lists and reports want to know how a run ended without reading its events: figures,
 *            the final action, why it failed.
 * Ownership  texts are heap JSON objects, to be merged into the run's metadata; the caller's.
 * Errors     none. Threads: any.
 */
#ifndef MACP_OBSERVERD_ENRICHMENT_H
#define MACP_OBSERVERD_ENRICHMENT_H

#include <stdint.h>

#include "observerd/session.h"

/* message, reason: NULL unless it failed. */
char *enrichment_of(const struct run_seed *run, int64_t ended_ms, const char *message,
                    const char *reason) MUST_CHECK;
/* The same with other figures. said: what the run's end says in the same batch, may be NULL. */
char *enrichment_corrected(const char *said, const struct metrics *m) MUST_CHECK;

#endif
