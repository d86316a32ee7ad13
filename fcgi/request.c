#include "fcgi/request.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "fcgi/app.h"
#include "fcgi/route.h"
#include "shared/api_key.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/uuid.h"

static const struct {
    const char *name;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},     {"HEAD", HTTP_HEAD},     {"POST", HTTP_POST},
    {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE}, {"OPTIONS", HTTP_OPTIONS},
};

/* --- environment ------------------------------------------------------------------------- */

const char *
request_env(const struct request *rq, const char *name)
{
    size_t n = strlen(name);

    for (char *const *e = rq->env; *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

void
request_init(struct request *rq, struct app *app, struct arena *arena, char *const *env)
{
    const char *mark;

    *rq = (struct request){.app = app, .arena = arena, .env = env, .body = ""};
    rq->started_ms = clock_mono_ms();
    rq->method_name = request_env(rq, "REQUEST_METHOD");
    if (!rq->method_name)
        rq->method_name = "";
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(methods[i].name, rq->method_name) == 0)
            rq->method = methods[i].method;

    /* The only path variable that every web server passes on as it was sent. */
    rq->target = request_env(rq, "REQUEST_URI");
    if (!rq->target)
        rq->target = "";
    mark = strchr(rq->target, '?');
    rq->path = mark ? arena_strndup(arena, rq->target, (size_t)(mark - rq->target)) : rq->target;
    rq->query = mark ? mark + 1 : "";
    rq->address = request_env(rq, "REMOTE_ADDR");
    if (!rq->address)
        rq->address = "";
    rq->actor = API_KEY_NOBODY;
}

void
request_fini(struct request *rq)
{
    json_decref(rq->document);
    rq->document = NULL;
}

/* --- percent encoding -------------------------------------------------------------------- */

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *
request_decode(struct arena *arena, const char *p, size_t n, bool plus)
{
    char *out = arena_alloc(arena, n + 1), *to = out;

    for (size_t i = 0; i < n; i++) {
        int high, low;

        if (p[i] != '%') {
            *to++ = plus && p[i] == '+' ? ' ' : p[i];
            continue;
        }
        if (i + 2 >= n)
            return NULL;
        high = hex_value(p[i + 1]);
        low = hex_value(p[i + 2]);
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return NULL;
        *to++ = (char)(high << 4 | low);
        i += 2;
    }
    *to = '\0';
    return jv_is_utf8(out, (size_t)(to - out)) ? out : NULL;
}

/* --- body -------------------------------------------------------------------------------- */

/* The media type without parameters equals name. */
static bool
is_media_type(const char *content_type, const char *name)
{
    size_t n = strcspn(content_type, "; \t");

    return n == strlen(name) && strncasecmp(content_type, name, n) == 0;
}

static bool
check_charset(const char *content_type, struct err *err)
{
    const char *p = strcasestr(content_type, "charset=");
    size_t n;

    if (!p)
        return true;
    p += strlen("charset=");
    if (*p == '"')
        p++;
    n = strcspn(p, "\"; \t");
    if ((n == 5 && strncasecmp(p, "utf-8", n) == 0) || (n == 4 && strncasecmp(p, "utf8", n) == 0))
        return true;
    return err_set(err, ERR_MEDIA_TYPE, "unsupported charset \"%.*s\"", (int)(n < 40 ? n : 40), p);
}

static bool
check_encoding(const struct request *rq, struct err *err)
{
    const char *encoding = request_env(rq, "HTTP_CONTENT_ENCODING");

    if (!encoding || !*encoding || strcasecmp(encoding, "identity") == 0)
        return true;
    return err_set(err, ERR_MEDIA_TYPE, "unsupported content encoding \"%.40s\"", encoding);
}

/*
 * A document that spells U+0000 is parsed with the character kept, so that validation can name
 * the field. The lenient parser would replace it.
 */
static json_t *
parse_document(const char *p, size_t n)
{
    json_t *v = NULL;

    if (memmem(p, n, "\\u0000", 6) && jv_is_utf8(p, n)) {
        json_error_t e;

        v = json_loadb(p, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &e);
    }
    return v ? v : jv_parse(p, n);
}

static bool
parse_json(struct request *rq, struct err *err)
{
    const char *p = rq->body;
    size_t n = rq->body_len;

    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        n -= 3;
    }
    if (n == 0) {
        rq->document = json_object();
        return true;
    }
    if (memchr(p, '\0', n))
        return err_set(err, ERR_VALIDATION, "Unexpected NUL byte in JSON");
    rq->document = parse_document(p, n);
    if (!json_is_object(rq->document) && !json_is_array(rq->document))
        return err_set(err, ERR_VALIDATION, "Request body is no JSON object or array");
    return true;
}

