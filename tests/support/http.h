/*
 * http.h - a small HTTP client for tests.
 *
 * Purpose    one request, one answer: status, headers, body, the body as JSON when it is JSON.
 *            Plain sockets, one connection per request: nothing between a test and the bytes.
 * Ownership  struct http is the caller's and holds no resources; an answer is the caller's
 *            (http_reply_fini); JSON bodies passed in are borrowed.
 * Errors     false + *err only when there was no answer (refused, time-out); a 4xx is an answer.
 * Threads    one owner at a time.
 */
#ifndef MACP_TESTS_SUPPORT_HTTP_H
#define MACP_TESTS_SUPPORT_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"

struct http {
    int port;       /* on the loopback address */
    char key[128];  /* sent as a bearer; "": no Authorization header */
    int timeout_ms; /* for the whole exchange */
};

struct http_reply {
    int status;
    struct buf headers; /* as received, one per line */
    struct buf body;
    json_t *json;       /* NULL when the body is no JSON */
    int64_t elapsed_us; /* from connecting to the last byte */
};

struct http_request {
    const char *method;       /* NULL: GET, or POST when there is a body */
    const char *path;         /* with the query */
    const char *content_type; /* NULL: application/json when there is a body */
    const void *body;         /* NULL: none */
    size_t body_len;
    const char *header; /* one more header line, NULL: none */
    bool without_key;
};

void http_init(struct http *h, int port, const char *key, int timeout_ms);

/* The reply is reset first; it must be zeroed or used before. */
bool http_send(struct http *h, const struct http_request *request, struct http_reply *out,
               struct err *err) MUST_CHECK;
bool http_get(struct http *h, struct http_reply *out, struct err *err, const char *path_fmt, ...)
    PRINTF_FMT(4, 5) MUST_CHECK;
/* body NULL: no body at all. */
bool http_post(struct http *h, const char *path, const json_t *body, struct http_reply *out,
               struct err *err) MUST_CHECK;

void http_reply_fini(struct http_reply *r);
#define AUTO_HTTP_REPLY CLEANUP(http_reply_fini) struct http_reply
/* Value of the last header of that name into out, "" when there is none. Returns out. */
const char *http_header(const struct http_reply *r, const char *name, char *out, size_t size);

#endif
