/* One command, step by step: asking the shard, the runtime, the agent; what their answers mean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "observerd/command_work.h"
#include "observerd/message_json.h"
#include "observerd/outbound.h"
#include "observerd/refold.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"

#define CALLBACK_FAILED "cancel callback failed"

enum {
    READY_LIMIT_MS = 2000, /* then people want it all the same */
    READY_PAUSE_MS = 10,
    READY_PAUSE_MAX_MS = 200,
    ANSWER_LIMIT_MS = 2000, /* a shard that stops says nothing */
    SEND_PAUSE_MS = 100,    /* too many requests are on their way */
    CONFIRM_MS = 10,
    CONFIRM_MAX_MS = 250,
    CONFIRM_LIMIT_MS = 5000,
    CANCEL_LIMIT_MS = 30000, /* an agent that agreed may take its time */
    POKE_MS = 100,
    POKE_MAX_MS = 2000,
    FOLD_ANSWER_MS = 10000, /* a large fold is written as rows */
    FOLD_ROUNDS = 20,
    FOLD_DOUBLINGS = 6,    /* of the pause between them */
    FOLD_FACTS = 32 << 20, /* bytes: they are stored in one transaction */
};

static void
enter(struct command *c, enum command_phase phase)
{
    c->phase = phase;
    c->since_ms = clock_mono_ms();
    c->due_ms = c->since_ms;
    c->pause_ms = 0;
}

/* The next time, a growing while away. */
static void
again(struct command *c, int64_t first, int64_t most)
{
    c->pause_ms = c->pause_ms ? c->pause_ms * 2 : first;
    if (c->pause_ms > most)
        c->pause_ms = most;
    c->due_ms = clock_mono_ms() + c->pause_ms;
}

/* --- the end of a command ------------------------------------------------------------------- */

static void
finish(struct command *c, const char *state, struct buf *result)
{
    c->state = state;
    c->result = buf_steal(result);
    c->call = NULL;
    enter(c, PHASE_RESULT);
}

static void
succeed(struct command *c, const char *outcome)
{
    AUTO_BUF result = {0};

    buf_printf(&result, "{\"outcome\":\"%s\"", outcome);
    if (c->run_key)
        buf_printf(&result, ",\"status\":\"%s\"", run_status_name(c->status));
    buf_char(&result, '}');
    finish(c, "done", &result);
}

static void
fail(struct command *c, const char *failure, const char *message, int grpc_code)
{
    AUTO_BUF result = {0};

    buf_printf(&result, "{\"failure\":\"%s\",\"message\":", failure);
    jv_write_text(&result, message, strlen(message));
    if (grpc_code)
        buf_printf(&result, ",\"grpcCode\":%d", grpc_code);
    buf_char(&result, '}');
    finish(c, "failed", &result);
}

/* The call failed. */
static void
fail_by_status(struct command *c, const struct rt_status *status)
{
    if (status->by_breaker)
        fail(c, COMMAND_FAILED_BREAKER, status->text, 0);
    else
        fail(c, COMMAND_FAILED_RUNTIME, status->text, (int)status->code);
}

static void
refused(struct command *c)
{
    if (c->refused_by_answer)
        fail(c, COMMAND_FAILED_REFUSED, c->refusal.text, 0);
    else
        fail_by_status(c, &c->refusal);
}

/* --- the run's shard ------------------------------------------------------------------------ */

static struct shard *
shard(const struct command *c)
{
    const struct commands_options *o = &c->commands->o;

    return shard_of(o->shards, o->n_shards, c->run_key);
}

static void
order(struct command *c, enum order_kind kind)
{
    struct shard_order *mail = xcalloc(1, sizeof *mail);

    mail->mail.kind = SHARD_ORDER;
    mail->run_key = c->run_key;
    mail->kind = kind;
    mail->since_ms = c->since_ms;
    mail->reply = &c->commands->inbox;
    mail->reply_kind = COMMANDS_ORDER;
    mail->reply_to = c->id;
    if (kind == ORDER_REFOLDED) {
        mail->refold = c->refold;
        c->refold = NULL;
    }
    if (kind == ORDER_APPEND) {
        AUTO_BUF args = {0};

        jv_write(&args, c->args);
        mail->args = buf_steal(&args);
    }
    c->due_ms = clock_mono_ms() + (kind == ORDER_REFOLDED ? FOLD_ANSWER_MS : ANSWER_LIMIT_MS);
    if (!shard_post(shard(c), &mail->mail))
        shard_order_free(mail); /* asked again when that time is over */
}

