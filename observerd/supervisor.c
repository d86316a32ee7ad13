#include "observerd/supervisor.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "shared/clock.h"
#include "shared/log.h"

enum {
    STUCK_MS = 30000,       /* when nobody says otherwise */
    READY_LIMIT_MS = 20000, /* waiting for Postgres or the runtime is work, too */
    TELL_MS = 5000,
};

static int64_t
watchdog_ms(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 1000) : 0;
}

int64_t
supervisor_stuck_ms(void)
{
    int64_t ms = watchdog_ms();

    return ms ? ms / 2 : STUCK_MS; /* the other half is for telling */
}

void
supervisor_init(struct supervisor *s, const struct status *status)
{
    *s = (struct supervisor){.status = status,
                             .watchdog_ms = watchdog_ms(),
                             .ready_by_ms = clock_mono_ms() + READY_LIMIT_MS};
}

static int64_t
pause_of(const struct supervisor *s)
{
    if (!s->ready)
        return 200;
    return s->watchdog_ms && s->watchdog_ms / 4 < TELL_MS ? s->watchdog_ms / 4 : TELL_MS;
}

int64_t
supervisor_due(const struct supervisor *s)
{
    return s->told_ms + pause_of(s);
}

void
supervisor_tell(struct supervisor *s, const char *line)
{
    int64_t now = clock_mono_ms();

    if (now < supervisor_due(s))
        return;
    s->told_ms = now;
    if (!s->ready && (status_is_ready(s->status) || now >= s->ready_by_ms)) {
        s->ready = true;
        sd_notify(0, "READY=1");
    }
    if (status_is_alive(s->status))
        sd_notifyf(0, "STATUS=%s\nWATCHDOG=1", line);
    else
        log_error("a thread is stuck, the supervisor is not told that we live");
}

void
supervisor_reloading(void)
{
    sd_notify(0, "RELOADING=1");
}

void
supervisor_reloaded(const struct supervisor *s)
{
    if (s->ready)
        sd_notify(0, "READY=1");
}

void
supervisor_stopping(int64_t limit_ms)
{
    sd_notifyf(0, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%" PRId64,
               (limit_ms + 5000) * 1000);
}
