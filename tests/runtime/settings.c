#include "tests/runtime/settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

enum setting_type { SETTING_bool, SETTING_int64_t, SETTING_text };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
    const char *fallback;
    const char *doc;
};

static const struct setting table[] = {
#define X(member, name, type, fallback, doc)                                                       \
    {name, SETTING_##type, offsetof(struct settings, member), fallback, doc},
    SETTINGS_LIST(X)
#undef X
};

static const struct setting *
setting_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

static void *
member_of(const struct settings *s, const struct setting *d)
{
    return (char *)(uintptr_t)s + d->offset;
}

static void
store_text(struct settings *s, const struct setting *d, const char *value)
{
    char **p = member_of(s, d);

    free(*p);
    *p = xstrdup(value);
}

bool
settings_set_text(struct settings *s, const char *name, const char *value, struct err *err)
{
    const struct setting *d = setting_find(name);
    char *end = NULL;
    long long n;

    if (!d)
        return err_set(err, ERR_CONFIG, "no setting is called \"%s\"", name);
    switch (d->type) {
    case SETTING_bool:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return err_set(err, ERR_CONFIG, "%s must be true or false", name);
        *(bool *)member_of(s, d) = value[0] == 't';
        return true;
    case SETTING_int64_t:
        errno = 0;
        n = strtoll(value, &end, 10);
        if (errno || end == value || *end || n < 0)
            return err_set(err, ERR_CONFIG, "%s must be a number, 0 or more", name);
        *(int64_t *)member_of(s, d) = n;
        return true;
    case SETTING_text:
        store_text(s, d, value);
        return true;
    }
    BUG("setting %s has no type", name);
}

bool
settings_set_json(struct settings *s, const char *name, const json_t *value, struct err *err)
{
    AUTO_BUF text = {0};

    if (json_is_boolean(value))
        buf_str(&text, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        buf_int(&text, json_integer_value(value));
    else if (json_is_string(value))
        buf_str(&text, json_string_value(value));
    else
        return err_set(err, ERR_CONFIG, "%s must be true, false, a number or a text", name);
    return settings_set_text(s, name, buf_cstr(&text), err);
}

json_t *
settings_json(const struct settings *s)
{
    json_t *out = json_object();

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const void *p = member_of(s, &table[i]);
        json_t *v = table[i].type == SETTING_bool      ? json_boolean(*(const bool *)p)
                    : table[i].type == SETTING_int64_t ? json_integer(*(const int64_t *)p)
                                                       : json_string(*(char *const *)p);

        json_object_set_new(out, table[i].name, v);
    }
    return out;
}

void
settings_init(struct settings *s)
{
    *s = (struct settings){0};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err;

        if (!settings_set_text(s, table[i].name, table[i].fallback, &err))
            BUG("default of a setting: %s", err.msg);
    }
}

void
settings_fini(struct settings *s)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].type == SETTING_text)
            free(*(char **)member_of(s, &table[i]));
    }
    *s = (struct settings){0};
}

void
settings_help(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        buf_printf(out, "  %-17s %-9s %s\n", table[i].name,
                   *table[i].fallback ? table[i].fallback : "-", table[i].doc);
}
