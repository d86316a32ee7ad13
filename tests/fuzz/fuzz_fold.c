/*
 * Any JSON array as the events of a run. Whatever they hold, folding must not fail, the state must
 * survive being stored and loaded, and where it was stored must not show in what comes after.
 */
#include <stdint.h>
#include <stdlib.h>

#include "shared/json.h"
#include "shared/projection.h"

#define RUN_ID "00000000-0000-4000-8000-000000000001"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What is no whole event still has a type, a subject and data of some kind. */
static void
make_event(const json_t *item, size_t i, struct event *e)
{
    const char *type = jv_cstr(jv_get(item, "type"));
    const json_t *subject = jv_get(item, "subject"), *trace = jv_get(item, "trace");
    json_t *data = jv_get(item, "data");

    *e = (struct event){.id = jv_cstr(jv_get(item, "id")), .seq = (int64_t)i + 1};
    event_set_time(e, 1772359200000 + (int64_t)i);
    e->type = event_type_parse(type);
    e->type_name = e->type == EVENT_UNKNOWN ? type : NULL;
    event_set_subject(e, jv_cstr(jv_get(subject, "kind")), jv_cstr(jv_get(subject, "id")));
    e->trace_id = jv_cstr(jv_get(trace, "traceId"));
    e->span_id = jv_cstr(jv_get(trace, "spanId"));
    e->data = json_incref(data ? data : (json_t *)item);
}

static void
fold_item(struct projection *p, const json_t *item, size_t i)
{
    struct event e;

    if (!event_read(item, &e))
        make_event(item, i, &e);
    projection_fold(p, &e);
    json_decref(e.data);
}

static struct projection *
stored_and_loaded(struct projection *p)
{
    struct buf texts[PROJECTION__COUNT] = {0};
    const char *sections[PROJECTION__COUNT];
    AUTO_BUF before = {0}, after = {0};
    struct projection *loaded = NULL;
    int64_t version;
    struct err err;

    projection_write(p, &before);
    for (unsigned i = 0; i < PROJECTION__COUNT; i++) {
        projection_write_section(p, (enum projection_section)i, &texts[i]);
        sections[i] = buf_cstr(&texts[i]);
    }
    version = projection_latest_seq(p);
    projection_free(p);
    if (!projection_load_sections(sections, version, &loaded, &err))
        BUG("%s", err.msg);
    for (unsigned i = 0; i < PROJECTION__COUNT; i++)
        buf_fini(&texts[i]);
    projection_write(loaded, &after);
    if (before.len != after.len || memcmp(before.p, after.p, after.len) != 0)
        BUG("stored as %s, loaded as %s", before.p, after.p);
    return loaded;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    AUTO_JSON *events = jv_parse((const char *)bytes, n);
    size_t count = json_array_size(events);
    struct projection *whole = projection_new(RUN_ID), *parts = projection_new(RUN_ID);
    AUTO_BUF a = {0}, b = {0};

    for (size_t i = 0; i < count; i++) {
        fold_item(whole, json_array_get(events, i), i);
        fold_item(parts, json_array_get(events, i), i);
        if (i == count / 2)
            parts = stored_and_loaded(parts);
    }
    parts = stored_and_loaded(parts);
    projection_write(whole, &a);
    projection_write(parts, &b);
    if (a.len != b.len || memcmp(a.p, b.p, b.len) != 0)
        BUG("folded at once %s, in parts %s", a.p, b.p);
    projection_free(whole);
    projection_free(parts);
    return 0;
}
