/* What is stored can be found and read back: lists, filters, paging, events, state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "shared/clock.h"
#include "tests/support/expect.h"
#include "tests/support/scene.h"

#define MODE "macp.mode.decision.v1"

enum { LISTED = 5 };

static struct world world;
static enum web_kind web;
static struct posted listed[LISTED]; /* completed, one after the other */
static struct posted sandboxed;      /* never opened */

static json_t *
tagged(const char *session, const char *environment, json_t *tags)
{
    json_t *d = world_descriptor(MODE, session);

    json_object_set_new(d, "execution", json_pack("{s:o}", "tags", tags));
    json_object_set_new(json_object_get(d, "session"), "metadata",
                        json_pack("{s:s, s:s, s:s, s:s}", "source", "suite", "sourceRef", "reading",
                                  "environment", environment, "scenarioRef", "fraud/100%_sure"));
    return d;
}

/* --- lists ----------------------------------------------------------------------------------- */

struct list_case {
    const char *query;
    int total; /* of the filtered set */
    int rows;  /* in this page */
};

// clang-format off
static const struct list_case list_cases[] = {
    {"",                                  LISTED, LISTED},
    {"?includeSandbox=true",              LISTED + 1, LISTED + 1},
    {"?status=completed",                 LISTED, LISTED},
    {"?status=failed",                    0, 0},
    {"?limit=2",                          LISTED, 2},
    {"?limit=2&offset=4",                 LISTED, 1},
    {"?offset=100",                       LISTED, 0},
    {"?tags=even",                        3, 3},
    {"?tags=even,first",                  1, 1},
    {"?tags=even&tags=first",             1, 1},
    {"?tags=EVEN",                        0, 0},
    {"?tags=",                            0, 0},
    {"?environment=prod",                 3, 3},
    {"?environment=",                     LISTED, LISTED},
    {"?scenarioRef=fraud%2F100%25_s",     LISTED, LISTED},
    {"?scenarioRef=fraud_100",            0, 0},
    {"?search=FRAUD%2F",                  LISTED, LISTED},
    {"?search=100%25",                    LISTED, LISTED},
    {"?search=fraud%25sure",              0, 0},
    {"?search=U",                         LISTED, LISTED},
    {"?search=%22even%22",                3, 3},
    {"?search=%5C",                       0, 0},
    {"?search=%01",                       0, 0},
    {"?scenarioRef=f&search=prod&tags=first", 1, 1},
    {"?createdAfter=2020-01-01",          LISTED, LISTED},
    {"?createdBefore=2020-01-01",         0, 0},
    {"?createdAfter=2020-01-01T00:00:00Z&status=completed&tags=odd", 2, 2},
    {"?sortBy=updatedAt&sortOrder=asc",   LISTED, LISTED},
};
// clang-format on

static void
run_list_answers_what_its_filters_and_page_ask_for(void **state)
{
    int bad = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(list_cases); i++) {
        const struct list_case *c = &list_cases[i];
        json_t *body = expect_get(&world, 200, "/runs%s", c->query);
        json_int_t total = json_integer_value(json_object_get(body, "total"));
        size_t rows = json_array_size(json_object_get(body, "data"));

        if (total != c->total || rows != (size_t)c->rows) {
            print_error("/runs%s: total %lld rows %zu, wanted %d and %d\n", c->query,
                        (long long)total, rows, c->total, c->rows);
            bad++;
        }
        json_decref(body);
    }
    assert_int_equal(bad, 0);
}

static void
run_list_is_newest_first_and_pages_join_without_overlap(void **state)
{
    int seen = 0;

    (void)state;
    for (int offset = 0; offset < LISTED; offset += 2) {
        json_t *body = expect_get(&world, 200, "/runs?limit=2&offset=%d", offset);
        const json_t *row;
        size_t i;

        assert_int_equal(json_integer_value(json_object_get(body, "limit")), 2);
        assert_int_equal(json_integer_value(json_object_get(body, "offset")), offset);
        json_array_foreach (json_object_get(body, "data"), i, row) {
            assert_string_equal(json_string_value(json_object_get(row, "id")),
                                listed[LISTED - 1 - seen].run);
            seen++;
        }
        json_decref(body);
    }
    assert_int_equal(seen, LISTED);
}