/* Let the run look at its session. */
static void
poke(struct command *c)
{
    size_t n = strlen(c->session_id) + 1;
    struct shard_wake *mail = xmalloc(sizeof *mail + n);

    mail->mail.kind = SHARD_WAKE;
    memcpy(mail->session_id, c->session_id, n);
    if (!shard_post(shard(c), &mail->mail))
        free(mail);
}

/* --- confirming ----------------------------------------------------------------------------- */

/* Whoever was asked says yes, which is not yet what was asked for. */
static void
note_accepted(struct command *c)
{
    c->accept_unstored = c->facts.kind == COMMAND_CANCEL && !c->accepted;
    c->accepted = true;
}

static void
confirm(struct command *c)
{
    int64_t limit = c->facts.kind == COMMAND_CANCEL ? CANCEL_LIMIT_MS : CONFIRM_LIMIT_MS;

    enter(c, PHASE_CONFIRM);
    c->limit_ms = c->since_ms + limit - c->accepted_for_ms;
    c->poke_ms = c->since_ms;
    c->poke_pause_ms = POKE_MS;
}

static void
confirm_due(struct command *c)
{
    int64_t now = clock_mono_ms();

    if (now >= c->limit_ms) {
        succeed(c, "unconfirmed");
        return;
    }
    if (now >= c->poke_ms) {
        poke(c);
        c->poke_ms = now + c->poke_pause_ms;
        c->poke_pause_ms = c->poke_pause_ms * 2 < POKE_MAX_MS ? c->poke_pause_ms * 2 : POKE_MAX_MS;
    }
    c->confirm_due = true;
    again(c, CONFIRM_MS, CONFIRM_MAX_MS);
}

void
command_looked(struct command *c, enum run_status status)
{
    c->status = status;
    if (c->phase == PHASE_CONFIRM && command_is_confirmed(c->facts.kind, status))
        succeed(c, "done");
}

/* --- asking the runtime --------------------------------------------------------------------- */

static void go_on(struct command *c, enum command_next next);

static void
looked(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct command *c = ctx;
    const Macp__V1__GetSessionResponse *answer = (const void *)reply;
    Macp__V1__SessionState state = MACP__V1__SESSION_STATE__SESSION_STATE_UNSPECIFIED;

    c->call = NULL;
    if (answer && answer->metadata)
        state = answer->metadata->state;
    go_on(c, command_after_look(&c->facts, status->code, state));
}

static void
look(struct command *c)
{
    Macp__V1__GetSessionRequest request = MACP__V1__GET_SESSION_REQUEST__INIT;

    request.session_id = c->session_id;
    c->due_ms = 0;
    c->call = rt_call_start(c->commands->queue, RT_GET_SESSION, &request.base, looked, c);
}

static void
go_on(struct command *c, enum command_next next)
{
    switch (next) {
    case COMMAND_NEXT_CONFIRM:
        confirm(c);
        break;
    case COMMAND_NEXT_ASK:
        enter(c, PHASE_LOOK);
        break;
    case COMMAND_NEXT_END:
        enter(c, PHASE_END);
        break;
    case COMMAND_NEXT_FAIL:
        refused(c);
        break;
    }
}

static void
controlled(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct command *c = ctx;
    /* The three responses have the same single field. */
    const Macp__V1__Ack *ack = reply ? ((const Macp__V1__CancelSessionResponse *)reply)->ack : NULL;
    enum command_next next = command_after_call(&c->facts, status->code, ack);

    c->call = NULL;
    c->refused_by_answer = status->code == RT_OK;
    c->refusal = *status;
    if (c->refused_by_answer)
        snprintf(c->refusal.text, sizeof c->refusal.text, "%s%s%s",
                 ack && ack->error ? ack->error->code : "",
                 ack && ack->error && ack->error->message[0] ? ": " : "",
                 ack && ack->error ? ack->error->message : "the runtime refused");
    if (next == COMMAND_NEXT_CONFIRM)
        note_accepted(c);
    go_on(c, next);
}

