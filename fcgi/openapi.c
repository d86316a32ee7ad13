#include "fcgi/openapi.h"

#include <ctype.h>
#include <string.h>

#include "fcgi/json_schema.h"
#include "fcgi/model.h"
#include "fcgi/operation.h"
#include "fcgi/reply.h"
#include "fcgi/route.h"
#include "fcgi/validate.h"
#include "shared/json.h"

/* The object that is a member, made when it is not there yet. Lent. */
static json_t *
member_object(json_t *object, const char *name)
{
    if (!json_object_get(object, name))
        jv_put(object, name, json_object());
    return json_object_get(object, name);
}

/* A refusal as reply.c writes it. */
static json_t *
sample_refusal(const struct sample *s)
{
    AUTO_BUF text = {0};
    struct err err;

    if (s->message[0] == '{')
        return jv_parse(s->message, strlen(s->message));
    err_set(&err, s->code, "%s", s->message[0] == '[' ? "" : s->message);
    reply_error_body(&text, &err);
    json_t *body = jv_parse(buf_cstr(&text), text.len);

    if (s->message[0] == '[')
        jv_put(body, "message", jv_parse(s->message, strlen(s->message)));
    return body;
}

/* --- requests -------------------------------------------------------------------------------- */

static const char *
query_doc(const struct query_field *f)
{
    if (f->type == QUERY_FLAG)
        return "Anything but true counts as false.";
    if (f->flags & QUERY_CLAMP)
        return "Larger values count as the largest one.";
    if (f->flags & QUERY_CLAMP_MIN)
        return "Smaller values count as the smallest one.";
    if (f->type == QUERY_TIME)
        return "A time or a date.";
    if (f->type == QUERY_TAGS || f->type == QUERY_NAMES)
        return "Separated by commas.";
    return NULL;
}

static void
add_query(json_t *parameters, const struct query_field *f)
{
    for (; f && f->name; f++) {
        json_t *p = json_pack("{s:s, s:s, s:o}", "name", f->name, "in", "query", "schema",
                              json_schema_query(f));
        const char *doc = query_doc(f);

        if (doc)
            jv_put(p, "description", json_string(doc));
        if (f->type == QUERY_TAGS || f->type == QUERY_NAMES)
            jv_put(p, "explode", json_false());
        json_array_append_new(parameters, p);
    }
}

/* Parameters of the path, and the path as OpenAPI writes it: ":id" becomes "{id}". */
static void
add_path(json_t *parameters, const struct route *route, struct buf *path)
{
    bool first = true;

    for (const char *p = route->path; *p;) {
        size_t n = strcspn(p + 1, "/") + 1;

        if (p[1] != ':') {
            buf_add(path, p, n);
        } else {
            json_t *schema = json_schema_typed("string");
            json_t *name = json_stringn(p + 2, n - 2);

            if (first && route->flags & ROUTE_RUN_ID)
                jv_put(schema, "format", json_string("uuid"));
            first = false;
            buf_printf(path, "/{%s}", json_string_value(name));
            json_array_append_new(parameters, json_pack("{s:o, s:s, s:b, s:o}", "name", name, "in",
                                                        "path", "required", 1, "schema", schema));
        }
        p += n;
    }
}

static void
add_body(json_t *operation, const struct body_schema *body)
{
    jv_put(operation, "requestBody",
           json_pack("{s:{s:{s:o}}}", "content", "application/json", "schema",
                     json_schema_body(body)));
}

/* --- answers --------------------------------------------------------------------------------- */

struct media {
    const char *type;
    json_t *schema; /* new */
};

static int
success_media(json_t *schemas, const struct operation *o, struct media out[2])
{
    json_t *ref = o->model ? json_schema_model(schemas, o->model) : json_object();
    json_t *page = o->page ? json_schema_model(schemas, o->page) : NULL;
    int n = 0;

    switch (o->answer) {
    case ANSWER_NOTHING:
        json_decref(ref);
        break;
    case ANSWER_OBJECT:
        out[n++] = (struct media){"application/json", ref};
        break;
    case ANSWER_LIST:
        out[n++] = (struct media){"application/json", json_schema_list(ref)};
        break;
    case ANSWER_EITHER:
        out[n++] = (struct media){"application/json",
                                  json_pack("{s:[o, o]}", "anyOf", json_schema_list(ref), page)};
        break;
    case ANSWER_EXPORT:
        out[n++] = (struct media){"application/json", ref};
        out[n++] = (struct media){REPLY_LINES, page};
        break;
    case ANSWER_LINES:
        out[n++] = (struct media){REPLY_LINES, ref};
        break;
    case ANSWER_TEXT:
        json_decref(ref);
        out[n++] = (struct media){"text/plain", json_schema_typed("string")};
        break;
    case ANSWER_STREAM:
        json_decref(ref);
        out[n++] = (struct media){"text/event-stream", json_schema_typed("string")};
        break;
    }
    return n;
}

