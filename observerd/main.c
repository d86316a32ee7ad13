/*
 * macp-observerd: runtime in, events out.
 *
 * The control thread: signals, the LISTEN connection, claims, heartbeat, notifications, catalog
 * rows. Everything about a run happens in its shard; what happens on the runtime as a whole is
 * heard by the watch.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "observerd/ambient.h"
#include "observerd/catalog.h"
#include "observerd/claim.h"
#include "observerd/command.h"
#include "observerd/discovery.h"
#include "observerd/handover.h"
#include "observerd/outbound.h"
#include "observerd/page.h"
#include "observerd/rebuild.h"
#include "observerd/redact.h"
#include "observerd/retention.h"
#include "observerd/settings.h"
#include "observerd/shard.h"
#include "observerd/status.h"
#include "observerd/supervisor.h"
#include "observerd/tls.h"
#include "observerd/tracer.h"
#include "observerd/watch.h"
#include "observerd/webhook.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/migrate.h"
#include "shared/program.h"
#include "shared/schema.h"

enum {
    INBOX_MAX = 4096,
    HEARTBEAT_MAX_MS = 5000, /* it publishes the metrics, too */
    PAGE_RETRY_MS = 10000,
    RETRY_MS = 500,
    STOP_WAIT_MS = 2000,
    SPANS_WAIT_MS = 500,
    STOP_LEAST_MS = 100,
    LEAVE_LOOK_MS = 20, /* how often we look for runs that others can take from us */
    LEAVE_BEAT_MS = 500,
    LEAVE_REST_MS = 3000,    /* what is kept of the drain limit for runs that nobody takes */
    BREAKER_EVERY_MS = 500,  /* how soon a reset is noticed */
    ATTEMPTS_WAIT_MS = 5000, /* requests that are on their way to agents and subscribers */
};

struct app {
    const struct program *program;
    const struct config *cfg;
    struct db *db;
    struct claim *claim;
    struct shard **shards;
    size_t n_shards;
    struct watch *watch;
    struct discovery *discovery; /* NULL: only what is posted is observed */
    struct ambient *ambient;     /* NULL: signals are not watched */
    struct retention *retention;
    struct settings settings;
    struct webhooks *webhooks;
    struct commands *commands;
    struct price_list *prices;
    struct status status;
    struct supervisor supervisor;
    struct page *page; /* NULL: nobody could listen there, yet */
    struct outbound *outbound;
    struct tracer *tracer;       /* NULL: no traces */
    struct rt_options runtime;   /* owns its credential and breaker */
    atomic_bool breaker_changed; /* to be published */
    int64_t breaker_reset_ms;    /* the last one that was followed, by the database's clock */
    struct mailbox inbox;
    struct notifier notifier;
    int signals, bell; /* descriptors */
    bool stopping, reload;
    bool listening; /* LISTEN was made on the current connection */
    bool away; /* Postgres did not answer: only the heartbeat tries, so that signals are seen */
    int64_t heartbeat_ms, heartbeat_at, claim_at, notify_at, page_at, breaker_at;
};

static void
ring(void *ctx)
{
    struct app *app = ctx;
    ssize_t n = write(app->bell, &(uint64_t){1}, sizeof(uint64_t));

    (void)n; /* full means rung already */
}

/* --- work that is due ---------------------------------------------------------------------- */

static void
catalog_row(struct app *app, struct catalog_row *row)
{
    struct db_args args;
    struct err err;

    if (app->away)
        return;
    db_args_init(&args);
    db_arg_text(&args, row->kind);
    db_arg_bool(&args, row->ok);
    db_arg_text(&args, row->body);
    db_arg_text(&args, row->detail);
    if (!db_run(app->db, SQL_CATALOG_STORE, &args, NULL, &err)) {
        log_err(LOG_DEBUG, &err, "catalog row not stored"); /* the next one comes soon */
        app->away = err.code == ERR_DB;
        app->heartbeat_at = 0;
    }
}

