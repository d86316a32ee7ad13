/* Routes: which row a target finds, and what its parameters decode to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/handlers.h"
#include "fcgi/route.h"
#include "shared/arena.h"

#define ID "6f06ccae-bd8f-48c8-aa95-11744c274815"

static const struct {
    const char *method, *target;
    const char *template; /* NULL: no route */
    const char *param;    /* NULL: not looked at */
} cases[] = {
    {"GET", "/runs", "/runs", NULL},
    {"GET", "/runs/", "/runs", NULL},
    {"GET", "/RUNS", "/runs", NULL},
    {"GET", "/rUnS/?limit=1", "/runs", NULL},
    {"GET", "/runs?a=/b/c", "/runs", NULL},
    {"POST", "/runs", "/runs", NULL},
    {"HEAD", "/runs", "/runs", NULL},
    {"HEAD", "/healthz", "/healthz", NULL},
    {"GET", "/runs/" ID, "/runs/:id", ID},
    {"GET", "/runs/" ID "/", "/runs/:id", ID},
    {"GET", "/runs/" ID "/state", "/runs/:id/state", ID},
    {"GET", "/Runs/" ID "/STATE/", "/runs/:id/state", ID},
    {"POST", "/runs/" ID "/messages", "/runs/:id/messages", ID},
    {"POST", "/webhooks/" ID "/deliveries/" ID "/redeliver",
     "/webhooks/:id/deliveries/:deliveryId/redeliver", ID},
    /* a static segment wins where the method has one, and only there */
    {"POST", "/runs/validate", "/runs/validate", NULL},
    {"POST", "/runs/VALIDATE/", "/runs/validate", NULL},
    {"GET", "/runs/validate", "/runs/:id", "validate"},
    {"POST", "/runs/batch/signal", "/runs/:id/signal", "batch"},
    /* decoding happens behind the split */
    {"GET", "/runs/a%2Fb", "/runs/:id", "a/b"},
    {"GET", "/runs/a%2fb/state", "/runs/:id/state", "a/b"},
    {"GET", "/runs/A+b%20c", "/runs/:id", "A+b c"},
    {"GET", "/runs/%e2%9c%93", "/runs/:id", "\xe2\x9c\x93"},
    {"GET", "/r%75ns", NULL, NULL},
    /* nothing */
    {"GET", "", NULL, NULL},
    {"GET", "/", NULL, NULL},
    {"GET", "//", NULL, NULL},
    {"GET", "//runs", NULL, NULL},
    {"GET", "/runs//", NULL, NULL},
    {"GET", "/runs//state", NULL, NULL},
    {"GET", "/runs/" ID "/state/x", NULL, NULL},
    {"GET", "/runsx", NULL, NULL},
    {"GET", "runs", NULL, NULL},
    {"GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m", NULL, NULL},
    {"PUT", "/runs", NULL, NULL},
    {"DELETE", "/runs", NULL, NULL},
    {"HEAD", "/runs/" ID "/signal", NULL, NULL},
    {"POST", "/runs/batch/archive", "/runs/batch/archive", NULL},
    {"POST", "/runs/batch/delete/", "/runs/batch/delete", NULL},
    {"POST", "/runs/compare", "/runs/compare", NULL},
    {"GET", "/runs/compare", "/runs/:id", "compare"},
    {"GET", "/webhooks/" ID, NULL, NULL},
    {"DELETE", "/webhooks/" ID, "/webhooks/:id", ID},
    {"get", "/runs", NULL, NULL},
    {"TRACE", "/runs", NULL, NULL},
};

static enum route_match
find(struct request *rq, struct arena *arena, const char *method, const char *target,
     struct err *err)
{
    char *env[] = {arena_printf(arena, "REQUEST_METHOD=%s", method),
                   arena_printf(arena, "REQUEST_URI=%s", target), NULL};

    request_init(rq, NULL, arena, env);
    return route_find(rq, err);
}

static void
targets_find_their_routes(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct request rq;
        struct err err;
        enum route_match m = find(&rq, &arena, cases[i].method, cases[i].target, &err);

        if (m != (cases[i].template ? ROUTE_FOUND : ROUTE_NONE))
            fail_msg("%s %s: %d", cases[i].method, cases[i].target, m);
        if (cases[i].template && strcmp(rq.route->path, cases[i].template) != 0)
            fail_msg("%s %s found %s", cases[i].method, cases[i].target, rq.route->path);
        if (cases[i].param)
            assert_string_equal(rq.params[0], cases[i].param);
        arena_fini(&arena);
    }
}

static void
broken_escapes_are_named(void **state UNUSED)
{
    static const struct {
        const char *target, *message;
    } broken[] = {
        {"/runs/%zz", "Failed to decode param '%zz'"},
        {"/runs/%", "Failed to decode param '%'"},
        {"/runs/a%2", "Failed to decode param 'a%2'"},
        {"/runs/%ff/state", "Failed to decode param '%ff'"},
        {"/runs/%c3%28", "Failed to decode param '%c3%28'"},
        {"/runs/a%00b", "Failed to decode param 'a%00b'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct arena arena = {0};
        struct request rq;
        struct err err;

        assert_int_equal(find(&rq, &arena, "GET", broken[i].target, &err), ROUTE_BAD_PARAM);
        assert_int_equal(err.code, ERR_VALIDATION);
        assert_string_equal(err.msg, broken[i].message);
        arena_fini(&arena);
    }
}

static void
the_table_is_complete(void **state UNUSED)
{
    for (size_t i = 0; i < routes_n; i++) {
        const struct route *r = &routes[i];
        int params = 0;

        assert_non_null(r->handler);
        assert_true(r->path[0] == '/' && r->path[strlen(r->path) - 1] != '/');
        assert_true(strlen(r->summary) > 0);
        for (const char *p = r->path; *p; p++)
            params += *p == ':';
        assert_true(params <= REQUEST_PARAMS_MAX);
        assert_true(params > 0 || !(r->flags & ROUTE_RUN_ID));
        for (size_t j = 0; j < i; j++)
            assert_false(r->method == routes[j].method && strcmp(r->path, routes[j].path) == 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_find_their_routes),
        cmocka_unit_test(broken_escapes_are_named),
        cmocka_unit_test(the_table_is_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
