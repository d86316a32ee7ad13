/*
 * exposition.h - a strict reader of the Prometheus text format.
 *
 * Purpose    tests of metrics pages: is everything as a scraper wants it, and what is the value of
 *            a series. Stricter than scrapers are: what it accepts `promtool check metrics` does.
 * Ownership  pages are borrowed. Errors: false and a sentence. Threads: any.
 */
#ifndef MACP_TESTS_SUPPORT_EXPOSITION_H
#define MACP_TESTS_SUPPORT_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Each family has its HELP and TYPE once, in this order, and its samples right behind them; names,
 * labels and values are well formed; no series occurs twice; counters end in _total; buckets grow,
 * are cumulative and end in +Inf, which is the count.
 */
bool exposition_check(const char *page, char *why, size_t size);
/* The value of a series as it is written, labels included; -1 when the page has none. */
double exposition_value(const char *page, const char *series);

#endif
