#include "observerd/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observerd/command_work.h"
#include "observerd/notifier.h"
#include "observerd/refold.h"
#include "observerd/shard.h"
#include "shared/api_key.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"

enum {
    COMMANDS_MAX = 512, /* on their way at once; others wait as rows */
    INBOX_MAX = 4 * COMMANDS_MAX,
    AWAY_MIN_MS = 100,
    AWAY_MAX_MS = 1000,
    STORE_MAX = 32, /* results of one transaction */
    TICK_MAX_MS = 1000,
    STOP_LOOK_MS = 20,
};

#define UNTELLABLE                                                                                 \
    "{\"failure\":\"" COMMAND_FAILED_REFUSED "\",\"message\":\"it failed; why cannot be stored\"}"

/* --- the table ------------------------------------------------------------------------------ */

static struct command *
find(struct commands *cs, int64_t id)
{
    struct command *c;

    HASH_FIND(hh, cs->all, &id, sizeof id, c);
    return c;
}

static void
forget(struct command *c)
{
    HASH_DEL(c->commands->all, c);
    if (c->call)
        rt_call_cancel(c->call);
    json_decref(c->args);
    free(c->session_id);
    free(c->callback_url);
    free(c->callback_bearer);
    free(c->result);
    free(c->policies);
    refold_free(c->refold);
    free(c);
}

void
command_give_back(struct command *c)
{
    c->given_back = true;
    c->due_ms = 0;
}

static void
log_command(const struct command *c, const char *what, const char *detail)
{
    struct log_ctx ctx = {.run_id = c->run_key ? c->run_id : NULL, .session_id = c->session_id};

    log_line(LOG_INFO, &ctx, "command %lld %s: %s%s%s", (long long)c->id,
             command_kind_name(c->facts.kind), what, detail ? " " : "", detail ? detail : "");
}

/* --- rows ----------------------------------------------------------------------------------- */

enum {
    COL_ID,
    COL_KIND,
    COL_ARGS,
    COL_RESULT,
    COL_RUN_KEY,
    COL_RUN_ID,
    COL_SESSION_ID,
    COL_CALLBACK_URL,
    COL_CALLBACK_BEARER,
    COL_DELEGATED,
    COL_STATUS,
    COL_ACCEPTED_FOR,
    COL_CLOSED,
};

static char *
copy(const struct db_result *rows, int row, int col)
{
    return db_null(rows, row, col) ? NULL : xstrdup(db_text(rows, row, col));
}

static void
take(struct commands *cs, const struct db_result *rows, int row)
{
    struct command *c = xcalloc(1, sizeof *c), *held;

    c->id = db_int(rows, row, COL_ID);
    c->commands = cs;
    held = find(cs, c->id);
    if (held) /* its lease ran out under us: it begins anew */
        forget(held);
    HASH_ADD(hh, cs->all, id, sizeof c->id, c);
    if (!command_kind_parse(db_text(rows, row, COL_KIND), &c->facts.kind)) {
        command_give_back(c); /* of a later release: theirs */
        return;
    }
    c->facts.optimistic = cs->o.cfg->cancel_optimistic;
    c->args = jv_parse(db_text(rows, row, COL_ARGS), db_len(rows, row, COL_ARGS));
    c->accepted = !db_null(rows, row, COL_RESULT);
    if (c->accepted) /* else it is another one's, which the run shows, too */
        c->accepted_for_ms = db_int(rows, row, COL_ACCEPTED_FOR);
    c->run_key = db_int(rows, row, COL_RUN_KEY);
    if (c->run_key) {
        uuid_lower(db_text(rows, row, COL_RUN_ID), c->run_id);
        if (!run_status_parse(db_text(rows, row, COL_STATUS), &c->status))
            BUG("unknown status %s", db_text(rows, row, COL_STATUS));
    }
    c->session_id = copy(rows, row, COL_SESSION_ID);
    c->callback_url = copy(rows, row, COL_CALLBACK_URL);
    c->callback_bearer = copy(rows, row, COL_CALLBACK_BEARER);
    c->delegated = db_bool(rows, row, COL_DELEGATED);
    c->closed = db_bool(rows, row, COL_CLOSED);
    log_command(c, "taken", NULL);
    command_begin(c);
}

