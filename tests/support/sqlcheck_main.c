/*
 * sqlcheck - does every statement of sql/queries fit the tables that sql/migrations make?
 *
 * Migrates a scratch database in a private server, prepares each statement and looks at its
 * header. Prints one line per failure and the counts; exits 1 when something failed.
 */
#include <stdio.h>
#include <string.h>

#include "tests/support/postgres.h"

static bool
header_is_complete(const struct sql_statement *s)
{
    const char *missing = s->n_params > 0 && !s->params[0] ? "params" : "result";

    if ((s->n_params == 0 || s->params[0]) && s->result[0])
        return true;
    printf("%s: the header lacks \"-- %s:\"\n", s->name, missing);
    return false;
}

static bool
fits(struct db *db, enum sql_id id)
{
    struct err err;

    if (db_prepare(db, id, &err))
        return true;
    printf("%s [%s]\n", err.msg, err.sqlstate);
    return false;
}

int
main(void)
{
    char name[POSTGRES_NAME_LEN], url[POSTGRES_URL_LEN];
    struct err err;
    int passed = 0, failed = 0;
    struct postgres *pg = postgres_start(NULL, &err);
    struct db *db;

    if (!pg || !postgres_database(pg, name, &err)) {
        printf("%s\n", err.msg);
        postgres_stop(pg);
        return 1;
    }
    db = db_new(postgres_url(pg, name, POSTGRES_ADMIN, url), "sqlcheck", 10000);
    for (int id = 0; id < SQL__COUNT; id++) {
        bool complete = header_is_complete(&sql_statements[id]);

        if (fits(db, (enum sql_id)id) && complete)
            passed++;
        else
            failed++;
    }
    db_close(db);
    postgres_stop(pg);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
