/*
 * run_command.c - POST /runs/:id/cancel, /suspend, /resume and /runs/batch/cancel.
 *
 * What is asked for is a row that an observer carries out; here it is waited for. 201 says that the
 * run has become what was wanted, 202 that whoever was asked agreed and the run does not show it
 * yet: its state is what the runtime says, whatever an agent promised.
 */
#include <string.h>

#include "fcgi/app.h"
#include "fcgi/batch.h"
#include "fcgi/command.h"
#include "fcgi/handlers.h"
#include "fcgi/outcome.h"
#include "fcgi/reply.h"
#include "fcgi/run_row.h"
#include "shared/json.h"
#include "shared/run.h"
#include "shared/uuid.h"

#define BATCH_REASON "{\"reason\":\"batch cancel\"}"

// clang-format off
static const struct field reason_fields[] = {
    {"reason", FIELD_STRING, 0, 0, NULL, NULL, NULL, 0},
    {NULL,     FIELD_STRING, 0, 0, NULL, NULL, NULL, 0},
};
// clang-format on

const struct body_schema run_command_schema = {reason_fields, false, NULL};

/* --- the run ------------------------------------------------------------------------------- */

struct target {
    int64_t run_key;
    enum run_status status;
    bool has_callback, delegated;
};

static bool
find_target(struct request *rq, const char *run_id, struct target *out, struct err *err)
{
    enum { COL_RUN_KEY, COL_STATUS, COL_CALLBACK, COL_DELEGATED };
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, run_id);
    if (!request_query(rq, rq->db, SQL_COMMAND_TARGET, &a, &r, err))
        return false;
    if (db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", run_id);
    out->run_key = db_int(r, 0, COL_RUN_KEY);
    if (!run_status_parse(db_text(r, 0, COL_STATUS), &out->status))
        return err_set(err, ERR_INTERNAL, "unknown status %s", db_text(r, 0, COL_STATUS));
    out->has_callback = db_bool(r, 0, COL_CALLBACK);
    out->delegated = db_bool(r, 0, COL_DELEGATED);
    return true;
}