static bool
claim(struct commands *cs, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;

    db_args_init(&args);
    db_arg_text(&args, cs->o.instance_id);
    db_arg_int(&args, cs->o.cfg->observerd_lease_ms);
    db_arg_int(&args, COMMANDS_MAX - (int64_t)HASH_COUNT(cs->all));
    if (!db_run(cs->db, SQL_COMMANDS_CLAIM, &args, &rows, err))
        return false;
    for (int row = 0; row < db_rows(rows); row++)
        take(cs, rows, row);
    return true;
}

static bool
expire_overdue(struct commands *cs, bool audited, struct err *err)
{
    AUTO_BUF kinds = {0}, actions = {0}, resources = {0};
    AUTO_DB_RESULT *rows = NULL;
    struct db_args args;

    for (int i = 0; audited && i < COMMAND__COUNT; i++) {
        char comma = i ? ',' : '{';

        buf_printf(&kinds, "%c%s", comma, command_kind_name((enum command_kind)i));
        buf_printf(&actions, "%c%s", comma, command_audit_action((enum command_kind)i));
        buf_printf(&resources, "%c%s", comma, command_audit_resource((enum command_kind)i));
    }
    buf_str(&kinds, audited ? "}" : "{}");
    buf_str(&actions, audited ? "}" : "{}");
    buf_str(&resources, audited ? "}" : "{}");
    db_args_init(&args);
    db_arg_text(&args, API_KEY_ACTOR_TYPE);
    db_arg_text(&args, buf_cstr(&kinds));
    db_arg_text(&args, buf_cstr(&actions));
    db_arg_text(&args, buf_cstr(&resources));
    if (!db_run(cs->db, SQL_COMMANDS_OVERDUE, &args, &rows, err))
        return false;
    for (int row = 0; row < db_rows(rows); row++) {
        log_info("command %s: nobody could carry it out in time", db_text(rows, row, 0));
        notifier_done(cs->o.notifier, db_int(rows, row, 0));
    }
    return true;
}

/* What nobody could carry out in time ends so; whoever waits for it is told. */
static bool
expire(struct commands *cs, struct err *err)
{
    if (expire_overdue(cs, true, err))
        return true;
    if (err->code == ERR_DB)
        return false;
    log_err(LOG_ERROR, err, "Postgres refuses to audit commands that nobody carried out");
    return expire_overdue(cs, false, err) || err->code != ERR_DB;
}

typedef bool choose_fn(const struct command *c);

/* The ids of the chosen ones as a Postgres array; false when there are none. */
static bool
ids_of(const struct commands *cs, choose_fn *chosen, struct buf *out)
{
    const struct command *c;

    buf_char(out, '{');
    for (c = cs->all; c; c = c->hh.next)
        if (chosen(c))
            buf_printf(out, "%s%lld", out->len > 1 ? "," : "", (long long)c->id);
    buf_char(out, '}');
    return out->len > 2;
}

static bool
is_any(const struct command *c)
{
    (void)c;
    return true;
}

static bool
is_given_back(const struct command *c)
{
    return c->given_back;
}

static bool
is_confirm_due(const struct command *c)
{
    return c->confirm_due;
}

static bool
waits_for_rows(const struct command *c)
{
    return c->fold_due && !c->fold_stored;
}

static bool
release(struct commands *cs, choose_fn *chosen, struct err *err)
{
    AUTO_BUF ids = {0};
    struct db_args args;

    if (!ids_of(cs, chosen, &ids))
        return true;
    db_args_init(&args);
    db_arg_text(&args, cs->o.instance_id);
    db_arg_text(&args, buf_cstr(&ids));
    if (!db_run(cs->db, SQL_COMMANDS_RELEASE, &args, NULL, err))
        return false;
    for (struct command *c = cs->all, *next; c; c = next) {
        next = c->hh.next;
        if (chosen(c))
            forget(c);
    }
    return true;
}

/* Those that are not ours any more are somebody else's work now. */
static bool
renew(struct commands *cs, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF ids = {0};
    struct db_args args;

    if (!ids_of(cs, is_any, &ids))
        return true;
    db_args_init(&args);
    db_arg_text(&args, cs->o.instance_id);
    db_arg_int(&args, cs->o.cfg->observerd_lease_ms);
    db_arg_text(&args, buf_cstr(&ids));
    if (!db_run(cs->db, SQL_COMMANDS_RENEW, &args, &rows, err))
        return false;
    for (struct command *c = cs->all, *next; c; c = next) {
        bool ours = false;

        next = c->hh.next;
        for (int row = 0; row < db_rows(rows) && !ours; row++)
            ours = db_int(rows, row, 0) == c->id;
        if (!ours)
            forget(c);
    }
    return true;
}

