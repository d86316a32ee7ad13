/*
 * listen.h - the FastCGI listening socket.
 *
 * Purpose    descriptor 0 when a web server, systemd or spawn-fcgi left one there, else a socket
 *            of our own.
 * Ownership  listen_open gives a descriptor. A path stays behind at the end: its successor may have
 *            taken it over already, and takes over a dead one.
 * Errors     ERR_CONFIG with the reason.
 * Threads    main thread only.
 */
#ifndef MACP_FCGI_LISTEN_H
#define MACP_FCGI_LISTEN_H

#include <stdbool.h>

#include "shared/err.h"
#include "shared/macros.h"

enum { LISTEN_BACKLOG = 4096 }; /* more than a web server queues: it copes badly with a full one */

/* Whether descriptor 0 is a listening socket. */
bool listen_is_inherited(void);
/* where: "" for descriptor 0, an absolute path, or host:port. */
bool listen_open(const char *where, int *fd, struct err *err) MUST_CHECK;

#endif
