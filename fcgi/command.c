#include "fcgi/command.h"

#include <string.h>

#include "fcgi/app.h"
#include "fcgi/notify.h"
#include "fcgi/outcome.h"
#include "fcgi/reply.h"
#include "fcgi/runtime.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/run.h"
#include "shared/uuid.h"

enum {
    ASK_TRIES = 3,       /* the open command in the way may end while we look */
    LIVES_ON_MS = 60000, /* behind the last request that waits */
    CALLBACK_GRACE_MS = 1000,
    LOOK_MS = 1000, /* without having been told */
};

int64_t
command_wait_ms(const struct request *rq, enum command_kind kind)
{
    const struct config *config = rq->app->config;

    return kind == COMMAND_CANCEL ? config->cancel_callback_timeout_ms + CALLBACK_GRACE_MS
                                  : config->command_wait_ms;
}

int64_t
command_life_ms(const struct request *rq, enum command_kind kind)
{
    return command_wait_ms(rq, kind) + LIVES_ON_MS;
}

/* --- asking -------------------------------------------------------------------------------- */

static bool
insert(struct request *rq, const struct command_wish *wish, const char *token,
       struct db_result **out, struct err *err)
{
    struct db_args a;

    db_args_init(&a);
    if (wish->run_key)
        db_arg_int(&a, wish->run_key);
    else
        db_arg_null(&a);
    db_arg_text(&a, command_kind_name(wish->kind));
    db_arg_text(&a, wish->args);
    db_arg_text(&a, rq->actor);
    db_arg_text(&a, rq->request_id);
    db_arg_text(&a, token);
    db_arg_int(&a, command_life_ms(rq, wish->kind));
    return request_query(rq, rq->db, SQL_COMMAND_REQUEST, &a, out, err);
}

bool
command_ask(struct request *rq, const struct command_wish *wish, struct command_outcome *out,
            struct err *err)
{
    char token[UUID_LEN];

    uuid_v4(token);
    for (int i = 0; i < ASK_TRIES; i++) {
        AUTO_DB_RESULT *r = NULL;

        if (!insert(rq, wish, token, &r, err))
            return false;
        if (db_rows(r) == 0)
            continue;
        *out = (struct command_outcome){.id = db_int(r, 0, 0)};
        notify_send(rq->app->notify, CHANNEL_CMD, db_text(r, 0, 0));
        return true;
    }
    return err_set(err, ERR_CONFLICT, "run is being changed by other requests, try again");
}

/* --- waiting ------------------------------------------------------------------------------- */

static bool
has_ended(const struct command_outcome *c)
{
    return c->state == COMMAND_DONE || c->state == COMMAND_UNOBSERVED ||
           c->state == COMMAND_FAILED || c->state == COMMAND_EXPIRED;
}

static const char *
member(struct request *rq, const json_t *result, const char *name)
{
    const char *text = jv_cstr(jv_get(result, name));

    return text ? arena_strdup(rq->arena, text) : "";
}

/* An accepted command has a result before it has ended. */
static void
read_row(struct request *rq, const struct db_result *r, int row, struct command_outcome *c)
{
    enum { COL_ID, COL_STATE, COL_RESULT };
    const char *state = db_text(r, row, COL_STATE);
    AUTO_JSON *result = jv_parse(db_text(r, row, COL_RESULT), db_len(r, row, COL_RESULT));
    const char *outcome = jv_cstr(jv_get(result, "outcome"));

    if (strcmp(state, "expired") == 0)
        c->state = COMMAND_EXPIRED;
    else if (strcmp(state, "failed") == 0)
        c->state = COMMAND_FAILED;
    else if (strcmp(state, "done") == 0 && outcome && strcmp(outcome, "done") == 0)
        c->state = COMMAND_DONE;
    else if (outcome && strcmp(outcome, "unobserved") == 0)
        c->state = COMMAND_UNOBSERVED;
    else if (outcome)
        c->state = COMMAND_ACCEPTED;
    c->run_status = member(rq, result, "status");
    c->failure = member(rq, result, "failure");
    c->message = member(rq, result, "message");
    c->grpc_code = (int)json_number_value(jv_get(result, "grpcCode"));
}