static void
control(struct command *c)
{
    static const struct {
        enum rt_unary method;
        const char *reason;
    } calls[] = {
        [COMMAND_CANCEL] = {RT_CANCEL_SESSION, "cancelled by control plane"},
        [COMMAND_SUSPEND] = {RT_SUSPEND_SESSION, "suspended by control plane"},
        [COMMAND_RESUME] = {RT_RESUME_SESSION, "resumed by control plane"},
    };
    const char *reason = jv_cstr(jv_get(c->args, "reason"));
    /* The three requests have the same two fields. */
    Macp__V1__CancelSessionRequest cancel = MACP__V1__CANCEL_SESSION_REQUEST__INIT;
    Macp__V1__SuspendSessionRequest suspend = MACP__V1__SUSPEND_SESSION_REQUEST__INIT;
    Macp__V1__ResumeSessionRequest resume = MACP__V1__RESUME_SESSION_REQUEST__INIT;
    const ProtobufCMessage *request = &cancel.base;

    if (!reason || !reason[0])
        reason = calls[c->facts.kind].reason;
    cancel.session_id = suspend.session_id = resume.session_id = c->session_id;
    cancel.reason = suspend.reason = resume.reason = (char *)(uintptr_t)reason;
    if (c->facts.kind == COMMAND_SUSPEND)
        request = &suspend.base;
    else if (c->facts.kind == COMMAND_RESUME)
        request = &resume.base;
    c->due_ms = 0;
    c->call =
        rt_call_start(c->commands->queue, calls[c->facts.kind].method, request, controlled, c);
}

/* --- policies ------------------------------------------------------------------------------- */

static void
policy_answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct command *c = ctx;
    /* Both responses are {ok, error}. */
    const Macp__V1__RegisterPolicyResponse *answer = (const void *)reply;

    c->call = NULL;
    if (status->code != RT_OK)
        fail_by_status(c, status);
    else if (!answer->ok)
        fail(c, COMMAND_FAILED_POLICY,
             answer->error[0] ? answer->error : "the runtime refused the policy", 0);
    else
        enter(c, PHASE_REFRESH);
}

static const char *
text_arg(const struct command *c, const char *name)
{
    const char *text = jv_cstr(jv_get(c->args, name));

    return text ? text : "";
}

static void
change_policy(struct command *c)
{
    Macp__V1__PolicyDescriptor policy = MACP__V1__POLICY_DESCRIPTOR__INIT;
    Macp__V1__RegisterPolicyRequest add = MACP__V1__REGISTER_POLICY_REQUEST__INIT;
    Macp__V1__UnregisterPolicyRequest remove = MACP__V1__UNREGISTER_POLICY_REQUEST__INIT;
    bool adds = c->facts.kind == COMMAND_POLICY_REGISTER;

    policy.policy_id = (char *)(uintptr_t)text_arg(c, "policyId");
    policy.mode = (char *)(uintptr_t)text_arg(c, "mode");
    policy.description = (char *)(uintptr_t)text_arg(c, "description");
    policy.rules = (char *)(uintptr_t)text_arg(c, "rules");
    policy.schema_version = (uint32_t)json_number_value(jv_get(c->args, "schemaVersion"));
    add.policy_descriptor = &policy;
    remove.policy_id = policy.policy_id;
    c->due_ms = 0;
    c->call = rt_call_start(c->commands->queue, adds ? RT_REGISTER_POLICY : RT_UNREGISTER_POLICY,
                            adds ? &add.base : &remove.base, policy_answered, c);
}

static void
refreshed(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct command *c = ctx;
    AUTO_BUF body = {0};

    c->call = NULL;
    if (status->code == RT_OK) {
        message_json(&body, reply);
        c->policies = buf_steal(&body);
    }
    succeed(c, "done");
}

static void
refresh(struct command *c)
{
    Macp__V1__ListPoliciesRequest request = MACP__V1__LIST_POLICIES_REQUEST__INIT;

    c->due_ms = 0;
    c->call = rt_call_start(c->commands->queue, RT_LIST_POLICIES, &request.base, refreshed, c);
}

static void
call(struct command *c)
{
    if (c->run_key)
        control(c);
    else
        change_policy(c);
}

/* --- asking the agent ----------------------------------------------------------------------- */

/* In the thread of outbound. */
static void
replied(void *ctx, const struct outbound_reply *reply)
{
    struct callback_answer *mail = ctx;

    mail->status = reply->status;
    if (!mailbox_post(mail->inbox, &mail->mail))
        free(mail); /* the commands are gone */
}

