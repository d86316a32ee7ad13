/* Addresses, networks, trusted proxies, and where callbacks may go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/address.h"

static void
networks_hold_their_addresses(void **state UNUSED)
{
    static const struct {
        const char *address, *network;
        bool want;
    } cases[] = {
        {"10.1.2.3", "10.0.0.0/8", true},
        {"11.1.2.3", "10.0.0.0/8", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.4", "10.1.2.3", false},
        {"172.31.255.255", "172.16.0.0/12", true},
        {"172.32.0.0", "172.16.0.0/12", false},
        {"::ffff:10.1.2.3", "10.0.0.0/8", true},
        {"[::1]", "::1", true},
        {"fe80::1", "fe80::/10", true},
        {"fec0::1", "fe80::/10", false},
        {"1.2.3.4", "0.0.0.0/0", true},
        {"::1", "::/0", true},
        {"::1", "0.0.0.0/0", false},
        {"127.1", "127.0.0.0/8", true},
        {"0x7f000001", "127.0.0.0/8", true},
        {"2130706433", "127.0.0.0/8", true},
        {"10.1.2.3", "10.0.0.0/33", false},
        {"10.1.2.3", "10.0.0.0/x", false},
        {"10.1.2.3", "10.0.0.0/", false},
        {"10.1.2.3", "net", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;

        assert_true(address_parse(cases[i].address, &a));
        if (address_in(&a, cases[i].network) != cases[i].want)
            fail_msg("%s in %s", cases[i].address, cases[i].network);
    }
}

static void
names_are_no_addresses(void **state UNUSED)
{
    static const char *const names[] = {"",    "localhost", "a.b",  "1.2.3.4.5", "face",
                                        "::g", "1.2.3.4 ",  "[::1", "deadbeef"};
    struct address a;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (address_parse(names[i], &a))
            fail_msg("%s", names[i]);
}

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

        assert_string_equal(address_of_client(cases[i].peer, cases[i].forwarded,
                                              &(struct config_list){cases[i].n, trusted}, out,
                                              sizeof out),
                            cases[i].want);
    }
}

static void
callbacks_go_where_the_rule_lets_them(void **state UNUSED)
{
    static const char *listed[] = {"127.0.0.0/8", "10.5.0.0/16", "localhost"};
    static const struct {
        size_t n; /* how many are listed */
        const char *url;
        bool want;
    } cases[] = {
        {0, "http://example.com/x", true},
        {0, "https://example.com:8443/x?y#z", true},
        {0, "HTTPS://EXAMPLE.COM", true},
        {0, "http://8.8.8.8/", true},
        {0, "http://[2001:db8::1]:80/", true},
        {0, "ftp://example.com/", false},
        {0, "example.com", false},
        {0, "//example.com", false},
        {0, "http://", false},
        {0, "http:///x", false},
        {0, "http://:80/", false},
        {0, "http://a b/", false},
        {0, "http://a/\n", false},
        {0, "http://user@example.com/", false},
        {0, "http://user:pw@example.com/", false},
        {0, "http://@example.com/", false},
        {0, "http://example.com\\@evil/", false},
        {0, "http://example.com/a@b", true},
        {0, "http://example.com:0/", false},
        {0, "http://example.com:65536/", false},
        {0, "http://example.com:x/", false},
        {0, "http://example.com:/", false},
        {0, "http://[::1/", false},
        /* private and loopback: only when listed */
        {0, "http://127.0.0.1:9/", false},
        {0, "http://127.1/", false},
        {0, "http://0x7f.1/", false},
        {0, "http://localhost/", false},
        {0, "http://LOCALHOST./", false},
        {0, "http://a.localhost/", false},
        {0, "http://[::1]/", false},
        {0, "http://[::ffff:127.0.0.1]/", false},
        {0, "http://10.5.0.1/", false},
        {0, "http://192.168.1.1/", false},
        {0, "http://[fd12::1]/", false},
        {3, "http://127.0.0.1:9/", true},
        {3, "http://127.1/", true},
        {3, "http://localhost:3000/", true},
        {3, "http://10.5.0.1/", true},
        {3, "http://10.6.0.1/", false},
        {3, "http://[::1]/", false},
        /* never, listed or not */
        {3, "http://169.254.169.254/latest", false},
        {3, "http://[fe80::1]/", false},
        {3, "http://[fd00:ec2::254]/", false},
        {3, "http://[::ffff:169.254.169.254]/", false},
        {3, "http://2852039166/", false},
        {3, "http://metadata.google.internal/", false},
        {3, "http://224.0.0.1/", false},
        {3, "http://0.0.0.0/", false},
        {3, "http://0/", false},
        {3, "http://[::]/", false},
        {3, "http://255.255.255.255/", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config config = {.outbound_allow = {cases[i].n, listed}};
        struct err err;

        if (outbound_check_url(cases[i].url, &config, &err) != cases[i].want)
            fail_msg("%s", cases[i].url);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(names_are_no_addresses),
        cmocka_unit_test(forwarded_addresses_count_behind_trusted_proxies_only),
        cmocka_unit_test(callbacks_go_where_the_rule_lets_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
