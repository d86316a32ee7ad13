/* Analysts ask in SQL: the report schema says what the events say, shows nothing else, is cheap to
 * ask, and is the same after its tables were folded anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/expect.h"
#include "tests/support/folds.h"
#include "tests/support/scene.h"

#define EXTENSION  "ext.demo.v1"
#define README     "sql/README.md"
#define SECRET     "canary-of-a-secret"
#define VIEWS_TEXT "12"

enum { QUESTIONS = 5, COMMAND_MS = 30000, README_MAX = 200000, PARTITIONS_MAX = 8, VIEWS = 12 };

struct played {
    const char *script, *mode, *status;
};

// clang-format off
static const struct played played[] = {
    {"decision.positive", "macp.mode.decision.v1", "completed"},
    {"decision.negative", "macp.mode.decision.v1", "completed"},
    {"proposal.positive", "macp.mode.proposal.v1", "completed"},
    {"proposal.negative", "macp.mode.proposal.v1", "completed"},
    {"task.negative",     "macp.mode.task.v1",     "completed"},
    {"handoff.positive",  "macp.mode.handoff.v1",  "completed"},
    {"quorum.negative",   "macp.mode.quorum.v1",   "completed"},
    {"session.cancel",    "macp.mode.decision.v1", "cancelled"},
    {"session.expire",    "macp.mode.decision.v1", "failed"},
};
// clang-format on

static struct world world;
static struct posted runs[ARRAY_LEN(played)];
static struct posted caller; /* a session in which models are called */
static struct db *analyst;

/* --- the world asked about ------------------------------------------------------------------- */

static void
post(const struct played *p, struct posted *out)
{
    json_t *d = world_descriptor(p->mode, NULL), *session = json_object_get(d, "session");

    json_array_append_new(json_object_get(session, "participants"),
                          json_pack("{s:s}", "id", "agent://silent"));
    json_object_set_new(
        session, "metadata",
        json_pack("{s:s, s:s}", "environment", "staging", "scenarioRef", "reports/1"));
    expect_posted_as(&world, d, out);
}

static void
say(const char *sender, const char *type, const char *member, json_t *payload)
{
    json_decref(
        expect_control(&world, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "cmd", "send",
                                         "session", caller.session, "mode", EXTENSION, "type", type,
                                         "sender", sender, "forced", 1, member, payload)));
}

static void
call_model(const char *sender, const char *call)
{
    char text[8000];

    snprintf(text, sizeof(text), "{\"llmCall\":%s}", call);
    say(sender, "Note", "text", json_string(text));
}

static void
play_calls(void)
{
    char endless[5000], hostile[6000];

    memset(endless, 'm', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    snprintf(hostile, sizeof(hostile),
             "{\"model\":\"%s\",\"promptTokens\":1e308,\"completionTokens\":1e308,"
             "\"latencyMs\":\"soon\",\"estimatedCostUsd\":1e300}",
             endless);
    post(&(struct played){"", EXTENSION, ""}, &caller);
    say("agent://planner", "SessionStart", "payload",
        json_pack("{s:s, s:[s,s], s:s, s:s, s:i}", "intent", "call", "participants",
                  "agent://planner", "agent://reviewer", "mode_version", "1.0.0",
                  "configuration_version", "config.default", "ttl_ms", 600000));
    call_model("agent://planner", "{\"model\":\"gpt-4o\",\"provider\":\"openai\",\"promptTokens\":"
                                  "1000,\"completionTokens\":500,\"latencyMs\":100}");
    call_model("agent://reviewer", "{\"model\":\"gpt-4o\",\"provider\":\"openai\",\"promptTokens\":"
                                   "3000,\"completionTokens\":0,\"latencyMs\":300,"
                                   "\"estimatedCostUsd\":0.01}");
    call_model("agent://planner", "{\"model\":\"claude-3-opus\",\"promptTokens\":10,"
                                  "\"completionTokens\":20}");
    call_model(endless, hostile);
    say("agent://planner", "Commitment", "payload",
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "commitment_id", "c1", "action",
                  "demo.done", "authority_scope", "session", "reason", "enough", "mode_version",
                  "1.0.0", "configuration_version", "config.default", "outcome_positive", 1));
    expect_status(&world, caller.run, "completed");
}

/* Not a set-up function: a failed expectation must fail a test. */
static void
sessions_of_several_modes_are_observed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(played); i++)
        post(&played[i], &runs[i]);
    for (size_t i = 0; i < ARRAY_LEN(played); i++)
        expect_played(&world, played[i].script, runs[i].session, NULL);
    for (size_t i = 0; i < ARRAY_LEN(played); i++)
        expect_status(&world, runs[i].run, played[i].status);
    play_calls();
}

/* --- facts and events ------------------------------------------------------------------------ */

#define EVENTS                                                                                     \
    "from macp.runs r join macp.run_events_canonical e on e.day = r.day and e.run_key = "          \
    "r.run_key "
#define PAYLOAD "(e.data -> 'decodedPayload')"

