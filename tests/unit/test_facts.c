/* One event, one row: which, with which values, whatever the event holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observerd/column.h"
#include "shared/facts.h"
#include "shared/json.h"
#include "shared/key.h"
#include "shared/uuid.h"

#define RUN      "6f9f4f3c-8d0f-4f0e-9d7c-2f3f1f0b9a55"
#define START_MS 1772359200000

struct fixture {
    struct facts facts;
    struct projection *p;
    struct arena arena;
    int64_t seq;
};

static int
set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);

    f->p = projection_new(RUN);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    facts_fini(&f->facts);
    projection_free(f->p);
    arena_fini(&f->arena);
    free(f);
    return 0;
}

/* A value as it would be read: absent ones as nothing. */
static void
show(struct buf *out, enum fact_type type, const struct fact_value *v)
{
    char number[JV_NUMBER_LEN];

    if (v->null)
        return;
    switch (type) {
    case FACT_INT4:
    case FACT_INT8:
        buf_printf(out, "%lld", (long long)v->integer);
        break;
    case FACT_TIME:
        buf_printf(out, "+%lld", (long long)(v->integer - START_MS));
        break;
    case FACT_BOOL:
        buf_str(out, v->truth ? "yes" : "no");
        break;
    case FACT_DOUBLE:
        buf_str(out, jv_number_text(v->number, number));
        break;
    case FACT_TEXT:
    case FACT_KEY:
        buf_add(out, v->text.p, v->text.n);
        break;
    }
}

static void
show_fact(struct buf *out, const struct fact *fact)
{
    const struct fact_layout *layout = &fact_layouts[fact->table];

    for (int i = 0; i < layout->n; i++) {
        if (i)
            buf_char(out, ',');
        show(out, layout->columns[i].type, &fact->values[i]);
    }
}

/* The row of the next event of the run, a second after the last one; "-" when it has none. */
static void
fold(struct fixture *f, enum event_type type, const char *subject, const char *text,
     enum fact_table table, struct buf *row)
{
    struct event e = {.type = type, .seq = ++f->seq, .source_kind = EVENT_SOURCE_RUNTIME};
    AUTO_BUF quoted = {0};
    struct fact fact;

    for (const char *c = text; *c; c++)
        buf_char(&quoted, *c == '\'' ? '"' : *c);
    event_set_time(&e, START_MS + f->seq * 1000);
    event_set_subject(&e, "thing", subject);
    e.data = jv_parse(buf_cstr(&quoted), quoted.len);
    if (!e.data)
        fail_msg("no JSON: %s", text);
    buf_reset(row);
    if (facts_fold(&f->facts, f->p, &e, NULL, &f->arena, &fact)) {
        assert_int_equal(fact.table, table);
        show_fact(row, &fact);
    } else {
        buf_lit(row, "-");
    }
    json_decref(e.data);
}

struct fact_case {
    enum event_type type;
    const char *subject, *data;
    enum fact_table table;
    const char *row; /* behind seq and ts */
};

