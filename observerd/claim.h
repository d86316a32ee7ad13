/*
 * claim.h - which runs are mine.
 *
 * Purpose    this instance's heartbeat, the claims of due runs, and what a claimed run needs to go
 *            on: loaded, folded up to its last event, handed to its shard. Recovery is nothing
 *            else: due rows without a live owner are claimed for ever, by any instance. Runs that
 *            pass from one live instance to another: handover.h.
 * Ownership  struct claim is heap memory of main. Errors: as db_run.
 * Threads    the control thread. alive_until_ms is read by the writers.
 */
#ifndef MACP_OBSERVERD_CLAIM_H
#define MACP_OBSERVERD_CLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "observerd/shard.h"
#include "shared/config.h"
#include "shared/db.h"

enum { CLAIM_LIMIT = 64 };

struct handover;

struct claim {
    const struct config *cfg;
    struct db *db;
    struct shard **shards;
    size_t n_shards;
    char instance_id[UUID_LEN];
    char host[65];
    _Atomic int64_t alive_until_ms; /* clock_mono_ms */
    /* as of the last heartbeat: instances that take runs, we among them; others, also leaving */
    int64_t instances, live_runs, others;
    bool draining;
    struct handover *handover;
    bool joined;            /* what an earlier process under our id held is free */
    bool settled;           /* shards know which runs of their spools are ours */
    bool beat_failed;       /* Postgres was away */
    int64_t spare_until_ms; /* others that look dead may not have got through yet */
    bool doubt;             /* a claim may have happened without our knowing */
    int64_t doubt_after;    /* run keys up to here are settled */
    /* claimed, not loaded yet: Postgres went away in between */
    size_t n_owed;
    struct {
        int64_t run_key, fence;
    } owed[CLAIM_LIMIT];
    /* let go, not yet in the database */
    struct run_fence {
        int64_t run_key, fence;
    } * releases;
    size_t n_releases, cap_releases;
};

struct claim *claim_new(const struct config *cfg, struct db *db) MUST_CHECK;
void claim_free(struct claim *c);

/* Say that we are alive. What we may write with is alive_until_ms, counted from before the call. */
bool claim_heartbeat(struct claim *c, struct err *err) MUST_CHECK;
/* Claim and hand over what is due, up to this instance's share. */
bool claim_due(struct claim *c, struct err *err) MUST_CHECK;
/* The shard that has a run, or gets it. */
struct shard *claim_shard(const struct claim *c, int64_t run_key);
/* Runs in the shards, or on their way to them. */
int64_t claim_held(const struct claim *c);
/* What this instance may have of all live runs. */
int64_t claim_share(const struct claim *c);
/* The rows say that the run is ours: it is loaded with the next ones. False: not now. */
bool claim_owe(struct claim *c, int64_t run_key, int64_t fence);
/* Tell other instances to look for runs. */
bool claim_call(struct claim *c, struct err *err) MUST_CHECK;
/* Let a run go; repeated by claim_due until Postgres has it, or nobody could ever claim it. */
void claim_release(struct claim *c, int64_t run_key, int64_t fence);
/* Free all runs and remove the heartbeat: others take over at once. */
bool claim_leave(struct claim *c, struct err *err) MUST_CHECK;

#endif
