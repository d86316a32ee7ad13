/*
 * webhooks.c - subscriptions to what happens to runs, and what became of their deliveries.
 *
 * A secret goes in and never comes out: no statement here selects it.
 */
#include <string.h>

#include "fcgi/app.h"
#include "fcgi/handlers.h"
#include "fcgi/notify.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/row_members.h"
#include "shared/destination.h"
#include "shared/json.h"
#include "shared/run.h"
#include "shared/uuid.h"

enum { SECRET_MAX = 255 };

// clang-format off
static const struct field create_fields[] = {
    {"url",    FIELD_URL,     FIELD_REQUIRED,                   0,          NULL, NULL, NULL, 0},
    {"events", FIELD_STRINGS, FIELD_EACH_FIRST,                 0,          NULL, NULL, NULL, 0},
    {"secret", FIELD_STRING,  FIELD_REQUIRED | FIELD_NOT_EMPTY, SECRET_MAX, NULL, NULL, NULL, 0},
    {NULL,     FIELD_STRING,  0,                                0,          NULL, NULL, NULL, 0},
};
static const struct field update_fields[] = {
    {"url",    FIELD_URL,     0,                0,          NULL, NULL, NULL, 0},
    {"events", FIELD_STRINGS, FIELD_EACH_FIRST, 0,          NULL, NULL, NULL, 0},
    {"secret", FIELD_STRING,  FIELD_NOT_EMPTY,  SECRET_MAX, NULL, NULL, NULL, 0},
    {"active", FIELD_BOOLEAN, 0,                0,          NULL, NULL, NULL, 0},
    {NULL,     FIELD_STRING,  0,                0,          NULL, NULL, NULL, 0},
};

enum webhook_column { COL_ID, COL_URL, COL_EVENTS, COL_ACTIVE, COL_CREATED_AT, COL_UPDATED_AT,
                      COL_TOTAL, COL_SUCCEEDED, COL_FAILED, COL_LAST };

static const struct member webhook_members[] = {
    {"id",        MEMBER_TEXT,  COL_ID,         false, NULL},
    {"url",       MEMBER_TEXT,  COL_URL,        false, NULL},
    {"events",    MEMBER_RAW,   COL_EVENTS,     false, NULL},
    {"secret",    MEMBER_FIXED, COL_ID,         false, "\"[REDACTED]\""},
    {"active",    MEMBER_BOOL,  COL_ACTIVE,     false, NULL},
    {"createdAt", MEMBER_TIME,  COL_CREATED_AT, false, NULL},
    {"updatedAt", MEMBER_TIME,  COL_UPDATED_AT, false, NULL},
    {0},
};
static const struct member stats_members[] = {
    {"total",           MEMBER_RAW,  COL_TOTAL,     false, NULL},
    {"succeeded",       MEMBER_RAW,  COL_SUCCEEDED, false, NULL},
    {"failed",          MEMBER_RAW,  COL_FAILED,    false, NULL},
    {"lastDeliveredAt", MEMBER_TIME, COL_LAST,      false, NULL},
    {0},
};
// clang-format on

const struct body_schema webhook_create_schema = {create_fields, false, NULL};
const struct body_schema webhook_update_schema = {update_fields, false, NULL};

/* --- create and change --------------------------------------------------------------------------
 */

static bool
check_target(struct request *rq, struct err *err)
{
    const char *url = jv_cstr(jv_get(rq->document, "url"));
    struct err why;

    if (!url || destination_check_url(url, rq->app->config, &why))
        return true;
    return err_set(err, ERR_VALIDATION, "url is not allowed: %s", why.msg);
}

/* The list as JSON text; NULL when it was not given. */
static const char *
events_text(struct request *rq)
{
    const json_t *events = jv_get(rq->document, "events");
    AUTO_BUF text = {0};

    if (jv_nullish(events))
        return NULL;
    jv_write(&text, events);
    return arena_strndup(rq->arena, buf_cstr(&text), text.len);
}

bool
webhook_create(struct request *rq, struct err *err)
{
    const char *events = events_text(rq);
    AUTO_DB_RESULT *r = NULL;
    char id[UUID_LEN];
    struct db_args a;

    if (!check_target(rq, err))
        return false;
    uuid_v4(id);
    db_args_init(&a);
    db_arg_text(&a, id);
    db_arg_text(&a, jv_cstr(jv_get(rq->document, "url")));
    db_arg_text(&a, events ? events : "[]");
    db_arg_text(&a, jv_cstr(jv_get(rq->document, "secret")));
    request_add_actor(rq, &a);
    if (!request_query(rq, rq->db, SQL_WEBHOOK_CREATE, &a, &r, err))
        return false;
    row_object(r, 0, webhook_members, reply_json(rq, 201));
    return true;
}

bool
webhook_update(struct request *rq, struct err *err)
{
    const json_t *active = jv_get(rq->document, "active");
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    if (!check_target(rq, err))
        return false;
    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    db_arg_text(&a, jv_cstr(jv_get(rq->document, "url")));
    db_arg_text(&a, events_text(rq));
    db_arg_text(&a, jv_cstr(jv_get(rq->document, "secret")));
    if (json_is_boolean(active))
        db_arg_bool(&a, json_is_true(active));
    else
        db_arg_null(&a);
    request_add_actor(rq, &a);
    if (!request_query(rq, rq->db, SQL_WEBHOOK_UPDATE, &a, &r, err))
        return false;
    if (db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "webhook %s not found", rq->params[0]);
    row_object(r, 0, webhook_members, reply_json(rq, 200));
    return true;
}

