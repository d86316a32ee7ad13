/* The file behind the batches: what was written comes back whole and in order, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observerd/spool.h"
#include "shared/log.h"

#define MY_ID    "0b6f3c6e-1111-4222-8333-944455556666"
#define OTHER_ID "0b6f3c6e-2222-4222-8333-944455556666"

enum { LIMIT = 1 << 20, RUN = 7 };

static char dir[64], path[96];
static struct spool *spool;

static int
make_directory(void **state UNUSED)
{
    log_open("test", LOG_SILENT);
    /* Hundreds of files are closed, each onto its disk: one without a disk where there is one. */
    snprintf(dir, sizeof dir, "%s/macp-spool.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/shard-0.spool", dir);
    return 0;
}

static int
remove_directory(void **state UNUSED)
{
    unlink(path);
    return rmdir(dir);
}

static struct spool_options
options(void)
{
    return (struct spool_options){
        .dir = dir, .shard = 0, .n_shards = 1, .max_bytes = LIMIT, .instance_id = MY_ID};
}

static void
open_as(const struct spool_options *o)
{
    struct err err;

    if (!spool_open(o, &spool, &err))
        fail_msg("%s", err.msg);
}

static void
open_spool(void)
{
    struct spool_options o = options();

    open_as(&o);
}

static void
close_spool(void)
{
    spool_close(spool);
    spool = NULL;
}

static int
begin(void **state UNUSED)
{
    unlink(path);
    open_spool();
    return 0;
}

static int
end(void **state UNUSED)
{
    if (spool)
        close_spool();
    unlink(path);
    return 0;
}

static struct spool_record
record(int64_t run_key, int64_t ordinal, const char *text)
{
    return (struct spool_record){.run_key = run_key,
                                 .ordinal = ordinal,
                                 .received_ms = 1700000000000 + ordinal,
                                 .epoch = 2,
                                 .bytes = text,
                                 .n = strlen(text)};
}

static void
append(int64_t run_key, int64_t ordinal, const char *text)
{
    struct spool_record r = record(run_key, ordinal, text);

    if (!spool_append(spool, &r))
        fail_msg("%s", spool_problem(spool));
}

/* The next record is this one. */
static void
expect(int64_t run_key, int64_t ordinal, const char *text)
{
    struct spool_record r;

    assert_int_equal(spool_front(spool, &r), SPOOL_RECORD);
    assert_int_equal(r.run_key, run_key);
    assert_int_equal(r.ordinal, ordinal);
    assert_int_equal(r.received_ms, 1700000000000 + ordinal);
    assert_int_equal(r.epoch, 2);
    assert_int_equal(r.n, strlen(text));
    assert_memory_equal(r.bytes, text, r.n);
    spool_next(spool);
}

static void
expect_end(void)
{
    struct spool_record r;

    assert_int_equal(spool_front(spool, &r), SPOOL_END);
    assert_true(spool_is_read(spool));
}

/* --- the file as it lies there --------------------------------------------------------------- */

static char *
file_bytes(size_t *n)
{
    FILE *f = fopen(path, "re");
    char *bytes = xmalloc(LIMIT);

    assert_non_null(f);
    *n = fread(bytes, 1, LIMIT, f);
    fclose(f);
    return bytes;
}

static void
write_file(const char *bytes, size_t n)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

/* --- tests --------------------------------------------------------------------------------- */

static void
test_records_come_back_in_order(void **state UNUSED)
{
    expect_end();
    append(RUN, 1, "first");
    append(8, 1, "");
    expect(RUN, 1, "first");
    append(RUN, 2, "written while it is read");
    expect(8, 1, "");
    expect(RUN, 2, "written while it is read");
    expect_end();
    append(RUN, 3, "after the end");
    expect(RUN, 3, "after the end");
}

static void
test_records_survive_and_say_whose_they_were(void **state UNUSED)
{
    struct spool_options o = options();
    AUTO_BUF keys = {0};

    append(RUN, 1, "one");
    append(RUN, 2, "two");
    expect(RUN, 1, "one");
    close_spool();
    o.instance_id = OTHER_ID;
    open_as(&o);
    assert_string_equal(spool_writer(spool), MY_ID);
    assert_int_equal(spool_runs(spool, &keys), 1);
    assert_string_equal(buf_cstr(&keys), "7");
    expect(RUN, 1, "one"); /* from the beginning: what was read may not be stored */
    expect(RUN, 2, "two");
    expect_end();
    spool_clear(spool);
    append(RUN, 3, "mine");
    close_spool();
    open_spool();
    assert_string_equal(spool_writer(spool), OTHER_ID);
    expect(RUN, 3, "mine");
}

static void
test_file_is_private_and_goes_when_it_is_empty(void **state UNUSED)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    append(RUN, 1, "x");
    spool_clear(spool);
    assert_int_equal(spool_bytes(spool), 0);
    close_spool();
    assert_int_equal(stat(path, &st), -1);
}