static void
read_inbox(struct app *app)
{
    struct mail *mail = mailbox_take_all(&app->inbox), *next;

    for (; mail; mail = next) {
        next = mail->next;
        switch ((enum control_mail)mail->kind) {
        case CONTROL_RELEASE: {
            struct run_release *release = (struct run_release *)mail;

            claim_release(app->claim, release->run_key, release->fence);
            if (release->soon)
                app->claim_at = 0;
            free(release);
            break;
        }
        case CONTROL_CATALOG:
            if (((struct catalog_row *)mail)->ok)
                app->status.answered_ms = clock_mono_ms();
            catalog_row(app, (struct catalog_row *)mail);
            catalog_row_free((struct catalog_row *)mail);
            break;
        case CONTROL_CLAIM:
            app->claim_at = 0;
            free(mail);
            break;
        case CONTROL_HEIR:
            handover_heard(app->claim->handover, (struct run_mail *)mail);
            app->claim_at = 0;
            free(mail);
            break;
        case CONTROL_STORED:
            handover_stored(app->claim->handover, (struct run_mail *)mail);
            app->claim_at = 0;
            free(mail);
            break;
        }
    }
}

static void
notification(void *ctx, const char *channel, const char *payload)
{
    struct app *app = ctx;

    (void)payload;
    if (strcmp(channel, CHANNEL_RUN) == 0 && !app->stopping) /* then it would be our own call */
        app->claim_at = 0;
    if (strcmp(channel, CHANNEL_HOOK) == 0)
        webhooks_ring(app->webhooks);
    if (strcmp(channel, CHANNEL_CMD) == 0)
        commands_look(app->commands);
}

static void
tell(struct app *app, enum sql_id id, const struct buf *payloads)
{
    struct db_args args;
    struct err err;

    db_args_init(&args);
    db_arg_text(&args, buf_cstr(payloads));
    if (!db_run(app->db, id, &args, NULL, &err))
        log_err(LOG_DEBUG, &err, "readers were not told"); /* they look by themselves */
}

static void
send_notifications(struct app *app)
{
    AUTO_BUF runs = {0}, commands = {0};

    if (notifier_take(&app->notifier, &runs))
        tell(app, SQL_EVENTS_NOTIFY, &runs);
    if (notifier_take_done(&app->notifier, &commands))
        tell(app, SQL_COMMANDS_NOTIFY, &commands);
}

static void
breaker_changed(void *ctx)
{
    struct app *app = ctx;

    atomic_store(&app->breaker_changed, true);
    ring(app);
}

/* Say what the breaker does, and do what an operator told all of them. */
static bool
sync_breaker(struct app *app, struct err *err)
{
    AUTO_DB_RESULT *rows = NULL;
    AUTO_BUF history = {0};
    struct db_args args;
    int64_t reset_ms;

    db_args_init(&args);
    db_arg_text(&args, app->claim->instance_id);
    db_arg_text(&args, breaker_state_name(breaker_read(app->runtime.breaker, &history)));
    db_arg_text(&args, buf_cstr(&history));
    if (!db_run(app->db, SQL_BREAKER_SYNC, &args, &rows, err))
        return false;
    reset_ms = db_rows(rows) > 0 ? db_int(rows, 0, 0) : 0;
    if (reset_ms > app->breaker_reset_ms) {
        log_info("the breaker is reset");
        app->breaker_reset_ms = reset_ms;
        breaker_reset(app->runtime.breaker);
    }
    return true;
}

static bool
beat(struct app *app, struct err *err)
{
    if (!app->listening) {
        if (!db_listen(app->db, CHANNEL_RUN, err) || !db_listen(app->db, CHANNEL_HOOK, err) ||
            !db_listen(app->db, CHANNEL_CMD, err))
            return false;
        app->listening = true;
    }
    if (!claim_heartbeat(app->claim, err))
        return false;
    app->status.stored_until_ms = app->claim->alive_until_ms;
    return true;
}

/* Observing matters more than being looked at: a port that is taken is tried again. */
static void
open_page(struct app *app, int64_t now)
{
    struct err err;

    if (app->page || now < app->page_at)
        return;
    if (page_start(app->cfg->observerd_metrics_addr, &app->status, &app->page, &err))
        log_info("metrics and health are served at port %d", page_port(app->page));
    else
        log_err(app->page_at ? LOG_DEBUG : LOG_ERROR, &err, "no metrics, no health page");
    app->page_at = now + PAGE_RETRY_MS;
}

static void
tell_supervisor(struct app *app)
{
    int runs = 0, wanted = 0, open = 0;
    char line[200];

    for (size_t i = 0; i < app->n_shards; i++) {
        runs += app->shards[i]->counts.runs;
        wanted += app->shards[i]->counts.streams_wanted;
        open += app->shards[i]->counts.streams_open;
    }
    snprintf(line, sizeof line, "%d runs, %d of %d streams open%s", runs, open, wanted,
             status_is_ready(&app->status) ? ""
             : app->away                   ? "; Postgres does not answer"
                                           : "; waiting for the runtime");
    supervisor_tell(&app->supervisor, line);
}