/* Of the runs of a scenario, which are read by another way than everybody's events. */
static void
events_of_a_scenario_page_without_gap_or_double(void **state)
{
    json_t *seen = json_object(), *event;
    char last[64] = "";
    json_int_t cursor = 0;
    size_t i;

    (void)state;
    do {
        json_t *page = expect_get(&world, 200, "/events?scenarioRef=FRAUD&limit=7&afterSeq=%lld",
                                  (long long)cursor);

        json_array_foreach (json_object_get(page, "data"), i, event) {
            const char *ts = json_string_value(json_object_get(event, "ts"));

            assert_true(strcmp(last, ts) <= 0);
            snprintf(last, sizeof(last), "%s", ts);
            assert_int_equal(
                json_object_set_new_nocheck(seen, json_string_value(json_object_get(event, "id")),
                                            json_true()),
                0);
        }
        assert_int_equal(json_integer_value(json_object_get(page, "total")),
                         expect_sql_int(&world, "select count(*) from macp.run_events_canonical "
                                                "join macp.runs using (run_key) where "
                                                "scenario_ref like 'fraud%%'"));
        cursor = json_integer_value(json_object_get(page, "nextCursor"));
        json_decref(page);
    } while (cursor);
    assert_int_equal(json_object_size(seen),
                     expect_sql_int(&world, "select count(*) from macp.run_events_canonical join "
                                            "macp.runs using (run_key) where scenario_ref like "
                                            "'fraud%%'"));
    json_decref(seen);
    seen = expect_get(&world, 200, "/events?scenarioRef=nobody");
    assert_int_equal(json_integer_value(json_object_get(seen, "total")), 0);
    json_decref(seen);
}

static void
what_is_searched_follows_what_changes(void **state)
{
    char path[100];
    json_t *found;

    (void)state;
    snprintf(path, sizeof(path), "/runs/%s/archive", sandboxed.run);
    json_decref(expect_post(&world, 201, path, NULL));
    found =
        expect_get(&world, 200, "/runs?includeSandbox=true&includeArchived=true&search=archived");
    assert_int_equal(json_integer_value(json_object_get(found, "total")), 1);
    json_decref(found);
}

/* The narrow table that lists look at says what the wide ones say. */
static void
lists_look_at_what_is_stored(void **state)
{
    (void)state;
    expect_sql(
        &world, "t",
        "select count(*) > 5 and bool_and((l.id, l.day, l.created_at, l.updated_at, l.ended_at,"
        " l.status, l.error_code, l.source_ref, l.scenario, l.environment, l.tags, l.sandbox,"
        " l.archived, l.took_ms) is not distinct from (r.id, r.day, r.created_at,"
        " r.updated_at, r.ended_at, r.status, r.error_code, r.source_ref,"
        " lower(r.scenario_ref), macp.list_name(r.environment), r.tags, r.mode = 'sandbox',"
        " r.archived_at is not null, case when r.status = 'completed' then"
        " extract(epoch from r.ended_at - r.started_at)::double precision * 1000 end))"
        "  from macp.runs r left join macp.run_list l using (run_key)");
    expect_sql_becomes(
        &world, "t",
        "select bool_and(l.tokens = m.total_tokens and l.cost_usd ="
        " m.estimated_cost_usd) from macp.runs r join macp.run_list l using (run_key)"
        " join macp.run_metrics m using (run_key) where r.status = 'completed'");
}

/* Longer than an entry of an index may be, and all different behind their first hundred letters. */
static void
names_of_any_length_are_told_apart(void **state)
{
    char name[4001], query[4200];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(name); i++)
        name[i] = (char)('a' + (i * i + i / 7) % 26);
    name[sizeof(name) - 1] = '\0';
    for (char last = 'x'; last <= 'z'; last++) {
        json_t *d = world_descriptor(MODE, NULL), *meta;
        struct posted posted;

        name[sizeof(name) - 2] = last;
        meta = json_pack("{s:s, s:s, s:s}", "sourceRef", name, "environment", name, "scenarioRef",
                         name);
        json_object_set_new(json_object_get(d, "session"), "metadata", meta);
        expect_posted_as(&world, d, &posted);
    }
    for (char last = 'w'; last <= 'z'; last++) {
        json_t *body;

        name[sizeof(name) - 2] = last;
        for (size_t i = 0; i < 2; i++) {
            AUTO_HTTP_REPLY r = {0};
            struct err err = {0};

            snprintf(query, sizeof(query), "/runs?%s=%s", i ? "environment" : "scenarioRef", name);
            expect_ok(http_send(&world.http, &(struct http_request){.path = query}, &r, &err), &err,
                      "list");
            body = r.json;
            assert_int_equal(json_integer_value(json_object_get(body, "total")), last != 'w');
        }
    }
}