// clang-format off
static const struct fact_case single[] = {
    {EVENT_RUN_COMPLETED, "r", "{}", 0, "-"},
    {EVENT_POLICY_DENIED, "p", "{'decodedPayload':{'decision':'deny'}}", 0, "-"},
    {EVENT_UNKNOWN, "p", "{}", 0, "-"},

    {EVENT_DECISION_FINALIZED, "c1", "{'sender':'a','decodedPayload':{'commitmentId':'c1','action':'x.approved','reason':'fits','confidence':0.5}}", FACT_DECISION, "c1,x.approved,yes,0.5,a,fits,yes"},
    {EVENT_DECISION_FINALIZED, "c1", "{'decodedPayload':{'action':'approved','outcomePositive':false}}", FACT_DECISION, ",approved,no,,,,yes"},
    {EVENT_DECISION_FINALIZED, "c1", "{'sender':'','decodedPayload':{'action':'step_up','commitmentId':17,'reason':''}}", FACT_DECISION, "17,step_up,,,,,yes"},
    {EVENT_DECISION_FINALIZED, "c1", "{'decodedPayload':{'action':['a',1]}}", FACT_DECISION, ",a,1,,,,,yes"},
    {EVENT_DECISION_FINALIZED, NULL, "{}", FACT_DECISION, ",resolved,,,,,yes"},
    {EVENT_DECISION_FINALIZED, NULL, "{'decodedPayload':'no object','sender':{'x':1}}", FACT_DECISION, ",resolved,,,[object Object],,yes"},

    {EVENT_PROPOSAL_UPDATED, "p1", "{'sender':'a','messageType':'Vote','decodedPayload':{'proposalId':'p9','vote':'Approve'}}", FACT_VOTE, "p9,a,Vote,allow"},
    {EVENT_PROPOSAL_UPDATED, "p1", "{'sender':'a','messageType':'Evaluation','decodedPayload':{'recommendation':'BLOCK'}}", FACT_VOTE, "p1,a,Evaluation,deny"},
    {EVENT_PROPOSAL_UPDATED, NULL, "{'messageType':'TaskAccept'}", FACT_VOTE, ",,TaskAccept,allow"},
    {EVENT_PROPOSAL_UPDATED, "p1", "{'messageType':'Vote','decodedPayload':{'vote':'ABSTAIN'}}", 0, "-"},
    {EVENT_PROPOSAL_CREATED, "p1", "{'messageType':'Proposal','decodedPayload':{'option':'x'}}", 0, "-"},

    {EVENT_SIGNAL_EMITTED, "s1", "{'sender':'a','decodedPayload':{'signalType':'help','confidence':0.25}}", FACT_SIGNAL, "s1,help,a,0.25"},
    {EVENT_SIGNAL_EMITTED, "s1", "{'messageType':'Signal','decodedPayload':{'confidence':'high'}}", FACT_SIGNAL, "s1,Signal,,"},
    {EVENT_SIGNAL_EMITTED, "s1", "{'decodedPayload':{'signalType':'','confidence':1e308}}", FACT_SIGNAL, "s1,Signal,,1000000000000000"},
    {EVENT_SIGNAL_ACKNOWLEDGED, "s1", "{'sender':'b','decodedPayload':{'signal_id':'s2'}}", FACT_ACKNOWLEDGEMENT, "s2,b"},
    {EVENT_SIGNAL_ACKNOWLEDGED, "s1", "{}", FACT_ACKNOWLEDGEMENT, "s1,"},
    {EVENT_SIGNAL_ACKNOWLEDGED, "s1", "{'decodedPayload':{'signalId':''}}", 0, "-"},
    {EVENT_SIGNAL_ACKNOWLEDGED, NULL, "{}", 0, "-"},

    {EVENT_LLM_CALL_COMPLETED, "m", "{'sender':'a','decodedPayload':{'model':'gpt-4o','provider':'p','promptTokens':1000,'completionTokens':100,'totalTokens':1100,'latencyMs':12.5,'estimatedCostUsd':0.5}}", FACT_LLM_CALL, "a,gpt-4o,p,1000,100,1100,12.5,0.0035,0.5"},
    {EVENT_LLM_CALL_COMPLETED, "m", "{'decodedPayload':{'promptTokens':'x','completionTokens':3,'latencyMs':null}}", FACT_LLM_CALL, ",,,0,3,3,,0.000009,"},
    {EVENT_LLM_CALL_COMPLETED, "m", "{'decodedPayload':{'promptTokens':1e308,'completionTokens':1e308,'totalTokens':1e999,'latencyMs':-1e99,'estimatedCostUsd':1e300}}", FACT_LLM_CALL, ",,,1000000000000000,1000000000000000,1000000000000000,-1000000000000000,1000000000000000,1000000000000000"},
    {EVENT_LLM_CALL_COMPLETED, "m", "{'decodedPayload':{}}", FACT_LLM_CALL, ",,,0,0,0,,0,"},
    {EVENT_LLM_CALL_COMPLETED, "m", "{'decodedPayload':0}", 0, "-"},
    {EVENT_LLM_CALL_COMPLETED, "m", "{}", 0, "-"},
};
// clang-format on

