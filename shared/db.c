#include "shared/db.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/clock.h"

enum statement_state {
    STATEMENT_UNKNOWN, /* this connection has not seen it */
    STATEMENT_SENT,    /* its Parse is in the current pipeline */
    STATEMENT_READY
};

enum item_kind {
    ITEM_STATEMENT,
    ITEM_PREPARE,
    ITEM_TIMEOUT, /* statement whose result nobody asked for */
};

/* What the pipeline expects an answer to, in order. */
struct item {
    enum item_kind kind;
    enum sql_id id;
};

struct db {
    char *url;
    char *application_name;
    PGconn *conn; /* NULL: not connected; else connected and in pipeline mode */
    int timeout_ms;
    _Atomic int64_t give_up_ms;
    int server_timeout_ms; /* what the connection's statement_timeout was derived from */
    bool generic_plans;
    size_t silent_hosts;                      /* attempts to connect that ended without an answer */
    unsigned char statements[SQL__COUNT + 1]; /* enum statement_state */
    char **channels;
    size_t n_channels;
    struct buf detail;
    /* the open pipeline */
    bool in_pipeline;
    struct err pipeline_err; /* first problem of begin and add */
    struct item *items;
    size_t n_items, cap_items;
};

/*
 * What the server's refusals mean, first match wins. ERR_DB says "the same again may succeed".
 * Where the connection is dropped a fresh one is the cure; where it is kept the transaction was
 * rolled back for certain and the connection is in order.
 */
static const struct {
    const char *sqlstate; /* or the beginning of it */
    enum err_code code;
    bool drop;
} verdicts[] = {
    // clang-format off
    {"08",    ERR_DB,    true},  /* connection */
    {"57P",   ERR_DB,    true},  /* shutting down, starting up, terminated */
    {"53",    ERR_DB,    true},  /* no disk, no memory, too many connections */
    {"58",    ERR_DB,    true},  /* files that cannot be read or written */
    {"26000", ERR_DB,    true},  /* prepared statements are gone (a pooler in between) */
    {"0A000", ERR_DB,    true},  /* a prepared plan no longer fits the tables: prepare afresh */
    {"25006", ERR_DB,    true},  /* read-only: the primary became a standby */
    {"57014", ERR_DB,    false}, /* statement_timeout, or cancelled by hand */
    {"55P03", ERR_DB,    false}, /* lock not available */
    {"40001", ERR_DB,    false}, /* serialization failure */
    {"40P01", ERR_DB,    false}, /* deadlock victim */
    {"MACP1", ERR_GUARD, false},
    {"",      ERR_SQL,   false},
    // clang-format on
};

/* --- handle ---------------------------------------------------------------------------------- */

struct db *
db_new(const char *url, const char *application_name, int timeout_ms)
{
    struct db *db = xcalloc(1, sizeof *db);

    db->url = xstrdup(url ? url : "");
    db->application_name = xstrdup(application_name);
    db_set_timeout(db, timeout_ms);
    atomic_store(&db->give_up_ms, INT64_MAX);
    return db;
}

void
db_close(struct db *db)
{
    if (!db)
        return;
    db_disconnect(db);
    for (size_t i = 0; i < db->n_channels; i++)
        free(db->channels[i]);
    free(db->channels);
    free(db->items);
    buf_fini(&db->detail);
    free(db->url);
    free(db->application_name);
    free(db);
}

void
db_disconnect(struct db *db)
{
    if (db->conn)
        PQfinish(db->conn);
    db->conn = NULL;
    memset(db->statements, STATEMENT_UNKNOWN, sizeof db->statements);
}

bool
db_is_connected(const struct db *db)
{
    return db->conn && PQstatus(db->conn) == CONNECTION_OK;
}

void
db_set_timeout(struct db *db, int timeout_ms)
{
    if (timeout_ms < 1)
        BUG("a wait without a bound");
    db->timeout_ms = timeout_ms;
}

