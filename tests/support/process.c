#include "tests/support/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/macros.h"

enum { LOOK_EVERY_MS = 5, MAX_ENV = 64 };

extern char **environ;

/* What a child may see of our own environment: where programs are, and how to report memory bugs.
 */
static const char *const inherited[] = {
    "PATH=", "HOME=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS=",
};

#ifndef TEST_TIMEOUT_SCALE
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_TIMEOUT_SCALE 4
#else
#define TEST_TIMEOUT_SCALE 1
#endif
#endif

int
process_slow(int timeout_ms)
{
    return timeout_ms * TEST_TIMEOUT_SCALE;
}

static bool
is_inherited(const char *entry)
{
    for (size_t i = 0; i < ARRAY_LEN(inherited); i++)
        if (strncmp(entry, inherited[i], strlen(inherited[i])) == 0)
            return true;
    return false;
}

static void
fill_environment(const char *const *own, char *out[MAX_ENV])
{
    size_t n = 0;

    for (char **e = environ; *e && n + 1 < MAX_ENV; e++)
        if (is_inherited(*e))
            out[n++] = *e;
    for (size_t i = 0; own && own[i]; i++) {
        if (n + 1 >= MAX_ENV)
            BUG("more than %d environment variables for a child", MAX_ENV);
        out[n++] = (char *)(uintptr_t)own[i];
    }
    out[n] = NULL;
}

static NORETURN void
run_child(const struct process_spec *spec, const char *log, int death_signal, pid_t parent)
{
    char *env[MAX_ENV];
    sigset_t none;
    int in = open("/dev/null", O_RDONLY);
    int out = spec->to_terminal ? -1 : open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    /* The parent may have died before the request was made; then nobody would ever signal us. */
    if (prctl(PR_SET_PDEATHSIG, death_signal) < 0 || getppid() != parent)
        _exit(125);
    if (in < 0 || dup2(in, 0) < 0)
        _exit(125);
    if (!spec->to_terminal && (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0))
        _exit(125);
    if (in > 2)
        close(in);
    if (out > 2)
        close(out);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* A group of its own: Ctrl-C reaches only the parent, which stops its children in order. */
    setpgid(0, 0);
    fill_environment(spec->env, env);
    execve(spec->argv[0], (char *const *)(uintptr_t)spec->argv, env);
    dprintf(2, "cannot run %s: %s\n", spec->argv[0], strerror(errno));
    _exit(127);
}

bool
process_start(struct process *p, const struct process_spec *spec, struct err *err)
{
    pid_t parent = getpid();

    *p = (struct process){.death_signal = spec->death_signal ? spec->death_signal : SIGKILL};
    snprintf(p->name, sizeof(p->name), "%s", spec->name);
    if (snprintf(p->log, sizeof(p->log), "%s/%s.log", spec->dir, spec->name) >= (int)sizeof(p->log))
        return err_set(err, ERR_IO, "log path of %s is too long", spec->name);
    fflush(NULL);

    pid_t pid = fork();

    if (pid < 0)
        return err_set(err, ERR_IO, "fork: %s", strerror(errno));
    if (pid == 0)
        run_child(spec, p->log, p->death_signal, parent);
    p->pid = pid;
    return true;
}

bool
process_alive(struct process *p)
{
    int status;

    if (p->pid == 0)
        return false;
    if (waitpid(p->pid, &status, WNOHANG) == 0)
        return true;
    p->pid = 0;
    return false;
}

void
process_signal(const struct process *p, int sig)
{
    if (p->pid > 0)
        kill(p->pid, sig);
}

static int
shell_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int
process_stop(struct process *p, int sig, int timeout_ms)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    int status = 0;

    if (p->pid == 0)
        return -1;
    kill(p->pid, sig);
    for (;;) {
        pid_t ended = waitpid(p->pid, &status, WNOHANG);

        if (ended != 0)
            break;
        if (clock_mono_ms() >= deadline) {
            kill(p->pid, SIGKILL);
            waitpid(p->pid, &status, 0);
            break;
        }
        process_pause(LOOK_EVERY_MS);
    }
    p->pid = 0;
    return shell_status(status);
}