static void
do_due(struct app *app)
{
    int64_t beat_ms = app->stopping ? LEAVE_BEAT_MS : app->heartbeat_ms;
    int64_t claim_ms = app->stopping ? LEAVE_LOOK_MS : app->cfg->observerd_claim_interval_ms;
    int64_t now = clock_mono_ms();
    struct err err;

    status_turn(&app->status.turned_ms[STATUS_CONTROL]);
    tell_supervisor(app);
    open_page(app, now);
    tracer_send(app->tracer, app->outbound);
    if (now >= app->heartbeat_at) {
        bool ok = beat(app, &err);

        if (!ok)
            log_err(LOG_WARN, &err, "no heartbeat");
        now = clock_mono_ms(); /* a failure may have taken its time */
        app->heartbeat_at = now + (ok ? beat_ms : RETRY_MS);
        app->away = !ok;
    }
    read_inbox(app);
    if (notifier_take_deliveries(&app->notifier))
        webhooks_ring(app->webhooks);
    if (app->away)
        return; /* the rest would fail, too */
    if (now >= app->notify_at) {
        send_notifications(app);
        app->notify_at = now + NOTIFIER_INTERVAL_MS;
    }
    if (now >= app->claim_at) {
        if (!claim_due(app->claim, &err)) {
            log_err(LOG_WARN, &err, "cannot claim runs");
            app->away = err.code == ERR_DB;
            app->heartbeat_at = 0;
        }
        app->claim_at = now + claim_ms;
    }
    if (atomic_exchange(&app->breaker_changed, false))
        app->breaker_at = 0;
    if (!app->away && now >= app->breaker_at) {
        if (!sync_breaker(app, &err)) {
            log_err(LOG_WARN, &err, "the state of the breaker is not published");
            app->away = err.code == ERR_DB;
            app->heartbeat_at = 0;
        }
        app->breaker_at = now + BREAKER_EVERY_MS;
    }
}

/* --- reloading ----------------------------------------------------------------------------- */

static void
tell_shards(struct app *app)
{
    for (size_t i = 0; i < app->n_shards; i++) {
        struct shard_reload *mail = xcalloc(1, sizeof *mail);

        mail->mail.kind = SHARD_RELOAD;
        mail->cfg = app->settings.cfg;
        mail->redactor = app->settings.redactor;
        if (!shard_post(app->shards[i], &mail->mail)) {
            log_error("a shard's inbox is full: it keeps its settings, reload again");
            free(mail);
        }
    }
}

static void
reload(struct app *app)
{
    app->reload = false;
    supervisor_reloading();
    if (settings_reload(&app->settings)) {
        app->cfg = app->settings.cfg;
        app->claim->cfg = app->settings.cfg;
        retention_reload(app->retention, app->settings.cfg);
        credential_reload(app->runtime.credential, app->settings.cfg);
        tell_shards(app);
        app->heartbeat_at = 0; /* the row shows what is in force */
        log_info("reloaded");
    }
    supervisor_reloaded(&app->supervisor);
}

/* --- the loop ---------------------------------------------------------------------------- */

static void
read_signals(struct app *app)
{
    struct signalfd_siginfo info;

    while (read(app->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            app->reload = true;
            continue;
        }
        if (app->stopping) {
            log_warn("second signal, leaving at once");
            _exit(EXIT_FAILURE);
        }
        app->stopping = true;
    }
}

static int64_t
earliest(const struct app *app)
{
    int64_t at = app->heartbeat_at;

    if (supervisor_due(&app->supervisor) < at)
        at = supervisor_due(&app->supervisor);
    if (!app->away && app->claim_at < at)
        at = app->claim_at;
    if (!app->away && app->breaker_at < at)
        at = app->breaker_at;
    return at;
}