/* Both sides in one statement, so of one moment: an observer may still be writing. */
static const struct {
    const char *what, *report, *events;
} same[] = {
    {"decisions",
     "select string_agg(concat_ws(' ', run_id, seq, ts, commitment_id, action, outcome_positive, "
     "decided_by, reason, final), '|' order by run_id, seq) from report.decisions",
     "select string_agg(concat_ws(' ', r.id, e.seq, e.ts, " PAYLOAD "->>'commitmentId', " PAYLOAD
     "->>'action', (" PAYLOAD "->>'outcomePositive')::boolean, e.sender, " PAYLOAD
     "->>'reason', true), '|' order by r.id, e.seq) " EVENTS "where type = 'decision.finalized'"},
    {"votes",
     "select string_agg(concat_ws(' ', run_id, seq, participant_id, message_type, vote), '|' "
     "order by run_id, seq) from report.votes",
     "select string_agg(concat_ws(' ', id, seq, sender, raw_type, vote), '|' order by id, seq) "
     "from (select r.id, e.seq, e.sender, e.raw_type, case when upper(coalesce(" PAYLOAD
     "->>'vote', " PAYLOAD "->>'recommendation')) in ('APPROVE', 'ALLOW', 'ACCEPT', 'YES') or "
     "e.raw_type in ('Accept', 'Approve', 'TaskAccept', 'HandoffAccept') then 'allow' when "
     "upper(coalesce(" PAYLOAD "->>'vote', " PAYLOAD "->>'recommendation')) in ('REJECT', 'DENY', "
     "'BLOCK', 'NO') or e.raw_type in ('Reject', 'TaskReject', 'HandoffDecline') then 'deny' end "
     "as vote " EVENTS "where e.type like 'proposal.%') v where vote is not null"},
    {"signals",
     "select string_agg(concat_ws(' ', run_id, seq, signal_id, name, participant_id, confidence), "
     "'|' order by run_id, seq) from report.signals",
     "select string_agg(concat_ws(' ', r.id, e.seq, e.subject_id, " PAYLOAD "->>'signalType', "
     "e.sender, (" PAYLOAD "->>'confidence')::float8), '|' order by r.id, e.seq) " EVENTS
     "where type = 'signal.emitted'"},
    {"model calls",
     "select string_agg(concat_ws(' ', run_id, seq, md5(model), provider, prompt_tokens, "
     "completion_tokens, latency_ms), '|' order by run_id, seq) from report.llm_calls",
     "select string_agg(concat_ws(' ', r.id, e.seq, md5(" PAYLOAD "->>'model'), " PAYLOAD
     "->>'provider', least((" PAYLOAD "->>'promptTokens')::float8, 1e15), least((" PAYLOAD
     "->>'completionTokens')::float8, 1e15), (" PAYLOAD "->>'latencyMs')::float8), '|' order by "
     "r.id, e.seq) " EVENTS "where type = 'llm.call.completed'"},
    {"usage by model is the sum of the calls",
     "select string_agg(concat_ws(' ', day, md5(model), calls, total_tokens, estimated_cost_usd), "
     "'|' order by day, md5(model), calls) from report.llm_usage",
     "select string_agg(concat_ws(' ', day, md5(model), calls, tokens, cost), '|' order by day, "
     "md5(model), calls) from (select (ts at time zone 'utc')::date as day, model, count(*) as "
     "calls, sum(total_tokens) as tokens, sum(estimated_cost_usd) as cost from report.llm_calls "
     "group by 1, 2, provider) c"},
    {"event counts",
     "select string_agg(run_id || ' ' || events, '|' order by run_id) from report.runs",
     "select string_agg(id || ' ' || n, '|' order by id) from (select r.id, count(*) as n " EVENTS
     "group by r.id) c"},
    {"timeline", "select count(*)::text from report.run_timeline", "select count(*)::text " EVENTS},
    {"who was there",
     "select string_agg(run_id || ' ' || md5(case when length(participant_id) > 4 and "
     "participant_id like 'sha256:%' then repeat('m', 4999) else participant_id end), '|' order by "
     "run_id, md5(case when participant_id like 'sha256:%' then repeat('m', 4999) else "
     "participant_id end)) from report.participants",
     "select string_agg(id || ' ' || md5(who), '|' order by id, md5(who)) from (select distinct "
     "r.id, e.subject_id as who " EVENTS "where e.type = 'participant.seen') c"},
};

static void
facts_say_what_the_events_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        print_message("          %s\n", same[i].what);
        expect_sql_becomes(&world, "t", "select (%s) is not distinct from (%s)", same[i].report,
                           same[i].events);
    }
    expect_sql(&world, "t", "select count(*) > 10 from report.votes");
    expect_sql(&world, "t", "select count(*) >= 4 from report.llm_calls");
}

static void
participants_count_their_messages_and_end_as_in_the_state(void **state)
{
    (void)state;
    expect_sql_becomes(
        &world, "0",
        "select count(*) from macp.run_participants p where messages <> (select count(*) from "
        "macp.run_events_canonical e where e.run_key = p.run_key and type = 'message.received' and "
        "(e.sender = p.participant_id or p.participant_id like 'sha256:%%' and "
        "length(e.sender) > 512))");
    expect_sql_becomes(
        &world, "0",
        "select count(*) from macp.run_participants f full join (select run_key, x ->> "
        "'participantId' as "
        "participant_id, x ->> 'status' as status from macp.run_projections, "
        "json_array_elements(participants) x) p on p.run_key = f.run_key and (p.participant_id = "
        "f.participant_id or length(p.participant_id) > 512 and f.participant_id like 'sha256:%%') "
        "where f.status is distinct from p.status");
    expect_sql(&world, "t",
               "select bool_and(declared) from report.participants where participant_id = "
               "'agent://silent'");
    expect_sql(&world, "f",
               "select bool_or(declared) from report.participants where participant_id = "
               "'agent://critic'");
}

