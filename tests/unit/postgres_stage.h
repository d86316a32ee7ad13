/*
 * postgres_stage.h - a Postgres under modules of the daemon.
 *
 * Purpose    a private server with a migrated database, a configuration that leads to it, and
 *            questions about what is stored. One test program includes it once: open_postgres in
 *            its group's set-up, close_postgres as its tear-down.
 * Ownership, Errors, Threads: one program, one thread; a failed expectation ends the test.
 */
#ifndef MACP_TESTS_UNIT_POSTGRES_STAGE_H
#define MACP_TESTS_UNIT_POSTGRES_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/config.h"
#include "shared/log.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"

enum { PATIENCE_MS = 20000 };

static struct postgres *pg;
static char database[POSTGRES_NAME_LEN];
static struct db *admin, *db; /* as superuser; as the observer */
static struct config *cfg;

static inline void
ok(bool succeeded, const struct err *err)
{
    if (!succeeded)
        fail_msg("%s [%s]", err->msg, err->sqlstate);
}

static inline int64_t number(const char *format, ...) PRINTF_FMT(1, 2);

/* The first value of what a query gives. */
static inline int64_t
number(const char *format, ...)
{
    char sql[1024], out[64];
    struct err err;
    va_list ap;

    va_start(ap, format);
    vsnprintf(sql, sizeof sql, format, ap);
    va_end(ap);
    ok(postgres_value(admin, sql, out, sizeof out, &err), &err);
    return strtoll(out, NULL, 10);
}

static inline void
ignore_wake(void *ctx UNUSED)
{
}

/* settings: "NAME=value" each, NULL ended. */
static inline int
open_postgres(const char *const *settings)
{
    enum { SETTINGS_MAX = 8 };
    char url[POSTGRES_URL_LEN], address[POSTGRES_URL_LEN + 32];
    char *envp[SETTINGS_MAX + 3] = {(char *)"MACP_ENV=development", address};
    struct config_report report = {0};
    struct err err;

    for (size_t i = 0; settings[i]; i++) {
        if (i == SETTINGS_MAX)
            BUG("more than %d settings", SETTINGS_MAX);
        envp[i + 2] = (char *)(uintptr_t)settings[i];
    }
    log_open("test", LOG_SILENT);
    pg = postgres_start(NULL, &err);
    if (!pg || !postgres_database(pg, database, &err)) {
        print_error("%s\n", err.msg);
        return -1;
    }
    admin =
        db_new(postgres_url(pg, database, POSTGRES_ADMIN, url), "test", process_slow(PATIENCE_MS));
    db = db_new(postgres_url(pg, database, POSTGRES_OBSERVER, url), "observer",
                process_slow(PATIENCE_MS));
    snprintf(address, sizeof address, "DATABASE_URL=%s", url);
    if (!config_load(CONFIG_OBSERVERD, envp, &cfg, &report))
        for (size_t i = 0; i < report.n; i++)
            print_error("%s: %s\n", report.items[i].key, report.items[i].text);
    config_report_fini(&report);
    return cfg ? 0 : -1;
}

static inline int
close_postgres(void **state UNUSED)
{
    db_close(admin);
    db_close(db);
    config_free(cfg);
    postgres_stop(pg);
    return 0;
}

#endif
