#include "observerd/mailbox.h"

#include <stdlib.h>

void
mailbox_init(struct mailbox *m, size_t max, void (*wake)(void *ctx), void *ctx)
{
    *m = (struct mailbox){.max = max, .wake = wake, .ctx = ctx};
    m->tail = &m->head;
    pthread_mutex_init(&m->mu, NULL);
}

bool
mailbox_post(struct mailbox *m, struct mail *mail)
{
    bool was_empty, taken;

    mail->next = NULL;
    pthread_mutex_lock(&m->mu);
    taken = !m->closed && m->n < m->max;
    was_empty = m->n == 0;
    if (taken) {
        *m->tail = mail;
        m->tail = &mail->next;
        m->n++;
    }
    pthread_mutex_unlock(&m->mu);
    if (taken && was_empty)
        m->wake(m->ctx);
    return taken;
}

struct mail *
mailbox_take_all(struct mailbox *m)
{
    struct mail *all;

    pthread_mutex_lock(&m->mu);
    all = m->head;
    m->head = NULL;
    m->tail = &m->head;
    m->n = 0;
    pthread_mutex_unlock(&m->mu);
    return all;
}

void
mailbox_fini(struct mailbox *m)
{
    struct mail *mail;

    pthread_mutex_lock(&m->mu);
    m->closed = true;
    pthread_mutex_unlock(&m->mu);
    for (mail = mailbox_take_all(m); mail;) {
        struct mail *next = mail->next;

        free(mail);
        mail = next;
    }
    pthread_mutex_destroy(&m->mu);
}
