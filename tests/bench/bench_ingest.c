/*
 * bench_ingest - envelopes per second through the whole path, beside a floor.
 *
 * Whole path: the scripted runtime pumps SESSIONS x ENVELOPES as fast as it can; the clock stops
 * when the last one is committed. Floor: the very rows this left are inserted again for fresh runs
 * by the daemon's own batch code, from memory, one connection, no gRPC, no decoding, no folding.
 * Latency: one session at a low rate; from the envelope's own time (whole milliseconds) until a
 * reader of the tables sees it.
 *
 * Prints a table and asserts nothing: figures are for people. Run it from the top of the tree.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observerd/batch.h"
#include "shared/clock.h"
#include "tests/support/cpu.h"
#include "tests/support/latency.h"
#include "tests/support/machine.h"
#include "tests/support/world.h"

#define DECISION "macp.mode.decision.v1"

enum {
    SESSIONS = 200,
    ENVELOPES = 4000, /* each: about a minute's worth in all */
    FLOOR_SESSIONS = 20,
    WAIT_MS = 300000,
    SLOW_ENVELOPES = 200,
    SLOW_RATE = 40
};

/* Sequence numbers per batch of the floor and run: about a thousand events a batch. */
enum { FLOOR_WINDOW = 50 };

struct figures {
    double path_s, floor_s;
    int envelopes, floor_envelopes, rows, floor_batches;
    struct cpu_use before, after;
    struct latency_figures latency;
};

static bool
post_runs(struct world *w, int n, char (*sessions)[WORLD_SESSION_LEN], struct err *err)
{
    for (int i = 0; i < n; i++) {
        AUTO_HTTP_REPLY r = {0};
        json_t *d = world_descriptor(DECISION, NULL);
        bool sent = http_post(&w->http, "/runs", d, &r, err);

        json_decref(d);
        if (!sent)
            return false;
        if (r.status != 201)
            return err_set(err, ERR_IO, "POST /runs: %d %.200s", r.status, buf_cstr(&r.body));
        snprintf(sessions[i], WORLD_SESSION_LEN, "%s",
                 json_string_value(json_object_get(r.json, "sessionId")));
    }
    return true;
}

/* Poll until the runs of this bench hold that many envelopes. */
static bool
wait_stored(struct world *w, int64_t wanted, struct err *err)
{
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    char got[32];

    do {
        if (!world_sql(w, got, sizeof(got), err,
                       "select coalesce(sum(cursor), 0) from macp.run_observers"))
            return false;
        if (strtoll(got, NULL, 10) >= wanted)
            return true;
        process_pause(2);
    } while (clock_mono_ms() < deadline);
    return err_set(err, ERR_IO, "only %s of %" PRId64 " envelopes are stored", got, wanted);
}

static bool
measure_path(struct world *w, struct figures *f, struct err *err)
{
    static char sessions[SESSIONS][WORLD_SESSION_LEN];
    json_t *ids = json_array();
    json_t *answer;
    int64_t answered_ms, sending_ms;

    if (!post_runs(w, SESSIONS, sessions, err))
        return false;
    for (int i = 0; i < SESSIONS; i++)
        json_array_append_new(ids, json_string(sessions[i]));
    cpu_note(w, &f->before);
    answer = runtime_ctl_call(&w->ctl,
                              json_pack("{s:s, s:o, s:i, s:b}", "cmd", "pump", "ids", ids,
                                        "envelopes", ENVELOPES, "waitSubscribers", 1),
                              WAIT_MS, err);
    if (!answer)
        return false;
    answered_ms = clock_mono_ms();
    /* Without the time it took every session to get its subscriber. */
    sending_ms = json_integer_value(json_object_get(answer, "elapsedMs"));
    json_decref(answer);
    if (!wait_stored(w, SESSIONS * ENVELOPES, err))
        return false;
    cpu_note(w, &f->after);
    f->envelopes = SESSIONS * ENVELOPES;
    f->floor_envelopes = FLOOR_SESSIONS * ENVELOPES;
    f->path_s = (double)(clock_mono_ms() - answered_ms + sending_ms) / 1000;
    return true;
}

/* --- floor ----------------------------------------------------------------------------------- */

struct floor_run {
    int64_t key;
    uint64_t serial;
    size_t index;
    int64_t cursor, seq; /* as committed */
};

struct floor {
    struct db_result *raw, *canonical; /* in order of seq, then run */
    int next_raw, next_canonical;
    struct floor_run runs[FLOOR_SESSIONS];
    struct batch batch;
};

static const char *
text_or_null(const struct db_result *r, int row, int col)
{
    return db_null(r, row, col) ? NULL : db_text(r, row, col);
}

/* The number of the run among the measured ones is the first column. */
static struct batch_run *
entry_of(struct floor *fl, const struct db_result *r, int row)
{
    struct floor_run *run = &fl->runs[db_int(r, row, 0)];

    return batch_run_entry(&fl->batch, &run->serial, &run->index, run->key, run->cursor, run->seq);
}

