#include "tests/support/stream_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"

#define DECISION "macp.mode.decision.v1"

enum { CONTROL_MS = 90000 };

/* --- the runtime ------------------------------------------------------------------------------ */

bool
stream_load_pump(struct world *w, const char *const *sessions, int n, int envelopes, int rate,
                 int payload_bytes, json_int_t *job, struct err *err)
{
    json_t *ids = json_array(), *answer;

    for (int i = 0; i < n; i++)
        json_array_append_new(ids, json_string(sessions[i]));
    answer = runtime_ctl_call(&w->ctl,
                              json_pack("{s:s, s:o, s:i, s:i, s:i, s:b, s:b}", "cmd", "pump", "ids",
                                        ids, "envelopes", envelopes, "rate", rate, "payloadBytes",
                                        payload_bytes, "waitSubscribers", 1, "wait", 0),
                              process_slow(CONTROL_MS), err);
    if (!answer)
        return false;
    *job = json_integer_value(json_object_get(answer, "job"));
    json_decref(answer);
    return true;
}

bool
stream_load_pumped(struct world *w, json_int_t job, struct err *err)
{
    json_t *answer =
        runtime_ctl_call(&w->ctl, json_pack("{s:s, s:I, s:b}", "cmd", "job", "id", job, "wait", 1),
                         process_slow(CONTROL_MS), err);

    json_decref(answer);
    return answer != NULL;
}

/* --- what was seen ---------------------------------------------------------------------------- */

static bool
compare(const json_t *events, const struct sse_client *c, int64_t after, char *what, size_t size)
{
    const json_t *e;
    size_t i, at = 0;

    json_array_foreach (events, i, e) {
        json_int_t seq = json_integer_value(json_object_get(e, "seq"));

        if (seq <= after || seq > c->last_seq)
            continue;
        if (at >= c->n || c->events[at].seq != seq) {
            snprintf(what, size, "event %lld is missing or out of place (%zu of %zu seen)",
                     (long long)seq, at, c->n);
            return false;
        }
        at++;
    }
    if (at != c->n || c->disorder || c->id_elsewhere || !c->terminal) {
        snprintf(what, size, "%zu events instead of %zu%s%s%s", c->n, at,
                 c->disorder ? ", out of order" : "", c->id_elsewhere ? ", stray ids" : "",
                 c->terminal ? "" : ", without the last one");
        return false;
    }
    return true;
}

bool
stream_load_complete(struct world *w, const struct sse_client *c, int64_t after, char *what,
                     size_t size, struct err *err)
{
    json_t *events = world_events(w, c->run, err);
    bool ok;

    if (!events)
        return false;
    *err = (struct err){0};
    ok = compare(events, c, after, what, size);
    json_decref(events);
    return ok;
}

bool
stream_load_all_complete(struct world *w, const struct sse *sse, int64_t after, char *what,
                         size_t size, struct err *err)
{
    json_t *runs = json_object(); /* each is asked for once */
    bool ok = true;

    *err = (struct err){0};
    for (size_t i = 0; ok && i < sse->n; i++) {
        const struct sse_client *c = sse->clients[i];

        if (!json_object_get(runs, c->run))
            json_object_set_new(runs, c->run, world_events(w, c->run, err));
        ok = !err->code && compare(json_object_get(runs, c->run), c, after, what, size);
    }
    json_decref(runs);
    return ok;
}

/* --- a load ------------------------------------------------------------------------------------
 */

struct loaded_run {
    char run[UUID_LEN];
    char session[WORLD_SESSION_LEN];
    int64_t *sent_ms; /* by sequence number of message.received */
    int64_t last_seq;
};

static bool
post_runs(struct world *w, struct loaded_run *runs, int n, struct err *err)
{
    for (int i = 0; i < n; i++) {
        AUTO_HTTP_REPLY r = {0};
        json_t *d = world_descriptor(DECISION, NULL);
        bool sent = http_post(&w->http, "/runs", d, &r, err);

        json_decref(d);
        if (!sent)
            return false;
        if (r.status != 201)
            return err_set(err, ERR_IO, "POST /runs: %d", r.status);
        snprintf(runs[i].run, UUID_LEN, "%s", json_string_value(json_object_get(r.json, "runId")));
        snprintf(runs[i].session, WORLD_SESSION_LEN, "%s",
                 json_string_value(json_object_get(r.json, "sessionId")));
    }
    return true;
}

static bool
has_begun(struct sse *s, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < s->n; i++)
        if (!s->clients[i]->kinds.len)
            return false;
    return true;
}

static bool
has_ended(struct sse *s, void *ctx)
{
    (void)ctx;
    return sse_ended(s) == s->n;
}

