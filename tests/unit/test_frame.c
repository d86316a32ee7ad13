/* Frames of event streams: their text, their records, and the queue that sends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/frame.h"
#include "fcgi/outbox.h"
#include "fcgi/record.h"

/* --- text --------------------------------------------------------------------------------------
 */

struct text_case {
    const char *name;
    int64_t seq;
    const char *data, *wanted;
};

static const struct text_case text_cases[] = {
    {"canonical_event", 7, "{}", "event: canonical_event\nid: 7\ndata: {}\n\n"},
    {"snapshot", 0, "{\"a\":1}", "event: snapshot\ndata: {\"a\":1}\n\n"},
    {"x", 2147483647, "", "event: x\nid: 2147483647\ndata: \n\n"},
    {"x", 0, "a\nb", "event: x\ndata: a\ndata: b\n\n"},
    {"x", 0, "a\r\nb\rc", "event: x\ndata: a\ndata: b\ndata: c\n\n"},
    {"x", 0, "a\n", "event: x\ndata: a\ndata: \n\n"},
    {"x", 0, "\n\n", "event: x\ndata: \ndata: \ndata: \n\n"},
};

static void
text_has_name_id_and_a_data_line_per_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(text_cases); i++) {
        const struct text_case *c = &text_cases[i];
        AUTO_BUF out = {0};

        frame_text(&out, c->name, c->seq, c->data, strlen(c->data));
        assert_string_equal(buf_cstr(&out), c->wanted);
    }
}

/* --- records -----------------------------------------------------------------------------------
 */

/* The stdout bytes in a run of records, which must be well formed; *ended when the request is. */
static void
unwrap(const unsigned char *p, size_t n, struct buf *out, bool *ended)
{
    *ended = false;
    for (size_t at = 0; at < n;) {
        size_t len = (size_t)p[at + 4] << 8 | p[at + 5];

        assert_false(*ended);
        assert_int_equal(p[at], 1);
        assert_int_equal(p[at + 2] << 8 | p[at + 3], 1);
        if (p[at + 1] == RECORD_STDOUT)
            buf_add(out, p + at + 8, len);
        else
            *ended = p[at + 1] == RECORD_END_REQUEST;
        at += 8 + len + p[at + 6];
        assert_true(at <= n);
    }
}

static void
any_length_is_wrapped_in_whole_padded_records(void **state)
{
    static const size_t lengths[] = {1, 7, 8, 9, 65527, 65528, 65529, 131056, 131057, 200000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char *text = xmalloc(lengths[i]);
        AUTO_BUF out = {0};
        struct frame *f;
        bool ended;

        for (size_t k = 0; k < lengths[i]; k++)
            text[k] = (char)('a' + k % 26);
        f = frame_new(FRAME_EVENT, text, lengths[i]);
        assert_int_equal(f->len % 8, 0);
        unwrap(f->bytes, f->len, &out, &ended);
        assert_false(ended);
        assert_int_equal(out.len, lengths[i]);
        assert_memory_equal(out.p, text, out.len);
        frame_unref(f);
        free(text);
    }
}

static void
heartbeat_is_a_named_event_with_the_time_and_no_id(void **state)
{
    struct frame *f = frame_heartbeat(1700000000123);
    AUTO_BUF out = {0};
    bool ended;

    (void)state;
    unwrap(f->bytes, f->len, &out, &ended);
    assert_string_equal(buf_cstr(&out),
                        "event: heartbeat\ndata: {\"ts\":\"2023-11-14T22:13:20.123Z\"}\n\n");
    frame_unref(f);
}

/* --- queue --------------------------------------------------------------------------------------
 */

static struct frame *
frame_of(enum frame_kind kind, char fill, size_t n)
{
    char *text = xmalloc(n);
    struct frame *f;

    memset(text, fill, n);
    f = frame_new(kind, text, n);
    free(text);
    return f;
}

/* Push and keep no reference. */
static bool
give(struct outbox *o, enum frame_kind kind, char fill, size_t n)
{
    struct frame *f = frame_of(kind, fill, n);
    bool ok = outbox_push(o, f);

    frame_unref(f);
    return ok;
}

static void
pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

/* Everything that can be read now. */
static void
drain(int fd, struct buf *out)
{
    ssize_t n;

    while ((n = recv(fd, buf_reserve(out, 65536), 65536, MSG_DONTWAIT)) > 0)
        out->len += (size_t)n;
}

