/* Settings that change while the program runs. */
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/config.h"
#include "shared/config_check.h"

static const size_t sizes[] = {
    [CONFIG_KIND_INT] = sizeof(int64_t),
    [CONFIG_KIND_BOOL] = sizeof(bool),
    [CONFIG_KIND_TEXT] = sizeof(const char *),
    [CONFIG_KIND_LIST] = sizeof(struct config_list),
};

static void *
field_of(struct config *cfg, const struct config_row *row)
{
    return (char *)cfg + row->offset;
}

static const void *
value_of(const struct config *cfg, const struct config_row *row)
{
    return (const char *)cfg + row->offset;
}

static bool
is_same_list(const struct config_list *a, const struct config_list *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static bool
is_same(const struct config *a, const struct config *b, const struct config_row *row)
{
    switch (config_types[row->type].kind) {
    case CONFIG_KIND_INT:
        return *(const int64_t *)value_of(a, row) == *(const int64_t *)value_of(b, row);
    case CONFIG_KIND_BOOL:
        return *(const bool *)value_of(a, row) == *(const bool *)value_of(b, row);
    case CONFIG_KIND_TEXT:
        return strcmp(*(const char *const *)value_of(a, row),
                      *(const char *const *)value_of(b, row)) == 0;
    case CONFIG_KIND_LIST:
        return is_same_list(value_of(a, row), value_of(b, row));
    }
    return true;
}

/* Secrets stay secret: only that they changed is told. */
static void
tell_change(struct config_report *report, const struct config *was, const struct config *is,
            const struct config_row *row)
{
    AUTO_BUF before = {0}, after = {0};

    if (row->flags & CONFIG_SECRET) {
        config_problem_add(report, CONFIG_NOTICE, row->name, "has changed");
        return;
    }
    config_write_value(&before, was, row);
    config_write_value(&after, is, row);
    config_problem_add(report, CONFIG_NOTICE, row->name, "is now \"%s\", was \"%s\"",
                       buf_cstr(&after), buf_cstr(&before));
}

bool
config_reload(const struct config *running, struct config **out, struct config_report *report)
{
    struct config *fresh;

    if (!config_load_env(running->process, running->env_file, &fresh, report))
        return false;
    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);
        bool reloadable = row->flags & CONFIG_RELOAD;
        /* What nobody set may still differ: it is derived from something that did, or random. */
        bool matters = reloadable || running->is_set[key] || fresh->is_set[key];

        if (row->process & running->process && matters && !is_same(running, fresh, row)) {
            if (reloadable)
                tell_change(report, running, fresh, row);
            else
                config_problem_add(report, CONFIG_WARNING, row->name,
                                   "has changed; that takes effect at the next start");
        }
        if (!reloadable) {
            memcpy(field_of(fresh, row), value_of(running, row),
                   sizes[config_types[row->type].kind]);
            fresh->is_set[key] = running->is_set[key];
        }
    }
    if (!is_same_list(&running->redact_patterns, &fresh->redact_patterns))
        config_problem_add(report, CONFIG_NOTICE, "MACP_REDACT_PATTERNS",
                           "the variable and its file hold %zu patterns now",
                           fresh->redact_patterns.n);
    memcpy(fresh->webhook_retry_s, running->webhook_retry_s, sizeof fresh->webhook_retry_s);
    fresh->webhook_retry_n = running->webhook_retry_n;
    *out = fresh;
    return true;
}
