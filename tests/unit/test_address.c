/* Addresses and networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "shared/address.h"

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(names_are_no_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