static void
hostile_numbers_and_ids_are_stored_cut(void **state)
{
    (void)state;
    expect_sql(&world, "1000000000000000 1000000000000000 999999999999.999999 t t",
               "select concat_ws(' ', prompt_tokens::numeric, total_tokens::numeric, "
               "reported_cost_usd, latency_ms is null, length(model) = 4999) from report.llm_calls "
               "where prompt_tokens > 1e14");
    expect_sql(&world, "t",
               "select estimated_cost_usd between 999999 and 999999999999.999999 from "
               "report.llm_calls where prompt_tokens > 1e14");
    expect_sql(&world, "t",
               "select count(*) = 1 from report.participants where participant_id ~ "
               "'^sha256:[0-9a-f]{64}$' and messages = 1");
    /* Sums and casts over it must not fail either. */
    expect_sql(&world, "t",
               "select sum(estimated_cost_usd) > 0 and max(total_tokens) = 1e15 from report.runs");
    expect_sql(&world, "t", "select sum(estimated_cost_usd) > 0 from report.outcomes_daily");
}

/* --- the five questions ---------------------------------------------------------------------- */

static char readme[README_MAX];

static void
read_readme(void)
{
    FILE *f = fopen(README, "r");
    size_t n;

    if (!f)
        fail_msg("%s cannot be read from here", README);
    n = fread(readme, 1, sizeof(readme) - 1, f);
    fclose(f);
    assert_true(n > 0 && n < sizeof(readme) - 1);
    readme[n] = '\0';
}

/* The answer to the n-th question of the readme, asked by the analyst. */
static struct db_result *
ask(int n)
{
    struct db_result *rows = NULL;
    char *from, *to;
    struct err err;

    read_readme();
    from = strstr(readme, "### Five questions");
    for (int i = 0; i <= n && from; i++) {
        from = strstr(from, "```sql\n");
        from = from ? from + strlen("```sql\n") : NULL;
    }
    if (!from)
        fail_msg("%s has no question %d", README, n + 1);
    to = strstr(from, "```");
    assert_non_null(to);
    *to = '\0';
    expect_ok(db_script_rows(analyst, from, &rows, &err), &err, from);
    return rows;
}

static void
expect_rows(struct db_result *rows, int columns, const char *const *wanted, int n)
{
    AUTO_BUF got = {0};
    int bad = db_rows(rows) != n;

    for (int row = 0; row < db_rows(rows); row++) {
        buf_reset(&got);
        for (int col = 0; col < columns; col++)
            buf_printf(&got, "%s%s", col ? " | " : "", db_text(rows, row, col));
        if (row >= n || strcmp(buf_cstr(&got), wanted[row]) != 0) {
            print_error("row %d: %s\n", row, buf_cstr(&got));
            bad++;
        }
    }
    db_result_free(rows);
    assert_int_equal(bad, 0);
}

/* Runs, completed, failed, cancelled, positive, negative: from the list of scripts above. */
static void
question_1_how_did_runs_end(void **state)
{
    static const char *const wanted[] = {
        "ext.demo.v1 | staging | 1 | 1 | 0 | 0 | 1 | 0",
        "macp.mode.decision.v1 | staging | 4 | 2 | 1 | 1 | 1 | 1",
        "macp.mode.handoff.v1 | staging | 1 | 1 | 0 | 0 | 1 | 0",
        "macp.mode.proposal.v1 | staging | 2 | 2 | 0 | 0 | 1 | 1",
        "macp.mode.quorum.v1 | staging | 1 | 1 | 0 | 0 | 0 | 1",
        "macp.mode.task.v1 | staging | 1 | 1 | 0 | 0 | 0 | 1",
    };

    (void)state;
    expect_rows(ask(0), 8, wanted, ARRAY_LEN(wanted));
}

static void
question_2_what_do_models_cost(void **state)
{
    struct db_result *rows = ask(1);
    int found = 0;

    (void)state;
    for (int row = 0; row < db_rows(rows); row++) {
        if (strcmp(db_text(rows, row, 1), "gpt-4o") == 0) {
            /* 1000 and 3000 tokens at 2.50, 500 at 10 dollars a million */
            assert_string_equal(db_text(rows, row, 2), "2");
            assert_string_equal(db_text(rows, row, 3), "4500");
            assert_string_equal(db_text(rows, row, 4), "0.015000");
            assert_string_equal(db_text(rows, row, 5), "200");
            found++;
        }
        if (strcmp(db_text(rows, row, 1), "claude-3-opus") == 0) {
            assert_string_equal(db_text(rows, row, 4), "0.001650");
            assert_true(db_null(rows, row, 5));
            found++;
        }
    }
    db_result_free(rows);
    assert_int_equal(found, 2);
}

