/*
 * vectors.h - golden vectors: JSON files that say what comes out for what goes in.
 *
 * Purpose    load a file, compare values the way clients see them (numbers as doubles, objects
 *            without regard to key order, array order significant), keep the list of vectors
 *            that are known to fail, and count.
 * Ownership  vector_load returns a new reference. struct vectors is the test program's.
 * Errors     a file that cannot be read or parsed ends the test program: nothing was tested.
 * Threads    one.
 *
 * tests/golden/known_failing.txt holds one "name | reason" per line. A listed vector that passes
 * fails the run, and so does an unlisted one that fails: the list can neither rot nor hide.
 */
#ifndef MACP_TESTS_SUPPORT_VECTORS_H
#define MACP_TESTS_SUPPORT_VECTORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/buf.h"

#define VECTORS_DIR           "tests/golden/vectors/"
#define VECTORS_KNOWN_FAILING "tests/golden/known_failing.txt"

struct vectors {
    json_t *known_failing; /* name -> reason */
    size_t total, bad;
};

/* Read and parse a file (path from the top of the tree). */
json_t *vector_load(const char *path) MUST_CHECK;

/*
 * Append one line "path: what instead of what" per difference; returns how many. NULL stands for
 * an absent value, which equals null.
 */
size_t vector_diff(const json_t *actual, const json_t *expected, const char *path,
                   struct buf *lines);

/* Appends to differences what is wrong, nothing when all is well. */
typedef void (*vector_check)(const json_t *vector, struct buf *differences);

void vectors_begin(struct vectors *v);
/* Count one vector; an empty text says that it passed. Prints what is wrong. */
void vectors_report(struct vectors *v, const char *name, const struct buf *differences);
/* Check and report every line of a file that holds one vector a line. */
void vectors_check_lines(struct vectors *v, const char *path, vector_check check);
/* Print "N passed, N failed" and free; true when nothing was wrong and something was run. */
bool vectors_end(struct vectors *v) MUST_CHECK;

#endif
