/* Query strings by a table of fields: the second half of validate.h. */
#include <math.h>
#include <string.h>

#include "fcgi/request.h"
#include "fcgi/validate.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/uuid.h"

enum { QUERY_REPEATS_MAX = 256 };

/* The values one parameter was given, in order. */
struct occurrences {
    size_t n;
    bool has_nul;
    const char *items[QUERY_REPEATS_MAX];
};

/* An escape that makes no text stays as it was sent; a NUL cannot be stored or compared at all. */
static const char *
decode(struct arena *arena, const char *p, size_t n, bool *has_nul)
{
    const char *text = request_decode(arena, p, n, true);

    if (!text && memmem(p, n, "%00", 3))
        *has_nul = true;
    if (text)
        return text;
    return jv_is_utf8(p, n) ? arena_strndup(arena, p, n) : "\xef\xbf\xbd";
}

static void
find(struct arena *arena, const char *query, const char *name, struct occurrences *out)
{
    out->n = 0;
    out->has_nul = false;
    for (const char *p = query; *p;) {
        size_t pair = strcspn(p, "&"), key = strcspn(p, "=&");
        bool ignored = false;
        const char *decoded = decode(arena, p, key, &ignored);

        if (strcmp(decoded, name) == 0 && out->n < QUERY_REPEATS_MAX) {
            const char *from = key < pair ? p + key + 1 : p + pair;

            out->items[out->n++] = decode(arena, from, (size_t)(p + pair - from), &out->has_nul);
        }
        p += pair;
        if (*p == '&')
            p++;
    }
}

/* --- one field --------------------------------------------------------------------------- */

static void
take_integer(const struct occurrences *o, const struct query_field *f, struct query_value *v,
             struct texts *t)
{
    json_t *text = json_string(o->items[0]);
    double n = o->n == 1 ? jv_num(text) : NAN;
    double max = (double)f->max;
    bool above = f->max && !(n <= max), below = !(n >= (double)f->min);
    bool whole = isfinite(n) && floor(n) == n;

    json_decref(text);
    if (f->flags & QUERY_CLAMP && above) {
        if (whole)
            n = max;
        above = false;
    }
    if (f->flags & QUERY_CLAMP_MIN && below) {
        if (whole)
            n = (double)f->min;
        below = false;
    }
    if (above && (!(f->flags & QUERY_MAX_IS_COLUMN) || !isnan(n)))
        texts_add(t, "%s must not be greater than %lld", f->name, (long long)f->max);
    if (below)
        texts_add(t, "%s must not be less than %lld", f->name, (long long)f->min);
    if (!whole)
        texts_add(t, "%s must be an integer number", f->name);
    if (!above && !below && whole)
        v->number = (int64_t)n;
}

static void
take_number(const struct occurrences *o, const struct query_field *f, struct query_value *v,
            struct texts *t)
{
    json_t *text = json_string(o->items[0]);

    v->real = o->n == 1 ? jv_num(text) : NAN;
    json_decref(text);
    if (!(v->real >= (double)f->min / 10))
        texts_add(t, "%s must not be less than %g", f->name, (double)f->min / 10);
    if (!isfinite(v->real))
        texts_add(t, "%s must be a number conforming to the specified constraints", f->name);
}

static void
take_time(struct arena *arena, const struct occurrences *o, const struct query_field *f,
          struct query_value *v, struct texts *t)
{
    char *out = arena_alloc(arena, CLOCK_TEXT_LEN);

    if (o->n != 1 || !clock_parse(o->items[0], &v->number)) {
        texts_add(t, "%s must be a valid ISO 8601 date string", f->name);
        return;
    }
    v->text = clock_text(v->number, out);
}

static void
add_item(struct buf *list, const char *p, size_t n)
{
    buf_char(list, list->len ? ',' : '[');
    buf_json_n(list, p, n);
}