void
db_give_up_at(struct db *db, int64_t mono_ms)
{
    atomic_store(&db->give_up_ms, mono_ms);
}

int
db_timeout(const struct db *db)
{
    return db->timeout_ms;
}

void
db_set_generic_plans(struct db *db)
{
    db->generic_plans = true;
}

const char *
db_detail(const struct db *db)
{
    return buf_cstr(&db->detail);
}

int
db_fd(const struct db *db)
{
    return db->conn ? PQsocket(db->conn) : -1;
}

/* --- errors ---------------------------------------------------------------------------------- */

/* The connection is of no use any more. Says nothing of where it went: addresses may be secret. */
static bool
lost(struct db *db, const char *why, struct err *err)
{
    db_disconnect(db);
    return err_set(err, ERR_DB, "%s", why);
}

/* A list of run keys that does not fit is cut between two keys, never inside one. */
static void
copy_detail(char *out, size_t size, const char *detail)
{
    size_t n = strlen(detail);

    if (n >= size) {
        n = size - 1;
        while (n > 0 && detail[n] != ',')
            n--;
    }
    memcpy(out, detail, n);
    out[n] = '\0';
}

static int
line_of(const char *text, const char *position)
{
    int line = 1;
    long left = position ? strtol(position, NULL, 10) : 0;

    for (; text && left > 1 && *text; text++) {
        line += *text == '\n';
        left -= ((unsigned char)*text & 0xc0) != 0x80; /* positions count characters */
    }
    return line;
}

/* Turn an error result into an err; *drop says that the connection should go. */
static void
refused(struct db *db, const PGresult *r, const char *what, const char *text, struct err *err,
        bool *drop)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    const char *position = PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION);
    size_t i = 0;

    if (!state) { /* made by libpq itself: the connection broke */
        err_set(err, ERR_DB, "the connection to Postgres was lost");
        *drop = true;
        return;
    }
    while (strncmp(state, verdicts[i].sqlstate, strlen(verdicts[i].sqlstate)) != 0)
        i++;
    *drop = verdicts[i].drop;
    buf_reset(&db->detail);
    buf_str(&db->detail, detail ? detail : "");
    if (position && text)
        err_set(err, verdicts[i].code, "%s: %s (line %d)", what, primary, line_of(text, position));
    else
        err_set(err, verdicts[i].code, "%s: %s", what, primary ? primary : "refused");
    if (!err)
        return;
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", state);
    /* Other details quote values of rows, which may be anybody's secret. */
    if (verdicts[i].code == ERR_GUARD)
        copy_detail(err->detail, sizeof err->detail, buf_cstr(&db->detail));
}

/* --- waiting --------------------------------------------------------------------------------- */

static int64_t
deadline_of(const struct db *db)
{
    return clock_mono_ms() + db->timeout_ms;
}

/* Events that happened, 0 when the deadline passed first. */
static short
wait_for(const struct db *db, int fd, short events, int64_t deadline)
{
    enum { LOOK_MS = 200 }; /* somebody may have given up meanwhile */

    for (;;) {
        int64_t limit = atomic_load(&db->give_up_ms);
        int64_t left = (limit < deadline ? limit : deadline) - clock_mono_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, left <= 0 ? 0 : left < LOOK_MS ? (int)left : LOOK_MS);

        if (n > 0)
            return p.revents;
        if (n == 0 && left <= 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return POLLERR;
    }
}

/*
 * The next thing libpq has, NULL included (it separates the results of a pipeline). Writing and
 * reading interleave: a server that stops reading until we take its results cannot block us.
 */
static bool
next_result(struct db *db, int64_t deadline, PGresult **out, struct err *err)
{
    bool dead = false;

    for (;;) {
        int unsent = PQflush(db->conn);
        short ready;

        if (!PQisBusy(db->conn)) { /* also on a dead connection: its last words */
            *out = PQgetResult(db->conn);
            return true;
        }
        if (dead || unsent < 0)
            return lost(db, "the connection to Postgres was lost", err);
        ready =
            wait_for(db, PQsocket(db->conn), (short)(POLLIN | (unsent ? POLLOUT : 0)), deadline);
        if (!ready)
            return lost(db, "Postgres did not answer in time", err);
        if (ready & ~POLLOUT)
            dead = !PQconsumeInput(db->conn);
    }
}