/* decision.negative: 2 and 1; proposal.negative: 2; quorum.negative: 1; task.negative: 1. */
static void
question_3_who_votes_against(void **state)
{
    static const char *const wanted[] = {
        "agent://reviewer | 5 | 5 | 3",
        "agent://critic | 0 | 2 | 2",
        "agent://planner | 2 | 0 | 0",
    };

    (void)state;
    expect_rows(ask(2), 4, wanted, ARRAY_LEN(wanted));
}

static void
question_4_what_was_decided_against(void **state)
{
    static const char *const wanted[] = {
        "macp.mode.decision.v1 | decision.declined | agent://planner | 0 | as scripted",
        "macp.mode.proposal.v1 | proposal.rejected | agent://planner | 0 | as scripted",
        "macp.mode.quorum.v1 | quorum.rejected | agent://planner | 0 | as scripted",
        "macp.mode.task.v1 | task.failed | agent://planner | 0.5 | as scripted",
    };

    (void)state;
    expect_rows(ask(3), 5, wanted, ARRAY_LEN(wanted));
}

/* The silent one in every run; the reviewer where it never got a word in. */
static void
question_5_who_was_expected_and_never_spoke(void **state)
{
    char reviewer[48];
    const char *const rows[] = {"agent://silent | 10", reviewer};
    long missing = expect_sql_int(
        &world, "select count(*) from macp.runs r where not exists (select from "
                "macp.run_events_canonical e where e.run_key = r.run_key and e.type = "
                "'message.received' and e.sender = 'agent://reviewer')");

    (void)state;
    snprintf(reviewer, sizeof(reviewer), "agent://reviewer | %ld", missing);
    expect_rows(ask(4), 2, rows, missing ? 2 : 1);
}

/* --- the contract ---------------------------------------------------------------------------- */

static const char contract_sql[] =
    "select string_agg(v, E'\\n' order by v collate \"C\") from (select '### report.' || c.relname "
    "|| E'\\n\\n' || "
    "upper(left(d.description, 1)) || substr(d.description, 2) || E'.\\n\\n| Column | Type | Says "
    "|\\n|---|---|---|\\n' || (select string_agg(format('| `%s` | %s | %s |', a.attname, "
    "format_type(a.atttypid, a.atttypmod), e.description), E'\\n' order by a.attnum) from "
    "pg_attribute a left join pg_description e on e.objoid = c.oid and e.objsubid = a.attnum "
    "where a.attrelid = c.oid and a.attnum > 0) || E'\\n' as v from pg_class c left join "
    "pg_description d on d.objoid = c.oid and d.objsubid = 0 where c.relnamespace = "
    "'report'::regnamespace and c.relkind = 'v') views";

static void
every_view_and_column_has_a_comment(void **state)
{
    (void)state;
    expect_sql(
        &world, "",
        "select string_agg(c.relname || '.' || coalesce(a.attname, '*'), ',') from pg_class c "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 left join "
        "pg_description d on d.objoid = c.oid and d.objsubid in (0, a.attnum) where "
        "c.relnamespace = 'report'::regnamespace group by c.relname, a.attname having "
        "count(d.description) <> 2");
    expect_sql(&world, VIEWS_TEXT,
               "select count(*) from information_schema.views where table_schema = 'report'");
}

static void
readme_lists_the_views_as_they_are(void **state)
{
    AUTO_DB_RESULT *rows = NULL;
    struct err err;

    (void)state;
    read_readme();
    expect_ok(db_script_rows(world.db, contract_sql, &rows, &err), &err, "contract");
    if (!strstr(readme, db_text(rows, 0, 0)))
        fail_msg("%s does not have this list:\n%s", README, db_text(rows, 0, 0));
}

static void
no_view_shows_keys_or_secrets(void **state)
{
    AUTO_DB_RESULT *views = NULL;
    struct err err;

    (void)state;
    expect_ok(db_script(world.db,
                        "update macp.runs set callback_url = 'http://" SECRET "', callback_bearer "
                        "= '" SECRET "', idempotency_key = '" SECRET "' || run_key, descriptor = "
                        "'{\"x\": \"" SECRET "\"}'; insert into macp.webhooks (id, url, secret) "
                        "values (gen_random_uuid(), 'http://" SECRET "', '" SECRET "')",
                        &err),
              &err, "secrets");
    expect_ok(db_script_rows(analyst,
                             "select table_name::text from information_schema.views where "
                             "table_schema = 'report'",
                             &views, &err),
              &err, "views");
    assert_int_equal(db_rows(views), VIEWS);
    for (int i = 0; i < db_rows(views); i++)
        expect_sql(&world, "0",
                   "select count(*) from report.%s v where v::text like '%%" SECRET "%%'",
                   db_text(views, i, 0));
    expect_sql(&world, "0",
               "select count(*) from information_schema.columns where table_schema = 'report' and "
               "(column_name like '%%\\_key' or column_name in ('descriptor', 'metadata'))");
}

