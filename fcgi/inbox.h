/*
 * inbox.h - what other threads want one thread to do.
 *
 * Purpose    a first-in-first-out list with a descriptor that can be polled, and a count of the
 *            bytes that wait, so that producers can be held back.
 * Ownership  posting gives the letter away; taking gives the whole list to the reader.
 * Errors     none.
 * Threads    inbox_post and inbox_bytes from any thread; inbox_take by its one reader.
 */
#ifndef MACP_FCGI_INBOX_H
#define MACP_FCGI_INBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First member of whatever is posted. */
struct letter {
    struct letter *next;
    size_t bytes;
};

struct inbox {
    pthread_mutex_t lock;
    struct letter *head, **tail;
    atomic_size_t bytes; /* posted, and not yet said to be done with */
    int fd;              /* readable when something waits */
};

void inbox_init(struct inbox *b);
/* Nothing may be in it. */
void inbox_fini(struct inbox *b);
void inbox_post(struct inbox *b, struct letter *l, size_t bytes);
/* All letters in order, or NULL. */
struct letter *inbox_take(struct inbox *b);
/* The reader is done with a letter. */
void inbox_done(struct inbox *b, const struct letter *l);
size_t inbox_bytes(struct inbox *b);

#endif