static void
wait_for_work(struct app *app)
{
    struct pollfd fds[] = {
        {app->signals, POLLIN, 0}, {app->bell, POLLIN, 0}, {db_fd(app->db), POLLIN, 0}};
    int64_t now = clock_mono_ms(), wait = earliest(app) - now;
    struct err err;
    uint64_t n;

    /* A notification waits for its interval; the bell has been read by then. */
    if (!app->away && notifier_pending(&app->notifier) && app->notify_at - now < wait)
        wait = app->notify_at - now;
    if (poll(fds, ARRAY_LEN(fds), wait > 0 ? (int)wait : 0) < 0 && errno != EINTR)
        BUG("poll: %d", errno);
    if (fds[0].revents)
        read_signals(app);
    if (fds[1].revents && read(app->bell, &n, sizeof n) < 0 && errno != EAGAIN)
        BUG("read: %d", errno);
    read_inbox(app);
    if (db_fd(app->db) >= 0 && !db_notifications(app->db, notification, app, &err)) {
        log_err(LOG_WARN, &err, "connection lost");
        app->heartbeat_at = 0;
    }
}

/* --- start and stop ------------------------------------------------------------------------ */

static struct rt_options
runtime_options(struct app *app)
{
    const struct config *cfg = app->cfg;

    return (struct rt_options){
        .cfg = cfg,
        .credential = credential_new(&(struct credential_options){.cfg = cfg,
                                                                  .outbound = app->outbound,
                                                                  .send = outbound_send,
                                                                  .mono_ms = clock_mono_ms,
                                                                  .wall_ms = clock_wall_ms}),
        .breaker = breaker_new(
            &(struct breaker_options){.threshold = cfg->runtime_circuit_breaker_threshold,
                                      .reset_ms = cfg->runtime_circuit_breaker_reset_ms,
                                      .mono_ms = clock_mono_ms,
                                      .wall_ms = clock_wall_ms,
                                      .changed = breaker_changed,
                                      .ctx = app}),
    };
}

static bool
start(struct app *app, struct err *err)
{
    const struct config *cfg = app->cfg;

    if (!settings_init(&app->settings, app->program, cfg, err) ||
        !price_list_load(cfg->model_prices_file, &app->prices, err))
        return false;
    /* Every run may be let go at once, and none may be forgotten. */
    mailbox_init(&app->inbox, INBOX_MAX + 2 * (size_t)cfg->observerd_max_runs, ring, app);
    notifier_init(&app->notifier, ring, app);
    if (!outbound_start(cfg, &app->outbound, err))
        return false;
    app->tracer = tracer_new(cfg);
    app->webhooks = webhooks_start(cfg, app->outbound);
    app->n_shards = (size_t)cfg->observerd_shards;
    app->heartbeat_ms = cfg->observerd_lease_ms / 3 < HEARTBEAT_MAX_MS ? cfg->observerd_lease_ms / 3
                                                                       : HEARTBEAT_MAX_MS;
    status_init(&app->status, app->n_shards, supervisor_stuck_ms());
    supervisor_init(&app->supervisor, &app->status);
    app->shards = xcalloc(app->n_shards, sizeof(struct shard *));
    if (cfg->signals_enabled)
        app->ambient = ambient_start(cfg, app->shards, app->n_shards);
    app->claim = claim_new(cfg, app->db);
    app->runtime = runtime_options(app);
    app->status.instance_id = app->claim->instance_id;
    for (size_t i = 0; i < app->n_shards; i++)
        if (!shard_start(
                &(struct shard_options){.cfg = cfg,
                                        .runtime = &app->runtime,
                                        .redactor = app->settings.redactor,
                                        .prices = app->prices,
                                        .notifier = &app->notifier,
                                        .alive_until_ms = &app->claim->alive_until_ms,
                                        .control = &app->inbox,
                                        .ambient = app->ambient,
                                        .tracer = app->tracer,
                                        .turned_ms = &app->status.turned_ms[STATUS_SHARDS + i],
                                        .number = i,
                                        .instance_id = app->claim->instance_id},
                &app->shards[i], err))
            return false;
    app->claim->shards = app->shards;
    app->claim->n_shards = app->n_shards;
    app->retention = retention_start(cfg);
    if (!commands_start(&(struct commands_options){.cfg = cfg,
                                                   .runtime = &app->runtime,
                                                   .instance_id = app->claim->instance_id,
                                                   .shards = app->shards,
                                                   .n_shards = app->n_shards,
                                                   .notifier = &app->notifier,
                                                   .outbound = app->outbound,
                                                   .prices = app->prices},
                        &app->commands, err))
        return false;
    if (cfg->session_discovery_enabled)
        app->discovery = discovery_start(cfg, &app->inbox);
    return watch_start(&(struct watch_options){.cfg = cfg,
                                               .runtime = &app->runtime,
                                               .shards = app->shards,
                                               .n_shards = app->n_shards,
                                               .control = &app->inbox,
                                               .discovery = app->discovery,
                                               .ambient = app->ambient,
                                               .turned_ms = &app->status.turned_ms[STATUS_WATCH]},
                       &app->watch, err);
}