static json_t *
success_sample(const struct operation *o)
{
    switch (o->answer) {
    case ANSWER_OBJECT:
    case ANSWER_EXPORT:
    case ANSWER_LINES:
        return json_schema_sample(o->model);
    case ANSWER_LIST:
    case ANSWER_EITHER:
        return o->model ? json_pack("[o]", json_schema_sample(o->model)) : json_array();
    case ANSWER_STREAM:
        return json_string("event: heartbeat\ndata: {\"ts\":\"2026-05-01T10:00:00.125Z\"}\n\n");
    default:
        return json_string("# HELP process_open_fds Open file descriptors.\n");
    }
}

/* Statuses that every operation of the kind may answer; components of their own. */
static const struct common {
    int status;
    const char *name, *doc;
    enum err_code code;
    const char *message;
} commons[] = {
    // clang-format off
    {401, "Unauthorized", "No key, or a wrong one", ERR_UNAUTHORIZED, "Missing Authorization header"},
    {403, "Forbidden", "The key's role may not do this", ERR_FORBIDDEN, "this needs a key with the role admin"},
    {408, "RequestTimeout", "The body did not arrive in time", ERR_BODY_LATE, "the body did not arrive in time"},
    {413, "TooLarge", "The body is larger than 1 MiB", ERR_TOO_LARGE, "request entity too large"},
    {415, "UnsupportedMediaType", "The body is compressed or not in UTF-8", ERR_MEDIA_TYPE, "unsupported content encoding \"gzip\""},
    {429, "TooManyRequests", "More requests than allowed; Retry-After says when to come back", ERR_RATE_LIMITED, "ThrottlerException: Too Many Requests"},
    {503, "Unavailable", "A part that is needed is away; try again", ERR_DB, ""},
    // clang-format on
};

static const char *
status_doc(int status)
{
    static const struct {
        int status;
        const char *doc;
    } docs[] = {
        {200, "OK"},
        {201, "Done"},
        {202, "Accepted"},
        {204, "Done; no body"},
        {400, "Bad request"},
        {404, "Not found"},
        {409, "Conflict"},
        {410, "Removed"},
        {501, "Not supported"},
        {502, "Callback failed"},
        {504, "No result in time"},
    };

    for (size_t i = 0; i < ARRAY_LEN(docs); i++)
        if (docs[i].status == status)
            return docs[i].doc;
    return "See the body";
}

/* 400 and 404 have either form; others one. */
static json_t *
refusal_schema(json_t *schemas, int status)
{
    json_t *message = json_schema_model(schemas, &model_message);
    json_t *failure = json_schema_model(schemas, &model_failure);

    if (status == 401 || status == 408 || status == 413 || status == 415) {
        json_decref(failure);
        return message;
    }
    if (status == 403 || status == 410 || status == 429 || status >= 500) {
        json_decref(message);
        return failure;
    }
    return json_pack("{s:[o, o]}", "anyOf", message, failure);
}

static json_t *
response(int status, json_t *content)
{
    json_t *r = json_pack("{s:s}", "description", status_doc(status));

    if (content)
        jv_put(r, "content", content);
    return r;
}

static void
put_response(json_t *responses, int status, json_t *value)
{
    char name[8];

    snprintf(name, sizeof name, "%d", status);
    jv_put(responses, name, value);
}

static void
add_success(json_t *schemas, json_t *responses, const struct operation *o, int status)
{
    struct media media[2];
    int n = success_media(schemas, o, media);
    json_t *content = n ? json_object() : NULL;

    for (int i = 0; i < n; i++)
        jv_put(content, media[i].type, json_pack("{s:o}", "schema", media[i].schema));
    put_response(responses, status, response(status, content));
}

static void
add_refusal(json_t *schemas, json_t *responses, int status)
{
    put_response(responses, status,
                 response(status, json_pack("{s:{s:o}}", "application/json", "schema",
                                            refusal_schema(schemas, status))));
}

static bool
has_common(const struct route *route, int status)
{
    switch (status) {
    case 403:
        return route->access > ROUTE_READ;
    case 408:
    case 413:
    case 415:
        return route->body != NULL;
    default:
        return route->access != ROUTE_PUBLIC;
    }
}

static json_t *
make_responses(json_t *schemas, const struct route *route, const struct operation *o)
{
    json_t *responses = json_object();

    if (o->status)
        add_success(schemas, responses, o, o->status);
    if (route->access != ROUTE_PUBLIC && (route->query || route->body || strchr(route->path, ':')))
        add_refusal(schemas, responses, 400);
    for (size_t i = 0; i < OPERATION_OTHERS_MAX && o->others[i]; i++)
        if (o->others[i] < 400)
            add_success(schemas, responses, o, o->others[i]);
        else
            add_refusal(schemas, responses, o->others[i]);
    for (size_t i = 0; i < ARRAY_LEN(commons); i++)
        if (has_common(route, commons[i].status))
            put_response(responses, commons[i].status,
                         json_schema_reference("responses", commons[i].name));
    return responses;
}

/* --- samples --------------------------------------------------------------------------------- */

