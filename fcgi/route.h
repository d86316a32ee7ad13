/*
 * route.h - which handler answers a request.
 *
 * Purpose    the table of all operations (method, path, access, query fields, body fields,
 *            handler, summary), and matching against it.
 * Ownership  the table is constant; decoded parameters live in the request's arena.
 * Errors     a parameter that cannot be decoded is a validation error; no match is a result.
 * Threads    any.
 *
 * Matching ignores case and one trailing slash; static segments win over parameters, the leftmost
 * first, whatever the order of the table. HEAD is answered by the GET route.
 */
#ifndef MACP_FCGI_ROUTE_H
#define MACP_FCGI_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "fcgi/request.h"
#include "shared/err.h"

struct body_schema;
struct query_field;

/* True: the reply is complete. False: *err is to be sent. */
typedef bool route_fn(struct request *rq, struct err *err);

/* Which API key may ask, when any are configured. */
enum route_access {
    ROUTE_PUBLIC, /* nobody needs one, and there is no rate limit: probes */
    ROUTE_READ,
    ROUTE_OPERATE,
    ROUTE_ADMIN,
};

enum route_flags {
    ROUTE_RUN_ID = 1, /* the first parameter must be a UUID */
    ROUTE_SLOW = 2,   /* its statements may scan and get more time */
    ROUTE_ABOUT = 4,  /* tells of the others and is no operation itself */
};

struct route {
    enum http_method method;
    const char *path;
    enum route_access access;
    unsigned flags;
    const struct query_field *query; /* ends with a nameless field; NULL: none are read */
    const struct body_schema *body;  /* NULL: the body is not looked at */
    route_fn *handler;
    const char *summary;
};

extern const struct route routes[];
extern const size_t routes_n;

enum route_match {
    ROUTE_FOUND,
    ROUTE_NONE,
    ROUTE_BAD_PARAM, /* *err is set */
};

/* Sets rq->route and rq->params. */
enum route_match route_find(struct request *rq, struct err *err);

#endif
