/* Claims about answers: which hold, and that those that do not are noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/shape.h"

#define BODY                                                                                       \
    "{\"id\":\"6f06ccae-bd8f-48c8-aa95-11744c274815\",\"n\":3,\"x\":1.5,\"ok\":true,\"none\":"     \
    "null,"                                                                                        \
    "\"ts\":\"2026-01-02T03:04:05.678Z\",\"text\":\"two words\",\"digits\":\"42\",\"list\":[{"     \
    "\"a\":1},{\"a\":2}],\"empty\":[],\"names\":[\"left\",\"right\"],\"map\":{\"p\":{\"v\":[]},"   \
    "\"q\":{\"v\":[1]}}}"

static const struct {
    const char *claims;
    bool holds;
} cases[] = {
    {"id:uuid n:int x:number ok:bool none:null ts:time text:string list:array map:object", true},
    {"n:number none:string? absent:string? absent:string|int? n:string|int id:any", true},
    {"n:string", false},
    {"n:string?", false},
    {"x:int", false},
    {"absent:any", false},
    {"text:uuid", false},
    {"text:time", false},
    {"n=3 x=1.5 ok=true none=null text=two%20words digits=42 n=3.0", true},
    {"n=4", false},
    {"text=two", false},
    {"absent=null", false},
    {"text~words names~right $~\"ok\":true", true},
    {"text~three", false},
    {"names~righ", false},
    {"$~nothing", false},
    {"absent! list[2]!", true},
    {"n!", false},
    {"list[].a:int list[0].a=1 list[1].a=2 list[*].a:number empty[*].a:string map{}.v:array", true},
    {"empty[].a:int", false},
    {"list[].a=1", false},
    {"n[].a:int", false},
    {"map{}.v[]:int", false},
    {"n{}:any", false},
    {".:object", true},
    {".:array", false},
    {"@X-Test=yes @x-test~e @other=", true},
    {"@X-Test=no", false},
    {"", true},
};

static void
claims_hold_or_say_why_not(void **state UNUSED)
{
    struct http_reply r = {0};
    struct shape_vars vars = {0};

    buf_lit(&r.body, BODY);
    buf_lit(&r.headers, "HTTP/1.1 200 OK\r\nX-Test: yes\r\n");
    r.json = json_loads(BODY, 0, NULL);
    assert_non_null(r.json);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[512] = "";

        if (shape_holds(&r, cases[i].claims, &vars, why, sizeof why) != cases[i].holds)
            fail_msg("%s: %s", cases[i].claims, why);
        assert_int_equal(*why == '\0', cases[i].holds);
    }
    http_reply_fini(&r);
}

static void
values_are_remembered_and_filled_in(void **state UNUSED)
{
    struct http_reply r = {0};
    struct shape_vars vars = {0};
    AUTO_BUF text = {0};
    char why[512];

    r.json = json_loads(BODY, 0, NULL);
    shape_set(&vars, "n", "before");
    assert_true(shape_holds(&r, "n>n list[1].a>second digits>digits", &vars, why, sizeof why));
    assert_false(shape_holds(&r, "list>list", &vars, why, sizeof why));
    shape_fill(&vars, "/runs/{n}?a={second}&b={\"json\":1}&c={digits", &text);
    assert_string_equal(buf_cstr(&text), "/runs/3?a=2&b={\"json\":1}&c={digits");
    http_reply_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_hold_or_say_why_not),
        cmocka_unit_test(values_are_remembered_and_filled_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
