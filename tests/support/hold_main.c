/*
 * hold - keeps a listening unix socket open and a program running on it, as systemd does with a
 * socket unit: the program finds the socket as descriptor 0, is started again whenever it ends,
 * and connections that come meanwhile wait.
 *
 *   hold SOCKET PROGRAM [ARGUMENT...]
 *
 * SIGTERM and SIGINT are passed on; it ends with the program's exit status. The socket is open to
 * every account, for web servers that have one of their own: its folder decides who reaches it.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/clock.h"

enum {
    BACKLOG = 4096,
    QUICK_MS = 200, /* who ends sooner is started again only after a pause */
};

static int
listen_at(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || chmod(path, 0666) < 0 ||
        listen(fd, BACKLOG) < 0) {
        fprintf(stderr, "hold: %s: %s\n", path, strerror(errno));
        return -1;
    }
    return fd;
}

static pid_t
start(int fd, char **argv, const sigset_t *before)
{
    pid_t parent = getpid(), pid = fork();

    if (pid != 0)
        return pid;
    sigprocmask(SIG_SETMASK, before, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent || dup2(fd, 0) < 0)
        _exit(125);
    execv(argv[0], argv);
    fprintf(stderr, "hold: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Until it has ended; a signal to stop is passed on. Its status as a shell shows it. */
static int
attend(pid_t pid, const sigset_t *signals, bool *stop)
{
    int status;

    for (;;) {
        int sig;

        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        sigwait(signals, &sig);
        if (sig == SIGCHLD)
            continue;
        *stop = true;
        kill(pid, sig);
    }
}

int
main(int argc, char **argv)
{
    const struct timespec quick = {.tv_nsec = QUICK_MS * 1000000L};
    sigset_t signals, ends, before;
    bool stop = false;
    int status = 0, fd;

    if (argc < 3) {
        fprintf(stderr, "usage: hold SOCKET PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    signals = ends;
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &before);
    fd = listen_at(argv[1]);
    if (fd < 0)
        return 1;
    while (!stop) {
        int64_t began = clock_mono_ms();
        pid_t pid = start(fd, argv + 2, &before);

        if (pid < 0)
            return 1;
        status = attend(pid, &signals, &stop);
        if (!stop && clock_mono_ms() - began < QUICK_MS)
            stop = sigtimedwait(&ends, NULL, &quick) > 0;
    }
    return status;
}
