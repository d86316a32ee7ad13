#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/crowd.h"

#define DECISION "macp.mode.decision.v1"

enum { WAIT_MS = 60000, LOG_BYTES = 1500 };

/* --- runs ------------------------------------------------------------------------------------ */

void
crowd_post(struct crowd *c, struct world *w, size_t n)
{
    *c = (struct crowd){.w = w, .n = n, .runs = xcalloc(n, sizeof *c->runs)};
    buf_char(&c->list, '{');
    for (size_t i = 0; i < n; i++) {
        expect_posted(w, DECISION, NULL, &c->runs[i]);
        buf_printf(&c->list, "%s%s", i ? "," : "", c->runs[i].run);
    }
    buf_char(&c->list, '}');
}

void
crowd_free(struct crowd *c)
{
    free(c->runs);
    buf_fini(&c->list);
    *c = (struct crowd){0};
}

/* What the observers said last: their logs go with the world. */
static void
show_logs(const struct world *w)
{
    for (size_t i = 0; i < WORLD_INSTANCES; i++) {
        char *tail;

        if (!w->instances[i].process.log[0])
            continue;
        tail = process_log_tail(w->instances[i].process.log, LOG_BYTES);
        print_error("--- end of the log of instance %zu\n%s\n", i, tail);
        free(tail);
    }
}

/* --- load ------------------------------------------------------------------------------------ */

void
crowd_pump(struct crowd *c, const struct crowd_load *load)
{
    size_t end = load->n ? load->first + load->n : c->n;
    json_t *ids = json_array(), *answer;

    for (size_t i = load->first; i < end; i++)
        json_array_append_new(ids, json_string(c->runs[i].session));
    answer =
        expect_control(c->w, json_pack("{s:s, s:o, s:i, s:i, s:i, s:b, s:b, s:b}", "cmd", "pump",
                                       "ids", ids, "envelopes", load->envelopes, "rate", load->rate,
                                       "payloadBytes", load->payload, "commit", !load->open,
                                       "waitSubscribers", load->watched, "wait", 0));
    if (c->n_jobs == CROWD_PUMPS)
        BUG("more than %d pumps", CROWD_PUMPS);
    c->jobs[c->n_jobs++] = json_integer_value(json_object_get(answer, "job"));
    json_decref(answer);
}

static bool
job_is_done(struct crowd *c, json_int_t job, bool wait)
{
    json_t *answer =
        expect_control(c->w, json_pack("{s:s, s:I, s:b}", "cmd", "job", "id", job, "wait", wait));
    bool done = json_is_true(json_object_get(answer, "done"));
    json_t *result = json_object_get(answer, "result");

    if (done && !json_is_true(json_object_get(result, "ok")))
        fail_msg("the pump failed: %s", json_string_value(json_object_get(result, "error")));
    json_decref(answer);
    return done;
}

bool
crowd_is_pumping(struct crowd *c)
{
    for (size_t i = 0; i < c->n_jobs; i++)
        if (!job_is_done(c, c->jobs[i], false))
            return true;
    return false;
}

void
crowd_pumped(struct crowd *c)
{
    for (size_t i = 0; i < c->n_jobs; i++)
        if (!job_is_done(c, c->jobs[i], true))
            fail_msg("the pump does not end");
    c->n_jobs = 0;
}

void
crowd_send(struct crowd *c, size_t run, const char *type)
{
    bool ends = strcmp(type, "Commitment") == 0;
    json_t *payload =
        ends ? json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "commitment_id", "c1", "action",
                         "decision.selected", "authority_scope", "crowd", "reason", "sent",
                         "mode_version", "1.0.0", "configuration_version", "config.default",
                         "outcome_positive", 1)
             : json_pack("{s:s, s:s, s:f}", "proposal_id", "p1", "recommendation", "APPROVE",
                         "confidence", 0.5);

    json_decref(expect_control(
        c->w, json_pack("{s:s, s:s, s:s, s:s, s:o}", "cmd", "send", "session", c->runs[run].session,
                        "type", type, "sender", ends ? "agent://planner" : "agent://reviewer",
                        "payload", payload)));
}

/* --- looking --------------------------------------------------------------------------------- */

long
crowd_stored(struct crowd *c)
{
    return expect_sql_int(c->w,
                          "select count(*) from macp.run_events_raw join macp.runs using (run_key) "
                          "where source = 'session' and id = any('%s')",
                          buf_cstr(&c->list));
}

void
crowd_wait_stored(struct crowd *c, long at_least)
{
    int64_t deadline = clock_mono_ms() + process_slow(WAIT_MS);
    long stored;

    while ((stored = crowd_stored(c)) < at_least) {
        if (clock_mono_ms() >= deadline) {
            show_logs(c->w);
            fail_msg("%ld envelopes are stored, wanted %ld", stored, at_least);
        }
        process_pause(10);
    }
}

long
crowd_owned(struct crowd *c, const char *instance_id)
{
    return expect_sql_int(c->w,
                          "select count(*) from macp.run_observers join macp.runs using (run_key) "
                          "where owner = '%s' and id = any('%s')",
                          instance_id, buf_cstr(&c->list));
}

/* Sessions that are open and that nobody reads. */
static long
count_unread(struct crowd *c)
{
    long unread = 0;

    for (size_t i = 0; i < c->n; i++) {
        json_t *answer = expect_control(
            c->w, json_pack("{s:s, s:s}", "cmd", "session", "session", c->runs[i].session));

        unread += strcmp(json_string_value(json_object_get(answer, "state")), "OPEN") == 0 &&
                  json_integer_value(json_object_get(answer, "subscribers")) == 0;
        json_decref(answer);
    }
    return unread;
}

void
crowd_wait_subscribed(struct crowd *c)
{
    int64_t deadline = clock_mono_ms() + process_slow(WAIT_MS);
    long unread;

    while ((unread = count_unread(c)) > 0) {
        if (clock_mono_ms() >= deadline)
            fail_msg("%ld open sessions have no subscriber", unread);
        process_pause(20);
    }
}

long
crowd_wait_owned(struct crowd *c, const char *instance_id, long runs, int limit_ms)
{
    int64_t began = clock_mono_ms(), deadline = began + process_slow(limit_ms);
    long owned;

    while ((owned = crowd_owned(c, instance_id)) != runs) {
        if (clock_mono_ms() >= deadline) {
            show_logs(c->w);
            fail_msg("after %d ms instance %s owns %ld runs, not %ld", limit_ms, instance_id, owned,
                     runs);
        }
        process_pause(10);
    }
    return (long)(clock_mono_ms() - began);
}

void
crowd_wait_status(struct crowd *c, const char *status)
{
    int64_t deadline = clock_mono_ms() + process_slow(WAIT_MS);
    char got[64], wanted[64];

    snprintf(wanted, sizeof wanted, "%zu 0", c->n);
    for (;;) {
        struct err err = {0};

        expect_ok(world_sql(c->w, got, sizeof got, &err,
                            "select count(*) filter (where status = '%s') || ' ' || count(*) "
                            "filter (where status <> '%s' and status in ('completed', 'failed', "
                            "'cancelled')) from macp.runs where id = any('%s')",
                            status, status, buf_cstr(&c->list)),
                  &err, "status");
        if (strcmp(got, wanted) == 0)
            return;
        if (clock_mono_ms() >= deadline || strcmp(strchr(got, ' '), " 0") != 0) {
            show_logs(c->w);
            fail_msg("of %zu runs '%s' are %s and ended otherwise", c->n, got, status);
        }
        process_pause(20);
    }
}
