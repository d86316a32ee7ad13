/*
 * run_state.c - GET /runs/:id/state, GET /runs/:id/replay/state, POST /runs/:id/projection/rebuild.
 *
 * The stored projection may lag: events behind its version are folded here. Without a tail the
 * stored texts are passed through as they are. A projection of another schema version is not
 * read at all; the state is folded from the first event on.
 */
#include "fcgi/app.h"
#include "fcgi/command.h"
#include "fcgi/handlers.h"
#include "fcgi/outcome.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_fold.h"
#include "fcgi/run_wait.h"

bool
run_state_get(struct request *rq, struct err *err)
{
    struct run_wait wait = {0};
    bool ok, found = false;

    do {
        ok = run_fold_state(rq, rq->params[0], reply_json(rq, 200), &found, err);
    } while (ok && !found && run_wait_more(rq->app, &wait));
    if (ok && !found)
        ok = err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    run_wait_end(rq->app, &wait);
    return ok;
}

/* --- at a sequence number --------------------------------------------------------------------- */

enum { Q_SEQ };

// clang-format off
const struct query_field run_replay_state_query[] = {
    [Q_SEQ] = {.name = "seq", .type = QUERY_INTEGER, .flags = QUERY_EMPTY_IS_ABSENT | QUERY_MAX_IS_COLUMN | QUERY_CLAMP_MIN,
               .min = 0, .max = EVENT_SEQ_MAX, .number = EVENT_SEQ_MAX},
    {0},
};
// clang-format on

bool
run_replay_state(struct request *rq, struct err *err)
{
    struct projection *p = NULL;

    if (!run_must_exist(rq, err) ||
        !run_fold_log(rq, rq->params[0], rq->values[Q_SEQ].number, &p, err))
        return false;
    projection_write(p, reply_json(rq, 200));
    projection_free(p);
    return true;
}

/* --- rebuild ---------------------------------------------------------------------------------- */

static bool
store(struct request *rq, const struct projection *p, struct err *err)
{
    struct buf sections[PROJECTION__COUNT] = {0};
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;
    bool ok;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    db_arg_int(&a, projection_latest_seq(p));
    db_arg_int(&a, PROJECTION_SCHEMA_VERSION);
    for (int s = 0; s < PROJECTION__COUNT; s++) {
        projection_write_section(p, (enum projection_section)s, &sections[s]);
        db_arg_text(&a, buf_cstr(&sections[s]));
    }
    request_add_actor(rq, &a);
    ok = request_query(rq, rq->db, SQL_PROJECTION_STORE, &a, &r, err);
    for (int s = 0; s < PROJECTION__COUNT; s++)
        buf_fini(&sections[s]);
    if (ok && db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    return ok;
}

/*
 * The whole log, folded without holding anything: events never change, and are visible in the order
 * of their numbers. Only storing takes the lock. 202: it is not rebuilt yet.
 */
static bool
reply_folded(struct request *rq, int status, bool stores, struct err *err)
{
    struct projection *p = NULL;
    bool ok;

    if (!run_fold_log(rq, rq->params[0], INT64_MAX, &p, err))
        return false;
    ok = !stores || store(rq, p, err);
    if (ok) {
        struct buf *b = reply_json(rq, status);

        projection_write(p, b);
        b->len--; /* its closing brace */
        buf_printf(b, ",\"rebuilt\":%s,\"latestSeq\":%lld}", status == 201 ? "true" : "false",
                   (long long)projection_latest_seq(p));
    }
    projection_free(p);
    return ok;
}

/* Its owner folds it: what it has in memory is what it would store next. */
static bool
rebuild_by_owner(struct request *rq, int64_t run_key, struct err *err)
{
    struct command_wish wish = {COMMAND_REBUILD, run_key, "{}"};
    struct command_outcome c;
    bool ok;

    if (!command_ask(rq, &wish, &c, err))
        return false;
    if (!outcomes_enter(rq->app->outcomes))
        return reply_folded(rq, 202, false, err); /* others wait; it is carried out all the same */
    ok = command_wait(rq, &c, 1, command_wait_ms(rq, COMMAND_REBUILD), err);
    outcomes_leave(rq->app->outcomes);
    if (!ok)
        return false;
    if (c.state == COMMAND_DONE)
        return reply_folded(rq, 201, false, err);
    if (c.state == COMMAND_UNOBSERVED)
        return reply_folded(rq, 201, true, err);
    return run_must_exist(rq, err) && command_reply_failure(rq, &c, err);
}

bool
run_projection_rebuild(struct request *rq, struct err *err)
{
    enum { COL_RUN_KEY, COL_OBSERVED };
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    if (!request_query(rq, rq->db, SQL_RUN_OBSERVED, &a, &r, err))
        return false;
    if (db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    return db_bool(r, 0, COL_OBSERVED) ? rebuild_by_owner(rq, db_int(r, 0, COL_RUN_KEY), err)
                                       : reply_folded(rq, 201, true, err);
}
