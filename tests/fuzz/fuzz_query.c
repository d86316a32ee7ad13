/*
 * fuzz_query.c - any query string, read by the field table of every route. What is refused must
 * be refused in words that fit into JSON, and what is accepted must be within its bounds.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/route.h"
#include "fcgi/validate.h"
#include "shared/json.h"
#include "shared/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must_be_json(const char *text)
{
    json_error_t e;
    json_t *v = json_loads(text, 0, &e);

    if (!v)
        BUG("not JSON: %s", e.text);
    json_decref(v);
}

static bool
is_one_of(const char *text, const char *const *values)
{
    for (; *values; values++)
        if (strcmp(text, *values) == 0)
            return true;
    return false;
}

static void
check_value(const struct query_field *f, const struct query_value *v)
{
    if (v->text && !jv_is_clean(v->text, strlen(v->text)))
        BUG("%s is not clean", f->name);
    switch (f->type) {
    case QUERY_INTEGER:
        if (v->given && (v->number < f->min || (f->max && v->number > f->max)))
            BUG("%s is %lld", f->name, (long long)v->number);
        break;
    case QUERY_NUMBER:
        if (v->given && !(v->real >= (double)f->min / 10 && isfinite(v->real)))
            BUG("%s is %g", f->name, v->real);
        break;
    case QUERY_ENUM:
        if (v->text && !is_one_of(v->text, f->values))
            BUG("%s is %s", f->name, v->text);
        break;
    case QUERY_UUID:
        if (v->text && !uuid_is_valid(v->text))
            BUG("%s is %s", f->name, v->text);
        break;
    case QUERY_TAGS:
    case QUERY_NAMES:
        if (v->text)
            must_be_json(v->text);
        break;
    case QUERY_STRING:
    case QUERY_FLAG:
    case QUERY_BOOLEAN:
    case QUERY_TIME:
        break;
    }
}

static void
check_table(const char *query, const struct query_field *fields)
{
    struct arena arena = {0};
    AUTO_TEXTS texts = {0};
    const struct query_value *v = query_parse(&arena, query, fields, &texts);

    if (texts.n) {
        char *list = arena_printf(&arena, "[%s]", buf_cstr(&texts.json));

        must_be_json(list);
    } else {
        for (size_t i = 0; fields[i].name; i++)
            check_value(&fields[i], &v[i]);
    }
    arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *query = xstrndup((const char *)data, n);

    for (size_t i = 0; i < routes_n; i++)
        if (routes[i].query)
            check_table(query, routes[i].query);
    free(query);
    return 0;
}
