/*
 * conn.h - one FastCGI connection: request in, reply out.
 *
 * Purpose    libfcgi parses what arrives on a connection that we accepted ourselves; the reply is
 *            written by us in one system call. libfcgi never accepts, sleeps or closes.
 * Ownership  conn_open takes the descriptor in every case; conn_close closes it.
 * Errors     false: the peer is broken, slow or gone; nothing is left to do.
 * Threads    one thread per connection.
 *
 * It relies on two members of FCGX_Request that the library's header calls private. The library
 * is frozen; a test guards them.
 */
#ifndef MACP_FCGI_CONN_H
#define MACP_FCGI_CONN_H

#include <fcgiapp.h>
#include <stdbool.h>

#include "fcgi/request.h"
#include "shared/buf.h"
#include "shared/macros.h"

enum {
    CONN_IO_TIMEOUT_MS = 2000,    /* one read or write */
    CONN_BODY_TIMEOUT_MS = 10000, /* a whole body */
    CONN_DRAIN_MAX = 64 << 20,    /* of a body that is too large */
};

struct conn {
    FCGX_Request fcgx;
};

void conn_init(struct conn *c);
/* Parse the environment: c->fcgx.envp. */
bool conn_open(struct conn *c, int fd) MUST_CHECK;
/* Read the whole body into storage; anything beyond the limit is thrown away. */
bool conn_read_body(struct conn *c, struct buf *storage, enum request_body_state *state) MUST_CHECK;
/* The peer has gone away while the request waited. */
bool conn_is_gone(const struct conn *c);
/* Send head and body as FastCGI records, and the end of the request. */
bool conn_reply(struct conn *c, const struct buf *head, const char *body, size_t body_len);
/* Send the head of a reply without an end, and whatever stands behind it. */
bool conn_begin(struct conn *c, const struct buf *text) MUST_CHECK;
/* Give the descriptor away; the connection is as closed. */
int conn_detach(struct conn *c) MUST_CHECK;
/* A reply in pieces: any number of parts, the first one with the head (else NULL), then the end. */
bool conn_part(struct conn *c, const struct buf *head, const char *body,
               size_t body_len) MUST_CHECK;
bool conn_finish(struct conn *c);
void conn_close(struct conn *c);

#endif
