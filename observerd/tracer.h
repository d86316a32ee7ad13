/*
 * tracer.h - spans to a collector: OTLP over HTTP, as JSON.
 *
 * Purpose    what takes how long, under the trace id that the run has had since it was posted.
 *            Nobody waits for a collector: spans wait here in a bounded text, a full one drops
 *            what is new, a request that fails drops what it held; both are counted.
 * Ownership  struct tracer is heap memory of main and outlives outbound. Texts are copied.
 * Errors     none. Tracing that is off is a NULL tracer: every function takes it.
 * Threads    tracer_add and tracer_samples from any; tracer_send from the control thread.
 *
 * Samplers: whether the caller's own span was sampled is not stored with a run, so parentbased_X
 * decides as X does. The ratio looks at the trace id alone: every process decides alike.
 */
#ifndef MACP_OBSERVERD_TRACER_H
#define MACP_OBSERVERD_TRACER_H

#include <stdbool.h>
#include <stdint.h>

#include "observerd/outbound.h"
#include "shared/buf.h"

enum { TRACER_ID_LEN = 17, TRACER_ATTRIBUTES_MAX = 8 };

struct tracer;

struct span_attribute {
    const char *key;
    const char *text; /* NULL: the number */
    int64_t number;
};

struct span {
    const char *name, *trace_id;
    const char *id;                                              /* NULL: a new one */
    const char *parent_id;                                       /* NULL: none */
    int64_t start_us, end_us;                                    /* clock_wall_us */
    const char *error;                                           /* NULL: all is well */
    struct span_attribute attributes[TRACER_ATTRIBUTES_MAX + 1]; /* up to the first without key */
    const char *events; /* JSON, as tracer_event writes them; NULL: none */
};

/* NULL when OTEL_ENABLED is false, or no endpoint is set. */
struct tracer *tracer_new(const struct config *cfg) MUST_CHECK;
void tracer_free(struct tracer *t);

bool tracer_samples(const struct tracer *t, const char *trace_id);
void tracer_add(struct tracer *t, const struct span *span);
/* An event of a span that is still open, appended with a comma in front of all but the first. */
void tracer_event(struct buf *events, const char *name, int64_t wall_ms,
                  const struct span_attribute *attributes);
/* The id of a run's own span: the same in every process. */
void tracer_run_id(const char *run_id, char out[TRACER_ID_LEN]);

/* Hand over what waits, when it is time. */
void tracer_send(struct tracer *t, struct outbound *o);
/* Hand over everything and wait until it has arrived, or the time is up. */
void tracer_drain(struct tracer *t, struct outbound *o, int64_t limit_ms);

#endif
