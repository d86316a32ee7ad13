#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/crowd.h"

enum { STOP_WITHIN_MS = 10000, SHOWN = 12 };

/* --- one run --------------------------------------------------------------------------------- */

struct one {
    const struct posted *run;
    const json_t *history;
    bool compacted, late_commitment;
    unsigned char *stored, *named; /* per ordinal, from 1: how often */
    long n, last;
    struct crowd_audit *sum;
    int shown;
};

static void PRINTF_FMT(2, 3) complain(struct one *o, const char *fmt, ...)
{
    va_list ap;
    char text[300];

    if (o->shown++ >= SHOWN)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    print_error("run %s: %s\n", o->run->run, text);
}

static bool
is_same(const json_t *sent, const char *member, const char *stored)
{
    const char *text = json_string_value(json_object_get(sent, member));

    return text && strcmp(text, stored) == 0;
}

static void
take_row(struct one *o, const struct db_result *rows, int row)
{
    long ordinal = (long)db_int(rows, row, 1);
    const json_t *sent = json_array_get(o->history, (size_t)(ordinal - 1));

    o->sum->stored++;
    if (!sent || ordinal <= o->last || !is_same(sent, "messageId", db_text(rows, row, 2)) ||
        !is_same(sent, "messageType", db_text(rows, row, 3)) ||
        !is_same(sent, "sender", db_text(rows, row, 4))) {
        o->sum->foreign++;
        complain(o, "row with ordinal %ld behind %ld is not the runtime's (%s %s)", ordinal,
                 o->last, db_text(rows, row, 3), db_text(rows, row, 2));
    }
    if (sent && o->stored[ordinal]++)
        o->sum->doubled++;
    o->last = ordinal;
}

static void
take_gap(struct one *o, const struct db_result *rows, int row)
{
    long from = (long)db_int(rows, row, 1), to = (long)db_int(rows, row, 2);

    o->sum->gaps++;
    if (!o->compacted) {
        o->sum->unproven++;
        complain(o, "gap %ld..%ld of a session that can be replayed", from, to);
    }
    if (from < 1 || to < from || to > o->n) {
        o->sum->foreign++;
        complain(o, "gap %ld..%ld of a session with %ld envelopes", from, to, o->n);
        return;
    }
    for (long i = from; i <= to; i++)
        o->sum->doubled += o->named[i]++ > 0;
    o->sum->missing += to - from + 1;
}

static void
close_run(struct one *o)
{
    for (long i = 1; i <= o->n; i++) {
        if (!o->stored[i] && !o->named[i]) {
            o->sum->lost++;
            complain(o, "ordinal %ld of %ld is neither stored nor in a gap", i, o->n);
        }
        if (o->stored[i] && o->named[i]) {
            const json_t *sent = json_array_get(o->history, (size_t)(i - 1));

            if (o->late_commitment && i == o->n && is_same(sent, "messageType", "Commitment"))
                continue;
            o->sum->doubled++;
            complain(o, "ordinal %ld is stored and in a gap", i);
        }
    }
}

/* --- all of them ----------------------------------------------------------------------------- */

static int
audit_run(struct one *o, struct world *w, const struct db_result *rows, int row,
          const struct db_result *gaps)
{
    json_t *answer =
        expect_control(w, json_pack("{s:s, s:s}", "cmd", "session", "session", o->run->session));

    o->history = json_object_get(answer, "history");
    o->compacted = json_is_true(json_object_get(answer, "compacted"));
    o->n = (long)json_array_size(o->history);
    o->stored = xcalloc((size_t)o->n + 1, 1);
    o->named = xcalloc((size_t)o->n + 1, 1);
    o->sum->accepted += o->n;
    while (row < db_rows(rows) && strcmp(db_text(rows, row, 0), o->run->run) == 0)
        take_row(o, rows, row++);
    for (int i = 0; i < db_rows(gaps); i++)
        if (strcmp(db_text(gaps, i, 0), o->run->run) == 0)
            take_gap(o, gaps, i);
    close_run(o);
    free(o->stored);
    free(o->named);
    json_decref(answer);
    return row;
}

static long
count_holes(struct crowd *c)
{
    return expect_sql_int(
        c->w,
        "with n as (select run_key, seq from macp.run_events_raw union all select run_key, seq "
        "from macp.run_events_canonical) select count(*) from (select o.run_key from "
        "macp.run_observers o join macp.runs r using (run_key) left join n using (run_key) where "
        "r.id = any('%s') group by o.run_key, o.last_seq having not (min(seq) = 1 and count(*) = "
        "o.last_seq and count(distinct seq) = o.last_seq and max(seq) = o.last_seq)) x",
        buf_cstr(&c->list));
}

static long
count_wrong_ends(struct crowd *c)
{
    return expect_sql_int(
        c->w,
        "select count(*) from (select r.run_key from macp.runs r left join "
        "macp.run_events_canonical e on e.run_key = r.run_key and e.type in ('run.completed', "
        "'run.failed', 'run.cancelled') where r.id = any('%s') group by r.run_key, r.status having "
        "count(e.seq) <> 1 or max(e.type) <> 'run.' || r.status) x",
        buf_cstr(&c->list));
}

