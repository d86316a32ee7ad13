/*
 * bench_lists - how fast lists answer when much is stored.
 *
 *   bench_lists [RUNS]    200,000 unless said otherwise, with about 24 events each
 *
 * Makes runs and events of three months by lists.sql, then asks for each list with each documented
 * filter through the web server and macp-fcgi, one request after the other, until its last byte is
 * there. The floor is one run by its id: what the way through web server, handler and Postgres
 * costs when a single row is read.
 *
 * Prints a table and asserts nothing: figures are for people. Run it from the top of the tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/machine.h"
#include "tests/support/world.h"

#define GENERATOR "tests/bench/lists.sql"

enum { RUNS = 200000, WARM = 2, REQUESTS = 20, LOAD_MS = 30 * 60 * 1000, ASK_MS = 30000 };

enum { MOST_US = 150 * 1000 }; /* lists stay below, or are marked */

/* Slow answers shall be measured, not refused. */
static const char *const fcgi_env[] = {"DB_POOL_CONNECTION_TIMEOUT=20000", NULL};

/*
 * {run}: a run with many events; {hook}, {quiet}: a webhook with many deliveries, with few; {day},
 * {week}, {month}: so long ago; {cursor}: of a week ago; {end}: the last one there can be.
 */
static const char *const paths[] = {
    "/runs/{run}",
    "/runs",
    "/runs?limit=200",
    "/runs?includeSandbox=true&includeArchived=true",
    "/runs?sortOrder=asc",
    "/runs?sortBy=updatedAt",
    "/runs?sortBy=updatedAt&sortOrder=asc",
    "/runs?offset=10000",
    "/runs?offset=100000",
    "/runs?offset=100000&limit=200&search=e&sortBy=updatedAt",
    "/runs?status=completed",
    "/runs?status=failed&sortBy=updatedAt",
    "/runs?status=queued",
    "/runs?status=running&sortOrder=asc",
    "/runs?tags=team-1",
    "/runs?tags=team-1&sortBy=updatedAt",
    "/runs?tags=team-1,nightly",
    "/runs?tags=rare",
    "/runs?tags=nobody-has-it",
    "/runs?environment=production",
    "/runs?environment=production&sortBy=updatedAt&sortOrder=asc",
    "/runs?environment=development&sortBy=updatedAt",
    "/runs?environment=nowhere",
    "/runs?scenarioRef=scenario-1",
    "/runs?scenarioRef=scenario-1&sortBy=updatedAt&offset=10000",
    "/runs?scenarioRef=scenario-59@",
    "/runs?scenarioRef=nothing-like-it",
    "/runs?search=e",
    "/runs?search=q",
    "/runs?search=e&sortBy=updatedAt&sortOrder=asc",
    "/runs?search=nightly",
    "/runs?search=policy.v3",
    "/runs?search=policy.v3&sortBy=updatedAt&offset=10000",
    "/runs?search=abc12",
    "/runs?search=nothing-like-it",
    "/runs?createdAfter={day}",
    "/runs?createdBefore={month}",
    "/runs?createdAfter={month}&createdBefore={week}&sortBy=updatedAt",
    "/runs?status=failed&environment=staging&tags=nightly&search=a",
    ("/runs?status=completed&environment=production&scenarioRef=scenario-1&search=policy.v1"
     "&sortBy=updatedAt"),
    "/runs?status=cancelled&environment=development&tags=team-3&search=q&createdAfter={month}",
    "/events",
    "/events?limit=10000",
    "/events?afterSeq={cursor}",
    "/events?type=message.sent",
    "/events?type=policy.denied",
    "/events?type=policy.denied,run.created,signal.emitted",
    "/events?type=nothing.like.it",
    "/events?type=decision.finalized&afterSeq={cursor}",
    "/events?afterTs={day}",
    "/events?beforeTs={month}",
    "/events?afterTs={month}&beforeTs={week}",
    "/events?afterTs={week}&type=run.created",
    "/events?runId={run}",
    "/events?runId={run}&type=signal.emitted",
    "/events?runId={run}&afterSeq=50",
    "/events?runId={run}&beforeSeq=50",
    "/events?runId={run}&afterTs={month}&scenarioRef=scenario",
    "/events?scenarioRef=scenario",
    "/events?scenarioRef=scenario-7@",
    "/events?scenarioRef=scenario-7@&afterSeq={cursor}",
    "/events?scenarioRef=scenario-30@",
    "/events?scenarioRef=scenario-59@",
    "/events?scenarioRef=scenario-59@&afterSeq={cursor}",
    "/events?scenarioRef=scenario-1&type=policy.denied",
    "/events?scenarioRef=nothing-like-it",
    "/events?beforeSeq={end}",
    "/events?beforeSeq={end}&limit=10000",
    "/events?beforeSeq={cursor}",
    "/events?beforeSeq={end}&type=policy.denied",
    "/events?beforeSeq={end}&type=nothing.like.it",
    "/events?beforeSeq={end}&afterSeq={cursor}",
    "/events?beforeSeq={end}&beforeTs={month}",
    "/events?beforeSeq={end}&scenarioRef=scenario-7@",
    "/events?beforeSeq={end}&scenarioRef=scenario-59@",
    "/events?beforeSeq={end}&scenarioRef=scenario-1&type=policy.denied",
    "/runs/{run}/events?type=signal.emitted",
    "/runs/{run}/events?beforeSeq=2147483647",
    "/dashboard/overview",
    "/dashboard/overview?window=15m",
    "/dashboard/overview?window=1h",
    "/dashboard/overview?window=6h",
    "/dashboard/overview?window=24h",
    "/dashboard/overview?window=7d",
    "/dashboard/overview?window=30d",
    "/dashboard/overview?range=7d",
    "/dashboard/overview?from={month}&to={week}",
    "/dashboard/overview?window=24h&environment=staging",
    "/dashboard/overview?window=30d&environment=production",
    "/dashboard/overview?window=24h&scenarioRef=scenario-1",
    "/dashboard/overview?window=30d&scenarioRef=scenario-1",
    "/dashboard/overview?window=7d&scenarioRef=scenario-1&environment=production",
    "/dashboard/agents/metrics",
    "/audit",
    "/audit?limit=200&offset=100000",
    "/audit?action=webhook.create",
    "/audit?action=run.create",
    "/audit?actor=nobody",
    "/audit?actor=key-c4ca4238",
    "/audit?createdAfter={month}&createdBefore={week}",
    "/audit?resource=run",
    "/audit?resource=run&createdAfter={week}",
    "/audit?resource=run&resourceId={run}",
    "/audit?resourceId={run}",
    "/audit?resourceId=nobody",
    "/webhooks",
    "/webhooks/{hook}/deliveries",
    "/webhooks/{hook}/deliveries?limit=200&offset=100000",
    "/webhooks/{hook}/deliveries?status=delivered",
    "/webhooks/{hook}/deliveries?status=failed",
    "/webhooks/{hook}/deliveries?status=pending",
    "/webhooks/{quiet}/deliveries",
    "/webhooks/{quiet}/deliveries?status=failed",
};

