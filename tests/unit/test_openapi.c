/* The documentation's tables: nothing is missing, nothing is left over, the document is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/model.h"
#include "fcgi/openapi.h"
#include "fcgi/operation.h"
#include "fcgi/route.h"

static void
every_route_is_described_once_and_nothing_else_is(void **state UNUSED)
{
    size_t described = 0;

    for (size_t i = 0; i < routes_n; i++) {
        if (routes[i].flags & ROUTE_ABOUT)
            continue;
        described++;
        if (!operation_of(&routes[i]))
            fail_msg("fcgi/operation.c has no row for %s (%d)", routes[i].path, routes[i].method);
    }
    assert_int_equal(described, operations_n);
}

static bool
has_sample(const struct operation *o, int status)
{
    for (size_t i = 0; i < samples_n; i++)
        if (samples[i].method == o->method && strcmp(samples[i].path, o->path) == 0 &&
            samples[i].status == status)
            return true;
    return false;
}

/* So that the replay of samples sees every one of them. */
static void
every_operation_has_samples_of_success_and_not_found(void **state UNUSED)
{
    for (size_t i = 0; i < operations_n; i++) {
        const struct operation *o = &operations[i];

        if (o->status && !has_sample(o, o->status))
            fail_msg("fcgi/sample.c has no success of %s (%d)", o->path, o->method);
        /* Others need a runtime or an agent that misbehaves, or a race. */
        for (size_t j = 0; j < OPERATION_OTHERS_MAX && o->others[j]; j++)
            if ((o->others[j] == 404 || o->others[j] == 410) && !has_sample(o, o->others[j]))
                fail_msg("fcgi/sample.c has no %d of %s (%d)", o->others[j], o->path, o->method);
    }
}

/* Making the document fails by itself where a sample answers what its operation does not. */
static void
every_sample_is_in_the_document(void **state UNUSED)
{
    json_t *document = openapi_document();
    char *text = json_dumps(document, JSON_COMPACT);
    size_t found = 0;

    for (const char *p = text; (p = strstr(p, "\"x-target\":")); p++)
        found++;
    assert_int_equal(found, samples_n);
    for (size_t i = 0; i < samples_n; i++)
        for (size_t j = 0; j < i; j++)
            if (samples[i].method == samples[j].method &&
                strcmp(samples[i].path, samples[j].path) == 0)
                assert_string_not_equal(samples[i].name, samples[j].name);
    free(text);
    json_decref(document);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described_once_and_nothing_else_is),
        cmocka_unit_test(every_operation_has_samples_of_success_and_not_found),
        cmocka_unit_test(every_sample_is_in_the_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
