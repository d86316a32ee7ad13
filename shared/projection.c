#include "shared/projection.h"

#include <math.h>
#include <stdlib.h>

#include "shared/projection_state.h"
#include "shared/uuid.h"

/* --- arrays ------------------------------------------------------------------------------ */

void *
projection_grow(struct projection *p, void *items, size_t item_size, uint32_t n, uint32_t *cap)
{
    uint32_t old_cap = *cap;

    if (n < old_cap)
        return items;
    *cap = old_cap ? old_cap * 2 : 4;
    return names_resize(&p->names, items, old_cap * item_size, *cap * item_size);
}

/* --- rings ------------------------------------------------------------------------------- */

static void
drop_moment(struct names *names, void *item)
{
    struct moment *m = item;

    text_unref(names, m->id);
    text_unref(names, m->ts);
    name_unref(names, m->type);
    name_unref(names, m->subject_kind);
    text_unref(names, m->subject_id);
}

static void
drop_contribution(struct names *names, void *item)
{
    struct contribution *c = item;

    name_unref(names, c->participant);
    text_unref(names, c->action);
    text_unref(names, c->reasons_json);
    text_unref(names, c->ts);
    name_unref(names, c->message_type);
}

static void
drop_evaluation(struct names *names, void *item)
{
    struct evaluation *e = item;

    text_unref(names, e->commitment_id);
    text_unref(names, e->reasons_json);
    text_unref(names, e->ts);
}

static void
drop_signal(struct names *names, void *item)
{
    struct signal_entry *s = item;

    text_unref(names, s->id);
    name_unref(names, s->name);
    text_unref(names, s->severity_json);
    text_unref(names, s->source_json);
    text_unref(names, s->ts);
    text_unref(names, s->payload_json);
    text_unref(names, s->acknowledged_at);
    text_unref(names, s->acknowledged_by_json);
}

static void
drop_progress(struct names *names, void *item)
{
    struct progress_entry *e = item;

    name_unref(names, e->participant);
    text_unref(names, e->message);
    text_unref(names, e->ts);
}

static void
drop_call(struct names *names, void *item)
{
    struct llm_call *c = item;

    name_unref(names, c->participant);
    text_unref(names, c->model_json);
    text_unref(names, c->ts);
    text_unref(names, c->message_id_json);
    text_unref(names, c->artifact_id_json);
}

static const struct ring_shape {
    size_t item_size;
    uint32_t max;
    void (*drop)(struct names *names, void *item);
} ring_shapes[RING__COUNT] = {
    [RING_TIMELINE] = {sizeof(struct moment), 50, drop_moment},
    [RING_CONTRIBUTIONS] = {sizeof(struct contribution), 50, drop_contribution},
    [RING_EVALUATIONS] = {sizeof(struct evaluation), 50, drop_evaluation},
    [RING_SIGNALS] = {sizeof(struct signal_entry), 200, drop_signal},
    [RING_PROGRESS] = {sizeof(struct progress_entry), 100, drop_progress},
    [RING_CALLS] = {sizeof(struct llm_call), 100, drop_call},
};

void *
ring_at(const struct projection *p, enum ring_kind kind, uint32_t i)
{
    const struct ring *ring = &p->rings[kind];
    uint32_t slot = ring->start + i;

    if (slot >= ring->cap)
        slot -= ring->cap;
    return ring->items + slot * ring_shapes[kind].item_size;
}

void *
ring_push(struct projection *p, enum ring_kind kind)
{
    const struct ring_shape *shape = &ring_shapes[kind];
    struct ring *ring = &p->rings[kind];
    void *item;

    if (ring->n == shape->max) {
        shape->drop(&p->names, ring_at(p, kind, 0));
        ring->start = (ring->start + 1) % ring->cap;
        ring->n--;
    } else if (ring->n == ring->cap) {
        uint32_t cap = ring->cap ? ring->cap * 2 : 4;

        if (cap > shape->max)
            cap = shape->max;
        ring->items = names_resize(&p->names, ring->items, ring->cap * shape->item_size,
                                   cap * shape->item_size);
        ring->cap = cap;
    }
    item = ring_at(p, kind, ring->n++);
    memset(item, 0, shape->item_size);
    return item;
}