static void
test_file_of_another_process_is_refused(void **state UNUSED)
{
    struct spool_options o = options();
    struct spool *second = NULL;
    struct err err;

    assert_false(spool_open(&o, &second, &err)); /* a lock is the open file's, so we are another */
    assert_non_null(strstr(err.msg, "in use"));
    assert_null(second);
}

static void
test_link_is_refused(void **state UNUSED)
{
    struct spool_options o = options();
    struct spool *s;
    struct err err;

    close_spool();
    assert_int_equal(symlink("/tmp/elsewhere.spool", path), 0);
    assert_false(spool_open(&o, &s, &err));
    unlink(path);
}

static void
test_other_number_of_shards_is_refused_until_it_is_empty(void **state UNUSED)
{
    struct spool_options o = options();
    struct err err;

    o.n_shards = 3;
    append(RUN, 1, "x");
    close_spool();
    assert_false(spool_open(&o, &spool, &err));
    assert_non_null(strstr(err.msg, "OBSERVERD_SHARDS"));
    spool = NULL;
    open_spool();
    spool_clear(spool);
    close_spool();
    open_as(&o);
}

static void
test_spool_of_a_shard_that_is_no_more_is_refused(void **state UNUSED)
{
    struct spool_options o = options();
    struct spool *s;
    struct err err;

    close_spool();
    o.shard = 1;
    o.n_shards = 2;
    open_as(&o);
    append(RUN, 1, "x");
    close_spool();
    o = options();
    assert_false(spool_open(&o, &s, &err));
    assert_non_null(strstr(err.msg, "shard-1.spool"));
    o.shard = 1;
    o.n_shards = 2;
    open_as(&o);
    spool_clear(spool);
    close_spool();
    open_spool();
}

static void
test_reach_is_what_unread_records_lead_to(void **state UNUSED)
{
    append(RUN, 5, "x");
    append(RUN, 6, "x");
    append(8, 1, "x");
    append(RUN, 7, "x");
    assert_int_equal(spool_reach(spool, RUN, 2, 4), 7);
    assert_int_equal(spool_reach(spool, RUN, 2, 6), 7);
    assert_int_equal(spool_reach(spool, RUN, 2, 9), 9); /* all of it is stored */
    assert_int_equal(spool_reach(spool, RUN, 2, 3), 3); /* ordinal 4 is not here */
    assert_int_equal(spool_reach(spool, RUN, 1, 4), 4); /* another life of the session */
    assert_int_equal(spool_reach(spool, 9, 2, 4), 4);
    expect(RUN, 5, "x");
    assert_int_equal(spool_reach(spool, RUN, 2, 4), 4); /* it is not in front of us any more */
    assert_int_equal(spool_reach(spool, RUN, 2, 5), 7);
    append(RUN, 12, "x"); /* something is missing: the ones before lead nowhere */
    assert_int_equal(spool_reach(spool, RUN, 2, 5), 5);
    append(RUN, 13, "x");
    assert_int_equal(spool_reach(spool, RUN, 2, 11), 13);
    spool_clear(spool);
    assert_int_equal(spool_reach(spool, RUN, 2, 11), 11);
}

static void
test_several_records_at_once_are_like_one_after_the_other(void **state UNUSED)
{
    struct spool_record one = record(RUN, 1, "one"), two = record(RUN, 2, "two");
    AUTO_BUF both = {0};

    spool_encode(&both, &one);
    spool_encode(&both, &two);
    assert_true(spool_append_encoded(spool, &both));
    assert_int_equal(spool_reach(spool, RUN, 2, 0), 2);
    expect(RUN, 1, "one");
    expect(RUN, 2, "two");
    expect_end();
}

/* The machine stops at any byte: whole records are there, and writing goes on behind them. */
static void
test_torn_write_is_cut_at_every_byte(void **state UNUSED)
{
    static const char *const texts[] = {"first", "", "the third one is longer"};
    size_t whole[4], n, bare;
    char *bytes;

    free(file_bytes(&bare));
    whole[0] = bare;
    for (int i = 0; i < 3; i++) {
        append(RUN, i + 1, texts[i]);
        whole[i + 1] = bare + (size_t)spool_bytes(spool);
    }
    close_spool();
    bytes = file_bytes(&n);
    assert_int_equal(n, whole[3]);
    for (size_t cut = 0; cut <= n; cut++) {
        int there = 0;

        while (there < 3 && whole[there + 1] <= cut)
            there++;
        write_file(bytes, cut);
        open_spool();
        assert_int_equal(spool_bytes(spool), (int64_t)(whole[there] - bare));
        append(RUN, 100, "next");
        for (int i = 0; i < there; i++)
            expect(RUN, i + 1, texts[i]);
        expect(RUN, 100, "next");
        expect_end();
        close_spool();
        open_spool(); /* the cut is in the file, too */
        for (int i = 0; i < there; i++)
            expect(RUN, i + 1, texts[i]);
        expect(RUN, 100, "next");
        expect_end();
        close_spool();
    }
    free(bytes);
}

