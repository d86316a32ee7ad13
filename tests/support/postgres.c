#include "tests/support/postgres.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/migrate.h"
#include "shared/uuid.h"
#include "tests/support/process.h"

#define DIR_PREFIX   "macp-pg."
#define TEMPLATE     "macp_template"
#define PROGRAM_GLOB "/usr/lib/postgresql/*/bin/postgres"

enum { UP_MS = 60000, DOWN_MS = 30000, ADMIN_MS = 30000, PATH_LEN = 160 };

struct postgres {
    struct process process;
    char dir[64]; /* short: the socket's path is limited to 107 bytes */
    char bin[PATH_LEN];
    char password[UUID_LEN];
    uid_t uid; /* the server's */
    gid_t gid;
    int port; /* of TCP, 0 without */
    bool durable;
    bool full_disk;       /* the server is run with full_disk.so */
    const char *settings; /* borrowed, until the server is up */
    bool have_template;
    int n_databases;
    struct db *admin; /* on the maintenance database */
};

/* --- files ----------------------------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED, struct FTW *ftw UNUSED)
{
    return remove(path);
}

static void
remove_tree(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool
write_file(const char *path, const char *text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    size_t n = strlen(text);
    bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n;

    if (fd >= 0)
        close(fd);
    return ok ? true : err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

static bool
copy_file(const char *from, const char *to, struct err *err)
{
    char buf[16384];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ssize_t n = -1;
    bool ok = in >= 0 && out >= 0;

    while (ok && (n = read(in, buf, sizeof buf)) > 0)
        ok = write(out, buf, (size_t)n) == n;
    ok = ok && n == 0;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return ok ? true : err_set(err, ERR_IO, "cannot copy %s to %s", from, to);
}

/* The directory's owner wrote its process id; a directory without one is still being made. */
static bool
is_leftover(const char *dir)
{
    char path[PATH_LEN];
    char line[32];
    long pid = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/owner", dir);
    f = fopen(path, "re");
    if (!f)
        return false;
    if (fgets(line, sizeof line, f))
        pid = strtol(line, NULL, 10);
    fclose(f);
    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static void
remove_leftovers(void)
{
    DIR *d = opendir("/tmp");

    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char dir[80];

        if (strncmp(e->d_name, DIR_PREFIX, strlen(DIR_PREFIX)) != 0 || strlen(e->d_name) > 60)
            continue;
        snprintf(dir, sizeof dir, "/tmp/%.60s", e->d_name);
        if (is_leftover(dir))
            remove_tree(dir);
    }
    if (d)
        closedir(d);
}

static bool
make_directory(struct postgres *pg, struct err *err)
{
    char path[PATH_LEN], pid[32];

    snprintf(pg->dir, sizeof pg->dir, "/tmp/" DIR_PREFIX "XXXXXX");
    if (!mkdtemp(pg->dir)) {
        pg->dir[0] = '\0';
        return err_set(err, ERR_IO, "cannot make a directory in /tmp: %s", strerror(errno));
    }
    if (chown(pg->dir, pg->uid, pg->gid) != 0)
        return err_set(err, ERR_IO, "cannot give %s away: %s", pg->dir, strerror(errno));
    snprintf(path, sizeof path, "%s/owner", pg->dir);
    snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    return write_file(path, pid, err);
}

/* --- programs -------------------------------------------------------------------------------- */

static bool
find_programs(struct postgres *pg, struct err *err)
{
    const struct passwd *pw;
    glob_t found;
    bool ok = glob(PROGRAM_GLOB, 0, NULL, &found) == 0;

    if (ok) { /* sorted: the newest is last */
        const char *program = found.gl_pathv[found.gl_pathc - 1];

        snprintf(pg->bin, sizeof pg->bin, "%.*s", (int)(strrchr(program, '/') - program), program);
    }
    globfree(&found);
    if (!ok)
        return err_set(err, ERR_IO, "no Postgres server in " PROGRAM_GLOB);
    pg->uid = getuid();
    pg->gid = getgid();
    if (pg->uid != 0)
        return true;
    pw = getpwnam("postgres");
    if (!pw)
        return err_set(err, ERR_IO, "root needs a user \"postgres\" to run the server as");
    pg->uid = pw->pw_uid;
    pg->gid = pw->pw_gid;
    return true;
}

