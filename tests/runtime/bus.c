#include "tests/runtime/bus.h"

#include <stdlib.h>

#include "shared/macros.h"

void
listener_list_init(struct listener *head)
{
    head->next = head->prev = head;
}

void
listener_join(struct listener *head, struct listener *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

void
listener_leave(struct listener *l)
{
    if (!l->next)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->next = l->prev = NULL;
}

void
listener_wake_all(struct listener *head)
{
    struct listener *next;

    for (struct listener *l = head->next; l != head; l = next) {
        next = l->next; /* waking may make it leave */
        l->wake(l);
    }
}

void
bus_init(struct bus *b)
{
    *b = (struct bus){.ring = xcalloc(BUS_CAP, sizeof(struct bus_event))};
    for (size_t i = 0; i < BUS_CAP; i++)
        b->ring[i].message = grpc_empty_slice();
    listener_list_init(&b->listeners);
}

static void
event_fini(struct bus_event *e)
{
    free(e->session_id);
    grpc_slice_unref(e->message);
}

void
bus_fini(struct bus *b)
{
    for (size_t i = 0; i < BUS_CAP; i++)
        event_fini(&b->ring[i]);
    free(b->ring);
    *b = (struct bus){0};
}

void
bus_publish(struct bus *b, struct bus_event event)
{
    struct bus_event *e = &b->ring[b->count % BUS_CAP];

    event_fini(e);
    *e = event;
    b->count++;
    listener_wake_all(&b->listeners);
}

const struct bus_event *
bus_at(const struct bus *b, uint64_t n)
{
    if (n >= b->count || b->count - n > BUS_CAP)
        BUG("bus event %llu of %llu", (unsigned long long)n, (unsigned long long)b->count);
    return &b->ring[n % BUS_CAP];
}
