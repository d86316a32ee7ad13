/*
 * db.h - Postgres, the only user of libpq.
 *
 * Purpose    one connection with prepared statements (by sql_id, prepared on first use),
 *            pipelines that are one transaction each, reconnecting, bounded waits.
 * Ownership  struct db is heap memory (db_close). Results are the caller's (AUTO_DB_RESULT).
 *            Arguments are borrowed for the call.
 * Errors     ERR_DB: the same again may succeed. With sqlstate "" or class 08, 57P, 53 (lost, no
 *            answer in time, shutting down) the connection is closed, the next call reconnects,
 *            and the outcome of a write is unknown: the caller settles it by reading. With 40001,
 *            40P01, 55P03 (deadlock, lock) or 57014 (server-side time limit) nothing was stored
 *            for certain and the connection is kept. ERR_GUARD: sqlstate MACP1, db_detail names
 *            the runs. ERR_SQL: the server refused for good (sqlstate says why). Messages never
 *            contain the address or values of arguments that the server does not quote itself.
 * Threads    a connection belongs to one thread at a time.
 *
 * Nothing here sleeps without a bound: every wait ends after the db's timeout.
 */
#ifndef MACP_SHARED_DB_H
#define MACP_SHARED_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"
#include "sql.gen.h" /* enum sql_id, SQL__COUNT */

struct db;
struct db_result; /* rows of one statement */

/* Lazy: no connection is made before the first call. url is copied; "" means libpq's defaults. */
struct db *db_new(const char *url, const char *application_name, int timeout_ms) MUST_CHECK;
void db_close(struct db *db);
/* Connect now if there is no connection. */
bool db_connect(struct db *db, struct err *err) MUST_CHECK;
/* Forget the connection (it is suspect); the next call makes a new one. */
void db_disconnect(struct db *db);
bool db_is_connected(const struct db *db);
/* Bound of each wait from now on, milliseconds. */
void db_set_timeout(struct db *db, int timeout_ms);
/* From any thread: no wait goes on beyond that time (clock_mono_ms), also one that has begun. */
void db_give_up_at(struct db *db, int64_t mono_ms);
int db_timeout(const struct db *db);
/* Plan prepared statements once, without looking at arguments; for connections made from now on.
 * For writers, whose arguments are arrays of any length. */
void db_set_generic_plans(struct db *db);
/* DETAIL of the last server error, "" when it had none. Valid until the next call. */
const char *db_detail(const struct db *db);

/* --- arguments ---------------------------------------------------------------------------- */

enum { DB_MAX_ARGS = 40 };

struct db_args {
    int n;
    const char *values[DB_MAX_ARGS]; /* NULL: SQL null */
    int lengths[DB_MAX_ARGS];
    int formats[DB_MAX_ARGS]; /* 0 text, 1 binary */
    char numbers[DB_MAX_ARGS][24];
};

/* Start empty: struct db_args a = {0}; (numbers need no clearing: db_args_init is cheaper). */
static inline void
db_args_init(struct db_args *a)
{
    a->n = 0;
}
void db_arg_text(struct db_args *a, const char *s); /* NULL is SQL null; borrowed */
void db_arg_int(struct db_args *a, int64_t v);
void db_arg_bool(struct db_args *a, bool v);
void db_arg_bin(struct db_args *a, const void *p, size_t n); /* binary format; borrowed */
void db_arg_null(struct db_args *a);

/* --- one statement ------------------------------------------------------------------------ */

/* Run one statement in a transaction of its own. *out (may be NULL) is set only on success. */
bool db_run(struct db *db, enum sql_id id, const struct db_args *args, struct db_result **out,
            struct err *err) MUST_CHECK;

/* --- pipeline: several statements, one round trip, one transaction ------------------------- */

/* Between begin and commit only db_pipeline_add may be called. Adding cannot fail visibly:
 * the first problem is reported by commit. */
void db_pipeline_begin(struct db *db);
void db_pipeline_add(struct db *db, enum sql_id id, const struct db_args *args);
/*
 * Send, wait, collect: all statements were committed, or none (error), or unknown (ERR_DB).
 * results (may be NULL) gets up to max results in order of db_pipeline_add, each to be freed.
 */
bool db_pipeline_commit(struct db *db, struct db_result **results, size_t max,
                        struct err *err) MUST_CHECK;

/* --- results ------------------------------------------------------------------------------ */

void db_result_free(struct db_result *r);
void db_result_freep(struct db_result **r);
#define AUTO_DB_RESULT CLEANUP(db_result_freep) struct db_result

int db_rows(const struct db_result *r);
/* Rows changed by an INSERT, UPDATE or DELETE. */
int64_t db_affected(const struct db_result *r);
bool db_null(const struct db_result *r, int row, int col);
const char *db_text(const struct db_result *r, int row, int col); /* "" when null */
size_t db_len(const struct db_result *r, int row, int col);
const char *db_text_or(const struct db_result *r, int row, int col, const char *otherwise);
int64_t db_int(const struct db_result *r, int row, int col); /* 0 when null */
double db_double(const struct db_result *r, int row, int col);
bool db_bool(const struct db_result *r, int row, int col);
/* A text[] value as an array of strings in one allocation (free()); *n set. NULL elements are
 * SQL nulls; a null value is an empty array; one more NULL ends it. */
const char **db_text_array(const struct db_result *r, int row, int col, size_t *n) MUST_CHECK;

/* --- notifications ------------------------------------------------------------------------ */

/* LISTEN on a channel name of ours now and after every reconnect. */
bool db_listen(struct db *db, const char *channel, struct err *err) MUST_CHECK;
/* Descriptor to poll for reading, -1 when not connected. */
int db_fd(const struct db *db);
/* Read what has arrived and call fn for each; false + ERR_DB when the connection is gone. */
bool db_notifications(struct db *db,
                      void (*fn)(void *ctx, const char *channel, const char *payload), void *ctx,
                      struct err *err) MUST_CHECK;

/* --- migration and checks (text that is not a prepared statement) -------------------------- */

/* Several statements of trusted text in one simple-protocol call. */
bool db_script(struct db *db, const char *sql, struct err *err) MUST_CHECK;
/* The same, handing over the rows of the last statement. For tests and tools. */
bool db_script_rows(struct db *db, const char *sql, struct db_result **out,
                    struct err *err) MUST_CHECK;
/* Prepare a statement without running it: does it fit the tables? */
bool db_prepare(struct db *db, enum sql_id id, struct err *err) MUST_CHECK;

#endif
