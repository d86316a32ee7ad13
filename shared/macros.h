/*
 * macros.h - attributes and assertions that every file uses.
 *
 * Purpose    let the compiler review first: unused results, printf formats, null arguments.
 * Errors     BUG() is for broken invariants and exhausted memory: it prints file and line and
 *            aborts; the supervisor restarts the process, which loses nothing.
 */
#ifndef MACP_SHARED_MACROS_H
#define MACP_SHARED_MACROS_H

#include <stddef.h>

#define MUST_CHECK           __attribute__((warn_unused_result))
#define PRINTF_FMT(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define NORETURN             __attribute__((noreturn))
#define UNUSED               __attribute__((unused))
#define CLEANUP(fn)          __attribute__((cleanup(fn)))
#define ARRAY_LEN(a)         (sizeof(a) / sizeof((a)[0]))

void bug_at(const char *file, int line, const char *fmt, ...) PRINTF_FMT(3, 4) NORETURN;

#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)

/* Heap helpers that cannot return NULL (BUG when memory is exhausted). */
void *xmalloc(size_t n) MUST_CHECK;
void *xcalloc(size_t n, size_t size) MUST_CHECK;
void *xrealloc(void *p, size_t n) MUST_CHECK;
char *xstrdup(const char *s) MUST_CHECK;
/* Exactly n bytes and a NUL; s must have that many. */
char *xstrndup(const char *s, size_t n) MUST_CHECK;

#endif
