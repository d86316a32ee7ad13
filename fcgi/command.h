/*
 * command.h - asking the observers to do something, and answering with what came of it.
 *
 * Purpose    one row of table commands per wish, a bounded wait for its result, and what each
 *            failure is in HTTP.
 * Ownership  outcomes live in the request's arena.
 * Errors     false + *err: the database; a failed command is an outcome.
 * Threads    any, one request at a time.
 *
 * The command lives on when nobody waits for it any more.
 */
#ifndef MACP_FCGI_COMMAND_H
#define MACP_FCGI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/request.h"
#include "shared/command.h"
#include "shared/err.h"
#include "shared/macros.h"

struct command_wish {
    enum command_kind kind;
    int64_t run_key;  /* 0: about no run */
    const char *args; /* JSON object */
};

enum command_state {
    COMMAND_OPEN,
    COMMAND_ACCEPTED, /* whoever was asked agreed; nothing shows it yet */
    COMMAND_DONE,
    COMMAND_UNOBSERVED, /* nobody has the run in memory: whoever asked may do it himself */
    COMMAND_FAILED,
    COMMAND_EXPIRED, /* nobody could do it in time */
};

struct command_outcome {
    int64_t id;
    enum command_state state;
    const char *run_status;        /* of a run that shows it */
    const char *failure, *message; /* of a failed one */
    int grpc_code;
};

/* How long a request of that kind waits. */
int64_t command_wait_ms(const struct request *rq, enum command_kind kind);
/* How long a command of that kind may take: it lives on behind the requests that wait. */
int64_t command_life_ms(const struct request *rq, enum command_kind kind);
/* out->id is the wish's row, or the one that is open for the same. */
bool command_ask(struct request *rq, const struct command_wish *wish, struct command_outcome *out,
                 struct err *err) MUST_CHECK;
/* Until all have ended, or the time is over: together, not each. */
bool command_wait(struct request *rq, struct command_outcome *outcomes, size_t n, int64_t wait_ms,
                  struct err *err) MUST_CHECK;

/*
 * Ask and wait, for a wish about no run: nothing is asked for when too many requests wait already.
 * *done: the reply is still to be made; else it is the failure.
 */
bool command_do(struct request *rq, const struct command_wish *wish, bool *done,
                struct err *err) MUST_CHECK;
/* A failed, expired or open one as an error: false, or true when the reply is made. */
bool command_reply_failure(struct request *rq, const struct command_outcome *c,
                           struct err *err) MUST_CHECK;
/* The same in one sentence, for one of several. */
const char *command_failure_text(struct request *rq, const struct command_outcome *c);

#endif
