/*
 * tail.h - the thread that reads for the event streams.
 *
 * Purpose    follows the logs of the runs that somebody watches: hears that a run has new events
 *            (LISTEN on one connection), reads them once whatever the number of subscribers
 *            (on a second connection), folds them, and hands frames to the hub. It also reads the
 *            pages of history that single streams ask for.
 * Ownership  struct tail is heap memory (tail_start, tail_stop). Asks are given away by posting;
 *            news belong to whoever takes them out of the hub's inbox.
 * Errors     none for callers: an unreachable database is logged once and tried again, with
 *            everything asked for kept.
 * Threads    tail_ask from any thread; the rest is the thread's own.
 *
 * What makes streams gapless: one thread does all reads and posts in the order in which it read.
 * A page that reached the end of the log therefore contains everything that was posted as news
 * before it, and nothing that is posted as news after it is older.
 *
 * Notifications are hints. Once a second the thread looks at all watched runs by itself.
 */
#ifndef MACP_FCGI_TAIL_H
#define MACP_FCGI_TAIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fcgi/frame.h"
#include "fcgi/inbox.h"
#include "shared/config.h"
#include "shared/uuid.h"

struct outcomes;
struct tail;

/* --- what the hub asks ---------------------------------------------------------------------- */

enum tail_ask_kind {
    TAIL_WATCH,    /* from now on, news of this run */
    TAIL_UNWATCH,  /* no more; answered by NEWS_UNWATCHED, the last news of that owner */
    TAIL_SNAPSHOT, /* of a watched run, as soon as it is loaded */
    TAIL_PAGE,     /* events behind a sequence number; answered by one NEWS_PAGE */
    TAIL_STOP,
};

struct tail_ask {
    struct letter letter;
    enum tail_ask_kind kind;
    void *owner; /* comes back with the news */
    char run_id[UUID_LEN];
    const atomic_int *audience; /* watch: how many subscribers the run has */
    int64_t after, to;          /* page: after < seq <= to */
    int limit;                  /* page: rows */
};

/* --- what the hub is told ------------------------------------------------------------------- */

enum news_kind {
    NEWS_LOADED,    /* the state is known up to seq; events behind it will follow */
    NEWS_GONE,      /* there is no such run (any more) */
    NEWS_EVENTS,    /* frames of new events; seq is the last one's */
    NEWS_SNAPSHOT,  /* one frame; seq is the last event in it */
    NEWS_PAGE,      /* frames of events */
    NEWS_UNWATCHED, /* the owner will not be mentioned again */
};

struct news {
    struct letter letter;
    enum news_kind kind;
    void *owner;
    int64_t seq;
    bool done;    /* page: nothing in its bounds was left when it was read */
    bool for_all; /* snapshot: the state changed; else only for those who asked */
    size_t n;
    struct frame *frames[];
};

/* outcomes: told of commands that have ended, because this is the thread that listens. */
struct tail *tail_start(const struct config *config, struct inbox *news,
                        struct outcomes *outcomes) MUST_CHECK;
void tail_stop(struct tail *t);

/* The ask is copied. */
void tail_ask(struct tail *t, const struct tail_ask *ask);

/* Drops the frames, too. */
void news_free(struct news *n);

#endif
