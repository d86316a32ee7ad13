/* What clients of event streams ask for, and when streams are looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "fcgi/deadline.h"
#include "fcgi/handlers.h"
#include "fcgi/stream.h"
#include "shared/event.h"

enum { HEARTBEAT_MS = 15000, NOW_SEQ = 40 };

struct cursor_case {
    const char *header;
    int64_t seq;
};

static const struct cursor_case cursor_cases[] = {
    {NULL, 0},
    {"", 0},
    {"0", 0},
    {"17", 17},
    {"007", 7},
    {"-1", 0},
    {"1.5", 0},
    {"17x", 0},
    {" 17", 0},
    {"0x10", 0},
    {"2147483647", EVENT_SEQ_MAX},
    {"2147483648", EVENT_SEQ_MAX},
    {"99999999999999999999999999", EVENT_SEQ_MAX},
};

static void
last_event_id_is_a_number_or_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cursor_cases); i++)
        assert_int_equal(stream_cursor(cursor_cases[i].header), cursor_cases[i].seq);
}

/* --- plans
 * --------------------------------------------------------------------------------------*/

struct follow_case {
    const char *query, *header;
    int64_t after;
    bool snapshot;
    int heartbeat_ms;
};

static const struct follow_case follow_cases[] = {
    {"", NULL, NOW_SEQ, true, HEARTBEAT_MS},
    {"afterSeq=0", "12", NOW_SEQ, true, HEARTBEAT_MS}, /* given, even as 0, it wins */
    {"afterSeq=5", "12", 5, true, HEARTBEAT_MS},
    {"", "12", 12, true, HEARTBEAT_MS},
    {"", "none", NOW_SEQ, true, HEARTBEAT_MS},
    {"includeSnapshot=false", NULL, NOW_SEQ, false, HEARTBEAT_MS},
    {"includeSnapshot=true&heartbeatMs=1000", NULL, NOW_SEQ, true, 1000},
    {"heartbeatMs=60001", NULL, NOW_SEQ, true, 60000},
    {"afterSeq=99999999999", NULL, EVENT_SEQ_MAX, true, HEARTBEAT_MS},
};

static void
follower_begins_where_it_says_else_now(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(follow_cases); i++) {
        const struct follow_case *c = &follow_cases[i];
        struct arena arena = {0};
        AUTO_TEXTS texts = {0};
        struct stream_plan p = {0};

        stream_follow_plan(query_parse(&arena, c->query, run_stream_query, &texts), c->header,
                           HEARTBEAT_MS, NOW_SEQ, &p);
        assert_int_equal(texts.n, 0);
        assert_int_equal(p.after, c->after);
        assert_int_equal(p.snapshot, c->snapshot);
        assert_int_equal(p.heartbeat_ms, c->heartbeat_ms);
        arena_fini(&arena);
    }
}

struct replay_case {
    const char *query, *header;
    int64_t after, to;
    bool timed;
    double speed;
};

static const struct replay_case replay_cases[] = {
    {"", NULL, 0, EVENT_SEQ_MAX, true, 1},
    {"mode=instant", NULL, 0, EVENT_SEQ_MAX, false, 1},
    {"mode=step&speed=0.1", NULL, 0, EVENT_SEQ_MAX, false, 0.1},
    {"fromSeq=1&toSeq=1", NULL, 0, 1, true, 1},
    {"fromSeq=2.5&toSeq=7.5", NULL, 2, 7, true, 1},
    {"fromSeq=5", "9", 9, EVENT_SEQ_MAX, true, 1},
    {"fromSeq=5", "2", 4, EVENT_SEQ_MAX, true, 1},
    {"fromSeq=1e12&toSeq=1e12", NULL, EVENT_SEQ_MAX - 1, EVENT_SEQ_MAX, true, 1},
};

static void
replay_takes_bounds_of_any_size_and_resumes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replay_cases); i++) {
        const struct replay_case *c = &replay_cases[i];
        struct arena arena = {0};
        AUTO_TEXTS texts = {0};
        struct stream_plan p = {0};

        stream_replay_plan(query_parse(&arena, c->query, run_replay_stream_query, &texts),
                           c->header, &p);
        assert_int_equal(texts.n, 0);
        assert_int_equal(p.after, c->after);
        assert_int_equal(p.to, c->to);
        assert_int_equal(p.timed, c->timed);
        assert_true(p.speed == c->speed);
        arena_fini(&arena);
    }
}

struct refusal {
    const char *query, *texts;
};

static const struct refusal follow_refusals[] = {
    {"afterSeq=-1", "\"afterSeq must not be less than 0\""},
    {"afterSeq=1.5", "\"afterSeq must be an integer number\""},
    {"heartbeatMs=1", "\"heartbeatMs must not be less than 1000\""},
    {"includeSnapshot=1x", "\"includeSnapshot must be a boolean value\""},
};

static const struct refusal replay_refusals[] = {
    {"speed=0.05", "\"speed must not be less than 0.1\""},
    {"speed=x", "\"speed must not be less than 0.1\",\"speed must be a number conforming to the "
                "specified constraints\""},
    {"toSeq=Infinity", "\"toSeq must be a number conforming to the specified constraints\""},
    {"fromSeq=0&toSeq=0", "\"fromSeq must not be less than 1\",\"toSeq must not be less than 1\""},
    {"mode=", "\"mode must be one of the following values: instant, timed, step\""},
};

static void
expect_refused(const struct query_field *fields, const struct refusal *r)
{
    struct arena arena = {0};
    AUTO_TEXTS texts = {0};
    const struct query_value *ignored = query_parse(&arena, r->query, fields, &texts);

    (void)ignored;
    assert_string_equal(buf_cstr(&texts.json), r->texts);
    arena_fini(&arena);
}

static void
what_is_out_of_bounds_is_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(follow_refusals); i++)
        expect_refused(run_stream_query, &follow_refusals[i]);
    for (size_t i = 0; i < ARRAY_LEN(replay_refusals); i++)
        expect_refused(run_replay_stream_query, &replay_refusals[i]);
}

/* --- deadlines
 * ----------------------------------------------------------------------------------*/

static void
earliest_deadline_is_first_through_any_changes(void **state)
{
    enum { N = 200, CHANGES = 20000 };
    struct deadlines all = {0};
    struct deadline d[N] = {{0}};
    unsigned seed = 1;

    (void)state;
    for (int i = 0; i < CHANGES; i++) {
        struct deadline *one = &d[rand_r(&seed) % N];
        struct deadline *first;
        int64_t least = INT64_MAX;

        if (rand_r(&seed) % 4 == 0)
            deadline_clear(&all, one);
        else
            deadline_set(&all, one, rand_r(&seed) % 1000);
        for (int k = 0; k < N; k++)
            if (d[k].place && d[k].at_ms < least)
                least = d[k].at_ms;
        first = deadline_first(&all);
        if (first)
            assert_int_equal(first->at_ms, least);
        else
            assert_int_equal(least, INT64_MAX);
    }
    deadlines_fini(&all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_event_id_is_a_number_or_nothing),
        cmocka_unit_test(follower_begins_where_it_says_else_now),
        cmocka_unit_test(replay_takes_bounds_of_any_size_and_resumes),
        cmocka_unit_test(what_is_out_of_bounds_is_refused_in_words),
        cmocka_unit_test(earliest_deadline_is_first_through_any_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
