#include "shared/event.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/json.h"

static const char *const names[EVENT__COUNT] = {
#define X(id, name) [id] = name,
    EVENT_TYPE_LIST(X)
#undef X
};

const char *
event_type_name(enum event_type type)
{
    return type < EVENT__COUNT ? names[type] : "unknown";
}

enum event_type
event_type_parse(const char *name)
{
    for (unsigned i = 0; name && i < EVENT__COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return (enum event_type)i;
    return EVENT_UNKNOWN;
}

/* --- one event --------------------------------------------------------------------------- */

void
event_set_time(struct event *e, int64_t ts_ms)
{
    e->ts_ms = ts_ms;
    clock_text(ts_ms, e->ts);
}

void
event_set_subject(struct event *e, const char *kind, const char *id)
{
    bool present = kind && *kind && id && *id;

    e->subject_kind = present ? kind : NULL;
    e->subject_id = present ? id : NULL;
}

static const char *
text_member(const json_t *object, const char *key)
{
    const char *text = jv_cstr(jv_get(object, key));

    return text && *text ? text : NULL;
}

bool
event_read(const json_t *document, struct event *out)
{
    const json_t *seq = jv_get(document, "seq"), *data = jv_get(document, "data");
    const json_t *subject = jv_get(document, "subject"), *source = jv_get(document, "source");
    const json_t *trace = jv_get(document, "trace");
    const char *type = jv_cstr(jv_get(document, "type")), *ts = jv_cstr(jv_get(document, "ts"));
    double n = json_number_value(seq);
    struct event e = {0};

    if (!type || !ts || !json_is_object(data) || !json_is_number(seq) ||
        !(fabs(n) <= EVENT_SEQ_MAX) || !clock_parse(ts, &e.ts_ms))
        return false;
    e.id = text_member(document, "id");
    e.seq = (int64_t)n;
    clock_text(e.ts_ms, e.ts);
    e.type = event_type_parse(type);
    e.type_name = e.type == EVENT_UNKNOWN ? type : NULL;
    event_set_subject(&e, jv_cstr(jv_get(subject, "kind")), jv_cstr(jv_get(subject, "id")));
    e.source_kind = text_member(source, "kind");
    e.source_name = text_member(source, "name");
    e.raw_type = text_member(source, "rawType");
    e.trace_id = text_member(trace, "traceId");
    e.span_id = text_member(trace, "spanId");
    e.parent_span_id = text_member(trace, "parentSpanId");
    e.cost_model = text_member(document, "costModel");
    e.data = json_incref((json_t *)data);
    *out = e;
    return true;
}

/* --- lists ------------------------------------------------------------------------------- */

struct event *
event_list_add(struct event_list *list, enum event_type type, int64_t ts_ms)
{
    struct event *e;

    if (list->n == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 8;
        list->items = xrealloc(list->items, list->cap * sizeof *list->items);
    }
    e = &list->items[list->n];
    *e = (struct event){.type = type, .data = json_object()};
    if (!e->data)
        BUG("out of memory");
    event_set_time(e, ts_ms);
    list->n++;
    return e;
}

void
event_list_reset(struct event_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        json_decref(list->items[i].data);
    list->n = 0;
}

void
event_list_fini(struct event_list *list)
{
    event_list_reset(list);
    free(list->items);
    *list = (struct event_list){0};
}