static void
queue_is_bounded_in_frames_and_in_bytes(void **state)
{
    struct outbox o = {0};

    (void)state;
    for (int i = 0; i < OUTBOX_FRAMES_MAX; i++)
        assert_true(give(&o, FRAME_EVENT, 'a', 8));
    assert_false(give(&o, FRAME_EVENT, 'a', 8));
    outbox_fini(&o);

    for (int i = 0; i < 8; i++)
        assert_true(give(&o, FRAME_EVENT, 'a', OUTBOX_BYTES_MAX / 8 - 16));
    assert_false(give(&o, FRAME_EVENT, 'a', OUTBOX_BYTES_MAX / 8));
    outbox_fini(&o);

    /* One that is larger than the bound still passes, alone. */
    assert_true(give(&o, FRAME_SNAPSHOT, 'a', 2 * OUTBOX_BYTES_MAX));
    assert_false(give(&o, FRAME_EVENT, 'a', 8));
    outbox_fini(&o);
    assert_int_equal(o.n, 0);
}

static void
newer_snapshot_takes_the_place_of_an_older_one_behind_the_events(void **state)
{
    struct outbox o = {0};
    AUTO_BUF raw = {0};
    AUTO_BUF text = {0};
    int fds[2];
    bool ended, progress;

    (void)state;
    pair(fds);
    assert_true(give(&o, FRAME_EVENT, 'a', 1));
    assert_true(give(&o, FRAME_SNAPSHOT, 'S', 1));
    assert_true(give(&o, FRAME_EVENT, 'b', 1));
    assert_true(give(&o, FRAME_SNAPSHOT, 'T', 1));
    assert_int_equal(outbox_flush(&o, fds[0], &progress), OUTBOX_EMPTY);
    assert_true(progress);
    drain(fds[1], &raw);
    unwrap((unsigned char *)raw.p, raw.len, &text, &ended);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.p, "abT", 3);
    close(fds[0]);
    close(fds[1]);
}

static void
frames_survive_a_reader_that_takes_them_in_pieces(void **state)
{
    struct outbox o = {0};
    AUTO_BUF raw = {0};
    AUTO_BUF text = {0};
    int fds[2];
    bool ended, progress;
    enum outbox_state s;
    int blocked = 0;

    (void)state;
    pair(fds);
    for (int i = 0; i < 4; i++)
        assert_true(give(&o, FRAME_EVENT, (char)('a' + i), 100000));
    outbox_end(&o);
    while ((s = outbox_flush(&o, fds[0], &progress)) == OUTBOX_BLOCKED) {
        blocked++;
        drain(fds[1], &raw);
    }
    assert_int_equal(s, OUTBOX_EMPTY);
    assert_null(o.ring);
    drain(fds[1], &raw);
    unwrap((unsigned char *)raw.p, raw.len, &text, &ended);
    assert_true(ended);
    assert_true(blocked > 0);
    assert_int_equal(text.len, 400000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(text.p[i * 100000 + 99999], 'a' + i);
    close(fds[0]);
    close(fds[1]);
}

static void
cut_in_the_middle_finishes_the_frame_that_travels_and_drops_the_rest(void **state)
{
    struct outbox o = {0};
    AUTO_BUF raw = {0};
    AUTO_BUF text = {0};
    int fds[2];
    bool ended, progress;

    (void)state;
    pair(fds);
    assert_true(give(&o, FRAME_SNAPSHOT, 'a', 1 << 20)); /* more than the socket holds */
    assert_int_equal(outbox_flush(&o, fds[0], &progress), OUTBOX_BLOCKED);
    assert_false(outbox_at_boundary(&o));
    outbox_drop(&o);
    outbox_end(&o);
    while (outbox_flush(&o, fds[0], &progress) == OUTBOX_BLOCKED)
        drain(fds[1], &raw);
    drain(fds[1], &raw);
    unwrap((unsigned char *)raw.p, raw.len, &text, &ended);
    assert_true(ended);
    assert_int_equal(text.len, 1 << 20);
    close(fds[0]);
    close(fds[1]);
}

static void
peer_that_has_gone_is_noticed(void **state)
{
    struct outbox o = {0};
    int fds[2];
    bool progress;

    (void)state;
    pair(fds);
    close(fds[1]);
    assert_true(give(&o, FRAME_EVENT, 'a', 8));
    assert_int_equal(outbox_flush(&o, fds[0], &progress), OUTBOX_GONE);
    outbox_fini(&o);
    close(fds[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_name_id_and_a_data_line_per_line),
        cmocka_unit_test(any_length_is_wrapped_in_whole_padded_records),
        cmocka_unit_test(heartbeat_is_a_named_event_with_the_time_and_no_id),
        cmocka_unit_test(queue_is_bounded_in_frames_and_in_bytes),
        cmocka_unit_test(newer_snapshot_takes_the_place_of_an_older_one_behind_the_events),
        cmocka_unit_test(frames_survive_a_reader_that_takes_them_in_pieces),
        cmocka_unit_test(cut_in_the_middle_finishes_the_frame_that_travels_and_drops_the_rest),
        cmocka_unit_test(peer_that_has_gone_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
