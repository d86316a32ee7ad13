#include "fcgi/watched.h"

#include <stdlib.h>

#include "fcgi/event_row.h"
#include "fcgi/run_fold.h"
#include "shared/log.h"

struct watched *
watched_new(const char *run_id, void *owner, const atomic_int *audience)
{
    struct watched *w = xcalloc(1, sizeof *w);

    memcpy(w->run_id, run_id, UUID_LEN);
    w->owner = owner;
    w->audience = audience;
    return w;
}

void
watched_free(struct watched *w)
{
    if (!w)
        return;
    projection_free(w->state);
    free(w);
}

void
watched_load(struct watched *w, const struct db_result *state)
{
    projection_free(w->state);
    w->read_seq = run_fold_stored(state, &w->state);
    w->stored_seq = run_fold_last_seq(state);
    w->phase = WATCHED_LOADING;
}

/* --- events --------------------------------------------------------------------------------- */

struct frame *
watched_event_frame(const struct db_result *r, int row, const char *run_id, struct buf *scratch)
{
    enum event_type type = event_type_parse(db_text(r, row, EVENT_COL_TYPE));
    AUTO_BUF text = {0};
    struct frame *f;
    int64_t seq = db_int(r, row, EVENT_COL_SEQ);

    buf_reset(scratch);
    event_row_write(r, row, run_id, scratch);
    frame_text(&text, "canonical_event", seq, scratch->p, scratch->len);
    f = frame_new(FRAME_EVENT, text.p, text.len);
    f->seq = seq;
    f->terminal =
        type == EVENT_RUN_COMPLETED || type == EVENT_RUN_FAILED || type == EVENT_RUN_CANCELLED;
    if (!clock_parse(db_text(r, row, EVENT_COL_TS), &f->ts_ms))
        f->ts_ms = 0;
    return f;
}

static void
fold(struct watched *w, const struct db_result *r, int row)
{
    struct event e;

    if (!event_row_read(r, row, &e)) {
        log_line(LOG_ERROR, &(struct log_ctx){.run_id = w->run_id}, "event %lld is not readable",
                 (long long)db_int(r, row, EVENT_COL_SEQ));
        return;
    }
    projection_fold(w->state, &e);
    json_decref(e.data);
}

size_t
watched_read(struct watched *w, const struct db_result *rows, bool complete, struct frame **frames,
             struct buf *scratch)
{
    bool live = w->phase == WATCHED_LIVE;
    int n = db_rows(rows);

    for (int i = 0; i < n; i++) {
        fold(w, rows, i);
        w->read_seq = db_int(rows, i, EVENT_COL_SEQ);
        if (!live)
            continue;
        frames[i] = watched_event_frame(rows, i, w->run_id, scratch);
        w->ended = w->ended || frames[i]->terminal;
    }
    if (w->known_seq < w->read_seq)
        w->known_seq = w->read_seq;
    /* What was stored before the read is read now. Numbers that no event has are raw rows, which
     * nobody is shown. Numbers of notifications do not count: only the database knows. */
    if (complete && w->known_seq < w->stored_seq)
        w->known_seq = w->stored_seq;
    if (live && n > 0)
        w->changed = true;
    return live ? (size_t)n : 0;
}

/* --- snapshots ------------------------------------------------------------------------------ */

bool
watched_owes_snapshot(const struct watched *w)
{
    return w->phase == WATCHED_LIVE && (w->changed || w->asked);
}

int64_t
watched_snapshot_due(const struct watched *w)
{
    return w->asked || w->ended || !w->snapshot_ms ? 0 : w->snapshot_ms + WATCHED_SNAPSHOT_MS;
}

struct frame *
watched_snapshot(struct watched *w, struct buf *scratch, int64_t now_ms, bool *for_all)
{
    AUTO_BUF text = {0};
    struct frame *f;

    /* For those who asked alone, unless the others would get one now anyway. */
    *for_all = w->changed && (w->ended || now_ms >= w->snapshot_ms + WATCHED_SNAPSHOT_MS);
    buf_reset(scratch);
    projection_write(w->state, scratch);
    frame_text(&text, "snapshot", 0, scratch->p, scratch->len);
    f = frame_new(FRAME_SNAPSHOT, text.p, text.len);
    f->seq = w->read_seq;
    w->asked = false;
    if (*for_all) {
        w->changed = false;
        w->ended = false;
        w->snapshot_ms = now_ms;
    }
    return f;
}
