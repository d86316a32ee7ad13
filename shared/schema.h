/*
 * schema.h - which version of the tables a program meets, and whether it can live with it.
 *
 * Purpose    both programs check at start (and whenever they are told a statement no longer
 *            fits) that the database has a schema they know.
 * Ownership  struct schema is a plain value.
 * Errors     ERR_CONFIG: not migrated, older, too new, or changed; the message says what to do.
 *            ERR_DB, ERR_SQL as db.h.
 * Threads    any; the connection belongs to the caller.
 *
 * The version of a schema is the number of its last migration; that of a program is the number
 * of migrations compiled into it. A newer schema states the oldest program that still runs on it.
 */
#ifndef MACP_SHARED_SCHEMA_H
#define MACP_SHARED_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/db.h"
#include "shared/err.h"

struct schema {
    int version;        /* 0: never migrated */
    int oldest_program; /* highest demand of all applied migrations */
};

enum { SCHEMA_CHECKSUM_LEN = 17 }; /* with the NUL */

/* Version this program was built for. */
int schema_program_version(void);
/* Finds a migration that was edited after its release; not meant against forgery. */
void schema_checksum(const char *text, char out[SCHEMA_CHECKSUM_LEN]);

/*
 * What the database has. Fails when a migration that this program knows has another name or
 * text there. A database without our tables is version 0, no error.
 */
bool schema_read(struct db *db, struct schema *out, struct err *err) MUST_CHECK;
/* False unless this program may work on this database. */
bool schema_check(struct db *db, struct err *err) MUST_CHECK;

#endif