static void
event_gives_the_row_of_its_type(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF row = {0}, wanted = {0};
    int bad = 0;

    for (size_t i = 0; i < ARRAY_LEN(single); i++) {
        const struct fact_case *c = &single[i];

        /* Every case is the first event of a run. */
        tear_down(state);
        set_up(state);
        f = *state;
        fold(f, c->type, c->subject, c->data, c->table, &row);
        buf_reset(&wanted);
        if (strcmp(c->row, "-") != 0)
            buf_lit(&wanted, "1,+1000,");
        buf_str(&wanted, c->row);
        if (strcmp(buf_cstr(&row), buf_cstr(&wanted)) == 0)
            continue;
        print_error("%s\n  gives  %s\n  wanted %s\n", c->data, buf_cstr(&row), buf_cstr(&wanted));
        bad++;
    }
    assert_int_equal(bad, 0);
}

static void
first_commitment_stands_and_takes_its_voters_confidence(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF row = {0};

    fold(f, EVENT_PROPOSAL_UPDATED, "p", "{'sender':'a','messageType':'Accept'}", FACT_VOTE, &row);
    fold(f, EVENT_PROPOSAL_UPDATED, "p", "{'sender':'b','messageType':'Reject'}", FACT_VOTE, &row);
    fold(f, EVENT_DECISION_FINALIZED, "c", "{'decodedPayload':{'action':'accepted'}}",
         FACT_DECISION, &row);
    assert_string_equal(buf_cstr(&row), "3,+3000,,accepted,yes,0.5,,,yes");
    fold(f, EVENT_DECISION_FINALIZED, "c", "{'decodedPayload':{'action':'rejected'}}",
         FACT_DECISION, &row);
    assert_string_equal(buf_cstr(&row), "4,+4000,,rejected,no,,,,no");
    fold(f, EVENT_PROPOSAL_UPDATED, "p", "{'sender':'b','messageType':'Accept'}", FACT_VOTE, &row);
    assert_string_equal(buf_cstr(&row), "5,+5000,p,b,Accept,allow");
}

static void
signal_without_an_id_is_known_by_that_of_its_event(void **state)
{
    struct fixture *f = *state;
    char id[UUID_LEN], wanted[100];
    AUTO_BUF row = {0};

    fold(f, EVENT_SIGNAL_EMITTED, NULL, "{}", FACT_SIGNAL, &row);
    uuid_of_event(RUN, 1, id);
    snprintf(wanted, sizeof wanted, "1,+1000,%s,Signal,,", id);
    assert_string_equal(buf_cstr(&row), wanted);
}

/* --- participants ---------------------------------------------------------------------------- */

static void
announce(struct fixture *f, const char *id, const char *source)
{
    struct event e = {.type = EVENT_PARTICIPANT_SEEN, .seq = ++f->seq, .source_kind = source};

    event_set_time(&e, START_MS + f->seq * 1000);
    e.data = json_object();
    jv_put(e.data, "participantId", json_string(id));
    assert_false(facts_fold(&f->facts, f->p, &e, NULL, NULL, NULL));
    json_decref(e.data);
}

static void
changed(struct fixture *f, struct buf *out)
{
    struct fact who;
    uint32_t at = 0;

    buf_reset(out);
    while (facts_next_participant(&f->facts, f->p, &at, &f->arena, &who)) {
        if (out->len)
            buf_char(out, '|');
        show_fact(out, &who);
    }
}

static void
participants_are_taken_when_they_changed_only(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF row = {0};

    announce(f, "a", EVENT_SOURCE_SELF);
    announce(f, "b", EVENT_SOURCE_RUNTIME);
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "a,yes,idle,0,+1000,|b,no,idle,0,+2000,");
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "");
    fold(f, EVENT_MESSAGE_RECEIVED, "m", "{'sender':'b','messageType':'Note'}", 0, &row);
    fold(f, EVENT_MESSAGE_RECEIVED, "m", "{'sender':'b','messageType':'Note'}", 0, &row);
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "b,no,active,2,+2000,+4000");
    /* A proposal is addressed to everybody else: only their status changes. */
    fold(f, EVENT_MESSAGE_RECEIVED, "m", "{'sender':'b','messageType':'Proposal'}", 0, &row);
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "a,yes,waiting,0,+1000,|b,no,active,3,+2000,+5000");
    fold(f, EVENT_RUN_COMPLETED, RUN, "{'status':'completed'}", 0, &row);
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "a,yes,skipped,0,+1000,|b,no,completed,3,+2000,+5000");
}

