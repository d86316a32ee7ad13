/* The votes on a proposal: one per sender and message type. */
#include "shared/projection_state.h"

/* Fewer ballots than this are scanned, more are indexed. */
enum { BALLOTS_SCAN_MAX = 16 };

struct tally *
tally_of(struct projection *p, struct name *proposal)
{
    struct policy *policy = &p->policy;
    struct tally *t;

    if (proposal->tally >= 0)
        return &policy->tallies[proposal->tally];
    if (policy->n_tallies >= ITEMS_MAX)
        return NULL;
    policy->tallies = projection_grow(p, policy->tallies, sizeof *policy->tallies,
                                      policy->n_tallies, &policy->tallies_cap);
    t = &policy->tallies[policy->n_tallies];
    *t = (struct tally){.id = name_ref(proposal)};
    proposal->tally = (int32_t)policy->n_tallies++;
    return t;
}

/* Where a ballot's entry of the index is, or would be. */
static uint32_t *
index_slot(const struct tally *t, const struct name *sender, const struct name *message_type)
{
    uint32_t h = sender->hash * 31 + message_type->hash;

    h ^= h >> 15;
    for (uint32_t i = h;; i++) {
        uint32_t *slot = &t->index[i & (t->index_cap - 1)];
        const struct ballot *b = *slot ? &t->ballots[*slot - 1] : NULL;

        if (!b || (b->participant == sender && b->message_type == message_type))
            return slot;
    }
}

static void
renew_index(struct projection *p, struct tally *t)
{
    uint32_t cap = t->index_cap ? t->index_cap * 2 : BALLOTS_SCAN_MAX * 4;

    t->index =
        names_resize(&p->names, t->index, t->index_cap * sizeof *t->index, cap * sizeof *t->index);
    memset(t->index, 0, cap * sizeof *t->index);
    t->index_cap = cap;
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t *slot = index_slot(t, t->ballots[i].participant, t->ballots[i].message_type);

        if (!*slot) /* the first of equal ones counts */
            *slot = i + 1;
    }
}

static struct ballot *
find_ballot(const struct tally *t, const struct name *sender, const struct name *message_type)
{
    if (t->index) {
        uint32_t slot = *index_slot(t, sender, message_type);

        return slot ? &t->ballots[slot - 1] : NULL;
    }
    for (uint32_t i = 0; i < t->n; i++)
        if (t->ballots[i].participant == sender && t->ballots[i].message_type == message_type)
            return &t->ballots[i];
    return NULL;
}

void
tally_load_ballot(struct projection *p, struct tally *t, struct name *sender,
                  struct name *message_type, enum vote vote)
{
    if (t->n >= ITEMS_MAX)
        return;
    t->ballots = projection_grow(p, t->ballots, sizeof *t->ballots, t->n, &t->cap);
    t->ballots[t->n++] = (struct ballot){name_ref(sender), name_ref(message_type), vote};
    t->n_allow += vote == VOTE_ALLOW;
    if (t->index && t->n * 2 <= t->index_cap) {
        uint32_t *slot = index_slot(t, sender, message_type);

        if (!*slot)
            *slot = t->n;
    } else if (t->n > BALLOTS_SCAN_MAX) {
        renew_index(p, t);
    }
}

void
tally_vote(struct projection *p, struct tally *t, struct name *sender, struct name *message_type,
           enum vote vote)
{
    struct ballot *ballot = find_ballot(t, sender, message_type);

    if (!ballot) {
        tally_load_ballot(p, t, sender, message_type, vote);
        return;
    }
    t->n_allow -= ballot->vote == VOTE_ALLOW;
    t->n_allow += vote == VOTE_ALLOW;
    ballot->vote = vote;
}

void
tally_count(struct projection *p, struct tally *t)
{
    uint32_t required = p->n_voters ? p->n_voters : p->n_participants;

    t->allow = t->n_allow;
    t->deny = t->n - t->n_allow;
    t->cast = t->n;
    t->required = required;
    t->threshold = (required + 1) / 2;
}

void
tally_fini(struct projection *p)
{
    struct policy *policy = &p->policy;

    for (uint32_t i = 0; i < policy->n_tallies; i++) {
        struct tally *t = &policy->tallies[i];

        for (uint32_t k = 0; k < t->n; k++) {
            name_unref(&p->names, t->ballots[k].participant);
            name_unref(&p->names, t->ballots[k].message_type);
        }
        names_resize(&p->names, t->ballots, t->cap * sizeof *t->ballots, 0);
        names_resize(&p->names, t->index, t->index_cap * sizeof *t->index, 0);
        name_unref(&p->names, t->id);
    }
    names_resize(&p->names, policy->tallies, policy->tallies_cap * sizeof *policy->tallies, 0);
}
