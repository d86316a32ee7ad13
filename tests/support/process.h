/*
 * process.h - programs that a test starts and that never outlive it.
 *
 * Purpose    start a program with an environment of its own and its output in a log file, wait
 *            until it is ready by looking at a condition, stop it by its process id.
 * Ownership  struct process is the caller's; the child is owned until process_stop has reaped it.
 * Errors     false + *err; a child that ends while it is waited for is reported with the end of
 *            its log.
 * Threads    the thread that starts a child must outlive it: the kernel kills the child when
 *            that thread dies.
 */
#ifndef MACP_TESTS_SUPPORT_PROCESS_H
#define MACP_TESTS_SUPPORT_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "shared/err.h"

struct process {
    pid_t pid; /* 0: not running */
    char name[32];
    char log[PATH_MAX];
    int death_signal;
};

struct process_spec {
    const char *name; /* names the log file: <dir>/<name>.log, appended to */
    const char *dir;
    const char *const *argv; /* NULL ended; argv[0] is the program's path */
    const char *const *env;  /* "NAME=value", NULL ended, added to PATH and sanitizer options */
    int death_signal;        /* sent by the kernel when we die; 0: SIGKILL */
    bool to_terminal;        /* leave standard error alone instead of a log file */
};

bool process_start(struct process *p, const struct process_spec *spec, struct err *err) MUST_CHECK;
/* Also reaps a child that has ended. */
bool process_alive(struct process *p);
/* Send a signal without waiting; nothing happens when it is not running. */
void process_signal(const struct process *p, int sig);
/*
 * Send the signal, wait, SIGKILL after timeout_ms. Exit status as a shell shows it (128 + signal
 * for a killed one), -1 when it was not running.
 */
int process_stop(struct process *p, int sig, int timeout_ms);

/* --- readiness: each waits until the condition holds, the child ends, or the time is up ------ */

/* The file exists and is not empty. */
bool process_wait_file(struct process *p, const char *path, int timeout_ms,
                       struct err *err) MUST_CHECK;
/* Something accepts on 127.0.0.1:port. */
bool process_wait_port(struct process *p, int port, int timeout_ms, struct err *err) MUST_CHECK;
/* Something accepts on the unix socket. */
bool process_wait_socket(struct process *p, const char *path, int timeout_ms,
                         struct err *err) MUST_CHECK;

/* A loopback TCP port that nobody listened on a moment ago. */
int process_free_port(void);
/* True when nobody listens on the loopback port now. */
bool process_port_is_free(int port);

/* The pause between two looks at a condition. */
void process_pause(int ms);
/* Poll until cond(ctx) or the time is up; returns the last answer. */
bool process_poll(bool (*cond)(void *ctx), void *ctx, int timeout_ms);

/* The end of a log file, at most max bytes, as heap text. */
char *process_log_tail(const char *path, size_t max) MUST_CHECK;

/*
 * How much slower than a plain build everything may be: time-outs in milliseconds are multiplied
 * by it. Sanitizers are recognised by the compiler's own macros.
 */
int process_slow(int timeout_ms);

#endif