void
process_pause(int ms)
{
    poll(NULL, 0, ms);
}

bool
process_poll(bool (*cond)(void *ctx), void *ctx, int timeout_ms)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;

    for (;;) {
        if (cond(ctx))
            return true;
        if (clock_mono_ms() >= deadline)
            return false;
        process_pause(LOOK_EVERY_MS);
    }
}

/* --- readiness ----------------------------------------------------------------------------- */

struct readiness {
    struct process *process;
    const char *path;
    int port;
    bool (*ready)(const struct readiness *r);
    bool dead;
};

static bool
ready_or_dead(void *ctx)
{
    struct readiness *r = ctx;

    if (r->ready(r))
        return true;
    r->dead = r->process && !process_alive(r->process);
    return r->dead;
}

static bool
wait_ready(struct readiness *r, int timeout_ms, struct err *err)
{
    bool ended = process_poll(ready_or_dead, r, timeout_ms);

    if (ended && !r->dead)
        return true;

    char *tail = process_log_tail(r->process->log, 400);

    err_set(err, ERR_IO, "%s %s; its log ends: %s", r->process->name,
            r->dead ? "ended before it was ready" : "was not ready in time", tail);
    free(tail);
    return false;
}

static bool
file_ready(const struct readiness *r)
{
    struct stat st;

    return stat(r->path, &st) == 0 && st.st_size > 0;
}

static bool
accepts(int family, const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, addr, len) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

static struct sockaddr_in
loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static bool
port_ready(const struct readiness *r)
{
    struct sockaddr_in addr = loopback(r->port);

    return accepts(AF_INET, (const struct sockaddr *)&addr, sizeof(addr));
}

static bool
socket_ready(const struct readiness *r)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", r->path);
    return accepts(AF_UNIX, (const struct sockaddr *)&addr, sizeof(addr));
}

bool
process_wait_file(struct process *p, const char *path, int timeout_ms, struct err *err)
{
    return wait_ready(&(struct readiness){.process = p, .path = path, .ready = file_ready},
                      timeout_ms, err);
}

bool
process_wait_port(struct process *p, int port, int timeout_ms, struct err *err)
{
    return wait_ready(&(struct readiness){.process = p, .port = port, .ready = port_ready},
                      timeout_ms, err);
}

bool
process_wait_socket(struct process *p, const char *path, int timeout_ms, struct err *err)
{
    return wait_ready(&(struct readiness){.process = p, .path = path, .ready = socket_ready},
                      timeout_ms, err);
}

/* --- ports, logs --------------------------------------------------------------------------- */

/* Bind to find out; 0 asks for any port. Returns the port, 0 when it is taken. */
static int
try_bind(int port)
{
    struct sockaddr_in addr = loopback(port);
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    int got = 0;

    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, len) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        got = ntohs(addr.sin_port);
    close(fd);
    return got;
}

/*
 * Nobody holds it until the program it is for binds it. Below the range from which the kernel
 * takes ports of outgoing connections, and each test program from a part of its own: several may
 * run at once.
 */
int
process_free_port(void)
{
    enum { FIRST = 10240, PARTS = 340, PART = 64 };
    static int asked;

    for (int tries = 0; tries < PARTS * PART; tries++) {
        int port = FIRST + ((int)getpid() % PARTS * PART + asked++) % (PARTS * PART);

        if (try_bind(port) == port)
            return port;
    }
    BUG("no free loopback port: %s", strerror(errno));
}

bool
process_port_is_free(int port)
{
    return try_bind(port) == port;
}

char *
process_log_tail(const char *path, size_t max)
{
    FILE *f = fopen(path, "rb");
    char *text = xcalloc(max + 1, 1);

    if (!f)
        return text;
    if (fseek(f, -(long)max, SEEK_END) != 0)
        rewind(f);

    size_t n = fread(text, 1, max, f);

    text[n] = '\0';
    fclose(f);
    return text;
}
