/*
 * scripted-runtime: a MACP runtime that plays scripts, for tests and the demo.
 *
 * Threads: main waits for signals; one serves the completion queue, one keeps time, control
 * connections and jobs come and go. All share struct world under its lock.
 */
#include <errno.h>
#include <getopt.h>
#include <grpc/grpc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/macros.h"
#include "tests/runtime/command.h"
#include "tests/runtime/control.h"
#include "tests/runtime/file.h"
#include "tests/runtime/job.h"
#include "tests/runtime/player.h"
#include "tests/runtime/script.h"
#include "tests/runtime/server.h"
#include "tests/runtime/session.h"
#include "tests/runtime/world.h"

enum { TICK_MS = 10, MAX_STREAMS = 128, DEMO_DELAY_MS = 300, DEMO_GAP_MS = 1000 };

struct options {
    const char *port;
    const char *port_file;
    const char *control;
    const char *tokens;
    const char *play;
    const char *ctl;
    const char *tls_cert;
    const char *tls_key;
    const char *client_ca;
    char **settings; /* name=value, as given */
    size_t n_settings;
    int max_streams;
    int delay_ms;
    int gap_ms;
    bool loop;
    bool dev;
    bool agent_id;
    bool help;
};

enum opt_kind { OPT_TEXT, OPT_INT, OPT_FLAG, OPT_LIST };

struct opt {
    const char *name;
    enum opt_kind kind;
    size_t offset;
    const char *value;
    const char *doc;
};

#define AT(member) offsetof(struct options, member)

// clang-format off
static const struct opt table[] = {
    {"port",        OPT_TEXT, AT(port),        "N",          "listen on 127.0.0.1:N; 0 (default) picks a free port"},
    {"port-file",   OPT_TEXT, AT(port_file),   "PATH",       "write the port there once it is open"},
    {"control",     OPT_TEXT, AT(control),     "PATH",       "open a control socket"},
    {"tokens",      OPT_TEXT, AT(tokens),      "FILE|JSON",  "static tokens instead of the built-in ones"},
    {"dev",         OPT_FLAG, AT(dev),         "",           "no tokens: any token is the sender's name"},
    {"agent-id",    OPT_FLAG, AT(agent_id),    "",           "accept x-macp-agent-id as identification"},
    {"tls-cert",    OPT_TEXT, AT(tls_cert),    "PATH",       "serve TLS with this certificate; needs --tls-key"},
    {"tls-key",     OPT_TEXT, AT(tls_key),     "PATH",       "its key"},
    {"client-ca",   OPT_TEXT, AT(client_ca),   "PATH",       "clients must show a certificate that this one signed"},
    {"max-streams", OPT_INT,  AT(max_streams), "N",          "streams per connection (128)"},
    {"set",         OPT_LIST, AT(settings),    "NAME=VALUE", "change a setting; may be repeated"},
    {"play",        OPT_TEXT, AT(play),        "SCRIPT",     "play a script, or \"all\" in turn"},
    {"delay-ms",    OPT_INT,  AT(delay_ms),    "N",          "pause between steps (300)"},
    {"gap-ms",      OPT_INT,  AT(gap_ms),      "N",          "pause between scripts (1000)"},
    {"loop",        OPT_FLAG, AT(loop),        "",           "with --play all: for ever"},
    {"ctl",         OPT_TEXT, AT(ctl),         "PATH JSON",  "client: send one command to a control socket"},
    {"help",        OPT_FLAG, AT(help),        "",           "this text"},
};
// clang-format on