static bool
reply_run(struct request *rq, int status, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    if (!request_query(rq, rq->db, SQL_RUN_GET, &a, &r, err))
        return false;
    if (db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    run_row_write(r, 0, reply_json(rq, status));
    return true;
}

/* --- one run ------------------------------------------------------------------------------- */

static const char *
reason_args(struct request *rq)
{
    const json_t *reason = jv_get(rq->document, "reason");
    AUTO_BUF text = {0};

    if (!json_is_string(reason))
        return "{}";
    buf_lit(&text, "{\"reason\":");
    jv_write(&text, reason);
    buf_char(&text, '}');
    return arena_strndup(rq->arena, buf_cstr(&text), text.len);
}

static bool
carry_out(struct request *rq, const struct target *t, enum command_kind kind, struct err *err)
{
    struct command_wish wish = {kind, t->run_key, reason_args(rq)};
    struct command_outcome c;
    bool ok;

    if (!command_ask(rq, &wish, &c, err))
        return false;
    if (!outcomes_enter(rq->app->outcomes))
        return reply_run(rq, 202, err); /* others wait already; it is carried out all the same */
    ok = command_wait(rq, &c, 1, command_wait_ms(rq, kind), err);
    outcomes_leave(rq->app->outcomes);
    if (!ok)
        return false;
    if (c.state == COMMAND_DONE || c.state == COMMAND_ACCEPTED)
        return reply_run(rq, c.state == COMMAND_DONE ? 201 : 202, err);
    return command_reply_failure(rq, &c, err);
}

static bool
check_cancellable(const struct target *t, struct err *err)
{
    return t->has_callback || t->delegated ||
           err_set(err, ERR_VALIDATION,
                   "run has no cancelCallback in metadata and no policy delegation \xe2\x80\x94 "
                   "cannot cancel from control-plane");
}

bool
run_cancel(struct request *rq, struct err *err)
{
    struct target t;

    if (!find_target(rq, rq->params[0], &t, err))
        return false;
    if (run_status_is_terminal(t.status))
        return reply_run(rq, 201, err);
    return check_cancellable(&t, err) && carry_out(rq, &t, COMMAND_CANCEL, err);
}

static bool
change(struct request *rq, enum command_kind kind, enum run_status from, const char *done,
       struct err *err)
{
    struct target t;

    if (!find_target(rq, rq->params[0], &t, err))
        return false;
    if (t.status != from)
        return err_set(err, ERR_VALIDATION, "only %s runs can be %s (current status: %s)",
                       run_status_name(from), done, run_status_name(t.status));
    return carry_out(rq, &t, kind, err);
}

bool
run_suspend(struct request *rq, struct err *err)
{
    return change(rq, COMMAND_SUSPEND, RUN_RUNNING, "suspended", err);
}

bool
run_resume(struct request *rq, struct err *err)
{
    return change(rq, COMMAND_RESUME, RUN_SUSPENDED, "resumed", err);
}

/* --- several runs -------------------------------------------------------------------------- */

struct batch_run {
    const char *error; /* NULL: none yet */
    bool cancelled;    /* it was already */
    size_t outcome;    /* of its command, when it has neither */
};

static const char *
ended_text(struct request *rq, const char *status)
{
    return arena_printf(rq->arena, "run has already ended (%s)", status);
}

/* What is to be done for one; false: nothing about this run, the rest would fail, too. */
static bool
ask_one(struct request *rq, const char *run_id, struct batch_run *run,
        struct command_outcome *outcomes, size_t *n, struct err *err)
{
    struct target t;
    bool ok = batch_check_id(run_id, err) && find_target(rq, run_id, &t, err);

    if (ok && t.status == RUN_CANCELLED) {
        run->cancelled = true;
        return true;
    }
    if (ok && run_status_is_terminal(t.status))
        ok = err_set(err, ERR_CONFLICT, "%s", ended_text(rq, run_status_name(t.status)));
    ok = ok && check_cancellable(&t, err) &&
         command_ask(rq, &(struct command_wish){COMMAND_CANCEL, t.run_key, BATCH_REASON},
                     &outcomes[*n], err);
    if (ok)
        run->outcome = (*n)++;
    else if (err_http_status(err->code) >= 500)
        return false;
    else
        run->error = arena_strdup(rq->arena, err->msg);
    return true;
}

/* The first ones wait for the last ones: all commands run meanwhile. */
static bool
wait_for_all(struct request *rq, struct command_outcome *outcomes, size_t n, bool *waited,
             struct err *err)
{
    bool ok;

    *waited = n > 0 && outcomes_enter(rq->app->outcomes);
    if (!*waited)
        return true;
    ok = command_wait(rq, outcomes, n, command_wait_ms(rq, COMMAND_CANCEL), err);
    outcomes_leave(rq->app->outcomes);
    return ok;
}

static void
write_one(struct request *rq, const json_t *id, const struct batch_run *run,
          const struct command_outcome *c, bool waited, struct buf *b)
{
    const char *error = run->error, *status = "failed";

    if (run->cancelled ||
        (!error && c->state == COMMAND_DONE && strcmp(c->run_status, "cancelled") == 0))
        status = "cancelled";
    else if (!error && c->state == COMMAND_DONE)
        error = ended_text(rq, c->run_status);
    else if (!error && (c->state == COMMAND_ACCEPTED || !waited))
        status = "requested";
    else if (!error)
        error = command_failure_text(rq, c);
    buf_lit(b, "{\"runId\":");
    jv_write(b, id);
    buf_printf(b, ",\"status\":\"%s\"", status);
    if (error) {
        buf_lit(b, ",\"error\":");
        jv_write_text(b, error, strlen(error));
    }
    buf_char(b, '}');
}

bool
batch_cancel(struct request *rq, struct err *err)
{
    const json_t *ids = jv_get(rq->document, "runIds");
    size_t count = json_array_size(ids), n = 0, i;
    struct batch_run *runs = arena_alloc(rq->arena, (count + 1) * sizeof *runs);
    struct command_outcome *outcomes = arena_alloc(rq->arena, (count + 1) * sizeof *outcomes);
    struct buf *b;
    json_t *id;
    bool waited;

    memset(runs, 0, (count + 1) * sizeof *runs);
    json_array_foreach (ids, i, id)
        if (!ask_one(rq, json_string_value(id), &runs[i], outcomes, &n, err))
            return false;
    if (!wait_for_all(rq, outcomes, n, &waited, err))
        return false;
    b = reply_json(rq, 201);
    buf_char(b, '[');
    json_array_foreach (ids, i, id) {
        if (i)
            buf_char(b, ',');
        write_one(rq, id, &runs[i], &outcomes[runs[i].outcome], waited, b);
    }
    buf_char(b, ']');
    return true;
}
