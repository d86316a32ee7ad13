/*
 * job.h - plays and pumps that run beside the one who asked for them.
 *
 * Purpose    a thread with JSON in and JSON out, that can be asked for its result later.
 * Ownership  a job keeps its arguments and result until jobs_join.
 * Errors     the result says "ok": false and "error".
 * Threads    every function here takes the lock itself; a job function starts without it.
 */
#ifndef MACP_RUNTIME_JOB_H
#define MACP_RUNTIME_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/macros.h"

struct world;

typedef json_t *(*job_fn)(struct world *w, const json_t *args);

/* Returns the job's number. */
int64_t job_start(struct world *w, job_fn run, const json_t *args);
/* {"ok":true,"done":...,"result":...}; waits for the end when asked to. */
json_t *job_result(struct world *w, int64_t id, bool wait);
/* Wait for all jobs and forget them; the world must be stopping. */
void jobs_join(struct world *w);

/* {"ok":false,"error":text}: what every failing command answers. */
json_t *job_error(const char *fmt, ...) PRINTF_FMT(1, 2);

#endif
