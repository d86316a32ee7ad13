/*
 * run_create.c - POST /runs and POST /runs/validate.
 *
 * A run is created by one statement: the run, its observer row (due at once), its first event, its
 * metrics and the audit row are there together or not at all. A conflict (idempotency key, session
 * id) inserts nothing; reading then tells which row stands in the way.
 */
#include <string.h>

#include "fcgi/app.h"
#include "fcgi/command.h"
#include "fcgi/descriptor.h"
#include "fcgi/handlers.h"
#include "fcgi/notify.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/run_launch.h"
#include "fcgi/validate.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/meter.h"
#include "shared/run.h"

enum { CREATE_TRIES = 3 }; /* the row in the way may vanish while we look */

#define SQLSTATE_UNIQUE_VIOLATION "23505"

/* Columns of the statements that answer with a run. */
enum {
    COL_ID,
    COL_SESSION_ID,
    COL_STATUS,
    COL_TRACE_ID,
    COL_RUN_KEY,
    COL_COMMAND = COL_RUN_KEY, /* run_adopt */
    COL_REASON,                /* run_find_posted: id, key, session */
    COL_ORIGIN,
};

static void
reply_created(struct request *rq, const struct db_result *r)
{
    struct buf *b = reply_json(rq, 201);

    buf_lit(b, "{\"runId\":\"");
    buf_str(b, db_text(r, 0, COL_ID));
    buf_lit(b, "\",\"sessionId\":");
    buf_json(b, db_text(r, 0, COL_SESSION_ID));
    buf_lit(b, ",\"status\":\"");
    buf_str(b, db_text(r, 0, COL_STATUS));
    buf_lit(b, "\",\"traceId\":");
    buf_json(b, db_text(r, 0, COL_TRACE_ID));
    buf_char(b, '}');
    reply_header(rq, "Location", arena_printf(rq->arena, "/runs/%s", db_text(r, 0, COL_ID)));
}

static bool
insert_run(struct request *rq, const struct run_draft *d, const char *cloned_from,
           struct db_result **out, struct err *err)
{
    char now[CLOCK_TEXT_LEN];
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, d->run_id);
    db_arg_text(&a, d->session_id);
    db_arg_text(&a, d->idempotency_key);
    db_arg_text(&a, d->mode);
    db_arg_text(&a, d->mode_name);
    db_arg_text(&a, d->runtime_kind);
    db_arg_text(&a, d->runtime_version);
    db_arg_text(&a, d->trace_id);
    db_arg_text(&a, d->source_kind);
    db_arg_text(&a, d->source_ref);
    db_arg_text(&a, d->environment);
    db_arg_text(&a, d->scenario_ref);
    db_arg_text(&a, d->tags);
    db_arg_text(&a, d->descriptor);
    db_arg_text(&a, d->metadata);
    db_arg_text(&a, d->callback_url);
    db_arg_text(&a, d->callback_bearer);
    db_arg_bool(&a, d->cancel_delegated);
    db_arg_int(&a, rq->app->config->session_poll_timeout_ms);
    db_arg_text(&a, clock_text(clock_wall_ms(), now));
    db_arg_text(&a, d->event_data);
    db_arg_text(&a, rq->actor);
    db_arg_text(&a, REQUEST_ACTOR_TYPE);
    db_arg_text(&a, rq->request_id);
    db_arg_text(&a, cloned_from ? "cloned" : "posted");
    db_arg_text(&a, cloned_from ? "run.cloned" : "run.created");
    db_arg_text(&a, cloned_from ? arena_printf(rq->arena, "{\"clonedFrom\":\"%s\"}", cloned_from)
                                : "{}");
    return request_query(rq, rq->db, SQL_RUN_CREATE, &a, out, err);
}

static bool
find_posted(struct request *rq, const struct run_draft *d, struct db_result **out, struct err *err)
{
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, d->run_id);
    db_arg_text(&a, d->idempotency_key);
    db_arg_text(&a, d->session_id);
    return request_query(rq, rq->db, SQL_RUN_FIND_POSTED, &a, out, err);
}

/* Zero rows: it is no discovered run any more, or another request took the key meanwhile. */
static bool
adopt(struct request *rq, const struct run_draft *d, const struct db_result *found,
      struct db_result **out, struct err *err)
{
    char artifact_id[UUID_LEN], now[CLOCK_TEXT_LEN];
    struct db_args a;

