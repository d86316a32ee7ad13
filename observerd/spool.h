/*
 * spool.h - a file for envelopes that Postgres cannot take now.
 *
 * Purpose    a queue on disk: written at its end and read at its front by one shard, so that
 *            streams are read on while Postgres is away. What is in it survives the process; what
 *            is stored is known by its ordinal, so reading it again stores nothing twice.
 * Ownership  struct spool is heap memory of its shard. A record's bytes are lent until the next
 *            call.
 * Errors     spool_open: false + *err when the file is another process's or cannot be used.
 *            Appending says whether the record is in the file; one that is not left no trace.
 * Threads    one owner at a time.
 *
 * The file: a header, then records, each with a checksum over all of it. Opening cuts off what is
 * behind the last whole record: a write that was torn, and everything after damage. It is private,
 * locked while it is open, and removed when it is closed empty.
 */
#ifndef MACP_OBSERVERD_SPOOL_H
#define MACP_OBSERVERD_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/uuid.h"

struct spool;

struct spool_record {
    int64_t run_key;
    int64_t ordinal;     /* of the envelope in its session */
    int64_t received_ms; /* wall clock */
    int epoch;           /* life of the session */
    const void *bytes;   /* the envelope as it travelled */
    size_t n;
};

struct spool_options {
    const char *dir;
    size_t shard, n_shards; /* a spool with records opens only for as many shards */
    int64_t max_bytes;
    const char *instance_id; /* written into the file: whose runs they were */
};

enum spool_read { SPOOL_RECORD, SPOOL_END, SPOOL_DAMAGED };

bool spool_open(const struct spool_options *o, struct spool **out, struct err *err) MUST_CHECK;
/* What is in it stays, on the disk. NULL is fine. */
void spool_close(struct spool *s);

/* Behind the others. False: it is full, or the disk is; see spool_problem. */
bool spool_append(struct spool *s, const struct spool_record *r) MUST_CHECK;
/* The same for records that spool_encode wrote one after the other; all of them or none. */
bool spool_append_encoded(struct spool *s, const struct buf *records) MUST_CHECK;
void spool_encode(struct buf *out, const struct spool_record *r);
/* Why the last record was not taken; static text. */
const char *spool_problem(const struct spool *s);

/* The record in front. */
enum spool_read spool_front(struct spool *s, struct spool_record *out) MUST_CHECK;
/* It is done: the next one is in front. It stays in the file. */
void spool_next(struct spool *s);
/* Nothing is in front of the reader. */
bool spool_is_read(const struct spool *s);
/* All that was read is stored: begin the file anew. What is not read is dropped. */
void spool_clear(struct spool *s);

/* Have everything on the disk; a false is worth a warning. At most every 50 ms, or when forced. */
bool spool_sync(struct spool *s, bool force) MUST_CHECK;
int64_t spool_bytes(const struct spool *s);

/* The last ordinal of the run that unread records lead to without a hole, cursor if none does. */
int64_t spool_reach(const struct spool *s, int64_t run_key, int epoch, int64_t cursor);
/* The instance that wrote what was found when it was opened; "" when nothing was. */
const char *spool_writer(const struct spool *s);
/* Keys of the runs that have records, appended as elements of an SQL array; how many. */
size_t spool_runs(const struct spool *s, struct buf *keys);

#endif
