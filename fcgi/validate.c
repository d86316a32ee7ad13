#include "fcgi/validate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/json.h"
#include "shared/uuid.h"

enum {
    TEXTS_MAX = 1000, /* a hostile body must not buy an answer larger than itself */
    PATH_MAX_LEN = 128,
};

void
texts_add(struct texts *t, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (t->n >= TEXTS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (t->n++)
        buf_char(&t->json, ',');
    /* A name that was cut inside a character is cleaned here. */
    jv_write_text(&t->json, text, strlen(text));
}

void
texts_fini(struct texts *t)
{
    buf_fini(&t->json);
}

/* --- texts that several rules share -------------------------------------------------------- */

static void
text_one_of(struct texts *t, const char *path, const char *name, const char *const *values)
{
    AUTO_BUF list = {0};

    for (size_t i = 0; values[i]; i++) {
        if (i)
            buf_lit(&list, ", ");
        buf_str(&list, values[i]);
    }
    texts_add(t, "%s%s must be one of the following values: %s", path, name, buf_cstr(&list));
}

static bool
is_one_of(const char *text, const char *const *values)
{
    for (size_t i = 0; text && values[i]; i++)
        if (strcmp(text, values[i]) == 0)
            return true;
    return false;
}

static bool
holds_nul(const json_t *v)
{
    const char *key;
    json_t *child;
    size_t i;

    if (json_is_string(v))
        return strlen(json_string_value(v)) != json_string_length(v);
    json_array_foreach (v, i, child)
        if (holds_nul(child))
            return true;
    json_object_foreach ((json_t *)v, key, child)
        if (holds_nul(child))
            return true;
    return false;
}

/* --- body -------------------------------------------------------------------------------- */

static void check_fields(const json_t *object, const char *path, const struct field *fields,
                         const char *reported, struct texts *t);

static const struct field *
field_find(const struct field *fields, const char *name)
{
    for (; fields->name; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

static void
refuse_unknown(const json_t *object, const char *path, const struct field *fields, struct texts *t)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)object, key, value)
        if (!field_find(fields, key))
            texts_add(t, "%sproperty %s should not exist", path, key);
    for (; fields->name; fields++) {
        char below[PATH_MAX_LEN];
        json_t *element;
        size_t i;

        value = jv_get(object, fields->name);
        if (fields->type == FIELD_NESTED && json_is_object(value)) {
            snprintf(below, sizeof below, "%s%s.", path, fields->name);
            refuse_unknown(value, below, fields->fields, t);
        }
        if (fields->type != FIELD_LIST)
            continue;
        json_array_foreach (value, i, element) {
            snprintf(below, sizeof below, "%s%s.%zu.", path, fields->name, i);
            refuse_unknown(element, below, fields->fields, t);
        }
    }
}

static void
check_text(const json_t *v, const char *path, const struct field *f, struct texts *t)
{
    const char *text = jv_cstr(v);

    if (f->flags & FIELD_NOT_EMPTY && (!text || !*text) && (jv_nullish(v) || text))
        texts_add(t, "%s%s should not be empty", path, f->name);
    if (!text) {
        texts_add(t, "%s%s must be a string", path, f->name);
        return;
    }
    if (f->max && jv_text_chars(text) > f->max)
        texts_add(t, "%s%s must be shorter than or equal to %zu characters", path, f->name, f->max);
    if (holds_nul(v))
        texts_add(t, "%s%s must not contain null characters", path, f->name);
}

static void
check_positive(const json_t *v, const char *path, const struct field *f, struct texts *t)
{
    double n = json_number_value(v);

    if (!json_is_number(v) || !(n > 0))
        texts_add(t, "%s%s must be a positive number", path, f->name);
    if (!json_is_number(v) || !isfinite(n) || floor(n) != n)
        texts_add(t, "%s%s must be an integer number", path, f->name);
}

static void
check_nested(const json_t *v, const char *path, const struct field *f, struct texts *t)
{
    char below[PATH_MAX_LEN];

    if (jv_nullish(v))
        texts_add(t, "%s%s should not be null or undefined", path, f->name);
    if (!v)
        return;
    if (json_is_array(v)) {
        texts_add(t, "%s%s must be an object", path, f->name);
        return;
    }
    if (!json_is_object(v)) {
        texts_add(t, "%snested property %s must be either object or array", path, f->name);
        return;
    }
    snprintf(below, sizeof below, "%s%s.", path, f->name);
    check_fields(v, below, f->fields, NULL, t);
}

