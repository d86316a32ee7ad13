#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/buf.h"
#include "tests/support/process.h"

enum { LINKS = 256, BACKLOG = 128, CHUNK = 16384, HEAD_LEN = 5, PEEK = 96 };

/* One direction of a connection. */
struct lane {
    struct buf held; /* read, not written yet */
    size_t written;
    bool over; /* the sender has ended it, and the receiver was told */
    bool ended;
    /* Postgres' messages: a letter (not the first one of a client), a length, a body. */
    unsigned char head[HEAD_LEN];
    size_t n_head, left; /* of the head read, of the body to come */
    char peek[PEEK];     /* the beginning of the body */
    size_t n_peek;
    bool begun, lose;
};

struct link {
    int fds[2]; /* the client's, the server's; -1: not in use */
    struct lane lanes[2];
    bool gone;   /* vanished: kept so that nobody hears of it */
    bool chosen; /* it is about to execute the statement */
    bool struck; /* vanishes when all is written */
};

struct relay {
    enum relay_kind kind;
    int port, listener, bell;
    pthread_t thread;
    pthread_mutex_t mu; /* all below */
    int target;
    bool hold, mute, has_struck, stopping;
    char statement[64]; /* "": none */
    size_t muted;
    struct link links[LINKS];
};

enum { CLIENT, SERVER };

/* --- sockets -----------------------------------------------------------------------------------
 */

/* What the kernel receives for the socket is dropped before anything answers. */
static bool
deafen(int fd, bool deaf)
{
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {1, &drop};

    if (!deaf)
        return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)) == 0 ||
               errno == ENOENT;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static struct sockaddr_in
loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static int
reach(int port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void
close_link(struct link *l)
{
    for (int side = 0; side < 2; side++) {
        if (l->fds[side] >= 0)
            close(l->fds[side]);
        buf_fini(&l->lanes[side].held);
    }
    *l = (struct link){.fds = {-1, -1}};
}

static bool
vanish_link(struct link *l)
{
    bool ok = true;

    for (int side = 0; side < 2; side++)
        ok = deafen(l->fds[side], true) && ok;
    l->gone = true;
    return ok;
}

static void
accept_one(struct relay *p)
{
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC), server;
    struct link *l = NULL;

    if (client < 0)
        return;
    server = reach(p->target);
    for (size_t i = 0; i < LINKS && !l; i++)
        if (p->links[i].fds[CLIENT] < 0)
            l = &p->links[i];
    if (server < 0 || !l) {
        close(client);
        if (server >= 0)
            close(server);
        return;
    }
    *l = (struct link){.fds = {client, server}};
    for (int side = 0; side < 2; side++)
        setsockopt(l->fds[side], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* --- Postgres' messages ------------------------------------------------------------------------
 */

static bool
is_binding(const struct lane *in, const char *statement)
{
    size_t portal = strnlen(in->peek, in->n_peek) + 1;

    return in->head[0] == 'B' && portal < in->n_peek && strcmp(in->peek + portal, statement) == 0;
}

/* A message of the sender is whole. True: it is the last one that gets through. */
static bool
message_ends(struct relay *p, struct link *l, int from, struct lane *in)
{
    if (from != CLIENT || !p->statement[0])
        return false;
    if (is_binding(in, p->statement))
        l->chosen = true;
    if (!l->chosen || in->head[0] != 'E')
        return false;
    p->statement[0] = '\0';
    return true;
}

/* Pass bytes on message by message, without those that are to be lost. */
static void
pass(struct relay *p, struct link *l, int from, const char *bytes, size_t n)
{
    struct lane *in = &l->lanes[from];

    for (size_t i = 0; i < n && !l->struck;) {
        size_t part;

        if (in->n_head < HEAD_LEN) {
            uint32_t length;

            if (in->n_head == 0 && from == CLIENT && !in->begun)
                in->head[in->n_head++] = '\0'; /* the first one has no letter */
            else
                in->head[in->n_head++] = (unsigned char)bytes[i++];
            if (in->n_head < HEAD_LEN)
                continue;
            memcpy(&length, in->head + 1, sizeof length);
            in->left = ntohl(length) - sizeof length;
            in->lose = p->mute && from == SERVER && in->head[0] == 'A';
            p->muted += in->lose;
            in->n_peek = 0;
            if (!in->lose)
                buf_add(&in->held, in->head + !in->head[0], HEAD_LEN - !in->head[0]);
        }
        part = n - i < in->left ? n - i : in->left;
        if (!in->lose)
            buf_add(&in->held, bytes + i, part);
        for (size_t k = 0; k < part && in->n_peek < PEEK - 1; k++)
            in->peek[in->n_peek++] = bytes[i + k];
        in->peek[in->n_peek] = '\0';
        i += part;
        in->left -= part;
        if (in->left == 0) {
            in->begun = true;
            in->n_head = 0;
            l->struck = message_ends(p, l, from, in);
        }
    }
}

/* --- passing on --------------------------------------------------------------------------------
 */

/* False: the connection is over. */
static bool
take(struct relay *p, struct link *l, int from)
{
    struct lane *in = &l->lanes[from];
    char bytes[CHUNK];
    ssize_t n = recv(l->fds[from], bytes, sizeof bytes, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        in->ended = true;
    else if (p->kind == RELAY_POSTGRES)
        pass(p, l, from, bytes, (size_t)n);
    else
        buf_add(&in->held, bytes, (size_t)n);
    return true;
}

static bool
give(struct link *l, int from)
{
    struct lane *in = &l->lanes[from];
    int to = l->fds[!from];
    ssize_t n = 0;

    if (in->held.len > in->written) {
        n = send(to, in->held.p + in->written, in->held.len - in->written,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
    }
    in->written += (size_t)n;
    if (in->written < in->held.len)
        return true;
    buf_reset(&in->held);
    in->written = 0;
    if (in->ended && !in->over) {
        shutdown(to, SHUT_WR);
        in->over = true;
    }
    return true;
}

static bool
is_waiting(const struct lane *in)
{
    return in->held.len > in->written || (in->ended && !in->over);
}

static short
wanted(const struct relay *p, const struct link *l, int side)
{
    const struct lane *in = &l->lanes[side], *out = &l->lanes[!side];
    bool read = !in->ended && !is_waiting(in) && !l->struck;

    if (p->hold || l->gone)
        return 0;
    return (short)((read ? POLLIN : 0) | (is_waiting(out) ? POLLOUT : 0));
}

static void
serve(struct relay *p, struct link *l, const struct pollfd *at)
{
    bool ok = true;

    for (int side = 0; side < 2 && ok; side++) {
        /* What was waited for may have changed since. */
        short events = at[side].revents ? at[side].events & wanted(p, l, side) : 0;

        if (!events)
            continue;
        if (events & POLLIN)
            ok = take(p, l, side);
        if (ok)
            ok = give(l, side) && give(l, !side);
    }
    if (l->struck && !is_waiting(&l->lanes[CLIENT])) {
        vanish_link(l);
        p->has_struck = true;
    }
    if (!ok || (l->lanes[CLIENT].over && l->lanes[SERVER].over))
        close_link(l);
}

static void *
relay_main(void *arg)
{
    struct relay *p = arg;
    struct pollfd fds[2 + 2 * LINKS];

    pthread_mutex_lock(&p->mu);
    while (!p->stopping) {
        uint64_t rung;
        size_t n = 0;

        fds[n++] = (struct pollfd){p->bell, POLLIN, 0};
        fds[n++] = (struct pollfd){p->listener, POLLIN, 0};
        for (size_t i = 0; i < LINKS; i++)
            for (int side = 0; side < 2; side++) {
                short events = p->links[i].fds[side] < 0 ? 0 : wanted(p, &p->links[i], side);

                fds[n++] = (struct pollfd){events ? p->links[i].fds[side] : -1, events, 0};
            }
        pthread_mutex_unlock(&p->mu);
        if (poll(fds, n, -1) < 0 && errno != EINTR)
            BUG("poll: %s", strerror(errno));
        pthread_mutex_lock(&p->mu);
        if (fds[0].revents && read(p->bell, &rung, sizeof rung) > 0)
            continue; /* what was waited for may have changed */
        for (size_t i = 0; i < LINKS; i++)
            if (p->links[i].fds[CLIENT] >= 0)
                serve(p, &p->links[i], &fds[2 + 2 * i]);
        if (fds[1].revents)
            accept_one(p);
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

/* --- the public half ---------------------------------------------------------------------------
 */

/* What was said under the lock takes effect. */
static void
ring(struct relay *p)
{
    ssize_t n = write(p->bell, &(uint64_t){1}, sizeof(uint64_t));

    (void)n; /* full means rung already */
    pthread_mutex_unlock(&p->mu);
}

struct relay *
relay_start(enum relay_kind kind, int port, struct err *err)
{
    struct relay *p = xcalloc(1, sizeof *p);
    struct sockaddr_in at;

    p->kind = kind;
    p->target = port;
    p->port = process_free_port();
    at = loopback(p->port);
    for (size_t i = 0; i < LINKS; i++)
        p->links[i].fds[CLIENT] = p->links[i].fds[SERVER] = -1;
    pthread_mutex_init(&p->mu, NULL);
    p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(p->listener, (struct sockaddr *)&at, sizeof at) == 0 &&
        listen(p->listener, BACKLOG) == 0 && pthread_create(&p->thread, NULL, relay_main, p) == 0)
        return p;
    err_set(err, ERR_IO, "relay: %s", strerror(errno));
    close(p->listener);
    close(p->bell);
    pthread_mutex_destroy(&p->mu);
    free(p);
    return NULL;
}

void
relay_stop(struct relay *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mu);
    p->stopping = true;
    ring(p);
    pthread_join(p->thread, NULL);
    for (size_t i = 0; i < LINKS; i++)
        close_link(&p->links[i]);
    close(p->listener);
    close(p->bell);
    pthread_mutex_destroy(&p->mu);
    free(p);
}

void
relay_aim(struct relay *p, int port)
{
    pthread_mutex_lock(&p->mu);
    p->target = port;
    ring(p);
}

int
relay_port(const struct relay *p)
{
    return p->port;
}

void
relay_hold(struct relay *p, bool hold)
{
    pthread_mutex_lock(&p->mu);
    p->hold = hold;
    ring(p);
}

size_t
relay_cut(struct relay *p)
{
    size_t n = 0;

    pthread_mutex_lock(&p->mu);
    for (size_t i = 0; i < LINKS; i++) {
        if (p->links[i].fds[CLIENT] < 0 || p->links[i].gone)
            continue;
        close_link(&p->links[i]);
        n++;
    }
    ring(p);
    return n;
}

static bool
refused(struct err *err)
{
    return err_set(err, ERR_IO, "a filter on a socket: %s (root may)", strerror(errno));
}

bool
relay_vanish(struct relay *p, struct err *err)
{
    bool ok = true;

    pthread_mutex_lock(&p->mu);
    for (size_t i = 0; i < LINKS; i++)
        if (p->links[i].fds[CLIENT] >= 0 && !p->links[i].gone)
            ok = vanish_link(&p->links[i]) && ok;
    ok = ok || refused(err);
    ring(p);
    return ok;
}

bool
relay_go_deaf(struct relay *p, bool deaf, struct err *err)
{
    return deafen(p->listener, deaf) || refused(err);
}

void
relay_mute(struct relay *p, bool mute)
{
    pthread_mutex_lock(&p->mu);
    p->mute = mute;
    ring(p);
}

size_t
relay_muted(struct relay *p)
{
    size_t n;

    pthread_mutex_lock(&p->mu);
    n = p->muted;
    pthread_mutex_unlock(&p->mu);
    return n;
}

void
relay_strike(struct relay *p, const char *statement)
{
    pthread_mutex_lock(&p->mu);
    snprintf(p->statement, sizeof p->statement, "%s", statement);
    p->has_struck = false;
    ring(p);
}

bool
relay_has_struck(struct relay *p)
{
    bool struck;

    pthread_mutex_lock(&p->mu);
    struck = p->has_struck;
    pthread_mutex_unlock(&p->mu);
    return struck;
}
