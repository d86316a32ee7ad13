/*
 * fastcgi.h - what a web server sends to macp-fcgi, byte for byte.
 *
 * Purpose    tests that play the web server: whole requests, the beginnings of requests, and what
 *            stands in the answer's records.
 * Ownership  texts are appended to the caller's buffers.
 * Errors     false: the bytes are no records of one request that has ended.
 * Threads    any.
 */
#ifndef MACP_TESTS_SUPPORT_FASTCGI_H
#define MACP_TESTS_SUPPORT_FASTCGI_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buf.h"

/* The request's id, 1 as with all web servers. */
enum { FASTCGI_ID = 1 };

struct fastcgi_param {
    const char *name, *value; /* at most 127 bytes each */
};

/* Beginning and parameters (up to an empty name): everything but the body. */
void fastcgi_head(struct buf *out, const struct fastcgi_param *params);
/* A piece of the body in as many records as it needs. */
void fastcgi_body(struct buf *out, const void *p, size_t n);
void fastcgi_body_end(struct buf *out);
/* The output in the records of a whole answer. */
bool fastcgi_output(const struct buf *raw, struct buf *out) MUST_CHECK;

#endif
