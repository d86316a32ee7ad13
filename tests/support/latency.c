#include "tests/support/latency.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/clock.h"
#include "shared/db.h"
#include "tests/support/process.h"
#include "tests/support/world.h"

enum { LOOK_EVERY_MS = 1 };

struct latency {
    pthread_t thread;
    struct db *db;
    char session[WORLD_SESSION_LEN];
    int64_t envelopes, deadline_ms; /* monotonic */
    int64_t *seen_ms;               /* by ordinal, wall clock */
    bool ok;
    struct err err;
};

static bool
look(struct latency *l, int64_t *cursor)
{
    AUTO_DB_RESULT *rows = NULL;
    char sql[WORLD_SESSION_LEN + 128];

    snprintf(sql, sizeof sql,
             "select cursor from macp.run_observers join macp.runs using (run_key) where "
             "session_id = '%s'",
             l->session);
    if (!db_script_rows(l->db, sql, &rows, &l->err))
        return false;
    *cursor = db_rows(rows) ? db_int(rows, 0, 0) : 0;
    return true;
}

static void *
watch(void *arg)
{
    struct latency *l = arg;
    int64_t known = 0, cursor;

    while (known < l->envelopes) {
        if (!look(l, &cursor))
            return NULL;
        for (int64_t now = clock_wall_ms(); known < cursor && known < l->envelopes;)
            l->seen_ms[++known] = now;
        if (clock_mono_ms() > l->deadline_ms) {
            err_set(&l->err, ERR_IO, "only %" PRId64 " of %" PRId64 " envelopes were seen", known,
                    l->envelopes);
            return NULL;
        }
        process_pause(LOOK_EVERY_MS);
    }
    l->ok = true;
    return NULL;
}

struct latency *
latency_watch(const char *url, const char *session, int envelopes, int timeout_ms)
{
    struct latency *l = xcalloc(1, sizeof *l);

    l->db = db_new(url, "latency", 30000);
    snprintf(l->session, sizeof l->session, "%s", session);
    l->envelopes = envelopes;
    l->deadline_ms = clock_mono_ms() + timeout_ms;
    l->seen_ms = xcalloc((size_t)envelopes + 1, sizeof *l->seen_ms);
    if (pthread_create(&l->thread, NULL, watch, l) != 0)
        BUG("cannot start a thread");
    return l;
}

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool
sum_up(struct latency *l, struct latency_figures *out, struct err *err)
{
    AUTO_DB_RESULT *sent = NULL;
    char sql[WORLD_SESSION_LEN + 256];
    int64_t *took;

    snprintf(sql, sizeof sql,
             "select ordinal, (extract(epoch from sent_at) * 1000)::bigint from "
             "macp.run_events_raw join macp.runs using (run_key) where session_id = '%s' and "
             "source = 'session' and ordinal between 2 and %" PRId64,
             l->session, l->envelopes);
    if (!db_script_rows(l->db, sql, &sent, err))
        return false;
    out->n = db_rows(sent);
    if (out->n == 0)
        return err_set(err, ERR_IO, "session %s has no envelopes", l->session);
    took = xcalloc((size_t)out->n, sizeof *took);
    for (int i = 0; i < out->n; i++)
        took[i] = l->seen_ms[db_int(sent, i, 0)] - db_int(sent, i, 1);
    qsort(took, (size_t)out->n, sizeof *took, by_value);
    out->p50_ms = took[out->n / 2];
    out->p99_ms = took[out->n * 99 / 100];
    out->max_ms = took[out->n - 1];
    free(took);
    return true;
}

bool
latency_finish(struct latency *l, struct latency_figures *out, struct err *err)
{
    bool ok;

    pthread_join(l->thread, NULL);
    ok = l->ok;
    if (ok)
        ok = sum_up(l, out, err);
    else
        *err = l->err;
    db_close(l->db);
    free(l->seen_ms);
    free(l);
    return ok;
}