static bool
look_at_runs(struct commands *cs, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF ids = {0};
    struct db_args args;

    if (!ids_of(cs, is_confirm_due, &ids))
        return true;
    db_args_init(&args);
    db_arg_text(&args, buf_cstr(&ids));
    if (!db_run(cs->db, SQL_COMMANDS_CONFIRM, &args, &rows, err))
        return false;
    for (struct command *c = cs->all; c; c = c->hh.next)
        c->confirm_due = false;
    for (int row = 0; row < db_rows(rows); row++) {
        struct command *c = find(cs, db_int(rows, row, 0));
        enum run_status status;

        if (c && run_status_parse(db_text(rows, row, 1), &status))
            command_looked(c, status);
    }
    return true;
}

static bool
look_at_numbers(struct commands *cs, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF ids = {0};
    struct db_args args;

    if (!ids_of(cs, waits_for_rows, &ids))
        return true;
    db_args_init(&args);
    db_arg_text(&args, buf_cstr(&ids));
    if (!db_run(cs->db, SQL_COMMANDS_SEQ, &args, &rows, err))
        return false;
    for (int row = 0; row < db_rows(rows); row++) {
        struct command *c = find(cs, db_int(rows, row, 0));

        if (!c)
            continue;
        c->fold_due = false;
        command_is_stored(c, db_int(rows, row, 1));
    }
    return true;
}

/* A page of each, so that others have their turn. */
static bool
fold_some(struct commands *cs, struct err *err)
{
    for (struct command *c = cs->all; c; c = c->hh.next) {
        bool more;

        if (!c->fold_due || !c->fold_stored || c->given_back)
            continue;
        c->fold_due = false;
        if (refold_read(c->refold, cs->db, cs->o.prices, c->fold_to, &more, err)) {
            command_folded(c, more);
        } else if (err->code == ERR_DB) {
            c->fold_due = true;
            return false;
        } else {
            log_err(LOG_ERROR, err, "events of run %s cannot be read", c->run_id);
            command_fold_failed(c);
        }
    }
    return true;
}

/* --- what came of them ----------------------------------------------------------------------- */

static void
add_audit(struct db_args *args, const struct command *c)
{
    db_arg_text(args, API_KEY_ACTOR_TYPE);
    db_arg_text(args, command_audit_action(c->facts.kind));
    db_arg_text(args, command_audit_resource(c->facts.kind));
}

static void
add_accepted(struct commands *cs, const struct command *c)
{
    char now[CLOCK_TEXT_LEN];
    struct db_args args;

    db_args_init(&args);
    db_arg_int(&args, c->id);
    db_arg_text(&args, cs->o.instance_id);
    db_arg_text(&args, clock_text(clock_wall_ms(), now));
    add_audit(&args, c);
    db_pipeline_add(cs->db, SQL_COMMAND_ACCEPT, &args);
}

/* Nobody observes the run: its events are added by the statement that ends the command. */
static void
add_events(struct commands *cs, const struct command *c)
{
    char now[CLOCK_TEXT_LEN];
    struct db_args args;

    db_args_init(&args);
    db_arg_int(&args, c->id);
    db_arg_text(&args, cs->o.instance_id);
    db_arg_text(&args, clock_text(clock_wall_ms(), now));
    db_pipeline_add(cs->db, SQL_COMMAND_APPEND, &args);
}

static void
add_result(struct commands *cs, const struct command *c)
{
    struct db_args args;

    if (c->facts.kind == COMMAND_APPEND) {
        add_events(cs, c);
        return;
    }
    if (c->policies) {
        db_args_init(&args);
        db_arg_text(&args, "policies");
        db_arg_bool(&args, true);
        db_arg_text(&args, c->policies);
        db_arg_text(&args, "");
        db_pipeline_add(cs->db, SQL_CATALOG_STORE, &args);
    }
    if (c->facts.kind == COMMAND_BREAKER_RESET)
        db_pipeline_add(cs->db, SQL_BREAKER_RESET, NULL);
    db_args_init(&args);
    db_arg_int(&args, c->id);
    db_arg_text(&args, cs->o.instance_id);
    db_arg_text(&args, c->state);
    db_arg_text(&args, c->result);
    add_audit(&args, c);
    db_pipeline_add(cs->db, SQL_COMMAND_FINISH, &args);
}

