#include "shared/price.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/json.h"

struct price {
    const char *model;
    double prompt, completion; /* USD per million tokens */
};

static const struct price builtin[] = {
    {"gpt-4o", 2.5, 10},
    {"gpt-4o-mini", 0.15, 0.6},
    {"gpt-4-turbo", 10, 30},
    {"claude-3-opus", 15, 75},
    {"claude-3-sonnet", 3, 15},
    {"claude-3-haiku", 0.25, 1.25},
    {"*", 1, 3},
};

/* Entries of a file, looked at before the built-in ones; the names live in the document. */
struct price_list {
    json_t *document;
    struct price *prices;
    size_t n;
};

static const struct price *
find(const struct price *prices, size_t n, const char *model)
{
    for (size_t i = 0; model && i < n; i++)
        if (strcmp(prices[i].model, model) == 0)
            return &prices[i];
    return NULL;
}

static const struct price *
find_everywhere(const struct price_list *list, const char *model)
{
    const struct price *p = list ? find(list->prices, list->n, model) : NULL;

    return p ? p : find(builtin, ARRAY_LEN(builtin), model);
}

double
price_of_call(const struct price_list *list, const char *model, double prompt_tokens,
              double completion_tokens)
{
    const struct price *p = find_everywhere(list, model);

    if (!p)
        p = find_everywhere(list, "*");
    return (prompt_tokens * p->prompt + completion_tokens * p->completion) / 1000000;
}

static bool
rate(const json_t *entry, const char *key, double *out)
{
    const json_t *v = jv_get(entry, key);

    return json_is_number(v) && jv_opt_num(v, out) && *out >= 0;
}

static bool
read_entries(struct price_list *list, const char *path, struct err *err)
{
    const char *model;
    json_t *entry;

    if (!json_is_object(list->document))
        return err_set(err, ERR_CONFIG, "%s: not a JSON object of models", path);
    list->prices = xcalloc(json_object_size(list->document) + 1, sizeof *list->prices);
    json_object_foreach (list->document, model, entry) {
        struct price *p = &list->prices[list->n++];

        p->model = model;
        if (!rate(entry, "prompt", &p->prompt) || !rate(entry, "completion", &p->completion))
            return err_set(err, ERR_CONFIG,
                           "%s: \"%s\" needs prompt and completion, numbers from 0 on", path,
                           model);
    }
    return true;
}

bool
price_list_load(const char *path, struct price_list **out, struct err *err)
{
    struct price_list *list = xcalloc(1, sizeof *list);
    json_error_t e;

    if (path[0]) {
        list->document = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
        if (!list->document) {
            err_set(err, ERR_CONFIG, "%s: %s (line %d)", path, e.text, e.line);
            price_list_free(list);
            return false;
        }
        if (!read_entries(list, path, err)) {
            price_list_free(list);
            return false;
        }
    }
    *out = list;
    return true;
}

void
price_list_free(struct price_list *list)
{
    if (!list)
        return;
    json_decref(list->document);
    free(list->prices);
    free(list);
}
