/*
 * redact_syntax.h - JavaScript regular expression source to PCRE2 source.
 *
 * Purpose    operators wrote their patterns for a JavaScript program; what means the same in both
 *            passes, what is written differently is rewritten, what has no counterpart is refused.
 * Ownership  the result is appended to the caller's buffer.
 * Errors     false + *err naming the construct. What is left for the compiler to refuse
 *            (unbalanced brackets, unknown groups) passes.
 * Threads    any.
 */
#ifndef MACP_OBSERVERD_REDACT_SYNTAX_H
#define MACP_OBSERVERD_REDACT_SYNTAX_H

#include "shared/buf.h"
#include "shared/err.h"

bool redact_translate(const char *source, struct buf *out, struct err *err) MUST_CHECK;

#endif
