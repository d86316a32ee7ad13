/*
 * price.h - what model calls cost.
 *
 * Purpose    USD per million tokens by exact model name: a list that is built in, and a file that
 *            replaces or adds entries without a new build.
 * Ownership  struct price_list is heap memory (price_list_free) and immutable once loaded.
 * Errors     price_list_load names the file and what is wrong with it.
 * Threads    any may read a list.
 *
 * The file is one JSON object: {"model": {"prompt": 2.5, "completion": 10}, ...}; the name "*"
 * stands for every model that has no entry.
 */
#ifndef MACP_SHARED_PRICE_H
#define MACP_SHARED_PRICE_H

#include <stdbool.h>

#include "shared/err.h"

struct price_list;

/* The built-in list overlaid with the file's entries; path "" is the built-in list alone. */
bool price_list_load(const char *path, struct price_list **out, struct err *err) MUST_CHECK;
void price_list_free(struct price_list *list);

/* USD for one call; list NULL: the built-in one. model NULL: unknown. */
double price_of_call(const struct price_list *list, const char *model, double prompt_tokens,
                     double completion_tokens);

#endif
