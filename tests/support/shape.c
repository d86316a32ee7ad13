#include "tests/support/shape.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/uuid.h"

enum { CLAIM_LEN = 512 };

/* --- variables ---------------------------------------------------------------------------------
 */

void
shape_set(struct shape_vars *vars, const char *name, const char *value)
{
    size_t i = 0;

    while (i < vars->n && strcmp(vars->vars[i].name, name) != 0)
        i++;
    if (i == SHAPE_VARS_MAX)
        BUG("more than %d variables", SHAPE_VARS_MAX);
    if (i == vars->n)
        vars->n++;
    snprintf(vars->vars[i].name, sizeof vars->vars[i].name, "%s", name);
    snprintf(vars->vars[i].value, sizeof vars->vars[i].value, "%s", value);
}

static const struct shape_var *
find_var(const struct shape_vars *vars, const char *name, size_t n)
{
    for (size_t i = 0; i < vars->n; i++)
        if (strlen(vars->vars[i].name) == n && strncmp(vars->vars[i].name, name, n) == 0)
            return &vars->vars[i];
    return NULL;
}

void
shape_fill(const struct shape_vars *vars, const char *text, struct buf *out)
{
    while (*text) {
        size_t n = *text == '{' ? strcspn(text, "}") : 0;
        const struct shape_var *v = n && text[n] ? find_var(vars, text + 1, n - 1) : NULL;

        if (v) {
            buf_str(out, v->value);
            text += n + 1;
        } else {
            buf_char(out, *text++);
        }
    }
}

/* --- one value ---------------------------------------------------------------------------------
 */

struct claim {
    char text[CLAIM_LEN]; /* whole, for sentences */
    char path[CLAIM_LEN];
    char op;
    char arg[CLAIM_LEN];
    struct shape_vars *vars;
    char *why;
    size_t why_size;
};

static bool
wrong(const struct claim *c, const json_t *v)
{
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    snprintf(c->why, c->why_size, "%s, but it is %.200s", c->text, text ? text : "absent");
    free(text);
    return false;
}

static bool
is_time(const json_t *v)
{
    const char *s = json_string_value(v);
    char again[CLOCK_TEXT_LEN];
    int64_t ms;

    return s && clock_parse(s, &ms) && strcmp(clock_text(ms, again), s) == 0;
}

static bool
has_type(const json_t *v, const char *type, size_t n)
{
    static const struct {
        const char *name;
        json_type type;
    } plain[] = {{"string", JSON_STRING},
                 {"array", JSON_ARRAY},
                 {"object", JSON_OBJECT},
                 {"null", JSON_NULL},
                 {"int", JSON_INTEGER}};

    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (strlen(plain[i].name) == n && strncmp(plain[i].name, type, n) == 0)
            return v && json_typeof(v) == plain[i].type;
    if (strncmp(type, "number", n) == 0)
        return json_is_number(v);
    if (strncmp(type, "bool", n) == 0)
        return json_is_boolean(v);
    if (strncmp(type, "time", n) == 0)
        return is_time(v);
    if (strncmp(type, "uuid", n) == 0)
        return json_is_string(v) && uuid_is_valid(json_string_value(v));
    if (strncmp(type, "any", n) == 0)
        return v != NULL;
    BUG("no type %.*s", (int)n, type);
}

static bool
check_type(const struct claim *c, const json_t *v)
{
    const char *p = c->arg;
    size_t all = strlen(p);

    if (all && p[all - 1] == '?') {
        if (!v || json_is_null(v))
            return true;
        all--;
    }
    for (const char *end = p + all; p < end;) {
        size_t n = strcspn(p, "|?");

        if (has_type(v, p, n))
            return true;
        p += n + 1;
    }
    return wrong(c, v);
}

static bool
check_value(const struct claim *c, const json_t *v)
{
    json_t *wanted = json_loads(c->arg, JSON_DECODE_ANY, NULL);
    bool same;

    if (!wanted)
        wanted = json_string(c->arg);
    same = v && (json_equal(v, wanted) || (json_is_number(v) && json_is_number(wanted) &&
                                           json_number_value(v) == json_number_value(wanted)));
    /* Digits may be meant as text. */
    same = same || (json_is_string(v) && strcmp(json_string_value(v), c->arg) == 0);
    json_decref(wanted);
    return same || wrong(c, v);
}