/* Where a sample of a status belongs: at its media type, or at the response when it has no body. */
static json_t *
sample_place(json_t *operation, const struct operation *o, const struct sample *s)
{
    char status[8];
    const char *type = "application/json";
    json_t *at;

    snprintf(status, sizeof status, "%d", s->status);
    at = json_object_get(json_object_get(operation, "responses"), status);
    if (s->status == o->status) {
        if (o->answer == ANSWER_NOTHING)
            return member_object(at, "x-examples");
        type = o->answer == ANSWER_LINES    ? REPLY_LINES
               : o->answer == ANSWER_TEXT   ? "text/plain"
               : o->answer == ANSWER_STREAM ? "text/event-stream"
                                            : type;
    }
    at = json_object_get(json_object_get(at, "content"), type);
    return at ? member_object(at, "examples") : NULL;
}

static void
add_sample(json_t *operation, const struct operation *o, const struct sample *s)
{
    json_t *place = sample_place(operation, o, s);
    json_t *example = json_pack("{s:s}", "x-target", s->target);

    if (!place)
        BUG("%s: a sample answers %d, which is no answer of it", s->path, s->status);
    if (s->message)
        jv_put(example, "value", sample_refusal(s));
    else if (o->answer != ANSWER_NOTHING)
        jv_put(example, "value", success_sample(o));
    jv_put(place, s->name, example);
    if (s->body) {
        json_t *content = json_object_get(json_object_get(operation, "requestBody"), "content");

        jv_put(member_object(json_object_get(content, "application/json"), "examples"), s->name,
               json_pack("{s:o}", "value", jv_parse(s->body, strlen(s->body))));
    }
}

/* --- operations ------------------------------------------------------------------------------ */

static const struct {
    const char *name, *lower;
} methods[] = {
    [HTTP_GET] = {"GET", "get"},
    [HTTP_POST] = {"POST", "post"},
    [HTTP_PATCH] = {"PATCH", "patch"},
    [HTTP_DELETE] = {"DELETE", "delete"},
};

static const char *const roles[] = {
    [ROUTE_READ] = "read",
    [ROUTE_OPERATE] = "operate",
    [ROUTE_ADMIN] = "admin",
};

/* getRunsIdEvents: unique, and stable as long as method and path are. */
static void
write_operation_id(const struct route *route, struct buf *out)
{
    bool upper = true;

    buf_str(out, methods[route->method].lower);
    for (const char *p = route->path; *p; p++) {
        if (!isalnum((unsigned char)*p)) {
            upper = true;
            continue;
        }
        buf_char(out, upper ? (char)toupper((unsigned char)*p) : *p);
        upper = false;
    }
}

static void
add_operation(json_t *document, const struct route *route, const struct operation *o)
{
    json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    json_t *parameters = json_array(), *operation;
    AUTO_BUF path = {0};
    AUTO_BUF id = {0};

    add_path(parameters, route, &path);
    add_query(parameters, route->query);
    write_operation_id(route, &id);
    operation = json_pack("{s:s, s:s, s:[s]}", "operationId", buf_cstr(&id), "summary",
                          route->summary, "tags", o->tag);
    if (route->access == ROUTE_PUBLIC)
        jv_put(operation, "security", json_array());
    else
        jv_put(operation, "x-role", json_string(roles[route->access]));
    if (o->others[0] == 410)
        jv_put(operation, "deprecated", json_true());
    if (json_array_size(parameters) > 0)
        jv_put(operation, "parameters", parameters);
    else
        json_decref(parameters);
    if (route->body)
        add_body(operation, route->body);
    jv_put(operation, "responses", make_responses(schemas, route, o));
    for (size_t i = 0; i < samples_n; i++)
        if (samples[i].method == route->method && strcmp(samples[i].path, route->path) == 0)
            add_sample(operation, o, &samples[i]);
    jv_put(member_object(json_object_get(document, "paths"), buf_cstr(&path)),
           methods[route->method].lower, operation);
}

static json_t *
common_responses(json_t *schemas)
{
    json_t *responses = json_object();

    for (size_t i = 0; i < ARRAY_LEN(commons); i++) {
        const struct sample s = {.code = commons[i].code, .message = commons[i].message};

        jv_put(responses, commons[i].name,
               json_pack("{s:s, s:{s:{s:o, s:o}}}", "description", commons[i].doc, "content",
                         "application/json", "schema", refusal_schema(schemas, commons[i].status),
                         "example", sample_refusal(&s)));
    }
    return responses;
}

json_t *
openapi_document(void)
{
    json_t *schemas = json_object();
    json_t *document = json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:{}, s:{s:o, s:o, s:{s:{s:s, s:s, "
        "s:s}}}}",
        "openapi", "3.1.0", "info", "title", "MACP Observer", "version", MACP_VERSION,
        "description",
        "Runs of the Multi-Agent Coordination Protocol: start them, watch them, ask about them.",
        "servers", "url", "/", "security", "key", "paths", "components", "schemas", schemas,
        "responses", common_responses(schemas), "securitySchemes", "key", "type", "http", "scheme",
        "bearer", "description",
        "An API key. Each operation names the role that the key needs in x-role.");

    for (size_t i = 0; i < routes_n; i++) {
        const struct operation *o = operation_of(&routes[i]);

        if (o)
            add_operation(document, &routes[i], o);
    }
    return document;
}
