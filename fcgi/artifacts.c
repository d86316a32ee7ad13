/*
 * artifacts.c - GET and POST /runs/:id/artifacts.
 *
 * An artifact and the event that tells of it are stored in one transaction; of a run that is
 * observed, the event is a command to its owner, which is waited for, but not for long: it comes in
 * any case. When the connection breaks before the answer, reading by the artifact's id tells
 * whether they were stored.
 */
#include "fcgi/artifacts.h"

#include "fcgi/app.h"
#include "fcgi/command.h"
#include "fcgi/event_row.h"
#include "fcgi/handlers.h"
#include "fcgi/notify.h"
#include "fcgi/outcome.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/run.h"
#include "shared/uuid.h"

enum { EVENT_WAIT_MS = 2000 };

static const char *const kinds[] = {"trace", "json", "report", "log", "bundle", NULL};

// clang-format off
static const struct field artifact_fields[] = {
    {"kind",   FIELD_ENUM,   FIELD_REQUIRED,                   0,   NULL, kinds, NULL},
    {"label",  FIELD_STRING, FIELD_REQUIRED | FIELD_NOT_EMPTY, 255, NULL, NULL,  NULL},
    {"uri",    FIELD_STRING, 0,                                0,   NULL, NULL,  NULL},
    {"inline", FIELD_OBJECT, 0,                                0,   NULL, NULL,  NULL},
    {NULL,     FIELD_STRING, 0,                                0,   NULL, NULL,  NULL},
};
// clang-format on

const struct body_schema artifact_schema = {artifact_fields, false, NULL};

/* --- list ------------------------------------------------------------------------------------- */

void
artifact_row_write(const struct db_result *r, int row, const char *run_id, bool all,
                   struct buf *out)
{
    buf_lit(out, "{\"id\":");
    row_text(r, row, ARTIFACT_COL_ID, out);
    buf_lit(out, ",\"runId\":");
    buf_json(out, run_id);
    buf_lit(out, ",\"kind\":");
    row_text(r, row, ARTIFACT_COL_KIND, out);
    buf_lit(out, ",\"label\":");
    row_text(r, row, ARTIFACT_COL_LABEL, out);
    if (all || !db_null(r, row, ARTIFACT_COL_URI)) {
        buf_lit(out, ",\"uri\":");
        row_text(r, row, ARTIFACT_COL_URI, out);
    }
    if (all || !db_null(r, row, ARTIFACT_COL_INLINE)) {
        buf_lit(out, ",\"inline\":");
        buf_str(out, db_text_or(r, row, ARTIFACT_COL_INLINE, "null"));
    }
    buf_lit(out, ",\"createdAt\":");
    row_time(r, row, ARTIFACT_COL_CREATED_AT, out);
    buf_char(out, '}');
}

bool
artifacts_write(struct request *rq, const char *run_id, bool all, struct buf *out, bool *found,
                struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    char id[UUID_LEN];
    struct db_args a;

    uuid_lower(run_id, id);
    db_args_init(&a);
    db_arg_text(&a, id);
    if (!request_query(rq, rq->db, SQL_ARTIFACTS_LIST, &a, &r, err))
        return false;
    *found = db_rows(r) > 0;
    buf_char(out, '[');
    for (int i = 0; i < db_rows(r) && !db_null(r, i, ARTIFACT_COL_ID); i++) {
        if (i)
            buf_char(out, ',');
        artifact_row_write(r, i, id, all, out);
    }
    buf_char(out, ']');
    return true;
}

bool
artifacts_list(struct request *rq, struct err *err)
{
    bool found;

    if (!artifacts_write(rq, rq->params[0], true, reply_json(rq, 200), &found, err))
        return false;
    return found || err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
}

/* --- create ----------------------------------------------------------------------------------- */

/* What events_append says. */
enum { COL_ID, COL_LAST_SEQ, COL_TERMINAL, COL_COMMAND };

struct artifact {
    char id[UUID_LEN];
    const char *kind, *label;
    const char *uri;    /* NULL: none */
    struct buf inlined; /* empty: none */
    struct buf event;   /* the array that events_append takes */
};

static void
artifact_fini(struct artifact *a)
{
    buf_fini(&a->inlined);
    buf_fini(&a->event);
}

static void
artifact_take(const json_t *document, struct artifact *out)
{
    AUTO_JSON *data = json_object();

    uuid_v4(out->id);
    out->kind = jv_cstr(jv_get(document, "kind"));
    out->label = jv_cstr(jv_get(document, "label"));
    out->uri = jv_cstr(jv_get(document, "uri"));
    if (json_is_object(jv_get(document, "inline")))
        jv_write(&out->inlined, jv_get(document, "inline"));
    json_object_set_new(data, "kind", json_string(out->kind));
    json_object_set_new(data, "label", json_string(out->label));
    json_object_set_new(data, "artifactId", json_string(out->id));
    if (out->uri)
        json_object_set_new(data, "uri", json_string(out->uri));
    buf_printf(&out->event,
               "[{\"type\":\"%s\",\"subjectKind\":\"artifact\",\"subjectId\":\"%s\","
               "\"sourceName\":\"observability-controller\",\"data\":",
               event_type_name(EVENT_ARTIFACT_CREATED), out->id);
    jv_write(&out->event, data);
    buf_lit(&out->event, "}]");
}