static const char *const run_members[] = {
    "id",
    "status",
    "mode",
    "runtimeKind",
    "runtimeVersion",
    "traceId",
    "sourceKind",
    "sourceRef",
    "tags",
    "metadata",
    "errorCode",
    "createdAt",
    "startedAt",
    "endedAt",
    "updatedAt",
    "archivedAt",
    "errorMessage",
    "lastEventSeq",
    "runtimeSessionId",
    "idempotencyKey",
};

static void
run_row_has_every_member_and_what_was_posted(void **state)
{
    json_t *run = expect_run(&world, listed[0].run);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(run_members); i++)
        if (!json_object_get(run, run_members[i]))
            fail_msg("the run row has no %s", run_members[i]);
    assert_string_equal(json_string_value(json_object_get(run, "runtimeSessionId")),
                        listed[0].session);
    assert_string_equal(json_string_value(json_object_get(run, "traceId")), listed[0].trace);
    assert_string_equal(json_string_value(json_object_get(run, "sourceKind")), "suite");
    assert_string_equal(json_string_value(json_object_get(run, "sourceRef")), "reading");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(run, "metadata"), "environment")),
        "prod");
    assert_int_equal(json_integer_value(json_object_get(run, "lastEventSeq")),
                     expect_sql_int(&world,
                                    "select last_seq from macp.run_observers join macp.runs using "
                                    "(run_key) where id = '%s'",
                                    listed[0].run));
    json_decref(run);
}

/* --- events and state ------------------------------------------------------------------------ */

static void
events_come_in_order_and_after_the_cursor_only(void **state)
{
    struct err err = {0};
    json_t *all = world_events(&world, listed[0].run, &err);
    json_int_t last = 0;
    const json_t *e;
    size_t i;

    (void)state;
    expect_ok(all != NULL, &err, "events");
    assert_true(json_array_size(all) > 10);
    json_array_foreach (all, i, e) {
        json_int_t seq = json_integer_value(json_object_get(e, "seq"));
        char id[UUID_LEN];

        assert_true(seq > last);
        last = seq;
        uuid_of_event(listed[0].run, seq, id);
        assert_string_equal(json_string_value(json_object_get(e, "id")), id);
        assert_string_equal(json_string_value(json_object_get(e, "runId")), listed[0].run);
    }
    e = json_array_get(all, 4);

    json_t *rest = expect_get(&world, 200, "/runs/%s/events?limit=3&afterSeq=%lld", listed[0].run,
                              (long long)json_integer_value(json_object_get(e, "seq")));

    assert_int_equal(json_array_size(rest), 3);
    assert_true(json_equal(json_array_get(rest, 0), json_array_get(all, 5)));
    json_decref(rest);
    json_decref(all);
}

/* Page by page from the end: what the list gives from the beginning, turned round. */
static void
events_before_a_number_come_newest_first(void **state)
{
    struct err err = {0};
    json_t *all = world_events(&world, listed[0].run, &err), *page;
    json_int_t before = INT32_MAX;
    size_t left;

    (void)state;
    expect_ok(all != NULL, &err, "events");
    for (left = json_array_size(all);; json_decref(page)) {
        json_t *e;
        size_t i;

        page = expect_get(&world, 200, "/runs/%s/events?limit=4&beforeSeq=%lld", listed[0].run,
                          (long long)before);
        if (json_array_size(page) == 0)
            break;
        json_array_foreach (page, i, e)
            assert_true(left > 0 && json_equal(e, json_array_get(all, --left)));
        before = json_integer_value(json_object_get(json_array_get(all, left), "seq"));
    }
    json_decref(page);
    assert_int_equal(left, 0);

    page = expect_get(&world, 200,
                      "/runs/%s/events?type=run.created,run.completed&beforeSeq=2147483647&limit=1",
                      listed[0].run);
    assert_int_equal(json_integer_value(json_object_get(page, "total")), 2);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(page, "data"), 0), "type")),
                        "run.completed");
    json_decref(page);
    json_decref(all);
}

