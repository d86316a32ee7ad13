/* Bounds, indexes, sweeps and stored forms of the run state, where vectors would be too long. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/json.h"
#include "shared/projection_state.h"
#include "shared/uuid.h"

#define RUN_ID   "00000000-0000-4000-8000-000000000001"
#define START_MS 1772359200000 /* 2026-03-01T10:00:00.000Z */

/* The memory that one live run may take. */
enum { LIVE_RUN_BYTES_MAX = 40 * 1024 };

static int64_t next_seq;

/* Event next_seq, that many milliseconds after the start; data with ' for ". */
static void fold(struct projection *p, enum event_type type, const char *subject_id,
                 const char *fmt, ...) PRINTF_FMT(4, 5);

static void
fold(struct projection *p, enum event_type type, const char *subject_id, const char *fmt, ...)
{
    struct event e = {.type = type, .seq = ++next_seq};
    AUTO_BUF data = {0};
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_str(&data, text);
    for (size_t i = 0; i < data.len; i++)
        if (data.p[i] == '\'')
            data.p[i] = '"';
    event_set_time(&e, START_MS + next_seq);
    event_set_subject(&e, "some", subject_id);
    e.data = jv_parse(data.p, data.len);
    assert_non_null(e.data);
    projection_fold(p, &e);
    json_decref(e.data);
}

static json_t *
state_of(const struct projection *p)
{
    AUTO_BUF out = {0};
    json_t *v;

    projection_write(p, &out);
    v = json_loads(out.p, 0, NULL);
    assert_non_null(v);
    return v;
}

/* By a path of members and indexes: "graph.edges.3.ts". Lends. */
static json_t *
at(json_t *v, const char *path)
{
    while (*path) {
        size_t n = strcspn(path, ".");
        char key[64];

        snprintf(key, sizeof key, "%.*s", (int)n, path);
        v = json_is_array(v) ? json_array_get(v, (size_t)atol(key)) : json_object_get(v, key);
        path += n + (path[n] == '.');
    }
    return v;
}

static struct projection *
reload(struct projection *p)
{
    json_t *v = state_of(p);
    struct projection *loaded = NULL;
    AUTO_BUF before = {0}, after = {0};
    struct err err;

    projection_write(p, &before);
    projection_free(p);
    assert_true(projection_load(v, &loaded, &err));
    projection_write(loaded, &after);
    assert_string_equal(before.p, after.p);
    json_decref(v);
    return loaded;
}

#define assert_size(p, path, n)                                                                    \
    do {                                                                                           \
        json_t *state_ = state_of(p);                                                              \
        assert_int_equal(json_array_size(at(state_, path)), n);                                    \
        json_decref(state_);                                                                       \
    } while (0)

#define assert_text(p, path, expected)                                                             \
    do {                                                                                           \
        json_t *state_ = state_of(p);                                                              \
        assert_true(json_is_string(at(state_, path)));                                             \
        assert_string_equal(json_string_value(at(state_, path)), expected);                        \
        json_decref(state_);                                                                       \
    } while (0)

#define assert_number(p, path, expected)                                                           \
    do {                                                                                           \
        json_t *state_ = state_of(p);                                                              \
        assert_true(json_is_number(at(state_, path)));                                             \
        assert_true(json_number_value(at(state_, path)) == (expected));                            \
        json_decref(state_);                                                                       \
    } while (0)

static int
setup(void **state)
{
    next_seq = 0;
    *state = projection_new(RUN_ID);
    return 0;
}

static int
teardown(void **state)
{
    projection_free(*state); /* aborts when a reference was lost */
    return 0;
}

/* --- the table --------------------------------------------------------------------------- */

static void
test_every_type_has_a_reducer(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_LEN(projection_reducers), EVENT__COUNT + 1);
    for (unsigned i = 0; i <= EVENT__COUNT; i++)
        if (!projection_reducers[i])
            fail_msg("no reducer for %s", event_type_name((enum event_type)i));
}

/* --- bounds ------------------------------------------------------------------------------ */