/* A server that does not answer may cost what is left of the time, no more. */
static void
bound_waits(struct app *app, int64_t until)
{
    int64_t left = until - clock_mono_ms();

    db_set_timeout(app->db, left < STOP_LEAST_MS  ? STOP_LEAST_MS
                            : left < STOP_WAIT_MS ? (int)left
                                                  : STOP_WAIT_MS);
}

/* Others read our sessions before we stop to: as long as there are others, and time. */
static void
hand_over(struct app *app, int64_t until)
{
    app->claim->draining = true;
    app->heartbeat_at = 0;
    do {
        bound_waits(app, until);
        handover_leave(app->claim->handover);
        app->claim_at = 0;
        do_due(app);
        wait_for_work(app);
    } while (app->claim->instances > 1 && claim_held(app->claim) > 0 && !app->away &&
             clock_mono_ms() < until);
}

/* Attempts that are under way get a little time; what is left of them is made again by others. */
static void
stop_outbound(struct app *app, int64_t until_ms)
{
    int64_t left = until_ms - clock_mono_ms();

    left = left < ATTEMPTS_WAIT_MS ? left : ATTEMPTS_WAIT_MS;
    commands_stop(app->commands, left);
    send_notifications(app);
    webhooks_drain(app->webhooks, left);
    tracer_drain(app->tracer, app->outbound, SPANS_WAIT_MS);
    outbound_stop(app->outbound);
    tracer_free(app->tracer);
    commands_free(app->commands);
    left = until_ms - clock_mono_ms();
    webhooks_stop(app->webhooks, left > STOP_LEAST_MS ? left : STOP_LEAST_MS);
}

/* What was received is stored, then the runs are free for others at once. */
static bool
stop(struct app *app)
{
    int64_t drain_ms = app->cfg->observerd_drain_ms, until = clock_mono_ms() + drain_ms;
    int64_t stored_by = until - drain_ms / 8; /* the rest is for what follows */
    bool stored = true;
    sigset_t second;
    struct err err;

    log_info("stopping");
    app->status.draining = true;
    supervisor_stopping(app->cfg->observerd_drain_ms);
    bound_waits(app, until);
    webhooks_quiet(app->webhooks);
    commands_quiet(app->commands);
    hand_over(app, until - (drain_ms / 4 < LEAVE_REST_MS ? drain_ms / 4 : LEAVE_REST_MS));
    /* Nobody reads the descriptor from here on: a second signal ends the program at once. */
    sigemptyset(&second);
    sigaddset(&second, SIGTERM);
    sigaddset(&second, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &second, NULL);
    bound_waits(app, stored_by);
    if (!claim_heartbeat(app->claim, &err)) /* the writers may write until the end */
        log_err(LOG_WARN, &err, "no heartbeat");
    retention_quiet(app->retention);
    watch_stop(app->watch);
    discovery_stop(app->discovery);
    ambient_quiet(app->ambient);
    for (size_t i = 0; i < app->n_shards; i++) {
        int64_t left = stored_by - clock_mono_ms();

        stored = shard_stop(app->shards[i], left > 0 ? left : 0) && stored;
    }
    ambient_stop(app->ambient, until > clock_mono_ms() ? until - clock_mono_ms() : 0);
    retention_stop(app->retention);
    bound_waits(app, until);
    send_notifications(app);
    bound_waits(app, until);
    if (!claim_leave(app->claim, &err))
        log_err(LOG_WARN, &err, "runs stay claimed until the lease has passed");
    stop_outbound(app, until);
    for (size_t i = 0; i < app->n_shards; i++)
        shard_free(app->shards[i]); /* commands were posted to them until now */
    if (!stored)
        log_error("some envelopes were not stored; they are read again at the next start");
    return stored;
}

