/* Participants with their states, and the graph of who spoke to whom. */
#include "shared/projection_state.h"

/* Dropping more edges than this at once renews the index instead of unlinking one by one. */
enum { EDGES_UNLINK_MAX = 32, EDGES_CAP_MIN = 16, EDGES_CAP_STEADY = 512 };

const char *const node_status_names[NODE_STATUS__COUNT] = {
    [NODE_SKIPPED] = "skipped", [NODE_IDLE] = "idle",           [NODE_WAITING] = "waiting",
    [NODE_ACTIVE] = "active",   [NODE_COMPLETED] = "completed", [NODE_FAILED] = "failed",
};

/* --- participants ------------------------------------------------------------------------ */

static bool
is_final(enum node_status status)
{
    return status == NODE_COMPLETED || status == NODE_FAILED || status == NODE_SKIPPED;
}

/* Participants cannot take the names of the nodes that stand for the stages of a run. */
static bool
is_reserved(const struct name *id)
{
    static const char *const reserved[] = {"__start", "__proposal", "__decision", "__outcome"};

    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (strcmp(id->p, reserved[i]) == 0)
            return true;
    return false;
}

static bool
has_been_active(const struct participant *who)
{
    return who->latest_activity && who->latest_activity->len;
}

/* Takes over the references of the loaded item. */
void
graph_load_participant(struct projection *p, const struct participant *loaded)
{
    uint32_t i = p->n_participants;

    p->participants =
        projection_grow(p, p->participants, sizeof *p->participants, i, &p->participants_cap);
    p->participants[i] = *loaded;
    if (loaded->id->participant < 0)
        loaded->id->participant = (int32_t)i;
    p->n_open += !is_final(loaded->status);
    p->n_voters += loaded->role && strcmp(loaded->role->p, "voter") == 0;
    p->n_participants++;
}

/* Takes over the references of the loaded item. */
void
graph_load_node(struct projection *p, const struct node *loaded)
{
    uint32_t i = p->n_nodes;

    p->nodes = projection_grow(p, p->nodes, sizeof *p->nodes, i, &p->nodes_cap);
    p->nodes[i] = *loaded;
    if (loaded->id->node < 0)
        loaded->id->node = (int32_t)i;
    p->n_nodes++;
}

struct participant *
graph_participant(struct projection *p, struct name *id)
{
    struct participant who = {.status = NODE_IDLE};
    struct node node = {.status = NODE_IDLE};

    if (id->participant >= 0)
        return &p->participants[id->participant];
    if (p->n_participants >= ITEMS_MAX || is_reserved(id))
        return NULL;
    who.id = name_ref(id);
    graph_load_participant(p, &who);
    node.id = name_ref(id);
    node.kind = name_intern(&p->names, view_of("participant"));
    graph_load_node(p, &node);
    return &p->participants[id->participant];
}

static void
set_status(struct projection *p, struct participant *who, enum node_status status)
{
    p->n_open -= !is_final(who->status);
    p->n_open += !is_final(status);
    who->status = status;
    if (who->id->node >= 0)
        p->nodes[who->id->node].status = status;
}

/* Once the run has ended nobody opens again: who was ever active is completed, else skipped. */
static void
touch(struct projection *p, struct participant *who, enum node_status status)
{
    if (p->terminal) {
        if (is_final(who->status))
            return;
        status = has_been_active(who) ? NODE_COMPLETED : NODE_SKIPPED;
    }
    set_status(p, who, status);
}

void
graph_acted(struct projection *p, struct name *id, struct name *summary, struct text *ts)
{
    struct participant *who = id->len ? graph_participant(p, id) : NULL;

    if (!who)
        return;
    text_put(&p->names, &who->latest_activity, text_ref(ts));
    if (summary->len) {
        name_unref(&p->names, who->latest_summary);
        who->latest_summary = name_ref(summary);
    }
    touch(p, who, NODE_ACTIVE);
}

void
graph_addressed(struct projection *p, struct name *id)
{
    struct participant *who = id->len ? graph_participant(p, id) : NULL;

    if (who)
        touch(p, who, NODE_WAITING);
}

/* The open one that acted last; among equal times the later in the list. */
static struct participant *
last_active(struct projection *p)
{
    struct participant *last = NULL;

    for (uint32_t i = 0; i < p->n_participants; i++) {
        struct participant *who = &p->participants[i];

        if (!is_final(who->status) && has_been_active(who) &&
            (!last || strcmp(who->latest_activity->p, last->latest_activity->p) >= 0))
            last = who;
    }
    return last;
}

void
graph_sweep(struct projection *p, bool failed)
{
    struct participant *last = failed && p->n_open ? last_active(p) : NULL;

    for (uint32_t i = 0; p->n_open && i < p->n_participants; i++) {
        struct participant *who = &p->participants[i];

        if (!is_final(who->status))
            set_status(p, who,
                       who == last            ? NODE_FAILED
                       : has_been_active(who) ? NODE_COMPLETED
                                              : NODE_SKIPPED);
    }
}

/* --- nodes ------------------------------------------------------------------------------- */

void
graph_upsert_node(struct projection *p, const char *id, const char *kind, enum node_status status)
{
    struct name *name = name_find(&p->names, view_of(id));
    struct node node = {.status = status};

    if (name && name->node >= 0) {
        if (status > p->nodes[name->node].status)
            p->nodes[name->node].status = status;
        return;
    }
    node.id = name_intern(&p->names, view_of(id));
    node.kind = name_intern(&p->names, view_of(kind));
    graph_load_node(p, &node);
}

