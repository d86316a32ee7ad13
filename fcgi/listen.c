#include "fcgi/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool
listen_is_inherited(void)
{
    int listening = 0;
    socklen_t n = sizeof listening;

    return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && listening;
}

static bool
inherited(int *fd, struct err *err)
{
    if (!listen_is_inherited())
        return err_set(err, ERR_CONFIG,
                       "descriptor 0 is no listening socket: set FCGI_LISTEN, or let a web server "
                       "or systemd start this program");
    *fd = STDIN_FILENO;
    return true;
}

static bool
open_path(const char *path, int *out, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    int fd, probe;

    if (strlen(path) >= sizeof a.sun_path)
        return err_set(err, ERR_CONFIG, "FCGI_LISTEN: the path is too long");
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "no socket: %s", strerror(errno));

    /* A path that a dead process left is taken over; one that somebody serves is not. */
    probe = stat(path, &st) == 0 && S_ISSOCK(st.st_mode)
                ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
                : -1;
    if (probe >= 0) {
        if (connect(probe, (struct sockaddr *)&a, sizeof a) < 0 && errno == ECONNREFUSED)
            unlink(path);
        close(probe);
    }
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || chmod(path, 0660) < 0 ||
        listen(fd, LISTEN_BACKLOG) < 0) {
        err_set(err, ERR_CONFIG, "cannot listen on %s: %s", path, strerror(errno));
        close(fd);
        return false;
    }
    *out = fd;
    return true;
}

static bool
open_tcp(const char *where, int *out, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    const char *colon = strrchr(where, ':');
    struct addrinfo *found = NULL;
    char host[256];
    const int on = 1;
    int fd, rc;
    size_t n = colon ? (size_t)(colon - where) : 0;

    if (!colon || n >= sizeof host)
        return err_set(err, ERR_CONFIG, "FCGI_LISTEN must be an absolute path or host:port");
    if (n > 1 && where[0] == '[' && where[n - 1] == ']') {
        where++;
        n -= 2;
    }
    memcpy(host, where, n);
    host[n] = '\0';
    rc = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_CONFIG, "FCGI_LISTEN: %s", gai_strerror(rc));
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        err_set(err, ERR_CONFIG, "cannot listen on FCGI_LISTEN: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        freeaddrinfo(found);
        return false;
    }
    freeaddrinfo(found);
    *out = fd;
    return true;
}

bool
listen_open(const char *where, int *fd, struct err *err)
{
    bool ok = !*where         ? inherited(fd, err)
              : *where == '/' ? open_path(where, fd, err)
                              : open_tcp(where, fd, err);

    /* Several threads wake for one connection now and then; the late one must not block. */
    if (ok && fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) | O_NONBLOCK) < 0)
        return err_set(err, ERR_CONFIG, "the listening socket: %s", strerror(errno));
    return ok;
}