/* Something to read on an idle connection: notifications, or its end. */
static bool
take_input(struct db *db)
{
    /* A farewell and the end of file come in two reads. */
    while (wait_for(db, PQsocket(db->conn), POLLIN, 0)) {
        if (!PQconsumeInput(db->conn) || PQstatus(db->conn) != CONNECTION_OK)
            return false;
    }
    return true;
}

/* --- connecting ------------------------------------------------------------------------------ */

static void
ignore_notice(void *ctx UNUSED, const char *message UNUSED)
{
}

/* The server gives up a little earlier than we do, so that its answer still arrives. */
static int
statement_timeout(int timeout_ms)
{
    return timeout_ms - timeout_ms / 10;
}

/* What we say besides the address. */
struct parameters {
    struct buf options;              /* server settings */
    struct buf host, hostaddr, port; /* empty: as the address has them */
    size_t hosts;                    /* how many the address names */
};

static void
parameters_fini(struct parameters *p)
{
    buf_fini(&p->options);
    buf_fini(&p->host);
    buf_fini(&p->hostaddr);
    buf_fini(&p->port);
}
#define AUTO_PARAMETERS CLEANUP(parameters_fini) struct parameters

/*
 * A list of the address with its first n parts at the end; how many it has. libpq tries hosts in
 * their order, and one that does not even refuse takes all the time there is: the next attempt
 * begins behind it.
 */
static size_t
turn_list(const char *list, size_t n, struct buf *out)
{
    size_t parts = 1;
    const char *from = list;

    for (const char *c = list; *c; c++)
        parts += *c == ',';
    for (n %= parts; n > 0; n--)
        from = strchr(from, ',') + 1;
    buf_reset(out);
    buf_str(out, from);
    if (from > list)
        buf_printf(out, ",%.*s", (int)(from - list - 1), list);
    return parts;
}

static void
read_option(const struct db *db, const PQconninfoOption *o, struct parameters *p)
{
    if (strcmp(o->keyword, "options") == 0)
        buf_printf(&p->options, "%s ", o->val);
    if (strcmp(o->keyword, "host") == 0)
        p->hosts = turn_list(o->val, db->silent_hosts, &p->host);
    if (strcmp(o->keyword, "hostaddr") == 0)
        p->hosts = turn_list(o->val, db->silent_hosts, &p->hostaddr);
    if (strcmp(o->keyword, "port") == 0)
        turn_list(o->val, db->silent_hosts, &p->port);
}

/*
 * A server must not keep the locks of a client that has vanished, for which it would wait two
 * hours. The address may say otherwise; what follows it may not be changed. False when the address
 * is none.
 */
static bool
make_parameters(const struct db *db, struct parameters *p)
{
    PQconninfoOption *given = NULL;
    struct buf *out = &p->options;

    p->hosts = 1;
    buf_lit(out, "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 "
                 "-c tcp_keepalives_count=3 -c tcp_user_timeout=60000 ");
    if (db->url[0]) {
        given = PQconninfoParse(db->url, NULL); /* its message would quote the address */
        if (!given)
            return false;
        for (const PQconninfoOption *o = given; o->keyword; o++) {
            if (o->val)
                read_option(db, o, p);
        }
        PQconninfoFree(given);
    }
    buf_printf(out,
               "-c search_path=macp -c TimeZone=UTC -c default_toast_compression=lz4 -c jit=off "
               "-c statement_timeout=%d",
               statement_timeout(db->timeout_ms));
    if (db->generic_plans)
        buf_lit(out, " -c plan_cache_mode=force_generic_plan");
    return true;
}

