/*
 * bench_pipeline - what one envelope costs the thread that reads it, beside a floor.
 *
 * Measured is the observer's own way from the bytes of an envelope to rows that are ready to be
 * sent: read, look for duplicates, decode, normalise, fold, serialise. Only the writer thread is
 * left out: its batch is a local one. The floor is protobuf-c unpacking the envelope and its
 * payload from the same bytes, and nothing else.
 *
 * Prints tables and asserts nothing: figures are for people.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "macp/modes/decision/v1/decision.pb-c.h"
#include "macp/v1/envelope.pb-c.h"
#include "observerd/envelope.h"
#include "observerd/record.h"
#include "observerd/shard.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "tests/support/machine.h"

#define RUN_ID     "0190c5e2-0000-4000-8000-000000000001"
#define SESSION_ID "0190c5e2-1111-4111-8111-000000000001"
#define DECISION   "macp.mode.decision.v1"

enum {
    PARTICIPANTS = 5,
    PROPOSALS = 8,
    BLOCK = 500,   /* envelopes prepared, then handed over one by one */
    WINDOW = 1000, /* events whose envelopes make one median */
    EARLY = 1000,  /* the windows begin behind that many events */
    LATE = 100000,
    TYPICAL = 100,  /* envelopes of the session whose memory is looked at */
    REPEATS = 1000, /* of what is not measured per envelope */
};

/* --- in the writer's place --------------------------------------------------------------- */

static struct batch batch;

struct batch *
writer_lock(struct writer *w)
{
    (void)w;
    return &batch;
}

void
writer_unlock(struct writer *w UNUSED)
{
}

/* What sessions and shards could ask a writer, and do not here. */
bool
writer_is_full(struct writer *w UNUSED)
{
    return false;
}

bool
writer_is_idle(struct writer *w UNUSED)
{
    return true;
}

bool
writer_is_past(struct writer *w UNUSED, uint64_t serial UNUSED)
{
    return true;
}

int64_t
writer_stuck_ms(struct writer *w UNUSED)
{
    return 0;
}

uint64_t
writer_last_serial(struct writer *w UNUSED)
{
    return 0;
}

void
writer_copy_logs(struct writer *w UNUSED, struct buf *out UNUSED)
{
}

size_t
writer_take_results(struct writer *w UNUSED, struct writer_result *out UNUSED, size_t max UNUSED)
{
    return 0;
}

void
writer_forget(struct writer *w UNUSED, int64_t run_key UNUSED, int64_t fence UNUSED)
{
}

struct writer *
writer_start(const struct writer_options *o UNUSED)
{
    return NULL;
}

void
writer_end_by(struct writer *w UNUSED, int64_t mono_ms UNUSED)
{
}

bool
writer_stop(struct writer *w UNUSED, int64_t limit_ms UNUSED)
{
    return true;
}

/* --- envelopes --------------------------------------------------------------------------- */

struct bytes {
    uint8_t p[512];
    size_t n;
};

static void
pack_payload(uint64_t i, char *type, size_t type_size, struct bytes *out)
{
    char proposal[32];
    char reason[] = "latency and error rate stayed within their budgets for the whole canary; "
                    "whoever was on call has looked at it twice";

    snprintf(proposal, sizeof proposal, "proposal-%" PRIu64, i / 5 % PROPOSALS);
    if (i % 5 == 0) {
        Macp__Modes__Decision__V1__ProposalPayload p =
            MACP__MODES__DECISION__V1__PROPOSAL_PAYLOAD__INIT;

        p.proposal_id = proposal;
        p.option = (char[]){"deploy"};
        p.rationale = reason;
        snprintf(type, type_size, "Proposal");
        out->n = macp__modes__decision__v1__proposal_payload__pack(&p, out->p);
    } else if (i % 5 == 4) {
        Macp__Modes__Decision__V1__VotePayload p = MACP__MODES__DECISION__V1__VOTE_PAYLOAD__INIT;

        p.proposal_id = proposal;
        p.vote = (char[]){"APPROVE"};
        p.reason = reason;
        snprintf(type, type_size, "Vote");
        out->n = macp__modes__decision__v1__vote_payload__pack(&p, out->p);
    } else {
        Macp__Modes__Decision__V1__EvaluationPayload p =
            MACP__MODES__DECISION__V1__EVALUATION_PAYLOAD__INIT;

        p.proposal_id = proposal;
        p.recommendation = (char[]){"APPROVE"};
        p.confidence = 0.75;
        p.reason = reason;
        snprintf(type, type_size, "Evaluation");
        out->n = macp__modes__decision__v1__evaluation_payload__pack(&p, out->p);
    }
}

