/*
 * docs.c - GET /docs, /docs-json and /docs-yaml.
 *
 * The page is written from the same document that programs read; it needs no script and nothing
 * from elsewhere, and says so to the browser.
 */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/app.h"
#include "fcgi/handlers.h"
#include "fcgi/openapi.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "shared/json.h"

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}"
    "pre{background:#8882;padding:.5rem;overflow-x:auto}"
    "details{border-top:1px solid #8886;padding:.3rem 0}"
    "summary{cursor:pointer}summary b{display:inline-block;width:4.5rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.1rem 1rem .1rem 0;"
    "vertical-align:top}h2{margin-top:2rem}";

/* --- writing --------------------------------------------------------------------------------- */

static void
html_text(struct buf *b, const char *s)
{
    for (; s && *s; s++) {
        switch (*s) {
        case '<':
            buf_lit(b, "&lt;");
            break;
        case '>':
            buf_lit(b, "&gt;");
            break;
        case '&':
            buf_lit(b, "&amp;");
            break;
        case '"':
            buf_lit(b, "&quot;");
            break;
        default:
            buf_char(b, *s);
        }
    }
}

static void
html_json(struct buf *b, const json_t *v)
{
    char *text = json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY);

    buf_lit(b, "<pre>");
    html_text(b, text);
    buf_lit(b, "</pre>");
    free(text);
}

static void
html_member(struct buf *b, const json_t *object, const char *name)
{
    html_text(b, jv_cstr(jv_get(object, name)));
}

/* --- one operation --------------------------------------------------------------------------- */

static void
write_parameters(struct buf *b, const json_t *operation)
{
    const json_t *parameter;
    size_t i;

    if (json_array_size(json_object_get(operation, "parameters")) == 0)
        return;
    buf_lit(b, "<table>");
    json_array_foreach (json_object_get(operation, "parameters"), i, parameter) {
        char *schema = json_dumps(json_object_get(parameter, "schema"), JSON_COMPACT);

        buf_lit(b, "<tr><td><code>");
        html_member(b, parameter, "name");
        buf_lit(b, "</code></td><td>");
        html_member(b, parameter, "in");
        buf_lit(b, "</td><td><code>");
        html_text(b, schema);
        buf_lit(b, "</code> ");
        html_member(b, parameter, "description");
        buf_lit(b, "</td></tr>");
        free(schema);
    }
    buf_lit(b, "</table>");
}

static void
write_samples(struct buf *b, const json_t *examples)
{
    const char *name;
    json_t *example;

    json_object_foreach ((json_t *)(uintptr_t)examples, name, example) {
        buf_lit(b, "<p><code>");
        html_member(b, example, "x-target");
        buf_lit(b, "</code></p>");
        if (json_object_get(example, "value"))
            html_json(b, json_object_get(example, "value"));
    }
}

static void
write_responses(struct buf *b, const json_t *operation)
{
    const char *status, *type;
    json_t *response, *media;

    json_object_foreach (json_object_get(operation, "responses"), status, response) {
        if (json_object_get(response, "$ref"))
            continue;
        buf_printf(b, "<h4>%s ", status);
        html_member(b, response, "description");
        buf_lit(b, "</h4>");
        write_samples(b, json_object_get(response, "x-examples"));
        json_object_foreach (json_object_get(response, "content"), type, media)
            write_samples(b, json_object_get(media, "examples"));
    }
}

static void
write_operation(struct buf *b, const char *path, const char *method, const json_t *operation)
{
    const char *role = jv_cstr(jv_get(operation, "x-role"));
    const json_t *body = json_object_get(operation, "requestBody");
    json_t *media = json_object_get(json_object_get(body, "content"), "application/json");

    buf_printf(b, "<details><summary><b>%s</b><code>", method);
    html_text(b, path);
    buf_lit(b, "</code> ");
    html_member(b, operation, "summary");
    buf_lit(b, "</summary><p>");
    buf_str(b, role ? "Key: " : "No key needed.");
    html_text(b, role);
    buf_lit(b, "</p>");
    write_parameters(b, operation);
    if (media) {
        buf_lit(b, "<h4>Body</h4>");
        html_json(b, json_object_get(media, "schema"));
    }
    write_responses(b, operation);
    buf_lit(b, "</details>");
}

/* --- the page -------------------------------------------------------------------------------- */

static void
write_section(struct buf *b, const json_t *document, const char *section)
{
    const char *path, *method;
    json_t *operations, *operation;

    buf_lit(b, "<h2>");
    html_text(b, section);
    buf_lit(b, "</h2>");
    json_object_foreach (json_object_get(document, "paths"), path, operations)
        json_object_foreach (operations, method, operation)
            if (strcmp(json_string_value(json_array_get(json_object_get(operation, "tags"), 0)),
                       section) == 0)
                write_operation(b, path, method, operation);
}

static void
write_page(struct buf *b, const json_t *document)
{
    const json_t *info = json_object_get(document, "info");
    AUTO_JSON *sections = json_object();
    const char *path, *method, *section;
    json_t *operations, *operation, *unused;

    buf_printf(b,
               "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
               "name=\"viewport\" content=\"width=device-width\"><title>%s</title><style>%s</style>"
               "</head><body><h1>%s</h1><p>",
               json_string_value(json_object_get(info, "title")), style,
               json_string_value(json_object_get(info, "title")));
    html_member(b, info, "description");
    buf_lit(b, " Keys go in <code>Authorization: Bearer &lt;key&gt;</code>. For programs: "
               "<a href=\"/docs-json\">OpenAPI 3.1</a>.</p>");
    json_object_foreach (json_object_get(document, "paths"), path, operations)
        json_object_foreach (operations, method, operation)
            json_object_set_new(
                sections, json_string_value(json_array_get(json_object_get(operation, "tags"), 0)),
                json_true());
    json_object_foreach (sections, section, unused)
        write_section(b, document, section);
    buf_lit(b, "</body></html>\n");
}

static void
add_policy(struct request *rq)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    AUTO_BUF policy = {0};

    SHA256((const unsigned char *)style, strlen(style), digest);
    buf_lit(&policy, "default-src 'none'; style-src 'sha256-");
    buf_base64(&policy, digest, sizeof digest);
    buf_lit(&policy, "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    reply_header(rq, "Content-Security-Policy", buf_cstr(&policy));
    reply_header(rq, "Referrer-Policy", "no-referrer");
}

static bool
is_served(struct request *rq)
{
    if (!rq->app->config->docs_enabled)
        reply_no_route(rq);
    return rq->app->config->docs_enabled;
}

bool
docs_page(struct request *rq, struct err *err UNUSED)
{
    AUTO_JSON *document = NULL;

    if (!is_served(rq))
        return true;
    document = openapi_document();
    add_policy(rq);
    write_page(reply_typed(rq, 200, "text/html; charset=utf-8"), document);
    return true;
}

bool
docs_json(struct request *rq, struct err *err UNUSED)
{
    AUTO_JSON *document = NULL;

    if (!is_served(rq))
        return true;
    document = openapi_document();
    jv_write(reply_json(rq, 200), document);
    return true;
}

/* All JSON is YAML. */
bool
docs_yaml(struct request *rq, struct err *err UNUSED)
{
    AUTO_JSON *document = NULL;

    if (!is_served(rq))
        return true;
    document = openapi_document();
    jv_write(reply_typed(rq, 200, "application/yaml"), document);
    return true;
}
