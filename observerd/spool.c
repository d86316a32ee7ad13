#include "observerd/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>
#include <zlib.h>

#include "shared/clock.h"
#include "shared/log.h"

enum {
    SYNC_EVERY_MS = 50,
    SYNC_SHARE = 10, /* a slow disk may cost one part of so many of the thread's time */
    RECORD_MAX = 1 << 30,
};

/* The bytes of the file, in the machine's own order: no other machine reads it. */
struct file_header {
    char magic[8];
    uint32_t n_shards, reserved;
    char instance_id[40];
};

struct record_header {
    uint32_t checksum; /* of everything behind it */
    uint32_t n;        /* bytes of the envelope, which follow */
    int64_t run_key, ordinal, received_ms;
    int32_t epoch;
    uint32_t reserved;
};

static const char magic[8] = {'M', 'A', 'C', 'P', 'S', 'P', 'L', '1'};

/* The unread records of a run that follow each other. */
struct spooled_run {
    int64_t run_key, first, last;
    int epoch;
    UT_hash_handle hh;
};

struct spool {
    struct spool_options o;
    char path[4096];
    char instance_id[UUID_LEN], writer[UUID_LEN];
    int fd;
    int64_t front, end; /* offsets */
    struct buf record;  /* the one in front, whole; empty: not read yet */
    struct buf scratch; /* of the record being appended */
    struct spooled_run *runs;
    const char *problem;
    bool dirty; /* written since the last sync */
    int64_t sync_at_ms;
};

/* --- runs ---------------------------------------------------------------------------------- */

static struct spooled_run *
find_run(const struct spool *s, int64_t run_key)
{
    struct spooled_run *r;

    HASH_FIND(hh, s->runs, &run_key, sizeof run_key, r);
    return r;
}

/* A record that does not follow the ones before it begins anew: they lead nowhere. */
static void
note_written(struct spool *s, const struct record_header *h)
{
    struct spooled_run *r = find_run(s, h->run_key);

    if (!r) {
        r = xcalloc(1, sizeof *r);
        r->run_key = h->run_key;
        HASH_ADD(hh, s->runs, run_key, sizeof r->run_key, r);
    } else if (r->epoch == h->epoch && h->ordinal >= r->first && h->ordinal <= r->last + 1) {
        if (h->ordinal > r->last)
            r->last = h->ordinal;
        return;
    }
    r->epoch = h->epoch;
    r->first = r->last = h->ordinal;
}

static void
note_read(struct spool *s, const struct record_header *h)
{
    struct spooled_run *r = find_run(s, h->run_key);

    if (r && r->epoch == h->epoch && r->first <= h->ordinal)
        r->first = h->ordinal + 1;
}

static void
forget_runs(struct spool *s)
{
    struct spooled_run *r, *next;

    HASH_ITER(hh, s->runs, r, next)
    {
        HASH_DEL(s->runs, r);
        free(r);
    }
}

int64_t
spool_reach(const struct spool *s, int64_t run_key, int epoch, int64_t cursor)
{
    const struct spooled_run *r = find_run(s, run_key);

    return r && r->epoch == epoch && r->first <= cursor + 1 && r->last > cursor ? r->last : cursor;
}

const char *
spool_writer(const struct spool *s)
{
    return s->writer;
}

size_t
spool_runs(const struct spool *s, struct buf *keys)
{
    struct spooled_run *r, *next;
    size_t n = 0;

    HASH_ITER(hh, s->runs, r, next)
    {
        buf_printf(keys, "%s%lld", keys->len > 1 ? "," : "", (long long)r->run_key);
        n++;
    }
    return n;
}

/* --- records ------------------------------------------------------------------------------- */

static uint32_t
checksum_of(const struct record_header *h, const void *bytes)
{
    size_t skipped = sizeof h->checksum;
    uLong sum = crc32(0, (const Bytef *)h + skipped, (uInt)(sizeof *h - skipped));

    return (uint32_t)crc32(sum, bytes, h->n);
}

void
spool_encode(struct buf *out, const struct spool_record *r)
{
    struct record_header h;

    if (r->n > RECORD_MAX)
        BUG("a record of %zu bytes", r->n);
    memset(&h, 0, sizeof h); /* padding is part of the sum */
    h.n = (uint32_t)r->n;
    h.run_key = r->run_key;
    h.ordinal = r->ordinal;
    h.received_ms = r->received_ms;
    h.epoch = r->epoch;
    h.checksum = checksum_of(&h, r->bytes);
    buf_add(out, &h, sizeof h);
    buf_add(out, r->bytes, r->n);
}