static void
hex_bytes(struct rows *t, const char *hex, size_t len)
{
    AUTO_BUF bytes = {0};

    for (size_t i = 2; i + 1 < len; i += 2) {
        char pair[3] = {hex[i], hex[i + 1], '\0'};

        buf_char(&bytes, (char)strtol(pair, NULL, 16));
    }
    rows_bytes_value(t, buf_cstr(&bytes), bytes.len);
}

static void
add_raw(struct floor *fl, int row)
{
    const struct db_result *r = fl->raw;
    struct rows *t = &fl->batch.tables[BATCH_RAW];
    struct batch_run *run = entry_of(fl, r, row);

    rows_int8(t, run->run_key);
    rows_date(t, db_int(r, row, 1));
    rows_int4(t, db_int(r, row, 2));
    rows_text(t, db_text(r, row, 3));
    rows_int4(t, db_int(r, row, 4));
    if (db_null(r, row, 5))
        rows_null(t);
    else
        rows_int8(t, db_int(r, row, 5));
    for (int col = 6; col < 10; col++)
        rows_text(t, text_or_null(r, row, col));
    rows_time(t, db_int(r, row, 10));
    rows_time(t, db_int(r, row, 11));
    rows_bool(t, db_bool(r, row, 12));
    hex_bytes(t, db_text(r, row, 13), db_len(r, row, 13));
    run->new_seq = db_int(r, row, 2);
    if (!db_null(r, row, 5))
        run->new_cursor = db_int(r, row, 5);
}

static void
add_canonical(struct floor *fl, int row)
{
    const struct db_result *r = fl->canonical;
    struct rows *t = &fl->batch.tables[BATCH_CANONICAL];
    struct batch_run *run = entry_of(fl, r, row);

    rows_int8(t, run->run_key);
    rows_date(t, db_int(r, row, 1));
    rows_int4(t, db_int(r, row, 2));
    rows_time(t, db_int(r, row, 3));
    for (int col = 4; col < 13; col++)
        rows_text(t, text_or_null(r, row, col));
    rows_jsonb(t, db_text(r, row, 13), db_len(r, row, 13));
    if (db_int(r, row, 2) > run->new_seq)
        run->new_seq = db_int(r, row, 2);
}

static bool
store_window(struct floor *fl, struct db *db, struct err *err)
{
    struct batch *b = &fl->batch;

    for (size_t i = 0; i < b->n_runs; i++)
        for (int k = 0; k < FLOOR_SESSIONS; k++)
            if (fl->runs[k].key == b->runs[i].run_key) {
                fl->runs[k].cursor = b->runs[i].new_cursor;
                fl->runs[k].seq = b->runs[i].new_seq;
            }
    bool ok = batch_store(b, db, err);

    batch_reset(b);
    return ok;
}

static bool
store_all(struct floor *fl, struct db *db, struct figures *f, struct err *err)
{
    int n_raw = db_rows(fl->raw), n_canonical = db_rows(fl->canonical);

    for (int64_t upto = FLOOR_WINDOW; fl->next_raw < n_raw || fl->next_canonical < n_canonical;
         upto += FLOOR_WINDOW) {
        for (; fl->next_raw < n_raw && db_int(fl->raw, fl->next_raw, 2) <= upto; fl->next_raw++)
            add_raw(fl, fl->next_raw);
        for (; fl->next_canonical < n_canonical &&
               db_int(fl->canonical, fl->next_canonical, 2) <= upto;
             fl->next_canonical++)
            add_canonical(fl, fl->next_canonical);
        if (fl->batch.n_runs == 0)
            continue;
        if (!store_window(fl, db, err))
            return false;
        f->floor_batches++;
    }
    f->rows = n_raw + n_canonical;
    return true;
}

/* Seq 1 is what posting the run has written already. */
static bool
read_rows(struct world *w, struct floor *fl, struct err *err)
{
    return world_sql_rows(
               w, &fl->raw, err,
               "with r as (select run_key, row_number() over (order by run_key) - 1 as i from "
               "macp.runs where status = 'completed' order by run_key limit %d) select i, e.day - "
               "date '1970-01-01', seq, source, epoch, ordinal, message_id, sender, message_type, "
               "mode, (extract(epoch from received_at) * 1000)::bigint, (extract(epoch from "
               "coalesce(sent_at, received_at)) * 1000)::bigint, undecodable, body from "
               "macp.run_events_raw e join r using (run_key) order by seq, i",
               FLOOR_SESSIONS) &&
           world_sql_rows(
               w, &fl->canonical, err,
               "with r as (select run_key, row_number() over (order by run_key) - 1 as i from "
               "macp.runs where status = 'completed' order by run_key limit %d) select i, e.day - "
               "date '1970-01-01', seq, (extract(epoch from ts) * 1000)::bigint, type, "
               "subject_kind, subject_id, source_kind, source_name, raw_type, sender, trace_id, "
               "span_id, data from macp.run_events_canonical e join r using (run_key) where seq > "
               "1 "
               "order by seq, i",
               FLOOR_SESSIONS);
}

