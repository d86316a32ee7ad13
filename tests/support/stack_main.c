/*
 * stack - the whole path for people and scripts, until SIGTERM or SIGINT.
 *
 *   stack [--runtime ADDR] [--bearer TOKEN] [--ready-file FILE] [--port N]
 *
 * Prints one line of JSON when everything answers (and writes it to the ready file): apiUrl,
 * apiKey, databaseUrl, runtime, control (the scripted runtime's socket, null with --runtime).
 * Run it from the top of the tree. Everything it started ends with it.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/world.h"

/* People expect the product's default; the tests switch the watches on where they mean them. */
static const char *const observerd_env[] = {"SESSION_DISCOVERY_ENABLED=true", NULL};

struct stack_options {
    struct world_options world;
    const char *ready_file;
};

static bool
read_port(const char *text, int *out)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 0 || n > 65535)
        return false;
    *out = (int)n;
    return true;
}

static bool
read_options(int argc, char **argv, struct stack_options *o)
{
    static const struct option known[] = {
        {"runtime", required_argument, NULL, 'r'},
        {"bearer", required_argument, NULL, 'b'},
        {"ready-file", required_argument, NULL, 'f'},
        {"port", required_argument, NULL, 'p'},
        {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'r':
            o->world.runtime_address = optarg;
            break;
        case 'b':
            o->world.runtime_bearer = optarg;
            break;
        case 'f':
            o->ready_file = optarg;
            break;
        case 'p':
            if (!read_port(optarg, &o->world.port))
                return false;
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

static bool
announce(const struct world *w, const char *ready_file, struct err *err)
{
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:s, s:s?}", "apiUrl", w->base_url, "apiKey", WORLD_API_KEY,
                  "databaseUrl", w->admin_url, "runtime", w->runtime_address, "control",
                  w->options.runtime_address ? NULL : w->control_path);
    char *text = json_dumps(line, JSON_COMPACT);
    FILE *f = ready_file ? fopen(ready_file, "w") : NULL;
    bool ok = true;

    puts(text);
    fflush(stdout);
    if (ready_file)
        ok = f && fprintf(f, "%s\n", text) > 0;
    if (f && fclose(f) != 0)
        ok = false;
    free(text);
    json_decref(line);
    return ok || err_set(err, ERR_IO, "cannot write %s: %s", ready_file, strerror(errno));
}

int
main(int argc, char **argv)
{
    struct stack_options o = {.world.observerd_env = observerd_env};
    struct world w;
    struct err err = {0};
    sigset_t signals;
    int sig;

    if (!read_options(argc, argv, &o)) {
        fprintf(stderr,
                "usage: %s [--runtime ADDR] [--bearer TOKEN] [--ready-file FILE] [--port N]\n",
                argv[0]);
        return 2;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    bool ok = world_start(&w, &o.world, &err) && world_wait_ready(&w, &err) &&
              announce(&w, o.ready_file, &err);

    if (ok)
        sigwait(&signals, &sig);
    else
        fprintf(stderr, "stack: %s\n", err.msg);
    world_stop(&w);
    return ok ? 0 : 1;
}
