#include "shared/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/json.h"

static const char *const names[LOG_LEVEL__COUNT] = {
    [LOG_TRACE] = "trace", [LOG_DEBUG] = "debug", [LOG_INFO] = "info",     [LOG_WARN] = "warn",
    [LOG_ERROR] = "error", [LOG_FATAL] = "fatal", [LOG_SILENT] = "silent",
};

/* The log is one of the two tolerated process-wide states. */
static _Atomic int level_now = LOG_INFO;
static const char *program_name = "macp";

void
log_open(const char *program, enum log_level level)
{
    program_name = program;
    level_now = (int)level;
}

void
log_set_level(enum log_level level)
{
    level_now = (int)level;
}

bool
log_level_parse(const char *name, enum log_level *out)
{
    for (int i = 0; i < LOG_LEVEL__COUNT; i++)
        if (strcasecmp(name, names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

bool
log_enabled(enum log_level level)
{
    return (int)level >= level_now && level != LOG_SILENT;
}

static void
add_text(struct buf *b, const char *key, const char *value)
{
    if (!value || !value[0])
        return;
    buf_printf(b, ",\"%s\":", key);
    jv_write_text(b, value, strlen(value));
}

/* One write as a rule; a signal or a full pipe may split it. */
static void
write_all(const char *p, size_t n)
{
    while (n) {
        ssize_t written = write(STDERR_FILENO, p, n);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nowhere left to say it */
        p += written;
        n -= (size_t)written;
    }
}

void
log_line(enum log_level level, const struct log_ctx *ctx, const char *fmt, ...)
{
    AUTO_BUF line = {0};
    AUTO_BUF msg = {0};
    char when[CLOCK_TEXT_LEN];
    va_list ap;
    int n;

    if (!log_enabled(level))
        return;
    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    buf_reserve(&msg, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(msg.p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf_printf(&line, "{\"ts\":\"%s\",\"level\":\"%s\",\"program\":\"%s\"",
               clock_text(clock_wall_ms(), when), names[level], program_name);
    add_text(&line, "msg", buf_cstr(&msg));
    if (ctx) {
        add_text(&line, "run_id", ctx->run_id);
        add_text(&line, "session_id", ctx->session_id);
        add_text(&line, "request_id", ctx->request_id);
        if (ctx->seq)
            buf_printf(&line, ",\"seq\":%lld", (long long)ctx->seq);
        if (ctx->err) {
            add_text(&line, "err", ctx->err->msg);
            add_text(&line, "sqlstate", ctx->err->sqlstate);
        }
    }
    buf_lit(&line, "}\n");
    write_all(line.p, line.len);
}
