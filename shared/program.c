#include "shared/program.h"

#include <signal.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/log.h"

static void
print_help(const struct program *p)
{
    printf("%s %s - %s\n\nUsage: %s [--env-file FILE] [COMMAND]\n\n", p->name, MACP_VERSION, p->doc,
           p->name);
    for (const struct program_command *c = p->commands; c->name; c++)
        printf("  %-18s %s%s\n", c->name, c->doc, c == p->commands ? " (default)" : "");
    printf("  %-18s %s\n", "check-config", "say what is wrong with the settings and exit");
    printf("  %-18s %s\n", "config", "print the settings in force, secrets masked");
    printf("  %-18s %s\n", "config --example", "print an environment file with every default");
    printf("  %-18s %s\n", "config --man", "print the manual page");
    printf("  %-18s %s\n", "--help, --version", "print this, or the version");
    printf("  %-18s %s\n\n", "--env-file FILE",
           "take settings from lines of NAME=value, before the environment's");
    config_print_help(stdout, p->who);
}

/* A manual page; what it says of settings and commands cannot drift from what the program does. */
static void
print_man(const struct program *p)
{
    printf(".TH %s 8 \"\" \"macp-observer %s\"\n.SH NAME\n%s \\- %s\n", p->name, MACP_VERSION,
           p->name, p->doc);
    printf(".SH SYNOPSIS\n.B %s\n[\\-\\-env\\-file FILE] [COMMAND]\n.SH COMMANDS\n", p->name);
    for (const struct program_command *c = p->commands; c->name; c++)
        printf(".TP\n.B %s\n%s%s\n", c->name, c->doc, c == p->commands ? " (default)" : "");
    printf(".TP\n.B check\\-config\nsay what is wrong with the settings and exit\n"
           ".TP\n.B config\nprint the settings in force, secrets masked\n"
           ".TP\n.B config \\-\\-example\nprint an environment file with every default\n"
           ".SH OPTIONS\n.TP\n.B \\-\\-env\\-file FILE\ntake settings from lines of NAME=value, "
           "before the environment's\n");
    config_print_man(stdout, p->who);
    printf(".SH EXIT STATUS\n0: ended as asked. %d: wrong usage. %d: settings that cannot be "
           "used.\n1: anything else.\n",
           PROGRAM_EXIT_USAGE, PROGRAM_EXIT_CONFIG);
}

static bool
load(const struct program *p, const char *env_file, struct config **cfg,
     struct config_report *report)
{
    if (!config_load_env(p->who, env_file, cfg, report))
        return false;
    if (p->check)
        p->check(*cfg, report);
    if (!report->count[CONFIG_ERROR])
        return true;
    config_free(*cfg);
    *cfg = NULL;
    return false;
}

/* check-config and config: everything they say is for a person. */
static int
show_config(const struct program *p, const char *env_file, bool values)
{
    struct config_report report = {0};
    struct config *cfg = NULL;
    bool ok = load(p, env_file, &cfg, &report);

    config_report_print(&report, values ? stderr : stdout);
    if (ok && values)
        config_print_effective(stdout, cfg, p->who);
    else if (ok)
        printf("%s: the settings are valid\n", p->name);
    config_free(cfg);
    config_report_fini(&report);
    return ok ? 0 : PROGRAM_EXIT_CONFIG;
}

static void
log_report(struct config_report *report)
{
    static const enum log_level levels[CONFIG_SEVERITY__COUNT] = {
        [CONFIG_ERROR] = LOG_ERROR, [CONFIG_WARNING] = LOG_WARN, [CONFIG_NOTICE] = LOG_INFO};

    for (size_t i = 0; i < report->n; i++)
        log_line(levels[report->items[i].severity], NULL, "%s", report->items[i].text);
    config_report_fini(report);
}

static void
use_level(const char *name)
{
    enum log_level level;

    if (!log_level_parse(name, &level))
        BUG("log level %s", name);
    log_set_level(level);
}

static bool
open_program(const struct program *p, const char *env_file, struct config **cfg)
{
    struct config_report report = {0};
    AUTO_BUF values = {0};
    bool ok = load(p, env_file, cfg, &report);

    log_open(p->name, LOG_INFO);
    if (ok)
        use_level((*cfg)->log_level);
    log_report(&report);
    if (!ok) {
        log_error("refusing to start: the settings are not valid");
        return false;
    }
    config_write_json(&values, *cfg);
    log_line(p->quiet ? LOG_DEBUG : LOG_INFO, NULL, "%s %s starts with %s", p->name, MACP_VERSION,
             buf_cstr(&values));
    signal(SIGPIPE, SIG_IGN);
    return true;
}

bool
program_start(const struct program *p, int argc, char **argv, struct config **cfg,
              const char **command, int *arg, int *status)
{
    bool has_file = argc > 1 && strcmp(argv[1], "--env-file") == 0;
    int at = has_file ? 3 : 1; /* of the command */
    const char *word = argc > at ? argv[at] : p->commands[0].name;
    const char *option = argc > at + 1 ? argv[at + 1] : "";
    const char *env_file = has_file && argc > 2 ? argv[2] : "";
    const struct program_command *c = p->commands;

    *status = 0;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(p);
        return false;
    }
    if (strcmp(word, "--version") == 0) {
        printf("%s %s\n", p->name, MACP_VERSION);
        return false;
    }
    if (strcmp(word, "config") == 0 && strcmp(option, "--example") == 0) {
        config_print_example(stdout, p->who);
        return false;
    }
    if (strcmp(word, "config") == 0 && strcmp(option, "--man") == 0) {
        print_man(p);
        return false;
    }
    if ((strcmp(word, "config") == 0 || strcmp(word, "check-config") == 0) && !option[0]) {
        *status = show_config(p, env_file, strcmp(word, "config") == 0);
        return false;
    }
    while (c->name && strcmp(word, c->name) != 0)
        c++;
    if (!c->name || (has_file && !*env_file)) {
        fprintf(stderr, "%s: unknown command or option; see %s --help\n", p->name, p->name);
        *status = PROGRAM_EXIT_USAGE;
        return false;
    }
    if (!open_program(p, env_file, cfg)) {
        *status = PROGRAM_EXIT_CONFIG;
        return false;
    }
    *command = c->name;
    *arg = argc > at + 1 ? at + 1 : argc;
    return true;
}

bool
program_reload(const struct program *p, const struct config *running, struct config **out)
{
    struct config_report report = {0};
    bool ok = config_reload(running, out, &report);

    if (ok && p->check)
        p->check(*out, &report);
    if (ok && report.count[CONFIG_ERROR]) {
        config_free(*out);
        ok = false;
    }
    if (ok)
        use_level((*out)->log_level);
    log_report(&report);
    if (!ok)
        log_error("reload refused: the settings are not valid, everything stays as it was");
    return ok;
}