/* The i-th of a session in which five agents propose, evaluate three times and vote. */
static void
make_envelope(uint64_t i, struct bytes *out)
{
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;
    char type[32], id[64], sender[64];
    struct bytes payload;

    pack_payload(i, type, sizeof type, &payload);
    snprintf(id, sizeof id, "0190c5e2-2222-4222-8222-%012" PRIx64, i);
    snprintf(sender, sizeof sender, "agent://participant-%" PRIu64, i % PARTICIPANTS);
    e.macp_version = (char[]){"1.0"};
    e.mode = (char[]){DECISION};
    e.message_type = type;
    e.message_id = id;
    e.session_id = (char[]){SESSION_ID};
    e.sender = sender;
    e.timestamp_unix_ms = 1772359200000 + (int64_t)i;
    e.payload.data = payload.p;
    e.payload.len = payload.n;
    if (macp__v1__envelope__get_packed_size(&e) > sizeof out->p)
        BUG("an envelope is too big");
    out->n = macp__v1__envelope__pack(&e, out->p);
}

/* --- a session --------------------------------------------------------------------------- */

static struct shard shard;

static struct session *
session_begin(void)
{
    struct session *s = xcalloc(1, sizeof *s);

    s->shard = &shard;
    s->run.run_key = 1;
    memcpy(s->run.run_id, RUN_ID, sizeof RUN_ID);
    s->run.session_id = xstrdup(SESSION_ID);
    s->run.trace_id = xstrdup("0190c5e2333343338333000000000001");
    s->run.projection = projection_new(RUN_ID);
    s->run.known = json_object();
    s->normalizer = (struct normalizer){.session_id = s->run.session_id, .known = s->run.known};
    return s;
}

static void
session_end(struct session *s)
{
    timer_cancel(&shard.timers, &s->flush);
    projection_free(s->run.projection);
    facts_fini(&s->run.facts);
    seen_fini(&s->run.seen);
    json_decref(s->run.known);
    free(s->run.session_id);
    free(s->run.trace_id);
    free(s);
}

static void
feed(struct session *s, const struct bytes *b)
{
    const char *type;

    if (!record_envelope(s, b->p, b->n, NULL, &type))
        BUG("an envelope was dropped");
}

/* --- measuring --------------------------------------------------------------------------- */

static int64_t
now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double
median_us(int64_t *ns, size_t n)
{
    qsort(ns, n, sizeof *ns, by_value);
    return (double)ns[n / 2] / 1000;
}

struct window {
    int64_t ns[WINDOW];
    size_t n;
};

struct figures {
    struct window young, old;
    double bytes, rows_per_envelope, mean_us, floor_us;
    double events_us, fold_us; /* two of its parts */
    double sections_us, whole_us, whole_bytes;
    size_t live, live_projection, live_seen, live_facts;
};

/* A run up to so many events. */
static uint64_t
grow(struct session *s, int64_t events, struct figures *f)
{
    static struct bytes block[BLOCK];
    int64_t cpu = 0, bytes = 0;
    uint64_t i = 0;

    while (s->run.seq < events) {
        int64_t began;

        for (size_t k = 0; k < BLOCK; k++) {
            make_envelope(i++, &block[k]);
            bytes += (int64_t)block[k].n;
        }
        began = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (size_t k = 0; k < BLOCK; k++)
            feed(s, &block[k]);
        cpu += now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
        batch_reset(&batch);
    }
    f->bytes = (double)bytes / (double)i;
    f->rows_per_envelope = (double)s->run.seq / (double)i;
    f->mean_us = (double)cpu / (double)i / 1000;
    return i;
}

