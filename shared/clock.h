/*
 * clock.h - the two clocks and the one time format.
 *
 * Purpose    wall time in milliseconds since 1970 (event times), monotonic milliseconds (waits,
 *            timers), and the text form YYYY-MM-DDTHH:MM:SS.mmmZ that every output uses.
 * Ownership  none. Errors: clock_parse returns false. Threads: any.
 */
#ifndef MACP_SHARED_CLOCK_H
#define MACP_SHARED_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/macros.h"

enum { CLOCK_TEXT_LEN = 25 }; /* with the NUL */

int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* YYYY-MM-DDTHH:MM:SS.mmmZ; out holds CLOCK_TEXT_LEN bytes; returns out. */
char *clock_text(int64_t wall_ms, char *out);

/*
 * RFC 3339, date-only and blank-separated forms (also what Postgres prints); no zone means UTC.
 * Fractions beyond milliseconds are cut. False when the text is no such time.
 */
bool clock_parse(const char *text, int64_t *wall_ms) MUST_CHECK;

#endif
