/* audit.c - GET /audit: who did what, newest first. */
#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"
#include "fcgi/row_members.h"

enum {
    Q_ACTOR,
    Q_ACTION,
    Q_RESOURCE,
    Q_RESOURCE_ID,
    Q_CREATED_AFTER,
    Q_CREATED_BEFORE,
    Q_LIMIT,
    Q_OFFSET,
};

enum { OFFSET_MAX = 100000 }; /* from there on createdBefore is the way */

// clang-format off
const struct query_field audit_query[] = {
    [Q_ACTOR]          = {.name = "actor", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_ACTION]         = {.name = "action", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_RESOURCE]       = {.name = "resource", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_RESOURCE_ID]    = {.name = "resourceId", .type = QUERY_STRING, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_CREATED_AFTER]  = {.name = "createdAfter", .type = QUERY_TIME, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_CREATED_BEFORE] = {.name = "createdBefore", .type = QUERY_TIME, .flags = QUERY_EMPTY_IS_ABSENT},
    [Q_LIMIT]          = {.name = "limit", .type = QUERY_INTEGER, .min = 1, .max = 200, .number = 50},
    [Q_OFFSET]         = {.name = "offset", .type = QUERY_INTEGER, .flags = QUERY_MAX_IS_COLUMN, .min = 0, .max = OFFSET_MAX},
    {0},
};

/* Names that known clients offer as filters, and what they mean. */
static const struct {
    const char *asked, *stored;
} spellings[] = {
    {"run.create",      "run.created"},
    {"run.clone",       "run.cloned"},
    {"run.archive",     "run.archived"},
    {"run.delete",      "run.deleted"},
    {"run.cancel",      "run.cancelled"},
    {"run.suspend",     "run.suspended"},
    {"run.resume",      "run.resumed"},
    {"webhook.create",  "webhook.created"},
    {"webhook.update",  "webhook.updated"},
    {"webhook.delete",  "webhook.deleted"},
    {"policy.register", "policy.registered"},
    {"policy.delete",   "policy.unregistered"},
};

static const struct member audit_members[] = {
    {"id",         MEMBER_TEXT,  0, false, NULL},
    {"actor",      MEMBER_TEXT,  1, false, NULL},
    {"actorType",  MEMBER_TEXT,  2, false, NULL},
    {"action",     MEMBER_TEXT,  3, false, NULL},
    {"resource",   MEMBER_TEXT,  4, false, NULL},
    {"resourceId", MEMBER_TEXT,  5, false, NULL},
    {"details",    MEMBER_JSONB, 6, false, NULL},
    {"requestId",  MEMBER_TEXT,  7, false, NULL},
    {"createdAt",  MEMBER_TIME,  8, false, NULL},
    {0},
};
// clang-format on

/* The asked name and what it stands for, as a JSON array. */
static const char *
actions_text(struct request *rq, const char *asked)
{
    AUTO_BUF text = {0};

    if (!asked)
        return NULL;
    buf_char(&text, '[');
    buf_json(&text, asked);
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++)
        if (strcmp(spellings[i].asked, asked) == 0) {
            buf_char(&text, ',');
            buf_json(&text, spellings[i].stored);
        }
    buf_char(&text, ']');
    return arena_strndup(rq->arena, buf_cstr(&text), text.len);
}

bool
audit_list(struct request *rq, struct err *err)
{
    enum { COL_ID = 0, COL_TOTAL = 9 };
    const struct query_value *q = rq->values;
    AUTO_DB_RESULT *r = NULL;
    struct db_args a;
    struct buf *b;

    db_args_init(&a);
    db_arg_text(&a, q[Q_ACTOR].text);
    db_arg_text(&a, actions_text(rq, q[Q_ACTION].text));
    db_arg_text(&a, q[Q_RESOURCE].text);
    db_arg_text(&a, q[Q_RESOURCE_ID].text);
    db_arg_text(&a, q[Q_CREATED_AFTER].text);
    db_arg_text(&a, q[Q_CREATED_BEFORE].text);
    db_arg_int(&a, q[Q_LIMIT].number);
    db_arg_int(&a, q[Q_OFFSET].number);
    if (!request_query(rq, rq->read_db, SQL_AUDIT_LIST, &a, &r, err))
        return false;
    b = reply_json(rq, 200);
    buf_lit(b, "{\"data\":[");
    for (int i = 0; i < db_rows(r) && !db_null(r, i, COL_ID); i++) {
        if (i)
            buf_char(b, ',');
        row_object(r, i, audit_members, b);
    }
    buf_printf(b, "],\"total\":%s}", db_text(r, 0, COL_TOTAL));
    return true;
}