static bool
fresh_runs(struct world *w, struct floor *fl, struct err *err)
{
    static char sessions[FLOOR_SESSIONS][WORLD_SESSION_LEN];
    AUTO_DB_RESULT *keys = NULL;

    if (!post_runs(w, FLOOR_SESSIONS, sessions, err) ||
        !world_sql_rows(w, &keys, err,
                        "select run_key from macp.runs where status = 'queued' order by run_key"))
        return false;
    if (db_rows(keys) != FLOOR_SESSIONS)
        return err_set(err, ERR_IO, "%d fresh runs instead of %d", db_rows(keys), FLOOR_SESSIONS);
    for (int i = 0; i < FLOOR_SESSIONS; i++)
        fl->runs[i] = (struct floor_run){.key = db_int(keys, i, 0), .seq = 1};
    return true;
}

/* The daemon must be gone: it would claim the fresh runs, and the guard would refuse the rows. */
static bool
measure_floor(struct world *w, struct figures *f, struct err *err)
{
    static struct floor fl;
    struct db *db = db_new(w->observer_url, "bench-floor", 30000);
    int64_t began_us;
    bool ok;

    batch_init(&fl.batch);
    ok = fresh_runs(w, &fl, err) && read_rows(w, &fl, err) && db_connect(db, err);
    began_us = clock_mono_us();
    ok = ok && store_all(&fl, db, f, err);
    f->floor_s = (double)(clock_mono_us() - began_us) / 1e6;
    db_result_free(fl.raw);
    db_result_free(fl.canonical);
    batch_fini(&fl.batch);
    db_close(db);
    return ok;
}

/* --- latency --------------------------------------------------------------------------------- */

static bool
measure_latency(struct world *w, struct figures *f, struct err *err)
{
    static char session[1][WORLD_SESSION_LEN];
    struct latency *watch;
    json_t *job;

    if (!post_runs(w, 1, session, err))
        return false;
    watch = latency_watch(w->admin_url, session[0], SLOW_ENVELOPES, WAIT_MS);
    job = runtime_ctl_call(&w->ctl,
                           json_pack("{s:s, s:[s], s:i, s:i, s:b, s:b}", "cmd", "pump", "ids",
                                     session[0], "envelopes", SLOW_ENVELOPES, "rate", SLOW_RATE,
                                     "waitSubscribers", 1, "wait", 0),
                           WAIT_MS, err);
    json_decref(job);
    return latency_finish(watch, &f->latency, err) && job;
}

/* --- output ---------------------------------------------------------------------------------- */

static void
print_figures(const struct figures *f)
{
    printf("\n%-44s %10s %10s %12s\n", "ingest", "envelopes", "seconds", "envelopes/s");
    printf("%-44s %10d %10.3f %12.0f\n", "whole path, 200 sessions x 4000, flat out", f->envelopes,
           f->path_s, (double)f->envelopes / f->path_s);
    printf("%-44s %10d %10.3f %12.0f\n", "floor: rows of 20 of them from memory",
           f->floor_envelopes, f->floor_s, (double)f->floor_envelopes / f->floor_s);
    printf("floor: %d rows (raw and canonical) in %d transactions, %.0f rows/s; path/floor %.2f\n",
           f->rows, f->floor_batches, (double)f->rows / f->floor_s,
           (f->envelopes / f->path_s) / (f->floor_envelopes / f->floor_s));
    cpu_print(&f->before, &f->after);
    printf("\nlatency, %d envelopes at %d/s, envelope to visible in Postgres (+-1 ms)\n",
           SLOW_ENVELOPES, SLOW_RATE);
    printf("p50 %" PRId64 " ms   p99 %" PRId64 " ms   max %" PRId64 " ms\n", f->latency.p50_ms,
           f->latency.p99_ms, f->latency.max_ms);
}

int
main(void)
{
    struct postgres *cluster;
    struct world w = {0};
    struct figures f = {0};
    struct err err = {0};
    bool ok;

    machine_print();
    cluster = postgres_start(&(struct postgres_options){.durable = true}, &err);
    ok = cluster && world_start(&w, &(struct world_options){.cluster = cluster}, &err) &&
         world_wait_ready(&w, &err) && measure_path(&w, &f, &err) && measure_latency(&w, &f, &err);
    if (ok) {
        world_stop_observerd(&w, 10000);
        ok = measure_floor(&w, &f, &err);
    }
    if (ok)
        print_figures(&f);
    else
        fprintf(stderr, "bench: %s\n", err.msg);
    world_stop(&w);
    postgres_stop(cluster);
    return ok ? 0 : 1;
}
