/*
 * row_members.h - rows as JSON objects, by a table of members.
 *
 * Purpose    most objects of the API are a list of columns; each list is a table.
 * Ownership  rows are borrowed. Errors: none. Threads: any.
 */
#ifndef MACP_FCGI_ROW_MEMBERS_H
#define MACP_FCGI_ROW_MEMBERS_H

#include <stdbool.h>

#include "shared/buf.h"
#include "shared/db.h"

enum member_kind {
    MEMBER_TEXT,
    MEMBER_RAW, /* a number, or JSON that goes out as it is stored */
    MEMBER_BOOL,
    MEMBER_TIME,
    MEMBER_JSONB, /* without the blanks that Postgres puts in */
    MEMBER_FIXED, /* name is followed by the value itself: fixed */
};

struct member {
    const char *name; /* NULL ends a table */
    enum member_kind kind;
    int col;
    bool optional; /* left out when null */
    const char *fixed;
};

/* The members, without braces, separated by commas. Always at least one must not be optional. */
void row_members(const struct db_result *r, int row, const struct member *members, struct buf *out);
/* The same as one object. */
void row_object(const struct db_result *r, int row, const struct member *members, struct buf *out);
/* All rows as an array of objects. */
void rows_array(const struct db_result *r, const struct member *members, struct buf *out);

#endif