static void
test_lists_keep_their_newest_items(void **state)
{
    static const struct {
        enum event_type type;
        const char *data, *path;
        int max;
    } cases[] = {
        {EVENT_TOOL_CALLED, "{}", "timeline.recent", 50},
        {EVENT_SIGNAL_EMITTED, "{'sender':'a'}", "signals.signals", 200},
        {EVENT_PROGRESS_REPORTED, "{'sender':'a'}", "progress.entries", 100},
        {EVENT_LLM_CALL_COMPLETED, "{'decodedPayload':{'promptTokens':1}}", "llm.calls", 100},
        {EVENT_PROPOSAL_UPDATED, "{'sender':'a'}", "decision.current.proposals", 50},
        {EVENT_POLICY_COMMITMENT_EVALUATED, "{'decodedPayload':{'decision':'deny'}}",
         "policy.commitmentEvaluations", 50},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct projection *p = projection_new(RUN_ID);
        char last[96], ts[CLOCK_TEXT_LEN];

        next_seq = 0;
        for (int k = 0; k < cases[i].max * 2 + 3; k++)
            fold(p, cases[i].type, "s", "%s", cases[i].data);
        assert_size(p, cases[i].path, cases[i].max);
        snprintf(last, sizeof last, "%s.0.ts", cases[i].path);
        assert_text(p, last, clock_text(START_MS + next_seq - cases[i].max + 1, ts));
        snprintf(last, sizeof last, "%s.%d.ts", cases[i].path, cases[i].max - 1);
        assert_text(p, last, clock_text(START_MS + next_seq, ts));
        assert_number(p, "timeline.totalEvents", (double)next_seq);
        projection_free(reload(p));
    }
}

static void
test_counters_go_on_behind_full_lists(void **state)
{
    struct projection *p = *state;

    for (int i = 0; i < 250; i++)
        fold(p, EVENT_LLM_CALL_COMPLETED, NULL,
             "{'decodedPayload':{'promptTokens':2,'completionTokens':1,'estimatedCostUsd':0.5}}");
    assert_number(p, "llm.totals.callCount", 250);
    assert_number(p, "llm.totals.totalTokens", 750);
    assert_number(p, "llm.totals.estimatedCostUsd", 125);
}

static void
test_participants_artifacts_and_tallies_stop_at_a_thousand(void **state)
{
    struct projection *p = *state;
    char id[16];

    for (int i = 0; i < 1100; i++) {
        snprintf(id, sizeof id, "x%d", i);
        fold(p, EVENT_PARTICIPANT_SEEN, id, "{}");
        fold(p, EVENT_ARTIFACT_CREATED, id, "{}");
        fold(p, EVENT_PROPOSAL_UPDATED, id, "{'messageType':'Accept','sender':'a'}");
    }
    for (int i = 0; i < 3; i++) /* known ones are still known */
        fold(p, EVENT_ARTIFACT_CREATED, "x999", "{}");
    fold(p, EVENT_PROPOSAL_UPDATED, "x999", "{'messageType':'Reject','sender':'a'}");
    fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'x1050','messageType':'Vote'}");
    assert_size(p, "participants", 1000);
    assert_size(p, "graph.nodes", 1002);
    assert_size(p, "trace.linkedArtifacts", 1000);
    assert_size(p, "policy.voteTally", 1000);
    assert_text(p, "participants.999.participantId", "x999");
    assert_text(p, "policy.voteTally.999.commitmentId", "x999");
    assert_size(p, "policy.voteTally.999.votes", 2);
    *state = reload(p);
}

static void
test_ballots_are_found_among_a_thousand(void **state)
{
    struct projection *p = *state;

    for (int i = 0; i < 1200; i++)
        fold(p, EVENT_PROPOSAL_UPDATED, "p", "{'messageType':'Accept','sender':'s%d'}", i);
    assert_size(p, "policy.voteTally.0.votes", 1000);
    assert_number(p, "policy.voteTally.0.allow", 1000);
    *state = p = reload(p);
    for (int i = 0; i < 1200; i += 2)
        fold(p, EVENT_PROPOSAL_UPDATED, "p",
             "{'messageType':'Accept','sender':'s%d','decodedPayload':{'vote':'no'}}", i);
    assert_size(p, "policy.voteTally.0.votes", 1000);
    assert_number(p, "policy.voteTally.0.allow", 500);
    assert_number(p, "policy.voteTally.0.deny", 500);
    assert_number(p, "policy.voteTally.0.quorum.cast", 1000);
    assert_text(p, "policy.voteTally.0.votes.998.vote", "deny");
    assert_text(p, "policy.voteTally.0.votes.999.vote", "allow");
}

