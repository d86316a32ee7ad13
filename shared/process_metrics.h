/*
 * process_metrics.h - what every Prometheus client says about its process.
 *
 * Purpose    processor time, memory and descriptors in the text format.
 * Ownership  none. Errors: what cannot be read is 0. Threads: any.
 */
#ifndef MACP_SHARED_PROCESS_METRICS_H
#define MACP_SHARED_PROCESS_METRICS_H

#include "shared/buf.h"

void process_metrics_write(struct buf *out);

#endif
