/*
 * validate.h - query strings and bodies against tables of fields.
 *
 * Purpose    one loop over a table converts query values and checks bodies, and produces the exact
 *            texts that clients know, all failures of a request at once.
 * Ownership  results live in the request's arena; texts are the caller's buffer.
 * Errors     collected as texts: JSON strings separated by commas, ready for the answer.
 * Threads    any.
 *
 * Order of the texts: members that should not exist (strict schemas), then the fields in the order
 * of the table, inside one field in the order of its rules. A missing or null optional field skips
 * its rules.
 */
#ifndef MACP_FCGI_VALIDATE_H
#define MACP_FCGI_VALIDATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/arena.h"
#include "shared/buf.h"
#include "shared/macros.h"

struct texts {
    struct buf json;
    size_t n;
};

#define AUTO_TEXTS CLEANUP(texts_fini) struct texts

void texts_add(struct texts *t, const char *fmt, ...) PRINTF_FMT(2, 3);
void texts_fini(struct texts *t);

/* --- query ------------------------------------------------------------------------------- */

enum query_type {
    QUERY_STRING,  /* text */
    QUERY_ENUM,    /* one of values; text */
    QUERY_INTEGER, /* number, within min and max */
    QUERY_NUMBER,  /* real, at least min tenths */
    QUERY_FLAG,    /* the literal true, else false; never an error */
    QUERY_BOOLEAN, /* true, false or 0; number is the default of flag */
    QUERY_UUID,    /* text */
    QUERY_TIME,    /* text in the one time format */
    QUERY_TAGS,    /* commas or repetition; text is a JSON array, empty items kept */
    QUERY_NAMES,   /* commas; text is a JSON array, empty items dropped, NULL when none is left */
};

enum query_flags {
    QUERY_EMPTY_IS_ABSENT = 1,
    QUERY_MAX_IS_COLUMN = 2, /* max is a storage limit: only numbers are told about it */
    QUERY_CLAMP = 4,         /* above max counts as max */
    QUERY_CLAMP_MIN = 8,     /* below min counts as min */
};

struct query_field {
    const char *name; /* NULL ends a table */
    enum query_type type;
    unsigned flags;
    int64_t min, max;          /* max 0: none */
    int64_t number;            /* default of an integer */
    const char *text;          /* default of a text */
    const char *const *values; /* NULL-terminated */
};

struct query_value {
    bool given;
    bool flag;
    double real;
    int64_t number;
    const char *text;
};

/* One value per field, by position. With texts added the values are not to be used. */
const struct query_value *query_parse(struct arena *arena, const char *query,
                                      const struct query_field *fields,
                                      struct texts *texts) MUST_CHECK;

/* --- body -------------------------------------------------------------------------------- */

enum field_type {
    FIELD_STRING,
    FIELD_ENUM,
    FIELD_POSITIVE, /* integer above zero */
    FIELD_OBJECT,   /* any object, its content is the caller's own */
    FIELD_NESTED,   /* an object with the given fields */
    FIELD_LIST,     /* an array of objects with the given fields */
    FIELD_STRINGS,  /* an array of strings */
    FIELD_BOOLEAN,
    FIELD_NUMBER, /* finite, at least min */
    FIELD_UUID,   /* of a known version and variant */
    FIELD_IDS,    /* an array of texts that should be UUIDs; which ones are is for the handler */
    FIELD_URL,    /* http or https, a public-looking host name or an address */
    FIELD_ANY,    /* the handler looks at it itself */
};

enum field_flags {
    FIELD_REQUIRED = 1,
    FIELD_NOT_EMPTY = 2,
    FIELD_EACH_FIRST = 4, /* elements are reported before the array */
};

struct field {
    const char *name; /* NULL ends a table */
    enum field_type type;
    unsigned flags;
    size_t max;                /* characters of a string, elements of a list; 0: none */
    const char *max_text;      /* for lists */
    const char *const *values; /* NULL-terminated */
    const struct field *fields;
    double min; /* of a number */
};

struct body_schema {
    const struct field *fields;
    bool strict; /* unknown members are refused, else ignored */
    /* Name of a required member whose absence the handler reports itself, or NULL. */
    const char *reported;
};

/* What FIELD_URL takes. */
bool url_is_valid(const char *url) MUST_CHECK;

void body_validate(const json_t *document, const struct body_schema *schema, struct texts *texts);

#endif