bool
webhook_delete(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    request_add_actor(rq, &a);
    if (!request_query(rq, rq->db, SQL_WEBHOOK_DELETE, &a, &r, err))
        return false;
    reply_empty(rq, 204);
    return true;
}

/* --- lists
 * ---------------------------------------------------------------------------------------- */

bool
webhooks_list(struct request *rq, struct err *err)
{
    AUTO_DB_RESULT *r = NULL;
    struct buf *b;

    if (!request_query(rq, rq->db, SQL_WEBHOOKS_LIST, NULL, &r, err))
        return false;
    b = reply_json(rq, 200);
    buf_char(b, '[');
    for (int i = 0; i < db_rows(r); i++) {
        buf_str(b, i ? ",{" : "{");
        row_members(r, i, webhook_members, b);
        buf_lit(b, ",\"deliveryStats\":");
        row_object(r, i, stats_members, b);
        buf_char(b, '}');
    }
    buf_char(b, ']');
    return true;
}

enum { Q_STATUS, Q_LIMIT, Q_OFFSET };

enum { OFFSET_MAX = 100000 };

static const char *const delivery_statuses[] = {"pending", "delivered", "failed", NULL};

// clang-format off
const struct query_field webhook_deliveries_query[] = {
    [Q_STATUS] = {.name = "status", .type = QUERY_ENUM, .values = delivery_statuses},
    [Q_LIMIT]  = {.name = "limit", .type = QUERY_INTEGER, .min = 1, .max = 200, .number = 50},
    [Q_OFFSET] = {.name = "offset", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = OFFSET_MAX},
    {0},
};

static const struct member delivery_members[] = {
    {"id",             MEMBER_TEXT, 0,  false, NULL},
    {"runId",          MEMBER_TEXT, 1,  false, NULL},
    {"event",          MEMBER_TEXT, 2,  false, NULL},
    {"status",         MEMBER_TEXT, 3,  false, NULL},
    {"attempts",       MEMBER_RAW,  4,  false, NULL},
    {"nextAttemptAt",  MEMBER_TIME, 5,  false, NULL},
    {"lastAttemptAt",  MEMBER_TIME, 6,  false, NULL},
    {"responseStatus", MEMBER_RAW,  7,  false, NULL},
    {"errorMessage",   MEMBER_TEXT, 8,  false, NULL},
    {"createdAt",      MEMBER_TIME, 9,  false, NULL},
    {"deliveredAt",    MEMBER_TIME, 10, false, NULL},
    {0},
};
// clang-format on

bool
webhook_deliveries(struct request *rq, struct err *err)
{
    enum { COL_PUBLIC_ID = 0, COL_COUNT = 11 };
    const struct query_value *q = rq->values;
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;
    struct buf *b;

    db_args_init(&a);
    db_arg_text(&a, rq->params[0]);
    db_arg_text(&a, q[Q_STATUS].text);
    db_arg_int(&a, q[Q_LIMIT].number);
    db_arg_int(&a, q[Q_OFFSET].number);
    if (!request_query(rq, rq->read_db, SQL_WEBHOOK_DELIVERIES_LIST, &a, &r, err))
        return false;
    if (db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "webhook %s not found", rq->params[0]);
    b = reply_json(rq, 200);
    buf_lit(b, "{\"data\":[");
    for (int i = 0; i < db_rows(r) && !db_null(r, i, COL_PUBLIC_ID); i++) {
        if (i)
            buf_char(b, ',');
        row_object(r, i, delivery_members, b);
    }
    buf_printf(b, "],\"total\":%s,\"limit\":%lld,\"offset\":%lld}", db_text(r, 0, COL_COUNT),
               (long long)q[Q_LIMIT].number, (long long)q[Q_OFFSET].number);
    return true;
}

bool
webhook_redeliver(struct request *rq, struct err *err)
{
    enum { COL_PUBLIC_ID = 0, COL_MAY_SEND = 11 };
    const char *webhook_id = rq->params[0], *delivery_id = rq->params[1];
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;

    if (!uuid_is_valid(delivery_id))
        return err_set(err, ERR_VALIDATION, "Validation failed (uuid is expected)");
    db_args_init(&a);
    db_arg_text(&a, webhook_id);
    db_arg_text(&a, delivery_id);
    request_add_actor(rq, &a);
    if (!request_query(rq, rq->db, SQL_WEBHOOK_REDELIVER, &a, &r, err))
        return false;
    if (db_rows(r) == 0)
        return err_set(err, ERR_NOT_FOUND, "webhook %s not found", webhook_id);
    if (db_null(r, 0, COL_PUBLIC_ID))
        return err_set(err, ERR_NOT_FOUND, "delivery %s not found", delivery_id);
    if (!db_bool(r, 0, COL_MAY_SEND))
        return err_set(err, ERR_CONFLICT, "webhook %s is not active", webhook_id);
    notify_send(rq->app->notify, CHANNEL_HOOK, "");
    row_object(r, 0, delivery_members, reply_json(rq, 202));
    return true;
}