static void
time_one(struct session *s, uint64_t i, struct window *w)
{
    struct bytes b;
    int64_t at;

    make_envelope(i, &b);
    at = now_ns(CLOCK_MONOTONIC);
    feed(s, &b);
    w->ns[w->n++] = now_ns(CLOCK_MONOTONIC) - at;
}

/* In turns, so that whatever else the machine does strikes both. */
static void
measure_runs(struct session *young, struct session *old, struct figures *f)
{
    uint64_t i = grow(young, EARLY, f), k = grow(old, LATE, f);
    int64_t until = old->run.seq + WINDOW;

    while (old->run.seq < until) {
        time_one(young, i++, &f->young);
        time_one(old, k++, &f->old);
    }
    batch_reset(&batch);
}

static void
measure_floor(struct figures *f)
{
    static int64_t took[REPEATS];

    for (size_t i = 0; i < REPEATS; i++) {
        const ProtobufCMessageDescriptor *type;
        ProtobufCMessage *payload;
        Macp__V1__Envelope *e;
        struct bytes b;
        int64_t at;

        make_envelope(i, &b);
        type = i % 5 == 0   ? &macp__modes__decision__v1__proposal_payload__descriptor
               : i % 5 == 4 ? &macp__modes__decision__v1__vote_payload__descriptor
                            : &macp__modes__decision__v1__evaluation_payload__descriptor;
        at = now_ns(CLOCK_MONOTONIC);
        e = macp__v1__envelope__unpack(NULL, b.n, b.p);
        payload = protobuf_c_message_unpack(type, NULL, e->payload.len, e->payload.data);
        took[i] = now_ns(CLOCK_MONOTONIC) - at;
        if (!payload)
            BUG("a payload does not unpack");
        protobuf_c_message_free_unpacked(payload, NULL);
        macp__v1__envelope__free_unpacked(e, NULL);
    }
    f->floor_us = median_us(took, REPEATS);
}

/* The bytes to events, and the fold of those, each by itself: what is left is rows. */
static void
measure_parts(struct figures *f)
{
    static int64_t to_events[REPEATS], fold[REPEATS];
    struct session *s = session_begin();

    for (size_t i = 0; i < REPEATS; i++) {
        struct envelope envelope;
        struct raw_event raw = {.kind = RAW_STREAM_ENVELOPE, .envelope = &envelope};
        struct bytes b;
        int64_t at;

        make_envelope(i, &b);
        at = now_ns(CLOCK_MONOTONIC);
        arena_reset(&shard.arena);
        if (!envelope_read(b.p, b.n, &shard.arena, &envelope))
            BUG("an envelope cannot be read");
        raw.received_ms = clock_wall_ms();
        normalize(&s->normalizer, &raw, &shard.arena, &shard.events);
        to_events[i] = now_ns(CLOCK_MONOTONIC) - at;
        at = now_ns(CLOCK_MONOTONIC);
        for (size_t k = 0; k < shard.events.n; k++)
            projection_fold(s->run.projection, &shard.events.items[k]);
        fold[i] = now_ns(CLOCK_MONOTONIC) - at;
        event_list_reset(&shard.events);
    }
    f->events_us = median_us(to_events, REPEATS);
    f->fold_us = median_us(fold, REPEATS);
    session_end(s);
}

