/*
 * run_clone.c - POST /runs/:id/clone.
 *
 * The stored descriptor is launched again with a session of its own. The callback's bearer is not
 * in it: it is put back from its column and leaves the document again on the way to the copy's.
 */
#include "fcgi/handlers.h"
#include "fcgi/request.h"
#include "fcgi/run_launch.h"
#include "shared/json.h"
#include "shared/uuid.h"

// clang-format off
static const struct field clone_fields[] = {
    {"tags",    FIELD_STRINGS, FIELD_EACH_FIRST, 0, NULL, NULL, NULL},
    {"context", FIELD_OBJECT,  0,                0, NULL, NULL, NULL},
    {NULL,      FIELD_STRING,  0,                0, NULL, NULL, NULL},
};
// clang-format on

const struct body_schema run_clone_schema = {clone_fields, false, NULL};

#define CONTEXT_REFUSED                                                                            \
    "context overrides are no longer accepted \xe2\x80\x94 session context is opaque to the "      \
    "control-plane (direct-agent-auth \xc2\xa7Invariants). Pass any scenario-specific overrides "  \
    "via the caller's scenario compiler and submit a fresh POST /runs."

static void
put_bearer_back(json_t *descriptor, const struct db_result *source)
{
    json_t *metadata = jv_get(jv_get(descriptor, "session"), "metadata");
    json_t *callback = jv_get(metadata, "cancelCallback");

    if (!json_is_object(callback))
        return;
    if (db_null(source, 0, 1))
        json_object_del(callback, "bearer"); /* what stands there is only its replacement */
    else
        json_object_set_new(callback, "bearer",
                            jv_string(db_text(source, 0, 1), db_len(source, 0, 1)));
}

static void
set_tags(json_t *descriptor, json_t *tags)
{
    json_t *execution = jv_get(descriptor, "execution");

    if (!json_is_object(execution)) {
        execution = json_object();
        json_object_set_new(descriptor, "execution", execution);
    }
    json_object_set(execution, "tags", tags);
}

bool
run_clone(struct request *rq, struct err *err)
{
    json_t *tags = jv_get(rq->document, "tags");
    AUTO_DB_RESULT *source = NULL;
    AUTO_JSON *descriptor = NULL;
    char run_id[UUID_LEN];
    struct db_args a;

    if (json_object_size(jv_get(rq->document, "context")) > 0)
        return err_set(err, ERR_VALIDATION, CONTEXT_REFUSED);
    uuid_lower(rq->params[0], run_id);
    db_args_init(&a);
    db_arg_text(&a, run_id);
    if (!request_query(rq, rq->db, SQL_RUN_SOURCE, &a, &source, err))
        return false;
    if (db_rows(source) == 0)
        return err_set(err, ERR_NOT_FOUND, "run %s not found", rq->params[0]);
    descriptor = jv_parse(db_text(source, 0, 0), db_len(source, 0, 0));
    if (!json_is_object(jv_get(descriptor, "session")))
        return err_set(err, ERR_VALIDATION, "run does not have an execution request in metadata");
    json_object_del(jv_get(descriptor, "session"), "sessionId");
    json_object_del(jv_get(descriptor, "execution"), "idempotencyKey");
    put_bearer_back(descriptor, source);
    if (!jv_nullish(tags))
        set_tags(descriptor, tags);
    return run_launch(rq, descriptor, run_id, err);
}
