/*
 * mailbox.h - messages from any thread to the one that owns the mailbox.
 *
 * Purpose    what passes between the control thread, the watch and the shards.
 * Ownership  a posted message belongs to the mailbox until it is taken; then to the taker.
 *            Messages embed struct mail as their first member.
 * Errors     mailbox_post returns false when the mailbox is full or closed: the message stays the
 *            caller's. The bound is the back-pressure.
 * Threads    post from any thread; take from the owner. The wake function runs on the poster's
 *            thread, outside the lock, only when the mailbox was empty before.
 */
#ifndef MACP_OBSERVERD_MAILBOX_H
#define MACP_OBSERVERD_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/macros.h"

struct mail {
    struct mail *next;
    int kind; /* the owner's enum */
};

struct mailbox {
    pthread_mutex_t mu;
    struct mail *head, **tail;
    size_t n, max;
    bool closed;
    void (*wake)(void *ctx);
    void *ctx;
};

void mailbox_init(struct mailbox *m, size_t max, void (*wake)(void *ctx), void *ctx);
/* Refuse what comes, free() what is in it. */
void mailbox_fini(struct mailbox *m);

bool mailbox_post(struct mailbox *m, struct mail *mail) MUST_CHECK;
/* Everything that is in it, oldest first, linked by next; NULL when empty. */
struct mail *mailbox_take_all(struct mailbox *m);

#endif