static void
measure_projection(const struct session *s, struct figures *f)
{
    static int64_t stored[REPEATS], whole[REPEATS];
    struct buf text = {0};

    for (size_t i = 0; i < REPEATS; i++) {
        int64_t at = now_ns(CLOCK_MONOTONIC);

        buf_reset(&text);
        for (unsigned k = 0; k < PROJECTION__COUNT; k++)
            projection_write_section(s->run.projection, (enum projection_section)k, &text);
        stored[i] = now_ns(CLOCK_MONOTONIC) - at;
        at = now_ns(CLOCK_MONOTONIC);
        buf_reset(&text);
        projection_write(s->run.projection, &text);
        whole[i] = now_ns(CLOCK_MONOTONIC) - at;
    }
    f->sections_us = median_us(stored, REPEATS);
    f->whole_us = median_us(whole, REPEATS);
    f->whole_bytes = (double)text.len;
    buf_fini(&text);
}

/* What malloc gave for one live run, with all that the shard itself holds grown before. */
static void
measure_memory(struct figures *f)
{
    struct session *s;
    size_t before;

    for (int round = 0; round < 2; round++) {
        before = mallinfo2().uordblks;
        s = session_begin();
        for (uint64_t i = 0; i < TYPICAL; i++) {
            struct bytes b;

            make_envelope(i, &b);
            feed(s, &b);
        }
        arena_reset(&shard.arena);
        batch_reset(&batch);
        f->live = mallinfo2().uordblks - before;
        f->live_projection = projection_memory(s->run.projection);
        f->live_seen = s->run.seen.cap * sizeof *s->run.seen.slots;
        f->live_facts = s->run.facts.cap * sizeof *s->run.facts.participants;
        session_end(s);
    }
}

/* --- output ------------------------------------------------------------------------------ */

static void
print_figures(struct figures *f)
{
    double early = median_us(f->young.ns, f->young.n), late = median_us(f->old.ns, f->old.n);

    printf("\nenvelope of %.0f bytes, %.1f rows each, one core%25s\n", f->bytes,
           f->rows_per_envelope, "us");
    printf("  %-56s %8.2f\n", "bytes to rows, median at event 1,000", early);
    printf("  %-56s %8.2f   %+.0f %%\n", "bytes to rows, median at event 100,000", late,
           100 * (late / early - 1));
    printf("  %-56s %8.2f\n", "bytes to rows, mean of processor time, whole run", f->mean_us);
    printf("  %-56s %8.2f\n", "  of it: reading, decoding, normalising", f->events_us);
    printf("  %-56s %8.2f\n", "  of it: folding into the projection", f->fold_us);
    printf("  %-56s %8.2f\n", "  the rest: duplicates, metrics, facts, JSON, rows",
           late - f->events_us - f->fold_us);
    printf("  %-56s %8.2f   %.1f times less\n", "floor: protobuf-c unpacks envelope and payload",
           f->floor_us, late / f->floor_us);

    printf("\nprojection of %.0f bytes, full lists%33s\n", f->whole_bytes, "us");
    printf("  %-56s %8.2f\n", "section by section, as stored", f->sections_us);
    printf("  %-56s %8.2f\n", "whole, as clients get it", f->whole_us);

    printf("\nlive run of %d participants after %d envelopes%20s\n", PARTICIPANTS, TYPICAL,
           "bytes");
    printf("  %-56s %8zu\n", "all that malloc gave", f->live);
    printf("  %-56s %8zu\n", "struct session, metrics in it", sizeof(struct session));
    printf("  %-56s %8zu\n", "projection", f->live_projection);
    printf("  %-56s %8zu\n", "envelopes seen", f->live_seen);
    printf("  %-56s %8zu\n", "participants for the facts", f->live_facts);
    printf("  %-56s %8zu\n", "announced senders, ids and malloc's own",
           f->live - sizeof(struct session) - f->live_projection - f->live_seen - f->live_facts);
}

int
main(void)
{
    static struct figures f;
    struct session *young, *old;

    machine_print();
    batch_init(&batch);
    young = session_begin();
    old = session_begin();
    old->run.run_key = 2;
    measure_runs(young, old, &f);
    measure_projection(old, &f);
    session_end(young);
    session_end(old);
    measure_parts(&f);
    measure_floor(&f);
    measure_memory(&f);
    print_figures(&f);
    batch_fini(&batch);
    event_list_fini(&shard.events);
    arena_fini(&shard.arena);
    return 0;
}
