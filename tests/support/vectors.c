#include "tests/support/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/json.h"
#include "shared/macros.h"

enum { SHOWN_CHARS = 160, SHOWN_LINES = 8 };

static void
read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    if (!f)
        BUG("cannot read %s (run from the top of the tree)", path);
    do {
        char *to = buf_reserve(out, 65536);

        n = fread(to, 1, 65536, f);
        out->len += n;
        out->p[out->len] = '\0';
    } while (n > 0);
    fclose(f);
}

/* jansson refuses unpaired surrogates, which vectors contain; the value rules replace them. */
static json_t *
parse(const char *path, const char *text, size_t n)
{
    json_error_t e;
    json_t *v = json_loadb(text, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &e);

    if (!v)
        v = jv_parse(text, n);
    if (!v)
        BUG("%s: line %d: %s", path, e.line, e.text);
    return v;
}

json_t *
vector_load(const char *path)
{
    AUTO_BUF text = {0};

    read_file(path, &text);
    return parse(path, buf_cstr(&text), text.len);
}

/* --- comparing --------------------------------------------------------------------------- */

static void
show(struct buf *out, const json_t *v)
{
    AUTO_BUF text = {0};

    if (!v) {
        buf_lit(out, "nothing");
        return;
    }
    jv_write(&text, v);
    buf_add(out, buf_cstr(&text), text.len < SHOWN_CHARS ? text.len : SHOWN_CHARS);
    if (text.len > SHOWN_CHARS)
        buf_lit(out, "...");
}

static size_t
differs(const json_t *actual, const json_t *expected, const char *path, struct buf *lines)
{
    buf_str(lines, path);
    buf_lit(lines, ": ");
    show(lines, actual);
    buf_lit(lines, " instead of ");
    show(lines, expected);
    buf_char(lines, '\n');
    return 1;
}

static size_t
diff_objects(const json_t *actual, const json_t *expected, const char *path, struct buf *lines)
{
    AUTO_BUF below = {0};
    const char *key;
    json_t *member;
    size_t n = 0;

    json_object_foreach ((json_t *)actual, key, member) {
        buf_reset(&below);
        buf_printf(&below, "%s/%s", path, key);
        if (json_object_get(expected, key))
            n += vector_diff(member, json_object_get(expected, key), buf_cstr(&below), lines);
        else
            n += differs(member, NULL, buf_cstr(&below), lines);
    }
    json_object_foreach ((json_t *)expected, key, member) {
        if (json_object_get(actual, key))
            continue;
        buf_reset(&below);
        buf_printf(&below, "%s/%s", path, key);
        n += differs(NULL, member, buf_cstr(&below), lines);
    }
    return n;
}

static size_t
diff_arrays(const json_t *actual, const json_t *expected, const char *path, struct buf *lines)
{
    size_t have = json_array_size(actual), want = json_array_size(expected), n = 0;
    AUTO_BUF below = {0};

    if (have != want) {
        buf_printf(lines, "%s: %zu items instead of %zu\n", path, have, want);
        n++;
    }
    for (size_t i = 0; i < have && i < want; i++) {
        buf_reset(&below);
        buf_printf(&below, "%s/%zu", path, i);
        n += vector_diff(json_array_get(actual, i), json_array_get(expected, i), buf_cstr(&below),
                         lines);
    }
    return n;
}

static bool
same_scalar(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (!json_is_string(a))
        return true; /* true, false, null */
    return json_string_length(a) == json_string_length(b) &&
           memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
}

size_t
vector_diff(const json_t *actual, const json_t *expected, const char *path, struct buf *lines)
{
    if (jv_nullish(actual) && jv_nullish(expected))
        return 0;
    if (json_is_object(actual) && json_is_object(expected))
        return diff_objects(actual, expected, path, lines);
    if (json_is_array(actual) && json_is_array(expected))
        return diff_arrays(actual, expected, path, lines);
    if (actual && expected && same_scalar(actual, expected))
        return 0;
    return differs(actual, expected, path, lines);
}

/* --- counting ---------------------------------------------------------------------------- */

static void
read_known_failing(json_t *known)
{
    AUTO_BUF text = {0};
    char *line, *rest;

    read_file(VECTORS_KNOWN_FAILING, &text);
    rest = text.p;
    while ((line = strsep(&rest, "\n"))) {
        char *bar = strstr(line, " | ");

        if (!*line || *line == '#')
            continue;
        if (!bar || !bar[3])
            BUG("%s: \"%s\" gives no reason", VECTORS_KNOWN_FAILING, line);
        *bar = '\0';
        json_object_set_new(known, line, json_string(bar + 3));
    }
}

void
vectors_begin(struct vectors *v)
{
    *v = (struct vectors){.known_failing = json_object()};
    read_known_failing(v->known_failing);
}

static void
print_lines(const char *text)
{
    int shown = 0;

    for (const char *end; *text && shown++ < SHOWN_LINES; text = *end ? end + 1 : end) {
        end = strchrnul(text, '\n');
        fprintf(stderr, "    %.*s\n", (int)(end - text), text);
    }
    if (*text)
        fprintf(stderr, "    ...\n");
}

void
vectors_report(struct vectors *v, const char *name, const struct buf *differences)
{
    const char *reason = jv_cstr(json_object_get(v->known_failing, name));
    bool passed = differences->len == 0;

    v->total++;
    if (passed && reason) {
        v->bad++;
        fprintf(stderr, "PASSES but is listed as failing: %s (%s)\n", name, reason);
    } else if (!passed && !reason) {
        v->bad++;
        fprintf(stderr, "FAIL %s\n", name);
        print_lines(buf_cstr(differences));
    }
}

void
vectors_check_lines(struct vectors *v, const char *path, vector_check check)
{
    AUTO_BUF text = {0};
    const char *line, *end;

    read_file(path, &text);
    for (line = buf_cstr(&text); *line; line = *end ? end + 1 : end) {
        AUTO_JSON *vector = NULL;
        AUTO_BUF differences = {0};

        end = strchrnul(line, '\n');
        vector = parse(path, line, (size_t)(end - line));
        check(vector, &differences);
        vectors_report(v, jv_cstr(jv_get(vector, "name")), &differences);
    }
}

bool
vectors_end(struct vectors *v)
{
    bool good = v->total > 0 && v->bad == 0;

    printf("%zu passed, %zu failed\n", v->total - v->bad, v->bad);
    json_decref(v->known_failing);
    v->known_failing = NULL;
    return good;
}
