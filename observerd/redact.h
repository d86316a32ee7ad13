/*
 * redact.h - operator's patterns rewrite the strings of event data before anything sees them.
 *
 * Purpose    JavaScript regular expressions on PCRE2; every match becomes [REDACTED]. Matching is
 *            on code points and case-sensitive; \d \w \s \b know ASCII only, . is anything but a
 *            line feed, $ is the very end.
 * Ownership  struct redactor is heap memory (redact_free) and immutable once built.
 * Errors     redact_new fails naming the pattern that does not translate or compile. A string on
 *            which a pattern takes too long, or whose result grows beyond bounds, is redacted as
 *            a whole and counted: a sender must not be able to stall its run.
 * Threads    any thread may apply a redactor; the counter is atomic.
 */
#ifndef MACP_OBSERVERD_REDACT_H
#define MACP_OBSERVERD_REDACT_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

#define REDACT_MARKER "[REDACTED]"

struct redactor;

/* Patterns are trimmed, empty ones dropped. No pattern left gives *out = NULL and true. */
bool redact_new(const char *const *patterns, size_t n, struct redactor **out,
                struct err *err) MUST_CHECK;
void redact_free(struct redactor *r);

/* Any value, rewritten: new reference. r NULL: the value itself with a reference added. */
json_t *redact_value(const struct redactor *r, json_t *v) MUST_CHECK;
/*
 * The data object of one event: payload and decodedPayload know which members are base64 of
 * bytes when decoded_as says what they were decoded from. New reference. What no pattern matches
 * is shared with data, not copied.
 */
json_t *redact_data(const struct redactor *r, json_t *data,
                    const ProtobufCMessageDescriptor *decoded_as) MUST_CHECK;

/* Strings redacted as a whole because a bound was hit. */
uint64_t redact_blown(const struct redactor *r);

#endif
