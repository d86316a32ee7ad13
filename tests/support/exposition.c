#include "tests/support/exposition.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "shared/macros.h"

enum { LINE_MAX_LEN = 1024, NAME_LEN = 128 };

struct seen_line {
    UT_hash_handle hh;
    char text[];
};

struct reader {
    char *why;
    size_t size;
    struct seen_line *seen; /* families and series: each once */
    char family[NAME_LEN], type[16];
    bool has_type;
    /* of the histogram in hand */
    char labels[LINE_MAX_LEN];
    double bound, below, count;
    bool in_buckets, complete, has_sum;
};

static bool
refuse(struct reader *r, const char *what, const char *line)
{
    snprintf(r->why, r->size, "%s: %.200s", what, line);
    return false;
}

static bool
is_first(struct reader *r, const char *text)
{
    struct seen_line *s;

    HASH_FIND_STR(r->seen, text, s);
    if (s)
        return false;
    s = xcalloc(1, sizeof *s + strlen(text) + 1);
    snprintf(s->text, strlen(text) + 1, "%s", text);
    HASH_ADD_KEYPTR(hh, r->seen, s->text, strlen(s->text), s);
    return true;
}

static size_t
name_len(const char *s, bool label)
{
    size_t n = 0;

    while (isalpha((unsigned char)s[n]) || s[n] == '_' || (!label && s[n] == ':') ||
           (n && isdigit((unsigned char)s[n])))
        n++;
    return n;
}

