/* Large payloads, decoded beside the queue thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "macp/v1/envelope.pb-c.h"
#include "observerd/decoder.h"
#include "shared/json.h"
#include "tests/support/process.h"

#define DECISION "macp.mode.decision.v1"

enum { KIND = 7, PATIENCE_MS = 20000, FLOOD = 1000 };

struct fixture {
    struct mailbox replies;
    struct decoder *decoder;
    struct mail *got;
};

static void
ignore_wake(void *ctx)
{
    (void)ctx;
}

static int
start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    mailbox_init(&f->replies, 2 * FLOOD, ignore_wake, NULL);
    f->decoder = decoder_start(&f->replies, KIND);
    *state = f;
    return 0;
}

static int
stop(void **state)
{
    struct fixture *f = *state;

    if (f->decoder)
        decoder_stop(f->decoder);
    for (struct mail *mail = mailbox_take_all(&f->replies), *next; mail; mail = next) {
        next = mail->next;
        decoded_free((struct decoded *)mail);
    }
    mailbox_fini(&f->replies);
    free(f);
    return 0;
}

static bool
has_reply(void *ctx)
{
    struct fixture *f = ctx;

    f->got = mailbox_take_all(&f->replies);
    return f->got != NULL;
}

static struct decoded *
reply(struct fixture *f)
{
    assert_true(process_poll(has_reply, f, process_slow(PATIENCE_MS)));
    assert_null(f->got->next);
    assert_int_equal(f->got->kind, KIND);
    return (struct decoded *)f->got;
}

/* A Vote as it travels; returns its length. */
static size_t
pack(const char *payload, uint8_t *out, size_t size)
{
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;
    size_t n;

    e.mode = (char *)DECISION;
    e.message_type = (char *)"Vote";
    e.message_id = (char *)"m-1";
    e.payload.data = (uint8_t *)payload;
    e.payload.len = strlen(payload);
    n = protobuf_c_message_get_packed_size(&e.base);
    assert_true(n <= size);
    return protobuf_c_message_pack(&e.base, out);
}

static void
test_answer_is_the_payload_and_its_text(void **state)
{
    static const char *const payloads[][2] = {
        {"{\"vote\":\"approve\"}", "{\"vote\":\"approve\"}"},
        {"[1,2]", "{\"json\":[1,2],\"encoding\":\"json\"}"},
        {"plain", "{\"text\":\"plain\",\"encoding\":\"text\",\"payloadBase64\":\"cGxhaW4=\"}"},
        {"", "{}"}, /* a message with nothing set */
    };
    struct fixture *f = *state;
    uint8_t bytes[512];

    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        struct decoded *d;

        assert_true(
            decoder_ask(f->decoder, 3, i, bytes, pack(payloads[i][0], bytes, sizeof bytes)));
        d = reply(f);
        assert_int_equal(d->run_key, 3);
        assert_int_equal(d->token, i);
        assert_string_equal(buf_cstr(&d->text), payloads[i][1]);
        decoder_release(f->decoder, d);
    }
}

static void
test_bytes_that_are_no_envelope_have_no_payload(void **state)
{
    struct fixture *f = *state;
    struct decoded *d;

    assert_true(decoder_ask(f->decoder, 1, 1, "\x0a\xff", 2));
    d = reply(f);
    assert_null(d->payload.value);
    decoder_release(f->decoder, d);
}

/* What is asked beyond its bound is refused, what was accepted is answered or freed. */
static void
test_flood_is_refused_and_stopping_frees_the_rest(void **state)
{
    struct fixture *f = *state;
    char large[4096];
    uint8_t bytes[8192];
    size_t n;
    int refused = 0;

    memset(large, '[', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    n = pack(large, bytes, sizeof bytes);
    for (int i = 0; i < FLOOD; i++)
        refused += !decoder_ask(f->decoder, 1, 1, bytes, n);
    assert_true(refused > 0);
    decoder_stop(f->decoder);
    f->decoder = NULL;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer_is_the_payload_and_its_text, start, stop),
        cmocka_unit_test_setup_teardown(test_bytes_that_are_no_envelope_have_no_payload, start,
                                        stop),
        cmocka_unit_test_setup_teardown(test_flood_is_refused_and_stopping_frees_the_rest, start,
                                        stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
