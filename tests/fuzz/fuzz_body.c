/*
 * fuzz_body.c - any request body, read by its content type and by the field table of every route.
 * Input: the content type, a line end, the body. What is refused must be refused in words that fit
 * into JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/reply.h"
#include "fcgi/route.h"
#include "fcgi/validate.h"
#include "shared/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_schema(const json_t *document, const struct body_schema *schema)
{
    AUTO_BUF list = {0};
    AUTO_TEXTS texts = {0};
    json_error_t e;
    json_t *v;

    body_validate(document, schema, &texts);
    buf_printf(&list, "[%s]", buf_cstr(&texts.json));
    v = json_loads(buf_cstr(&list), 0, &e);
    if (!v || json_array_size(v) != texts.n)
        BUG("%zu texts are %zu: %s", texts.n, json_array_size(v), v ? "" : e.text);
    json_decref(v);
}

static void
check_refusal(const struct err *err)
{
    AUTO_BUF body = {0};
    json_error_t e;
    json_t *v;

    if (!err->code)
        BUG("refused without a reason");
    reply_error_body(&body, err);
    v = json_loadb(body.p, body.len, 0, &e);
    if (!v)
        BUG("not JSON: %s", e.text);
    json_decref(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = memchr(data, '\n', n);
    size_t type_len = end ? (size_t)(end - data) : n, body_at = end ? type_len + 1 : n;
    char *type = xstrndup((const char *)data, type_len), *body, *variable;
    struct arena arena = {0};
    struct request rq;
    struct err err = {0};

    body = xmalloc(n - body_at + 1);
    memcpy(body, data + body_at, n - body_at);
    body[n - body_at] = '\0';
    variable = arena_printf(&arena, "CONTENT_TYPE=%s", type);
    request_init(&rq, NULL, &arena, (char *const[]){variable, NULL});
    rq.body = body;
    rq.body_len = n - body_at;
    if (request_parse_body(&rq, &err)) {
        if (!json_is_object(rq.document) && !json_is_array(rq.document))
            BUG("a document that is none");
        for (size_t i = 0; i < routes_n; i++)
            if (routes[i].body)
                check_schema(rq.document, routes[i].body);
    } else {
        check_refusal(&err);
    }
    request_fini(&rq);
    arena_fini(&arena);
    free(type);
    free(body);
    return 0;
}
