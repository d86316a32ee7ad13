/* The table and its values as text: help, example file, effective values, JSON. */
#include <string.h>

#include "shared/buf.h"
#include "shared/config.h"
#include "shared/config_check.h"
#include "shared/json.h"

static const void *
field_of(const struct config *cfg, const struct config_row *row)
{
    return (const char *)cfg + row->offset;
}

/* --- secrets ------------------------------------------------------------------------------- */

/* "keyword=value keyword='quoted value'": hide the values of password keywords. */
static void
mask_pairs(struct buf *out, const char *s, char separator)
{
    while (*s) {
        size_t key = strcspn(s, "=");
        const char *value = s + key + (s[key] == '=');
        /* An encoded keyword may spell anything, so its value is hidden too. */
        bool secret = (key >= 8 && memmem(s, key, "password", 8)) || memchr(s, '%', key);
        const char *end = value;

        while (separator == ' ' && *end == ' ')
            end++;
        if (separator == ' ' && *end == '\'') {
            for (end++; *end && *end != '\''; end++)
                if (*end == '\\' && end[1])
                    end++;
            end += *end == '\'';
        } else {
            while (*end && *end != separator)
                end += separator == ' ' && *end == '\\' && end[1] ? 2 : 1;
        }
        buf_add(out, s, (size_t)((secret ? value : end) - s));
        if (secret)
            buf_lit(out, "****");
        s = end;
        while (*s == separator)
            buf_char(out, *s++);
    }
}

void
config_mask_url(struct buf *out, const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *query, *at, *colon;

    if (!scheme) {
        mask_pairs(out, url, ' ');
        return;
    }
    scheme += 3;
    /* The last @ rather than the first: an unescaped password may contain one, or a slash. */
    at = strrchr(scheme, '@');
    colon = at ? memchr(scheme, ':', (size_t)(at - scheme)) : NULL;
    if (colon) {
        buf_add(out, url, (size_t)(colon - url));
        buf_lit(out, ":****");
    } else {
        buf_add(out, url, (size_t)((at ? at : scheme) - url));
    }
    scheme = at ? at : scheme;
    query = strchr(scheme, '?');
    buf_add(out, scheme, query ? (size_t)(query + 1 - scheme) : strlen(scheme));
    if (query)
        mask_pairs(out, query + 1, '&');
}

/* --- help and example ---------------------------------------------------------------------- */

static void
write_default(struct buf *out, const struct config_row *row)
{
    static const char development[] = "@development?";
    const char *fallback = row->fallback;

    if (strncmp(fallback, development, sizeof development - 1) == 0)
        buf_printf(out, "%s in development, else %s", fallback + sizeof development - 1,
                   row->type == CONFIG_TYPE_BOOL ? "false" : "empty");
    else if (fallback[0] == '@')
        buf_printf(out, "as %s", fallback + 1);
    else
        buf_str(out, fallback[0] ? fallback : "empty");
}

/* "integer 10..60000", "choice: a b c", "boolean". */
static void
write_type(struct buf *out, const struct config_row *row)
{
    const struct config_type_rule *type = &config_types[row->type];

    buf_str(out, type->name);
    if (type->kind == CONFIG_KIND_INT || row->type == CONFIG_TYPE_SECONDS)
        buf_printf(out, " %lld..%lld", (long long)row->min, (long long)row->max);
    for (const char *const *c = type->choices; c && *c; c++)
        buf_printf(out, "%s%s", c == type->choices ? ": " : ", ", *c);
}

static void
write_meaning(struct buf *out, const struct config_row *row, const char *indent)
{
    buf_printf(out, "%s%s.\n%s", indent, row->doc, indent);
    write_type(out, row);
    buf_lit(out, "; default: ");
    write_default(out, row);
    if (row->flags & CONFIG_SECRET)
        buf_printf(out, "; or the file named by %s_FILE", row->name);
    if (row->flags & CONFIG_RELOAD && !(row->process & CONFIG_FCGI))
        buf_lit(out, "; reloadable");
    buf_lit(out, "\n");
}

void
config_print_help(FILE *to, enum config_process who)
{
    AUTO_BUF text = {0};

    buf_lit(&text, "Environment variables (an empty one counts as unset):\n");
    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);

        if (!(row->process & who))
            continue;
        buf_printf(&text, "\n  %s\n", row->name);
        write_meaning(&text, row, "      ");
    }
    buf_lit(&text,
            "\nThe libraries also read their own: PGHOST, PGPASSFILE and the others of libpq");
    buf_str(&text, who & CONFIG_OBSERVERD ? "; GRPC_VERBOSITY, GRPC_TRACE and the others of gRPC.\n"
                                          : ".\n");
    fputs(buf_cstr(&text), to);
}

