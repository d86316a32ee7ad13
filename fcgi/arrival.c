#include "fcgi/arrival.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fcgi/record.h"

enum {
    ARRIVAL_FIRST_MS = 10, /* between connecting and writing */
    ARRIVAL_PEEK = 16 << 10,
};

struct arrival *
arrival_new(int fd)
{
    struct arrival *a = xcalloc(1, sizeof *a);

    a->fd = fd;
    return a;
}

void
arrival_free(struct arrival *a)
{
    buf_fini(&a->bytes);
    free(a);
}

/* Only so much of a body is kept as proves that it is too large. */
static void
drop_record(struct arrival *a, size_t size)
{
    char *record = a->bytes.p + a->at;

    memmove(record, record + size, a->bytes.len - a->at - size);
    a->bytes.len -= size;
}

static enum arrival_state
take_params(struct arrival *a, size_t n, size_t size)
{
    a->has_params = n == 0;
    a->params_len += n;
    a->at += size;
    return a->params_len > ARRIVAL_PARAMS_MAX ? ARRIVAL_BROKEN : ARRIVAL_MORE;
}

static enum arrival_state
take_body(struct arrival *a, size_t n, size_t size)
{
    if (!a->has_params)
        return ARRIVAL_BROKEN;
    if (n > 0 && a->body_len > REQUEST_BODY_MAX)
        drop_record(a, size);
    else
        a->at += size;
    a->body_len += n;
    if (a->body_len > ARRIVAL_DRAIN_MAX)
        return ARRIVAL_BROKEN;
    return n == 0 ? ARRIVAL_WHOLE : ARRIVAL_MORE;
}

static enum arrival_state
take_record(struct arrival *a, const unsigned char *head, size_t n, size_t size)
{
    int id = head[2] << 8 | head[3];

    if (head[1] == RECORD_BEGIN_REQUEST && !a->id)
        a->id = id;
    if (id == a->id && head[1] == RECORD_PARAMS)
        return take_params(a, n, size);
    if (id == a->id && head[1] == RECORD_STDIN)
        return take_body(a, n, size);
    if (id == a->id && head[1] == RECORD_ABORT_REQUEST)
        return ARRIVAL_BROKEN;
    a->at += size; /* the parser's business */
    return ARRIVAL_MORE;
}

enum arrival_state
arrival_look(struct arrival *a)
{
    enum arrival_state state = ARRIVAL_MORE;

    while (state == ARRIVAL_MORE && a->bytes.len - a->at >= RECORD_HEAD) {
        const unsigned char *head = (const unsigned char *)a->bytes.p + a->at;
        size_t n = (size_t)head[4] << 8 | head[5], size = RECORD_HEAD + n + head[6];

        if (head[0] != RECORD_VERSION)
            return ARRIVAL_BROKEN;
        if (a->bytes.len - a->at < size)
            break;
        state = take_record(a, head, n, size);
    }
    return state;
}

bool
arrival_cut(struct arrival *a)
{
    unsigned char end[RECORD_HEAD];

    if (!a->has_params)
        return false;
    a->bytes.len = a->at;
    record_head(end, RECORD_STDIN, a->id, 0, 0);
    buf_add(&a->bytes, end, sizeof end);
    return true;
}

bool
arrival_is_there(int fd)
{
    char bytes[ARRIVAL_PEEK];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    struct arrival a;

    if (n < 0 && poll(&p, 1, ARRIVAL_FIRST_MS) > 0)
        n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    a = (struct arrival){.bytes = {.p = bytes, .len = n > 0 ? (size_t)n : 0}};
    return arrival_look(&a) == ARRIVAL_WHOLE;
}