/*
 * The reason of a failed connection without the address: a password with an unescaped '@' ends
 * up in what libpq believes to be host or port.
 */
static bool
connect_failed(struct db *db, PGconn *conn, struct err *err)
{
    const char *reason = NULL;

    for (const char *p = PQerrorMessage(conn); (p = strstr(p, " failed: ")); p++)
        reason = p + strlen(" failed: ");
    if (reason)
        err_set(err, ERR_DB, "cannot connect to Postgres: %.*s", (int)strcspn(reason, "\n"),
                reason);
    else
        err_set(err, ERR_DB, "cannot connect to Postgres: bad parameters or unknown host");
    PQfinish(conn);
    db_disconnect(db);
    return false;
}

static bool
connect_wait(struct db *db, PGconn *conn, size_t hosts, struct err *err)
{
    /* Each host gets its share of the time, and none much when there are others. */
    enum { HOST_MS = 5000 };
    int share = db->timeout_ms / (int)hosts;
    int64_t deadline = clock_mono_ms() + (hosts > 1 && share > HOST_MS ? HOST_MS : share);
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    while (PQstatus(conn) != CONNECTION_BAD && state != PGRES_POLLING_OK) {
        short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;

        if (state == PGRES_POLLING_FAILED)
            break;
        if (!wait_for(db, PQsocket(conn), events, deadline)) {
            PQfinish(conn);
            db->silent_hosts++;
            return err_set(err, ERR_DB, "cannot connect to Postgres: no answer in time");
        }
        state = PQconnectPoll(conn);
    }
    if (PQstatus(conn) != CONNECTION_OK || PQsetnonblocking(conn, 1) != 0 ||
        !PQenterPipelineMode(conn))
        return connect_failed(db, conn, err);
    PQsetNoticeProcessor(conn, ignore_notice, NULL);
    db->conn = conn;
    db->server_timeout_ms = db->timeout_ms;
    return true;
}

static bool send_listen(struct db *db, const char *channel, struct err *err);

/* Once around, until a host says nothing. */
static bool
connect_from(struct db *db, size_t *hosts, struct err *err)
{
    AUTO_PARAMETERS more = {0};
    PGconn *conn;

    if (!make_parameters(db, &more))
        return err_set(err, ERR_DB, "the database address is malformed");

    /* Later ones win: the address may change what stands before it, not what follows. */
    // clang-format off
    const char *const keys[] = {
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "dbname", "host", "hostaddr", "port",
        "fallback_application_name", "client_encoding", "options", NULL};
    const char *const values[] = {
        "30", "10", "3", "60000",
        db->url, more.host.p, more.hostaddr.p, more.port.p,
        db->application_name, "UTF8", more.options.p, NULL};
    // clang-format on

    conn = PQconnectStartParams(keys, values, 1);
    if (!conn)
        BUG("out of memory");
    *hosts = more.hosts;
    return connect_wait(db, conn, more.hosts, err);
}

bool
db_connect(struct db *db, struct err *err)
{
    size_t hosts = 1, tried = 0, silent;
    struct err why; /* of one host: another may answer */

    if (db_is_connected(db))
        return true;
    do {
        silent = db->silent_hosts;
        db_disconnect(db);
        if (connect_from(db, &hosts, &why))
            break;
    } while (db->silent_hosts > silent && ++tried < hosts);
    if (!db->conn) {
        if (err)
            *err = why;
        return false;
    }
    for (size_t i = 0; i < db->n_channels; i++) {
        if (!send_listen(db, db->channels[i], err)) {
            db_disconnect(db); /* a connection that does not hear must not look alive */
            return false;
        }
    }
    return true;
}

/* A connection that is believed to work: one that ended while idle is replaced at once. */
static bool
ready(struct db *db, struct err *err)
{
    buf_reset(&db->detail);
    if (db_is_connected(db) && take_input(db))
        return true;
    db_disconnect(db);
    return db_connect(db, err);
}