static bool
has_news(const struct command *c)
{
    return !c->given_back && (c->accept_unstored || c->phase == PHASE_RESULT);
}

/*
 * The one that Postgres refuses, with less each time. In the end nothing of it is stored: it begins
 * anew when its lease is over, and its time is limited.
 */
static void
say_less(struct command *c, const struct err *cause)
{
    struct log_ctx ctx = {
        .run_id = c->run_key ? c->run_id : NULL, .session_id = c->session_id, .err = cause};

    log_line(LOG_ERROR, &ctx, "Postgres refuses what came of command %lld", (long long)c->id);
    if (c->accept_unstored) {
        c->accept_unstored = false;
    } else if (c->policies) {
        free(c->policies);
        c->policies = NULL;
    } else if (strcmp(c->state, "failed") == 0 && strcmp(c->result, UNTELLABLE) != 0) {
        free(c->result);
        c->result = xstrdup(UNTELLABLE);
    } else {
        forget(c);
    }
}

/* Up to max of them, in one transaction. *n: how many. */
static bool
store_some(struct commands *cs, size_t max, size_t *n, struct err *err)
{
    struct command *told[STORE_MAX];

    *n = 0;
    for (struct command *c = cs->all; c && *n < max; c = c->hh.next)
        if (has_news(c))
            told[(*n)++] = c;
    if (*n == 0)
        return true;
    db_pipeline_begin(cs->db);
    for (size_t i = 0; i < *n; i++)
        if (told[i]->accept_unstored)
            add_accepted(cs, told[i]);
    for (size_t i = 0; i < *n; i++)
        if (told[i]->phase == PHASE_RESULT)
            add_result(cs, told[i]);
    if (!db_pipeline_commit(cs->db, NULL, 0, err)) {
        if (err->code == ERR_DB)
            return false;
        if (*n > 1) /* one of them is refused: find it */
            return store_some(cs, *n / 2, n, err);
        say_less(told[0], err);
        return true;
    }
    for (size_t i = 0; i < *n; i++) {
        struct command *c = told[i];

        c->accept_unstored = false;
        if (c->phase != PHASE_RESULT)
            continue;
        log_command(c, c->state, c->result);
        notifier_done(cs->o.notifier, c->id);
        forget(c);
    }
    return true;
}

static bool
store(struct commands *cs, struct err *err)
{
    size_t n;

    do {
        if (!store_some(cs, STORE_MAX, &n, err))
            return false;
    } while (n > 0);
    return true;
}

/* --- the thread ------------------------------------------------------------------------------ */

static void
read_inbox(struct commands *cs)
{
    struct mail *mail = mailbox_take_all(&cs->inbox), *next;

    for (; mail; mail = next) {
        struct command *c;

        next = mail->next;
        switch ((enum commands_mail)mail->kind) {
        case COMMANDS_ORDER: {
            struct shard_order *order = (struct shard_order *)mail;

            c = find(cs, order->reply_to);
            if (c && !c->given_back)
                command_ordered(c, order);
            if (c && c->passed_on) {
                log_command(c, "is being stored", NULL);
                forget(c);
            }
            shard_order_free(order);
            continue;
        }
        case COMMANDS_CALLBACK:
            c = find(cs, ((const struct callback_answer *)mail)->command_id);
            if (c && !c->given_back)
                command_called_back(c, ((const struct callback_answer *)mail)->status);
            break;
        }
        free(mail);
    }
}

/* Everything that needs Postgres; false: it is away. */
static bool
work(struct commands *cs, struct err *err)
{
    int64_t now = clock_mono_ms();

    if (!release(cs, is_given_back, err) || !store(cs, err) || !look_at_runs(cs, err) ||
        !look_at_numbers(cs, err) || !fold_some(cs, err))
        return false;
    if (now >= cs->renew_at_ms) {
        if (!renew(cs, err))
            return false;
        cs->renew_at_ms = now + cs->o.cfg->observerd_lease_ms / 3;
    }
    if (atomic_exchange(&cs->rung, false))
        cs->claim_at_ms = now;
    if (now >= cs->claim_at_ms && !atomic_load(&cs->stopping)) {
        if (!claim(cs, err) || !expire(cs, err))
            return false;
        cs->claim_at_ms = now + cs->o.cfg->observerd_claim_interval_ms;
    }
    return store(cs, err);
}

