/*
 * pipeline.h - what the golden tests share: redactors from lists, events as JSON.
 *
 * Purpose    vectors list patterns of which invalid ones are left out, and show events in their
 *            nested form.
 * Ownership  results are new and the caller's.
 * Errors     a broken vector ends the test program. Threads: one.
 */
#ifndef MACP_TESTS_GOLDEN_PIPELINE_H
#define MACP_TESTS_GOLDEN_PIPELINE_H

#include <jansson.h>
#include <stdlib.h>

#include "observerd/redact.h"
#include "shared/event.h"
#include "shared/json.h"
#include "shared/macros.h"

static inline struct redactor *
redactor_of(const json_t *patterns)
{
    const char **valid = xcalloc(json_array_size(patterns) + 1, sizeof *valid);
    struct redactor *r;
    struct err err;
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(patterns); i++) {
        const char *pattern = json_string_value(json_array_get(patterns, i));

        if (redact_new(&pattern, 1, &r, &err)) {
            valid[n++] = pattern;
            redact_free(r);
        }
    }
    if (!redact_new(valid, n, &r, &err))
        BUG("%s", err.msg);
    free(valid);
    return r;
}

static inline void
put_text(json_t *object, const char *key, const char *text)
{
    jv_put(object, key, text ? json_string(text) : NULL);
}

/* type, subject, source, trace and data: what the normalizer decides. */
static inline json_t *
event_document(const struct event *e)
{
    json_t *document = json_object(), *source = json_object(), *part;

    put_text(document, "type", e->type_name ? e->type_name : event_type_name(e->type));
    if (e->subject_kind) {
        part = json_object();
        put_text(part, "kind", e->subject_kind);
        put_text(part, "id", e->subject_id);
        jv_put(document, "subject", part);
    }
    put_text(source, "kind", e->source_kind);
    put_text(source, "name", e->source_name);
    put_text(source, "rawType", e->raw_type);
    jv_put(document, "source", source);
    if (e->trace_id || e->span_id || e->parent_span_id) {
        part = json_object();
        put_text(part, "traceId", e->trace_id);
        put_text(part, "spanId", e->span_id);
        put_text(part, "parentSpanId", e->parent_span_id);
        jv_put(document, "trace", part);
    }
    jv_put(document, "data", json_incref(e->data));
    return document;
}

#endif