/* --- what is asked about --------------------------------------------------------------------- */

static bool
read_generator(long runs, struct buf *out, struct err *err)
{
    FILE *f = fopen(GENERATOR, "r");
    char line[4096], *mark;

    if (!f)
        return err_set(err, ERR_IO, "no %s: run it from the top of the tree", GENERATOR);
    while (fgets(line, sizeof line, f)) {
        mark = strstr(line, ":runs:");
        if (mark)
            buf_printf(out, "%.*s%ld%s", (int)(mark - line), line, runs, mark + strlen(":runs:"));
        else
            buf_str(out, line);
    }
    fclose(f);
    return true;
}

static bool
load(struct world *w, long runs, struct err *err)
{
    struct db *db = db_new(w->admin_url, "bench", LOAD_MS);
    int64_t began = clock_mono_ms();
    AUTO_BUF sql = {0};
    char events[32];
    bool ok = read_generator(runs, &sql, err) && db_script(db, buf_cstr(&sql), err) &&
              /* What the observer does every hour. */
              db_script(db, "select macp.sum_up_agents() from generate_series(0, 1000)", err) &&
              db_script(db, "vacuum analyze", err) &&
              world_sql(w, events, sizeof events, err,
                        "select sum(reltuples)::bigint from pg_class where relname ~ "
                        "'^run_events_canonical_[0-9]+$'");

    db_close(db);
    if (ok)
        printf("%ld runs, about %s events, made in %lld s\n\n", runs, events,
               (long long)(clock_mono_ms() - began) / 1000);
    return ok;
}

/* --- asking ---------------------------------------------------------------------------------- */

