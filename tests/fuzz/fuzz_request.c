/*
 * fuzz_request.c - a whole request, from its environment to its reply, while the database is away.
 * Input: "METHOD target", header lines, an empty line, the body. Whatever comes, there must be a
 * reply with a status, headers of which none was smuggled in, and a body of its type.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/app.h"
#include "fcgi/auth.h"
#include "fcgi/http_metrics.h"
#include "fcgi/outcome.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/serve.h"
#include "fcgi/throttle.h"
#include "shared/json.h"
#include "shared/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { VARIABLES_MAX = 64 };

struct message {
    struct arena arena;
    char *env[VARIABLES_MAX + 1];
    size_t n;
    const char *body;
    size_t body_len;
};

static struct app *
app(void)
{
    static char env[] = "MACP_ENV=development", keys[] = "AUTH_API_KEYS=0123456789abcdef",
                nowhere[] = "DATABASE_URL=postgresql:///none?host=/nonexistent",
                proxies[] = "TRUSTED_PROXIES=10.0.0.0/8,::1/128",
                limit[] = "THROTTLE_LIMIT=1000000";
    char *const envp[] = {env, keys, nowhere, proxies, limit, NULL};
    static struct app a;
    struct config_report report = {0};
    struct config *config;

    if (a.config)
        return &a;
    if (!config_load(CONFIG_FCGI, envp, &config, &report))
        BUG("no settings");
    config_report_fini(&report);
    log_open("fuzz", LOG_SILENT);
    a.config = config;
    a.auth = auth_new(&config->auth_api_keys);
    a.throttle = throttle_new(config->throttle_limit, config->throttle_ttl_ms);
    a.http = http_metrics_new();
    a.outcomes = outcomes_new(1);
    return &a;
}

/* --- input ----------------------------------------------------------------------------------- */

static void
add(struct message *m, char *variable)
{
    if (m->n < VARIABLES_MAX)
        m->env[m->n++] = variable;
}

/* As web servers name them: "X-Request-ID: 7" is HTTP_X_REQUEST_ID=7. */
static void
add_header(struct message *m, const char *line)
{
    const char *colon = strchr(line, ':'), *value;
    bool plain = strncasecmp(line, "content-type:", 13) == 0;
    char *variable;
    size_t name;

    if (!colon)
        return;
    value = colon + 1 + strspn(colon + 1, " ");
    variable = arena_printf(&m->arena, "%s%.*s=%s", plain ? "" : "HTTP_", (int)(colon - line), line,
                            value);
    name = strcspn(variable, "=");
    for (size_t i = 0; i < name; i++)
        variable[i] = variable[i] == '-' ? '_' : (char)toupper((unsigned char)variable[i]);
    add(m, variable);
}

static void
read_message(struct message *m, const uint8_t *data, size_t n)
{
    const char *p = (const char *)data, *end = p + n;
    bool first = true;

    while (p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        char *line = arena_strndup(&m->arena, p, (size_t)((eol ? eol : end) - p));
        char *blank = strchr(line, ' ');

        p = eol ? eol + 1 : end;
        if (!*line)
            break;
        if (!first) {
            add_header(m, line);
            continue;
        }
        first = false;
        if (blank) {
            *blank = '\0';
            add(m, arena_printf(&m->arena, "REQUEST_URI=%s", blank + 1));
        }
        add(m, arena_printf(&m->arena, "REQUEST_METHOD=%s", line));
    }
    add(m, arena_printf(&m->arena, "REMOTE_ADDR=10.0.0.1"));
    m->body_len = (size_t)(end - p);
    m->body = arena_alloc(&m->arena, m->body_len + 1);
    memcpy((char *)(uintptr_t)m->body, p, m->body_len);
    ((char *)(uintptr_t)m->body)[m->body_len] = '\0';
}

/* --- output ---------------------------------------------------------------------------------- */

static bool
is_token(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)p[i]) && p[i] != '-')
            return false;
    return n > 0;
}

/* Lines of a name and a value without control characters, then an empty one. */
static void
check_head(const struct buf *head)
{
    const char *p = buf_cstr(head);

    if (strlen(p) != head->len)
        BUG("a NUL in the head");
    while (strncmp(p, "\r\n", 2) != 0) {
        const char *eol = strstr(p, "\r\n"), *colon = strchr(p, ':');

        if (!eol || !colon || colon > eol || !is_token(p, (size_t)(colon - p)))
            BUG("a line that is no header: %s", p);
        for (const char *c = colon; c < eol; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                BUG("a control character in a header");
        p = eol + 2;
    }
    if (p[2])
        BUG("two heads");
}

static void
check_body(const struct reply *r)
{
    json_t *v;

    if (!r->has_content_type || r->content_type)
        return;
    v = json_loadb(buf_cstr(&r->body), r->body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!v)
        BUG("no JSON: %s", buf_cstr(&r->body));
    json_decref(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct db *db;
    struct message m = {0};
    struct reply reply = {0};
    AUTO_BUF head = {0};
    struct request rq;

    if (!db)
        db = db_new(app()->config->database_url, "fuzz", REQUEST_DB_FAST_MS);
    read_message(&m, data, n);
    request_init(&rq, app(), &m.arena, m.env);
    rq.db = rq.read_db = db;
    rq.reply = &reply;
    rq.body = m.body;
    rq.body_len = m.body_len;
    serve(&rq);
    reply_write_head(&rq, &head);
    if (reply.status < 200 || reply.status > 599)
        BUG("status %d", reply.status);
    check_head(&head);
    check_body(&reply);
    request_fini(&rq);
    reply_fini(&reply);
    arena_fini(&m.arena);
    return 0;
}
