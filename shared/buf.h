/*
 * buf.h - one growable text buffer that knows the escapes of its outputs.
 *
 * Purpose    JSON, event-stream frames, metrics pages and log lines are all built in it.
 * Ownership  struct buf is the caller's; a zeroed one is empty and valid; buf_fini frees.
 * Errors     none: exhausted memory is BUG().
 * Threads    one owner at a time.
 *
 * Invariant: p is NULL or ends with a NUL at p[len], which is not counted.
 */
#ifndef MACP_SHARED_BUF_H
#define MACP_SHARED_BUF_H

#include <stdint.h>
#include <string.h>

#include "shared/macros.h"

struct buf {
    char *p;
    size_t len;
    size_t cap;
};

#define AUTO_BUF CLEANUP(buf_fini) struct buf

void buf_fini(struct buf *b);
/* Forget the content, keep the capacity. */
void buf_reset(struct buf *b);
/* Make room for n more bytes and return where they go; the caller adds to len. */
char *buf_reserve(struct buf *b, size_t n);
/* The text, "" when nothing was added. Valid until the next change. */
const char *buf_cstr(const struct buf *b);
/* Hand the heap text over to the caller (free()), leaving the buffer empty. Never NULL. */
char *buf_steal(struct buf *b) MUST_CHECK;

void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
/* Give back the memory behind the text. */
void buf_shrink(struct buf *b);
void buf_int(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_FMT(2, 3);
#define buf_lit(b, s) buf_add((b), "" s, sizeof(s) - 1)

/* A JSON string with its quotes; the bytes must be valid UTF-8. NULL writes null. */
void buf_json(struct buf *b, const char *s);
void buf_json_n(struct buf *b, const char *s, size_t n);
/* The value of a Prometheus label, without quotes. */
void buf_prom(struct buf *b, const char *s);
/* Standard base64 with padding. */
void buf_base64(struct buf *b, const void *p, size_t n);

#endif
