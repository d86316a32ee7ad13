#include "tests/runtime/pump.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/uuid.h"
#include "tests/runtime/borrow.h"
#include "tests/runtime/identity.h"
#include "tests/runtime/job.h"
#include "tests/runtime/mode.h"
#include "tests/runtime/payload.h"
#include "tests/runtime/session.h"
#include "tests/runtime/world.h"

enum {
    CHUNK = 16,           /* envelopes per hold of the lock */
    ENVELOPES_MIN = 3,    /* start, proposal, commitment */
    FRAME_OVERHEAD = 170, /* an envelope without its reason, roughly */
    WAIT_DEFAULT_MS = 30000,
    TICK_MS = 2,
};

enum part { PART_START, PART_PROPOSAL, PART_EVALUATION, PART_COMMITMENT, PART__COUNT };

static const struct {
    const char *type;
    bool by_initiator;
    const char *fields; /* the payload as JSON */
} parts[PART__COUNT] = {
    [PART_START] = {"SessionStart", true,
                    "{\"intent\":\"pump\",\"participants\":[\"agent://planner\","
                    "\"agent://reviewer\"],\"mode_version\":\"1.0.0\",\"configuration_version\":"
                    "\"config.default\",\"ttl_ms\":86400000}"},
    [PART_PROPOSAL] = {"Proposal", true, "{\"proposal_id\":\"p1\",\"option\":\"blue\"}"},
    [PART_EVALUATION] = {"Evaluation", false,
                         "{\"proposal_id\":\"p1\",\"recommendation\":\"APPROVE\",\"confidence\":"
                         "0.9}"},
    [PART_COMMITMENT] = {"Commitment", true,
                         "{\"commitment_id\":\"c1\",\"action\":\"decision.selected\","
                         "\"authority_scope\":\"pump\",\"reason\":\"pumped\",\"mode_version\":"
                         "\"1.0.0\",\"configuration_version\":\"config.default\","
                         "\"outcome_positive\":true}"},
};

struct pump {
    struct world *world;
    char **ids;
    size_t sessions;
    int64_t envelopes;
    int64_t rate;
    bool commit;
    struct buf payload[PART__COUNT];
    int64_t sent;
    int64_t refused;
    int64_t began_ms;
};

static int64_t
number_arg(const json_t *args, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(args, name);

    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

static bool
prepare_payloads(struct pump *p, int64_t size, struct err *err)
{
    for (int i = 0; i < PART__COUNT; i++) {
        json_auto_t *fields = json_loads(parts[i].fields, 0, NULL);
        AUTO_BUF reason = {0};

        for (int64_t n = FRAME_OVERHEAD; i == PART_EVALUATION && n < size; n++)
            buf_char(&reason, (char)('a' + n % 26));
        if (reason.len > 0)
            json_object_set_new(fields, "reason", json_string(buf_cstr(&reason)));
        if (!payload_encode(mode_payload(MODE_DECISION, parts[i].type), fields, &p->payload[i],
                            err))
            return false;
    }
    return true;
}

static void
prepare_ids(struct pump *p, const json_t *args)
{
    const json_t *given = json_object_get(args, "ids");
    const char *prefix = json_string_value(json_object_get(args, "prefix"));

    p->ids = xcalloc(p->sessions, sizeof(*p->ids));
    for (size_t i = 0; i < p->sessions; i++) {
        const char *id = json_string_value(json_array_get(given, i));
        char uuid[UUID_LEN];
        AUTO_BUF b = {0};

        uuid_v4(uuid);
        if (!id && prefix)
            buf_printf(&b, "%s-%s", prefix, uuid);
        else
            buf_str(&b, id ? id : uuid);
        p->ids[i] = buf_steal(&b);
    }
}

static void
send_one(struct pump *p, size_t session, enum part part)
{
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;
    char id[UUID_LEN];
    struct identity who = {
        .sender = borrow(parts[part].by_initiator ? "agent://planner" : "agent://reviewer"),
        .can_start = true};
    struct verdict v;

    uuid_v4(id);
    e.macp_version = borrow("1.0");
    e.mode = borrow(MODE_DECISION);
    e.message_type = borrow(parts[part].type);
    e.message_id = id;
    e.session_id = p->ids[session];
    e.timestamp_unix_ms = p->world->settings.zero_timestamps ? 0 : clock_wall_ms();
    e.payload.data = (uint8_t *)p->payload[part].p;
    e.payload.len = p->payload[part].len;
    session_accept(p->world, &who, &e, ACCEPT_PLAIN, &v);
    p->sent += v.ok;
    p->refused += !v.ok;
}

/* At a rate, what a tick owes: sessions are independent, and do not all speak at once. */
static size_t
chunk_of(const struct pump *p)
{
    int64_t owed = p->rate * TICK_MS / 1000;

    if (p->rate <= 0 || owed > CHUNK)
        return CHUNK;
    return owed > 0 ? (size_t)owed : 1;
}

/* One envelope for every session, a chunk at a time. False when the world stops. */
static bool
send_round(struct pump *p, enum part part)
{
    size_t chunk = chunk_of(p);

    for (size_t i = 0; i < p->sessions;) {
        size_t end = i + chunk < p->sessions ? i + chunk : p->sessions;

        world_lock(p->world);
        if (p->world->stopping) {
            world_unlock(p->world);
            return false;
        }
        for (; i < end; i++)
            send_one(p, i, part);
        world_unlock(p->world);
        sched_yield(); /* the queue thread wants the lock as well */
        while (p->rate > 0 && p->sent * 1000 / p->rate > clock_mono_ms() - p->began_ms) {
            if (!world_sleep(p->world, TICK_MS))
                return false;
        }
    }
    return true;
}

static bool
wait_subscribers(struct pump *p, int64_t timeout_ms)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    size_t missing;

    world_lock(p->world);
    do {
        missing = 0;
        for (size_t i = 0; i < p->sessions; i++) {
            const struct session *s = session_find(p->world, p->ids[i]);

            missing += !s || s->n_subscribers == 0;
        }
    } while (missing > 0 && !p->world->stopping && world_wait(p->world, deadline));
    world_unlock(p->world);
    return missing == 0;
}

