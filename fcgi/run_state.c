/*
 * run_state.c - GET /runs/:id/state, GET /runs/:id/replay/state, POST /runs/:id/projection/rebuild.
 *
 * The stored projection may lag: events behind its version are folded here. Without a tail the
 * stored texts are passed through as they are. A projection of another schema version is not
 * read at all; the state is folded from the first event on.
 */
#include "fcgi/handlers.h"
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
 * The whole log is folded without holding anything: events never change, and are visible in the
 * order of their numbers. Only storing takes the lock, so a live owner is not held up.
 */
bool
run_projection_rebuild(struct request *rq, struct err *err)
{
    struct projection *p = NULL;
    struct buf *b;
    bool ok;

    if (!run_must_exist(rq, err) || !run_fold_log(rq, rq->params[0], INT64_MAX, &p, err))
        return false;
    ok = store(rq, p, err);
    if (ok) {
        b = reply_json(rq, 201);
        projection_write(p, b);
        b->len--; /* its closing brace */
        buf_printf(b, ",\"rebuilt\":true,\"latestSeq\":%lld}", (long long)projection_latest_seq(p));
    }
    projection_free(p);
    return ok;
}
