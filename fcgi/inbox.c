#include "fcgi/inbox.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/macros.h"

void
inbox_init(struct inbox *b)
{
    *b = (struct inbox){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (b->fd < 0)
        BUG("no eventfd: %s", strerror(errno));
    b->tail = &b->head;
    pthread_mutex_init(&b->lock, NULL);
}

void
inbox_fini(struct inbox *b)
{
    if (b->head)
        BUG("letters nobody read");
    pthread_mutex_destroy(&b->lock);
    close(b->fd);
}

void
inbox_post(struct inbox *b, struct letter *l, size_t bytes)
{
    const uint64_t one = 1;
    bool first;

    l->next = NULL;
    l->bytes = bytes;
    atomic_fetch_add(&b->bytes, bytes);
    pthread_mutex_lock(&b->lock);
    first = !b->head;
    *b->tail = l;
    b->tail = &l->next;
    pthread_mutex_unlock(&b->lock);
    /* The counter cannot overflow: it is written once per emptying. */
    if (first && write(b->fd, &one, sizeof one) != sizeof one)
        BUG("cannot wake a thread: %s", strerror(errno));
}

struct letter *
inbox_take(struct inbox *b)
{
    struct letter *all;
    uint64_t count;
    ssize_t ignored = read(b->fd, &count, sizeof count);

    (void)ignored; /* nothing to read is fine */
    pthread_mutex_lock(&b->lock);
    all = b->head;
    b->head = NULL;
    b->tail = &b->head;
    pthread_mutex_unlock(&b->lock);
    return all;
}

void
inbox_done(struct inbox *b, const struct letter *l)
{
    atomic_fetch_sub(&b->bytes, l->bytes);
}

size_t
inbox_bytes(struct inbox *b)
{
    return atomic_load(&b->bytes);
}
