/* run_control.c - DELETE /runs/:id and POST /runs/:id/archive. */
#include "fcgi/run_control.h"

#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/run_row.h"

static void
change_args(struct request *rq, const char *run_id, struct db_args *a)
{
    db_args_init(a);
    db_arg_text(a, run_id);
    request_add_actor(rq, a);
}

/*
 * The lock is a statement of its own: the next one sees what the run's owner has committed while
 * we waited for it. Within one statement those rows would be invisible, and stay for ever.
 */
static bool
delete_locked(struct request *rq, const char *run_id, struct db_result **out, struct err *err)
{
    struct db_result *results[2] = {NULL, NULL};
    struct db_args a;
    bool ok;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    db_pipeline_begin(rq->db);
    db_pipeline_add(rq->db, SQL_RUN_LOCK, &a);
    change_args(rq, run_id, &a);
    db_pipeline_add(rq->db, SQL_RUN_DELETE, &a);
    ok = db_pipeline_commit(rq->db, results, 2, err);
    db_result_free(results[0]);
    *out = results[1];
    return ok;
}

bool
run_remove(struct request *rq, const char *run_id, struct err *err)
{
    enum { COL_STATUS, COL_DELETED };
    AUTO_DB_RESULT *found = NULL, *r = NULL;
    enum run_status status;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    if (!request_query(rq, rq->db, SQL_RUN_EXISTS, &a, &found, err))
        return false;
    if (db_rows(found) > 0 && !delete_locked(rq, run_id, &r, err))
        return false;
    if (db_rows(r) > 0 && db_bool(r, 0, COL_DELETED))
        return true;
    /* An ended run that was not deleted is gone: another request was faster. */
    if (db_rows(r) > 0 && run_status_parse(db_text(r, 0, COL_STATUS), &status) &&
        !run_status_is_terminal(status))
        return err_set(err, ERR_VALIDATION,
                       "only terminal runs (completed, failed, cancelled) can be deleted");
    return err_set(err, ERR_NOT_FOUND, "run %s not found", run_id);
}

bool
run_archive_one(struct request *rq, const char *run_id, struct db_result **out, struct err *err)
{
    struct db_args a;

    change_args(rq, run_id, &a);
    if (!request_query(rq, rq->db, SQL_RUN_ARCHIVE, &a, out, err))
        return false;
    return db_rows(*out) > 0 || err_set(err, ERR_NOT_FOUND, "run %s not found", run_id);
}

bool
run_delete(struct request *rq, struct err *err)
{
    if (!run_remove(rq, rq->params[0], err))
        return false;
    reply_empty(rq, 204);
    return true;
}

bool
run_archive(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    if (!run_archive_one(rq, rq->params[0], &r, err))
        return false;
    run_row_write(r, 0, reply_json(rq, 201));
    return true;
}
