/*
 * watched.h - one run that somebody watches: how far its log was read, and its folded state.
 *
 * Purpose    rows in, frames and state out; decides when a snapshot is due.
 * Ownership  struct watched is heap memory (watched_free). Rows are borrowed. Frames are the
 *            caller's.
 * Errors     a row that cannot be read is logged and skipped by the fold; its frame is sent.
 * Threads    the tail's.
 *
 * Snapshots are large and only the newest counts: at most one every WATCHED_SNAPSHOT_MS, one
 * behind the last event of a burst, one at once behind the event that ends the run.
 */
#ifndef MACP_FCGI_WATCHED_H
#define MACP_FCGI_WATCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "fcgi/frame.h"
#include "shared/db.h"
#include "shared/projection.h"
#include "shared/uuid.h"

enum { WATCHED_SNAPSHOT_MS = 250 };

enum watched_phase {
    WATCHED_NEW,     /* the stored state is to be read */
    WATCHED_LOADING, /* events behind it are being folded, nobody is told */
    WATCHED_LIVE,
};

struct watched {
    UT_hash_handle hh;
    char run_id[UUID_LEN];
    void *owner;
    const atomic_int *audience;
    enum watched_phase phase;
    struct projection *state;
    int64_t read_seq;    /* last event read and folded */
    int64_t known_seq;   /* nothing at or below this number is unread */
    int64_t stored_seq;  /* last number handed out, when the database was asked */
    bool queued;         /* in the list of runs to read */
    bool pending;        /* in the list of runs that owe a snapshot */
    bool changed;        /* since the last snapshot for all */
    bool ended;          /* the event that ends the run came since then */
    bool asked;          /* some subscribers wait for a snapshot */
    int64_t snapshot_ms; /* when the last one for all was made */
    struct watched *next_queued, *next_pending;
};

struct watched *watched_new(const char *run_id, void *owner, const atomic_int *audience) MUST_CHECK;
void watched_free(struct watched *w);

/* Row 0 of SQL_RUN_STATE. */
void watched_load(struct watched *w, const struct db_result *state);
/*
 * Rows of SQL_RUN_EVENTS_PAGE, read completely or up to its limit. While live, frames (as many as
 * rows) gets a frame each. Returns how many.
 */
size_t watched_read(struct watched *w, const struct db_result *rows, bool complete,
                    struct frame **frames, struct buf *scratch);

/* One event of a run as a frame. */
struct frame *watched_event_frame(const struct db_result *r, int row, const char *run_id,
                                  struct buf *scratch) MUST_CHECK;

bool watched_owes_snapshot(const struct watched *w);
/* When the owed one may be made; 0: at once. */
int64_t watched_snapshot_due(const struct watched *w);
/* Make it; *for_all as in struct news. */
struct frame *watched_snapshot(struct watched *w, struct buf *scratch, int64_t now_ms,
                               bool *for_all) MUST_CHECK;

#endif
