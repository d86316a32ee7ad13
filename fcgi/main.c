/* main.c - macp-fcgi: start, signals, stop. */
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sysexits.h>
#include <unistd.h>

#include "fcgi/app.h"
#include "fcgi/auth.h"
#include "fcgi/cgi.h"
#include "fcgi/http_metrics.h"
#include "fcgi/hub.h"
#include "fcgi/listen.h"
#include "fcgi/notify.h"
#include "fcgi/outcome.h"
#include "fcgi/throttle.h"
#include "fcgi/worker.h"
#include "shared/config.h"
#include "shared/log.h"
#include "shared/program.h"
#include "shared/schema.h"

/* The main thread waits for this signal anyway. */
static void
stop_process(void)
{
    kill(getpid(), SIGTERM);
}

static int
count_threads(const struct config *config)
{
    int n = 4 * get_nprocs();

    if (config->fcgi_threads > 0)
        return (int)config->fcgi_threads;
    return n > 8 ? n : 8;
}

static void
raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What handlers need, however requests come. */
static void
app_start(struct app *app, const struct config *config)
{
    app->config = config;
    app->threads = count_threads(config);
    app->waiting.places = app->threads / 2;
    app->auth = auth_new(&config->auth_api_keys);
    app->throttle = throttle_new(config->throttle_limit, config->throttle_ttl_ms);
    app->http = http_metrics_new();
    app->outcomes = outcomes_new(app->threads);
    app->notify = notify_start(config, stop_process);
}

static void
app_stop(struct app *app)
{
    notify_stop(app->notify);
    outcomes_free(app->outcomes);
    throttle_free(app->throttle);
    http_metrics_free(app->http);
    auth_free(app->auth);
}

static int
serve_until_signal(const struct config *config, const sigset_t *signals)
{
    struct app app = {0};
    struct workers *workers;
    struct err err;
    int fd, sig = 0;

    if (!listen_open(config->fcgi_listen, &fd, &err)) {
        log_line(LOG_FATAL, &(struct log_ctx){.err = &err}, "cannot start");
        return EX_CONFIG;
    }
    if (FCGX_Init() != 0) {
        log_line(LOG_FATAL, NULL, "libfcgi does not start");
        return EX_SOFTWARE;
    }
    app_start(&app, config);
    app.hub = hub_start(config, &app.streams, app.outcomes);
    workers = workers_start(&app, fd, app.threads);
    log_info("macp-fcgi %s serves with %d threads, schema version %d", MACP_VERSION, app.threads,
             schema_program_version());

    sigwait(signals, &sig);
    log_info("stopping on signal %d", sig);
    outcomes_quit(app.outcomes); /* a request in hand is finished, a command lives on */
    workers_stop(workers);
    hub_stop(app.hub);
    app_stop(&app);
    close(fd);
    log_info("stopped");
    return EX_OK;
}

static int
serve_one(const struct config *config, char *const *env)
{
    struct app app = {0};

    app_start(&app, config);
    cgi_serve(&app, env);
    app_stop(&app);
    return EX_OK;
}

int
main(int argc, char **argv, char **env)
{
    static const struct program_command commands[] = {
        {"serve", "answer requests on the FastCGI socket"},
        {0},
    };
    const bool is_cgi = cgi_is_request(env);
    const struct program program = {
        .name = "macp-fcgi",
        .doc = "answers the HTTP API over FastCGI, out of Postgres",
        .who = CONFIG_FCGI,
        .commands = commands,
        .quiet = is_cgi,
    };
    struct config *config;
    const char *command;
    sigset_t signals;
    int arg, status;

    /* Of a CGI request, the arguments are the client's to choose. */
    if (!program_start(&program, is_cgi ? 1 : argc, argv, &config, &command, &arg, &status))
        return status;
    if (is_cgi) {
        status = serve_one(config, env);
        config_free(config);
        return status;
    }
    raise_fd_limit();
    /* Before any thread exists, so that all of them leave these to the main thread. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    status = serve_until_signal(config, &signals);
    config_free(config);
    return status;
}
