#include "tests/support/notify_socket.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool
notify_socket_open(struct notify_socket *n, const char *dir, struct err *err)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};

    *n = (struct notify_socket){.fd = -1};
    snprintf(n->path, sizeof n->path, "%s/notify", dir);
    snprintf(where.sun_path, sizeof where.sun_path, "%.107s", n->path);
    unlink(n->path);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd < 0 || bind(n->fd, (const struct sockaddr *)&where, sizeof where) < 0)
        return err_set(err, ERR_CONFIG, "cannot listen on %s", n->path);
    return true;
}

void
notify_socket_close(struct notify_socket *n)
{
    if (n->fd >= 0)
        close(n->fd);
    unlink(n->path);
    buf_fini(&n->heard);
    n->fd = -1;
}

const char *
notify_socket_heard(struct notify_socket *n, const char *begin, int nth)
{
    char message[4096];
    ssize_t len;

    while ((len = recv(n->fd, message, sizeof message, 0)) > 0) {
        buf_add(&n->heard, message, (size_t)len);
        buf_char(&n->heard, '\n');
    }
    for (const char *line = buf_cstr(&n->heard); *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, begin, strlen(begin)) == 0 && --nth == 0)
            return line;
    return NULL;
}