    uuid_v5(db_text(found, 0, COL_ID), RUN_TRACE_ARTIFACT, artifact_id);
    db_args_init(&a);
    db_arg_int(&a, db_int(found, 0, COL_RUN_KEY));
    db_arg_text(&a, d->idempotency_key);
    db_arg_text(&a, d->mode);
    db_arg_text(&a, d->runtime_version);
    db_arg_text(&a, d->source_kind);
    db_arg_text(&a, d->source_ref);
    db_arg_text(&a, d->environment);
    db_arg_text(&a, d->scenario_ref);
    db_arg_text(&a, d->tags);
    db_arg_text(&a, d->descriptor);
    db_arg_text(&a, d->metadata);
    db_arg_text(&a, d->callback_url);
    db_arg_text(&a, d->callback_bearer);
    db_arg_bool(&a, d->cancel_delegated);
    db_arg_text(&a, command_kind_name(COMMAND_ADOPT));
    db_arg_text(&a, rq->actor);
    db_arg_text(&a, rq->request_id);
    db_arg_int(&a, command_life_ms(rq, COMMAND_ADOPT));
    db_arg_text(&a, artifact_id);
    db_arg_text(&a, clock_text(clock_wall_ms(), now));
    if (request_query(rq, rq->db, SQL_RUN_ADOPT, &a, out, err))
        return true;
    return err->code == ERR_SQL && strcmp(err->sqlstate, SQLSTATE_UNIQUE_VIOLATION) == 0;
}

enum settle {
    SETTLED, /* replied, or *err set */
    TRY_AGAIN,
};

/* Something is in the way of the insert: answer for it. */
static enum settle
settle_conflict(struct request *rq, const struct run_draft *d, bool *ok, struct err *err)
{
    AUTO_DB_RESULT *found = NULL, *adopted = NULL;
    const char *reason;

    *ok = find_posted(rq, d, &found, err);
    if (!*ok)
        return SETTLED;
    if (db_rows(found) == 0)
        return TRY_AGAIN;
    reason = db_text(found, 0, COL_REASON);
    /* Its own id: the first attempt was committed although its connection broke. */
    if (strcmp(reason, "key") == 0 || strcmp(reason, "id") == 0) {
        reply_created(rq, found);
        return SETTLED;
    }
    if (strcmp(db_text(found, 0, COL_ORIGIN), "discovered") != 0) {
        *ok = err_set(err, ERR_SESSION_EXISTS, "session %s already belongs to run %s",
                      d->session_id, db_text(found, 0, COL_ID));
        return SETTLED;
    }
    *ok = adopt(rq, d, found, &adopted, err);
    if (!*ok)
        return SETTLED;
    if (!adopted || db_rows(adopted) == 0)
        return TRY_AGAIN;
    if (!db_null(adopted, 0, COL_COMMAND))
        notify_send(rq->app->notify, CHANNEL_CMD, db_text(adopted, 0, COL_COMMAND));
    reply_created(rq, adopted);
    return SETTLED;
}

bool
run_launch(struct request *rq, json_t *document, const char *cloned_from, struct err *err)
{
    struct run_draft d;

    if (!descriptor_draft(rq->arena, document, request_env(rq, "HTTP_TRACEPARENT"), rq->app->config,
                          &d, err))
        return false;
    for (int i = 0; i < CREATE_TRIES; i++) {
        AUTO_DB_RESULT *created = NULL;
        bool ok;

        if (!insert_run(rq, &d, cloned_from, &created, err))
            return false;
        if (db_rows(created) == 1) {
            notify_send(rq->app->notify, CHANNEL_RUN, "");
            meter_add(METER_TRANSITIONS, 1, run_status_name(RUN_QUEUED));
            reply_created(rq, created);
            return true;
        }
        if (settle_conflict(rq, &d, &ok, err) == SETTLED)
            return ok;
    }
    return err_set(err, ERR_CONFLICT, "run is being changed by other requests, try again");
}

bool
run_create(struct request *rq, struct err *err)
{
    return run_launch(rq, rq->document, NULL, err);
}

