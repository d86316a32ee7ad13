/*
 * migrate.h - bring a database to the schema version of this program.
 *
 * Purpose    `macp-observerd migrate`, and the databases of tests: applies what is missing, in
 *            order, one transaction each.
 * Ownership  the connection is the caller's; its time limit is raised meanwhile and put back.
 * Errors     ERR_CONFIG: not UTF-8, migrations changed or of another build, schema newer than this
 *            program. ERR_DB and ERR_SQL as db.h, the message names the migration. What was
 *            committed before stays; running it again continues.
 * Threads    one owner; several migrators at once wait for each other and the later ones find
 *            nothing to do.
 */
#ifndef MACP_SHARED_MIGRATE_H
#define MACP_SHARED_MIGRATE_H

#include <stdbool.h>

#include "shared/db.h"
#include "shared/err.h"

/* *applied (may be NULL) counts what this call did. done (may be NULL) is told each name. */
bool migrate_run(struct db *db, void (*done)(const char *name), int *applied,
                 struct err *err) MUST_CHECK;

#endif