/* Start bin/<argv[0]>, as another user when we are root. */
static bool
run_program(struct postgres *pg, struct process *process, const char *const *args, struct err *err)
{
    /*
     * Changing the user clears the signal that is sent when the parent dies, so it is asked for
     * behind the change; SIGQUIT ends a server at once. The working directory may be one that
     * the other user cannot enter.
     */
    static const char *const become[] = {
        "/usr/bin/env",
        "-C",
        "/tmp",
        "/usr/bin/setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--pdeathsig=QUIT",
    };
    const char *argv[32], *env[] = {NULL, NULL};
    char program[PATH_LEN * 2], preload[PATH_LEN];
    size_t n = 0;

    if (getuid() == 0) {
        memcpy(argv, become, sizeof become);
        n = ARRAY_LEN(become);
    }
    snprintf(program, sizeof program, "%s/%s", pg->bin, args[0]);
    argv[n++] = program;
    for (size_t i = 1; args[i]; i++)
        argv[n++] = args[i];
    argv[n] = NULL;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/full_disk.so", pg->dir);
    if (pg->full_disk)
        env[0] = preload;
    return process_start(
        process,
        &(struct process_spec){
            .name = args[0], .dir = pg->dir, .argv = argv, .env = env, .death_signal = SIGQUIT},
        err);
}

static bool
has_ended(void *ctx)
{
    return !process_alive(ctx);
}

static bool
log_error_of(const struct postgres *pg, const char *what, struct err *err)
{
    char *tail = process_log_tail(pg->process.log, 400);

    err_set(err, ERR_IO, "%s; its log ends: %s", what, tail);
    free(tail);
    return false;
}

static bool
init_cluster(struct postgres *pg, struct err *err)
{
    char data[PATH_LEN], pwfile[PATH_LEN], pwarg[PATH_LEN + 16], version[PATH_LEN];
    const char *args[] = {"initdb",
                          "-D",
                          data,
                          "-U",
                          POSTGRES_ADMIN,
                          "-E",
                          "UTF8",
                          "--locale=C",
                          "--no-sync",
                          "--no-instructions",
                          "--auth-local=trust",
                          "--auth-host=scram-sha-256",
                          pwarg,
                          NULL};
    bool ok;

    snprintf(data, sizeof data, "%s/data", pg->dir);
    snprintf(version, sizeof version, "%s/data/PG_VERSION", pg->dir);
    snprintf(pwfile, sizeof pwfile, "%s/password", pg->dir);
    snprintf(pwarg, sizeof pwarg, "--pwfile=%s", pwfile);
    uuid_v4(pg->password);
    if (!write_file(pwfile, pg->password, err))
        return false;
    ok = run_program(pg, &pg->process, args, err);
    if (ok && !process_poll(has_ended, &pg->process, process_slow(UP_MS))) {
        process_stop(&pg->process, SIGKILL, 1000);
        ok = err_set(err, ERR_IO, "initdb does not end");
    }
    unlink(pwfile);
    /* It cleans up behind itself when it fails. */
    if (ok && access(version, F_OK) != 0)
        return log_error_of(pg, "initdb failed", err);
    return ok;
}

