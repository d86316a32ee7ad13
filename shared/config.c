#include "shared/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/buf.h"
#include "shared/config_check.h"
#include "shared/config_file.h"
#include "shared/uuid.h"

enum { NAME_MAX_LEN = 64, FILE_MAX = 65536, SHOWN_MAX = 80 };

static const struct config_row rows[CONFIG_KEY__COUNT] = {
#define X(name, field, type, fallback, min, max, process, flags, doc)                              \
    [CONFIG_KEY_##name] = {#name,                                                                  \
                           CONFIG_TYPE_##type,                                                     \
                           offsetof(struct config, field),                                         \
                           fallback,                                                               \
                           min,                                                                    \
                           max,                                                                    \
                           CONFIG_##process,                                                       \
                           CONFIG_##flags,                                                         \
                           doc},
    CONFIG_TABLE(X)
#undef X
};

/* Names of earlier releases and of macp-control-plane that no longer do anything. */
static const struct {
    const char *name;
    enum config_severity severity;
    const char *text;
} gone[] = {
    {"PORT", CONFIG_NOTICE, "has no effect: the web server listens"},
    {"HOST", CONFIG_NOTICE, "has no effect: the web server listens"},
    {"DB_POOL_MAX", CONFIG_NOTICE, "has no effect: connections follow from the threads"},
    {"DB_POOL_IDLE_TIMEOUT", CONFIG_NOTICE, "has no effect: connections are kept"},
    {"STREAM_HUB_STRATEGY", CONFIG_NOTICE, "has no effect: Postgres carries the notifications"},
    {"REDIS_URL", CONFIG_NOTICE, "has no effect: Postgres carries the notifications"},
    {"KICKOFF_MAX_RETRIES", CONFIG_WARNING,
     "was removed: agents send their own first message, nothing here replaces it"},
    {"RUNTIME_AGENT_TOKENS_JSON", CONFIG_WARNING,
     "was removed: agents hold their own tokens; the observer's is RUNTIME_BEARER_TOKEN"},
    {"RUNTIME_STREAM_SUBSCRIPTION_MESSAGE_TYPE", CONFIG_WARNING,
     "was removed: sessions are subscribed passively, SESSION_DISCOVERY_ENABLED controls the "
     "watch"},
    {"RUNTIME_STREAM_SUBSCRIBER_ID", CONFIG_WARNING,
     "was removed: the observer is who RUNTIME_BEARER_TOKEN says (without one, "
     "RUNTIME_DEV_AGENT_ID)"},
};

static const char *const prefixes[] = {"MACP_",           "RUNTIME_",   "SESSION_", "STREAM_",
                                       "DATA_RETENTION_", "OBSERVERD_", "FCGI_"};

struct loader {
    enum config_process who;
    char *const *envp;
    struct config *cfg;
    struct config_report *report;
};

/* --- report -------------------------------------------------------------------------------- */

