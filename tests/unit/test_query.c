/* Query strings: conversions and texts, with the real tables of the list endpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/handlers.h"

#define STATUSES                                                                                   \
    "queued, starting, binding_session, running, suspended, completed, failed, cancelled"

enum { RUNS_TAGS = 1, RUNS_LIMIT = 4, RUNS_SANDBOX = 8, RUNS_SEARCH = 12 };
enum { EVENTS_AFTER = 0, EVENTS_LIMIT = 1, EVENTS_TS = 2, EVENTS_TYPE = 4 };

static const struct {
    const struct query_field *fields;
    const char *query, *texts;
} texts_of[] = {
    {runs_list_query, "", ""},
    {runs_list_query, "&&=&x=1&limit=1&", ""},
    {runs_list_query, "status=foo", "\"status must be one of the following values: " STATUSES "\""},
    {runs_list_query, "status=", "\"status must be one of the following values: " STATUSES "\""},
    {runs_list_query, "status=failed&status=failed",
     "\"status must be one of the following values: " STATUSES "\""},
    {runs_list_query, "limit=201", "\"limit must not be greater than 200\""},
    {runs_list_query, "limit=0", "\"limit must not be less than 1\""},
    {runs_list_query, "limit=", "\"limit must not be less than 1\""},
    {runs_list_query, "limit=1.5", "\"limit must be an integer number\""},
    {runs_list_query, "limit=abc",
     "\"limit must not be greater than 200\",\"limit must not be less than 1\","
     "\"limit must be an integer number\""},
    {runs_list_query, "limit=1&limit=2",
     "\"limit must not be greater than 200\",\"limit must not be less than 1\","
     "\"limit must be an integer number\""},
    {runs_list_query, "offset=-1", "\"offset must not be less than 0\""},
    {runs_list_query, "offset=x",
     "\"offset must not be less than 0\",\"offset must be an integer number\""},
    {runs_list_query, "sortBy=id",
     "\"sortBy must be one of the following values: createdAt, updatedAt\""},
    {runs_list_query, "sortOrder=ASC",
     "\"sortOrder must be one of the following values: asc, desc\""},
    {runs_list_query, "createdAfter=", ""},
    {runs_list_query, "createdAfter=2026", "\"createdAfter must be a valid ISO 8601 date string\""},
    {runs_list_query, "createdBefore=2026-02-30",
     "\"createdBefore must be a valid ISO 8601 date string\""},
    {runs_list_query, "createdBefore=2026-02-28%2010:00", ""},
    {runs_list_query, "search=a&search=b", "\"search must be a string\""},
    {runs_list_query, "search=a%00", "\"search must not contain null characters\""},
    {runs_list_query, "environment=&scenarioRef=&search=", ""},
    {runs_list_query, "includeSandbox=nonsense&includeArchived=1", ""},
    {run_events_query, "afterSeq=-1", "\"afterSeq must not be less than 0\""},
    {run_events_query, "afterSeq=abc",
     "\"afterSeq must not be less than 0\",\"afterSeq must be an integer number\""},
    {run_events_query, "afterSeq=2147483647", ""},
    {run_events_query, "afterSeq=2147483648", "\"afterSeq must not be greater than 2147483647\""},
    {run_events_query, "limit=0", "\"limit must not be less than 1\""},
    {run_events_query, "limit=1e300", ""},
    {run_events_query, "afterTs=", "\"afterTs must be a valid ISO 8601 date string\""},
    {run_events_query, "beforeTs=2026-W05", "\"beforeTs must be a valid ISO 8601 date string\""},
    {run_events_query, "type=a&type=b", "\"type must be a string\""},
    {run_events_query, "type=", ""},
};

static void
values_that_break_rules_give_their_texts(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(texts_of); i++) {
        struct arena arena = {0};
        AUTO_TEXTS texts = {0};
        const struct query_value *v =
            query_parse(&arena, texts_of[i].query, texts_of[i].fields, &texts);

        assert_non_null(v);
        if (strcmp(buf_cstr(&texts.json), texts_of[i].texts) != 0)
            fail_msg("%s:\n got %s\nwant %s", texts_of[i].query, buf_cstr(&texts.json),
                     texts_of[i].texts);
        arena_fini(&arena);
    }
}

static void
numbers_convert_as_in_javascript(void **state UNUSED)
{
    static const struct {
        const char *query;
        int field;
        int64_t want;
    } numbers[] = {
        {"", EVENTS_LIMIT, 200},
        {"", EVENTS_AFTER, 0},
        {"limit=%2010%20", EVENTS_LIMIT, 10},
        {"limit=+10", EVENTS_LIMIT, 10},
        {"limit=1e1", EVENTS_LIMIT, 10},
        {"limit=0x10", EVENTS_LIMIT, 16},
        {"limit=10.0", EVENTS_LIMIT, 10},
        {"limit=99999", EVENTS_LIMIT, 10000},
        {"afterSeq=", EVENTS_AFTER, 0},
        {"afterSeq=12", EVENTS_AFTER, 12},
    };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct arena arena = {0};
        AUTO_TEXTS texts = {0};
        const struct query_value *v =
            query_parse(&arena, numbers[i].query, run_events_query, &texts);

        assert_int_equal(texts.n, 0);
        assert_int_equal(v[numbers[i].field].number, numbers[i].want);
        arena_fini(&arena);
    }
}

static void
texts_and_lists_convert(void **state UNUSED)
{
    static const struct {
        const struct query_field *fields;
        const char *query;
        int field;
        const char *want; /* NULL: none */
    } cases[] = {
        {runs_list_query, "", RUNS_TAGS, NULL},
        {runs_list_query, "tags=", RUNS_TAGS, "[\"\"]"},
        {runs_list_query, "tags=a,%20b%20,,c", RUNS_TAGS, "[\"a\",\"b\",\"\",\"c\"]"},
        {runs_list_query, "tags=a,b&tags=%20c", RUNS_TAGS, "[\"a,b\",\" c\"]"},
        {runs_list_query, "tags=%22%5c%c3%bc", RUNS_TAGS, "[\"\\\"\\\\\xc3\xbc\"]"},
        {runs_list_query, "search=a+b%2Bc%3D&x", RUNS_SEARCH, "a b+c="},
        {runs_list_query, "s%65arch=x", RUNS_SEARCH, "x"},
        {runs_list_query, "search=100%", RUNS_SEARCH, "100%"},
        {runs_list_query, "search=%ff", RUNS_SEARCH, "%ff"},
        {runs_list_query, "search=", RUNS_SEARCH, NULL},
        {runs_list_query, "search", RUNS_SEARCH, NULL},
        {run_events_query, "type=a,,%20b%20,", EVENTS_TYPE, "[\"a\",\"b\"]"},
        {run_events_query, "type=,%20,", EVENTS_TYPE, NULL},
        {run_events_query, "afterTs=2026-05-01", EVENTS_TS, "2026-05-01T00:00:00.000Z"},
        {run_events_query, "afterTs=2026-05-01T12:00:00.5%2B02:00", EVENTS_TS,
         "2026-05-01T10:00:00.500Z"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        AUTO_TEXTS texts = {0};
        const struct query_value *v = query_parse(&arena, cases[i].query, cases[i].fields, &texts);
        const char *got = v[cases[i].field].text;

        assert_int_equal(texts.n, 0);
        if (!got != !cases[i].want || (got && strcmp(got, cases[i].want) != 0))
            fail_msg("%s: %s", cases[i].query, got ? got : "none");
        arena_fini(&arena);
    }
}