/* --- pipeline -------------------------------------------------------------------------------- */

static void
push_item(struct db *db, enum item_kind kind, enum sql_id id)
{
    if (db->n_items == db->cap_items) {
        db->cap_items = db->cap_items ? db->cap_items * 2 : 32;
        db->items = xrealloc(db->items, db->cap_items * sizeof *db->items);
    }
    db->items[db->n_items++] = (struct item){kind, id};
}

static bool
send_prepare(struct db *db, enum sql_id id)
{
    const struct sql_statement *s = &sql_statements[id];

    if (db->statements[id] != STATEMENT_UNKNOWN)
        return true;
    if (!PQsendPrepare(db->conn, s->name, s->text, 0, NULL))
        return lost(db, "the connection to Postgres was lost", &db->pipeline_err);
    db->statements[id] = STATEMENT_SENT;
    push_item(db, ITEM_PREPARE, id);
    return true;
}

/* Hand one statement to libpq, preparing it when this connection has not and it is to be. */
static void
send_statement(struct db *db, enum item_kind kind, enum sql_id id, const struct db_args *args)
{
    static const struct db_args none = {.n = 0};
    const struct sql_statement *s = &sql_statements[id];

    if (!args)
        args = &none;
    if (args->n != s->n_params)
        BUG("%s takes %d arguments, not %d", s->name, s->n_params, args->n);
    if (!s->each_time && !send_prepare(db, id))
        return;
    if (s->each_time ? PQsendQueryParams(db->conn, s->text, args->n, NULL, args->values,
                                         args->lengths, args->formats, 0)
                     : PQsendQueryPrepared(db->conn, s->name, args->n, args->values, args->lengths,
                                           args->formats, 0))
        push_item(db, kind, id);
    else
        lost(db, "the connection to Postgres was lost", &db->pipeline_err);
}

void
db_pipeline_begin(struct db *db)
{
    if (db->in_pipeline)
        BUG("a pipeline is open already");
    db->in_pipeline = true;
    db->n_items = 0;
    db->pipeline_err = (struct err){.code = ERR_NONE};
    if (!ready(db, &db->pipeline_err))
        return;
    if (db->server_timeout_ms != db->timeout_ms) {
        struct db_args args = {0};

        db_arg_int(&args, statement_timeout(db->timeout_ms));
        send_statement(db, ITEM_TIMEOUT, SQL_DB_TIMEOUT, &args);
    }
}

void
db_pipeline_add(struct db *db, enum sql_id id, const struct db_args *args)
{
    if (!db->in_pipeline)
        BUG("%s outside of a pipeline", sql_statements[id].name);
    if (db->pipeline_err.code == ERR_NONE)
        send_statement(db, ITEM_STATEMENT, id, args);
}

/* Where results go: handed over only when all is well. */
struct collected {
    PGresult **results;
    size_t n, max;
    struct err first; /* ERR_NONE: no error so far */
    bool drop;
};

static void
note_failure(struct db *db, struct collected *c, const PGresult *r, const char *what,
             const char *text)
{
    if (c->first.code == ERR_NONE)
        refused(db, r, what, text, &c->first, &c->drop);
}

/* The next result of a pipeline; the first failure is the one that is kept. */
static bool
next_of(struct db *db, int64_t deadline, PGresult **out, struct collected *c)
{
    struct err err;

    if (next_result(db, deadline, out, &err))
        return true;
    if (c->first.code == ERR_NONE)
        c->first = err;
    return false;
}

