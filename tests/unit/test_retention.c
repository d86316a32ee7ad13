/* When a pass is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observerd/retention.h"
#include "shared/macros.h"

#define HOUR ((int64_t)3600000)

static void
a_pass_is_due_soon_after_the_start_then_every_so_often(void **state)
{
    static const struct {
        const char *what;
        bool enabled;
        int64_t hours, started_ms, ended_ms;
        bool unfinished;
        int64_t due_ms;
    } cases[] = {
        {"off", false, 24, 5, 0, false, INT64_MAX},
        {"off, also after a pass", false, 24, 5, 99, true, INT64_MAX},
        {"the first one", true, 24, 5, 0, false, 10005},
        {"the next one", true, 24, 5, 1000, false, 1000 + 24 * HOUR},
        {"the longest pause", true, 8760, 5, 1000, false, 1000 + 8760 * HOUR},
        {"after one that left something", true, 24, 5, 1000, true, 601000},
        {"but no sooner than asked for", true, 1, 5, 1000, false, 1000 + HOUR},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config cfg = {.data_retention_enabled = cases[i].enabled,
                             .data_retention_interval_hours = cases[i].hours};
        struct retention_passes p = {cases[i].started_ms, cases[i].ended_ms, cases[i].unfinished};

        if (retention_due_ms(&cfg, &p) != cases[i].due_ms)
            fail_msg("%s: wanted %lld, got %lld", cases[i].what, (long long)cases[i].due_ms,
                     (long long)retention_due_ms(&cfg, &p));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_is_due_soon_after_the_start_then_every_so_often),
    };

    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