static void
report_role_reads_views_and_nothing_else(void **state)
{
    static const struct {
        const char *sql, *sqlstate;
    } cases[] = {
        {"select count(*) from report.runs", ""},
        {"select * from report.policy_evaluations", ""},
        {"select * from report.observer_gaps", ""},
        {"select count(*) from macp.runs", "42501"},
        {"select count(*) from macp.run_votes", "42501"},
        {"select macp.usd(1)", "42501"},
        {"select macp.report_login('api')", "42501"},
        {"delete from report.decisions", "55000"}, /* no view of one table */
        {"update report.runs set status = 'failed'", "55000"},
        {"create view report.mine as select 1", "42501"},
        {"create table report.mine (x integer)", "42501"},
        {"create table macp.mine (x integer)", "42501"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {.code = ERR_NONE};
        bool done = db_script(analyst, cases[i].sql, &err);

        if (done != (cases[i].sqlstate[0] == '\0') || strcmp(err.sqlstate, cases[i].sqlstate) != 0)
            fail_msg("%s: %s %s", cases[i].sql, err.sqlstate, done ? "" : err.msg);
    }
    expect_sql(&world, "0",
               "select count(*) from information_schema.table_privileges where grantee = "
               "'macp_report' and (table_schema <> 'report' or privilege_type <> 'SELECT')");
}

/* By psql: what a plain client gets, without the settings that our own connections carry. */
static int
ask_psql(const char *statement, char **log)
{
    char url[POSTGRES_URL_LEN];
    const char *const argv[] = {"/usr/bin/psql",
                                "-X",
                                "-At",
                                "-c",
                                statement,
                                postgres_url(world.postgres, world.database, POSTGRES_REPORT, url),
                                NULL};
    struct process p = {0};
    struct err err;
    int status;

    expect_ok(process_start(
                  &p, &(struct process_spec){.name = "psql", .dir = world.dir, .argv = argv}, &err),
              &err, "psql");
    status = process_stop(&p, 0, process_slow(COMMAND_MS)); /* signal 0: only wait */
    *log = process_log_tail(p.log, 2000);
    unlink(p.log);
    return status;
}

static void
login_prepared_for_reports_is_limited_by_default(void **state)
{
    static const struct {
        const char *statement, *answer;
        int status;
    } cases[] = {
        {"show statement_timeout", "300ms", 0},
        {"show default_transaction_read_only", "on", 0},
        {"show idle_in_transaction_session_timeout", "5min", 0},
        {"select count(*) > 0 from runs", "t", 0}, /* its search_path is report */
        {"select pg_sleep(20)", "statement timeout", 1},
        {"create temporary table t (x integer)", "read-only transaction", 1},
        /* Defaults only: a session may lift them, and still has no right to write. */
        {"set statement_timeout = 0; select 'lifted'", "lifted", 0},
        {"begin read write; create table report.t (x integer)",
         "permission denied for schema report", 1},
        {"begin read write; delete from macp.runs", "permission denied for schema macp", 1},
    };
    char *log;
    int status;
    struct err err;

    (void)state;
    /* A member of the group has no limit of its own yet. */
    status = ask_psql("show statement_timeout", &log);
    assert_int_equal(status, 0);
    assert_string_equal(log, "0\n");
    free(log);
    expect_ok(db_script(world.db, "select macp.report_login('" POSTGRES_REPORT "', '300ms')", &err),
              &err, "report_login");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        status = ask_psql(cases[i].statement, &log);
        if (status != cases[i].status || !strstr(log, cases[i].answer))
            fail_msg("%s: exit %d, %s", cases[i].statement, status, log);
        free(log);
    }
}

/* --- rebuild --------------------------------------------------------------------------------- */

/* Exit status; the end of what it logged goes to *log (to be freed). */
static int
run_rebuild(const char *a, const char *b, const char *c, char **log)
{
    char program[PATH_MAX + 32], url[POSTGRES_URL_LEN + 32], address[160];
    const char *const argv[] = {program, "rebuild", a, b, c, NULL};
    const char *const env[] = {url, address, "MACP_ENV=development", NULL};
    struct process p = {0};
    struct err err;
    int status;

    snprintf(program, sizeof(program), "%s/macp-observerd", world.build);
    snprintf(url, sizeof(url), "DATABASE_URL=%s", world.observer_url);
    snprintf(address, sizeof(address), "RUNTIME_ADDRESS=%s", world.runtime_address);
    expect_ok(process_start(&p,
                            &(struct process_spec){
                                .name = "rebuild", .dir = world.dir, .argv = argv, .env = env},
                            &err),
              &err, "rebuild");
    status = process_stop(&p, 0, process_slow(COMMAND_MS)); /* signal 0: only wait */
    *log = process_log_tail(p.log, 20000);
    unlink(p.log);
    return status;
}

static void
expect_rebuild(int status, const char *said, const char *a, const char *b, const char *c)
{
    char *log;
    int got = run_rebuild(a, b, c, &log);

    if (got != status || !strstr(log, said))
        fail_msg("rebuild: exit %d, wanted %d and '%s' in:\n%s", got, status, said, log);
    free(log);
}

static void
rebuild_asks_the_owner_of_a_live_run(void **state)
{
    (void)state;
    expect_rebuild(0, "rebuilt by its owner", runs[0].run, NULL, NULL);
    expect_rebuild(0, "rebuilt 10 runs, failed 0", "--all", NULL, NULL);
    expect_sql(&world, "11",
               "select count(*) from macp.audit_log where action = 'projection.rebuilt' and actor "
               "= 'macp-observerd rebuild'");
}

