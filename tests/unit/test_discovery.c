/* Which run a session gets, and which sessions get one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observerd/discovery.h"
#include "shared/macros.h"

#define SESSION "0b6f3c6e-1111-4222-8333-944455556666"

static void
test_session_that_is_a_uuid_is_the_run(void **state UNUSED)
{
    char id[UUID_LEN];

    discovery_id(SESSION, id);
    assert_string_equal(id, SESSION);
    discovery_id("0B6F3C6E-1111-4222-8333-944455556666", id);
    assert_string_equal(id, SESSION);
}

/* Expected values come from another implementation of name-based UUIDs. */
static void
test_other_sessions_name_their_run(void **state UNUSED)
{
    static const struct {
        const char *session, *id;
    } cases[] = {
        {"AAAAAAAAAAAAAAAAAAAAAA", "be97ccfe-cb9a-5523-b930-89aab1126dd0"},
        {"0b6f3c6e-1111-4222-8333-94445555666", NULL}, /* one digit short */
        {"0b6f3c6e11114222833394445555666600", NULL},
    };
    char id[UUID_LEN];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        discovery_id(cases[i].session, id);
        assert_true(uuid_is_valid(id));
        assert_int_equal(id[14], '5');
        if (cases[i].id)
            assert_string_equal(id, cases[i].id);
    }
}

static void
test_another_life_of_a_session_is_another_run(void **state UNUSED)
{
    static const struct {
        const char *session;
        int64_t started_ms;
        const char *id;
    } cases[] = {
        {"q0-_Zm9vYmFyYmF6cXV1eA", 1700000000123, "f2958f22-6d44-54e9-a32b-2d7c95f7232f"},
        {SESSION, 1700000000123, "6dbf9500-bba6-55c1-8fe2-1848d79901eb"},
        {"x", -1, "282be6a6-cf7f-5549-814a-a383b5f42d6c"},
    };
    char id[UUID_LEN];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        discovery_id_of_life(cases[i].session, cases[i].started_ms, id);
        assert_string_equal(id, cases[i].id);
    }
}

static void
test_ended_sessions_are_taken_when_they_began_lately(void **state UNUSED)
{
    enum { NOW = 1000000, BACKFILL = 1000 };
    static const struct {
        int state; /* as on the wire */
        int64_t started_ms, backfill_ms;
        bool wanted;
    } cases[] = {
        {MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, 1, BACKFILL, true},
        {MACP__V1__SESSION_STATE__SESSION_STATE_OPEN, 1, 0, true},
        {MACP__V1__SESSION_STATE__SESSION_STATE_SUSPENDED, 1, BACKFILL, true},
        {MACP__V1__SESSION_STATE__SESSION_STATE_UNSPECIFIED, 1, BACKFILL, true},
        {77, 1, 0, true}, /* of a later release */
        {MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, NOW - BACKFILL, BACKFILL, true},
        {MACP__V1__SESSION_STATE__SESSION_STATE_RESOLVED, NOW - BACKFILL - 1, BACKFILL, false},
        {MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED, NOW, BACKFILL, true},
        {MACP__V1__SESSION_STATE__SESSION_STATE_EXPIRED, NOW, 0, false},
        {MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED, NOW + 5, BACKFILL, true},
        {MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED, 1, BACKFILL, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Macp__V1__SessionMetadata meta = MACP__V1__SESSION_METADATA__INIT;

        meta.session_id = (char *)SESSION;
        meta.state = (Macp__V1__SessionState)cases[i].state;
        meta.started_at_unix_ms = cases[i].started_ms;
        if (discovery_is_wanted(&meta, cases[i].backfill_ms, NOW) != cases[i].wanted)
            fail_msg("case %zu", i);
        meta.session_id = (char *)"";
        assert_false(discovery_is_wanted(&meta, cases[i].backfill_ms, NOW));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_that_is_a_uuid_is_the_run),
        cmocka_unit_test(test_other_sessions_name_their_run),
        cmocka_unit_test(test_another_life_of_a_session_is_another_run),
        cmocka_unit_test(test_ended_sessions_are_taken_when_they_began_lately),
    };

    return cmocka_run_group_tests_name("discovery", tests, NULL, NULL);
}
