/*
 * descriptor.h - what POST /runs takes, and what becomes of it in the database.
 *
 * Purpose    the field table of a run descriptor, and its translation into columns: the descriptor
 *            as accepted (session id filled in, secret replaced), the metadata of the run, the
 *            data of its first event.
 * Ownership  struct run_draft lives in the request's arena.
 * Errors     ERR_VALIDATION with the text for the client.
 * Threads    any.
 *
 * The bearer of a cancel callback leaves the document here: it is in run_draft.callback_bearer and
 * nowhere else.
 */
#ifndef MACP_FCGI_DESCRIPTOR_H
#define MACP_FCGI_DESCRIPTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "shared/arena.h"
#include "shared/config.h"
#include "shared/err.h"
#include "shared/uuid.h"

struct body_schema;

extern const struct body_schema descriptor_schema;          /* POST /runs */
extern const struct body_schema descriptor_validate_schema; /* POST /runs/validate */

enum { TRACE_ID_LEN = 33 };

struct run_draft {
    char run_id[UUID_LEN];
    char trace_id[TRACE_ID_LEN];
    const char *session_id;
    const char *idempotency_key; /* NULL: none */
    const char *mode, *mode_name, *runtime_kind;
    const char *runtime_version; /* the optional ones: NULL when absent */
    const char *source_kind, *source_ref, *environment, *scenario_ref;
    const char *callback_url, *callback_bearer;
    bool cancel_delegated;
    const char *tags; /* JSON texts */
    const char *descriptor;
    const char *metadata;
    const char *event_data;
};

/* UUID, or at least 22 characters of A-Z a-z 0-9 _ -. */
bool descriptor_session_id_ok(const char *session_id);

/* Is each tag short enough for an index? */
bool descriptor_check_tags(const json_t *document, struct err *err) MUST_CHECK;

/*
 * The trace id of a W3C traceparent header (NULL when there was none), else a random one. Never
 * all zeros.
 */
void descriptor_trace_id(const char *traceparent, char out[TRACE_ID_LEN]);

/* From a validated document, which is changed. traceparent may be NULL. */
bool descriptor_draft(struct arena *arena, json_t *document, const char *traceparent,
                      const struct config *config, struct run_draft *out,
                      struct err *err) MUST_CHECK;

#endif