static bool
check_contains(const struct claim *c, const json_t *v)
{
    const json_t *element;
    size_t i;

    json_array_foreach (v, i, element)
        if (json_is_string(element) && strcmp(json_string_value(element), c->arg) == 0)
            return true;
    return (json_is_string(v) && strstr(json_string_value(v), c->arg)) || wrong(c, v);
}

static bool
remember(const struct claim *c, const json_t *v)
{
    char number[32];

    if (json_is_string(v)) {
        shape_set(c->vars, c->arg, json_string_value(v));
    } else if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        shape_set(c->vars, c->arg, number);
    } else {
        return wrong(c, v);
    }
    return true;
}

static bool
check(const struct claim *c, const json_t *v)
{
    switch (c->op) {
    case ':':
        return check_type(c, v);
    case '=':
        return check_value(c, v);
    case '~':
        return check_contains(c, v);
    case '!':
        return !v || wrong(c, v);
    default:
        return remember(c, v);
    }
}

/* --- paths -------------------------------------------------------------------------------------
 */

static bool walk(const struct claim *c, const char *path, const json_t *v);

/* path stands behind the bracket. */
static bool
walk_each(const struct claim *c, const char *path, const json_t *v, bool may_be_empty)
{
    const json_t *element;
    size_t i;

    if (!json_is_array(v) || (!may_be_empty && json_array_size(v) == 0))
        return wrong(c, v);
    json_array_foreach (v, i, element)
        if (!walk(c, path, element))
            return false;
    return true;
}

static bool
walk_values(const struct claim *c, const char *path, const json_t *v)
{
    const char *key;
    json_t *value;

    if (json_object_size(v) == 0)
        return wrong(c, v);
    json_object_foreach ((json_t *)(uintptr_t)v, key, value)
        if (!walk(c, path, value))
            return false;
    return true;
}

static bool
walk(const struct claim *c, const char *path, const json_t *v)
{
    char member[128];
    size_t n;

    if (!*path)
        return check(c, v);
    if (strncmp(path, "[]", 2) == 0)
        return walk_each(c, path + 2, v, false);
    if (strncmp(path, "[*]", 3) == 0)
        return walk_each(c, path + 3, v, true);
    if (strncmp(path, "{}", 2) == 0)
        return walk_values(c, path + 2, v);
    if (*path == '[') {
        char *end;
        unsigned long at = strtoul(path + 1, &end, 10);

        return walk(c, end + 1, json_array_get(v, at));
    }
    if (*path == '.')
        return walk(c, path + 1, v);
    n = strcspn(path, ".[{");
    snprintf(member, sizeof member, "%.*s", (int)n, path);
    return walk(c, path + n, json_object_get(v, member));
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void
unescape(char *text)
{
    for (char *p; (p = strstr(text, "%20"));) {
        *p = ' ';
        memmove(p + 1, p + 3, strlen(p + 3) + 1);
    }
}

static void
parse(const char *text, struct claim *c)
{
    size_t n = strcspn(text, ":=~!>");

    if (!text[n])
        BUG("no claim: %s", text);
    snprintf(c->text, sizeof c->text, "%s", text);
    snprintf(c->path, sizeof c->path, "%.*s", (int)n, text);
    c->op = text[n];
    snprintf(c->arg, sizeof c->arg, "%s", text + n + 1);
    unescape(c->arg);
}

static bool
check_claim(const struct http_reply *r, const struct claim *c)
{
    char value[1024];
    json_t *text;
    bool ok;

    if (c->path[0] != '$' && c->path[0] != '@')
        return walk(c, c->path, r->json);
    if (c->path[0] == '$' && c->op == '~') /* long, and not always UTF-8 */
        return strstr(buf_cstr(&r->body), c->arg) || wrong(c, NULL);
    text = c->path[0] == '$' ? json_stringn(buf_cstr(&r->body), r->body.len)
                             : json_string(http_header(r, c->path + 1, value, sizeof value));
    ok = check(c, text);
    json_decref(text);
    return ok;
}

bool
shape_holds(const struct http_reply *r, const char *claims, struct shape_vars *vars, char *why,
            size_t size)
{
    for (const char *p = claims + strspn(claims, " "); *p;) {
        struct claim c = {.vars = vars, .why = why, .why_size = size};
        size_t n = strcspn(p, " ");
        char text[CLAIM_LEN];

        snprintf(text, sizeof text, "%.*s", (int)n, p);
        parse(text, &c);
        if (!check_claim(r, &c))
            return false;
        p += n;
        p += strspn(p, " ");
    }
    return true;
}
