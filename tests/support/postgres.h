/*
 * postgres.h - a Postgres server of the test's own.
 *
 * Purpose    a cluster in a fresh directory under /tmp that only its owner (and root) can reach;
 *            a migrated database per test; going down in the ways servers go down.
 * Ownership  struct postgres is heap memory; postgres_stop ends the server and removes everything.
 *            When the test program is killed the kernel stops the server, and the next
 *            postgres_start removes what is left on disk.
 * Errors     NULL or false + *err, with the end of the server's log when it did not come up.
 * Threads    one: the server is stopped when the thread that started it ends.
 *
 * Root never runs a server: it is run as user "postgres" then. The superuser is POSTGRES_ADMIN;
 * the roles below log in and are members of the group of the same purpose.
 */
#ifndef MACP_TESTS_SUPPORT_POSTGRES_H
#define MACP_TESTS_SUPPORT_POSTGRES_H

#include <stdbool.h>
#include <sys/types.h>

#include "shared/db.h"
#include "shared/err.h"

#define POSTGRES_ADMIN    "macp"
#define POSTGRES_OBSERVER "observer" /* in macp_observer */
#define POSTGRES_API      "api"      /* in macp_api */
#define POSTGRES_REPORT   "report"   /* in macp_report */

enum { POSTGRES_NAME_LEN = 64, POSTGRES_URL_LEN = 512 };

struct postgres;

struct postgres_options {
    bool durable; /* fsync and full page writes as in production; otherwise fast */
    bool tcp;     /* also on 127.0.0.1 with a free port, for roles with the cluster's password */
    const char *settings;  /* more lines of its configuration */
    const char *full_disk; /* path of full_disk.so: postgres_fill works */
};

/* options may be NULL. */
struct postgres *postgres_start(const struct postgres_options *options, struct err *err) MUST_CHECK;
void postgres_stop(struct postgres *pg); /* NULL is fine */

enum postgres_end {
    POSTGRES_FAST,      /* connections are told and closed */
    POSTGRES_IMMEDIATE, /* as after a crash of the server */
    POSTGRES_KILL       /* SIGKILL for all its processes, as when the machine stops */
};

/* Its first process: parent of all others. */
pid_t postgres_pid(const struct postgres *pg);

/* Take the server down and up again; the data stays. */
void postgres_down(struct postgres *pg, enum postgres_end how);
bool postgres_up(struct postgres *pg, struct err *err) MUST_CHECK;
/* All its processes stand still, or go on: nothing is refused, and nothing answers. */
void postgres_hang(struct postgres *pg, bool hang);

/*
 * The disk is full for files whose path contains the text ("/base/", "/pg_wal/"); NULL: there is
 * room again. Only with options.full_disk.
 */
bool postgres_fill(struct postgres *pg, const char *place, struct err *err) MUST_CHECK;

/* A new migrated database; its name goes into name. */
bool postgres_database(struct postgres *pg, char name[POSTGRES_NAME_LEN],
                       struct err *err) MUST_CHECK;
/* A new empty one in that encoding, for instance "UTF8". */
bool postgres_empty_database(struct postgres *pg, const char *encoding,
                             char name[POSTGRES_NAME_LEN], struct err *err) MUST_CHECK;
/* Disconnects whoever is in it. Databases also go with the cluster. */
bool postgres_drop(struct postgres *pg, const char *name, struct err *err) MUST_CHECK;

/* What pg_dump says of it now, kept in a file of the cluster's; a second one replaces it. */
bool postgres_dump(struct postgres *pg, const char *name, struct err *err) MUST_CHECK;
/*
 * Put that in its place: restored under another name, then swapped, so that nobody sees half of
 * it. Disconnects whoever is in it.
 */
bool postgres_restore(struct postgres *pg, const char *name, struct err *err) MUST_CHECK;

/*
 * Another server that follows this one, asynchronously, over a port that leads here; to be stopped
 * like any other. This one needs options.tcp and POSTGRES_REPLICATED among its settings.
 */
#define POSTGRES_REPLICATED "wal_level = replica\nmax_wal_senders = 4\n"
struct postgres *postgres_standby(const struct postgres *pg, int port, struct err *err) MUST_CHECK;
/* It follows no longer and takes writes. */
bool postgres_promote(struct postgres *standby, struct err *err) MUST_CHECK;

/* Address of a database for a role. Returns out. */
const char *postgres_url(const struct postgres *pg, const char *database, const char *role,
                         char out[POSTGRES_URL_LEN]);
/* The same by TCP, at the server's own port or at one that leads there; only with options.tcp. */
const char *postgres_tcp_url(const struct postgres *pg, const char *database, const char *role,
                             int port, char out[POSTGRES_URL_LEN]);
int postgres_port(const struct postgres *pg);

/* First column of the first row of trusted SQL, "" when there is none. out is set on success. */
bool postgres_value(struct db *db, const char *sql, char *out, size_t size,
                    struct err *err) MUST_CHECK;

#endif
