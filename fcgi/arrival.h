/*
 * arrival.h - one request of a web server, as far as it has come.
 *
 * Purpose    says whether the records of a request are all there, so that nobody has to wait for
 *            them while parsing. It looks at the heads of records only; libfcgi parses.
 * Ownership  arrival_new returns heap memory that owns its bytes; the descriptor it only notes.
 * Errors     ARRIVAL_BROKEN: no request, or more than anybody may send.
 * Threads    one at a time.
 */
#ifndef MACP_FCGI_ARRIVAL_H
#define MACP_FCGI_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/request.h"
#include "shared/buf.h"
#include "shared/macros.h"

enum {
    ARRIVAL_PARAMS_MAX = 256 << 10,
    ARRIVAL_DRAIN_MAX = 64 << 20, /* of a body that is too large */
};

enum arrival_state {
    ARRIVAL_MORE,
    ARRIVAL_WHOLE,
    ARRIVAL_BROKEN,
};

struct arrival {
    struct arrival *prev, *next; /* of the list it is in */
    int64_t until_ms;            /* it is waited for */
    int fd;
    struct buf bytes;                   /* as sent, without most of a body that is too large */
    size_t at;                          /* where the first record begins that is not whole */
    int id;                             /* of the request; 0: it has not begun */
    size_t params_len, body_len;        /* as sent */
    bool has_params;                    /* all of them */
    enum request_body_state body_state; /* LATE or REFUSED: the body was not waited for */
};

/*
 * The whole request can be read from the socket without waiting, as it is with web servers that
 * collect requests. Nothing is taken from it.
 */
bool arrival_is_there(int fd) MUST_CHECK;

struct arrival *arrival_new(int fd) MUST_CHECK;
/* The descriptor stays open. */
void arrival_free(struct arrival *a);
/* Look at what was added to the bytes. Called again after ARRIVAL_MORE only. */
enum arrival_state arrival_look(struct arrival *a) MUST_CHECK;
/* End the body with what there is; false when not even the parameters are there. */
bool arrival_cut(struct arrival *a) MUST_CHECK;

#endif