/* Items between commas, trimmed; a repeated parameter gives its values as they are. */
static const char *
take_list(struct arena *arena, const struct occurrences *o, bool keep_empty)
{
    AUTO_BUF list = {0};

    for (size_t i = 0; i < o->n; i++) {
        const char *p = o->items[i];

        if (o->n > 1) {
            add_item(&list, p, strlen(p));
            continue;
        }
        for (;;) {
            size_t n = strcspn(p, ","), blank = strspn(p, " \t\r\n\v\f");
            const char *from = p + (blank < n ? blank : n), *end = p + n;

            while (end > from && strchr(" \t\r\n\v\f", end[-1]))
                end--;
            if (end > from || keep_empty)
                add_item(&list, from, (size_t)(end - from));
            p += n;
            if (!*p)
                break;
            p++;
        }
    }
    if (!list.len)
        return NULL;
    buf_char(&list, ']');
    return arena_strndup(arena, buf_cstr(&list), list.len);
}

static void
take(struct arena *arena, const struct occurrences *o, const struct query_field *f,
     struct query_value *v, struct texts *t)
{
    bool single = o->n == 1;

    if (o->has_nul) {
        texts_add(t, "%s must not contain null characters", f->name);
        return;
    }
    switch (f->type) {
    case QUERY_STRING:
        if (!single)
            texts_add(t, "%s must be a string", f->name);
        v->text = o->items[0];
        break;
    case QUERY_ENUM: {
        AUTO_BUF values = {0};
        bool known = false;

        for (size_t i = 0; f->values[i]; i++) {
            known = known || (single && strcmp(o->items[0], f->values[i]) == 0);
            buf_printf(&values, "%s%s", i ? ", " : "", f->values[i]);
        }
        if (!known)
            texts_add(t, "%s must be one of the following values: %s", f->name, buf_cstr(&values));
        v->text = o->items[0];
        break;
    }
    case QUERY_INTEGER:
        take_integer(o, f, v, t);
        break;
    case QUERY_NUMBER:
        take_number(o, f, v, t);
        break;
    case QUERY_FLAG:
        v->flag = single && strcmp(o->items[0], "true") == 0;
        break;
    case QUERY_BOOLEAN:
        v->flag = single && strcmp(o->items[0], "true") == 0;
        if (!v->flag &&
            (!single || (strcmp(o->items[0], "false") != 0 && strcmp(o->items[0], "0") != 0)))
            texts_add(t, "%s must be a boolean value", f->name);
        break;
    case QUERY_UUID:
        if (!single || !uuid_is_valid(o->items[0]))
            texts_add(t, "%s must be a UUID", f->name);
        v->text = o->items[0];
        break;
    case QUERY_TIME:
        take_time(arena, o, f, v, t);
        break;
    case QUERY_TAGS:
        v->text = take_list(arena, o, true);
        break;
    case QUERY_NAMES:
        if (!single)
            texts_add(t, "%s must be a string", f->name);
        else
            v->text = take_list(arena, o, false);
        break;
    }
}

const struct query_value *
query_parse(struct arena *arena, const char *query, const struct query_field *fields,
            struct texts *texts)
{
    struct query_value *values;
    struct occurrences o;
    size_t n = 0;

    while (fields[n].name)
        n++;
    values = arena_zalloc(arena, (n + 1) * sizeof *values);
    for (size_t i = 0; i < n; i++) {
        const struct query_field *f = &fields[i];
        struct query_value *v = &values[i];

        v->number = f->number;
        v->flag = f->type == QUERY_BOOLEAN && f->number;
        v->text = f->text;
        if (!*query)
            continue;
        find(arena, query, f->name, &o);
        if (o.n == 0 ||
            (f->flags & QUERY_EMPTY_IS_ABSENT && o.n == 1 && !*o.items[0] && !o.has_nul))
            continue;
        v->given = true;
        take(arena, &o, f, v, texts);
    }
    return values;
}
