/*
 * run_state.c - GET /runs/:id/state.
 *
 * The stored projection may lag: events behind its version are folded here. Without a tail the
 * stored texts are passed through as they are. A projection of another schema version is not
 * read at all; the state is folded from the first event on.
 */
#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_wait.h"
#include "shared/log.h"
#include "shared/projection.h"

enum { FOLD_PAGE = 2000 };

enum {
    COL_ID,
    COL_LAST_SEQ,
    COL_VERSION,
    COL_SCHEMA_VERSION,
    COL_SECTIONS,
};

static void
pass_through(const struct db_result *r, struct buf *out)
{
    static const char *const members[PROJECTION__COUNT] = {
#define X(id, member, column) [id] = member,
        PROJECTION_SECTION_LIST(X)
#undef X
    };

    for (int s = 0; s < PROJECTION__COUNT; s++) {
        buf_char(out, s ? ',' : '{');
        buf_json(out, members[s]);
        buf_char(out, ':');
        buf_add(out, db_text(r, 0, COL_SECTIONS + s), db_len(r, 0, COL_SECTIONS + s));
    }
    buf_char(out, '}');
}

static bool
load_stored(const struct db_result *r, struct projection **out, struct err *err)
{
    const char *sections[PROJECTION__COUNT];

    for (int s = 0; s < PROJECTION__COUNT; s++)
        sections[s] = db_text(r, 0, COL_SECTIONS + s);
    return projection_load_sections(sections, out, err);
}

/* Fold the events behind after; pages keep a long log from filling the memory. */
static bool
fold_tail(struct request *rq, struct projection *p, int64_t after, struct err *err)
{
    for (;;) {
        AUTO_DB_RESULT *r = NULL;
        struct db_args a;

        db_args_init(&a);
        db_arg_text(&a, rq->params[0]);
        db_arg_int(&a, after);
        db_arg_int(&a, FOLD_PAGE);
        if (!request_query(rq, rq->db, SQL_RUN_EVENTS_PAGE, &a, &r, err))
            return false;
        for (int i = 0; i < db_rows(r); i++) {
            struct event e;

            after = db_int(r, i, EVENT_COL_SEQ);
            if (!event_row_read(r, i, &e))
                return err_set(err, ERR_INTERNAL, "event %lld of run %s is not readable",
                               (long long)after, rq->params[0]);
            projection_fold(p, &e);
            json_decref(e.data);
        }
        if (db_rows(r) < FOLD_PAGE)
            return true;
    }
}

static bool
reply_folded(struct request *rq, const struct db_result *r, bool usable, struct err *err)
{
    struct projection *p = NULL;
    struct err why;
    bool ok;

    if (usable && !load_stored(r, &p, &why)) {
        log_line(LOG_ERROR, &(struct log_ctx){.run_id = db_text(r, 0, COL_ID), .err = &why},
                 "a stored projection is damaged: folding from the log");
        usable = false;
    }
    if (!usable)
        p = projection_new(db_text(r, 0, COL_ID));
    ok = fold_tail(rq, p, usable ? db_int(r, 0, COL_VERSION) : 0, err);
    if (ok)
        projection_write(p, reply_json(rq, 200));
    projection_free(p);
    return ok;
}

static bool
reply_state(struct request *rq, const struct db_result *r, struct err *err)
{
    bool usable = !db_null(r, 0, COL_VERSION) &&
                  db_int(r, 0, COL_SCHEMA_VERSION) == PROJECTION_SCHEMA_VERSION;

    if (!usable || db_int(r, 0, COL_VERSION) < db_int(r, 0, COL_LAST_SEQ))
        return reply_folded(rq, r, usable, err);
    pass_through(r, reply_json(rq, 200));
    return true;
}

bool
run_state_get(struct request *rq, struct err *err)
{
    struct run_wait wait = {0};
    struct db_args a;
    bool ok;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    for (;;) {
        AUTO_DB_RESULT *r = NULL;

        ok = request_query(rq, rq->db, SQL_RUN_STATE, &a, &r, err);
        if (ok && db_rows(r) == 0 && run_wait_more(rq->app, &wait))
            continue;
        if (ok && db_rows(r) == 0)
            ok = err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
        else if (ok)
            ok = reply_state(rq, r, err);
        break;
    }
    run_wait_end(rq->app, &wait);
    return ok;
}