static void
only_the_literal_true_is_true(void **state UNUSED)
{
    static const struct {
        const char *query;
        bool want;
    } flags[] = {
        {"", false},
        {"includeSandbox=true", true},
        {"includeSandbox=TRUE", false},
        {"includeSandbox=1", false},
        {"includeSandbox=", false},
        {"includeSandbox=true&includeSandbox=true", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        struct arena arena = {0};
        AUTO_TEXTS texts = {0};
        const struct query_value *v = query_parse(&arena, flags[i].query, runs_list_query, &texts);

        assert_int_equal(texts.n, 0);
        assert_int_equal(v[RUNS_SANDBOX].flag, flags[i].want);
        arena_fini(&arena);
    }
}

/* An empty selection still selects the second shape of the event list. */
static void
a_given_value_is_known_as_given(void **state UNUSED)
{
    struct arena arena = {0};
    AUTO_TEXTS texts = {0};

    assert_true(query_parse(&arena, "type=,", run_events_query, &texts)[EVENTS_TYPE].given);
    assert_false(query_parse(&arena, "type=", run_events_query, &texts)[EVENTS_TYPE].given);
    assert_int_equal(query_parse(&arena, "", runs_list_query, &texts)[RUNS_LIMIT].number, 50);
    arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_break_rules_give_their_texts),
        cmocka_unit_test(numbers_convert_as_in_javascript),
        cmocka_unit_test(texts_and_lists_convert),
        cmocka_unit_test(only_the_literal_true_is_true),
        cmocka_unit_test(a_given_value_is_known_as_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