/* results[0]: what events_append says; results[1]: run id and created_at. */
static bool
store(struct request *rq, const struct artifact *artifact, struct db_result *results[2],
      struct err *err)
{
    char now[CLOCK_TEXT_LEN];
    struct db_args a;

    db_set_timeout(rq->db, REQUEST_DB_FAST_MS);
    db_pipeline_begin(rq->db);
    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    db_arg_text(&a, clock_text(clock_wall_ms(), now));
    db_arg_text(&a, buf_cstr(&artifact->event));
    db_arg_text(&a, command_kind_name(COMMAND_APPEND));
    db_arg_text(&a, rq->actor);
    db_arg_text(&a, rq->request_id);
    db_pipeline_add(rq->db, SQL_EVENTS_APPEND, &a);
    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    db_arg_text(&a, artifact->id);
    db_arg_text(&a, artifact->kind);
    db_arg_text(&a, artifact->label);
    db_arg_text(&a, artifact->uri);
    db_arg_text(&a, artifact->inlined.len ? buf_cstr(&artifact->inlined) : NULL);
    db_pipeline_add(rq->db, SQL_ARTIFACT_CREATE, &a);
    return db_pipeline_commit(rq->db, results, 2, err);
}

static bool
find(struct request *rq, const struct artifact *artifact, struct db_result **out, struct err *err)
{
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, artifact->id);
    return request_query(rq, rq->db, SQL_ARTIFACT_FIND, &a, out, err);
}

static void
reply_made(struct request *rq, const struct artifact *artifact, const struct db_result *made)
{
    static const char *const optional[] = {"uri", "inline"};
    struct buf *b = reply_json(rq, 201);

    buf_lit(b, "{\"runId\":");
    row_text(made, 0, 0, b);
    buf_lit(b, ",\"kind\":");
    buf_json(b, artifact->kind);
    buf_lit(b, ",\"label\":");
    buf_json(b, artifact->label);
    for (size_t i = 0; i < ARRAY_LEN(optional); i++) {
        const json_t *v = jv_get(rq->document, optional[i]);

        if (!v)
            continue; /* as sent: null stays null, absent stays absent */
        buf_printf(b, ",\"%s\":", optional[i]);
        jv_write(b, v);
    }
    buf_lit(b, ",\"id\":");
    buf_json(b, artifact->id);
    buf_lit(b, ",\"createdAt\":");
    row_time(made, 0, 1, b);
    buf_char(b, '}');
}

/* So that whoever has the answer finds the event, too. When nothing is heard, it comes later. */
static void
wait_for_owner(struct request *rq, const struct db_result *appended)
{
    struct command_outcome c = {.id = db_int(appended, 0, COL_COMMAND)};
    struct err err;

    notify_send(rq->app->notify, CHANNEL_CMD, db_text(appended, 0, COL_COMMAND));
    if (!outcomes_enter(rq->app->outcomes))
        return;
    if (!command_wait(rq, &c, 1, EVENT_WAIT_MS, &err))
        log_err(LOG_DEBUG, &err, "nothing is known of command %lld", (long long)c.id);
    outcomes_leave(rq->app->outcomes);
}

static void
tell(struct request *rq, const struct db_result *appended)
{
    if (!db_null(appended, 0, COL_COMMAND)) {
        wait_for_owner(rq, appended);
        return;
    }
    notify_send(rq->app->notify, CHANNEL_EVT,
                arena_printf(rq->arena, "%s:%s:%d", db_text(appended, 0, COL_ID),
                             db_text(appended, 0, COL_LAST_SEQ),
                             db_bool(appended, 0, COL_TERMINAL)));
}

bool
artifact_create(struct request *rq, struct err *err)
{
    CLEANUP(artifact_fini) struct artifact artifact = {0};
    AUTO_DB_RESULT *appended = NULL, *made = NULL, *found = NULL;
    struct db_result *results[2] = {0};

    artifact_take(rq->document, &artifact);
    for (int tries = 0; !store(rq, &artifact, results, err); tries++) {
        if (err->code != ERR_DB || tries > 0)
            return false;
        /* Lost on the way: was it stored? */
        if (!find(rq, &artifact, &found, err))
            return false;
        if (db_rows(found) > 0) {
            reply_made(rq, &artifact, found);
            return true;
        }
        db_result_freep(&found);
    }
    appended = results[0];
    made = results[1];
    if (db_rows(made) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    tell(rq, appended);
    reply_made(rq, &artifact, made);
    return true;
}