static void
rebuild_gives_exactly_the_live_rows(void **state)
{
    char *before;
    struct err err;

    (void)state;
    assert_int_equal(world_stop_observerd(&world, process_slow(10000)), 0);
    before = folds_now(&world);
    expect_rebuild(0, "rebuilt 10 runs, failed 0", "--all", NULL, NULL);
    folds_expect_same(&world, before);
    expect_ok(
        db_script(world.db,
                  "delete from macp.run_votes where seq % 2 = 0; delete from "
                  "macp.run_participants where not declared; update macp.run_llm_calls set "
                  "estimated_cost_usd = 7; update macp.run_decisions set action = 'x'; "
                  "insert into macp.run_signals (run_key, seq, ts, name) select run_key, 1, "
                  "now(), 'x' from macp.runs; delete from macp.run_metrics where run_key % 2 "
                  "= 0; update macp.run_metrics set event_count = 0, total_tokens = 5, frozen "
                  "= false; update macp.run_projections set version = 1, timeline = '{}'",
                  &err),
        &err, "damage");
    expect_rebuild(0, "rebuilt 10 runs", "--all", "--since", "2020-01-01");
    folds_expect_same(&world, before);
    expect_rebuild(0, "rebuilt 10 runs", "--all", NULL, NULL);
    folds_expect_same(&world, before);
    expect_rebuild(0, "rebuilt 0 runs", "--all", "--since", "2100-01-01");
    expect_rebuild(0, "rebuilt 2 runs", runs[1].run, caller.run, NULL);
    folds_expect_same(&world, before);
    free(before);
}

static void
rebuild_refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    expect_rebuild(64, "usage: macp-observerd rebuild", NULL, NULL, NULL);
    expect_rebuild(64, "is no run id", "yesterday", NULL, NULL);
    expect_rebuild(64, "is no time", "--all", "--since", "soon");
    expect_rebuild(1, "there is no such run", "5b0f3c64-58a5-4c52-9a5e-0d6f0b7c2f11", NULL, NULL);
}

/* Events as another observer may have stored them: what no script plays. */
static void
acknowledgements_and_policy_judgements_are_found(void **state)
{
    struct err err;
    char sql[6000];

    (void)state;
    snprintf(
        sql, sizeof(sql),
        "with run as (update macp.run_observers o set last_seq = last_seq + 20 from macp.runs r "
        "where r.run_key = o.run_key and r.id = '%s' returning o.run_key, o.day, o.last_seq - 20 "
        "as seq) insert "
        "into macp.run_events_canonical (day, run_key, seq, ts, type, subject_kind, subject_id, "
        "source_kind, source_name, raw_type, sender, data) select day, run_key, seq + n, now() + n "
        "* interval '1 second', type, kind, subject, 'runtime', 'rust-runtime', raw, data::jsonb "
        "->> 'sender', data::jsonb from run, (values "
        "(1, 'signal.emitted', 'signal', 's-1', 'Signal', '{\"sender\":\"a\",\"decodedPayload\":"
        "{\"signalType\":\"help\",\"confidence\":1e300}}'), "
        "(2, 'signal.acknowledged', 'signal', 's-1', 'SignalAck', '{\"sender\":\"b\","
        "\"decodedPayload\":{\"signalId\":\"s-1\"}}'), "
        "(3, 'signal.emitted', 'signal', 's-1', 'Signal', "
        "'{\"sender\":\"a\",\"decodedPayload\":{}}'), "
        "(4, 'signal.acknowledged', 'signal', 's-1', 'SignalAck', '{\"decodedPayload\":{}}'), "
        "(5, 'signal.acknowledged', 'signal', 's-9', 'SignalAck', '{\"sender\":\"c\"}'), "
        "(6, 'decision.finalized', 'decision', 'c2', 'Commitment', '{\"sender\":\"b\","
        "\"decodedPayload\":{\"action\":\"late.rejected\",\"commitmentId\":2}}'), "
        "(7, 'policy.commitment.evaluated', 'policy', 'c1', 'PolicyCommitmentEvaluated', "
        "'{\"sender\":\"p\",\"decodedPayload\":{\"decision\":\"allow\",\"reasons\":[\"x\",\"y\"]}}'"
        "), "
        "(8, 'policy.denied', 'policy', 'm1', 'stream-inline-error', '{\"messageId\":\"m1\","
        "\"errorMessage\":\"no\",\"decodedPayload\":{\"decision\":\"deny\",\"reasons\":\"odd\"}}'),"
        " "
        "(9, 'policy.denied', 'policy', 'm2', 'PolicyDenied', '[]')) "
        "as e (n, type, kind, subject, raw, data)",
        runs[2].run);
    expect_ok(db_script(world.db, sql, &err), &err, "events");
    expect_rebuild(0, "rebuilt 1 runs", runs[2].run, NULL, NULL);
    expect_sql(&world, "help a 1000000000000000 b t|Signal a f",
               "select string_agg(concat_ws(' ', name, participant_id, confidence::numeric, "
               "acknowledged_by, (acknowledged_at is not null)), '|' order by seq) from "
               "(select * from report.signals where run_id = '%s' and signal_id = 's-1') s",
               runs[2].run);
    expect_sql(&world, "3",
               "select extract(epoch from acknowledged_at - ts)::integer from report.signals where "
               "run_id = '%s' and signal_id = 's-1' order by seq limit 1",
               runs[2].run);
    expect_sql(&world, "proposal.accepted t c1|late.rejected f 2",
               "select string_agg(concat_ws(' ', action, outcome_positive, commitment_id), '|' "
               "order by seq) from report.decisions where run_id = '%s'",
               runs[2].run);
    expect_sql(&world, "t f",
               "select string_agg(final::text::char, ' ' order by seq) from report.decisions where "
               "run_id = '%s'",
               runs[2].run);
    expect_sql(&world, "evaluated allow c1 p {x,y}|denied deny m1 {} no|denied deny {}",
               "select string_agg(concat_ws(' ', kind, decision, commitment_id, message_id, "
               "participant_id, reasons, error_message), '|' order by seq) from "
               "report.policy_evaluations where run_id = '%s'",
               runs[2].run);
}