static void
ring_fini(struct projection *p, enum ring_kind kind)
{
    struct ring *ring = &p->rings[kind];

    for (uint32_t i = 0; i < ring->n; i++)
        ring_shapes[kind].drop(&p->names, ring_at(p, kind, i));
    names_resize(&p->names, ring->items, ring->cap * ring_shapes[kind].item_size, 0);
}

/* --- small parts ------------------------------------------------------------------------- */

void
projection_put_run(struct projection *p, enum run_field field, struct text *json)
{
    text_put(&p->names, &p->run_json[field], json);
    if (field == RUN_FIELD_STATUS)
        p->terminal = text_is(json, "\"completed\"") || text_is(json, "\"failed\"") ||
                      text_is(json, "\"cancelled\"");
}

bool
projection_event_id(const struct projection *p, int64_t seq, char *out)
{
    if (p->computes_ids)
        uuid_of_event(p->run_id->p, seq, out);
    return p->computes_ids;
}

void
projection_link_artifact(struct projection *p, struct view id)
{
    struct trace_state *trace = &p->trace;
    struct name *name = name_intern(&p->names, id);

    if (name->linked || trace->n_artifacts >= ITEMS_MAX) {
        name_unref(&p->names, name);
        return;
    }
    trace->artifacts = projection_grow(p, trace->artifacts, sizeof(struct name *),
                                       trace->n_artifacts, &trace->artifacts_cap);
    trace->artifacts[trace->n_artifacts++] = name;
    name->linked = true;
}

int64_t
projection_latest_seq(const struct projection *p)
{
    return p->latest_seq;
}

bool
projection_final_decision(const struct projection *p, const char **action, bool *has_confidence,
                          double *confidence)
{
    const struct decision *d = &p->decision;

    if (!d->present || !d->finalized)
        return false;
    *action = d->action ? d->action->p : "";
    *has_confidence = !isnan(d->confidence);
    *confidence = *has_confidence ? d->confidence : 0;
    return true;
}

/* --- life -------------------------------------------------------------------------------- */

struct projection *
projection_alloc(struct view run_id)
{
    struct projection *p = xcalloc(1, sizeof *p);

    p->run_id = text_new(&p->names, run_id);
    p->computes_ids = uuid_is_valid(p->run_id->p);
    p->decision.confidence = NAN;
    return p;
}

struct projection *
projection_new(const char *run_id)
{
    struct projection *p = projection_alloc(view_of(run_id));

    projection_put_run(p, RUN_FIELD_STATUS, text_new(&p->names, view_of("\"queued\"")));
    return p;
}

size_t
projection_memory(const struct projection *p)
{
    return sizeof *p + p->names.bytes;
}

static void
decision_fini(struct projection *p)
{
    struct decision *d = &p->decision;

    text_unref(&p->names, d->action);
    text_unref(&p->names, d->reasons_json);
    text_unref(&p->names, d->proposal_id);
    text_unref(&p->names, d->prompt);
    text_unref(&p->names, d->resolved_at);
    text_unref(&p->names, d->resolved_by_json);
    text_unref(&p->names, d->supersedes_json);
}

static void
policy_fini(struct projection *p)
{
    struct policy *policy = &p->policy;

    tally_fini(p);
    text_unref(&p->names, policy->version);
    text_unref(&p->names, policy->description);
    text_unref(&p->names, policy->resolved_at);
    text_unref(&p->names, policy->expected_json);
}

static void
trace_fini(struct projection *p)
{
    struct trace_state *trace = &p->trace;

    text_unref(&p->names, trace->trace_id);
    text_unref(&p->names, trace->last_span_id);
    for (uint32_t i = 0; i < trace->n_artifacts; i++)
        name_unref(&p->names, trace->artifacts[i]);
    names_resize(&p->names, trace->artifacts, trace->artifacts_cap * sizeof(struct name *), 0);
}

void
projection_free(struct projection *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < RUN_FIELD__COUNT; i++)
        text_unref(&p->names, p->run_json[i]);
    for (unsigned i = 0; i < RING__COUNT; i++)
        ring_fini(p, (enum ring_kind)i);
    graph_fini(p);
    decision_fini(p);
    policy_fini(p);
    trace_fini(p);
    text_unref(&p->names, p->run_id);
    if (p->names.n)
        BUG("%u names outlive their projection", p->names.n);
    names_resize(&p->names, p->names.buckets, p->names.n_buckets * sizeof *p->names.buckets, 0);
    if (p->names.bytes)
        BUG("%zu bytes outlive their projection", p->names.bytes);
    free(p);
}