static void
print_help(void)
{
    AUTO_BUF b = {0};

    buf_lit(&b, "scripted-runtime - a MACP runtime that plays scripts\n\nOptions\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        buf_printf(&b, "  --%-11s %-11s %s\n", table[i].name, table[i].value, table[i].doc);
    buf_lit(&b, "\nSettings (--set NAME=VALUE, {\"cmd\":\"set\",\"NAME\":VALUE})\n");
    settings_help(&b);
    buf_lit(&b, "\nScripts\n");
    for (size_t i = 0; i < scripts_count; i++)
        buf_printf(&b, "  %-22s %s\n", scripts[i].name, scripts[i].doc);
    buf_lit(&b, "\nCommands on the control socket: {\"cmd\":NAME, argument:value, ...}\n");
    command_help(&b);
    buf_lit(&b, "\nBuilt-in tokens\n  ");
    buf_str(&b, identity_default_json);
    buf_char(&b, '\n');
    fputs(buf_cstr(&b), stdout);
}

static bool
store_option(struct options *o, const struct opt *d, char *value)
{
    void *at = (char *)o + d->offset;
    char *end = NULL;
    long n;

    switch (d->kind) {
    case OPT_TEXT:
        *(const char **)at = value;
        return true;
    case OPT_FLAG:
        *(bool *)at = true;
        return true;
    case OPT_LIST:
        o->settings = xrealloc(o->settings, (o->n_settings + 1) * sizeof(*o->settings));
        o->settings[o->n_settings++] = value;
        return true;
    case OPT_INT:
        n = strtol(value, &end, 10);
        if (end == value || *end || n < 0 || n > 1000000000) {
            fprintf(stderr, "scripted-runtime: --%s needs a number, not \"%s\"\n", d->name, value);
            return false;
        }
        *(int *)at = (int)n;
        return true;
    }
    return false;
}

static bool
parse_options(int argc, char **argv, struct options *o)
{
    struct option longs[ARRAY_LEN(table) + 1] = {{0}};
    int index = 0;
    int c;

    *o = (struct options){
        .port = "0", .max_streams = MAX_STREAMS, .delay_ms = DEMO_DELAY_MS, .gap_ms = DEMO_GAP_MS};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        longs[i] = (struct option){
            table[i].name, table[i].kind == OPT_FLAG ? no_argument : required_argument, NULL, 'x'};
    for (c = getopt_long(argc, argv, "", longs, &index); c != -1;
         c = getopt_long(argc, argv, "", longs, &index)) {
        if (c != 'x' || !store_option(o, &table[index], optarg))
            return false;
    }
    if (!o->tls_cert != !o->tls_key || (o->client_ca && !o->tls_cert)) {
        fputs("scripted-runtime: --tls-cert and --tls-key go together\n", stderr);
        return false;
    }
    return true;
}

static bool
load_tokens(struct world *w, const char *given, struct err *err)
{
    AUTO_BUF text = {0};

    if (!given)
        return identity_set_load(&w->identities, identity_default_json, err);
    if (*given == '[' || *given == '{')
        return identity_set_load(&w->identities, given, err);
    return file_read(given, &text, err) && identity_set_load(&w->identities, text.p, err);
}

static bool
apply_settings(struct world *w, const struct options *o, struct err *err)
{
    for (size_t i = 0; i < o->n_settings; i++) {
        char *equals = strchr(o->settings[i], '=');

        if (!equals)
            return err_set(err, ERR_CONFIG, "--set needs NAME=VALUE, not \"%s\"", o->settings[i]);
        *equals = '\0';
        if (!settings_set_text(&w->settings, o->settings[i], equals + 1, err))
            return false;
    }
    return true;
}

/* Written beside and renamed: a reader that sees the file sees a whole number. */
static bool
write_port_file(const char *path, int port, struct err *err)
{
    AUTO_BUF part = {0};
    FILE *f;

    buf_printf(&part, "%s.part", path);
    f = fopen(part.p, "we");
    if (!f || fprintf(f, "%d\n", port) < 0 || fclose(f) != 0 || rename(part.p, path) != 0)
        return err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return true;
}

static void *
queue_main(void *arg)
{
    server_run(arg);
    return NULL;
}

static void *
timer_main(void *arg)
{
    struct world *w = arg;

    while (world_sleep(w, TICK_MS)) {
        world_lock(w);
        session_tick(w);
        server_tick(w);
        world_unlock(w);
    }
    return NULL;
}

/* Play in the background and say how it went. */
static json_t *
play_and_tell(struct world *w, const json_t *args)
{
    json_t *result = player_play(w, args);
    char *text = json_dumps(result, JSON_COMPACT);

    if (text)
        puts(text);
    fflush(stdout);
    free(text);
    return result;
}

static void
start_play(struct world *w, const struct options *o)
{
    json_auto_t *args = json_pack("{s:s, s:i, s:i, s:b}", "script", o->play, "delayMs", o->delay_ms,
                                  "gapMs", o->gap_ms, "loop", o->loop);

    if (o->play)
        (void)job_start(w, play_and_tell, args);
}

static void
wait_for_signal(const sigset_t *signals)
{
    int sig;

    while (sigwait(signals, &sig) != 0)
        ;
}

static bool
serve(struct world *w, const struct options *o, const sigset_t *signals, struct err *err)
{
    AUTO_BUF address = {0};
    struct server *server;
    struct control *control = NULL;
    pthread_t queue;
    pthread_t timer;
    bool ok = true;

    buf_printf(&address, "127.0.0.1:%s", o->port);
    server = server_start(w,
                          &(struct server_options){.address = address.p,
                                                   .max_streams = o->max_streams,
                                                   .tls_cert = o->tls_cert,
                                                   .tls_key = o->tls_key,
                                                   .client_ca = o->client_ca},
                          err);
    if (!server)
        return false;
    if (pthread_create(&queue, NULL, queue_main, server) != 0 ||
        pthread_create(&timer, NULL, timer_main, w) != 0)
        BUG("cannot start a thread");
    if (o->control) {
        control = control_start(w, o->control, err);
        ok = control != NULL;
    }
    if (ok && o->port_file)
        ok = write_port_file(o->port_file, w->port, err);
    if (ok) {
        printf("listening on 127.0.0.1:%d\n", w->port);
        fflush(stdout);
        start_play(w, o);
        wait_for_signal(signals);
    }

    world_lock(w);
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    world_unlock(w);
    control_stop(control);
    jobs_join(w);
    pthread_join(timer, NULL);
    server_stop(server);
    pthread_join(queue, NULL);
    server_free(server);
    return ok;
}

static int
run(const struct options *o)
{
    struct world world;
    struct err err = {0};
    sigset_t signals;
    bool ok;

    /* Before gRPC starts its threads: they inherit the mask, and only main waits for these. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    grpc_init();
    world_init(&world);
    world.identities.dev_fallback = o->dev;
    world.identities.accept_agent_id = o->agent_id;
    ok = load_tokens(&world, o->tokens, &err) && apply_settings(&world, o, &err) &&
         serve(&world, o, &signals, &err);
    if (!ok)
        fprintf(stderr, "scripted-runtime: %s\n", err.msg);
    world_fini(&world);
    grpc_shutdown();
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
ask(const struct options *o, const char *line)
{
    struct err err = {0};

    if (!line) {
        fprintf(stderr, "scripted-runtime: --ctl PATH needs a command: '{\"cmd\":\"help\"}'\n");
        return EXIT_FAILURE;
    }
    if (control_ask(o->ctl, line, &err))
        return EXIT_SUCCESS;
    fprintf(stderr, "scripted-runtime: %s\n", err.msg);
    return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    struct options o;
    int status;

    if (!parse_options(argc, argv, &o))
        return EXIT_FAILURE;
    if (o.help) {
        print_help();
        status = EXIT_SUCCESS;
    } else if (o.ctl) {
        status = ask(&o, argv[optind]);
    } else {
        status = run(&o);
    }
    free(o.settings);
    return status;
}
