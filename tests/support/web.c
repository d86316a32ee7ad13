#include "tests/support/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"

/* What becomes of a directive: %d the test's directory, %b the build, %p the port; NULL: dropped. */
struct directive {
    const char *name;
    const char *becomes;
    bool required; /* the example must have it, or the test would not run what people run */
};

// clang-format off
static const struct directive directives[] = {
    {"server.port",          "server.port = %p",                         true},
    {"server.bind",          "server.bind = \"127.0.0.1\"",              false},
    {"server.username",      NULL,                                       false},
    {"server.groupname",     NULL,                                       false},
    {"server.pid-file",      NULL,                                       false},
    {"server.errorlog",      NULL,                                       false},
    {"accesslog.filename",   NULL,                                       false},
    {"server.upload-dirs",   "server.upload-dirs = ( \"%d\" )",          false},
    {"server.document-root", "server.document-root = \"%d\"",            false},
};

/* Members of the FastCGI table, wherever they stand in a line. */
static const struct directive members[] = {
    {"\"socket\"",   "\"%d/fcgi.sock\"", true},
    {"\"bin-path\"", "\"%b/macp-fcgi\"", true},
};
// clang-format on

static void
expand(const struct web_paths *paths, const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (*text != '%') {
            buf_char(out, *text);
            continue;
        }
        switch (*++text) {
        case 'd':
            buf_str(out, paths->dir);
            break;
        case 'b':
            buf_str(out, paths->build);
            break;
        case 'p':
            buf_int(out, paths->port);
            break;
        default:
            BUG("%%%c in a directive", *text);
        }
    }
}

/* The directive at the start of a line; a longer name that begins the same is another one. */
static const struct directive *
find_directive(const char *line)
{
    const char *start = line + strspn(line, " \t");
    size_t len = strcspn(start, " \t=+");

    for (size_t i = 0; i < ARRAY_LEN(directives); i++)
        if (strlen(directives[i].name) == len && strncmp(directives[i].name, start, len) == 0)
            return &directives[i];
    return NULL;
}

/* "name" => "value": the value is replaced, the rest of the line stays. */
static bool
replace_member(const struct web_paths *paths, const struct directive *m, struct buf *line)
{
    const char *name = strstr(buf_cstr(line), m->name);
    const char *open = name ? strchr(name + strlen(m->name), '"') : NULL;
    const char *close = open ? strchr(open + 1, '"') : NULL;
    AUTO_BUF changed = {0};

    if (!close || buf_cstr(line)[strspn(buf_cstr(line), " \t")] == '#')
        return false;
    buf_add(&changed, line->p, (size_t)(open - line->p));
    expand(paths, m->becomes, &changed);
    buf_str(&changed, close + 1);
    buf_reset(line);
    buf_add(line, changed.p, changed.len);
    return true;
}

static void
write_line(const struct web_paths *paths, const char *text, unsigned *seen, struct buf *out)
{
    const struct directive *d = find_directive(text);
    AUTO_BUF line = {0};

    if (d) {
        *seen |= 1u << (d - directives);
        if (d->becomes)
            expand(paths, d->becomes, out);
        buf_char(out, '\n');
        return;
    }
    buf_str(&line, text);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (replace_member(paths, &members[i], &line))
            *seen |= 1u << (ARRAY_LEN(directives) + i);
    buf_str(out, buf_cstr(&line));
}

static bool
all_required_seen(const struct web_paths *paths, unsigned seen, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(directives) + ARRAY_LEN(members); i++) {
        const struct directive *d =
            i < ARRAY_LEN(directives) ? &directives[i] : &members[i - ARRAY_LEN(directives)];

        if (d->required && !(seen & (1u << i)))
            return err_set(err, ERR_CONFIG, "%s sets no %s", paths->example, d->name);
    }
    return true;
}

bool
web_config(const struct web_paths *paths, struct err *err)
{
    AUTO_BUF out = {0};
    char line[4096];
    unsigned seen = 0;
    FILE *f = fopen(paths->example, "r");

    if (!f)
        return err_set(err, ERR_IO, "cannot read %s: %s", paths->example, strerror(errno));
    while (fgets(line, sizeof(line), f))
        write_line(paths, line, &seen, &out);
    fclose(f);
    if (!all_required_seen(paths, seen, err))
        return false;
    /* The default is every address. */
    if (!strstr(buf_cstr(&out), "server.bind"))
        buf_lit(&out, "\nserver.bind = \"127.0.0.1\"\n");
    f = fopen(paths->config, "w");
    if (!f || fwrite(out.p, 1, out.len, f) != out.len || fclose(f) != 0)
        return err_set(err, ERR_IO, "cannot write %s: %s", paths->config, strerror(errno));
    return true;
}