static void
test_required_votes_follow_the_participants(void **state)
{
    struct projection *p = *state;

    for (int i = 0; i < 5; i++) {
        fold(p, EVENT_PARTICIPANT_SEEN, NULL, "{'participantId':'a%d'}", i);
        fold(p, EVENT_PROPOSAL_UPDATED, "p", "{'messageType':'Accept','sender':'a0'}");
        assert_number(p, "policy.voteTally.0.quorum.required", i + 1);
        assert_number(p, "policy.voteTally.0.threshold", (i + 2) / 2);
        assert_number(p, "policy.voteTally.0.quorum.cast", 1);
    }
}

/* --- edges ------------------------------------------------------------------------------- */

struct plain_edge {
    char from[16], to[16], kind[24], ts[CLOCK_TEXT_LEN];
};

struct plain_edges {
    struct plain_edge items[4000];
    size_t n;
};

static void
plain_upsert(struct plain_edges *list, const char *from, const char *to, const char *kind,
             const char *ts)
{
    struct plain_edge *e;

    for (size_t i = 0; i < list->n; i++) {
        e = &list->items[i];
        if (!strcmp(e->from, from) && !strcmp(e->to, to) && !strcmp(e->kind, kind)) {
            snprintf(e->ts, sizeof e->ts, "%s", ts);
            return;
        }
    }
    e = &list->items[list->n++];
    snprintf(e->from, sizeof e->from, "%s", from);
    snprintf(e->to, sizeof e->to, "%s", to);
    snprintf(e->kind, sizeof e->kind, "%s", kind);
    snprintf(e->ts, sizeof e->ts, "%s", ts);
}

/* Senders, addressees and types from a small pool, so that edges repeat, age and come back. */
static void
test_edges_match_a_plain_list(void **state)
{
    struct plain_edges *plain = calloc(1, sizeof *plain);
    struct projection *p = *state;
    json_t *all, *edges;

    srandom(1);
    for (int i = 0; i < 4000; i++) {
        char from[16], to[16], kind[24], ts[CLOCK_TEXT_LEN];

        snprintf(from, sizeof from, "f%ld", random() % 20);
        snprintf(to, sizeof to, "t%ld", random() % (i < 2000 ? 10 : 30));
        snprintf(kind, sizeof kind, "K%ld", random() % 3);
        fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'%s','messageType':'%s','to':['%s']}",
             from, kind, to);
        plain_upsert(plain, from, to, kind, clock_text(START_MS + next_seq, ts));
        if (plain->n > 300) {
            memmove(plain->items, plain->items + plain->n - 300, 300 * sizeof plain->items[0]);
            plain->n = 300;
        }
        if (i == 3000)
            *state = p = reload(p);
    }
    all = state_of(p);
    edges = at(all, "graph.edges");
    assert_int_equal(json_array_size(edges), 300);
    for (size_t i = 0; i < plain->n; i++) {
        json_t *e = json_array_get(edges, i);

        assert_string_equal(jv_cstr(jv_get(e, "from")), plain->items[i].from);
        assert_string_equal(jv_cstr(jv_get(e, "to")), plain->items[i].to);
        assert_string_equal(jv_cstr(jv_get(e, "kind")), plain->items[i].kind);
        assert_string_equal(jv_cstr(jv_get(e, "ts")), plain->items[i].ts);
    }
    json_decref(all);
    free(plain);
}

static void
test_sent_messages_repeat_edges_and_keep_200(void **state)
{
    struct projection *p = *state;

    for (int i = 0; i < 150; i++)
        fold(p, EVENT_MESSAGE_SENT, NULL, "{'from':'a','to':['b','a','']}");
    assert_size(p, "graph.edges", 200);
    assert_text(p, "graph.edges.199.to", "a");
    assert_number(p, "outboundMessages.accepted", 150);
    *state = reload(p);
}