static bool
run(struct pump *p, const json_t *args, struct err *err)
{
    p->began_ms = clock_mono_ms();
    if (!send_round(p, PART_START))
        return err_set(err, ERR_IO, "stopped");
    if (json_is_true(json_object_get(args, "waitSubscribers")) &&
        !wait_subscribers(p, number_arg(args, "timeoutMs", WAIT_DEFAULT_MS)))
        return err_set(err, ERR_IO, "not every session got a subscriber in time");
    p->sent = 0;
    p->began_ms = clock_mono_ms();
    for (int64_t n = 2; n <= p->envelopes; n++) {
        enum part part = n == 2                           ? PART_PROPOSAL
                         : n == p->envelopes && p->commit ? PART_COMMITMENT
                                                          : PART_EVALUATION;

        if (!send_round(p, part))
            return err_set(err, ERR_IO, "stopped");
    }
    return true;
}

json_t *
pump_run(struct world *w, const json_t *args)
{
    const json_t *given = json_object_get(args, "ids");
    struct pump p = {
        .world = w,
        .sessions =
            json_is_array(given) ? json_array_size(given) : (size_t)number_arg(args, "sessions", 1),
        .envelopes = number_arg(args, "envelopes", 100),
        .rate = number_arg(args, "rate", 0),
        .commit = !json_is_false(json_object_get(args, "commit")),
    };
    struct err err = {0};
    json_t *out;

    if (p.envelopes < ENVELOPES_MIN || p.sessions < 1 || p.sessions > 100000)
        return job_error("pump needs 1 to 100000 sessions and at least %d envelopes",
                         ENVELOPES_MIN);
    prepare_ids(&p, args);
    if (!prepare_payloads(&p, number_arg(args, "payloadBytes", 300), &err) ||
        !run(&p, args, &err)) {
        out = job_error("%s", err.msg);
    } else {
        json_t *ids = json_array();

        for (size_t i = 0; i < p.sessions; i++)
            json_array_append_new(ids, json_string(p.ids[i]));
        out =
            json_pack("{s:b, s:I, s:I, s:I, s:o}", "ok", p.refused == 0, "accepted",
                      (json_int_t)(p.sent + (int64_t)p.sessions), "refused", (json_int_t)p.refused,
                      "elapsedMs", (json_int_t)(clock_mono_ms() - p.began_ms), "sessions", ids);
    }
    for (size_t i = 0; i < p.sessions; i++)
        free(p.ids[i]);
    free(p.ids);
    for (int i = 0; i < PART__COUNT; i++)
        buf_fini(&p.payload[i]);
    return out;
}
