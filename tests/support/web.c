#include "tests/support/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"

static const char *const lighttpd[] = {"/usr/sbin/lighttpd", "-D", "-f", NULL};
static const char *const apache[] = {"/usr/sbin/apache2", "-D", "FOREGROUND", "-f", NULL};

const struct web_server web_servers[WEB__COUNT] = {
    [WEB_SPAWNED] = {"spawned", lighttpd, "lighttpd.conf.example"},
    [WEB_HELD] = {"held", lighttpd, "lighttpd.conf.example", .held = true},
    [WEB_APACHE] = {"apache", apache, "fcgi/apache.conf.example", .held = true},
    [WEB_CGI] = {"cgi", lighttpd, "fcgi/lighttpd-cgi.conf.example"},
};

/*
 * What a directive is replaced by: %d the test's directory, %b the build, %p the port, %e the
 * settings as lighttpd writes lists.
 */
struct directive {
    unsigned kinds; /* bits, by enum web_kind */
    const char *name;
    const char *becomes;
};

#define SPAWNED  (1u << WEB_SPAWNED)
#define CGI      (1u << WEB_CGI)
#define LIGHTTPD (SPAWNED | 1u << WEB_HELD | CGI)
#define APACHE   (1u << WEB_APACHE)

/* All of a kind must be in its example, or the test would not run what people run. */
// clang-format off
static const struct directive directives[] = {
    {LIGHTTPD, "var.port", "var.port = %p\n"},
    {LIGHTTPD, "var.run",  "var.run = \"%d\"\n"},
    {LIGHTTPD, "var.log",  "var.log = \"%d/lighttpd.log\"\n"},
    /* The lines of its "spawned" form that the other form lacks. */
    {SPAWNED,  "\"socket\"", "\"socket\" => var.socket, \"bin-path\" => \"%b/macp-fcgi\", "
                             "\"max-procs\" => 1, \"kill-signal\" => 15,\n"},
    {CGI,      "var.program", "var.program = \"%b/macp-fcgi\"\n"},
    {CGI,      "\"DATABASE_URL_FILE\"", "%e"},
    {CGI,      "\"AUTH_API_KEYS_FILE\"", ""},
    {APACHE,   "Define MACP_PORT", "Define MACP_PORT %p\n"},
    {APACHE,   "Define MACP_RUN",  "Define MACP_RUN %d\n"},
    {APACHE,   "Define MACP_LOG",  "Define MACP_LOG %d/apache.log\n"},
};
// clang-format on

static void
write_settings(const char *const *env, struct buf *out)
{
    for (; *env; env++) {
        int name = (int)strcspn(*env, "=");

        buf_printf(out, "\"%.*s\" => \"%s\",\n", name, *env, *env + name + 1);
    }
}

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
        case 'e':
            write_settings(paths->env, out);
            break;
        default:
            BUG("%%%c in a directive", *text);
        }
    }
}

/* Blanks of any number are one; a longer name that begins the same is another one. */
static bool
begins_with(const char *line, const char *name)
{
    line += strspn(line, " \t");
    for (; *name; name++) {
        if (*name != *line)
            return false;
        line += *name == ' ' ? strspn(line, " \t") : 1;
    }
    return *line && strchr(" \t=+", *line);
}

static const struct directive *
find_directive(enum web_kind kind, const char *line)
{
    for (size_t i = 0; i < ARRAY_LEN(directives); i++)
        if (directives[i].kinds & 1u << kind && begins_with(line, directives[i].name))
            return &directives[i];
    return NULL;
}

static void
write_line(const struct web_paths *paths, const char *text, unsigned *seen, struct buf *out)
{
    const struct directive *d = find_directive(paths->kind, text);

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
        if (directives[i].kinds & 1u << paths->kind && !(seen & 1u << i))
            return err_set(err, ERR_CONFIG, "%s sets no %s", web_servers[paths->kind].example,
                           directives[i].name);
    return true;
}

bool
web_config(const struct web_paths *paths, struct err *err)
{
    const char *example = web_servers[paths->kind].example;
    AUTO_BUF out = {0};
    char line[4096];
    unsigned seen = 0;
    FILE *f = fopen(example, "r");

    if (!f)
        return err_set(err, ERR_IO, "cannot read %s: %s", example, strerror(errno));
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

bool
web_read_arguments(int argc, char **argv, enum web_kind *out)
{
    *out = WEB_SPAWNED;
    if (argc == 1)
        return true;
    for (int i = 0; argc == 3 && strcmp(argv[1], "--web") == 0 && i < WEB__COUNT; i++)
        if (strcmp(argv[2], web_servers[i].name) == 0) {
            *out = (enum web_kind)i;
            return true;
        }
    fprintf(stderr, "usage: %s [--web spawned|held|apache|cgi]\n", argv[0]);
    return false;
}
