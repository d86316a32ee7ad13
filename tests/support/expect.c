#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/facts.h"
#include "shared/json.h"
#include "shared/key.h"
#include "shared/projection.h"
#include "tests/support/expect.h"
#include "tests/support/vectors.h"

enum { CONTROL_MS = 60000, STATUS_MS = 20000, BECOMES_MS = 15000, LOG_BYTES = 2000 };

void
expect_ok(bool ok, const struct err *err, const char *what)
{
    if (!ok)
        fail_msg("%s: %s", what, err->msg);
}

/* --- requests ------------------------------------------------------------------------------ */

static void
copy_member(const json_t *object, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (!text)
        fail_msg("the answer has no text member %s", name);
    else
        snprintf(out, size, "%s", text);
}

void
expect_posted_as(struct world *w, json_t *descriptor, struct posted *out)
{
    json_t *answer = expect_post(w, 201, "/runs", descriptor);

    copy_member(answer, "runId", out->run, sizeof(out->run));
    copy_member(answer, "sessionId", out->session, sizeof(out->session));
    copy_member(answer, "status", out->status, sizeof(out->status));
    copy_member(answer, "traceId", out->trace, sizeof(out->trace));
    json_decref(answer);
    json_decref(descriptor);
}

void
expect_posted(struct world *w, const char *mode, const char *session, struct posted *out)
{
    expect_posted_as(w, world_descriptor(mode, session), out);
}

void
expect_new_session(char out[WORLD_SESSION_LEN])
{
    char id[UUID_LEN];

    uuid_v4(id);
    snprintf(out, WORLD_SESSION_LEN, "%s", id);
}

static json_t *
take_body(struct http_reply *r, int status, const char *what)
{
    if (r->status != status)
        fail_msg("%s: wanted %d, got %d %.400s", what, status, r->status, buf_cstr(&r->body));
    return json_incref(r->json);
}

json_t *
expect_get(struct world *w, int status, const char *path_fmt, ...)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};
    char path[1024];
    va_list ap;

    va_start(ap, path_fmt);
    vsnprintf(path, sizeof(path), path_fmt, ap);
    va_end(ap);
    expect_ok(http_get(&w->http, &r, &err, "%s", path), &err, path);
    return take_body(&r, status, path);
}

json_t *
expect_post(struct world *w, int status, const char *path, const json_t *body)
{
    AUTO_HTTP_REPLY r = {0};
    struct err err = {0};

    expect_ok(http_post(&w->http, path, body, &r, &err), &err, path);
    return take_body(&r, status, path);
}

json_t *
expect_run(struct world *w, const char *run_id)
{
    return expect_get(w, 200, "/runs/%s", run_id);
}

/* --- the runtime --------------------------------------------------------------------------- */

json_t *
expect_control(struct world *w, json_t *command)
{
    struct err err = {0};
    json_t *answer = runtime_ctl_call(&w->ctl, command, process_slow(CONTROL_MS), &err);

    expect_ok(answer != NULL, &err, "runtime");
    return answer;
}

void
expect_played(struct world *w, const char *script, const char *session, json_t *more)
{
    json_t *command =
        json_pack("{s:s, s:s, s:s}", "cmd", "play", "script", script, "session", session);

    if (more)
        json_object_update(command, more);
    json_decref(more);
    json_decref(expect_control(w, command));
}

/* --- waiting ------------------------------------------------------------------------------- */

/* The world's directory goes with the test: what the programs said must be shown now. */
static void
show_log(const struct world *w, const char *name)
{
    char path[sizeof(w->dir) + 32];
    char *tail;

    snprintf(path, sizeof(path), "%s/%s.log", w->dir, name);
    tail = process_log_tail(path, LOG_BYTES);
    print_error("--- end of %s.log\n%s\n", name, tail);
    free(tail);
}

void
expect_status(struct world *w, const char *run_id, const char *wanted)
{
    struct err err = {0};
    bool ok = world_wait_status(w, run_id, wanted, STATUS_MS, NULL, &err);

    if (!ok) {
        show_log(w, "observerd");
        show_log(w, "lighttpd");
    }
    expect_ok(ok, &err, "status");
}

static void PRINTF_FMT(2, 0)
    query(struct world *w, const char *fmt, va_list ap, char *out, size_t size)
{
    struct err err = {0};
    char *text = NULL;

    if (vasprintf(&text, fmt, ap) < 0)
        BUG("vasprintf");
    expect_ok(world_sql(w, out, size, &err, "%s", text), &err, text);
    free(text);
}

void
expect_sql(struct world *w, const char *wanted, const char *fmt, ...)
{
    char got[1024];
    va_list ap;

    va_start(ap, fmt);
    query(w, fmt, ap, got, sizeof(got));
    va_end(ap);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s gives '%s', wanted '%s'", fmt, got, wanted);
}

long
expect_sql_int(struct world *w, const char *fmt, ...)
{
    char got[64];
    va_list ap;

    va_start(ap, fmt);
    query(w, fmt, ap, got, sizeof(got));
    va_end(ap);
    return strtol(got, NULL, 10);
}

void
expect_sql_becomes(struct world *w, const char *wanted, const char *fmt, ...)
{
    int64_t deadline = clock_mono_ms() + process_slow(BECOMES_MS);
    char got[1024];

    for (;;) {
        va_list ap;

        va_start(ap, fmt);
        query(w, fmt, ap, got, sizeof(got));
        va_end(ap);
        if (strcmp(got, wanted) == 0)
            return;
        if (clock_mono_ms() >= deadline)
            fail_msg("%s stays '%s', wanted '%s'", fmt, got, wanted);
        process_pause(10);
    }
}