static void
ago(const char *name, int days, struct buf *out)
{
    char text[CLOCK_TEXT_LEN];

    if (strcmp(name, "cursor") == 0)
        buf_printf(out, "%lld", (long long)(clock_wall_ms() - days * 86400000LL) << 11);
    else
        buf_str(out, clock_text(clock_wall_ms() - days * 86400000LL, text));
}

/* What is asked about by its id. */
struct named {
    const char *name, *sql;
    char id[UUID_LEN];
};

static void
fill(const char *path, const struct named *named, struct buf *out)
{
    static const struct {
        const char *name;
        int days;
    } times[] = {{"day", 1}, {"week", 7}, {"month", 30}, {"cursor", 7}};

    while (*path) {
        const char *open = strchr(path, '{'), *close = open ? strchr(open, '}') : NULL;
        char name[16];

        if (!close) {
            buf_str(out, path);
            return;
        }
        buf_add(out, path, (size_t)(open - path));
        snprintf(name, sizeof name, "%.*s", (int)(close - open - 1), open + 1);
        if (strcmp(name, "end") == 0)
            buf_printf(out, "%lld", 1LL << 53);
        for (const struct named *n = named; n->name; n++)
            if (strcmp(name, n->name) == 0)
                buf_str(out, n->id);
        for (size_t i = 0; i < ARRAY_LEN(times); i++)
            if (strcmp(name, times[i].name) == 0)
                ago(name, times[i].days, out);
        path = close + 1;
    }
}

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* In microseconds. */
static bool
ask(struct world *w, const char *path, int64_t *p95, struct err *err)
{
    AUTO_HTTP_REPLY r = {0};
    int64_t took_us[REQUESTS];

    for (int i = -WARM; i < REQUESTS; i++) {
        if (!http_get(&w->http, &r, err, "%s", path))
            return false;
        if (r.status != 200)
            return err_set(err, ERR_IO, "%s: %d %.200s", path, r.status, buf_cstr(&r.body));
        if (i >= 0)
            took_us[i] = r.elapsed_us;
    }
    qsort(took_us, REQUESTS, sizeof took_us[0], by_value);
    *p95 = took_us[REQUESTS * 95 / 100];
    printf("%8.1f %8.1f %c %9zu  %s\n", (double)took_us[REQUESTS / 2] / 1000, (double)*p95 / 1000,
           *p95 > MOST_US ? '*' : ' ', r.body.len, path);
    fflush(stdout);
    return true;
}

static bool
ask_all(struct world *w, struct err *err)
{
    struct named named[] = {
        {"run",
         "select r.id from macp.runs r join macp.run_observers using (run_key) order by last_seq "
         "desc, "
         "run_key limit 1",
         ""},
        {"hook", "select id from macp.webhooks where webhook_key = 1", ""},
        {"quiet", "select id from macp.webhooks where webhook_key = 2", ""},
        {0},
    };
    int64_t p95 = 0, slowest = 0;
    int slow = 0;

    for (struct named *n = named; n->name; n++)
        if (!world_sql(w, n->id, sizeof n->id, err, "%s", n->sql))
            return false;
    w->http.timeout_ms = ASK_MS;
    printf("  p50 ms   p95 ms       bytes  GET\n");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO_BUF path = {0};

        fill(paths[i], named, &path);
        if (!ask(w, buf_cstr(&path), &p95, err))
            return false;
        if (p95 > slowest)
            slowest = p95;
        slow += p95 > MOST_US;
        if (i == 0)
            printf("                               ^ the floor: one run by its id\n");
    }
    printf("%17.1f              the slowest; %d of %zu above %d ms (*)\n", (double)slowest / 1000,
           slow, ARRAY_LEN(paths), MOST_US / 1000);
    return true;
}

int
main(int argc, char **argv)
{
    long runs = argc > 1 ? strtol(argv[1], NULL, 10) : RUNS;
    struct err err = {0};
    struct world w;
    bool ok;

    if (runs < 1) {
        fprintf(stderr, "usage: %s [RUNS]\n", argv[0]);
        return 2;
    }
    machine_print();
    ok = world_start(&w,
                     &(struct world_options){
                         .without_runtime = true, .without_observerd = true, .fcgi_env = fcgi_env},
                     &err) &&
         load(&w, runs, &err) && ask_all(&w, &err);
    world_stop(&w);
    if (!ok)
        fprintf(stderr, "bench_lists: %s\n", err.msg);
    return ok ? 0 : 1;
}