static void
check_list(const json_t *v, const char *path, const struct field *f, struct texts *t)
{
    char below[PATH_MAX_LEN];
    json_t *element;
    size_t i, n = json_array_size(v);

    json_array_foreach (v, i, element) {
        if (json_is_object(element) || json_is_array(element)) {
            snprintf(below, sizeof below, "%s%s.%zu.", path, f->name, i);
            check_fields(element, below, f->fields, NULL, t);
        } else {
            texts_add(t, "%s%s.each value in nested property %s must be either object or array",
                      path, f->name, f->name);
        }
    }
    if (!json_is_array(v) || n > f->max)
        texts_add(t, "%s%s", path, f->max_text);
    if (n == 0)
        texts_add(t, "%s%s must contain at least 1 elements", path, f->name);
    if (!json_is_array(v))
        texts_add(t, "%s%s must be an array", path, f->name);
    if (v && !json_is_array(v))
        texts_add(t, "%seach value in nested property %s must be either object or array", path,
                  f->name);
}

static void
check_strings(const json_t *v, const char *path, const struct field *f, struct texts *t)
{
    const char *each = f->type == FIELD_IDS ? "UUID" : "string";
    bool all = json_is_array(v), first = f->flags & FIELD_EACH_FIRST;
    json_t *element;
    size_t i;

    json_array_foreach (v, i, element)
        all = all && json_is_string(element);
    if (!all && first)
        texts_add(t, "%seach value in %s must be a %s", path, f->name, each);
    if (f->max && json_array_size(v) > f->max)
        texts_add(t, "%s%s must contain no more than %zu elements", path, f->name, f->max);
    if (!json_is_array(v))
        texts_add(t, "%s%s must be an array", path, f->name);
    if (!all && !first)
        texts_add(t, "%seach value in %s must be a %s", path, f->name, each);
    if (holds_nul(v))
        texts_add(t, "%s%s must not contain null characters", path, f->name);
}

static void
check_number(const json_t *v, const char *path, const struct field *f, struct texts *t)
{
    double n = json_number_value(v);

    if (!json_is_number(v) || !(n >= f->min))
        texts_add(t, "%s%s must not be less than %g", path, f->name, f->min);
    if (!json_is_number(v) || !isfinite(n))
        texts_add(t, "%s%s must be a number conforming to the specified constraints", path,
                  f->name);
}

/* Versions 1 to 8 of the standard variant, and the two special ones. */
static bool
is_known_uuid(const char *s)
{
    enum { VERSION_AT = 14, VARIANT_AT = 19 };

    if (!s || !uuid_is_valid(s))
        return false;
    if (strspn(s, "0-") == UUID_LEN - 1 || strspn(s, "fF-") == UUID_LEN - 1)
        return true;
    return s[VERSION_AT] >= '1' && s[VERSION_AT] <= '8' && strchr("89abAB", s[VARIANT_AT]);
}

static void
check_field(const json_t *v, const char *path, const struct field *f, struct texts *t)
{
    switch (f->type) {
    case FIELD_STRING:
        check_text(v, path, f, t);
        break;
    case FIELD_ENUM:
        if (!is_one_of(jv_cstr(v), f->values) || holds_nul(v))
            text_one_of(t, path, f->name, f->values);
        break;
    case FIELD_POSITIVE:
        check_positive(v, path, f, t);
        break;
    case FIELD_OBJECT:
        if (!json_is_object(v))
            texts_add(t, "%s%s must be an object", path, f->name);
        else if (holds_nul(v))
            texts_add(t, "%s%s must not contain null characters", path, f->name);
        break;
    case FIELD_NESTED:
        check_nested(v, path, f, t);
        break;
    case FIELD_LIST:
        check_list(v, path, f, t);
        break;
    case FIELD_STRINGS:
    case FIELD_IDS:
        check_strings(v, path, f, t);
        break;
    case FIELD_BOOLEAN:
        if (!json_is_boolean(v))
            texts_add(t, "%s%s must be a boolean value", path, f->name);
        break;
    case FIELD_NUMBER:
        check_number(v, path, f, t);
        break;
    case FIELD_UUID:
        if (!is_known_uuid(jv_cstr(v)) || holds_nul(v))
            texts_add(t, "%s%s must be a UUID", path, f->name);
        break;
    case FIELD_URL:
        if (!jv_cstr(v) || holds_nul(v) || !url_is_valid(jv_cstr(v)))
            texts_add(t, "%s%s must be a URL address", path, f->name);
        break;
    case FIELD_ANY:
        break;
    }
}

static void
check_fields(const json_t *object, const char *path, const struct field *fields,
             const char *reported, struct texts *t)
{
    for (const struct field *f = fields; f->name; f++) {
        const json_t *v = jv_get(object, f->name);

        if (jv_nullish(v) && !(f->flags & FIELD_REQUIRED))
            continue;
        if (!v && reported && strcmp(f->name, reported) == 0)
            continue;
        check_field(v, path, f, t);
    }
}

void
body_validate(const json_t *document, const struct body_schema *schema, struct texts *texts)
{
    if (schema->strict)
        refuse_unknown(document, "", schema->fields, texts);
    check_fields(document, "", schema->fields, schema->reported, texts);
}