/* --- validate ------------------------------------------------------------------------------- */

struct report {
    struct texts errors, warnings;
    bool reachable;
    const json_t *modes;        /* array, or NULL */
    const json_t *capabilities; /* object, or NULL */
};

static void
report_fini(struct report *report)
{
    texts_fini(&report->errors);
    texts_fini(&report->warnings);
}

static void
check_mode(struct report *report, const char *mode)
{
    AUTO_BUF list = {0};
    json_t *supported;
    size_t i;

    if (!report->reachable || json_array_size(report->modes) == 0)
        return; /* a runtime that names none accepts all */
    json_array_foreach (report->modes, i, supported) {
        const char *name = jv_cstr(supported);

        if (name && strcmp(name, mode) == 0)
            return;
        buf_printf(&list, "%s%s", i ? ", " : "", name ? name : "");
    }
    texts_add(&report->errors, "Runtime does not support mode '%s'. Supported: %s", mode,
              buf_cstr(&list));
}

static void
check_session(struct request *rq, const json_t *session, struct report *report)
{
    enum { RUNTIME_TTL_MAX_MS = 86400000 };
    const char *id = jv_cstr(jv_get(session, "sessionId"));
    struct err why;

    if (!descriptor_check_tags(rq->document, &why))
        texts_add(&report->errors, "%s", why.msg);

    if (id && *id && !descriptor_session_id_ok(id))
        texts_add(&report->errors, "session.sessionId must be a UUID v4/v7 or base64url 22+ chars");
    check_mode(report, jv_cstr(jv_get(session, "modeName")));
    if (json_number_value(jv_get(session, "ttlMs")) > RUNTIME_TTL_MAX_MS)
        texts_add(&report->warnings, "session.ttlMs is above the runtime's maximum of %d",
                  RUNTIME_TTL_MAX_MS);
}

static void
reply_report(struct request *rq, const struct report *report)
{
    struct buf *b = reply_json(rq, 201);

    buf_printf(b, "{\"valid\":%s,\"errors\":[%s],\"warnings\":[%s],\"runtime\":{\"reachable\":%s",
               report->errors.n ? "false" : "true", buf_cstr(&report->errors.json),
               buf_cstr(&report->warnings.json), report->reachable ? "true" : "false");
    buf_lit(b, ",\"supportedModes\":");
    if (report->reachable && report->modes)
        jv_write(b, report->modes);
    else
        buf_lit(b, "[]");
    if (report->reachable && report->capabilities) {
        buf_lit(b, ",\"capabilities\":");
        jv_write(b, report->capabilities);
    }
    buf_lit(b, "}}");
}

bool
run_validate(struct request *rq, struct err *err)
{
    const json_t *session = jv_get(rq->document, "session");
    const char *kind = jv_cstr(jv_get(jv_get(rq->document, "runtime"), "kind"));
    const char *known = rq->app->config->runtime_kind;
    AUTO_DB_RESULT *catalog = NULL;
    AUTO_JSON *body = NULL;
    CLEANUP(report_fini) struct report report = {0};

    if (!session) {
        texts_add(&report.errors, "session is required");
    } else if (strcmp(kind, known) != 0) {
        texts_add(&report.warnings,
                  "Runtime not reachable: runtime provider '%s' is not registered", kind);
        check_session(rq, session, &report);
    } else {
        if (!request_query(rq, rq->db, SQL_CATALOG_INITIALIZE, NULL, &catalog, err))
            return false;
        if (db_rows(catalog) > 0) {
            report.reachable = db_bool(catalog, 0, 0);
            body = jv_parse(db_text(catalog, 0, 1), db_len(catalog, 0, 1));
            if (json_is_array(jv_get(body, "supportedModes")))
                report.modes = jv_get(body, "supportedModes");
            if (json_is_object(jv_get(body, "capabilities")))
                report.capabilities = jv_get(body, "capabilities");
        }
        if (!report.reachable)
            texts_add(&report.warnings, "Runtime not reachable: %s",
                      db_rows(catalog) > 0 && db_len(catalog, 0, 2) > 0
                          ? db_text(catalog, 0, 2)
                          : "no observer has reached it");
        check_session(rq, session, &report);
    }
    reply_report(rq, &report);
    return true;
}