static void
use_database(struct commands *cs)
{
    int64_t now = clock_mono_ms();
    struct err err;

    if (now < cs->retry_at_ms)
        return;
    if (work(cs, &err)) {
        cs->retry_at_ms = 0;
        cs->backoff_ms = AWAY_MIN_MS;
        return;
    }
    log_err(cs->backoff_ms == AWAY_MIN_MS ? LOG_WARN : LOG_DEBUG, &err, "commands wait");
    cs->retry_at_ms = now + cs->backoff_ms;
    cs->backoff_ms = cs->backoff_ms * 2 < AWAY_MAX_MS ? cs->backoff_ms * 2 : AWAY_MAX_MS;
}

/* Somebody has been asked and may have done it: the answer is worth waiting for. */
static bool
is_busy(const struct command *c)
{
    return c->call || c->phase == PHASE_CALLBACK || c->phase == PHASE_RESULT || c->accept_unstored;
}

static void
stop_when_idle(struct commands *cs)
{
    if (!atomic_load(&cs->stopping))
        return;
    for (const struct command *c = cs->all; c; c = c->hh.next)
        if (is_busy(c))
            return;
    rt_queue_stop(cs->queue);
}

static int64_t
tick(void *ctx)
{
    struct commands *cs = ctx;
    int64_t now = clock_mono_ms(), next = now + TICK_MAX_MS;

    read_inbox(cs);
    for (struct command *c = cs->all; c; c = c->hh.next)
        if (c->due_ms && c->due_ms <= now && !c->given_back)
            command_due(c);
    use_database(cs);
    stop_when_idle(cs);
    for (const struct command *c = cs->all; c; c = c->hh.next)
        if (c->due_ms && c->due_ms < next)
            next = c->due_ms;
    if (cs->retry_at_ms && cs->retry_at_ms < next)
        next = cs->retry_at_ms;
    if (!cs->retry_at_ms && cs->claim_at_ms < next && !atomic_load(&cs->stopping))
        next = cs->claim_at_ms;
    return atomic_load(&cs->stopping) && next > now + STOP_LOOK_MS ? now + STOP_LOOK_MS : next;
}

static void *
commands_main(void *arg)
{
    struct commands *cs = arg;
    struct err err;

    rt_queue_run(cs->queue, tick, cs);
    for (struct command *c = cs->all; c; c = c->hh.next)
        c->call = NULL; /* the queue has ended them all */
    if (!release(cs, is_any, &err))
        log_err(LOG_WARN, &err, "commands are left to others when their lease has passed");
    while (cs->all)
        forget(cs->all);
    atomic_store(&cs->stopped, true);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

static void
wake(void *ctx)
{
    rt_queue_wake(((struct commands *)ctx)->queue);
}

bool
commands_start(const struct commands_options *o, struct commands **out, struct err *err)
{
    struct commands *cs = xcalloc(1, sizeof *cs);

    cs->o = *o;
    cs->backoff_ms = AWAY_MIN_MS;
    if (!rt_queue_new(o->runtime, &cs->queue, err)) {
        free(cs);
        return false;
    }
    cs->db = db_new(o->cfg->database_url, "macp-observerd commands",
                    (int)o->cfg->db_pool_connection_timeout);
    mailbox_init(&cs->inbox, INBOX_MAX, wake, cs);
    if (pthread_create(&cs->thread, NULL, commands_main, cs) != 0)
        BUG("cannot start a thread");
    *out = cs;
    return true;
}

void
commands_look(struct commands *cs)
{
    atomic_store(&cs->rung, true);
    rt_queue_wake(cs->queue);
}

void
commands_quiet(struct commands *cs)
{
    atomic_store(&cs->stopping, true);
    rt_queue_wake(cs->queue);
}

void
commands_stop(struct commands *cs, int64_t limit_ms)
{
    int64_t until = clock_mono_ms() + limit_ms;

    db_give_up_at(cs->db, until);
    while (!atomic_load(&cs->stopped) && clock_mono_ms() < until)
        nanosleep(&(struct timespec){0, STOP_LOOK_MS * 1000000}, NULL);
    rt_queue_stop(cs->queue);
    pthread_join(cs->thread, NULL);
}

void
commands_free(struct commands *cs)
{
    if (!cs)
        return;
    rt_queue_free(cs->queue);
    read_inbox(cs); /* mails own more than themselves */
    mailbox_fini(&cs->inbox);
    db_close(cs->db);
    free(cs);
}
