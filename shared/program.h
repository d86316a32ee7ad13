/*
 * program.h - the command line both programs share.
 *
 * Purpose    --help, --version, check-config and config are the same everywhere: a main hands in
 *            a description of itself and gets back its settings and the command to run.
 * Ownership  *cfg is the caller's (config_free). struct program is read only.
 * Errors     said on standard error; the caller returns the status it was given.
 * Threads    call it before the first thread starts.
 */
#ifndef MACP_SHARED_PROGRAM_H
#define MACP_SHARED_PROGRAM_H

#include "shared/config.h"

enum { PROGRAM_EXIT_USAGE = 64, PROGRAM_EXIT_CONFIG = 78 }; /* as in sysexits.h */

struct program_command {
    const char *name;
    const char *doc;
};

struct program {
    const char *name;
    const char *doc; /* one line */
    enum config_process who;
    const struct program_command
        *commands; /* its own ones; a NULL name ends; the first is default */
    /* Further checks of loaded settings that need this program's libraries; may be NULL. */
    void (*check)(const struct config *cfg, struct config_report *report);
    bool quiet; /* started so often that a start is no news */
};

/*
 * True: run *command (one of p->commands) with *cfg and, from argv[*arg] on, its arguments. The
 * log is open, warnings are logged, SIGPIPE is ignored. False: return *status from main.
 */
bool program_start(const struct program *p, int argc, char **argv, struct config **cfg,
                   const char **command, int *arg, int *status) MUST_CHECK;

/*
 * Read the settings again and say in the log what changed; the log's level follows at once. *out
 * as config_reload gives it. False: a value is bad, everything stays as it was.
 */
bool program_reload(const struct program *p, const struct config *running,
                    struct config **out) MUST_CHECK;

#endif