static void
nobody_speaks_under_a_reserved_or_an_empty_name(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF row = {0};

    fold(f, EVENT_MESSAGE_RECEIVED, "m", "{'sender':'__start','messageType':'Note'}", 0, &row);
    fold(f, EVENT_MESSAGE_RECEIVED, "m", "{'sender':'','messageType':'Note'}", 0, &row);
    fold(f, EVENT_MESSAGE_RECEIVED, "m", "{}", 0, &row);
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "");
}

/* What the projection refuses to hold is counted nowhere, and disturbs nothing. */
static void
participants_beyond_the_bound_are_not_counted(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF row = {0};

    for (int i = 0; i < 1200; i++) {
        char data[100];

        snprintf(data, sizeof data, "{'sender':'p%d','messageType':'Note'}", i);
        fold(f, EVENT_MESSAGE_RECEIVED, "m", data, 0, &row);
    }
    assert_int_equal(f->facts.n, 1000);
}

static void
loaded_participants_go_on_counting_and_are_not_written_again(void **state)
{
    struct fixture *f = *state;
    char endless[600], hash[KEY_HASH_LEN];
    AUTO_BUF row = {0}, wanted = {0};
    size_t n;

    memset(endless, 'e', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    announce(f, "a", EVENT_SOURCE_SELF);
    announce(f, endless, EVENT_SOURCE_RUNTIME);
    facts_fini(&f->facts); /* as when the projection was loaded */
    facts_load_participant(&f->facts, f->p,
                           &(struct fact_participant_row){.id = key_text(endless, 599, hash, &n),
                                                          .status = "idle",
                                                          .messages = 7,
                                                          .first_seen_ms = START_MS + 1});
    facts_load_participant(&f->facts, f->p,
                           &(struct fact_participant_row){.id = "a",
                                                          .status = "idle",
                                                          .messages = 3,
                                                          .first_seen_ms = START_MS + 2,
                                                          .declared = true});
    facts_load_participant(&f->facts, f->p,
                           &(struct fact_participant_row){.id = "gone", .status = "idle"});
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "");
    fold(f, EVENT_MESSAGE_RECEIVED, "m", "{'sender':'a','messageType':'Note'}", 0, &row);
    changed(f, &row);
    assert_string_equal(buf_cstr(&row), "a,yes,active,4,+2,+3000");
    buf_printf(&wanted, "{'sender':'%s','messageType':'Note'}", endless);
    fold(f, EVENT_MESSAGE_RECEIVED, "m", buf_cstr(&wanted), 0, &row);
    changed(f, &row);
    buf_reset(&wanted);
    buf_printf(&wanted, "%s,no,active,8,+1,+4000", hash);
    assert_string_equal(buf_cstr(&row), buf_cstr(&wanted));
}

static void
layouts_fit_a_table_of_columns(void **state)
{
    (void)state;
    for (int t = 0; t < FACT__COUNT; t++) {
        assert_in_range(fact_layouts[t].n, 1, FACTS_MAX_COLUMNS);
        assert_true(fact_layouts[t].n < ROWS_MAX_COLUMNS);
        for (int i = 0; i < fact_layouts[t].n; i++)
            assert_non_null(fact_layouts[t].columns[i].name);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(event_gives_the_row_of_its_type),
        TEST(first_commitment_stands_and_takes_its_voters_confidence),
        TEST(signal_without_an_id_is_known_by_that_of_its_event),
        TEST(participants_are_taken_when_they_changed_only),
        TEST(nobody_speaks_under_a_reserved_or_an_empty_name),
        TEST(participants_beyond_the_bound_are_not_counted),
        TEST(loaded_participants_go_on_counting_and_are_not_written_again),
        TEST(layouts_fit_a_table_of_columns),
    };

    return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
