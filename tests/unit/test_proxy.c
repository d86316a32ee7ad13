/* Who the client is behind trusted proxies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/proxy.h"

static void
forwarded_addresses_count_behind_trusted_proxies_only(void **state UNUSED)
{
    static const char *trusted[] = {"10.0.0.0/8", "::1"};
    static const struct {
        size_t n;
        const char *peer, *forwarded, *want;
    } cases[] = {
        {0, "10.0.0.1", "1.1.1.1", "10.0.0.1"},
        {2, "10.0.0.1", NULL, "10.0.0.1"},
        {2, "10.0.0.1", "", "10.0.0.1"},
        {2, "10.0.0.1", "1.1.1.1", "1.1.1.1"},
        {2, "::1", "1.1.1.1", "1.1.1.1"},
        {2, "9.9.9.9", "1.1.1.1", "9.9.9.9"},
        {2, "10.0.0.1", "6.6.6.6, 1.1.1.1, 10.2.2.2", "1.1.1.1"},
        {2, "10.0.0.1", "10.3.3.3,10.2.2.2", "10.0.0.1"},
        {2, "10.0.0.1", "1.1.1.1, unknown", "10.0.0.1"},
        {2, "10.0.0.1", " , ,", "10.0.0.1"},
        {2, "unix:", "1.1.1.1", "unix:"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[64];

        assert_string_equal(proxy_client(cases[i].peer, cases[i].forwarded,
                                         &(struct config_list){cases[i].n, trusted}, out,
                                         sizeof out),
                            cases[i].want);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwarded_addresses_count_behind_trusted_proxies_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