static void
events_filtered_by_type_answer_an_object_with_total_and_cursor(void **state)
{
    json_t *body = expect_get(&world, 200, "/runs/%s/events?type=run.created,%%20run.completed",
                              listed[0].run);
    json_t *data = json_object_get(body, "data");

    (void)state;
    assert_int_equal(json_array_size(data), 2);
    assert_int_equal(json_integer_value(json_object_get(body, "total")), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(data, 0), "type")),
                        "run.created");
    assert_true(json_equal(json_object_get(body, "nextCursor"),
                           json_object_get(json_array_get(data, 1), "seq")));
    json_decref(body);
    body = expect_get(&world, 200, "/runs/%s/events?afterTs=2100-01-01", listed[0].run);
    assert_int_equal(json_array_size(json_object_get(body, "data")), 0);
    assert_int_equal(json_integer_value(json_object_get(body, "total")), 0);
    json_decref(body);
}

static void
events_of_an_unknown_run_are_none(void **state)
{
    json_t *body = expect_get(&world, 200, "/runs/5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11/events");

    (void)state;
    assert_true(json_is_array(body));
    assert_int_equal(json_array_size(body), 0);
    json_decref(body);
}

static void
state_is_the_fold_of_the_events(void **state)
{
    (void)state;
    for (int i = 0; i < LISTED; i++)
        expect_state_is_fold(&world, listed[i].run);
}

static void
state_says_what_was_decided(void **state)
{
    json_t *body = expect_get(&world, 200, "/runs/%s/state", listed[0].run);
    json_t *current = json_object_get(json_object_get(body, "decision"), "current");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(json_object_get(body, "run"), "status")),
                        "completed");
    assert_string_equal(json_string_value(json_object_get(current, "action")), "decision.selected");
    assert_true(json_is_true(json_object_get(current, "finalized")));
    json_decref(body);
}

/* Signals may arrive behind the end; the projection follows them within its usual delay. */
static void
stored_projection_of_an_ended_run_is_complete(void **state)
{
    (void)state;
    expect_sql_becomes(
        &world, "t",
        "select bool_and(p.version = (select max(seq) from macp.run_events_canonical c "
        "where c.run_key = r.run_key)) from macp.runs r join macp.run_projections p using "
        "(run_key) where r.status = 'completed'");
}

static void
times_are_iso_with_milliseconds_everywhere(void **state)
{
    json_t *run = expect_run(&world, listed[0].run);
    static const char *const times[] = {"createdAt", "startedAt", "endedAt", "updatedAt"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        const char *text = json_string_value(json_object_get(run, times[i]));

        assert_non_null(text);
        assert_int_equal(strlen(text), CLOCK_TEXT_LEN - 1);
        assert_int_equal(text[10], 'T');
        assert_int_equal(text[23], 'Z');
    }
    json_decref(run);
}

/* --- exports and figures --------------------------------------------------------------------- */

static void
total_of_filtered_events_does_not_depend_on_the_cursor(void **state)
{
    json_t *all = expect_get(&world, 200, "/runs/%s/events?type=message.received", listed[0].run);
    json_t *first = json_array_get(json_object_get(all, "data"), 0);
    json_t *rest =
        expect_get(&world, 200, "/runs/%s/events?type=message.received&afterSeq=%lld",
                   listed[0].run, (long long)json_integer_value(json_object_get(first, "seq")));

    (void)state;
    assert_int_equal(json_array_size(json_object_get(rest, "data")) + 1,
                     json_array_size(json_object_get(all, "data")));
    assert_true(json_equal(json_object_get(rest, "total"), json_object_get(all, "total")));
    json_decref(all);
    json_decref(rest);
}