void
crowd_audit(struct crowd *c, bool late_commitment, struct crowd_audit *out)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_DB_RESULT *gaps = NULL;
    struct err err = {0};
    int row = 0;

    *out = (struct crowd_audit){.runs = (long)c->n};
    /* By number: the order of storing must be the order of the session. */
    expect_ok(
        world_sql_rows(c->w, &rows, &err,
                       "select r.id, e.ordinal, e.message_id, e.message_type, e.sender from "
                       "macp.run_events_raw e join macp.runs r using (run_key) join "
                       "macp.run_observers o using (run_key) where r.id = any('%s') and "
                       "e.source = 'session' and e.epoch = o.epoch order by array_position('%s'::"
                       "uuid[], r.id), e.seq",
                       buf_cstr(&c->list), buf_cstr(&c->list)),
        &err, "raw rows");
    expect_ok(world_sql_rows(c->w, &gaps, &err,
                             "select r.id, g.from_ordinal, g.to_ordinal, g.kind from "
                             "macp.observer_gaps g join macp.runs r using (run_key) join "
                             "macp.run_observers o using (run_key) where r.id = any('%s') and "
                             "g.epoch = o.epoch",
                             buf_cstr(&c->list)),
              &err, "gap rows");
    for (size_t i = 0; i < c->n; i++) {
        struct one o = {.run = &c->runs[i], .late_commitment = late_commitment, .sum = out};

        row = audit_run(&o, c->w, rows, row, gaps);
    }
    out->holes = count_holes(c);
    out->endings = count_wrong_ends(c);
}

void
crowd_print_audit(const char *what, const struct crowd_audit *a)
{
    print_message("%s: %ld runs, accepted %ld, stored %ld, lost %ld, doubled %ld, foreign %ld, "
                  "gap rows %ld (%ld envelopes, %ld unproven), holes %ld, wrong ends %ld\n",
                  what, a->runs, a->accepted, a->stored, a->lost, a->doubled, a->foreign, a->gaps,
                  a->missing, a->unproven, a->holes, a->endings);
}

void
crowd_expect_honest(const struct crowd_audit *a)
{
    if (a->lost || a->doubled || a->foreign || a->unproven || a->holes || a->endings)
        fail_msg(
            "lost %ld, doubled %ld, foreign %ld, unproven gaps %ld, runs with holes %ld, wrong "
            "ends %ld",
            a->lost, a->doubled, a->foreign, a->unproven, a->holes, a->endings);
}

void
crowd_expect_whole(struct crowd *c, const char *what)
{
    struct crowd_audit a;

    crowd_wait_status(c, "completed");
    crowd_audit(c, false, &a);
    crowd_print_audit(what, &a);
    crowd_expect_honest(&a);
    assert_int_equal(a.gaps, 0);
    assert_int_equal(a.stored, a.accepted);
    expect_state_is_fold(c->w, c->runs[0].run);
    expect_state_is_fold(c->w, c->runs[c->n - 1].run);
}

/* --- who wrote ------------------------------------------------------------------------------- */

void
crowd_witness(struct world *w)
{
    struct err err = {0};
    bool ok = db_script(
        w->db,
        "create schema witness;"
        "create table witness.write (run_key bigint, owner uuid, writer text, at timestamptz"
        " default clock_timestamp());"
        "create function witness.note() returns trigger language plpgsql security definer as $$ "
        "begin insert into witness.write (run_key, owner, writer) values (new.run_key, new.owner,"
        " current_setting('application_name')); return null; end $$;"
        "create trigger witness after update on macp.run_observers for each row"
        " when (old.last_seq <> new.last_seq or old.cursor <> new.cursor)"
        " execute function witness.note()",
        &err);

    expect_ok(ok, &err, "witness");
}

void
crowd_expect_owners_only_wrote(struct world *w)
{
    /* Others that append (a handler's artifact) do not name themselves by an id. */
    expect_sql(w, "0",
               "select count(*) from witness.write where length(writer) = 36 and writer is "
               "distinct from owner::text");
    assert_true(expect_sql_int(w, "select count(*) from witness.write") > 0);
}

/* --- projections ----------------------------------------------------------------------------- */

static void
stop_observers(struct world *w)
{
    for (size_t i = 0; i < WORLD_INSTANCES; i++) {
        process_signal(&w->instances[i].process, SIGCONT);
        world_stop_instance(w, i, SIGTERM, process_slow(STOP_WITHIN_MS));
    }
    /* Those that were killed still count as alive for the rest of their lease. */
    expect_sql_becomes(w, "0",
                       "select count(*) from macp.observer_instances where alive_until > now()");
}

void
crowd_refold(struct world *w)
{
    char *said = NULL, wanted[64];
    struct err err = {0};
    int status = -1;

    stop_observers(w);
    expect_ok(world_rebuild(w, &status, &said, &err), &err, "rebuild");
    snprintf(wanted, sizeof wanted, "rebuilt %ld runs, failed 0",
             expect_sql_int(w, "select count(*) from macp.runs"));
    if (status != 0 || !strstr(said, wanted))
        fail_msg("rebuild ended with %d, wanted '%s':\n%s", status, wanted, said);
    free(said);
}

void
crowd_expect_projections_are_refolds(struct world *w)
{
    struct err err = {0};

    stop_observers(w);
    assert_true(expect_sql_int(w, "select count(*) from macp.run_projections") > 0);
    expect_ok(db_script(w->db,
                        "create table projections_before as select run_key, to_jsonb(p) - "
                        "'updated_at' as whole from macp.run_projections p",
                        &err),
              &err, "copy of the projections");
    expect_sql(w, "0",
               "select (select count(*) from macp.runs) - (select count(*) from "
               "projections_before)");
    crowd_refold(w);
    /* The first section that differs, by name. */
    expect_sql(w, "",
               "select r.id || ' ' || k.key || ': ' || left((b.whole->k.key)::text, 300) || ' -> "
               "' || left((to_jsonb(p)->k.key)::text, 300) from projections_before b join "
               "macp.run_projections p using (run_key) join macp.runs r using (run_key), lateral "
               "jsonb_object_keys(b.whole) as k(key) where b.whole->k.key is distinct from "
               "to_jsonb(p)->k.key limit 1");
    expect_ok(db_script(w->db, "drop table projections_before", &err), &err, "drop");
}