/* When the runtime accepted what each message.received tells of. */
static bool
read_times(struct world *w, struct loaded_run *run, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    if (!world_sql_rows(w, &r, err,
                        "select c.seq, (extract(epoch from (select max(e.sent_at) from "
                        "macp.run_events_raw e where e.day = c.day and e.run_key = c.run_key and "
                        "e.seq = c.seq - 1)) * 1000)::bigint from macp.run_events_canonical c "
                        "join macp.runs r using (run_key) where r.id = '%s' and c.type = "
                        "'message.received' order by c.seq",
                        run->run))
        return false;
    if (db_rows(r) == 0)
        return err_set(err, ERR_IO, "run %s received nothing", run->run);
    run->last_seq = db_int(r, db_rows(r) - 1, 0);
    run->sent_ms = xcalloc((size_t)run->last_seq + 1, sizeof *run->sent_ms);
    for (int i = 0; i < db_rows(r); i++)
        run->sent_ms[db_int(r, i, 0)] = db_int(r, i, 1);
    return true;
}

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void
sum_up(struct stream_load *l, const struct loaded_run *runs, int n_runs)
{
    size_t all = 0;
    int64_t *took;

    for (size_t i = 0; i < l->sse.n; i++) {
        const struct sse_client *c = l->sse.clients[i];

        all += c->n;
        l->frames += c->kinds.len;
        l->bytes += c->bytes;
        for (const char *p = buf_cstr(&c->kinds); *p; p++)
            l->snapshots += *p == 's';
    }
    took = xcalloc(all + 1, sizeof *took);
    for (size_t i = 0; i < l->sse.n; i++) {
        const struct loaded_run *run = &runs[i % (size_t)n_runs];
        const struct sse_client *c = l->sse.clients[i];

        for (size_t e = 0; e < c->n; e++) {
            int64_t seq = c->events[e].seq;
            int64_t sent = seq <= run->last_seq ? run->sent_ms[seq] : 0;

            if (sent)
                took[l->events++] = c->events[e].seen_ms - sent;
        }
    }
    if (l->events) {
        qsort(took, l->events, sizeof *took, by_value);
        l->p50_ms = took[l->events / 2];
        l->p99_ms = took[l->events * 99 / 100];
        l->max_ms = took[l->events - 1];
    }
    free(took);
}

static bool
play(struct world *w, const struct stream_load_spec *spec, const struct loaded_run *runs,
     struct stream_load *l, struct err *err)
{
    const char **sessions = xcalloc((size_t)spec->runs, sizeof *sessions);
    json_int_t job;
    int64_t began;
    bool ok;

    for (int i = 0; i < spec->runs; i++)
        sessions[i] = runs[i].session;
    if (!sse_until(&l->sse, has_begun, NULL, spec->timeout_ms)) {
        free(sessions);
        return err_set(err, ERR_IO, "not every subscriber got its first snapshot");
    }
    began = clock_mono_ms();
    ok = stream_load_pump(w, sessions, spec->runs, spec->envelopes, spec->rate, 300, &job, err);
    free(sessions);
    if (!ok)
        return false;
    if (!sse_until(&l->sse, has_ended, NULL, spec->timeout_ms))
        return err_set(err, ERR_IO, "%zu of %zu subscribers saw the end", sse_ended(&l->sse),
                       l->sse.n);
    l->elapsed_ms = clock_mono_ms() - began;
    return stream_load_pumped(w, job, err);
}

bool
stream_load_run(struct world *w, const struct stream_load_spec *spec, struct stream_load *out,
                struct err *err)
{
    struct loaded_run *runs = xcalloc((size_t)spec->runs, sizeof *runs);
    struct stream_load l = {0};
    bool ok;

    sse_init(&l.sse, &w->http);
    ok = post_runs(w, runs, spec->runs, err);
    for (int i = 0; ok && i < spec->subscribers; i++) {
        struct sse_client *c = sse_add(&l.sse, runs[i % spec->runs].run, "stream", "?afterSeq=1");

        c->resume = true;
        sse_connect(c, 0);
        sse_turn(&l.sse, 0);
    }
    ok = ok && play(w, spec, runs, &l, err);
    for (int i = 0; ok && i < spec->runs; i++)
        ok = read_times(w, &runs[i], err);
    if (ok)
        sum_up(&l, runs, spec->runs);
    for (int i = 0; i < spec->runs; i++)
        free(runs[i].sent_ms);
    free(runs);
    if (ok)
        *out = l;
    else
        sse_fini(&l.sse);
    return ok;
}

void
stream_load_fini(struct stream_load *l)
{
    sse_fini(&l->sse);
}
