/*
 * http_metrics.h - how many requests there were, and how long they took.
 *
 * Purpose    counters per method, route and status, and their page in the Prometheus text format.
 *            Routes are named by their template, so ids and unknown paths make no new series.
 * Ownership  struct http_metrics is heap memory (http_metrics_free).
 * Errors     none.
 * Threads    any: plain atomic counters, no lock. A page may be off by requests that end while it
 *            is written, but each histogram adds up.
 */
#ifndef MACP_FCGI_HTTP_METRICS_H
#define MACP_FCGI_HTTP_METRICS_H

#include <stdint.h>

#include "fcgi/request.h"
#include "shared/buf.h"
#include "shared/macros.h"

struct http_metrics;

struct http_metrics *http_metrics_new(void) MUST_CHECK;
void http_metrics_free(struct http_metrics *m);

/* A finished request; those for CORS alone are not counted. */
void http_metrics_count(struct http_metrics *m, const struct request *rq, int status,
                        int64_t took_us);
void http_metrics_write(const struct http_metrics *m, struct buf *out);

#endif
