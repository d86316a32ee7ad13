/*
 * borrow.h - constant text in a message that is only going to be read.
 *
 * Purpose    protobuf-c's structs hold char *, though packing and acceptance never write to them.
 * Ownership  nothing changes hands. Errors: none. Threads: any.
 */
#ifndef MACP_RUNTIME_BORROW_H
#define MACP_RUNTIME_BORROW_H

#include <stdint.h>

static inline char *
borrow(const char *s)
{
    return (char *)(uintptr_t)s;
}

#endif
