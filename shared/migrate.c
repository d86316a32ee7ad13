#include "shared/migrate.h"

#include <stdio.h>
#include <string.h>

#include "shared/schema.h"

enum {
    MIGRATE_TIMEOUT_MS = 10 * 60 * 1000 /* a lock held by another migrator, an index on much data */
};

/* Says which migration failed, keeping code and sqlstate. */
static bool
failed_in(const char *name, struct err *err)
{
    char msg[sizeof err->msg];

    if (!err)
        return false;
    snprintf(msg, sizeof msg, "%s", err->msg);
    snprintf(err->msg, sizeof err->msg, "migration %s: %.*s", name,
             (int)(sizeof err->msg - strlen(name) - sizeof "migration : "), msg);
    return false;
}

/* Open the transaction that holds the lock and see what the database is. */
static bool
begin(struct db *db, struct schema *found, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    *found = (struct schema){0};
    if (!db_run(db, SQL_MIGRATION_BEGIN, NULL, NULL, err) ||
        !db_run(db, SQL_MIGRATION_LOCK, NULL, NULL, err) ||
        !db_run(db, SQL_MIGRATION_STATE, NULL, &r, err))
        return false;
    if (strcmp(db_text(r, 0, 0), "UTF8") != 0)
        return err_set(err, ERR_CONFIG,
                       "the database's encoding is %s; create it with ENCODING 'UTF8' "
                       "(TEMPLATE template0)",
                       db_text(r, 0, 0));
    /* Asking a table that is not there would end the transaction. */
    if (db_bool(r, 0, 1) && !schema_read(db, found, err))
        return false;
    if (found->version > schema_program_version())
        return err_set(err, ERR_CONFIG,
                       "the database has schema version %d, this program knows only %d: migrate "
                       "with the newer program",
                       found->version, schema_program_version());
    return true;
}

/* Inside begin()'s transaction, to its commit. */
static bool
apply(struct db *db, int version, struct err *err)
{
    const struct sql_migration *m = &sql_migrations[version - 1];
    struct db_args args = {0};
    char checksum[SCHEMA_CHECKSUM_LEN];

    schema_checksum(m->text, checksum);
    db_arg_text(&args, m->name);
    db_arg_text(&args, checksum);
    db_arg_int(&args, m->oldest_program);
    /* The first one makes the role that owns what the others make. */
    if (version > 1 && !db_run(db, SQL_MIGRATION_OWNER, NULL, NULL, err))
        return false;
    return db_script(db, m->text, err) && db_run(db, SQL_MIGRATION_OWNER, NULL, NULL, err) &&
           db_run(db, SQL_MIGRATION_RECORD, &args, NULL, err) &&
           db_run(db, SQL_MIGRATION_COMMIT, NULL, NULL, err);
}

static bool
run_all(struct db *db, void (*done)(const char *name), int *applied, struct err *err)
{
    struct schema found;

    for (;;) {
        /* Looked up anew each time: another migrator may have been faster. */
        if (!begin(db, &found, err))
            return false;
        if (found.version == schema_program_version())
            return true;
        if (!apply(db, found.version + 1, err))
            return failed_in(sql_migrations[found.version].name, err);
        if (done)
            done(sql_migrations[found.version].name);
        (*applied)++;
    }
}

bool
migrate_run(struct db *db, void (*done)(const char *name), int *applied, struct err *err)
{
    int n = 0, timeout_ms = db_timeout(db);
    bool ok;

    if (applied)
        *applied = 0;
    if (!db_connect(db, err)) /* within the ordinary limit */
        return false;
    db_set_timeout(db, MIGRATE_TIMEOUT_MS);
    ok = run_all(db, done, &n, err);
    /* Ends the open transaction, success or not, and forgets what was prepared on old tables. */
    db_disconnect(db);
    db_set_timeout(db, timeout_ms);
    if (applied)
        *applied = n;
    return ok;
}
