/*
 * expect.h - what integration tests say about a world; what does not hold ends the test.
 *
 * Purpose    post runs, play sessions, wait, compare what is stored with what the runtime sent.
 * Ownership  returned JSON values are new references; structs are the caller's.
 * Errors     a failed expectation fails the running cmocka test with a sentence that names both
 * sides. Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_EXPECT_H
#define MACP_TESTS_SUPPORT_EXPECT_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/support/world.h"

struct posted {
    char run[UUID_LEN];
    char session[WORLD_SESSION_LEN];
    char status[32];
    char trace[64];
};

/* Fails the test with the error's message when ok is false. */
void expect_ok(bool ok, const struct err *err, const char *what);

/* POST /runs must answer 201. The session id is a new one when session is NULL. */
void expect_posted(struct world *w, const char *mode, const char *session, struct posted *out);
/* The same with a complete descriptor (stolen). */
void expect_posted_as(struct world *w, json_t *descriptor, struct posted *out);
/* A random session id. */
void expect_new_session(char out[WORLD_SESSION_LEN]);

/* One request; the status must match. The body as JSON, NULL when it has none. */
json_t *expect_get(struct world *w, int status, const char *path_fmt, ...) PRINTF_FMT(3, 4);
json_t *expect_post(struct world *w, int status, const char *path, const json_t *body);

/* The control socket must accept the command. The whole answer. */
json_t *expect_control(struct world *w, json_t *command);
/* Play a script of the runtime to its end; more (stolen, may be NULL) is merged into the command.
 */
void expect_played(struct world *w, const char *script, const char *session, json_t *more);

void expect_status(struct world *w, const char *run_id, const char *wanted);
/* The run row of GET /runs/:id. */
json_t *expect_run(struct world *w, const char *run_id);
/* Poll a query's first value until it is the wanted one. */
void expect_sql_becomes(struct world *w, const char *wanted, const char *fmt, ...) PRINTF_FMT(3, 4);
void expect_sql(struct world *w, const char *wanted, const char *fmt, ...) PRINTF_FMT(3, 4);
long expect_sql_int(struct world *w, const char *fmt, ...) PRINTF_FMT(2, 3);

/*
 * Ordinals 1..n of the runtime's own log are stored, each once, in order, with its message id,
 * type and sender; raw and canonical rows together use every sequence number 1..last once.
 * Returns n.
 */
long expect_stored_once(struct world *w, const char *run_id, const char *session);
/* The state endpoint gives what folding the events endpoint's events gives. */
void expect_state_is_fold(struct world *w, const char *run_id);
/* How many events of the type the run has. */
int expect_event_count(struct world *w, const char *run_id, const char *type);

#endif
