#include "observerd/refold.h"

#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/json.h"

enum {
    EVENTS_PER_PAGE = 1000,
    TAIL_BYTES = 8 << 20, /* then the log is read on first */
    TAIL_MS = 300000,     /* whoever wanted it is gone */
};

struct tail_event {
    struct event event; /* its data is not parsed yet */
    const char *data;
    size_t n;
};

struct refold *
refold_new(const char *run_id, int64_t run_key, int64_t day)
{
    struct refold *r = xcalloc(1, sizeof *r);

    r->run_key = run_key;
    r->day = day;
    r->projection = projection_new(run_id);
    batch_init(&r->rows);
    return r;
}

void
refold_free(struct refold *r)
{
    if (!r)
        return;
    projection_free(r->projection);
    facts_fini(&r->facts);
    batch_fini(&r->rows);
    arena_fini(&r->arena);
    free(r);
}

/* data: the text of the event's data. */
static void
fold(struct refold *r, struct event *e, const char *data, size_t n, const struct price_list *prices)
{
    struct fact fact;
    json_error_t error;

    e->data = json_loadb(data, n, JSON_DECODE_INT_AS_REAL, &error);
    if (!e->data)
        e->data = json_object();
    metrics_fold(&r->metrics, e, prices);
    if (facts_fold(&r->facts, r->projection, e, prices, &r->arena, &fact))
        batch_add_fact(&r->rows, r->run_key, &fact);
    json_decref(e->data);
    e->data = NULL;
    r->seq = e->seq;
    r->events++;
}

/* --- stored events --------------------------------------------------------------------------- */

static const char *
text_or_null(const struct db_result *rows, int row, int col)
{
    return db_null(rows, row, col) ? NULL : db_text(rows, row, col);
}

static void
fold_row(struct refold *r, const struct db_result *rows, int row, const struct price_list *prices)
{
    struct event e = {.seq = db_int(rows, row, 0), .id = text_or_null(rows, row, 7)};

    event_set_time(&e, db_int(rows, row, 1));
    e.type_name = db_text(rows, row, 2);
    e.type = event_type_parse(e.type_name);
    event_set_subject(&e, db_text(rows, row, 3), db_text(rows, row, 4));
    e.trace_id = text_or_null(rows, row, 5);
    e.span_id = text_or_null(rows, row, 6);
    e.source_kind = text_or_null(rows, row, 9);
    fold(r, &e, db_text(rows, row, 8), db_len(rows, row, 8), prices);
}

bool
refold_read(struct refold *r, struct db *db, const struct price_list *prices, int64_t up_to,
            bool *more, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;
    int row = 0;

    db_args_init(&args);
    db_arg_int(&args, r->run_key);
    db_arg_int(&args, r->day);
    db_arg_int(&args, r->seq);
    db_arg_int(&args, EVENTS_PER_PAGE);
    if (!db_run(db, SQL_REBUILD_EVENTS, &args, &rows, err))
        return false;
    arena_reset(&r->arena);
    for (; row < db_rows(rows) && db_int(rows, row, 0) <= up_to; row++)
        fold_row(r, rows, row, prices);
    *more = row == EVENTS_PER_PAGE;
    if (!*more && up_to < EVENT_SEQ_MAX)
        r->seq = up_to; /* not every number is an event's */
    return true;
}

/* --- recorded events ------------------------------------------------------------------------- */

struct tail *
tail_new(int64_t after)
{
    struct tail *t = xcalloc(1, sizeof *t);

    t->after = after;
    t->began_ms = clock_mono_ms();
    return t;
}

void
tail_free(struct tail *t)
{
    if (!t)
        return;
    arena_fini(&t->arena);
    free(t->events);
    free(t);
}

static const char *
keep(struct tail *t, const char *text)
{
    return text ? arena_strdup(&t->arena, text) : NULL;
}

bool
tail_add(struct tail *t, const struct event *e, const char *data, size_t n)
{
    struct tail_event *kept;

    t->bytes += sizeof *kept + n;
    if (t->bytes > TAIL_BYTES || clock_mono_ms() > t->began_ms + TAIL_MS)
        return false;
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->events = xrealloc(t->events, t->cap * sizeof *t->events);
    }
    kept = &t->events[t->n++];
    *kept = (struct tail_event){
        .event = {.seq = e->seq, .type = e->type},
        .data = arena_strndup(&t->arena, data, n),
        .n = n,
    };
    event_set_time(&kept->event, e->ts_ms);
    kept->event.subject_kind = keep(t, e->subject_kind);
    kept->event.subject_id = keep(t, e->subject_id);
    kept->event.source_kind = keep(t, e->source_kind);
    kept->event.trace_id = keep(t, e->trace_id);
    kept->event.span_id = keep(t, e->span_id);
    return true;
}

void
refold_tail(struct refold *r, const struct tail *t, const struct price_list *prices)
{
    arena_reset(&r->arena);
    for (size_t i = 0; i < t->n; i++) {
        struct event e = t->events[i].event;

        fold(r, &e, t->events[i].data, t->events[i].n, prices);
    }
}
