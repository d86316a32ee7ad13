/*
 * heir.h - another instance's run that is about to become ours.
 *
 * Purpose    an instance that leaves, or has more than its share, gives runs to another one. The
 *            other one reads the session first: the runtime drops the history of a session that
 *            ends while nobody reads it. An heir is that stream, opened one envelope before what
 *            is stored. The envelope that comes proves that the runtime serves us; behind it the
 *            stream is not read until the run is ours.
 * Ownership  struct heir is heap memory of its shard; the mail stays the caller's.
 * Errors     none come out: a subscription that is refused or lost is told to control, which gives
 *            the run up; its owner still has it.
 * Threads    the shard's queue thread.
 */
#ifndef MACP_OBSERVERD_HEIR_H
#define MACP_OBSERVERD_HEIR_H

#include <stdbool.h>
#include <stdint.h>

#include "observerd/mailbox.h"

struct rt_stream;
struct shard;

struct heir_mail {
    struct mail mail;
    int64_t run_key;
    int64_t cursor;    /* as stored when we asked */
    char session_id[]; /* NUL-ended */
};

void heir_open(struct shard *s, const struct heir_mail *m);
/* The run is ours: its stream and the last ordinal read from it. False: there is none. */
bool heir_take(struct shard *s, int64_t run_key, struct rt_stream **stream, int64_t *at);
void heir_close(struct shard *s, int64_t run_key);
void heir_close_all(struct shard *s);
/* The queue has ended and their streams with it. */
void heir_forget_all(struct shard *s);

#endif
