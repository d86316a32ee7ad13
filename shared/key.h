/*
 * key.h - ids that other people chose, as parts of index entries.
 *
 * Purpose    an index entry has room for so much. A longer id is replaced by its hash, the same
 *            way in every table, so that equal ids stay equal.
 * Ownership  results are the given text or the caller's buffer.
 * Errors     none. Threads: any.
 */
#ifndef MACP_SHARED_KEY_H
#define MACP_SHARED_KEY_H

#include <stddef.h>

enum {
    KEY_TEXT_MAX = 512,                  /* bytes; a longer text is no key */
    KEY_HASH_LEN = sizeof "sha256:" + 64 /* with the NUL */
};

/* "sha256:" and hex digits; returns out. */
const char *key_hash(const void *p, size_t n, char out[KEY_HASH_LEN]);
/* The text itself (not NUL-ended by us), or out with its hash when it is too long. */
const char *key_text(const char *s, size_t n, char out[KEY_HASH_LEN], size_t *out_n);

#endif
