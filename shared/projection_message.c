/* Reducers of participants and messages: who acted, who was addressed, what is drawn. */
#include "shared/projection_state.h"

#include <stdlib.h>

#include "shared/json.h"

/* --- participants and messages ------------------------------------------------------------ */

void
reduce_participant_seen(struct reduction *r)
{
    AUTO_BUF scratch = {0};
    struct view id = reduction_str(r, jv_first_of(r->data, "participantId"), &scratch);
    struct name *name = name_intern(&r->p->names, id);

    graph_participant(r->p, name);
    name_unref(&r->p->names, name);
}

/* Who a message is for: counted names. */
struct recipients {
    struct name **names, *few[16];
    size_t n, cap;
};

static void
add_recipient(struct recipients *to, struct name *counted)
{
    if (to->n == to->cap) {
        struct name **more = xmalloc(to->cap * 2 * sizeof *more);

        memcpy(more, to->names, to->n * sizeof *more);
        if (to->names != to->few)
            free(to->names);
        to->names = more;
        to->cap *= 2;
    }
    to->names[to->n++] = counted;
}

/* The string elements of an array, except one. */
static void
add_recipients(struct reduction *r, struct recipients *to, const json_t *array,
               const struct name *except)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        struct view v = {json_string_value(item), json_string_length(item)};
        struct name *name = json_is_string(item) ? name_intern(&r->p->names, v) : NULL;

        if (name && name != except)
            add_recipient(to, name);
        else
            name_unref(&r->p->names, name);
    }
}

static void
recipients_fini(struct reduction *r, struct recipients *to)
{
    for (size_t i = 0; i < to->n; i++)
        name_unref(&r->p->names, to->names[i]);
    if (to->names != to->few)
        free(to->names);
}

static struct name *
sender_of(struct reduction *r)
{
    AUTO_BUF scratch = {0};

    return name_intern(&r->p->names,
                       value_view(jv_first_of(r->data, "sender", "from"), "", &scratch));
}

void
reduce_message_sent(struct reduction *r)
{
    struct projection *p = r->p;
    AUTO_BUF scratch = {0};
    struct recipients to = {.names = to.few, .cap = ARRAY_LEN(to.few)};
    struct name *sender = sender_of(r);
    struct name *summary = name_intern(
        &p->names, value_view(jv_first_of(r->data, "messageType"), r->type->p, &scratch));

    graph_acted(p, sender, summary, r->ts);
    add_recipients(r, &to, jv_get(r->data, "to"), NULL);
    for (size_t i = 0; i < to.n; i++)
        graph_addressed(p, to.names[i]);
    for (size_t i = 0; i < to.n; i++)
        if (sender->len && to.names[i]->len)
            graph_add_edge(p, sender, to.names[i], r->type, r->ts);
    graph_trim_edges(p, EDGES_AFTER_SENT_MAX);
    p->outbound_total++;
    p->outbound_accepted++;
    recipients_fini(r, &to);
    name_unref(&p->names, summary);
    name_unref(&p->names, sender);
}

void
reduce_send_failed(struct reduction *r)
{
    r->p->outbound_total++;
    r->p->outbound_rejected++;
}

/* The object inside a payload that arrived as JSON text, else the value itself. */
static const json_t *
unwrap(const json_t *decoded)
{
    const json_t *encoding = jv_get(decoded, "encoding"), *inner = jv_get(decoded, "json");
    bool wrapped = value_is(encoding, "json") || value_is(encoding, "text");

    return wrapped && json_is_object(inner) ? inner : decoded;
}

/* Explicit ones; else SessionStart names them and a Proposal goes to everybody known so far. */
static void
find_recipients(struct reduction *r, struct name *sender, struct view message_type,
                struct recipients *to)
{
    const json_t *explicit = jv_get(r->data, "to");