/* A whole record at that offset, checked; false at the end of the file or at damage. */
static bool
read_record(struct spool *s, int64_t at, int64_t end, struct buf *out)
{
    struct record_header h;

    buf_reset(out);
    if (end - at < (int64_t)sizeof h || pread(s->fd, &h, sizeof h, at) != (ssize_t)sizeof h ||
        h.run_key <= 0 || h.ordinal <= 0 || h.n > RECORD_MAX ||
        end - at - (int64_t)sizeof h < (int64_t)h.n)
        return false;
    buf_add(out, &h, sizeof h);
    if (pread(s->fd, buf_reserve(out, h.n), h.n, at + (int64_t)sizeof h) != (ssize_t)h.n ||
        checksum_of(&h, out->p + sizeof h) != h.checksum) {
        buf_reset(out);
        return false;
    }
    out->len += h.n;
    return true;
}

/* --- writing ------------------------------------------------------------------------------- */

/* All of it or nothing: a part that came to the disk is cut off again. */
static bool
write_at_end(struct spool *s, const struct buf *bytes)
{
    size_t done = 0;

    while (done < bytes->len) {
        ssize_t n = pwrite(s->fd, bytes->p + done, bytes->len - done, s->end + (int64_t)done);

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    if (done == bytes->len)
        return true;
    s->problem = errno == ENOSPC   ? "the disk is full"
                 : errno == EDQUOT ? "the quota is used up"
                 : errno == EFBIG  ? "files may not grow so large"
                                   : "it cannot be written";
    if (ftruncate(s->fd, s->end) != 0)
        log_debug("%s: ftruncate: %s", s->path, strerror(errno));
    return false;
}

bool
spool_append_encoded(struct spool *s, const struct buf *records)
{
    if (s->end + (int64_t)records->len > s->o.max_bytes) {
        s->problem = "it has reached OBSERVERD_SPOOL_BYTES";
        return false;
    }
    if (!write_at_end(s, records))
        return false;
    for (size_t at = 0; at < records->len;) {
        struct record_header h;

        memcpy(&h, records->p + at, sizeof h);
        note_written(s, &h);
        at += sizeof h + h.n;
    }
    s->end += (int64_t)records->len;
    s->dirty = true;
    return true;
}

bool
spool_append(struct spool *s, const struct spool_record *r)
{
    buf_reset(&s->scratch);
    spool_encode(&s->scratch, r);
    return spool_append_encoded(s, &s->scratch);
}

const char *
spool_problem(const struct spool *s)
{
    return s->problem ? s->problem : "";
}

bool
spool_sync(struct spool *s, bool force)
{
    int64_t began = clock_mono_ms(), took;
    bool ok;

    if (!s->dirty || (!force && began < s->sync_at_ms))
        return true;
    ok = fdatasync(s->fd) == 0;
    took = clock_mono_ms() - began;
    s->sync_at_ms = began + (took * SYNC_SHARE > SYNC_EVERY_MS ? took * SYNC_SHARE : SYNC_EVERY_MS);
    s->dirty = false;
    return ok;
}

int64_t
spool_bytes(const struct spool *s)
{
    return s->end - (int64_t)sizeof(struct file_header);
}

/* --- reading ------------------------------------------------------------------------------- */

enum spool_read
spool_front(struct spool *s, struct spool_record *out)
{
    struct record_header h;

    if (s->front == s->end)
        return SPOOL_END;
    if (!s->record.len && !read_record(s, s->front, s->end, &s->record))
        return SPOOL_DAMAGED;
    memcpy(&h, s->record.p, sizeof h);
    *out = (struct spool_record){.run_key = h.run_key,
                                 .ordinal = h.ordinal,
                                 .received_ms = h.received_ms,
                                 .epoch = h.epoch,
                                 .bytes = s->record.p + sizeof h,
                                 .n = h.n};
    return SPOOL_RECORD;
}

void
spool_next(struct spool *s)
{
    struct record_header h;

    if (!s->record.len)
        BUG("no record was read");
    memcpy(&h, s->record.p, sizeof h);
    note_read(s, &h);
    s->front += (int64_t)s->record.len;
    buf_reset(&s->record);
}

bool
spool_is_read(const struct spool *s)
{
    return s->front == s->end;
}

/* --- the file ------------------------------------------------------------------------------ */

static bool
write_header(struct spool *s)
{
    struct file_header h = {.n_shards = (uint32_t)s->o.n_shards};

    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.instance_id, s->instance_id, sizeof s->instance_id);
    return pwrite(s->fd, &h, sizeof h, 0) == (ssize_t)sizeof h;
}

void
spool_clear(struct spool *s)
{
    s->front = s->end = (int64_t)sizeof(struct file_header);
    s->dirty = true;
    buf_reset(&s->record);
    forget_runs(s);
    /* What cannot be cut off now is written over, and known by its ordinals if it is read. */
    if (ftruncate(s->fd, s->end) != 0 || !write_header(s))
        log_warn("%s cannot be emptied: %s", s->path, strerror(errno));
}