/* The answer to one item: its result and the NULL behind it. */
static bool
collect_item(struct db *db, const struct item *item, int64_t deadline, struct collected *c)
{
    const struct sql_statement *s = &sql_statements[item->id];
    PGresult *r, *end;
    ExecStatusType status;

    if (!next_of(db, deadline, &r, c))
        return false;
    status = PQresultStatus(r);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
        note_failure(db, c, r, s->name, s->text);
    if (item->kind == ITEM_PREPARE)
        db->statements[item->id] = status == PGRES_COMMAND_OK ? STATEMENT_READY : STATEMENT_UNKNOWN;
    if (item->kind == ITEM_STATEMENT && c->n < c->max)
        c->results[c->n++] = r;
    else
        PQclear(r);
    if (!db_is_connected(db))
        return false;
    if (!next_of(db, deadline, &end, c))
        return false;
    PQclear(end);
    return end == NULL; /* more than one result: not the conversation we believe to have */
}

/* Up to the end of the transaction; a COMMIT that fails is told here. */
static bool
collect_sync(struct db *db, int64_t deadline, struct collected *c)
{
    for (;;) {
        PGresult *r;
        ExecStatusType status;

        if (!next_of(db, deadline, &r, c))
            return false;
        status = PQresultStatus(r);
        if (status == PGRES_FATAL_ERROR && r)
            note_failure(db, c, r, "commit", NULL);
        PQclear(r);
        if (status == PGRES_PIPELINE_SYNC)
            return true;
        if (!db_is_connected(db))
            return false;
    }
}

static bool
collect(struct db *db, struct collected *c)
{
    int64_t deadline = deadline_of(db);

    for (size_t i = 0; i < db->n_items; i++) {
        if (!collect_item(db, &db->items[i], deadline, c))
            return false;
    }
    return collect_sync(db, deadline, c);
}

bool
db_pipeline_commit(struct db *db, struct db_result **results, size_t max, struct err *err)
{
    struct collected c = {.max = results ? max : 0};

    if (!db->in_pipeline)
        BUG("commit without a pipeline");
    db->in_pipeline = false;
    if (db->pipeline_err.code == ERR_NONE && !PQpipelineSync(db->conn))
        lost(db, "the connection to Postgres was lost", &db->pipeline_err);
    if (db->pipeline_err.code != ERR_NONE) {
        if (err)
            *err = db->pipeline_err;
        return false;
    }
    if (c.max > 0)
        c.results = xcalloc(c.max, sizeof(*c.results));
    if (!collect(db, &c)) {
        c.drop = true;
        if (c.first.code == ERR_NONE)
            err_set(&c.first, ERR_DB, "the connection to Postgres was lost");
    }
    if (c.first.code == ERR_NONE) {
        for (size_t i = 0; i < c.n; i++)
            results[i] = (struct db_result *)c.results[i];
        db->server_timeout_ms = db->timeout_ms;
    } else {
        for (size_t i = 0; i < c.n; i++)
            PQclear(c.results[i]);
        if (c.drop)
            db_disconnect(db);
        if (err)
            *err = c.first;
    }
    free(c.results);
    return c.first.code == ERR_NONE;
}

bool
db_run(struct db *db, enum sql_id id, const struct db_args *args, struct db_result **out,
       struct err *err)
{
    db_pipeline_begin(db);
    db_pipeline_add(db, id, args);
    return db_pipeline_commit(db, out, 1, err);
}

bool
db_prepare(struct db *db, enum sql_id id, struct err *err)
{
    db_pipeline_begin(db);
    if (db->pipeline_err.code == ERR_NONE)
        send_prepare(db, id);
    return db_pipeline_commit(db, NULL, 0, err);
}

/* --- simple protocol: scripts and LISTEN ------------------------------------------------------ */

