#include "shared/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 4096 };

static bool
complain(struct config_report *report, const char *path, int line, const char *what)
{
    config_problem_add(report, CONFIG_ERROR, "--env-file", "%s:%d: %s", path, line, what);
    return false;
}

static char *
skip_blanks(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

static void
cut_blanks(char *s)
{
    size_t n = strlen(s);

    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = '\0';
}

/* In place; false: quotes that do not match. */
static bool
unquote(char *value)
{
    char quote = *value, *to = value, *from = value + 1;

    if (quote != '"' && quote != '\'')
        return true;
    for (; *from && *from != quote; *to++ = *from++)
        if (quote == '"' && *from == '\\' && (from[1] == '"' || from[1] == '\\'))
            from++;
    *to = '\0';
    return *from == quote && !from[1];
}

/* *entry: "NAME=value", NULL for a line without one. */
static bool
read_line(char *line, struct arena *arena, char **entry, const char **what)
{
    char *name = skip_blanks(line), *value;
    size_t n = 0;

    *entry = NULL;
    cut_blanks(name);
    if (!*name || *name == '#' || *name == ';')
        return true;
    *what = "is not NAME=value";
    while (isalnum((unsigned char)name[n]) || name[n] == '_')
        n++;
    if (!n || isdigit((unsigned char)*name) || name[n] != '=')
        return false;
    value = skip_blanks(name + n + 1);
    *what = "has quotes that do not match";
    if (!unquote(value))
        return false;
    *entry = arena_printf(arena, "%.*s=%s", (int)n, name, value);
    return true;
}

bool
config_file_read(const char *path, char *const envp[], struct arena *arena, char ***out,
                 struct config_report *report)
{
    FILE *f = fopen(path, "re");
    size_t n_env = 0, n = 0, cap = 0;
    char *line = NULL, **all;
    int number = 0;
    bool ok = true;

    if (!f) {
        config_problem_add(report, CONFIG_ERROR, "--env-file", "%s cannot be read: %s", path,
                           strerror(errno));
        return false;
    }
    while (envp[n_env])
        n_env++;
    all = arena_alloc(arena, (LINES_MAX + n_env + 1) * sizeof *all);
    /* Filled from the back, so that the last line of a name is the first that is found. */
    while (number < LINES_MAX && getline(&line, &cap, f) >= 0) {
        const char *what;
        char *entry;

        number++;
        if (!read_line(line, arena, &entry, &what))
            ok = complain(report, path, number, what);
        else if (entry)
            all[LINES_MAX - ++n] = entry;
    }
    if (ferror(f) || !feof(f))
        ok = complain(report, path, number, "cannot be read to the end");
    free(line);
    fclose(f);
    all += LINES_MAX - n;
    memcpy(all + n, envp, (n_env + 1) * sizeof *all);
    *out = all;
    return ok;
}
