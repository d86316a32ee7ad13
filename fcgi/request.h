/*
 * request.h - one HTTP request, as the handlers see it.
 *
 * Purpose    environment, target, body and what routing and validation made of them; and the way
 *            to the database. It knows nothing of FastCGI, so tests build one from an array.
 * Ownership  struct request is its worker's. Strings are borrowed from the environment or live in
 *            the request's arena; the document is dropped by request_fini.
 * Errors     false + *err, fit to be sent to the client.
 * Threads    one thread per request.
 */
#ifndef MACP_FCGI_REQUEST_H
#define MACP_FCGI_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/api_key.h"
#include "shared/arena.h"
#include "shared/db.h"
#include "shared/err.h"
#include "shared/macros.h"

struct app;
struct query_value;
struct reply;
struct route;
struct stream_plan;

enum {
    REQUEST_BODY_MAX = 1 << 20,   /* JSON */
    REQUEST_FORM_MAX = 100 << 10, /* application/x-www-form-urlencoded */
    REQUEST_PARAMS_MAX = 3,       /* parameters in a path template */
    /* Connecting, or one statement: without Postgres every request is answered within 2 s. Few
     * distinct values, because changing the limit of a connection is a statement of its own. */
    REQUEST_DB_FAST_MS = 1500,
    REQUEST_DB_SLOW_MS = 10000, /* statements of routes that may scan */
};

#define REQUEST_ACTOR_TYPE API_KEY_ACTOR_TYPE

enum http_method {
    HTTP_OTHER,
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
};

enum request_body_state {
    REQUEST_BODY_OK,
    REQUEST_BODY_TOO_LARGE, /* the bytes were thrown away */
    REQUEST_BODY_CUT,       /* shorter or longer than announced */
    REQUEST_BODY_LATE,      /* it did not come in time; nothing is known of it */
    REQUEST_BODY_REFUSED,   /* too many are still to come */
};

struct request {
    struct app *app;
    struct arena *arena;
    struct db *db;      /* the primary */
    struct db *read_db; /* for what may be a moment old; the same as db without a replica */
    struct reply *reply;
    char *const *env; /* NAME=value */
    const char *method_name;
    enum http_method method;
    const char *target; /* as sent, with the query */
    const char *path;   /* of the target, not decoded */
    const char *query;  /* behind the question mark, "" when there is none */
    const char *body;
    size_t body_len;
    enum request_body_state body_state;
    int64_t started_ms; /* monotonic */

    const char *request_id;
    const char *address; /* of the client */
    const char *actor;   /* who asks: the name of a key, or of nobody */
    const struct route *route;
    const char *params[REQUEST_PARAMS_MAX]; /* decoded, in the order of the template */
    const struct query_value *values;       /* by position in the route's query table */
    json_t *document;                       /* validated body: an object, or NULL */
    bool can_stream;                        /* the connection may be given away */
    /* Set by a handler that began a stream (reply_stream): the hub writes on. In the arena. */
    const struct stream_plan *stream;
};

/* From a CGI environment. The body is set by the caller. */
void request_init(struct request *rq, struct app *app, struct arena *arena, char *const *env);
void request_fini(struct request *rq);

/* NULL when absent. */
const char *request_env(const struct request *rq, const char *name);

/*
 * Parse the body by its content type into rq->document. No body, and a body of a type that is
 * not parsed, give an empty object.
 */
bool request_parse_body(struct request *rq, struct err *err) MUST_CHECK;

/*
 * Percent-decode into the arena; with plus, '+' is a blank. NULL when an escape is broken, the
 * result is no UTF-8 or holds a NUL.
 */
char *request_decode(struct arena *arena, const char *p, size_t n, bool plus) MUST_CHECK;

/*
 * Run one statement within the time a request may take. A statement that failed at once because
 * the connection had died is sent again, once, and may have been stored already: what writes
 * carries an id that makes the second time the same as the first.
 */
bool request_query(struct request *rq, struct db *db, enum sql_id id, const struct db_args *args,
                   struct db_result **out, struct err *err) MUST_CHECK;

/* Four arguments of what is audited: actor, type of actor, request id, a new id for the audit row.
 */
void request_add_actor(struct request *rq, struct db_args *args);

#endif