static void
lines_honour_what_was_asked_for(void **state)
{
    static const struct {
        const char *query;
        size_t lines;
    } cases[] = {
        {"includeCanonical=false", 1},
        {"includeCanonical=0", 1},
        {"eventLimit=3", 4},
        {"eventLimit=2&includeRaw=true", 5},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_HTTP_REPLY r = {0};
        struct err err = {0};
        size_t lines = 0;

        expect_ok(http_get(&world.http, &r, &err, "/runs/%s/export/stream?%s", listed[0].run,
                           cases[i].query),
                  &err, "export");
        for (const char *p = buf_cstr(&r.body); (p = strchr(p, '\n')); p++)
            lines++;
        if (lines != cases[i].lines)
            fail_msg("%s: %zu lines", cases[i].query, lines);
    }
}

/* The participant whose figure is not yet that of the events, "" when there is none. */
static void
wrong_agent(char *out, size_t size)
{
    json_t *agents = expect_get(&world, 200, "/dashboard/agents/metrics"), *agent;
    size_t i;

    *out = '\0';
    json_array_foreach (agents, i, agent)
        if (json_integer_value(json_object_get(agent, "messages")) !=
            expect_sql_int(&world,
                           "select count(*) from macp.run_events_canonical where type like "
                           "'message.%%' and data ->> 'sender' = '%s'",
                           json_string_value(json_object_get(agent, "participantId"))))
            snprintf(out, size, "%s", json_string_value(json_object_get(agent, "participantId")));
    assert_true(json_array_size(agents) > 0);
    json_decref(agents);
}

/* Signals may come in behind the end, and figures follow them within their usual delay. */
static void
messages_of_agents_are_those_they_sent(void **state)
{
    int64_t deadline = clock_mono_ms() + process_slow(15000);
    char wrong[256];

    (void)state;
    for (;;) {
        wrong_agent(wrong, sizeof wrong);
        if (!*wrong)
            return;
        if (clock_mono_ms() >= deadline)
            fail_msg("messages of %s", wrong);
        process_pause(50);
    }
}

/* What the dashboard says of one participant: runs, signals, messages, confidence, latency. */
static void
expect_agent(const char *id, const char *wanted)
{
    json_t *agents = expect_get(&world, 200, "/dashboard/agents/metrics"), *agent;
    char got[128] = "nothing";
    size_t i;

    json_array_foreach (agents, i, agent)
        if (strcmp(json_string_value(json_object_get(agent, "participantId")), id) == 0)
            snprintf(got, sizeof got, "%lld %lld %lld %g %g",
                     json_integer_value(json_object_get(agent, "runs")),
                     json_integer_value(json_object_get(agent, "signals")),
                     json_integer_value(json_object_get(agent, "messages")),
                     json_number_value(json_object_get(agent, "averageConfidence")),
                     json_number_value(json_object_get(agent, "averageLatencyMs")));
    json_decref(agents);
    assert_string_equal(got, wanted);
}

/* A run of three hours ago with that key, and what one participant did in it. */
static void
put_old_run(int run_key, bool closed)
{
    expect_sql(&world, "t",
               "with given as (select %d as run_key), run as (insert into macp.runs (run_key, id, "
               "session_id, origin, status, mode, mode_name, runtime_kind, trace_id, created_at) "
               "overriding system value select run_key, gen_random_uuid(), 'block-' || run_key, "
               "'discovered', 'completed', 'live', 'm', 'rust', 'x', now() - interval '3 hours' "
               "from given), observer as (insert into macp.run_observers (run_key, day, closed) "
               "select run_key, current_date, %s from given), took_part as (insert into "
               "macp.run_participants (run_key, participant_id, declared, status, messages) select "
               "run_key, 'agent://of-a-block', true, 'completed', 5 from given), signals as "
               "(insert into macp.run_signals (run_key, seq, ts, name, participant_id, confidence) "
               "select run_key, seq, now(), 's', 'agent://of-a-block', confidence from given, "
               "(values (1, 0.5), (2, null)) v (seq, confidence)), call as (insert into "
               "macp.run_llm_calls (run_key, seq, ts, participant_id, prompt_tokens, "
               "completion_tokens, total_tokens, estimated_cost_usd, latency_ms) select run_key, "
               "3, now(), 'agent://of-a-block', 1, 1, 2, 0, 100 from given) select true",
               run_key, closed ? "true" : "false");
}