static void
form_add(json_t *document, const char *key, const char *value)
{
    json_t *old = json_object_get(document, key), *text = json_string(value);

    if (!old) {
        json_object_set_new(document, key, text);
    } else if (json_is_array(old)) {
        json_array_append_new(old, text);
    } else {
        json_t *list = json_array();

        json_array_append(list, old);
        json_array_append_new(list, text);
        json_object_set_new(document, key, list);
    }
}

static bool
parse_form(struct request *rq, struct err *err)
{
    const char *p = rq->body, *end = p + rq->body_len;

    if (rq->body_len > REQUEST_FORM_MAX)
        return err_set(err, ERR_TOO_LARGE, "request entity too large");
    rq->document = json_object();
    while (p < end) {
        const char *stop = memchr(p, '&', (size_t)(end - p));
        const char *pair_end = stop ? stop : end;
        const char *equals = memchr(p, '=', (size_t)(pair_end - p));
        const char *name_end = equals ? equals : pair_end, *from = equals ? equals + 1 : pair_end;
        char *key = request_decode(rq->arena, p, (size_t)(name_end - p), true);
        char *value = request_decode(rq->arena, from, (size_t)(pair_end - from), true);

        if (!key || !value)
            return err_set(err, ERR_VALIDATION, "Failed to decode form body");
        if (*key)
            form_add(rq->document, key, value);
        p = stop ? stop + 1 : end;
    }
    return true;
}

bool
request_parse_body(struct request *rq, struct err *err)
{
    const char *type = request_env(rq, "CONTENT_TYPE");
    bool is_json, is_form;

    if (rq->body_state == REQUEST_BODY_TOO_LARGE)
        return err_set(err, ERR_TOO_LARGE, "request entity too large");
    if (rq->body_state == REQUEST_BODY_CUT)
        return err_set(err, ERR_VALIDATION, "request size did not match content length");
    is_json = type && is_media_type(type, "application/json");
    is_form = type && is_media_type(type, "application/x-www-form-urlencoded");
    if (rq->body_len > 0 && (is_json || is_form)) {
        if (!check_charset(type, err) || !check_encoding(rq, err))
            return false;
        return is_json ? parse_json(rq, err) : parse_form(rq, err);
    }
    rq->document = json_object();
    return true;
}

/* --- database ---------------------------------------------------------------------------- */

static bool
query_once(struct request *rq, struct db *db, enum sql_id id, const struct db_args *args,
           struct db_result **out, struct err *err)
{
    bool slow = rq->route && rq->route->flags & ROUTE_SLOW;

    if (!db_is_connected(db)) {
        db_set_timeout(db, REQUEST_DB_FAST_MS);
        if (!db_connect(db, err))
            return false;
    }
    db_set_timeout(db, slow ? REQUEST_DB_SLOW_MS : REQUEST_DB_FAST_MS);
    return db_run(db, id, args, out, err);
}

bool
request_query(struct request *rq, struct db *db, enum sql_id id, const struct db_args *args,
              struct db_result **out, struct err *err)
{
    bool was_connected = db_is_connected(db);

    if (query_once(rq, db, id, args, out, err))
        return true;
    /* The server was restarted since the last request: a fresh connection may well work. */
    if (err->code != ERR_DB || !was_connected || clock_mono_ms() - rq->started_ms > 500)
        return false;
    return query_once(rq, db, id, args, out, err);
}

void
request_add_actor(struct request *rq, struct db_args *args)
{
    char *audit_id = arena_alloc(rq->arena, UUID_LEN);

    uuid_v4(audit_id);
    db_arg_text(args, rq->actor);
    db_arg_text(args, REQUEST_ACTOR_TYPE);
    db_arg_text(args, rq->request_id);
    db_arg_text(args, audit_id);
}
