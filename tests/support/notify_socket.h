/*
 * notify_socket.h - a supervisor that only listens.
 *
 * Purpose    the datagram socket that NOTIFY_SOCKET names: what a program tells systemd.
 * Ownership  struct notify_socket is the caller's (notify_socket_close).
 * Errors     false + *err. Threads: one.
 */
#ifndef MACP_TESTS_SUPPORT_NOTIFY_SOCKET_H
#define MACP_TESTS_SUPPORT_NOTIFY_SOCKET_H

#include <stdbool.h>

#include "shared/buf.h"
#include "shared/err.h"

struct notify_socket {
    int fd;
    char path[108];
    struct buf heard; /* every line that came, in order */
};

bool notify_socket_open(struct notify_socket *n, const char *dir, struct err *err) MUST_CHECK;
void notify_socket_close(struct notify_socket *n);
/* Take what has come; then the n-th line (from 1) that begins with the text, NULL: not yet. */
const char *notify_socket_heard(struct notify_socket *n, const char *begin, int nth);

#endif
