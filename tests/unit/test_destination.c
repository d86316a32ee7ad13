/* Where callbacks and webhooks may go, as text and as addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "shared/destination.h"

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

        if (destination_check_url(cases[i].url, &config, &err) != cases[i].want)
            fail_msg("%s", cases[i].url);
    }
}

static void
addresses_that_names_lead_to_are_checked_too(void **state UNUSED)
{
    static const char *listed[] = {"10.5.0.0/16", "internal.example"};
    static const struct {
        const char *host, *address;
        bool want;
    } cases[] = {
        {"example.com", "93.184.216.34", true},
        {"example.com", "2606:2800:220:1::1", true},
        {"example.com", "127.0.0.1", false},
        {"example.com", "::1", false},
        {"example.com", "::ffff:127.0.0.1", false},
        {"example.com", "192.168.7.7", false},
        {"example.com", "10.5.0.1", true},
        {"example.com", "10.6.0.1", false},
        {"example.com", "169.254.169.254", false},
        /* the listed name may lead to private addresses, not to those that are never right */
        {"internal.example", "192.168.7.7", true},
        {"INTERNAL.example", "::1", true},
        {"internal.example", "169.254.169.254", false},
        {"internal.example", "::ffff:169.254.169.254", false},
        /* IPv4 behind a translator or a tunnel */
        {"example.com", "64:ff9b::808:808", true},
        {"example.com", "64:ff9b::7f00:1", false},
        {"example.com", "64:ff9b::a9fe:a9fe", false},
        {"example.com", "64:ff9b::a05:1", true},
        {"example.com", "2002:7f00:1::", false},
    };
    struct config config = {.outbound_allow = {ARRAY_LEN(listed), listed}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address a;
        struct err err;

        assert_true(address_parse(cases[i].address, &a));
        if (destination_check_address(&a, cases[i].host, &config, &err) != cases[i].want)
            fail_msg("%s at %s", cases[i].host, cases[i].address);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callbacks_go_where_the_rule_lets_them),
        cmocka_unit_test(addresses_that_names_lead_to_are_checked_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