/* Only a file of our own that nobody else uses: names in a shared directory may be planted. */
static bool
open_file(struct spool *s, struct stat *st, struct err *err)
{
    s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0)
        return err_set(err, ERR_CONFIG, "OBSERVERD_SPOOL_DIR: %s: %s", s->path, strerror(errno));
    if (fstat(s->fd, st) != 0 || !S_ISREG(st->st_mode) || st->st_uid != geteuid())
        return err_set(err, ERR_CONFIG, "OBSERVERD_SPOOL_DIR: %s is not a file of this user",
                       s->path);
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(
            err, ERR_CONFIG,
            "OBSERVERD_SPOOL_DIR: %s is in use: each process needs a directory of its own",
            s->path);
    if (fchmod(s->fd, 0600) != 0)
        return err_set(err, ERR_CONFIG, "OBSERVERD_SPOOL_DIR: %s: %s", s->path, strerror(errno));
    return true;
}

/* Find the end of the last whole record; what is behind it goes. */
static bool
scan(struct spool *s, int64_t size, struct err *err)
{
    struct record_header h;
    struct file_header f;

    if (size < (int64_t)sizeof f || pread(s->fd, &f, sizeof f, 0) != (ssize_t)sizeof f ||
        memcmp(f.magic, magic, sizeof magic) != 0 || f.instance_id[UUID_LEN - 1] != '\0') {
        if (size > 0)
            log_warn("%s has no beginning that could be read, it is begun anew", s->path);
        spool_clear(s);
        return true;
    }
    for (; read_record(s, s->end, size, &s->record); s->end += (int64_t)s->record.len) {
        memcpy(&h, s->record.p, sizeof h);
        note_written(s, &h);
    }
    buf_reset(&s->record);
    if (s->end < size) {
        log_warn("%s: %lld bytes behind the last whole record are dropped", s->path,
                 (long long)(size - s->end));
        if (ftruncate(s->fd, s->end) != 0)
            return err_set(err, ERR_CONFIG, "OBSERVERD_SPOOL_DIR: %s: %s", s->path,
                           strerror(errno));
    }
    if (spool_is_read(s)) {
        spool_clear(s);
        return true;
    }
    if (f.n_shards != s->o.n_shards)
        return err_set(err, ERR_CONFIG,
                       "OBSERVERD_SHARDS: %s was written by %u shards and is not empty; start with "
                       "as many until it is",
                       s->path, f.n_shards);
    memcpy(s->writer, f.instance_id, UUID_LEN);
    return true;
}

/* Nobody would read the records of a shard that there is no more. */
static bool
no_other_shards(const struct spool *s, struct err *err)
{
    DIR *d = opendir(s->o.dir);
    bool ok = true;

    for (struct dirent *e; ok && d && (e = readdir(d));) {
        struct stat st;
        size_t shard;
        int n = 0;

        if (sscanf(e->d_name, "shard-%zu.spool%n", &shard, &n) == 1 && n > 0 && !e->d_name[n] &&
            shard >= s->o.n_shards && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_size > (off_t)sizeof(struct file_header))
            ok = err_set(err, ERR_CONFIG,
                         "OBSERVERD_SHARDS: %s/%s is not empty; start with more shards until it is",
                         s->o.dir, e->d_name);
    }
    if (d)
        closedir(d);
    return ok;
}

/* The name shall be on the disk before what is in the file. */
static void
sync_directory(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (fsync(fd) != 0)
        log_debug("%s: fsync: %s", dir, strerror(errno));
    close(fd);
}

bool
spool_open(const struct spool_options *o, struct spool **out, struct err *err)
{
    struct spool *s = xcalloc(1, sizeof *s);
    struct stat st;

    s->o = *o;
    s->front = s->end = (int64_t)sizeof(struct file_header);
    snprintf(s->instance_id, sizeof s->instance_id, "%s", o->instance_id);
    snprintf(s->path, sizeof s->path, "%s/shard-%zu.spool", o->dir, o->shard);
    if (!open_file(s, &st, err) || !scan(s, st.st_size, err) ||
        (o->shard == 0 && !no_other_shards(s, err))) {
        if (s->fd >= 0)
            close(s->fd);
        buf_fini(&s->record);
        forget_runs(s);
        free(s);
        return false;
    }
    sync_directory(o->dir);
    *out = s;
    return true;
}

void
spool_close(struct spool *s)
{
    if (!s)
        return;
    if (spool_bytes(s) == 0)
        unlink(s->path); /* locked: nobody else has opened it */
    else if (!spool_sync(s, true))
        log_warn("%s: %s", s->path, strerror(errno));
    close(s->fd);
    buf_fini(&s->record);
    buf_fini(&s->scratch);
    forget_runs(s);
    free(s);
}