static void
test_of_equal_edges_the_oldest_is_renewed(void **state)
{
    struct projection *p = *state;
    char first[CLOCK_TEXT_LEN], second[CLOCK_TEXT_LEN], third[CLOCK_TEXT_LEN];

    for (int i = 0; i < 3; i++)
        fold(p, EVENT_MESSAGE_SENT, NULL, "{'from':'a','to':['b']}");
    fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'a','messageType':'message.sent','to':['b']}");
    assert_size(p, "graph.edges", 3);
    assert_text(p, "graph.edges.0.ts", clock_text(START_MS + 4, first));
    assert_text(p, "graph.edges.1.ts", clock_text(START_MS + 2, second));
    assert_text(p, "graph.edges.2.ts", clock_text(START_MS + 3, third));
}

static void
test_proposal_to_a_thousand_leaves_300_edges_and_little_memory(void **state)
{
    struct projection *p = *state;
    size_t before;

    for (int i = 0; i < 1000; i++)
        fold(p, EVENT_PARTICIPANT_SEEN, NULL, "{'participantId':'a%d'}", i);
    before = projection_memory(p);
    for (int i = 0; i < 3; i++)
        fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'a0','messageType':'Proposal'}");
    assert_size(p, "graph.edges", 300);
    assert_text(p, "graph.edges.299.to", "a999");
    assert_text(p, "graph.edges.299.kind", "Proposal");
    assert_text(p, "participants.999.status", "waiting");
    assert_text(p, "participants.0.status", "active");
    assert_true(projection_memory(p) - before < 64 * 1024);
    *state = reload(p);
}

/* --- sweep ------------------------------------------------------------------------------- */

static void
test_failed_sweep_blames_the_last_one_active(void **state)
{
    static const char *const expected[] = {"completed", "failed", "skipped", "completed"};
    struct projection *p = *state;

    for (int i = 0; i < 4; i++)
        fold(p, EVENT_PARTICIPANT_SEEN, NULL, "{'participantId':'a%d'}", i);
    fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'a3','messageType':'Vote'}");
    fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'a0','messageType':'Vote'}");
    fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'a1','messageType':'Vote'}");
    fold(p, EVENT_RUN_FAILED, NULL, "{'status':'failed'}");
    for (int i = 0; i < 4; i++) {
        char path[32];

        snprintf(path, sizeof path, "participants.%d.status", i);
        assert_text(p, path, expected[i]);
        snprintf(path, sizeof path, "graph.nodes.%d.status", i);
        assert_text(p, path, expected[i]);
    }
    assert_int_equal(p->n_open, 0);
    fold(p, EVENT_MESSAGE_RECEIVED, NULL, "{'sender':'late','messageType':'Vote'}");
    assert_int_equal(p->n_open, 0);
    fold(p, EVENT_PARTICIPANT_SEEN, NULL, "{'participantId':'later'}");
    assert_int_equal(p->n_open, 1);
    fold(p, EVENT_RUN_COMPLETED, NULL, "{}");
    assert_text(p, "participants.5.status", "skipped");
    assert_text(p, "run.status", "failed");
    *state = reload(p);
    p = *state;
    assert_int_equal(p->n_open, 0);
}

/* --- stored forms ------------------------------------------------------------------------ */

static void
test_event_ids_are_computed_or_kept(void **state)
{
    struct projection *p = *state;
    struct event e = {.id = "imported", .seq = 9, .type = EVENT_TOOL_CALLED};
    char expected[UUID_LEN];

    fold(p, EVENT_TOOL_CALLED, NULL, "{}");
    event_set_time(&e, START_MS);
    projection_fold(p, &e);
    uuid_of_event(RUN_ID, 1, expected);
    assert_text(p, "timeline.recent.0.id", expected);
    assert_text(p, "timeline.recent.1.id", "imported");
    fold(p, EVENT_SIGNAL_EMITTED, NULL, "{}");
    uuid_of_event(RUN_ID, 2, expected);
    assert_text(p, "signals.signals.0.id", expected);
    assert_int_equal(projection_latest_seq(p), 9);
    *state = reload(p);
}