/* Runs that are over are summed up in blocks; figures do not change by it, and follow deletions. */
static void
figures_of_agents_stay_when_runs_are_summed_up(void **state)
{
    enum { BLOCK = 1 << 14, FIRST = 3 * BLOCK, OPEN = 4 * BLOCK, LAST = 6 * BLOCK };
    static const char sum_up[] = "select bool_or(macp.sum_up_agents()) is not null from "
                                 "generate_series(1, 10)";
    static const char summed[] = "select string_agg(block::text, ',' order by block) from "
                                 "macp.agent_blocks_summed where block > 2";

    (void)state;
    put_old_run(FIRST, true);
    put_old_run(FIRST + 1, true);
    expect_sql(&world, "t", "%s", sum_up);
    expect_sql(&world, "", "%s", summed); /* more runs may come into the last block */
    expect_agent("agent://of-a-block", "2 4 10 0.5 100");

    put_old_run(OPEN, false);
    put_old_run(LAST, true);
    expect_sql(&world, "t", "%s", sum_up);
    expect_sql(&world, "3,5", "%s", summed); /* a run of block 4 is not over */
    expect_agent("agent://of-a-block", "4 8 20 0.5 100");
    expect_sql(&world, "10", "select messages from macp.agent_blocks where block = 3");

    expect_sql(&world, "2",
               "with gone as (delete from macp.runs where run_key in (%d, %d) returning 1) select "
               "count(*) from gone",
               FIRST, LAST);
    expect_sql(&world, "5", "%s", summed);
    expect_agent("agent://of-a-block", "2 4 10 0.5 100");
}

static void
negative_outcomes_count_against_positive_ones(void **state)
{
    json_t *overview, *data;
    char session[WORLD_SESSION_LEN];
    double sum = 0;

    (void)state;
    expect_new_session(session);
    expect_played(&world, "decision.negative", session, NULL);
    expect_status(&world, session, "completed");
    overview = expect_get(&world, 200, "/dashboard/overview");
    data = json_object_get(json_object_get(overview, "charts"), "decisionOutcome");
    data = json_object_get(data, "data");
    for (size_t i = 0; i < json_array_size(data); i++)
        sum += json_number_value(json_array_get(data, i));
    assert_int_equal((long)sum,
                     expect_sql_int(&world,
                                    "select count(*) filter (where outcome_positive) - count(*) "
                                    "filter (where not outcome_positive) from macp.runs where mode "
                                    "<> 'sandbox' and archived_at is null"));
    json_decref(overview);
}

/* --- events of all runs, from the end -------------------------------------------------------- */

#define FROM_THE_END "9007199254740992"

/* The ids of all pages, one behind the other; the cursor is what nextCursor goes back in. */
static json_t *
paged(const char *filter, const char *cursor, const char *from, int limit)
{
    json_t *ids = json_array(), *event;
    char at[32];
    size_t i;

    snprintf(at, sizeof at, "%s", from);
    for (int pages = 0; *at && pages < 1000; pages++) {
        json_t *page =
            expect_get(&world, 200, "/events?limit=%d&%s=%s%s", limit, cursor, at, filter);
        json_t *next = json_object_get(page, "nextCursor");

        json_array_foreach (json_object_get(page, "data"), i, event)
            json_array_append(ids, json_object_get(event, "id"));
        *at = '\0';
        if (next)
            snprintf(at, sizeof at, "%lld", (long long)json_integer_value(next));
        json_decref(page);
    }
    return ids;
}

static bool
is_turned_round(const json_t *a, const json_t *b)
{
    size_t n = json_array_size(a);

    for (size_t i = 0; i < n && n == json_array_size(b); i++)
        if (!json_equal(json_array_get(a, i), json_array_get(b, n - 1 - i)))
            return false;
    return n == json_array_size(b);
}