static void
facts_go_with_their_run(void **state)
{
    static const char left[] =
        "select (select count(*) from macp.run_votes) + (select count(*) from "
        "macp.run_participants) + (select count(*) from macp.run_decisions) + (select count(*) "
        "from macp.run_signals) + (select count(*) from macp.run_llm_calls)";
    long before = expect_sql_int(&world, "%s", left);
    long of_run = expect_sql_int(
        &world,
        "select (select count(*) from report.votes where run_id = '%1$s') + (select count(*) from "
        "report.participants where run_id = '%1$s') + (select count(*) from report.decisions where "
        "run_id = '%1$s') + (select count(*) from report.signals where run_id = '%1$s') + (select "
        "count(*) from report.llm_calls where run_id = '%1$s')",
        runs[0].run);
    struct db *as = db_new(world.api_url, "deletes", 20000); /* with the rights of handlers */
    struct err err = {.code = ERR_NONE};
    char sql[200];
    bool done;

    (void)state;
    assert_true(of_run > 5);
    snprintf(sql, sizeof(sql), "delete from macp.runs where id = '%s'", runs[0].run);
    done = db_script(as, sql, &err);
    db_close(as);
    expect_ok(done, &err, "delete");
    assert_int_equal(expect_sql_int(&world, "%s", left), before - of_run);
}

/* --- what a question reads ------------------------------------------------------------------- */

static const char many_sql[] =
    "select ensure_partitions(current_date - 36, 8);"
    "insert into runs (id, day, session_id, origin, status, mode, mode_name, runtime_kind, "
    "trace_id, "
    "created_at, started_at, ended_at, outcome_positive) select gen_random_uuid(), current_date - "
    "n "
    "% 30, 's' || n, 'posted', 'completed', 'live', 'macp.mode.decision.v1', 'rust', 't', now() - "
    "(n % 30) * interval '1 day', now(), now(), true from generate_series(1, 4000) n;"
    "insert into run_observers (run_key, day, closed) select run_key, day, true from runs;"
    "insert into run_metrics (run_key) select run_key from runs;"
    "insert into run_sessions (run_key, session_id, runtime_kind, mode_name, session_state) select "
    "run_key, session_id, runtime_kind, mode_name, 'SESSION_STATE_RESOLVED' from runs;"
    "insert into run_events_canonical (day, run_key, seq, ts, type, source_kind, source_name, "
    "data) "
    "select day, run_key, n, created_at, case n when 7 then 'policy.denied' else "
    "'message.received' end, 'runtime', 'rust-runtime', '{}' from runs, generate_series(1, 12) n;"
    "insert into run_events_raw (day, run_key, seq, source, ordinal, received_at, sent_at, body) "
    "select day, run_key, 100 + n, 'session', n, created_at, created_at, 'x' from runs, "
    "generate_series(1, 6) n;"
    "insert into run_decisions (run_key, seq, ts, action, final) select run_key, 1, created_at, "
    "'x', true from runs;"
    "insert into run_votes (run_key, seq, ts, vote) select run_key, n, created_at, 'allow' from "
    "runs, generate_series(1, 3) n;"
    "insert into run_signals (run_key, seq, ts, name) select run_key, n, created_at, 'x' from "
    "runs, "
    "generate_series(1, 3) n;"
    "insert into run_llm_calls (run_key, seq, ts, prompt_tokens, completion_tokens, total_tokens, "
    "estimated_cost_usd) select run_key, n, created_at, 1, 1, 2, 0.1 from runs, "
    "generate_series(1, 3) n;"
    "insert into run_participants (run_key, participant_id, declared, status) select run_key, 'p' "
    "|| n, true, 'idle' from runs, generate_series(1, 3) n;"
    "insert into observer_gaps (run_key, kind) select run_key, 'compacted' from runs where run_key "
    "% 10 = 0;"
    "analyze";