    if (json_array_size(explicit)) {
        add_recipients(r, to, explicit, NULL);
    } else if (view_is(message_type, "SessionStart")) {
        const json_t *start = unwrap(jv_first_of(r->data, "decodedPayload", "payload"));

        add_recipients(r, to, jv_first_of(start, "participants", "participantIds"), sender);
    } else if (view_is(message_type, "Proposal")) {
        for (uint32_t i = 0; i < r->p->n_participants; i++)
            if (r->p->participants[i].id != sender)
                add_recipient(to, name_ref(r->p->participants[i].id));
    }
}

/* An edge between names of which the reserved ones need not exist yet. */
static void
upsert_edge(struct reduction *r, struct view from, struct view to, const char *kind)
{
    struct names *names = &r->p->names;
    struct name *a = name_intern(names, from), *b = name_intern(names, to);
    struct name *k = name_intern(names, view_of(kind));

    graph_upsert_edge(r->p, a, b, k, r->ts);
    name_unref(names, a);
    name_unref(names, b);
    name_unref(names, k);
}

static struct view
view_of_name(const struct name *name)
{
    return (struct view){name->p, name->len};
}

static void
draw_session_start(struct reduction *r, struct name *sender, const struct recipients *to)
{
    upsert_edge(r, view_of("__start"), view_of_name(sender), "session.bound");
    for (size_t i = 0; i < to->n; i++)
        upsert_edge(r, view_of_name(sender), view_of_name(to->names[i]), "fanout");
}

static void
draw_proposal(struct reduction *r, struct name *sender, const struct recipients *to)
{
    graph_upsert_node(r->p, "__proposal", "proposal", NODE_COMPLETED);
    upsert_edge(r, view_of_name(sender), view_of("__proposal"), "proposes");
    for (size_t i = 0; i < to->n; i++)
        upsert_edge(r, view_of("__proposal"), view_of_name(to->names[i]), "review");
}

static void
draw_opinion(struct reduction *r, struct name *sender, const char *kind)
{
    graph_upsert_node(r->p, "__decision", "decision", NODE_ACTIVE);
    upsert_edge(r, view_of_name(sender), view_of("__decision"), kind);
}

static void
draw_commitment(struct reduction *r)
{
    graph_upsert_node(r->p, "__decision", "decision", NODE_COMPLETED);
    graph_upsert_node(r->p, "__outcome", "output", NODE_COMPLETED);
    upsert_edge(r, view_of("__decision"), view_of("__outcome"), "commits");
}

static void
draw_message(struct reduction *r, struct name *sender, struct view message_type,
             const struct recipients *to)
{
    graph_upsert_node(r->p, "__start", "start", NODE_COMPLETED);
    if (view_is(message_type, "SessionStart"))
        draw_session_start(r, sender, to);
    else if (view_is(message_type, "Proposal"))
        draw_proposal(r, sender, to);
    else if (view_is(message_type, "Vote"))
        draw_opinion(r, sender, "vote");
    else if (view_is(message_type, "Evaluation"))
        draw_opinion(r, sender, "evaluation");
    else if (view_is(message_type, "Objection"))
        draw_opinion(r, sender, "objection");
    else if (view_is(message_type, "Commitment"))
        draw_commitment(r);
}

void
reduce_message_received(struct reduction *r)
{
    struct projection *p = r->p;
    AUTO_BUF scratch = {0};
    struct recipients to = {.names = to.few, .cap = ARRAY_LEN(to.few)};
    struct view message_type = value_view(jv_first_of(r->data, "messageType"), "", &scratch);
    struct name *sender = sender_of(r);
    struct name *kind = message_type.n ? name_intern(&p->names, message_type) : name_ref(r->type);

    graph_acted(p, sender, kind, r->ts);
    find_recipients(r, sender, message_type, &to);
    for (size_t i = 0; i < to.n; i++)
        graph_addressed(p, to.names[i]);
    draw_message(r, sender, message_type, &to);
    for (size_t i = 0; i < to.n; i++)
        graph_upsert_edge(p, sender, to.names[i], kind, r->ts);
    graph_trim_edges(p, EDGES_AFTER_RECEIVED_MAX);
    recipients_fini(r, &to);
    name_unref(&p->names, kind);
    name_unref(&p->names, sender);
}