/* Twelve events in the hour, 3,000 in one millisecond, twelve in the hour behind it. */
static void
store_a_crowded_millisecond(void)
{
    struct err err = {0};
    char key[32];

    expect_ok(
        world_sql(
            &world, key, sizeof key, &err,
            "with r as (insert into macp.runs (id, day, session_id, origin, status, mode,"
            " mode_name, runtime_kind, trace_id, scenario_ref, created_at) values ("
            "gen_random_uuid(), '2001-09-09', 'crowded', 'imported', 'completed', 'live', 'm',"
            " 'rust', '', 'crowded', '2001-09-09 01:00Z') returning run_key, day), o as ("
            "insert into macp.run_observers (run_key, day, last_seq, closed) select run_key,"
            " day, 3024, true from r), e as (insert into macp.run_events_canonical (day,"
            " run_key, seq, ts, type, source_kind, source_name, data) select day, run_key, n,"
            " '2001-09-09 02:00Z'::timestamptz + case when n <= 12 then n - 13 when n <= 3012"
            " then 0 else n - 3012 end * interval '5 minutes', 'crowd.' || n %% 2, 'k', 'n',"
            " '{}' from r, generate_series(1, 3024) n) select run_key from r"),
        &err, "crowd");
}

static void
events_of_all_runs_backwards_are_those_forwards_turned_round(void **state)
{
    static const struct {
        const char *filter;
        int limit;
    } cases[] = {
        {"", 211},
        {"&type=message.received,run.created", 7},
        {"&scenarioRef=FRAUD", 23},
        {"&afterTs=2001-09-01&beforeTs=2001-10-01", 700},
        {"&afterTs=2001-09-01&beforeTs=2001-10-01", 3000},
        {"&scenarioRef=crowded", 900},
        {"&scenarioRef=crowded&type=crowd.1", 100},
        {"&beforeTs=2001-10-01&type=crowd.0", 1500},
    };

    (void)state;
    store_a_crowded_millisecond();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *there = paged(cases[i].filter, "afterSeq", "0", cases[i].limit);
        json_t *back = paged(cases[i].filter, "beforeSeq", FROM_THE_END, cases[i].limit);

        if (json_array_size(there) < 10 || !is_turned_round(there, back))
            fail_msg("%s: %zu there, %zu back", cases[i].filter, json_array_size(there),
                     json_array_size(back));
        json_decref(there);
        json_decref(back);
    }
}

static void
events_of_one_run_backwards_are_numbered(void **state)
{
    json_t *there, *back, *page;
    char filter[64];

    (void)state;
    snprintf(filter, sizeof filter, "&runId=%s", listed[1].run);
    there = paged(filter, "afterSeq", "0", 6);
    back = paged(filter, "beforeSeq", "2147483647", 6);
    assert_true(json_array_size(there) > 10 && is_turned_round(there, back));
    page = expect_get(&world, 200, "/events?runId=%s&afterSeq=3&beforeSeq=6", listed[1].run);
    json_decref(there);
    json_decref(back);
    there = expect_get(&world, 200, "/runs/%s/events?afterSeq=3&beforeSeq=6", listed[1].run);
    assert_true(json_array_size(there) > 0);
    assert_true(json_equal(json_object_get(page, "data"), there));
    json_decref(there);
    json_decref(page);
}

/* Between two cursors of either kind lies what neither of them has sent, whatever the filter. */
static void
events_between_two_cursors_are_those_that_neither_sent(void **state)
{
    static const char *const filters[] = {"&scenarioRef=crowded", "&beforeTs=2001-10-01"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        json_t *all = paged(filters[i], "afterSeq", "0", 10000), *event;
        json_t *first = expect_get(&world, 200, "/events?limit=500%s", filters[i]);
        json_t *last =
            expect_get(&world, 200, "/events?limit=700&beforeSeq=" FROM_THE_END "%s", filters[i]);
        json_t *rest = expect_get(
            &world, 200, "/events?limit=10000&afterSeq=%lld&beforeSeq=%lld%s",
            (long long)json_integer_value(json_object_get(first, "nextCursor")),
            (long long)json_integer_value(json_object_get(last, "nextCursor")), filters[i]);
        size_t n;

        assert_int_equal(json_array_size(all), 3024);
        assert_int_equal(json_array_size(json_object_get(rest, "data")), 3024 - 500 - 700);
        json_array_foreach (json_object_get(rest, "data"), n, event)
            assert_true(
                json_equal(json_object_get(event, "id"), json_array_get(all, 3024 - 700 - 1 - n)));
        assert_string_equal(json_string_value(json_object_get(
                                json_array_get(json_object_get(first, "data"), 0), "ts")),
                            "2001-09-09T01:00:00.000Z");
        /* Neither changes what is counted: a thousand, of a scenario 500 or what a page shows. */
        assert_int_equal(json_integer_value(json_object_get(first, "total")), i ? 1001 : 501);
        assert_int_equal(json_integer_value(json_object_get(last, "total")), i ? 1001 : 701);
        assert_int_equal(json_integer_value(json_object_get(rest, "total")), 3024);
        json_decref(all);
        json_decref(first);
        json_decref(last);
        json_decref(rest);
        rest = expect_get(&world, 200, "/events?afterSeq=2147483647000&beforeSeq=5%s", filters[i]);
        assert_int_equal(json_array_size(json_object_get(rest, "data")), 0);
        json_decref(rest);
    }
}

