#include "tests/support/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"

/* What a directive is replaced by: %d the test's directory, %b the build, %p the port. */
struct directive {
    const char *name;
    const char *becomes;
};

/* All of them must be in the example, or the test would not run what people run. */
// clang-format off
static const struct directive directives[] = {
    {"var.port", "var.port = %p\n"},
    {"var.run",  "var.run = \"%d\"\n"},
    {"var.log",  "var.log = \"%d/lighttpd.log\"\n"},
    /* The lines of its "spawned" form that the other form lacks. */
    {"\"socket\"", "\"socket\" => var.socket, \"bin-path\" => \"%b/macp-fcgi\", "
                   "\"max-procs\" => 1, \"kill-signal\" => 15,\n"},
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

static void
write_line(const struct web_paths *paths, const char *text, unsigned *seen, struct buf *out)
{
    const struct directive *d = find_directive(text);

    if (!d) {
        buf_str(out, text);
        return;
    }
    *seen |= 1u << (d - directives);
    expand(paths, d->becomes, out);
}

static bool
all_seen(const struct web_paths *paths, unsigned seen, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(directives); i++)
        if (!(seen & (1u << i)))
            return err_set(err, ERR_CONFIG, "%s sets no %s", paths->example, directives[i].name);
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
    if (!all_seen(paths, seen, err))
        return false;
    f = fopen(paths->config, "w");
    if (!f || fwrite(out.p, 1, out.len, f) != out.len || fclose(f) != 0)
        return err_set(err, ERR_IO, "cannot write %s: %s", paths->config, strerror(errno));
    return true;
}
