#include "fcgi/run_fold.h"

#include "fcgi/event_row.h"
#include "shared/log.h"
#include "shared/uuid.h"

enum { FOLD_PAGE = 2000 };

enum {
    COL_ID,
    COL_LAST_SEQ,
    COL_VERSION,
    COL_SCHEMA_VERSION,
    COL_SECTIONS,
};

/* Fold the events behind after, up to a number; pages keep a long log from filling the memory. */
static bool
fold_events(struct request *rq, const char *run_id, struct projection *p, int64_t after,
            int64_t up_to, struct err *err)
{
    for (;;) {
        AUTO_DB_RESULT *r = NULL;
        struct db_args a;

        db_args_init(&a);
        db_arg_text(&a, run_id);
        db_arg_int(&a, after);
        db_arg_int(&a, FOLD_PAGE);
        if (!request_query(rq, rq->db, SQL_RUN_EVENTS_PAGE, &a, &r, err))
            return false;
        for (int i = 0; i < db_rows(r); i++) {
            struct event e;

            after = db_int(r, i, EVENT_COL_SEQ);
            if (after > up_to)
                return true;
            if (!event_row_read(r, i, &e))
                return err_set(err, ERR_INTERNAL, "event %lld of run %s is not readable",
                               (long long)after, run_id);
            projection_fold(p, &e);
            json_decref(e.data);
        }
        if (db_rows(r) < FOLD_PAGE)
            return true;
    }
}

bool
run_fold_log(struct request *rq, const char *run_id, int64_t up_to, struct projection **out,
             struct err *err)
{
    char id[UUID_LEN];
    struct projection *p;

    uuid_lower(run_id, id);
    p = projection_new(id);
    if (fold_events(rq, id, p, 0, up_to, err)) {
        *out = p;
        return true;
    }
    projection_free(p);
    return false;
}

/* --- stored state and its tail -------------------------------------------------------------- */

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
    return projection_load_sections(sections, db_int(r, 0, COL_VERSION), out, err);
}

static bool
is_usable(const struct db_result *r)
{
    return !db_null(r, 0, COL_VERSION) &&
           db_int(r, 0, COL_SCHEMA_VERSION) == PROJECTION_SCHEMA_VERSION;
}

int64_t
run_fold_stored(const struct db_result *r, struct projection **out)
{
    struct err why;

    if (is_usable(r)) {
        if (load_stored(r, out, &why))
            return db_int(r, 0, COL_VERSION);
        log_line(LOG_ERROR, &(struct log_ctx){.run_id = db_text(r, 0, COL_ID), .err = &why},
                 "a stored projection is damaged: folding from the log");
    }
    *out = projection_new(db_text(r, 0, COL_ID));
    return 0;
}

int64_t
run_fold_last_seq(const struct db_result *r)
{
    return db_int(r, 0, COL_LAST_SEQ);
}

static bool
write_folded(struct request *rq, const struct db_result *r, struct buf *out, struct err *err)
{
    struct projection *p = NULL;
    int64_t version = run_fold_stored(r, &p);
    bool ok;

    ok = fold_events(rq, db_text(r, 0, COL_ID), p, version, INT64_MAX, err);
    if (ok)
        projection_write(p, out);
    projection_free(p);
    return ok;
}

bool
run_fold_state(struct request *rq, const char *run_id, struct buf *out, bool *found,
               struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    if (!request_query(rq, rq->db, SQL_RUN_STATE, &a, &r, err))
        return false;
    *found = db_rows(r) > 0;
    if (!*found)
        return true;
    if (!is_usable(r) || db_int(r, 0, COL_VERSION) < db_int(r, 0, COL_LAST_SEQ))
        return write_folded(rq, r, out, err);
    pass_through(r, out);
    return true;
}

bool
run_must_exist(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    if (!request_query(rq, rq->db, SQL_RUN_EXISTS, &a, &r, err))
        return false;
    return db_rows(r) > 0 || err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
}
