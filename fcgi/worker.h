/*
 * worker.h - the threads that answer requests.
 *
 * Purpose    N threads wait on the listening socket, take one connection at a time, and answer it.
 * Ownership  workers_start returns heap memory that workers_stop joins and frees. The socket is the
 *            caller's.
 * Errors     none: a broken peer costs its own request, and at most the time limits of conn.h.
 * Threads    start and stop from the main thread. Each worker has its own database connection.
 */
#ifndef MACP_FCGI_WORKER_H
#define MACP_FCGI_WORKER_H

#include "shared/macros.h"

struct app;
struct workers;

struct workers *workers_start(struct app *app, int listen_fd, int n) MUST_CHECK;
/* Requests in hand are finished; connections that nobody took stay for the successor. */
void workers_stop(struct workers *w);

#endif
