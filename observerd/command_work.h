/*
 * command_work.h - inside command.h: one command on its way.
 *
 * Purpose    what command.c (the table, leases, results) and command_step.c (asking and being
 *            answered) share.
 * Ownership  commands belong to the thread; their texts are heap. Errors: none come out.
 * Threads    the commands' thread; answers of outbound and of the shards come by mailbox.
 *
 *   cancel   READY --ready--> CALL or CALLBACK --yes--> CONFIRM --seen--> RESULT
 *                                              --no---> LOOK --not so--> RESULT
 *            the session was never seen: --yes--> END --> CONFIRM
 *   suspend, resume   CALL, then the same
 *   policies          CALL --> REFRESH --> RESULT
 *   breaker           RESULT
 *   adopt             END --> RESULT
 *   append            END --> the shard stores the result together with the events
 *                     nobody observes the run: --> RESULT
 *   rebuild           TAIL --> FOLD --> REFOLDED --> the shard stores the result, too
 *                                                --behind--> TAIL
 */
#ifndef MACP_OBSERVERD_COMMAND_WORK_H
#define MACP_OBSERVERD_COMMAND_WORK_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "observerd/command.h"
#include "observerd/command_rule.h"
#include "observerd/mailbox.h"
#include "observerd/runtime.h"
#include "shared/command.h"
#include "shared/db.h"
#include "shared/uuid.h"

struct shard_order;

enum command_phase {
    PHASE_READY,    /* is everything of the session read? what ends it may delete its history */
    PHASE_CALL,     /* the runtime is asked to do it */
    PHASE_CALLBACK, /* the agent is */
    PHASE_LOOK,     /* the runtime is asked what the session is */
    PHASE_END,      /* the shard does it */
    PHASE_CONFIRM,  /* until the run shows it */
    PHASE_REFRESH,  /* policies are read again before the answer */
    PHASE_TAIL,     /* the shard keeps what is recorded from now on */
    PHASE_FOLD,     /* what was recorded before is stored, and folded anew */
    PHASE_REFOLDED, /* the shard takes the fold over */
    PHASE_RESULT,   /* to be written */
    PHASE__COUNT
};

struct command {
    UT_hash_handle hh;
    int64_t id;
    struct commands *commands;
    struct command_facts facts;
    json_t *args;
    enum command_phase phase;
    int64_t due_ms;                 /* when to go on; 0: when somebody answers */
    int64_t limit_ms;               /* of the phase */
    int64_t pause_ms;               /* grows while nothing happens */
    int64_t since_ms;               /* when the phase began */
    int64_t poke_ms, poke_pause_ms; /* the session is looked at again */
    struct rt_call *call;
    bool accepted;        /* whoever was asked has agreed */
    bool accept_unstored; /* ... and the row does not say so yet */
    bool confirm_due;     /* look at the run's row */
    bool given_back;      /* nothing is done any more, and the row shall say so */
    bool passed_on;       /* its row is written by the shard, together with what it did */

    /* the run, when it is about one */
    int64_t run_key;
    char run_id[UUID_LEN];
    char *session_id, *callback_url, *callback_bearer;
    bool delegated;
    bool closed;             /* as of the claim: nobody observes it any more */
    enum run_status status;  /* as of the last look */
    int64_t accepted_for_ms; /* as of the claim */

    /* the refusal that stands when a second look brings nothing better */
    struct rt_status refusal;
    bool refused_by_answer; /* the call succeeded, the answer was no */

    /* rebuild */
    struct refold *refold; /* so far; NULL: not begun, or with the shard */
    int64_t fold_to;       /* the last number before the shard's tail */
    bool fold_due;         /* look whether that is stored, or read the next events */
    bool fold_stored;      /* it is */
    int rounds;            /* how often the shard's tail was too long already */

    const char *state; /* done, failed */
    char *result;      /* heap JSON */
    char *policies;    /* heap JSON: the runtime's list now; NULL: not read */
};

struct commands {
    struct commands_options o;
    pthread_t thread;
    struct rt_queue *queue;
    struct db *db;
    struct mailbox inbox;
    atomic_bool rung, stopping, stopped;

    /* the thread's own */
    struct command *all; /* hash by id, in the order of their claims */
    int64_t claim_at_ms, renew_at_ms, retry_at_ms, backoff_ms;
};

enum commands_mail {
    COMMANDS_ORDER,    /* struct shard_order: what the shard says */
    COMMANDS_CALLBACK, /* struct callback_answer */
};

struct callback_answer {
    struct mail mail;
    struct mailbox *inbox;
    int64_t command_id;
    int status; /* HTTP; 0: none */
};

/* --- command_step.c ------------------------------------------------------------------------- */

/* Begin, or go on where the row says that somebody left off. */
void command_begin(struct command *c);
/* Its time has come. */
void command_due(struct command *c);
/* Mail for it. */
void command_ordered(struct command *c, struct shard_order *order);
void command_called_back(struct command *c, int http_status);
/* What it folds has come as far as that number, of which there is more when so; or failed. */
void command_is_stored(struct command *c, int64_t seq);
void command_folded(struct command *c, bool more);
void command_fold_failed(struct command *c);
/* What the run's row says now. */
void command_looked(struct command *c, enum run_status status);

/* --- command.c ------------------------------------------------------------------------------ */

/* Forget it without a result: whoever can shall take it. */
void command_give_back(struct command *c);

#endif