static bool
ends_in(const char *s, const char *end)
{
    return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

/* --- declarations ---------------------------------------------------------------------------- */

static bool
histogram_is_whole(struct reader *r, const char *line)
{
    if (strcmp(r->type, "histogram") == 0 && r->in_buckets)
        return refuse(r, "a histogram before this line lacks its sum and count", line);
    return true;
}

static bool
declare(struct reader *r, const char *line)
{
    char name[NAME_LEN], type[16] = "";
    int n = 0;

    if (sscanf(line, "# HELP %127s %n", name, &n) == 1) {
        if (!histogram_is_whole(r, line))
            return false;
        if (!n || !line[n])
            return refuse(r, "help without text", line);
        if (name_len(name, false) != strlen(name) || !is_first(r, name))
            return refuse(r, "not a name, or declared twice", line);
        snprintf(r->family, sizeof r->family, "%s", name);
        r->has_type = false;
        return true;
    }
    if (sscanf(line, "# TYPE %127s %15s", name, type) != 2 || strcmp(name, r->family) != 0 ||
        r->has_type)
        return refuse(r, "not a type behind its help", line);
    if (strcmp(type, "counter") != 0 && strcmp(type, "gauge") != 0 &&
        strcmp(type, "histogram") != 0)
        return refuse(r, "unknown type", line);
    if ((strcmp(type, "counter") == 0) != ends_in(name, "_total"))
        return refuse(r, "counters, and no others, end in _total", line);
    snprintf(r->type, sizeof r->type, "%s", type);
    r->has_type = true;
    r->in_buckets = false;
    return true;
}

/* --- samples --------------------------------------------------------------------------------- */

/* The labels without le go to rest, le's value to le. NULL: they are not well formed. */
static const char *
read_labels(const char *p, char *rest, char *le)
{
    size_t used = 0;

    for (p++; *p != '}'; p += *p == ',') {
        size_t n = name_len(p, true);
        const char *name = p, *value;

        if (!n || p[n] != '=' || p[n + 1] != '"')
            return NULL;
        for (value = p = p + n + 2; *p && *p != '"'; p++)
            if (*p == '\\' && !strchr("\\\"n", *++p))
                return NULL;
        if (!*p++ || (*p != ',' && *p != '}') || (*p == ',' && p[1] == '}'))
            return NULL;
        if (n == 2 && strncmp(name, "le", 2) == 0) {
            snprintf(le, NAME_LEN, "%.*s", (int)(p - 1 - value), value);
            continue;
        }
        used += (size_t)snprintf(rest + used, LINE_MAX_LEN - used, "%.*s;", (int)(p - name), name);
    }
    return p + 1;
}

static bool
bucket(struct reader *r, const char *line, const char *labels, const char *le, double value)
{
    double bound = strcmp(le, "+Inf") == 0 ? INFINITY : strtod(le, NULL);

    if (!r->in_buckets) {
        snprintf(r->labels, sizeof r->labels, "%s", labels);
        r->bound = -INFINITY;
        r->below = 0;
        r->has_sum = false;
    }
    r->in_buckets = true;
    if (!*le || strcmp(labels, r->labels) != 0 || bound <= r->bound || value < r->below)
        return refuse(r, "a bucket out of order", line);
    r->bound = bound;
    r->below = value;
    return true;
}

static bool
histogram_sample(struct reader *r, const char *line, const char *name, const char *labels,
                 const char *le, double value)
{
    if (ends_in(name, "_bucket"))
        return bucket(r, line, labels, le, value);
    if (!r->in_buckets || strcmp(labels, r->labels) != 0 || !isinf(r->bound))
        return refuse(r, "sum or count without all buckets", line);
    if (ends_in(name, "_sum") && !r->has_sum)
        return r->has_sum = true;
    if (!ends_in(name, "_count") || !r->has_sum || value != r->below)
        return refuse(r, "a count that is not the last bucket's", line);
    r->in_buckets = false;
    return true;
}

static bool
sample(struct reader *r, const char *line)
{
    char name[NAME_LEN], rest[LINE_MAX_LEN] = "", le[NAME_LEN] = "", *end;
    char series[LINE_MAX_LEN];
    size_t n = name_len(line, false), family = strlen(r->family);
    bool histogram = strcmp(r->type, "histogram") == 0;
    const char *p = line + n;
    double value;

    snprintf(name, sizeof name, "%.*s", (int)n, line);
    if (!r->has_type || strncmp(name, r->family, family) != 0 || (!histogram && name[family]) ||
        (histogram && strcmp(name + family, "_bucket") != 0 && strcmp(name + family, "_sum") != 0 &&
         strcmp(name + family, "_count") != 0))
        return refuse(r, "a sample outside its family", line);
    if (*p == '{')
        p = read_labels(p, rest, le);
    if (!p || *p != ' ')
        return refuse(r, "labels that are not well formed", line);
    value = strtod(p + 1, &end);
    if (end == p + 1 || *end)
        return refuse(r, "no number", line);
    if (strcmp(r->type, "counter") == 0 && value < 0)
        return refuse(r, "a negative counter", line);
    if (histogram && !histogram_sample(r, line, name, rest, le, value))
        return false;
    snprintf(series, sizeof series, "%.*s ", (int)(p - line), line); /* a family has no blank */
    return is_first(r, series) || refuse(r, "a series that was there before", line);
}

bool
exposition_check(const char *page, char *why, size_t size)
{
    struct reader r = {.why = why, .size = size};
    bool ok = *page != '\0' || refuse(&r, "empty", "");
    struct seen_line *each, *next;

    while (ok && *page) {
        const char *end = strchr(page, '\n');
        char line[LINE_MAX_LEN];

        if (!end || end - page >= LINE_MAX_LEN) {
            ok = refuse(&r, "a line without end", page);
            break;
        }
        snprintf(line, sizeof line, "%.*s", (int)(end - page), page);
        ok = line[0] == '#' ? declare(&r, line) : sample(&r, line);
        page = end + 1;
    }
    ok = ok && histogram_is_whole(&r, "the end");
    HASH_ITER(hh, r.seen, each, next)
    {
        HASH_DEL(r.seen, each);
        free(each);
    }
    return ok;
}

double
exposition_value(const char *page, const char *series)
{
    size_t n = strlen(series);

    for (const char *at = page; (at = strstr(at, series)); at += n)
        if ((at == page || at[-1] == '\n') && at[n] == ' ')
            return strtod(at + n, NULL);
    return -1;
}
