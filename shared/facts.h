/*
 * facts.h - what a run's events say as narrow rows, so that reports need no JSON.
 *
 * Purpose    one pure function (state, event) -> rows for the live path and the rebuild: decisions,
 *            votes, signals, acknowledgements, model calls; and the participants as latest values.
 * Ownership  struct facts is the caller's, a zeroed one is valid (facts_fini). The texts of a row
 *            belong to the arena, the event or the projection.
 * Errors     none: whatever an event holds gives values that every column takes. Numbers that are
 *            not finite are absent, huge ones are cut to FACTS_NUMBER_MAX, so that sums and
 *            averages over them cannot overflow either.
 * Threads    one owner at a time.
 *
 * The tables are data: names, types and where each value comes from. The first column of every
 * table, the run key, is the writer's.
 */
#ifndef MACP_SHARED_FACTS_H
#define MACP_SHARED_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/arena.h"
#include "shared/event.h"
#include "shared/price.h"
#include "shared/projection.h"

#define FACTS_NUMBER_MAX 1e15

enum { FACTS_MAX_COLUMNS = 12 };

enum fact_table {
    FACT_DECISION,
    FACT_VOTE,
    FACT_SIGNAL,
    FACT_ACKNOWLEDGEMENT, /* changes the signal it names */
    FACT_LLM_CALL,
    FACT_PARTICIPANT, /* latest values; of several rows the last one stands */
    FACT__COUNT
};

enum fact_type {
    FACT_INT4,
    FACT_INT8,
    FACT_BOOL,
    FACT_DOUBLE,
    FACT_TIME, /* wall clock milliseconds */
    FACT_TEXT,
    FACT_KEY /* text that is compared or part of an index: an id */
};

struct fact_value {
    bool null;
    union {
        int64_t integer; /* FACT_INT4, FACT_INT8, FACT_TIME */
        double number;
        bool truth;
        struct {
            const char *p;
            size_t n;
        } text; /* FACT_TEXT, FACT_KEY */
    };
};

struct fact_source; /* an event being read */

struct fact_column {
    const char *name;
    enum fact_type type;
    /* By rule, or the first present of these members of the payload (or the data, when data). */
    void (*rule)(const struct fact_source *s, struct fact_value *out);
    const char *keys[2];
    bool data;
};

struct fact_layout {
    int n;
    struct fact_column columns[FACTS_MAX_COLUMNS];
};

extern const struct fact_layout fact_layouts[FACT__COUNT];

struct fact {
    enum fact_table table;
    struct fact_value values[FACTS_MAX_COLUMNS]; /* as many as the table has columns */
};

/* What the projection does not say about its participants, by their place in it. */
struct fact_participant {
    int64_t messages;
    int64_t first_seen_ms, last_active_ms; /* last: 0 when it never spoke */
    bool declared;                         /* announced when the session was bound */
    bool changed;                          /* since it was last taken as a row */
    int8_t status;                         /* then; -1: never taken */
};

struct facts {
    struct fact_participant *participants;
    uint32_t n, cap;
};

void facts_fini(struct facts *f);

/*
 * Fold an event into the projection and the participants. True: *out is the row it adds. out and
 * arena may both be NULL for events whose rows are stored already.
 */
bool facts_fold(struct facts *f, struct projection *p, const struct event *e,
                const struct price_list *prices, struct arena *arena, struct fact *out);

/* The participants that changed since they were last taken: start with *at = 0, until false. */
bool facts_next_participant(struct facts *f, const struct projection *p, uint32_t *at,
                            struct arena *arena, struct fact *out);

/* One stored row, when a run is taken over with its stored projection. */
struct fact_participant_row {
    const char *id; /* as stored: a key */
    const char *status;
    int64_t messages, first_seen_ms, last_active_ms;
    bool declared;
};
void facts_load_participant(struct facts *f, const struct projection *p,
                            const struct fact_participant_row *row);

#endif