/* Any bit may turn: nothing wrong comes out, and what is before the damage does. */
static void
test_damage_at_any_byte_is_found(void **state UNUSED)
{
    size_t n, bare, first;
    char *bytes;

    free(file_bytes(&bare));
    append(RUN, 1, "first");
    first = bare + (size_t)spool_bytes(spool);
    append(RUN, 2, "second");
    close_spool();
    bytes = file_bytes(&n);
    for (size_t at = bare; at < n; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] = (char)(bytes[at] ^ (1 << bit));
            write_file(bytes, n);
            bytes[at] = (char)(bytes[at] ^ (1 << bit));
            open_spool();
            if (at >= first)
                expect(RUN, 1, "first");
            expect_end();
            close_spool();
        }
    free(bytes);
}

static void
test_damage_while_it_is_open_is_said_and_not_read(void **state UNUSED)
{
    struct spool_record r;
    int fd;

    append(RUN, 1, "first");
    append(RUN, 2, "second");
    expect(RUN, 1, "first");
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "?", 1, lseek(fd, 0, SEEK_END) - 1), 1);
    close(fd);
    assert_int_equal(spool_front(spool, &r), SPOOL_DAMAGED);
    assert_false(spool_is_read(spool));
    spool_clear(spool);
    expect_end();
}

static void
test_foreign_file_is_begun_anew(void **state UNUSED)
{
    static const char text[] = "this is a file of somebody who has put it here for whatever reason,"
                               " and it is longer than a header";

    close_spool();
    write_file(text, sizeof text);
    open_spool();
    expect_end();
    append(RUN, 1, "x");
    expect(RUN, 1, "x");
}

static void
test_limit_is_kept_and_what_is_there_stays(void **state UNUSED)
{
    static char large[LIMIT / 4];
    struct spool_record r = record(RUN, 4, "");
    int n = 0;

    memset(large, 'x', sizeof large - 1);
    for (r.bytes = large, r.n = sizeof large - 1; spool_append(spool, &r); n++)
        r.received_ms = 1700000000000 + ++r.ordinal;
    assert_int_equal(n, 3);
    assert_non_null(strstr(spool_problem(spool), "OBSERVERD_SPOOL_BYTES"));
    append(RUN, 7, "a small one still fits");
    for (int i = 0; i < 3; i++)
        expect(RUN, 4 + i, large);
    expect(RUN, 7, "a small one still fits");
    assert_true(spool_bytes(spool) <= LIMIT);
    spool_clear(spool); /* there is room again */
    r.ordinal = 1;
    assert_true(spool_append(spool, &r));
}

/* A disk that takes a part of a record and no more, in a process of its own. */
static void
test_disk_that_is_full_leaves_no_trace_of_the_record(void **state UNUSED)
{
    int64_t before;
    pid_t child;
    int status;

    append(RUN, 1, "before");
    before = spool_bytes(spool);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static char large[4096];
        struct rlimit limit = {2048, 2048};
        struct spool_record r = record(RUN, 2, ""), small = record(RUN, 2, "small");

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        r.bytes = large;
        r.n = sizeof large;
        _exit(spool_append(spool, &r)                                            ? 1
              : strcmp(spool_problem(spool), "files may not grow so large") != 0 ? 2
              : spool_bytes(spool) != before                                     ? 3
              : !spool_append(spool, &small)                                     ? 4
                                                                                 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close_spool();
    open_spool();
    expect(RUN, 1, "before");
    expect(RUN, 2, "small");
    expect_end();
}

static void
test_sync_is_no_more_often_than_it_may(void **state UNUSED)
{
    append(RUN, 1, "x");
    assert_true(spool_sync(spool, false));
    append(RUN, 2, "x");
    assert_true(spool_sync(spool, false)); /* too soon: true all the same */
    assert_true(spool_sync(spool, true));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_records_come_back_in_order),
        T(test_records_survive_and_say_whose_they_were),
        T(test_file_is_private_and_goes_when_it_is_empty),
        T(test_file_of_another_process_is_refused),
        T(test_link_is_refused),
        T(test_other_number_of_shards_is_refused_until_it_is_empty),
        T(test_spool_of_a_shard_that_is_no_more_is_refused),
        T(test_reach_is_what_unread_records_lead_to),
        T(test_several_records_at_once_are_like_one_after_the_other),
        T(test_torn_write_is_cut_at_every_byte),
        T(test_damage_at_any_byte_is_found),
        T(test_damage_while_it_is_open_is_said_and_not_read),
        T(test_foreign_file_is_begun_anew),
        T(test_limit_is_kept_and_what_is_there_stays),
        T(test_disk_that_is_full_leaves_no_trace_of_the_record),
        T(test_sync_is_no_more_often_than_it_may),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
