#include "shared/schema.h"

#include <stdio.h>
#include <string.h>

int
schema_program_version(void)
{
    return sql_migration_count;
}

/* 64-bit FNV-1a */
void
schema_checksum(const char *text, char out[SCHEMA_CHECKSUM_LEN])
{
    uint64_t h = 0xcbf29ce484222325u;

    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        h ^= *p;
        h *= 0x100000001b3u;
    }
    snprintf(out, SCHEMA_CHECKSUM_LEN, "%016llx", (unsigned long long)h);
}

/* One applied migration against the one of the same number in this program. */
static bool
matches(const struct db_result *r, int i, struct err *err)
{
    const struct sql_migration *m = &sql_migrations[i];
    const char *name = db_text(r, i, 0);
    char checksum[SCHEMA_CHECKSUM_LEN];

    if (strcmp(name, m->name) != 0)
        return err_set(err, ERR_CONFIG,
                       "the database was migrated with %s where this program has %s: it belongs to "
                       "another build",
                       name, m->name);
    schema_checksum(m->text, checksum);
    if (strcmp(db_text(r, i, 1), checksum) != 0)
        return err_set(err, ERR_CONFIG,
                       "migration %s was changed after it was applied to this database", m->name);
    return true;
}

bool
schema_read(struct db *db, struct schema *out, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct schema s = {0};
    struct err why;

    if (!db_run(db, SQL_MIGRATION_LIST, NULL, &r, &why)) {
        if (strcmp(why.sqlstate, "42P01") == 0) { /* no such table */
            *out = s;
            return true;
        }
        if (err)
            *err = why;
        return false;
    }
    s.version = db_rows(r);
    for (int i = 0; i < s.version; i++) {
        int oldest = (int)db_int(r, i, 2);

        if (i < sql_migration_count && !matches(r, i, err))
            return false;
        if (oldest > s.oldest_program)
            s.oldest_program = oldest;
    }
    *out = s;
    return true;
}

bool
schema_check(struct db *db, struct err *err)
{
    struct schema s;
    int mine = schema_program_version();

    if (!schema_read(db, &s, err))
        return false;
    if (s.version == 0)
        return err_set(err, ERR_CONFIG,
                       "the database has none of our tables, or its role may not use them: run "
                       "\"macp-observerd migrate\"");
    if (s.version < mine)
        return err_set(err, ERR_CONFIG,
                       "the database has schema version %d, this program needs %d: run "
                       "\"macp-observerd migrate\"",
                       s.version, mine);
    if (s.oldest_program > mine)
        return err_set(err, ERR_CONFIG,
                       "the database has schema version %d, which needs programs of version %d or "
                       "newer, this one is %d: install the newer program",
                       s.version, s.oldest_program, mine);
    return true;
}