static void
test_any_value_survives_storing(void **state)
{
    struct projection *p = *state;

    fold(p, EVENT_RUN_STARTED, NULL,
         "{'status':['odd'],'startedAt':17,'endedAt':{'a':[null,1e300]},'modeName':false}");
    fold(p, EVENT_SIGNAL_EMITTED, "s",
         "{'sender':null,'decodedPayload':{'severity':null,'x':[0.1,'\\u0000']}}");
    fold(p, EVENT_SIGNAL_ACKNOWLEDGED, "s", "{'sender':{'deep':true}}");
    *state = p = reload(p);
    assert_text(p, "run.status.0", "odd");
    assert_number(p, "run.startedAt", 17);
    assert_number(p, "run.endedAt.a.1", 1e300);
    assert_number(p, "signals.signals.0.payload.x.0", 0.1);
    assert_text(p, "signals.signals.0.payload.x.1", "\xEF\xBF\xBD");
}

static void
test_deepest_payload_survives_storing(void **state)
{
    struct buf texts[PROJECTION__COUNT] = {0};
    const char *sections[PROJECTION__COUNT];
    struct projection *loaded = NULL;
    char data[JV_MAX_DEPTH * 2 + 32] = "{'decodedPayload':";
    size_t n = strlen(data);
    struct err err;

    memset(data + n, '[', JV_MAX_DEPTH - 1);
    memset(data + n + JV_MAX_DEPTH - 1, ']', JV_MAX_DEPTH - 1);
    data[n + 2 * (JV_MAX_DEPTH - 1)] = '}';
    fold(*state, EVENT_SIGNAL_EMITTED, "s", "%s", data);
    for (unsigned i = 0; i < PROJECTION__COUNT; i++) {
        projection_write_section(*state, (enum projection_section)i, &texts[i]);
        sections[i] = buf_cstr(&texts[i]);
    }
    assert_false(
        projection_load_sections(sections, projection_latest_seq(*state) + 1, &loaded, &err));
    assert_null(loaded);
    assert_true(projection_load_sections(sections, projection_latest_seq(*state), &loaded, &err));
    for (unsigned i = 0; i < PROJECTION__COUNT; i++)
        buf_fini(&texts[i]);
    projection_free(loaded);
}

static void
test_sums_beyond_doubles_stay_unknown(void **state)
{
    struct projection *p = *state;

    for (int i = 0; i < 3; i++) {
        fold(p, EVENT_LLM_CALL_COMPLETED, NULL,
             "{'decodedPayload':{'promptTokens':1e308,'completionTokens':1e308}}");
        *state = p = reload(p);
    }
    assert_true(isinf(p->llm_total_tokens));
    assert_number(p, "llm.totals.callCount", 3);
}