static bool
write_settings(struct postgres *pg, struct err *err)
{
    AUTO_BUF text = {0};
    char path[PATH_LEN];

    buf_printf(&text,
               "unix_socket_directories = '%s'\nunix_socket_permissions = 0700\n"
               "listen_addresses = '%s'\nport = %d\n",
               pg->dir, pg->port ? "127.0.0.1" : "", pg->port ? pg->port : 5432);
    buf_lit(&text, "max_connections = 150\nshared_buffers = 64MB\nmax_wal_size = 2GB\n"
                   "wal_level = minimal\nmax_wal_senders = 0\nlog_line_prefix = '%m [%p] %a '\n"
                   "deadlock_timeout = 300ms\ntimezone = 'UTC'\n");
    buf_str(&text, pg->settings ? pg->settings : "");
    if (!pg->durable)
        buf_lit(&text, "fsync = off\nfull_page_writes = off\n");
    snprintf(path, sizeof path, "%s/data/postgresql.auto.conf", pg->dir);
    return write_file(path, buf_cstr(&text), err);
}

/* --- server ---------------------------------------------------------------------------------- */

static bool
launch(struct postgres *pg, struct err *err)
{
    char data[PATH_LEN];
    const char *args[] = {"postgres", "-D", data, NULL};

    snprintf(data, sizeof data, "%s/data", pg->dir);
    return run_program(pg, &pg->process, args, err);
}

bool
postgres_up(struct postgres *pg, struct err *err)
{
    int64_t deadline = clock_mono_ms() + process_slow(UP_MS);

    db_disconnect(pg->admin); /* only a new connection tells that the server is there */
    for (;;) {
        /* Behind a killed server its last children keep the next one from starting a moment. */
        if (!process_alive(&pg->process) && !launch(pg, err))
            return false;
        if (db_connect(pg->admin, err))
            return true;
        if (clock_mono_ms() >= deadline)
            return log_error_of(pg, "postgres did not come up", err);
        process_pause(20);
    }
}

static long
parent_of(const char *pid)
{
    char path[64], text[512] = "";
    const char *behind_name;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    if (!fgets(text, sizeof text, f))
        text[0] = '\0';
    fclose(f);
    behind_name = strrchr(text, ')'); /* ") S 123": state, parent */
    return behind_name && strlen(behind_name) > 4 ? strtol(behind_name + 4, NULL, 10) : 0;
}

static void
signal_children(const struct postgres *pg, int sig)
{
    DIR *d = opendir("/proc");

    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        long pid = strtol(e->d_name, NULL, 10);

        if (pid > 0 && parent_of(e->d_name) == pg->process.pid)
            kill((pid_t)pid, sig);
    }
    if (d)
        closedir(d);
}

void
postgres_hang(struct postgres *pg, bool hang)
{
    process_signal(&pg->process, hang ? SIGSTOP : SIGCONT); /* no new children meanwhile */
    signal_children(pg, hang ? SIGSTOP : SIGCONT);
}

void
postgres_down(struct postgres *pg, enum postgres_end how)
{
    static const int signals[] = {
        [POSTGRES_FAST] = SIGINT, [POSTGRES_IMMEDIATE] = SIGQUIT, [POSTGRES_KILL] = SIGKILL};

    db_disconnect(pg->admin);
    /* Its children would work on for a moment when only the first process is killed. */
    if (how == POSTGRES_KILL && process_alive(&pg->process)) {
        process_signal(&pg->process, SIGSTOP); /* no new ones meanwhile */
        signal_children(pg, SIGKILL);
    }
    process_stop(&pg->process, signals[how], process_slow(DOWN_MS));
}

