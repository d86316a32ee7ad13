/* The metrics page: what is counted, under which names, and that the text is well formed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/http_metrics.h"
#include "fcgi/route.h"
#include "shared/process_metrics.h"

static void
count(struct http_metrics *m, const char *method, const char *target, int status, int64_t us)
{
    char *env[] = {NULL, NULL, NULL};
    char method_env[64], uri[256];
    struct arena arena = {0};
    struct request rq;
    struct err err;

    snprintf(method_env, sizeof method_env, "REQUEST_METHOD=%s", method);
    snprintf(uri, sizeof uri, "REQUEST_URI=%s", target);
    env[0] = method_env;
    env[1] = uri;
    request_init(&rq, NULL, &arena, env);
    (void)!route_find(&rq, &err);
    http_metrics_count(m, &rq, status, us);
    request_fini(&rq);
    arena_fini(&arena);
}

static void
has(const struct buf *page, const char *line)
{
    const char *at = strstr(buf_cstr(page), line);

    if (!at || (at != page->p && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line %s in\n%s", line, buf_cstr(page));
}

static void
requests_are_counted_by_template_and_status(void **state)
{
    struct http_metrics *m = http_metrics_new();
    struct buf page = {0};

    (void)state;
    count(m, "GET", "/runs/6f06ccae-bd8f-48c8-aa95-11744c274815", 200, 9000);
    count(m, "GET", "/runs/0f06ccae-bd8f-48c8-aa95-11744c274815", 200, 60000);
    count(m, "GET", "/runs/0f06ccae-bd8f-48c8-aa95-11744c274815", 404, 10000);
    count(m, "HEAD", "/runs?limit=1", 200, 20000000);
    count(m, "GET", "/etc/passwd", 404, 1);
    count(m, "BREW", "/tea\"pot", 418, 1);
    count(m, "OPTIONS", "/runs", 204, 1);
    http_metrics_write(m, &page);
    has(&page, "http_requests_total{method=\"GET\",path=\"/runs/:id\",status_code=\"200\"} 2");
    has(&page, "http_requests_total{method=\"GET\",path=\"/runs/:id\",status_code=\"404\"} 1");
    has(&page, "http_requests_total{method=\"HEAD\",path=\"/runs\",status_code=\"200\"} 1");
    has(&page, "http_requests_total{method=\"GET\",path=\"unmatched\",status_code=\"404\"} 1");
    has(&page, "http_requests_total{method=\"other\",path=\"unmatched\",status_code=\"other\"} 1");
#define OF_RUN "{method=\"GET\",path=\"/runs/:id\",status_code=\"200\""
    has(&page, "http_request_duration_seconds_bucket" OF_RUN ",le=\"0.01\"} 1");
    has(&page, "http_request_duration_seconds_bucket" OF_RUN ",le=\"0.05\"} 1");
    has(&page, "http_request_duration_seconds_bucket" OF_RUN ",le=\"0.1\"} 2");
    has(&page, "http_request_duration_seconds_bucket" OF_RUN ",le=\"+Inf\"} 2");
    has(&page, "http_request_duration_seconds_sum" OF_RUN "} 0.069000");
    has(&page, "http_request_duration_seconds_count" OF_RUN "} 2");
    assert_null(strstr(buf_cstr(&page), "OPTIONS"));
    assert_null(strstr(buf_cstr(&page), "6f06ccae"));
    buf_fini(&page);
    http_metrics_free(m);
}

/* Every sample stands behind the HELP and TYPE of its family, families stand together, values are
 * numbers. */
static void
page_is_well_formed(void **state)
{
    struct http_metrics *m = http_metrics_new();
    struct buf page = {0};
    char family[128] = "", seen[4096] = "";
    int families = 0;

    (void)state;
    count(m, "GET", "/runs", 200, 5);
    http_metrics_write(m, &page);
    process_metrics_write(&page);
    for (char *line = page.p, *end; *line; line = end + 1) {
        char name[128] = "", *value;

        end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        if (sscanf(line, "# HELP %127s", name) == 1) {
            snprintf(family, sizeof family, "%s", name);
            if (strstr(seen, name) &&
                strstr(strstr(seen, name), "|") == strstr(seen, name) + strlen(name))
                fail_msg("family %s comes twice", name);
            strncat(seen, name, sizeof seen - strlen(seen) - 2);
            strncat(seen, "|", sizeof seen - strlen(seen) - 1);
            families++;
            continue;
        }
        if (sscanf(line, "# TYPE %127s", name) == 1) {
            assert_string_equal(name, family);
            continue;
        }
        assert_true(strncmp(line, family, strlen(family)) == 0);
        value = strrchr(line, ' ');
        assert_non_null(value);
        strtod(value + 1, &value);
        assert_int_equal(*value, '\0');
    }
    assert_int_equal(families, 11);
    assert_non_null(strstr(seen, "process_cpu_seconds_total|"));
    buf_fini(&page);
    http_metrics_free(m);
}

static void
process_values_are_those_of_this_process(void **state)
{
    struct buf page = {0};
    const char *at;

    (void)state;
    process_metrics_write(&page);
    at = strstr(buf_cstr(&page), "\nprocess_resident_memory_bytes ");
    assert_non_null(at);
    assert_true(strtod(strchr(at + 1, ' '), NULL) > 100000);
    at = strstr(buf_cstr(&page), "\nprocess_start_time_seconds ");
    assert_non_null(at);
    assert_true(strtod(strchr(at + 1, ' '), NULL) > 1.5e9);
    at = strstr(buf_cstr(&page), "\nprocess_open_fds ");
    assert_non_null(at);
    assert_true(strtod(strchr(at + 1, ' '), NULL) >= 3);
    buf_fini(&page);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_by_template_and_status),
        cmocka_unit_test(page_is_well_formed),
        cmocka_unit_test(process_values_are_those_of_this_process),
    };

    return cmocka_run_group_tests_name("http_metrics", tests, NULL, NULL);
}