static void
callback(struct command *c)
{
    const char *reason = jv_cstr(jv_get(c->args, "reason"));
    struct callback_answer *mail = xcalloc(1, sizeof *mail);
    const char *headers[2] = {"Content-Type: application/json"};
    AUTO_BUF body = {0}, bearer = {0};
    struct outbound_request request = {
        .url = c->callback_url,
        .headers = headers,
        .n_headers = 1,
        .timeout_ms = (int)c->commands->o.cfg->cancel_callback_timeout_ms,
    };

    mail->mail.kind = COMMANDS_CALLBACK;
    mail->inbox = &c->commands->inbox;
    mail->command_id = c->id;
    buf_printf(&body, "{\"runId\":\"%s\",\"reason\":", c->run_id);
    if (reason && reason[0])
        jv_write_text(&body, reason, strlen(reason));
    else
        buf_lit(&body, "null");
    buf_char(&body, '}');
    request.body = buf_cstr(&body);
    request.body_len = body.len;
    if (c->callback_bearer && c->callback_bearer[0]) {
        buf_printf(&bearer, "Authorization: Bearer %s", c->callback_bearer);
        headers[request.n_headers++] = buf_cstr(&bearer);
    }
    c->due_ms = 0;
    if (outbound_send(c->commands->o.outbound, &request, replied, mail))
        return;
    free(mail);
    c->due_ms = clock_mono_ms() + SEND_PAUSE_MS;
}

void
command_called_back(struct command *c, int http_status)
{
    enum command_next next = command_after_callback(&c->facts, http_status);

    if (c->phase != PHASE_CALLBACK)
        return;
    if (next == COMMAND_NEXT_FAIL) {
        fail(c, COMMAND_FAILED_CALLBACK, CALLBACK_FAILED, 0);
        return;
    }
    note_accepted(c);
    go_on(c, next);
}

/* --- folding a live run anew ---------------------------------------------------------------- */

/*
 * The log is read here, page by page, while the run goes on. What it records meanwhile is kept by
 * its session, which folds that last: nothing waits, and the stream stays open.
 */
static void
ask_tail(struct command *c)
{
    order(c, ORDER_TAIL);
}

static void
tail_answered(struct command *c, const struct shard_order *answer)
{
    if (answer->answer != ORDER_DONE) {
        if (clock_mono_ms() < c->since_ms + READY_LIMIT_MS)
            again(c, READY_PAUSE_MS, READY_PAUSE_MAX_MS); /* still to be loaded */
        else
            command_give_back(c);
        return;
    }
    if (!c->refold)
        c->refold = refold_new(c->run_id, c->run_key, answer->day);
    c->fold_to = answer->seq;
    c->fold_stored = false;
    enter(c, PHASE_FOLD);
}

static void
fold(struct command *c)
{
    c->fold_due = true;
    c->due_ms = 0;
}

void
command_is_stored(struct command *c, int64_t seq)
{
    c->fold_stored = seq >= c->fold_to;
    if (c->fold_stored)
        c->due_ms = clock_mono_ms();
    else
        again(c, CONFIRM_MS, CONFIRM_MAX_MS);
}

void
command_folded(struct command *c, bool more)
{
    if (batch_fact_bytes(&c->refold->rows) > FOLD_FACTS)
        fail(c, COMMAND_FAILED_REFUSED,
             "the run says too much to be folded again while it is observed", 0);
    else if (more)
        c->due_ms = clock_mono_ms();
    else
        enter(c, PHASE_REFOLDED);
}

void
command_fold_failed(struct command *c)
{
    fail(c, COMMAND_FAILED_REFUSED, "the run's events cannot be read", 0);
}

/* Without a fold: the shard has it, and has not answered. */
static void
hand_fold_in(struct command *c)
{
    if (c->refold)
        order(c, ORDER_REFOLDED);
    else
        enter(c, PHASE_TAIL);
}

static void
refolded_answered(struct command *c, struct shard_order *answer)
{
    int pause;

    if (answer->answer == ORDER_DONE) {
        c->passed_on = true;
        return;
    }
    if (c->phase != PHASE_REFOLDED)
        return;             /* it was given up for lost */
    refold_free(c->refold); /* of an order that got no answer in time */
    c->refold = answer->refold;
    answer->refold = NULL;
    if (c->rounds++ == FOLD_ROUNDS) {
        fail(c, COMMAND_FAILED_REFUSED, "the run's events come faster than they can be folded", 0);
        return;
    }
    pause = READY_PAUSE_MS << (c->rounds < FOLD_DOUBLINGS ? c->rounds : FOLD_DOUBLINGS);
    enter(c, PHASE_TAIL);
    c->due_ms += pause; /* the run may be moving to the other lane */
}

/* --- phases --------------------------------------------------------------------------------- */

static void
ask_ready(struct command *c)
{
    order(c, ORDER_READY);
}

static void
end(struct command *c)
{
    if (c->facts.kind == COMMAND_ADOPT)
        order(c, ORDER_TRACE);
    else if (c->facts.kind == COMMAND_APPEND)
        order(c, ORDER_APPEND);
    else
        order(c, c->facts.optimistic ? ORDER_END_ANYWAY : ORDER_END);
}

static void
wait_for_database(struct command *c)
{
    c->due_ms = 0;
}