void
config_problem_add(struct config_report *report, enum config_severity severity, const char *key,
                   const char *fmt, ...)
{
    char sentence[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    if (report->n == report->cap) {
        report->cap = report->cap * 2 + 16;
        report->items = xrealloc(report->items, report->cap * sizeof *report->items);
    }
    report->items[report->n++] =
        (struct config_problem){severity, arena_strdup(&report->arena, key),
                                arena_printf(&report->arena, "%s: %s", key, sentence)};
    report->count[severity]++;
}

void
config_report_fini(struct config_report *report)
{
    free(report->items);
    arena_fini(&report->arena);
    *report = (struct config_report){0};
}

void
config_report_print(const struct config_report *report, FILE *to)
{
    static const char *const names[CONFIG_SEVERITY__COUNT] = {
        [CONFIG_ERROR] = "error", [CONFIG_WARNING] = "warning", [CONFIG_NOTICE] = "notice"};

    for (int severity = 0; severity < CONFIG_SEVERITY__COUNT; severity++)
        for (size_t i = 0; i < report->n; i++)
            if ((int)report->items[i].severity == severity)
                fprintf(to, "%s: %s\n", names[severity], report->items[i].text);
}

/* --- values -------------------------------------------------------------------------------- */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A copy without surrounding blanks; NULL when nothing is left. */
static char *
trimmed(struct loader *l, const char *s, size_t n)
{
    while (n && is_blank(*s))
        s++, n--;
    while (n && is_blank(s[n - 1]))
        n--;
    return n ? arena_strndup(&l->cfg->arena, s, n) : NULL;
}

static char *
env_value(struct loader *l, const char *name)
{
    size_t n = strlen(name);

    for (char *const *e = l->envp; *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return trimmed(l, *e + n + 1, strlen(*e + n + 1));
    return NULL;
}

/* The whole text of a regular file; NULL with a line in the report that names key. */
static char *
read_file(struct loader *l, const char *key, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char *text = NULL;
    struct stat st;
    ssize_t n = 0;
    size_t len = 0;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        config_problem_add(l->report, CONFIG_ERROR, key, "%s cannot be read: %s", path,
                           fd < 0 ? strerror(errno) : "it is not a regular file");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    text = arena_alloc(&l->cfg->arena, FILE_MAX + 2);
    while (len <= FILE_MAX && (n = read(fd, text + len, FILE_MAX + 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    if (n < 0 || len > FILE_MAX || strlen(text) != len) {
        config_problem_add(l->report, CONFIG_ERROR, key, "%s %s", path,
                           n < 0            ? "cannot be read"
                           : len > FILE_MAX ? "is larger than 64 KiB"
                                            : "contains a NUL byte");
        return NULL;
    }
    return text;
}

/* The value of NAME_FILE: a list may also stand one item a line. */
static char *
twin_value(struct loader *l, const struct config_row *row, const char *given)
{
    char name[NAME_MAX_LEN + 8];
    char *path, *text;

    snprintf(name, sizeof name, "%s_FILE", row->name);
    path = env_value(l, name);
    if (!path)
        return NULL;
    if (given) {
        config_problem_add(l->report, CONFIG_ERROR, name, "is set and %s too: set only one",
                           row->name);
        return NULL;
    }
    text = read_file(l, name, path);
    if (!text)
        return NULL;
    if (config_types[row->type].kind == CONFIG_KIND_LIST)
        for (char *p = text; *p; p++)
            if (*p == '\n')
                *p = ',';
    text = trimmed(l, text, strlen(text));
    if (!text)
        config_problem_add(l->report, CONFIG_ERROR, name, "%s is empty", path);
    return text;
}

static bool
parse_bool(const char *s, bool *out)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(s, words[i]) == 0) {
            *out = i & 1;
            return true;
        }
    return false;
}

static void
split(struct loader *l, const char *s, char separator, struct config_list *out)
{
    const char until[] = {separator, '\0'};
    size_t most = 1;

    for (const char *p = s; *p; p++)
        most += *p == separator;
    *out = (struct config_list){0, arena_alloc(&l->cfg->arena, most * sizeof *out->items)};
    for (;;) {
        size_t n = strcspn(s, until);
        const char *item = trimmed(l, s, n);

        if (item)
            out->items[out->n++] = item;
        if (!s[n])
            return;
        s += n + 1;
    }
}

static void
refuse(struct loader *l, const struct config_row *row, const char *reason, const char *value)
{
    if (row->flags & CONFIG_SECRET)
        config_problem_add(l->report, CONFIG_ERROR, row->name, "%s", reason);
    else
        config_problem_add(l->report, CONFIG_ERROR, row->name, "%s, not \"%.*s%s\"", reason,
                           SHOWN_MAX, value, strlen(value) > SHOWN_MAX ? "..." : "");
}

static bool
in_bounds(const struct config_row *row, const char *text, int64_t *out)
{
    int64_t v;

    if (!config_parse_int(text, &v) || v < row->min || v > row->max)
        return false;
    *out = v;
    return true;
}

static void
put_int(struct loader *l, const struct config_row *row, const char *s, int64_t *out)
{
    char reason[96];

    if (in_bounds(row, s, out))
        return;
    snprintf(reason, sizeof reason, "must be a whole number from %lld to %lld", (long long)row->min,
             (long long)row->max);
    refuse(l, row, reason, s);
}

static void
put_choice(struct loader *l, const struct config_row *row, const char *s, const char **out)
{
    AUTO_BUF reason = {0};

    buf_lit(&reason, "must be one of");
    for (const char *const *c = config_types[row->type].choices; *c; c++) {
        if (strcasecmp(*c, s) == 0) {
            *out = *c;
            return;
        }
        buf_printf(&reason, " %s", *c);
    }
    refuse(l, row, buf_cstr(&reason), s);
}

static void
put_text(struct loader *l, const struct config_row *row, const char *s, const char **out)
{
    const struct config_type_rule *type = &config_types[row->type];
    const char *reason = type->check && *s ? type->check(s) : NULL;

    if (reason)
        refuse(l, row, reason, s);
    else if (type->choices)
        put_choice(l, row, s, out);
    else
        *out = s;
}

/* The items one by one: a secret one is named by its place. */
static void
check_items(struct loader *l, const struct config_row *row, const struct config_list *list)
{
    const struct config_type_rule *type = &config_types[row->type];
    size_t most = row->type == CONFIG_TYPE_SECONDS ? CONFIG_RETRIES_MAX : (size_t)row->max;
    char reason[256];

    if (list->n > most) {
        snprintf(reason, sizeof reason, "must have at most %zu items", most);
        refuse(l, row, reason, "");
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        const char *why = type->check ? type->check(list->items[i]) : NULL;

        if (row->type == CONFIG_TYPE_SECONDS)
            put_int(l, row, list->items[i], &l->cfg->webhook_retry_s[i]);
        if (!why)
            continue;
        snprintf(reason, sizeof reason, "item %zu %s", i + 1, why);
        refuse(l, row, reason, list->items[i]);
    }
    if (row->type == CONFIG_TYPE_SECONDS)
        l->cfg->webhook_retry_n = list->n;
}

static void
put_list(struct loader *l, const struct config_row *row, const char *s, struct config_list *out)
{
    split(l, s, ',', out);
    if (*s && !out->n)
        refuse(l, row, "has commas but no item", s);
    else
        check_items(l, row, out);
}

/* Parse text into the row's field. A refused value leaves the field as it was: at its default. */
static void
put(struct loader *l, const struct config_row *row, const char *s)
{
    void *field = (char *)l->cfg + row->offset;

    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            config_problem_add(l->report, CONFIG_ERROR, row->name, "contains control characters");
            return;
        }
    switch (config_types[row->type].kind) {
    case CONFIG_KIND_INT:
        put_int(l, row, s, field);
        break;
    case CONFIG_KIND_BOOL:
        if (!parse_bool(s, field))
            refuse(l, row, "must be 1/0, true/false, yes/no or on/off", s);
        break;
    case CONFIG_KIND_TEXT:
        put_text(l, row, s, field);
        break;
    case CONFIG_KIND_LIST:
        put_list(l, row, s, field);
        break;
    }
}

/* --- the table ----------------------------------------------------------------------------- */

static const struct config_row *
find_row(const char *name)
{
    for (size_t i = 0; i < CONFIG_KEY__COUNT; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static void
put_default(struct loader *l, const struct config_row *row)
{
    static const char development[] = "@development?";
    const char *fallback = row->fallback;
    enum config_kind kind = config_types[row->type].kind;

    if (strncmp(fallback, development, sizeof development - 1) == 0) {
        fallback += sizeof development - 1;
        if (!l->cfg->is_development)
            fallback = kind == CONFIG_KIND_BOOL ? "false" : "";
    } else if (fallback[0] == '@') {
        const struct config_row *other = find_row(fallback + 1);
        void *to = (char *)l->cfg + row->offset;
        const void *from;

        if (!other || config_types[other->type].kind != kind || kind == CONFIG_KIND_LIST)
            BUG("default of %s", row->name);
        from = (const char *)l->cfg + other->offset;
        memcpy(to, from,
               kind == CONFIG_KIND_INT    ? sizeof(int64_t)
               : kind == CONFIG_KIND_BOOL ? sizeof(bool)
                                          : sizeof(const char *));
        return;
    }
    put(l, row, fallback);
}

static void
load_row(struct loader *l, size_t key)
{
    const struct config_row *row = &rows[key];
    char *value, *twin;

    put_default(l, row);
    if (!(row->process & l->who))
        return;
    value = env_value(l, row->name);
    if (row->flags & CONFIG_SECRET) {
        twin = twin_value(l, row, value);
        value = value ? value : twin;
    }
    if (!value && key == CONFIG_KEY_MACP_ENV) {
        value = env_value(l, "NODE_ENV");
        /* Whatever else it was called, it was not development. */
        if (value && strcasecmp(value, "development") != 0 && strcasecmp(value, "test") != 0)
            value = NULL;
    }
    if (value) {
        l->cfg->is_set[key] = true;
        put(l, row, value);
    }
    if (key == CONFIG_KEY_MACP_ENV)
        l->cfg->is_development = strcmp(l->cfg->macp_env, "development") == 0;
}

/* Values that follow from others, from files or from the machine. */
static void
derive(struct loader *l)
{
    struct config *cfg = l->cfg;
    struct config_list of_file = {0};
    const char **all;
    char *id;

    if (!cfg->fcgi_threads) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);

        cfg->fcgi_threads = cores > 2 ? cores * 4 : 8;
        if (cfg->fcgi_threads > rows[CONFIG_KEY_FCGI_THREADS].max)
            cfg->fcgi_threads = rows[CONFIG_KEY_FCGI_THREADS].max;
    }
    id = arena_alloc(&cfg->arena, UUID_LEN);
    if (cfg->observerd_instance_id[0])
        uuid_lower(cfg->observerd_instance_id, id); /* as Postgres prints it */
    else
        uuid_v4(id);
    cfg->observerd_instance_id = id;
    if (cfg->macp_redact_patterns_file[0]) {
        char *text = read_file(l, "MACP_REDACT_PATTERNS_FILE", cfg->macp_redact_patterns_file);

        if (text)
            split(l, text, '\n', &of_file);
    }
    all = arena_alloc(&cfg->arena, (cfg->macp_redact_patterns.n + of_file.n + 1) * sizeof *all);
    for (size_t i = 0; i < cfg->macp_redact_patterns.n; i++)
        all[i] = cfg->macp_redact_patterns.items[i];
    for (size_t i = 0; i < of_file.n; i++)
        all[cfg->macp_redact_patterns.n + i] = of_file.items[i];
    cfg->redact_patterns = (struct config_list){cfg->macp_redact_patterns.n + of_file.n, all};
}

/* --- names that are not in the table ------------------------------------------------------- */

static size_t
distance(const char *a, const char *b)
{
    size_t line[NAME_MAX_LEN + 1], n = strlen(b);

    for (size_t j = 0; j <= n; j++)
        line[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t corner = line[0];

        line[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);

            corner = line[j];
            if (line[j] + 1 < best)
                best = line[j] + 1;
            if (line[j - 1] + 1 < best)
                best = line[j - 1] + 1;
            line[j] = best;
        }
    }
    return line[n];
}

/* Calls visit with every name that means something: the table's and the twins of its secrets. */
static void
each_name(void (*visit)(const char *known, void *arg), void *arg)
{
    char twin[NAME_MAX_LEN + 8];

    for (size_t i = 0; i < CONFIG_KEY__COUNT; i++) {
        visit(rows[i].name, arg);
        if (rows[i].flags & CONFIG_SECRET) {
            snprintf(twin, sizeof twin, "%s_FILE", rows[i].name);
            visit(twin, arg);
        }
    }
}

struct nearest {
    const char *name;
    size_t distance;
    char known[NAME_MAX_LEN + 8];
};

static void
compare_name(const char *known, void *arg)
{
    struct nearest *best = arg;
    size_t d = distance(best->name, known);

    if (d < best->distance) {
        best->distance = d;
        snprintf(best->known, sizeof best->known, "%s", known);
    }
}

static void
check_name(struct loader *l, const char *name)
{
    struct nearest best = {.name = name, .distance = SIZE_MAX};
    bool ours = false;

    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (strcmp(name, gone[i].name) == 0) {
            config_problem_add(l->report, gone[i].severity, name, "%s", gone[i].text);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        ours |= strncmp(name, prefixes[i], strlen(prefixes[i])) == 0;
    if (!ours || strcmp(name, "FCGI_WEB_SERVER_ADDRS") == 0) /* the FastCGI library's own */
        return;
    each_name(compare_name, &best);
    if (best.distance > strlen(name) / 2)
        config_problem_add(l->report, CONFIG_WARNING, name, "is not a known variable");
    else if (best.distance > 0)
        config_problem_add(l->report, CONFIG_WARNING, name,
                           "is not a known variable; the nearest one is %s", best.known);
}

static void
check_names(struct loader *l)
{
    for (char *const *e = l->envp; *e; e++) {
        size_t n = strcspn(*e, "=");
        char name[NAME_MAX_LEN + 1];

        /* Empty is unset, and no name that could be meant is longer. */
        if (n > NAME_MAX_LEN || !(*e)[n] || !trimmed(l, *e + n + 1, strlen(*e + n + 1)))
            continue;
        memcpy(name, *e, n);
        name[n] = '\0';
        check_name(l, name);
    }
}

/* --- entry points -------------------------------------------------------------------------- */

bool
config_load(enum config_process who, char *const envp[], struct config **out,
            struct config_report *report)
{
    struct config *cfg = xcalloc(1, sizeof *cfg);
    struct loader l = {who, envp, cfg, report};
    size_t errors = report->count[CONFIG_ERROR];

    cfg->process = who;
    cfg->env_file = "";
    for (size_t i = 0; i < CONFIG_KEY__COUNT; i++)
        load_row(&l, i);
    derive(&l);
    config_check_all(cfg, who, report);
    check_names(&l);
    if (report->count[CONFIG_ERROR] > errors) {
        config_free(cfg);
        return false;
    }
    *out = cfg;
    return true;
}

bool
config_load_env(enum config_process who, const char *env_file, struct config **out,
                struct config_report *report)
{
    struct arena arena = {0};
    char **envp = environ;
    bool ok = (!*env_file || config_file_read(env_file, environ, &arena, &envp, report)) &&
              config_load(who, envp, out, report);

    if (ok)
        (*out)->env_file = arena_strndup(&(*out)->arena, env_file, strlen(env_file));
    arena_fini(&arena);
    return ok;
}

void
config_free(struct config *cfg)
{
    if (!cfg)
        return;
    arena_fini(&cfg->arena);
    free(cfg);
}

const struct config_row *
config_row(enum config_key key)
{
    return &rows[key];
}
