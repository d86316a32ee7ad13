/*
 * folds.h - everything that is folded from events, to be compared with itself later.
 *
 * Purpose    states, metrics and fact rows of all runs as one text: what must be the same when
 *            they are made anew. JSON is compared by value.
 * Ownership  texts are heap memory of the caller.
 * Errors     what does not hold ends the running cmocka test with a sentence.
 * Threads    one.
 */
#ifndef MACP_TESTS_SUPPORT_FOLDS_H
#define MACP_TESTS_SUPPORT_FOLDS_H

#include "tests/support/world.h"

char *folds_now(struct world *w) MUST_CHECK;
void folds_expect_same(struct world *w, const char *before);

#endif