static void
test_what_is_no_state_is_refused(void **state)
{
    static const struct {
        const char *path, *value;
    } cases[] = {
        {"run", "{}"},
        {"run", "null"},
        {"participants", "{}"},
        {"participants", "[{'participantId':'a','status':'odd'}]"},
        {"participants", "[{'status':'idle'}]"},
        {"graph", "{'nodes':[]}"},
        {"graph", "{'nodes':[],'edges':[{'from':'a'}]}"},
        {"decision", "{'current':{'action':1,'finalized':true}}"},
        {"timeline", "{'latestSeq':1e300,'totalEvents':0,'recent':[]}"},
        {"policy", "{'policyVersion':'','commitmentEvaluations':[],'quorumStatus':'odd'}"},
        {"llm", "{'calls':[]}"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct projection *out = *state;
        AUTO_BUF text = {0};
        AUTO_JSON *document = state_of(*state);
        struct err err = {0};

        for (const char *c = cases[i].value; *c; c++)
            buf_char(&text, *c == '\'' ? '"' : *c);
        jv_put(document, cases[i].path, jv_parse(text.p, text.len));
        assert_false(projection_load(document, &out, &err));
        assert_ptr_equal(out, *state);
        assert_true(err.msg[0] != '\0');
    }
}

static void
test_sections_are_the_members_of_the_whole(void **state)
{
    static const char *const members[] = {
#define X(id, member, column) member,
        PROJECTION_SECTION_LIST(X)
#undef X
    };
    AUTO_JSON *whole = NULL;

    fold(*state, EVENT_PARTICIPANT_SEEN, "a", "{}");
    whole = state_of(*state);
    assert_int_equal(json_object_size(whole), PROJECTION__COUNT);
    for (unsigned i = 0; i < PROJECTION__COUNT; i++) {
        AUTO_BUF text = {0};
        AUTO_JSON *section = NULL;

        projection_write_section(*state, (enum projection_section)i, &text);
        section = json_loads(text.p, JSON_DECODE_ANY, NULL);
        assert_true(json_equal(section, jv_get(whole, members[i])));
    }
}

static void
test_final_decision(void **state)
{
    struct projection *p = *state;
    const char *action = NULL;
    bool has_confidence;
    double confidence;

    assert_false(projection_final_decision(p, &action, &has_confidence, &confidence));
    fold(p, EVENT_PROPOSAL_CREATED, "p", "{'messageType':'Proposal','sender':'a'}");
    assert_false(projection_final_decision(p, &action, &has_confidence, &confidence));
    fold(p, EVENT_DECISION_FINALIZED, "c", "{'decodedPayload':{'action':'go','confidence':0.5}}");
    assert_true(projection_final_decision(p, &action, &has_confidence, &confidence));
    assert_string_equal(action, "go");
    assert_true(has_confidence && confidence == 0.5);
}

/* --- memory ------------------------------------------------------------------------------ */

/* Five participants, a hundred messages with their derived events. */
static void
test_live_run_stays_small(void **state)
{
    struct projection *p = *state;

    fold(p, EVENT_RUN_CREATED, RUN_ID, "{'status':'queued','modeName':'macp.mode.decision.v1'}");
    for (int i = 0; i < 5; i++)
        fold(p, EVENT_PARTICIPANT_SEEN, NULL, "{'participantId':'agent://participant-%d'}", i);
    for (int i = 0; i < 100; i++) {
        fold(p, EVENT_MESSAGE_RECEIVED, "0190c5e2-aaaa-7bbb-8ccc-0123456789ab",
             "{'sender':'agent://participant-%d','messageType':'Evaluation','messageId':'m-%d'}",
             i % 5, i);
        fold(p, EVENT_PROPOSAL_UPDATED, "proposal-1",
             "{'sender':'agent://participant-%d','messageType':'Evaluation','decodedPayload':"
             "{'recommendation':'APPROVE','confidence':0.75,'reason':'the numbers look right'}}",
             i % 5);
    }
    assert_true(projection_memory(p) < LIVE_RUN_BYTES_MAX);
    *state = p = reload(p);
    assert_true(projection_memory(p) < LIVE_RUN_BYTES_MAX);
}

int
main(void)
{
#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        RUN_TEST(test_every_type_has_a_reducer),
        RUN_TEST(test_lists_keep_their_newest_items),
        RUN_TEST(test_counters_go_on_behind_full_lists),
        RUN_TEST(test_participants_artifacts_and_tallies_stop_at_a_thousand),
        RUN_TEST(test_ballots_are_found_among_a_thousand),
        RUN_TEST(test_required_votes_follow_the_participants),
        RUN_TEST(test_edges_match_a_plain_list),
        RUN_TEST(test_sent_messages_repeat_edges_and_keep_200),
        RUN_TEST(test_of_equal_edges_the_oldest_is_renewed),
        RUN_TEST(test_proposal_to_a_thousand_leaves_300_edges_and_little_memory),
        RUN_TEST(test_failed_sweep_blames_the_last_one_active),
        RUN_TEST(test_event_ids_are_computed_or_kept),
        RUN_TEST(test_any_value_survives_storing),
        RUN_TEST(test_deepest_payload_survives_storing),
        RUN_TEST(test_sums_beyond_doubles_stay_unknown),
        RUN_TEST(test_what_is_no_state_is_refused),
        RUN_TEST(test_sections_are_the_members_of_the_whole),
        RUN_TEST(test_final_decision),
        RUN_TEST(test_live_run_stays_small),
    };
#undef RUN_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
