#include "fcgi/run_wait.h"

#include <unistd.h>

#include "fcgi/app.h"
#include "shared/clock.h"

enum {
    RUN_WAIT_MS = 1000,
    RUN_WAIT_LOOK_MS = 50,
};

bool
run_wait_more(struct app *app, struct run_wait *w)
{
    if (!w->started) {
        w->started = true;
        w->granted = share_enter(&app->waiting);
        w->until_ms = clock_mono_ms() + RUN_WAIT_MS;
    }
    if (!w->granted || clock_mono_ms() >= w->until_ms)
        return false;
    usleep(RUN_WAIT_LOOK_MS * 1000);
    return true;
}

void
run_wait_end(struct app *app, struct run_wait *w)
{
    if (w->granted)
        share_leave(&app->waiting);
    w->started = w->granted = false;
}