/* --- what is stored ------------------------------------------------------------------------ */

static json_t *
session_history(struct world *w, const char *session)
{
    json_t *answer = expect_control(
        w, json_pack("{s:s, s:s, s:b}", "cmd", "session", "session", session, "history", 1));
    json_t *history = json_object_get(answer, "history");

    if (!json_is_array(history))
        fail_msg("the runtime's answer holds no history");
    json_incref(history);
    json_decref(answer);
    return history;
}

/* Ids that are too long for an index are stored as their hash. */
static void
same_text(const json_t *sent, const char *member, const char *stored, int ordinal)
{
    const char *wanted = json_string_value(json_object_get(sent, member));
    char key[KEY_HASH_LEN];
    size_t n;

    if (wanted)
        wanted = key_text(wanted, strlen(wanted), key, &n);
    if (!wanted || strcmp(wanted, stored) != 0)
        fail_msg("envelope %d: %s is '%s' at the runtime, '%s' here", ordinal, member,
                 wanted ? wanted : "(none)", stored);
}

static void
expect_numbers_without_holes(struct world *w, const char *run_id)
{
    expect_sql(w, "t t t t",
               "with r as (select run_key from macp.runs where id = '%s'), n as (select seq from "
               "macp.run_events_raw join r using (run_key) union all select seq from "
               "macp.run_events_canonical join r using (run_key)) select concat_ws(' ', min(seq) = "
               "1, count(*) = max(seq), count(distinct seq) = max(seq), max(seq) = (select "
               "last_seq from macp.run_observers join r using (run_key))) from n",
               run_id);
}

long
expect_stored_once(struct world *w, const char *run_id, const char *session)
{
    AUTO_DB_RESULT *rows = NULL;
    struct err err = {0};
    json_t *history = session_history(w, session);
    int n = (int)json_array_size(history);

    /* By number, not by ordinal: the order of storing must be the order of the session. */
    expect_ok(world_sql_rows(w, &rows, &err,
                             "select e.ordinal, e.message_id, e.message_type, e.sender from "
                             "macp.run_events_raw e join macp.runs r using (run_key) where r.id = "
                             "'%s' and e.source = 'session' order by e.seq",
                             run_id),
              &err, "raw rows");
    if (db_rows(rows) != n)
        fail_msg("the runtime accepted %d envelopes, %d are stored for run %s", n, db_rows(rows),
                 run_id);
    for (int i = 0; i < n; i++) {
        const json_t *sent = json_array_get(history, (size_t)i);

        if (db_int(rows, i, 0) != i + 1)
            fail_msg("row %d of run %s has ordinal %lld", i + 1, run_id,
                     (long long)db_int(rows, i, 0));
        same_text(sent, "messageId", db_text(rows, i, 1), i + 1);
        same_text(sent, "messageType", db_text(rows, i, 2), i + 1);
        same_text(sent, "sender", db_text(rows, i, 3), i + 1);
    }
    expect_numbers_without_holes(w, run_id);
    json_decref(history);
    return n;
}

static void
fold_all(const json_t *events, struct projection *p)
{
    const json_t *document;
    size_t i;

    json_array_foreach (events, i, document) {
        struct event e = {0};

        if (!event_read(document, &e))
            fail_msg("event %zu cannot be read", i);
        projection_fold(p, &e);
        json_decref(e.data);
    }
}

static json_int_t
last_seq(const json_t *events)
{
    const json_t *last = json_array_get(events, json_array_size(events) - 1);

    return json_integer_value(json_object_get(last, "seq"));
}

/*
 * A state and the events it was folded from. Two requests: what arrives in between (signals may,
 * behind the end of a run) makes them differ, and they are asked again.
 */
static void
state_with_events(struct world *w, const char *run_id, json_t **state, json_t **events)
{
    int64_t deadline = clock_mono_ms() + process_slow(BECOMES_MS);

    for (;;) {
        struct err err = {0};

        *state = expect_get(w, 200, "/runs/%s/state", run_id);
        *events = world_events(w, run_id, &err);
        expect_ok(*events != NULL, &err, "events");

        const json_t *timeline = json_object_get(*state, "timeline");

        if (json_integer_value(json_object_get(timeline, "latestSeq")) == last_seq(*events) ||
            clock_mono_ms() >= deadline)
            return;
        json_decref(*state);
        json_decref(*events);
        process_pause(10);
    }
}

void
expect_state_is_fold(struct world *w, const char *run_id)
{
    AUTO_BUF text = {0};
    AUTO_BUF lines = {0};
    struct projection *p = projection_new(run_id);
    json_t *state, *events, *folded;

    state_with_events(w, run_id, &state, &events);
    fold_all(events, p);
    projection_write(p, &text);
    folded = jv_parse(text.p, text.len);
    if (vector_diff(state, folded, "state", &lines) > 0)
        fail_msg("the state of run %s is not the fold of its events:\n%s", run_id,
                 buf_cstr(&lines));
    projection_free(p);
    json_decref(folded);
    json_decref(events);
    json_decref(state);
}

int
expect_event_count(struct world *w, const char *run_id, const char *type)
{
    struct err err = {0};
    json_t *events = world_events(w, run_id, &err);
    const json_t *e;
    size_t i;
    int n = 0;

    expect_ok(events != NULL, &err, "events");
    json_array_foreach (events, i, e)
        n += strcmp(json_string_value(json_object_get(e, "type")), type) == 0;
    json_decref(events);
    return n;
}