/* Text as roff takes it: nothing of it is a request, an escape or a hyphen. */
static void
write_roff(struct buf *out, const char *s)
{
    for (; *s; s++)
        if (*s == '\\')
            buf_lit(out, "\\e");
        else if (*s == '-')
            buf_lit(out, "\\-");
        else if (*s == '\n')
            buf_lit(out, "\n.br\n");
        else
            buf_char(out, *s);
}

void
config_print_man(FILE *to, enum config_process who)
{
    AUTO_BUF text = {0};

    buf_lit(&text, ".SH ENVIRONMENT\nAn empty variable counts as unset.\n");
    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);
        AUTO_BUF meaning = {0};

        if (!(row->process & who))
            continue;
        write_meaning(&meaning, row, "");
        meaning.p[--meaning.len] = '\0'; /* its last line feed */
        buf_printf(&text, ".TP\n.B %s\n\\&", row->name);
        write_roff(&text, buf_cstr(&meaning));
        buf_char(&text, '\n');
    }
    fputs(buf_cstr(&text), to);
}

void
config_print_example(FILE *to, enum config_process who)
{
    AUTO_BUF text = {0};

    buf_lit(&text, "# Every setting with its default. Remove the # in front of what you change.\n");
    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);

        if (!(row->process & who))
            continue;
        buf_lit(&text, "\n");
        write_meaning(&text, row, "# ");
        buf_printf(&text, "#%s=%s\n", row->name, row->fallback[0] == '@' ? "" : row->fallback);
        if (row->flags & CONFIG_SECRET)
            buf_printf(&text, "#%s_FILE=\n", row->name);
    }
    fputs(buf_cstr(&text), to);
}

/* --- values -------------------------------------------------------------------------------- */

void
config_write_value(struct buf *out, const struct config *cfg, const struct config_row *row)
{
    const void *field = field_of(cfg, row);
    const struct config_list *list = field;

    switch (config_types[row->type].kind) {
    case CONFIG_KIND_INT:
        buf_int(out, *(const int64_t *)field);
        break;
    case CONFIG_KIND_BOOL:
        buf_str(out, *(const bool *)field ? "true" : "false");
        break;
    case CONFIG_KIND_TEXT:
        if (row->type == CONFIG_TYPE_PGURL)
            config_mask_url(out, *(const char *const *)field);
        else if (row->flags & CONFIG_SECRET)
            buf_str(out, **(const char *const *)field ? "****" : "");
        else
            buf_str(out, *(const char *const *)field);
        break;
    case CONFIG_KIND_LIST:
        for (size_t i = 0; i < list->n; i++)
            buf_printf(out, "%s%s", i ? "," : "",
                       row->flags & CONFIG_SECRET ? "****" : list->items[i]);
        break;
    }
}

void
config_print_effective(FILE *to, const struct config *cfg, enum config_process who)
{
    AUTO_BUF text = {0};

    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);

        if (!(row->process & who))
            continue;
        buf_printf(&text, "%s=", row->name);
        config_write_value(&text, cfg, row);
        buf_str(&text, cfg->is_set[key] ? "\n" : "  # default\n");
    }
    fputs(buf_cstr(&text), to);
}

static void
write_json_text(struct buf *out, const char *s)
{
    jv_write_text(out, s, strlen(s));
}

static void
write_json_value(struct buf *out, const struct config *cfg, const struct config_row *row)
{
    const struct config_list *list = field_of(cfg, row);

    switch (config_types[row->type].kind) {
    case CONFIG_KIND_INT:
    case CONFIG_KIND_BOOL:
        config_write_value(out, cfg, row);
        break;
    case CONFIG_KIND_TEXT:
        write_json_text(out, *(const char *const *)field_of(cfg, row));
        break;
    case CONFIG_KIND_LIST:
        buf_char(out, '[');
        for (size_t i = 0; i < list->n; i++) {
            if (i)
                buf_char(out, ',');
            write_json_text(out, list->items[i]);
        }
        buf_char(out, ']');
        break;
    }
}

void
config_write_json(struct buf *out, const struct config *cfg)
{
    const char *separator = "{";

    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);

        if (!(row->process & cfg->process) || row->flags & CONFIG_SECRET)
            continue;
        buf_printf(out, "%s\"%s\":", separator, row->name);
        write_json_value(out, cfg, row);
        separator = ",";
    }
    buf_char(out, '}');
}

void
config_hash(const struct config *cfg, char out[CONFIG_HASH_LEN])
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: it tells values apart, nothing more */
    AUTO_BUF text = {0};

    for (int key = 0; key < CONFIG_KEY__COUNT; key++) {
        const struct config_row *row = config_row((enum config_key)key);

        if (row->process != CONFIG_BOTH || row->flags & (CONFIG_SECRET | CONFIG_LOCAL))
            continue;
        buf_printf(&text, "%s=", row->name);
        config_write_value(&text, cfg, row);
        buf_char(&text, '\n');
    }
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.p[i]) * 0x100000001b3u;
    snprintf(out, CONFIG_HASH_LEN, "%016llx", (unsigned long long)hash);
}
