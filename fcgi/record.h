/*
 * record.h - FastCGI records as they travel.
 *
 * Purpose    the few lines of the protocol that we write ourselves: record heads, and the end of
 *            a request.
 * Ownership  plain bytes in the caller's storage. Errors: none. Threads: any.
 */
#ifndef MACP_FCGI_RECORD_H
#define MACP_FCGI_RECORD_H

#include <stddef.h>
#include <string.h>

enum {
    RECORD_VERSION = 1,
    RECORD_BEGIN_REQUEST = 1,
    RECORD_ABORT_REQUEST = 2,
    RECORD_END_REQUEST = 3,
    RECORD_PARAMS = 4,
    RECORD_STDIN = 5,
    RECORD_STDOUT = 6,
    RECORD_HEAD = 8,
    RECORD_MAX = 65528, /* a multiple of 8, so that no full record needs padding */
    RECORD_END_LEN = 24,
};

static inline void
record_head(unsigned char out[RECORD_HEAD], int type, int request_id, size_t n, size_t padding)
{
    const unsigned char head[RECORD_HEAD] = {
        RECORD_VERSION,
        (unsigned char)type,
        (unsigned char)(request_id >> 8),
        (unsigned char)request_id,
        (unsigned char)(n >> 8),
        (unsigned char)n,
        (unsigned char)padding,
    };

    memcpy(out, head, sizeof head);
}

/* End of the output and of the request. */
static inline void
record_end(unsigned char out[RECORD_END_LEN], int request_id)
{
    memset(out, 0, RECORD_END_LEN);
    record_head(out, RECORD_STDOUT, request_id, 0, 0);
    record_head(out + RECORD_HEAD, RECORD_END_REQUEST, request_id, 8, 0);
}

#endif