/* --- set-up ---------------------------------------------------------------------------------- */

static void
post_what_is_listed(void)
{
    for (int i = 0; i < LISTED; i++) {
        json_t *tags = json_pack("[s]", i % 2 ? "odd" : "even");

        if (i == 0)
            json_array_append_new(tags, json_string("first"));
        expect_new_session(listed[i].session);
        expect_played(&world, "decision.positive", listed[i].session, NULL);
        expect_posted_as(&world, tagged(listed[i].session, i % 2 ? "staging" : "prod", tags),
                         &listed[i]);
        expect_status(&world, listed[i].run, "completed");
    }

    json_t *d = world_descriptor(MODE, NULL);

    json_object_set_new(d, "mode", json_string("sandbox"));
    expect_posted_as(&world, d, &sandboxed);
}

/* Not a set-up function: a failed expectation must fail a test. */
static void
posted_runs_complete(void **state)
{
    (void)state;
    post_what_is_listed();
    expect_sql(&world, "sandbox",
               "select array_to_string(tags, ',') from macp.runs where id = '%s'", sandboxed.run);
}

static int
set_up(void **state)
{
    return scene_open(state, &world, &(struct world_options){.web = web}, 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posted_runs_complete),
        cmocka_unit_test(run_list_answers_what_its_filters_and_page_ask_for),
        cmocka_unit_test(run_list_is_newest_first_and_pages_join_without_overlap),
        cmocka_unit_test(events_of_a_scenario_page_without_gap_or_double),
        cmocka_unit_test(run_row_has_every_member_and_what_was_posted),
        cmocka_unit_test(events_come_in_order_and_after_the_cursor_only),
        cmocka_unit_test(events_before_a_number_come_newest_first),
        cmocka_unit_test(events_filtered_by_type_answer_an_object_with_total_and_cursor),
        cmocka_unit_test(events_of_an_unknown_run_are_none),
        cmocka_unit_test(state_is_the_fold_of_the_events),
        cmocka_unit_test(state_says_what_was_decided),
        cmocka_unit_test(stored_projection_of_an_ended_run_is_complete),
        cmocka_unit_test(times_are_iso_with_milliseconds_everywhere),
        cmocka_unit_test(total_of_filtered_events_does_not_depend_on_the_cursor),
        cmocka_unit_test(lines_honour_what_was_asked_for),
        cmocka_unit_test(negative_outcomes_count_against_positive_ones),
        cmocka_unit_test(messages_of_agents_are_those_they_sent),
        cmocka_unit_test(what_is_searched_follows_what_changes),
        cmocka_unit_test(names_of_any_length_are_told_apart),
        cmocka_unit_test(lists_look_at_what_is_stored),
        cmocka_unit_test(events_of_all_runs_backwards_are_those_forwards_turned_round),
        cmocka_unit_test(events_of_one_run_backwards_are_numbered),
        cmocka_unit_test(events_between_two_cursors_are_those_that_neither_sent),
        /* Last: no run may come into what is summed up. */
        cmocka_unit_test(figures_of_agents_stay_when_runs_are_summed_up),
    };

    if (!web_read_arguments(argc, argv, &web))
        return 2;
    return cmocka_run_group_tests_name("reading", tests, set_up, scene_close);
}