/* --- edges ------------------------------------------------------------------------------- */

static uint32_t *
bucket_of(const struct edges *edges, const struct name *from, const struct name *to,
          const struct name *kind)
{
    uint32_t h = (from->hash * 31 + to->hash) * 31 + kind->hash;

    h ^= h >> 15;
    return &edges->buckets[h & (edges->cap - 1)];
}

static void
link_slot(struct edges *edges, uint32_t slot)
{
    struct edge *edge = &edges->items[slot];
    uint32_t *bucket = bucket_of(edges, edge->from, edge->to, edge->kind);

    edge->next = *bucket;
    *bucket = slot + 1;
}

static void
unlink_slot(struct edges *edges, uint32_t slot)
{
    struct edge *edge = &edges->items[slot];
    uint32_t *link = bucket_of(edges, edge->from, edge->to, edge->kind);

    while (*link != slot + 1)
        link = &edges->items[*link - 1].next;
    *link = edge->next;
}

/* Move the window to the front of cap slots (a power of two) and index it again. */
static void
rearrange(struct projection *p, uint32_t cap)
{
    struct edges *edges = &p->edges;
    struct edge *items = names_resize(&p->names, NULL, 0, cap * sizeof *items);

    if (edges->n)
        memcpy(items, edges->items + edges->start, edges->n * sizeof *items);
    names_resize(&p->names, edges->items, edges->cap * sizeof *items, 0);
    edges->buckets = names_resize(&p->names, edges->buckets, edges->cap * sizeof *edges->buckets,
                                  cap * sizeof *edges->buckets);
    memset(edges->buckets, 0, cap * sizeof *edges->buckets);
    edges->items = items;
    edges->start = 0;
    edges->cap = cap;
    for (uint32_t i = 0; i < edges->n; i++)
        link_slot(edges, i);
}

void
graph_add_edge(struct projection *p, struct name *from, struct name *to, struct name *kind,
               struct text *ts)
{
    struct edges *edges = &p->edges;
    uint32_t slot;

    if (edges->start + edges->n == edges->cap) {
        bool slides = edges->start && edges->start >= edges->cap / 4;

        rearrange(p, slides ? edges->cap : edges->cap ? edges->cap * 2 : EDGES_CAP_MIN);
    }
    slot = edges->start + edges->n++;
    edges->items[slot] = (struct edge){
        .from = name_ref(from), .to = name_ref(to), .kind = name_ref(kind), .ts = text_ref(ts)};
    link_slot(edges, slot);
}

void
graph_upsert_edge(struct projection *p, struct name *from, struct name *to, struct name *kind,
                  struct text *ts)
{
    struct edges *edges = &p->edges;
    struct edge *oldest = NULL;

    if (!from->len || !to->len || from == to)
        return;
    if (edges->n) {
        uint32_t slot = *bucket_of(edges, from, to, kind);

        for (; slot; slot = edges->items[slot - 1].next) {
            struct edge *edge = &edges->items[slot - 1];

            if (edge->from == from && edge->to == to && edge->kind == kind &&
                (!oldest || edge < oldest))
                oldest = edge;
        }
    }
    if (oldest)
        text_put(&p->names, &oldest->ts, text_ref(ts));
    else
        graph_add_edge(p, from, to, kind, ts);
}

static void
drop_edge(struct projection *p, const struct edge *edge)
{
    name_unref(&p->names, edge->from);
    name_unref(&p->names, edge->to);
    name_unref(&p->names, edge->kind);
    text_unref(&p->names, edge->ts);
}

void
graph_trim_edges(struct projection *p, uint32_t max)
{
    struct edges *edges = &p->edges;
    uint32_t surplus = edges->n > max ? edges->n - max : 0;
    bool one_by_one = surplus <= EDGES_UNLINK_MAX && edges->cap <= EDGES_CAP_STEADY;

    if (!surplus)
        return;
    for (uint32_t i = 0; i < surplus; i++) {
        uint32_t slot = edges->start++;

        if (one_by_one)
            unlink_slot(edges, slot);
        drop_edge(p, &edges->items[slot]);
        edges->n--;
    }
    if (!one_by_one)
        rearrange(p, edges->cap > EDGES_CAP_STEADY ? EDGES_CAP_STEADY : edges->cap);
}

void
graph_fini(struct projection *p)
{
    for (uint32_t i = 0; i < p->n_participants; i++) {
        const struct participant *who = &p->participants[i];

        name_unref(&p->names, who->role);
        name_unref(&p->names, who->latest_summary);
        text_unref(&p->names, who->latest_activity);
        name_unref(&p->names, who->id);
    }
    names_resize(&p->names, p->participants, p->participants_cap * sizeof *p->participants, 0);
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        name_unref(&p->names, p->nodes[i].id);
        name_unref(&p->names, p->nodes[i].kind);
    }
    names_resize(&p->names, p->nodes, p->nodes_cap * sizeof *p->nodes, 0);
    for (uint32_t i = 0; i < p->edges.n; i++)
        drop_edge(p, &p->edges.items[p->edges.start + i]);
    names_resize(&p->names, p->edges.items, p->edges.cap * sizeof *p->edges.items, 0);
    names_resize(&p->names, p->edges.buckets, p->edges.cap * sizeof *p->edges.buckets, 0);
}
