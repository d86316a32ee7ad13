/* The tests' reader of metrics pages: it must refuse what a scraper or its linter would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/exposition.h"

#define COUNTER "# HELP c_total Counts.\n# TYPE c_total counter\n"
#define GAUGE   "# HELP g Level.\n# TYPE g gauge\n"
#define TIMES   "# HELP t Times.\n# TYPE t histogram\n"

static void
well_formed_pages_are_accepted(void **state)
{
    static const char *const pages[] = {
        COUNTER,
        COUNTER "c_total 1\n",
        COUNTER "c_total{a=\"x\"} 1\nc_total{a=\"y\\\"\\\\\\n\"} 0.5\n" GAUGE "g -1e3\n",
        TIMES "t_bucket{le=\"0.1\"} 1\nt_bucket{le=\"+Inf\"} 2\nt_sum 0.5\nt_count 2\n",
        TIMES "t_bucket{a=\"x\",le=\"1\"} 1\nt_bucket{a=\"x\",le=\"+Inf\"} 1\nt_sum{a=\"x\"} 1\n"
              "t_count{a=\"x\"} 1\nt_bucket{a=\"y\",le=\"1\"} 0\nt_bucket{a=\"y\",le=\"+Inf\"} 1\n"
              "t_sum{a=\"y\"} 9\nt_count{a=\"y\"} 1\n",
    };
    char why[300];

    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (!exposition_check(pages[i], why, sizeof why))
            fail_msg("%s\n%s", why, pages[i]);
    assert_int_equal(exposition_value(pages[2], "c_total{a=\"x\"}"), 1);
    assert_int_equal(exposition_value(pages[2], "c_total"), -1);
}

static void
broken_pages_are_refused(void **state)
{
    static const char *const pages[] = {
        "",
        "c_total 1\n",
        COUNTER "c_total 1",
        COUNTER COUNTER,
        COUNTER "c_total 1\nc_total 2\n",
        COUNTER "c_total{a=\"x\"} 1\nc_total{a=\"x\"} 1\n",
        COUNTER "c_total -1\n",
        COUNTER "c_total x\n",
        COUNTER "c_total 1 2 3\n",
        COUNTER "c_total{a=x} 1\n",
        COUNTER "c_total{a=\"x} 1\n",
        COUNTER "c_total{a=\"\\x\"} 1\n",
        COUNTER "c_total{1=\"x\"} 1\n",
        COUNTER "c_total{a=\"x\",} 1\n",
        COUNTER "other 1\n",
        GAUGE COUNTER "g 1\n",
        "# TYPE g gauge\ng 1\n",
        "# HELP g \n# TYPE g gauge\n",
        "# HELP g Level.\n# TYPE g level\n",
        "# HELP c Counts.\n# TYPE c counter\n",
        "# HELP g_total Level.\n# TYPE g_total gauge\n",
        TIMES "t 1\n",
        TIMES "t_bucket{le=\"1\"} 2\nt_bucket{le=\"+Inf\"} 1\nt_sum 1\nt_count 1\n",
        TIMES
        "t_bucket{le=\"2\"} 1\nt_bucket{le=\"1\"} 1\nt_bucket{le=\"+Inf\"} 1\nt_sum 1\nt_count 1\n",
        TIMES "t_bucket{le=\"1\"} 1\nt_sum 1\nt_count 1\n",
        TIMES "t_bucket{le=\"+Inf\"} 1\nt_sum 1\nt_count 2\n",
        TIMES "t_bucket{le=\"+Inf\"} 1\nt_count 1\n",
        TIMES "t_bucket{le=\"+Inf\"} 1\nt_sum 1\n",
        TIMES "t_sum 1\nt_count 1\n",
    };
    char why[300];

    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (exposition_check(pages[i], why, sizeof why))
            fail_msg("accepted:\n%s", pages[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_pages_are_accepted),
        cmocka_unit_test(broken_pages_are_refused),
    };

    return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
