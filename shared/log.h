/*
 * log.h - one JSON object per line on stderr.
 *
 * Purpose    what an operator greps: ts, level, msg, program and the ids that are known.
 * Ownership  struct log_ctx borrows its strings for the call.
 * Errors     none: a line that cannot be written is lost.
 * Threads    any; a line is written with one write(2). The level may be changed at any time.
 *
 * Control characters are escaped by the JSON writer; secrets are never passed in. Library code
 * (shared/) logs nothing above debug: the loop or handler that decides what to do logs once.
 */
#ifndef MACP_SHARED_LOG_H
#define MACP_SHARED_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/macros.h"

enum log_level {
    LOG_TRACE,
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_FATAL,
    LOG_SILENT,
    LOG_LEVEL__COUNT
};

struct log_ctx {
    const char *run_id;
    const char *session_id;
    const char *request_id;
    int64_t seq;           /* 0: not known */
    const struct err *err; /* adds err and sqlstate */
};

void log_open(const char *program, enum log_level level);
void log_set_level(enum log_level level);
/* fatal, error, warn, info, debug, trace, silent. */
bool log_level_parse(const char *name, enum log_level *out) MUST_CHECK;
bool log_enabled(enum log_level level);

void log_line(enum log_level level, const struct log_ctx *ctx, const char *fmt, ...)
    PRINTF_FMT(3, 4);

#define log_debug(...) log_line(LOG_DEBUG, NULL, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, NULL, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, NULL, __VA_ARGS__)
/* With a cause: log_err(LOG_WARN, &err, "cannot ..."). */
#define log_err(level, e, ...) log_line((level), &(struct log_ctx){.err = (e)}, __VA_ARGS__)

#endif
