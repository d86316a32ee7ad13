/*
 * json.h - the value rules of event data, on top of jansson.
 *
 * Purpose    clients were built on JavaScript: how texts are parsed and cleaned, how values turn
 *            into strings and numbers, how numbers print, which values count as missing.
 * Ownership  functions that return json_t * named jv_parse* give a new reference; jv_get and
 *            jv_first lend. NULL stands for an absent value everywhere.
 * Errors     jv_parse returns NULL for what is no JSON text; nothing else can fail.
 * Threads    any; values are not shared between threads.
 */
#ifndef MACP_SHARED_JSON_H
#define MACP_SHARED_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"

#define AUTO_JSON CLEANUP(json_decrefp) json_t

enum { JV_NUMBER_LEN = 32, JV_MAX_DEPTH = 256 };

/* --- text -------------------------------------------------------------------------------- */

/*
 * Append bytes as clean UTF-8: every maximal invalid subpart becomes one U+FFFD (the WHATWG
 * replacement rule, so also encoded surrogates), and so does U+0000.
 */
void jv_clean(struct buf *out, const char *p, size_t n);
/* True when jv_clean would copy the bytes unchanged. */
bool jv_is_clean(const char *p, size_t n);
/* True for valid UTF-8 (U+0000 allowed). */
bool jv_is_utf8(const char *p, size_t n);
/* Any bytes as a quoted JSON string, cleaned. */
void jv_write_text(struct buf *out, const char *p, size_t n);
/* A new JSON string of any bytes, cleaned. */
json_t *jv_string(const char *p, size_t n) MUST_CHECK;
/* Number of code points of valid UTF-8. */
size_t jv_text_chars(const char *s);

/* --- parsing ----------------------------------------------------------------------------- */

/*
 * Any JSON value: invalid UTF-8 is replaced first, U+0000 and unpaired surrogates become U+FFFD
 * in keys and strings, numbers are doubles, out of range ones null, the last duplicate key wins,
 * no byte order mark. NULL when it is no JSON text or nested deeper than JV_MAX_DEPTH.
 */
json_t *jv_parse(const char *p, size_t n) MUST_CHECK;
/* Standard base64, padding optional. False when it is none. */
bool jv_base64_decode(const char *p, size_t n, struct buf *out) MUST_CHECK;

/* --- writing ----------------------------------------------------------------------------- */

/* Compact text, members in their order, numbers in the shortest form that round-trips. */
void jv_write(struct buf *out, const json_t *v);
/* The same; wherever the known value stands in v, its text is copied. known may be NULL. */
void jv_write_around(struct buf *out, const json_t *v, const json_t *known, const struct buf *text);
/* Shortest decimal that round-trips, exponent from 1e21 and below 1e-6; NaN, Infinity. */
const char *jv_number_text(double v, char out[JV_NUMBER_LEN]);
/* The same as JSON: what is not finite becomes null, negative zero 0. */
void jv_write_number(struct buf *out, double v);

/* --- values ------------------------------------------------------------------------------ */

/* Member of an object; NULL when v is no object or has no such key. Lends. */
json_t *jv_get(const json_t *v, const char *key);
/* First member that is neither absent nor null. Lends; NULL when there is none. */
json_t *jv_first(const json_t *v, const char *const *keys, size_t n);
#define jv_first_of(v, ...)                                                                        \
    jv_first((v), (const char *const[]){__VA_ARGS__},                                              \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

bool jv_nullish(const json_t *v); /* absent or null */
bool jv_truthy(const json_t *v);
/* The text of a string value, NULL for anything else. Lends. */
const char *jv_cstr(const json_t *v);
/* String conversion (numbers as they print, arrays joined by commas, objects fixed). */
void jv_str(struct buf *out, const json_t *v);
/* Number conversion; NaN when there is none. */
double jv_num(const json_t *v);
/* A finite number. */
bool jv_opt_num(const json_t *v, double *out);
/* A new number; null when v is not finite. */
json_t *jv_real(double v) MUST_CHECK;
/* Set a member, stealing value; an absent value (NULL) sets nothing. */
void jv_put(json_t *object, const char *key, json_t *value);

#endif