bool
postgres_fill(struct postgres *pg, const char *place, struct err *err)
{
    char path[PATH_LEN];

    snprintf(path, sizeof path, "%s/full", pg->dir);
    if (place)
        return write_file(path, place, err);
    return unlink(path) == 0 || err_set(err, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
}

/* Where the server's user can read it, whoever may enter the build folder. */
static bool
prepare_full_disk(struct postgres *pg, const char *from, struct err *err)
{
    char path[PATH_LEN];

    snprintf(path, sizeof path, "%s/full_disk.so", pg->dir);
    pg->full_disk = true;
    return copy_file(from, path, err);
}

struct postgres *
postgres_start(const struct postgres_options *options, struct err *err)
{
    struct postgres *pg = xcalloc(1, sizeof *pg);
    char url[POSTGRES_URL_LEN];

    remove_leftovers();
    if (options) {
        pg->durable = options->durable;
        pg->settings = options->settings;
        pg->port = options->tcp ? process_free_port() : 0;
    }
    if (!find_programs(pg, err) || !make_directory(pg, err) ||
        (options && options->full_disk && !prepare_full_disk(pg, options->full_disk, err)))
        goto failed;
    pg->admin = db_new(postgres_url(pg, "postgres", POSTGRES_ADMIN, url), "test-admin", ADMIN_MS);
    if (init_cluster(pg, err) && write_settings(pg, err) && postgres_up(pg, err))
        return pg;

failed:
    postgres_stop(pg);
    return NULL;
}

pid_t
postgres_pid(const struct postgres *pg)
{
    return pg->process.pid;
}

void
postgres_stop(struct postgres *pg)
{
    if (!pg)
        return;
    db_close(pg->admin);
    process_stop(&pg->process, SIGQUIT, process_slow(DOWN_MS));
    if (pg->dir[0])
        remove_tree(pg->dir);
    free(pg);
}

const char *
postgres_url(const struct postgres *pg, const char *database, const char *role,
             char out[POSTGRES_URL_LEN])
{
    if (snprintf(out, POSTGRES_URL_LEN, "postgresql:///%s?host=%s&port=%d&user=%s", database,
                 pg->dir, pg->port ? pg->port : 5432, role) >= POSTGRES_URL_LEN)
        BUG("a database address that is too long");
    return out;
}

const char *
postgres_tcp_url(const struct postgres *pg, const char *database, const char *role, int port,
                 char out[POSTGRES_URL_LEN])
{
    if (pg->port == 0)
        BUG("this cluster was started without TCP");
    if (snprintf(out, POSTGRES_URL_LEN,
                 "postgresql://%s:%s@127.0.0.1:%d/%s?sslmode=disable&gssencmode=disable", role,
                 pg->password, port, database) >= POSTGRES_URL_LEN)
        BUG("a database address that is too long");
    return out;
}

int
postgres_port(const struct postgres *pg)
{
    return pg->port;
}

/* --- databases ------------------------------------------------------------------------------- */

static bool PRINTF_FMT(3, 4)
    admin_script(struct postgres *pg, struct err *err, const char *fmt, ...)
{
    va_list ap;
    char text[512];

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return db_script(pg->admin, text, err);
}

static bool
make_template(struct postgres *pg, struct err *err)
{
    static const char *const logins[][2] = {
        {POSTGRES_OBSERVER, "macp_observer"},
        {POSTGRES_API, "macp_api"},
        {POSTGRES_REPORT, "macp_report"},
    };
    char url[POSTGRES_URL_LEN];
    struct db *db;
    bool ok;

    if (pg->have_template)
        return true;
    if (!admin_script(pg, err, "CREATE DATABASE " TEMPLATE))
        return false;
    db = db_new(postgres_url(pg, TEMPLATE, POSTGRES_ADMIN, url), "test-template", ADMIN_MS);
    ok = migrate_run(db, NULL, NULL, err);
    db_close(db);
    for (size_t i = 0; ok && i < ARRAY_LEN(logins); i++)
        ok = admin_script(pg, err,
                          "DO $$ BEGIN CREATE ROLE %s LOGIN PASSWORD '%s'; EXCEPTION WHEN"
                          " duplicate_object THEN NULL; END $$; GRANT %s TO %s",
                          logins[i][0], pg->password, logins[i][1], logins[i][0]);
    pg->have_template = ok;
    return ok;
}

bool
postgres_database(struct postgres *pg, char name[POSTGRES_NAME_LEN], struct err *err)
{
    if (!make_template(pg, err))
        return false;
    snprintf(name, POSTGRES_NAME_LEN, "test_%d", ++pg->n_databases);
    return admin_script(pg, err, "CREATE DATABASE %s TEMPLATE " TEMPLATE, name);
}

bool
postgres_empty_database(struct postgres *pg, const char *encoding, char name[POSTGRES_NAME_LEN],
                        struct err *err)
{
    snprintf(name, POSTGRES_NAME_LEN, "test_%d", ++pg->n_databases);
    return admin_script(pg, err, "CREATE DATABASE %s ENCODING '%s' TEMPLATE template0", name,
                        encoding);
}

bool
postgres_drop(struct postgres *pg, const char *name, struct err *err)
{
    return admin_script(pg, err, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
}

/* A client program, from its start to its end. */
static bool
run_client(struct postgres *pg, const char *const *args, struct err *err)
{
    struct process process = {0};
    char *said;
    int status;

    if (!run_program(pg, &process, args, err))
        return false;
    status = process_stop(&process, 0, process_slow(UP_MS)); /* no signal: waits for it */
    if (status == 0)
        return true;
    said = process_log_tail(process.log, 300);
    err_set(err, ERR_IO, "%s ended with %d: %s", args[0], status, said);
    free(said);
    return false;
}

bool
postgres_dump(struct postgres *pg, const char *name, struct err *err)
{
    char file[PATH_LEN], url[POSTGRES_URL_LEN];

    snprintf(file, sizeof file, "%s/dump", pg->dir);
    postgres_url(pg, name, POSTGRES_ADMIN, url);
    return run_client(pg, (const char *const[]){"pg_dump", "-Fc", "-f", file, "-d", url, NULL},
                      err);
}

bool
postgres_restore(struct postgres *pg, const char *name, struct err *err)
{
    char file[PATH_LEN], url[POSTGRES_URL_LEN], other[POSTGRES_NAME_LEN];

    snprintf(file, sizeof file, "%s/dump", pg->dir);
    snprintf(other, sizeof other, "%.40s_restored", name);
    postgres_url(pg, other, POSTGRES_ADMIN, url);
    return admin_script(pg, err, "CREATE DATABASE %s TEMPLATE template0", other) &&
           run_client(pg, (const char *const[]){"pg_restore", "-e", "-d", url, file, NULL}, err) &&
           postgres_drop(pg, name, err) &&
           admin_script(pg, err, "ALTER DATABASE %s RENAME TO %s", other, name);
}

struct postgres *
postgres_standby(const struct postgres *pg, int port, struct err *err)
{
    struct postgres *standby = xcalloc(1, sizeof *standby);
    char data[PATH_LEN], from[POSTGRES_URL_LEN], url[POSTGRES_URL_LEN];
    const char *args[] = {"pg_basebackup", "-d",        from, "-D", data, "-R", "-c",
                          "fast",          "--no-sync", NULL};

    standby->have_template = true;
    standby->settings = pg->settings;
    standby->durable = pg->durable;
    standby->port = process_free_port();
    memcpy(standby->password, pg->password, sizeof standby->password);
    if (!find_programs(standby, err) || !make_directory(standby, err))
        goto failed;
    snprintf(data, sizeof data, "%s/data", standby->dir);
    postgres_tcp_url(pg, "postgres", POSTGRES_ADMIN, port, from);
    standby->admin =
        db_new(postgres_url(standby, "postgres", POSTGRES_ADMIN, url), "test-admin", ADMIN_MS);
    /* Its own settings stand behind the copied ones, and win. */
    if (run_client(standby, args, err) && write_settings(standby, err) && postgres_up(standby, err))
        return standby;

failed:
    postgres_stop(standby);
    return NULL;
}

bool
postgres_promote(struct postgres *standby, struct err *err)
{
    return admin_script(standby, err, "select pg_promote()");
}

bool
postgres_value(struct db *db, const char *sql, char *out, size_t size, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    if (!db_script_rows(db, sql, &r, err))
        return false;
    snprintf(out, size, "%s", db_rows(r) > 0 ? db_text(r, 0, 0) : "");
    return true;
}
