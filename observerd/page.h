/*
 * page.h - this process over HTTP: /metrics, /healthz, /readyz.
 *
 * Purpose    for Prometheus and for probes, on OBSERVERD_METRICS_ADDR. /metrics is the text
 *            format; the other two answer 200 or 503 with the reasons as JSON.
 * Ownership  struct page is heap memory (page_stop). The status is borrowed and must outlive it.
 * Errors     page_start fails when nobody can listen on the address.
 * Threads    one of its own; it asks nobody and waits for nobody, so it answers whatever is stuck.
 */
#ifndef MACP_OBSERVERD_PAGE_H
#define MACP_OBSERVERD_PAGE_H

#include "observerd/status.h"
#include "shared/err.h"

struct page;

/* host:port; an IPv6 address in brackets. */
bool page_start(const char *address, const struct status *status, struct page **out,
                struct err *err) MUST_CHECK;
/* The port, which the system chose when the address says 0. */
int page_port(const struct page *p);
/* NULL is fine. */
void page_stop(struct page *p);

#endif
