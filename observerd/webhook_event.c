#include "observerd/webhook_event.h"

#include "shared/clock.h"

const char *
webhook_event_name(enum run_status from, enum run_status to)
{
    static const char *const names[RUN_STATUS__COUNT] = {
        [RUN_RUNNING] = "run.started",     [RUN_SUSPENDED] = "run.suspended",
        [RUN_COMPLETED] = "run.completed", [RUN_FAILED] = "run.failed",
        [RUN_CANCELLED] = "run.cancelled",
    };

    return from == RUN_SUSPENDED && to == RUN_RUNNING ? "run.resumed" : names[to];
}

void
webhook_event_body(const char *event, const char *run_id, enum run_status status, int64_t wall_ms,
                   const char *error, struct buf *out)
{
    char time[CLOCK_TEXT_LEN];

    buf_printf(out, "{\"event\":\"%s\",\"runId\":\"%s\",\"status\":\"%s\",\"timestamp\":\"%s\"",
               event, run_id, run_status_name(status), clock_text(wall_ms, time));
    if (error) {
        buf_lit(out, ",\"data\":{\"error\":");
        buf_json(out, error);
        buf_char(out, '}');
    }
    buf_char(out, '}');
}