static bool
run_text(struct db *db, const char *what, const char *sql, struct db_result **out, struct err *err)
{
    PGresult *last = NULL;
    int64_t deadline = deadline_of(db);
    struct collected c = {0};
    PGresult *r = NULL;

    /* The simple protocol is not allowed in pipeline mode. */
    if (!PQexitPipelineMode(db->conn) || !PQsendQuery(db->conn, sql))
        return lost(db, "the connection to Postgres was lost", err);
    for (;;) {
        if (!next_result(db, deadline, &r, err)) {
            PQclear(last);
            return false;
        }
        if (!r)
            break;
        if (PQresultStatus(r) == PGRES_FATAL_ERROR)
            note_failure(db, &c, r, what, sql);
        PQclear(last);
        last = r;
    }
    if (out && c.first.code == ERR_NONE) {
        *out = (struct db_result *)last;
        last = NULL;
    }
    PQclear(last);
    if (c.first.code != ERR_NONE && err)
        *err = c.first;
    if (c.drop || !db_is_connected(db) || !PQenterPipelineMode(db->conn)) {
        db_disconnect(db);
        if (c.first.code == ERR_NONE)
            return err_set(err, ERR_DB, "the connection to Postgres was lost");
    }
    return c.first.code == ERR_NONE;
}

bool
db_script(struct db *db, const char *sql, struct err *err)
{
    if (db->in_pipeline)
        BUG("a script inside a pipeline");
    return ready(db, err) && run_text(db, "script", sql, NULL, err);
}

bool
db_script_rows(struct db *db, const char *sql, struct db_result **out, struct err *err)
{
    if (db->in_pipeline)
        BUG("a script inside a pipeline");
    return ready(db, err) && run_text(db, "script", sql, out, err);
}

/* --- notifications --------------------------------------------------------------------------- */

static bool
send_listen(struct db *db, const char *channel, struct err *err)
{
    AUTO_BUF sql = {0};
    char *name = PQescapeIdentifier(db->conn, channel, strlen(channel));

    if (!name)
        return lost(db, "a channel name is malformed", err);
    buf_printf(&sql, "LISTEN %s", name); /* takes no parameters */
    PQfreemem(name);
    return run_text(db, "LISTEN", buf_cstr(&sql), NULL, err);
}

bool
db_listen(struct db *db, const char *channel, struct err *err)
{
    bool connected;

    for (size_t i = 0; i < db->n_channels; i++) {
        if (strcmp(db->channels[i], channel) == 0)
            return ready(db, err);
    }
    connected = db_is_connected(db) && take_input(db);
    db->channels = xrealloc(db->channels, (db->n_channels + 1) * sizeof *db->channels);
    db->channels[db->n_channels++] = xstrdup(channel);
    /* A new connection listens to all that is on the list. */
    return connected ? send_listen(db, channel, err) : ready(db, err);
}

bool
db_notifications(struct db *db, void (*fn)(void *ctx, const char *channel, const char *payload),
                 void *ctx, struct err *err)
{
    PGnotify *n;
    bool alive;

    if (!db->conn)
        return err_set(err, ERR_DB, "not connected to Postgres");
    alive = take_input(db);
    while ((n = PQnotifies(db->conn)) != NULL) {
        fn(ctx, n->relname, n->extra);
        PQfreemem(n);
    }
    return alive ? true : lost(db, "the connection to Postgres was lost", err);
}

/* --- results --------------------------------------------------------------------------------- */

/* A db_result is libpq's result under a name of ours. */
static const PGresult *
pg(const struct db_result *r)
{
    return (const PGresult *)r;
}

void
db_result_free(struct db_result *r)
{
    PQclear((PGresult *)r);
}

void
db_result_freep(struct db_result **r)
{
    db_result_free(*r);
    *r = NULL;
}

int
db_rows(const struct db_result *r)
{
    return PQntuples(pg(r));
}

int64_t
db_affected(const struct db_result *r)
{
    return strtoll(PQcmdTuples((PGresult *)r), NULL, 10); /* only reads it */
}

bool
db_null(const struct db_result *r, int row, int col)
{
    return PQgetisnull(pg(r), row, col) != 0;
}

const char *
db_text(const struct db_result *r, int row, int col)
{
    const char *s = PQgetvalue(pg(r), row, col);

    if (!s)
        BUG("row %d, column %d are not in this result", row, col);
    return s;
}

size_t
db_len(const struct db_result *r, int row, int col)
{
    return (size_t)PQgetlength(pg(r), row, col);
}