/* Delegation comes first, as with everybody who knows both. */
static void
cancel(struct command *c)
{
    if (c->delegated || c->callback_url)
        enter(c, c->delegated ? PHASE_CALL : PHASE_CALLBACK);
    else
        fail(c, COMMAND_FAILED_CALLBACK, CALLBACK_FAILED, 0);
}

static void
ready_answered(struct command *c, enum order_answer answer)
{
    bool in_time = clock_mono_ms() < c->since_ms + READY_LIMIT_MS;

    c->facts.awaiting = answer == ORDER_AWAITING;
    if (answer == ORDER_OVER)
        confirm(c);
    else if (c->accepted && answer != ORDER_UNKNOWN) /* nobody is asked twice who has agreed */
        go_on(c, command_after_acceptance(&c->facts));
    else if (answer == ORDER_AWAITING || answer == ORDER_UP_TO_DATE)
        cancel(c);
    else if (in_time) /* still to be loaded, or still reading */
        again(c, READY_PAUSE_MS, READY_PAUSE_MAX_MS);
    else if (answer == ORDER_UNKNOWN)
        command_give_back(c);
    else
        cancel(c);
}

static void
end_answered(struct command *c, enum order_answer answer)
{
    if (answer == ORDER_UNKNOWN && clock_mono_ms() < c->since_ms + READY_LIMIT_MS)
        again(c, READY_PAUSE_MS, READY_PAUSE_MAX_MS); /* still to be loaded */
    else if (answer == ORDER_UNKNOWN)
        command_give_back(c);
    else if (c->facts.kind == COMMAND_APPEND)
        c->passed_on = true;
    else if (c->facts.kind == COMMAND_ADOPT)
        succeed(c, "done");
    else if (answer == ORDER_DONE || answer == ORDER_OVER || !c->delegated)
        confirm(c);
    else /* its session was seen meanwhile */
        enter(c, PHASE_READY);
}

void
command_ordered(struct command *c, struct shard_order *order)
{
    switch (order->kind) {
    case ORDER_READY:
        if (c->phase == PHASE_READY)
            ready_answered(c, order->answer);
        break;
    case ORDER_TAIL:
        if (c->phase == PHASE_TAIL)
            tail_answered(c, order);
        break;
    case ORDER_REFOLDED:
        refolded_answered(c, order);
        break;
    case ORDER_END:
    case ORDER_END_ANYWAY:
    case ORDER_TRACE:
    case ORDER_APPEND:
        if (c->phase == PHASE_END)
            end_answered(c, order->answer);
        break;
    }
}

void
command_due(struct command *c)
{
    static void (*const phases[PHASE__COUNT])(struct command * c) = {
        [PHASE_READY] = ask_ready,
        [PHASE_CALL] = call,
        [PHASE_CALLBACK] = callback,
        [PHASE_LOOK] = look,
        [PHASE_END] = end,
        [PHASE_CONFIRM] = confirm_due,
        [PHASE_REFRESH] = refresh,
        [PHASE_TAIL] = ask_tail,
        [PHASE_FOLD] = fold,
        [PHASE_REFOLDED] = hand_fold_in,
        [PHASE_RESULT] = wait_for_database,
    };

    phases[c->phase](c);
}

void
command_begin(struct command *c)
{
    static const enum command_phase first[COMMAND__COUNT] = {
        [COMMAND_CANCEL] = PHASE_READY,         [COMMAND_SUSPEND] = PHASE_CALL,
        [COMMAND_RESUME] = PHASE_CALL,          [COMMAND_ADOPT] = PHASE_END,
        [COMMAND_POLICY_REGISTER] = PHASE_CALL, [COMMAND_POLICY_UNREGISTER] = PHASE_CALL,
        [COMMAND_REBUILD] = PHASE_TAIL,         [COMMAND_APPEND] = PHASE_END,
    };
    static const bool of_ended_runs[COMMAND__COUNT] = {
        [COMMAND_ADOPT] = true,
        [COMMAND_REBUILD] = true,
        [COMMAND_APPEND] = true,
    };

    if (c->facts.kind == COMMAND_BREAKER_RESET) {
        succeed(c, "done");
    } else if (c->facts.kind == COMMAND_REBUILD && c->closed) {
        succeed(c, "unobserved");
    } else if (c->facts.kind == COMMAND_APPEND && c->closed) {
        succeed(c, "done"); /* by the statement that says so */
    } else if (c->run_key && !of_ended_runs[c->facts.kind] && run_status_is_terminal(c->status)) {
        succeed(c, "done");
    } else {
        enter(c, first[c->facts.kind]);
    }
}
