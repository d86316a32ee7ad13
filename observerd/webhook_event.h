/*
 * webhook_event.h - what subscribers are told: by which transitions, in which words.
 *
 * Ownership  texts are borrowed; names are static. Errors: none. Threads: any.
 */
#ifndef MACP_OBSERVERD_WEBHOOK_EVENT_H
#define MACP_OBSERVERD_WEBHOOK_EVENT_H

#include <stdint.h>

#include "shared/buf.h"
#include "shared/run.h"

/* NULL: nobody is told. run.started means that the run is running, not that it is starting. */
const char *webhook_event_name(enum run_status from, enum run_status to);

/* The bytes that are signed and sent. error: of a failed run, clean UTF-8; NULL: none. */
void webhook_event_body(const char *event, const char *run_id, enum run_status status,
                        int64_t wall_ms, const char *error, struct buf *out);

#endif