static const struct {
    const char *view, *filter;
    int partitions; /* of events that may be read */
    bool whole;     /* may read a whole table that is not partitioned */
} reads[] = {
    // clang-format off
    {"runs",               "run_id", 0, false}, {"runs",               "day", 0, true},
    {"run_timeline",       "run_id", 1, false}, {"run_timeline",       "day", 1, false},
    {"participants",       "run_id", 0, false}, {"participants",       "day", 0, true},
    {"decisions",          "run_id", 0, false}, {"decisions",          "day", 0, true},
    {"votes",              "run_id", 0, false}, {"votes",              "day", 0, true},
    {"signals",            "run_id", 0, false}, {"signals",            "day", 0, true},
    {"llm_calls",          "run_id", 0, false}, {"llm_calls",          "day", 0, true},
    {"llm_usage",          "day",    0, false},
    {"policy_evaluations", "run_id", 1, false}, {"policy_evaluations", "day", 1, false},
    {"outcomes_daily",     "day",    0, true},
    {"observer_gaps",      "run_id", 0, false}, {"observer_gaps",      "day", 0, true},
    {"ingest_lag",         "run_id", 1, false}, {"ingest_lag",         "day", 1, true},
    // clang-format on
};

/* Different tables of events that the plan really read, and whole tables. */
static void
read_plan(const struct db_result *plan, int *partitions, bool *whole)
{
    char seen[PARTITIONS_MAX * 4][64];

    *partitions = 0;
    *whole = false;
    for (int row = 0; row < db_rows(plan); row++) {
        const char *line = db_text(plan, row, 0), *on = strstr(line, " on run_events_");
        char table[64] = "";
        int known = 0;

        if (strstr(line, "never executed"))
            continue;
        if (!on) {
            *whole = *whole || strstr(line, "Seq Scan on ") != NULL;
            continue;
        }
        sscanf(on + 4, "%63s", table);
        if (strstr(table, "_pkey") || strstr(table, "_idx"))
            continue;
        for (int i = 0; i < *partitions; i++)
            known += strcmp(seen[i], table) == 0;
        if (!known && *partitions < (int)ARRAY_LEN(seen))
            snprintf(seen[(*partitions)++], sizeof(seen[0]), "%s", table);
    }
}

static void
questions_about_a_run_or_a_day_read_one_week_of_events(void **state)
{
    char name[POSTGRES_NAME_LEN], url[POSTGRES_URL_LEN], sql[500];
    struct err err;
    struct db *db;
    int bad = 0;

    (void)state;
    expect_ok(postgres_database(world.postgres, name, &err), &err, "database");
    db = db_new(postgres_url(world.postgres, name, POSTGRES_ADMIN, url), "plans", 60000);
    expect_ok(db_script(db, many_sql, &err), &err, "many runs");
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        AUTO_DB_RESULT *plan = NULL;
        char value[100];
        int partitions;
        bool whole;

        snprintf(sql, sizeof(sql),
                 "select %s from runs where run_key %% 10 = 0 order by run_key limit 1 offset 200",
                 strcmp(reads[i].filter, "day") == 0 ? "day" : "id");
        expect_ok(postgres_value(db, sql, value, sizeof(value), &err), &err, sql);
        snprintf(sql, sizeof(sql),
                 "explain (analyze, costs off, timing off, summary off) select * from report.%s "
                 "where %s = '%s'",
                 reads[i].view, reads[i].filter, value);
        expect_ok(db_script_rows(db, sql, &plan, &err), &err, sql);
        read_plan(plan, &partitions, &whole);
        if (partitions <= reads[i].partitions && (!whole || reads[i].whole))
            continue;
        print_error("%s by %s reads %d tables of events%s\n", reads[i].view, reads[i].filter,
                    partitions, whole ? " and a whole table" : "");
        for (int row = 0; row < db_rows(plan); row++)
            print_error("    %s\n", db_text(plan, row, 0));
        bad++;
    }
    db_close(db);
    assert_int_equal(bad, 0);
}

static int
set_up(void **state)
{
    char url[POSTGRES_URL_LEN];

    if (scene_open(state, &world, &(struct world_options){0}, 0) != 0)
        return -1;
    analyst = db_new(postgres_url(world.postgres, world.database, POSTGRES_REPORT, url), "analyst",
                     20000);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    db_close(analyst);
    world_stop(&world);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_of_several_modes_are_observed),
        cmocka_unit_test(facts_say_what_the_events_say),
        cmocka_unit_test(participants_count_their_messages_and_end_as_in_the_state),
        cmocka_unit_test(hostile_numbers_and_ids_are_stored_cut),
        cmocka_unit_test(question_1_how_did_runs_end),
        cmocka_unit_test(question_2_what_do_models_cost),
        cmocka_unit_test(question_3_who_votes_against),
        cmocka_unit_test(question_4_what_was_decided_against),
        cmocka_unit_test(question_5_who_was_expected_and_never_spoke),
        cmocka_unit_test(every_view_and_column_has_a_comment),
        cmocka_unit_test(readme_lists_the_views_as_they_are),
        cmocka_unit_test(report_role_reads_views_and_nothing_else),
        cmocka_unit_test(login_prepared_for_reports_is_limited_by_default),
        cmocka_unit_test(rebuild_asks_the_owner_of_a_live_run),
        cmocka_unit_test(rebuild_gives_exactly_the_live_rows),
        cmocka_unit_test(rebuild_refuses_what_it_does_not_understand),
        cmocka_unit_test(acknowledgements_and_policy_judgements_are_found),
        cmocka_unit_test(no_view_shows_keys_or_secrets),
        cmocka_unit_test(facts_go_with_their_run),
        cmocka_unit_test(questions_about_a_run_or_a_day_read_one_week_of_events),
    };

    return cmocka_run_group_tests_name("reports", tests, set_up, tear_down);
}
