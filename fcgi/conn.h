/*
 * conn.h - one FastCGI connection: request in, reply out.
 *
 * Purpose    libfcgi parses what arrives on a connection that we accepted ourselves; the reply is
 *            written by us in one system call. libfcgi never accepts, sleeps or closes.
 * Ownership  conn_open takes the descriptor in every case; conn_close closes it.
 * Errors     false: the peer is broken, slow or gone; nothing is left to do. A reader holds up the
 *            reply for CONN_WRITE_MS at a time, which is a pace, because sockets wait until most
 *            of their buffer is free; without a place in the share, for CONN_PATIENCE_MS.
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
#include "fcgi/share.h"
#include "shared/buf.h"
#include "shared/macros.h"

enum {
    CONN_READ_MS = 2000,    /* should the parser want more than there is */
    CONN_PATIENCE_MS = 100, /* a reader who takes longer is slow */
    CONN_WRITE_MS = 5000,   /* to take most of what the socket holds */
};

struct conn {
    FCGX_Request fcgx;
    int fd;
    struct share *waiting; /* the places of those who wait for slow readers */
    bool has_place;
};

void conn_init(struct conn *c, struct share *waiting);
/*
 * Parse the environment: c->fcgx.envp. The whole request is there: in the socket, or, when it was
 * read already, in collected, which may be freed afterwards.
 */
bool conn_open(struct conn *c, int fd, const struct buf *collected) MUST_CHECK;
/* Copy the whole body into storage; one beyond the limit is not kept. */
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
