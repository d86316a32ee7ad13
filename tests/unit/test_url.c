/* Which texts count as the address of a webhook. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/validate.h"

static const struct {
    const char *url;
    bool valid;
} cases[] = {
    {"http://example.com", true},
    {"https://example.com/path?x=1#f", true},
    {"HTTPS://EXAMPLE.COM", true},
    {"http://svc.cluster.local:8080/hook", true},
    {"http://user:pass@example.com/", true}, /* refused later, by where calls may go */
    {"http://xn--bcher-kva.example", true},
    {"http://b\xc3\xbc"
     "cher.example",
     true},
    {"http://example.xn--p1ai", true},
    {"http://127.0.0.1:9000/", true},
    {"http://10.0.0.1", true},
    {"http://[::1]:80/x", true},
    {"http://[2001:db8::1]", true},
    {"http://a-b.example.com:65535", true},
    {"", false},
    {"example.com", false},
    {"//example.com", false},
    {"ftp://example.com", false},
    {"javascript:alert(1)", false},
    {"http://", false},
    {"http:///x", false},
    {"http://localhost", false},
    {"http://svc", false},
    {"http://a.b", false},
    {"http://example.c1", false},
    {"http://under_score.example.com", false},
    {"http://-a.example.com", false},
    {"http://a-.example.com", false},
    {"http://a..example.com", false},
    {"http://example.com.", false},
    {"http://example.com:0", false},
    {"http://example.com:65536", false},
    {"http://example.com:", false},
    {"http://example.com:80x", false},
    {"http://256.1.1.1", false},
    {"http://1.2.3", false},
    {"http://[::1", false},
    {"http://[1.2.3.4]", false},
    {"http://exa mple.com", false},
    {"http://example.com/<x>", false},
    {"http://example.com/\n", false},
};

static void
addresses_are_told_from_other_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (url_is_valid(cases[i].url) != cases[i].valid)
            fail_msg("%s should be %s", cases[i].url, cases[i].valid ? "valid" : "refused");
}

static void
length_is_bounded(void **state)
{
    char url[2100] = "http://example.com/";
    size_t n = strlen(url);

    (void)state;
    memset(url + n, 'a', 2084 - n);
    url[2084] = '\0';
    assert_true(url_is_valid(url));
    url[2084] = 'a';
    url[2085] = '\0';
    assert_false(url_is_valid(url));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_from_other_texts),
        cmocka_unit_test(length_is_bounded),
    };

    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
