/*
 * futex.h - waits inside libraries that do not depend on the wall clock.
 *
 * Purpose    gRPC waits for its timers through Abseil, until a time of the wall clock. When that is
 *            set back, every deadline, keepalive and reconnect stands still until it has come
 *            there again. So this program has a syscall() of its own, which libraries find before
 *            the C library's: it turns these waits into ones by the monotonic clock and passes on
 *            everything else.
 * Ownership  none.
 * Errors     as the system's.
 * Threads    any; futex_init before the first of them.
 */
#ifndef MACP_OBSERVERD_FUTEX_H
#define MACP_OBSERVERD_FUTEX_H

void futex_init(void);

#endif