static bool
look(struct request *rq, struct command_outcome *outcomes, size_t n, bool *all, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    AUTO_BUF ids = {0};
    struct db_args a;

    for (size_t i = 0; i < n; i++)
        buf_printf(&ids, "%c%lld", i ? ',' : '{', (long long)outcomes[i].id);
    buf_char(&ids, '}');
    db_args_init(&a);
    db_arg_text(&a, buf_cstr(&ids));
    if (!request_query(rq, rq->db, SQL_COMMANDS_STATE, &a, &r, err))
        return false;
    *all = true;
    for (size_t i = 0; i < n; i++) {
        for (int row = 0; row < db_rows(r); row++)
            if (db_int(r, row, 0) == outcomes[i].id)
                read_row(rq, r, row, &outcomes[i]);
        *all = *all && has_ended(&outcomes[i]);
    }
    return true;
}

bool
command_wait(struct request *rq, struct command_outcome *outcomes, size_t n, int64_t wait_ms,
             struct err *err)
{
    int64_t until = rq->started_ms + wait_ms, *ids = arena_alloc(rq->arena, n * sizeof *ids);
    struct outcome_wait wait = {.ids = ids, .n = n};
    struct outcomes *o = rq->app->outcomes;
    bool ok, all = false, go_on = true;

    for (size_t i = 0; i < n; i++)
        ids[i] = outcomes[i].id;
    outcome_wait_begin(o, &wait);
    while ((ok = look(rq, outcomes, n, &all, err)) && !all && go_on && clock_mono_ms() < until) {
        int64_t next = clock_mono_ms() + LOOK_MS;

        go_on = outcome_wait_until(o, &wait, next < until ? next : until);
    }
    outcome_wait_end(o, &wait);
    return ok;
}

/* --- failures ------------------------------------------------------------------------------ */

static const char *
no_result_text(struct request *rq, const struct command_outcome *c)
{
    return c->state == COMMAND_EXPIRED
               ? arena_printf(rq->arena, "no observer could carry out command %lld",
                              (long long)c->id)
               : arena_printf(rq->arena, "command %lld has no result yet", (long long)c->id);
}

const char *
command_failure_text(struct request *rq, const struct command_outcome *c)
{
    return c->state == COMMAND_FAILED ? c->message : no_result_text(rq, c);
}

static void
reply_no_result(struct request *rq, const struct command_outcome *c)
{
    const char *text = no_result_text(rq, c);
    struct buf *b = reply_json(rq, err_http_status(ERR_RUNTIME_TIMEOUT));

    buf_printf(b, "{\"statusCode\":%d,\"errorCode\":\"%s\",\"message\":",
               err_http_status(ERR_RUNTIME_TIMEOUT), err_name(ERR_RUNTIME_TIMEOUT));
    buf_json(b, text);
    buf_printf(b, ",\"metadata\":{\"commandId\":\"%lld\"}}", (long long)c->id);
}

bool
command_reply_failure(struct request *rq, const struct command_outcome *c, struct err *err)
{
    if (c->state != COMMAND_FAILED) {
        reply_no_result(rq, c);
        return true;
    }
    if (strcmp(c->failure, COMMAND_FAILED_RUNTIME) == 0) {
        runtime_refused(rq, c->grpc_code, c->message);
        return true;
    }
    if (strcmp(c->failure, COMMAND_FAILED_BREAKER) == 0)
        return err_set(err, ERR_BREAKER, "%s", c->message);
    if (strcmp(c->failure, COMMAND_FAILED_CALLBACK) == 0)
        return err_set(err, ERR_CALLBACK, "%s", c->message);
    if (strcmp(c->failure, COMMAND_FAILED_POLICY) == 0 &&
        strstr(c->message, "INVALID_POLICY_DEFINITION"))
        return err_set(err, ERR_VALIDATION, "%s", c->message);
    return err_set(err, ERR_REFUSED, "%s", c->message);
}

bool
command_do(struct request *rq, const struct command_wish *wish, bool *done, struct err *err)
{
    struct command_outcome c;
    bool ok;

    if (!outcomes_enter(rq->app->outcomes)) {
        reply_header_int(rq, "Retry-After", 1);
        return err_set(err, ERR_BUSY, "too many requests wait for the observers");
    }
    ok = command_ask(rq, wish, &c, err) &&
         command_wait(rq, &c, 1, command_wait_ms(rq, wish->kind), err);
    outcomes_leave(rq->app->outcomes);
    *done = ok && c.state == COMMAND_DONE;
    return ok && (*done || command_reply_failure(rq, &c, err));
}
