/* What goes into statements and what is read from their rows: needs nothing of libpq. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "shared/db.h"

/* --- arguments ------------------------------------------------------------------------------- */

static int
next_arg(struct db_args *a)
{
    if (a->n >= DB_MAX_ARGS)
        BUG("more than %d arguments", DB_MAX_ARGS);
    a->lengths[a->n] = 0;
    a->formats[a->n] = 0;
    return a->n++;
}

void
db_arg_text(struct db_args *a, const char *s)
{
    a->values[next_arg(a)] = s;
}

void
db_arg_int(struct db_args *a, int64_t v)
{
    int i = next_arg(a);

    snprintf(a->numbers[i], sizeof a->numbers[i], "%lld", (long long)v);
    a->values[i] = a->numbers[i];
}

void
db_arg_bool(struct db_args *a, bool v)
{
    a->values[next_arg(a)] = v ? "t" : "f";
}

void
db_arg_bin(struct db_args *a, const void *p, size_t n)
{
    int i = next_arg(a);

    if (n > INT_MAX)
        BUG("an argument of %zu bytes", n);
    a->values[i] = p ? p : ""; /* an empty value is not null */
    a->lengths[i] = (int)n;
    a->formats[i] = 1;
}

void
db_arg_null(struct db_args *a)
{
    db_arg_text(a, NULL);
}

/* --- values of rows -------------------------------------------------------------------------- */

const char *
db_text_or(const struct db_result *r, int row, int col, const char *otherwise)
{
    return db_null(r, row, col) ? otherwise : db_text(r, row, col);
}

int64_t
db_int(const struct db_result *r, int row, int col)
{
    return strtoll(db_text(r, row, col), NULL, 10);
}

double
db_double(const struct db_result *r, int row, int col)
{
    return strtod(db_text(r, row, col), NULL);
}

bool
db_bool(const struct db_result *r, int row, int col)
{
    return db_text(r, row, col)[0] == 't';
}

/*
 * One element of an array's text form: unescape into *w (NUL-ended) and return the position
 * behind it. *is_null when it is an unquoted NULL.
 */
static const char *
array_element(const char *p, char **w, bool *is_null)
{
    char *start = *w;
    bool quoted = *p == '"';

    if (quoted)
        p++;
    while (*p && (quoted ? *p != '"' : *p != ',' && *p != '}')) {
        if (*p == '\\' && p[1])
            p++;
        *(*w)++ = *p++;
    }
    if (quoted && *p)
        p++;
    *(*w)++ = '\0';
    *is_null = !quoted && strcasecmp(start, "NULL") == 0;
    return p;
}

const char **
db_text_array(const struct db_result *r, int row, int col, size_t *n)
{
    const char *p = strchr(db_text(r, row, col), '{'); /* behind bounds, if any */
    size_t len = db_len(r, row, col), max = 2;
    const char **out;
    char *w;

    for (const char *q = p; q && *q; q++)
        max += *q == ',';
    /* Unescaped elements with their NULs are never longer than the text form. */
    out = xmalloc(max * sizeof *out + len + 2);
    w = (char *)(out + max);
    *n = 0;
    if (p && p[1] != '}') {
        do {
            const char *element = w;
            bool is_null;

            p = array_element(p + 1, &w, &is_null);
            out[(*n)++] = is_null ? NULL : element;
        } while (*p == ',');
    }
    out[*n] = NULL;
    return out;
}
