/*
 * signals.h - the watch that hears signals and progress.
 *
 * Purpose    keeps one WatchSignals stream open, finds the session each envelope belongs to and
 *            gives it to ambient.h. What happened while the stream was down cannot be had again:
 *            each interruption becomes a gap.
 * Ownership  struct signals is the watch's. Errors: none come out; the stream is opened again.
 * Threads    the watch's.
 */
#ifndef MACP_OBSERVERD_SIGNALS_H
#define MACP_OBSERVERD_SIGNALS_H

#include <stdint.h>

#include "observerd/ambient.h"
#include "observerd/runtime.h"
#include "observerd/timers.h"
#include "shared/arena.h"

struct signals {
    struct rt_queue *queue;
    struct timers *timers;
    struct ambient *ambient;
    struct rt_stream *stream;
    struct timer reconnect, settle;
    int64_t opened_ms;  /* wall clock: the headers came */
    int64_t lost_ms;    /* wall clock: since then nothing is heard; 0: no stream has failed */
    int64_t healthy_ms; /* monotonic: from then on it counts as a lasting connection */
    int64_t backoff_ms;
    char cause[200];
    struct arena arena;
};

/* ambient NULL: signals are not watched. */
void signals_start(struct signals *s, struct rt_queue *queue, struct timers *timers,
                   struct ambient *ambient);
/* The queue has ended. */
void signals_fini(struct signals *s);

/* The session an ambient envelope belongs to: its own, or the one its payload names; "" for none.
 */
struct envelope;
const char *signals_session_of(const struct envelope *e, struct arena *a) MUST_CHECK;

#endif
