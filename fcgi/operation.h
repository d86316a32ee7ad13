/*
 * operation.h - what the documentation says about each route beyond the table of routes.
 *
 * Purpose    two tables: what an operation answers, and samples of requests with the answers that
 *            they get. Tests demand a row for every route and replay every sample.
 * Ownership  constant data. Errors: none. Threads: any.
 */
#ifndef MACP_FCGI_OPERATION_H
#define MACP_FCGI_OPERATION_H

#include <stddef.h>

#include "fcgi/request.h"
#include "shared/err.h"

struct model;
struct route;

enum answer_kind {
    ANSWER_NOTHING,
    ANSWER_OBJECT,
    ANSWER_LIST,   /* an array of objects */
    ANSWER_EITHER, /* an array of objects, or a page of them */
    ANSWER_EXPORT, /* an object, or lines when asked for */
    ANSWER_LINES,  /* one JSON document a line */
    ANSWER_TEXT,
    ANSWER_STREAM, /* server-sent events */
};

enum { OPERATION_OTHERS_MAX = 6 };

struct operation {
    enum http_method method;
    const char *path; /* as in the table of routes */
    const char *tag;
    int status; /* of success; 0: there is none */
    enum answer_kind answer;
    const struct model *model; /* of the answer */
    const struct model *page;  /* of the other answer, when there are two */
    /* Other answers, beyond those that follow from the route (400, 401, 403, 408, 413, 415, 429,
     * 503). Below 400 they look like the success. */
    int others[OPERATION_OTHERS_MAX];
};

/* Order does not matter. NULL for a route without a row. */
const struct operation *operation_of(const struct route *route);
extern const struct operation operations[];
extern const size_t operations_n;

struct sample {
    enum http_method method;
    const char *path; /* as in the table of routes */
    const char *name; /* unique in its operation */
    const char *target;
    const char *body; /* JSON; NULL: none */
    int status;
    /* Of a refusal: how it is made, and its message: a text, a list in JSON, or the whole body. */
    enum err_code code;
    const char *message;
};

extern const struct sample samples[];
extern const size_t samples_n;

#endif