static int
run(const struct program *program, const struct config *cfg)
{
    struct app *app = xcalloc(1, sizeof *app); /* the notifier makes it large */
    sigset_t set;
    unsigned seed;
    struct err err;
    bool ok;

    app->program = program;
    app->cfg = cfg;
    /* Instances must not act in step. */
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        BUG("no randomness");
    srandom(seed);
    /* Before any thread: gRPC's threads inherit the mask, signals come by descriptor only. */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a spool that may not grow is full */
    app->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    app->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    app->db =
        db_new(cfg->database_url, "macp-observerd control", (int)cfg->db_pool_connection_timeout);
    /* Without Postgres it starts all the same and waits; a wrong schema it refuses. */
    if (!schema_check(app->db, &err) && err.code != ERR_DB) {
        log_err(LOG_FATAL, &err, "cannot run on this database");
        return EXIT_FAILURE;
    }
    if (!start(app, &err)) {
        log_err(LOG_FATAL, &err, "cannot start");
        return PROGRAM_EXIT_CONFIG;
    }
    log_info("macp-observerd %s observes %s as %s", MACP_VERSION, cfg->runtime_address,
             app->claim->instance_id);
    while (!app->stopping) {
        if (app->reload)
            reload(app);
        do_due(app);
        wait_for_work(app);
    }
    ok = stop(app);
    page_stop(app->page);
    status_fini(&app->status);
    for (struct mail *mail = mailbox_take_all(&app->inbox), *next; mail; mail = next) {
        next = mail->next;
        if (mail->kind == CONTROL_CATALOG) /* owns more than its mail */
            catalog_row_free((struct catalog_row *)mail);
        else
            free(mail);
    }
    credential_free(app->runtime.credential);
    breaker_free(app->runtime.breaker);
    claim_free(app->claim);
    mailbox_fini(&app->inbox);
    notifier_fini(&app->notifier);
    settings_fini(&app->settings);
    price_list_free(app->prices);
    db_close(app->db);
    free(app->shards);
    close(app->signals);
    close(app->bell);
    free(app);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void
migrated(const char *name)
{
    log_info("applied %s", name);
}

static int
migrate(const struct config *cfg)
{
    struct db *db =
        db_new(cfg->database_url, "macp-observerd migrate", (int)cfg->db_pool_connection_timeout);
    struct err err;
    int applied;
    bool ok = migrate_run(db, migrated, &applied, &err);

    if (!ok)
        log_err(LOG_FATAL, &err, "migration failed");
    else if (applied == 0)
        log_info("the database is up to date");
    db_close(db);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* What cannot be used refuses the start, together with all other problems. */
static void
check_files(const struct config *cfg, struct config_report *report)
{
    struct redactor *redactor = NULL;
    struct price_list *prices;
    AUTO_TLS tls = {0};
    struct err err;

    if (!tls_load(&tls, cfg, &err))
        config_problem_add(report, CONFIG_ERROR, "RUNTIME_TLS", "%s", err.msg);
    if (!redact_new(cfg->redact_patterns.items, cfg->redact_patterns.n, &redactor, &err))
        config_problem_add(report, CONFIG_ERROR, "MACP_REDACT_PATTERNS", "%s", err.msg);
    redact_free(redactor);
    if (!price_list_load(cfg->model_prices_file, &prices, &err))
        config_problem_add(report, CONFIG_ERROR, "MODEL_PRICES_FILE", "%s", err.msg);
    else
        price_list_free(prices);
}

int
main(int argc, char **argv)
{
    static const struct program_command commands[] = {
        {"run", "observe"},
        {"migrate", "bring the database to this version's schema"},
        {"rebuild", "fold runs anew from their events: RUN_ID... | --all [--since TIME]"},
        {"retention", "remove what is too old, now; with --dry-run only say what would go"},
        {NULL, NULL},
    };
    static const struct program program = {
        "macp-observerd", "observes the sessions of a MACP runtime and stores what happens in them",
        CONFIG_OBSERVERD, commands,
        check_files,
    };
    struct config *cfg;
    const char *command;
    int arg, status;

    /*
     * Large envelopes come in rows of megabytes. Memory from mmap would be given back and
     * faulted in again for each of them, which costs more than all work on it.
     */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    if (!program_start(&program, argc, argv, &cfg, &command, &arg, &status))
        return status;
    status = strcmp(command, "migrate") == 0     ? migrate(cfg)
             : strcmp(command, "rebuild") == 0   ? rebuild(cfg, argc - arg, argv + arg)
             : strcmp(command, "retention") == 0 ? retention(cfg, argc - arg, argv + arg)
                                                 : run(&program, cfg);
    config_free(cfg);
    return status;
}
