/*
 * batch.c - POST /runs/batch/export, /archive and /delete.
 *
 * The runs are taken one after the other, each in a transaction of its own: one that fails leaves
 * the others alone, and a batch never holds more than one connection and one run's locks.
 */
#include "fcgi/batch.h"

#include <string.h>

#include "fcgi/export.h"
#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/run_control.h"
#include "shared/json.h"
#include "shared/uuid.h"

enum { BATCH_MAX = 200 };

// clang-format off
static const struct field batch_fields[] = {
    {"runIds", FIELD_IDS,    FIELD_REQUIRED, BATCH_MAX, NULL, NULL, NULL, 0},
    {NULL,     FIELD_STRING, 0,              0,         NULL, NULL, NULL, 0},
};
// clang-format on

const struct body_schema batch_schema = {batch_fields, false, NULL};

bool
batch_check_id(const char *id, struct err *err)
{
    return uuid_is_valid(id) || err_set(err, ERR_NOT_FOUND, "run %.100s not found", id);
}

/* --- one result per run -------------------------------------------------------------------------
 */

typedef bool batch_fn(struct request *rq, const char *run_id, struct err *err);

static bool
run_each(struct request *rq, batch_fn *fn, const char *done, struct err *err)
{
    struct buf *b = reply_json(rq, 201);
    json_t *item;
    size_t i;

    buf_char(b, '[');
    json_array_foreach (jv_get(rq->document, "runIds"), i, item) {
        const char *id = json_string_value(item);
        bool ok = batch_check_id(id, err) && fn(rq, id, err);

        /* Not this run's fault: the rest would fail too, and what was done can be done again. */
        if (!ok && err_http_status(err->code) >= 500)
            return false;
        buf_str(b, i ? ",{\"runId\":" : "{\"runId\":");
        jv_write(b, item);
        buf_printf(b, ",\"status\":\"%s\"", ok ? done : "failed");
        if (!ok) {
            buf_lit(b, ",\"error\":");
            jv_write_text(b, err->msg, strlen(err->msg));
        }
        buf_char(b, '}');
    }
    buf_char(b, ']');
    return true;
}

static bool
archive_one(struct request *rq, const char *run_id, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;

    return run_archive_one(rq, run_id, &r, err);
}

bool
batch_archive(struct request *rq, struct err *err)
{
    return run_each(rq, archive_one, "archived", err);
}

bool
batch_delete(struct request *rq, struct err *err)
{
    return run_each(rq, run_remove, "deleted", err);
}

/* --- export
 * --------------------------------------------------------------------------------------- */

/* Before the first byte: afterwards it is too late to say 404. */
static bool
check_all_exist(struct request *rq, const json_t *ids, struct err *err)
{
    json_t *item;
    size_t i;

    json_array_foreach (ids, i, item) {
        const char *id = json_string_value(item);
        AUTO_DB_RESULT *r = NULL;
        struct db_args a;

        db_args_init(&a);
        db_arg_text(&a, id);
        if (!batch_check_id(id, err) || !request_query(rq, rq->db, SQL_RUN_EXISTS, &a, &r, err))
            return false;
        if (db_rows(r) == 0)
            return err_set(err, ERR_NOT_FOUND, "run %s not found", id);
    }
    return true;
}

bool
batch_export(struct request *rq, struct err *err)
{
    static const struct export_options options = {true, false, EXPORT_LIMIT};
    const json_t *ids = jv_get(rq->document, "runIds");
    struct buf *b;
    json_t *item;
    size_t i;

    if (!check_all_exist(rq, ids, err))
        return false;
    b = reply_json(rq, 201);
    buf_char(b, '[');
    json_array_foreach (ids, i, item) {
        char run_id[UUID_LEN];

        uuid_lower(json_string_value(item), run_id);
        if (i)
            buf_char(b, ',');
        if (!export_document(rq, run_id, &options, err))
            return false;
    }
    buf_char(b, ']');
    return true;
}
