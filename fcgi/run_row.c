#include "fcgi/run_row.h"

#include <string.h>

#include "fcgi/event_row.h"
#include "fcgi/row_members.h"

/* The stored metadata is an object; its members follow the composed ones. */
static void
write_metadata(const struct db_result *r, int row, struct buf *out)
{
    bool has_stored = db_len(r, row, RUN_COL_METADATA) > strlen("{}");
    const char *comma = "";

    buf_char(out, '{');
    if (!db_null(r, row, RUN_COL_DESCRIPTOR)) {
        buf_lit(out, "\"executionRequest\":");
        buf_add(out, db_text(r, row, RUN_COL_DESCRIPTOR), db_len(r, row, RUN_COL_DESCRIPTOR));
        comma = ",";
    }
    if (!db_null(r, row, RUN_COL_FAILURE_REASON)) {
        buf_str(out, comma);
        buf_lit(out, "\"failureReason\":");
        row_text(r, row, RUN_COL_FAILURE_REASON, out);
        comma = ",";
    }
    if (has_stored) {
        size_t brace = out->len;

        row_json(r, row, RUN_COL_METADATA, out);
        out->p[brace] = *comma ? *comma : ' ';
    } else {
        buf_char(out, '}');
    }
}

void
run_row_write(const struct db_result *r, int row, struct buf *out)
{
    enum kind { TEXT, RAW, TIME, METADATA };
    static const struct {
        int col;
        enum kind kind;
        const char *open;
    } members[] = {
        {RUN_COL_ID, TEXT, "{\"id\":"},
        {RUN_COL_STATUS, TEXT, ",\"status\":"},
        {RUN_COL_MODE, TEXT, ",\"mode\":"},
        {RUN_COL_RUNTIME_KIND, TEXT, ",\"runtimeKind\":"},
        {RUN_COL_RUNTIME_VERSION, TEXT, ",\"runtimeVersion\":"},
        {RUN_COL_SESSION_ID, TEXT, ",\"runtimeSessionId\":"},
        {RUN_COL_TRACE_ID, TEXT, ",\"traceId\":"},
        {RUN_COL_IDEMPOTENCY_KEY, TEXT, ",\"idempotencyKey\":"},
        {RUN_COL_LAST_SEQ, RAW, ",\"lastEventSeq\":"},
        {RUN_COL_SOURCE_KIND, TEXT, ",\"sourceKind\":"},
        {RUN_COL_SOURCE_REF, TEXT, ",\"sourceRef\":"},
        {RUN_COL_TAGS, RAW, ",\"tags\":"},
        {RUN_COL_METADATA, METADATA, ",\"metadata\":"},
        {RUN_COL_ERROR_CODE, TEXT, ",\"errorCode\":"},
        {RUN_COL_ERROR_MESSAGE, TEXT, ",\"errorMessage\":"},
        {RUN_COL_CREATED_AT, TIME, ",\"createdAt\":"},
        {RUN_COL_STARTED_AT, TIME, ",\"startedAt\":"},
        {RUN_COL_ENDED_AT, TIME, ",\"endedAt\":"},
        {RUN_COL_UPDATED_AT, TIME, ",\"updatedAt\":"},
        {RUN_COL_ARCHIVED_AT, TIME, ",\"archivedAt\":"},
    };

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        buf_str(out, members[i].open);
        switch (members[i].kind) {
        case TEXT:
            row_text(r, row, members[i].col, out);
            break;
        case RAW:
            buf_add(out, db_text(r, row, members[i].col), db_len(r, row, members[i].col));
            break;
        case TIME:
            row_time(r, row, members[i].col, out);
            break;
        case METADATA:
            write_metadata(r, row, out);
            break;
        }
    }
    buf_char(out, '}');
}

void
run_row_write_export(const struct db_result *r, int row, struct buf *out)
{
    static const struct member members[] = {
        {"id", MEMBER_TEXT, RUN_COL_ID, false, NULL},
        {"status", MEMBER_TEXT, RUN_COL_STATUS, false, NULL},
        {"runtimeKind", MEMBER_TEXT, RUN_COL_RUNTIME_KIND, false, NULL},
        {"runtimeVersion", MEMBER_TEXT, RUN_COL_RUNTIME_VERSION, true, NULL},
        {"runtimeSessionId", MEMBER_TEXT, RUN_COL_SESSION_ID, true, NULL},
        {"traceId", MEMBER_TEXT, RUN_COL_TRACE_ID, true, NULL},
        {"createdAt", MEMBER_TIME, RUN_COL_CREATED_AT, false, NULL},
        {"startedAt", MEMBER_TIME, RUN_COL_STARTED_AT, true, NULL},
        {"endedAt", MEMBER_TIME, RUN_COL_ENDED_AT, true, NULL},
        {"tags", MEMBER_RAW, RUN_COL_TAGS, false, NULL},
        {"archivedAt", MEMBER_TIME, RUN_COL_ARCHIVED_AT, false, NULL},
        {0},
    };

    buf_char(out, '{');
    row_members(r, row, members, out);
    if (!db_null(r, row, RUN_COL_SOURCE_KIND)) {
        buf_lit(out, ",\"source\":{\"kind\":");
        row_text(r, row, RUN_COL_SOURCE_KIND, out);
        if (!db_null(r, row, RUN_COL_SOURCE_REF)) {
            buf_lit(out, ",\"ref\":");
            row_text(r, row, RUN_COL_SOURCE_REF, out);
        }
        buf_char(out, '}');
    }
    buf_lit(out, ",\"metadata\":");
    write_metadata(r, row, out);
    buf_char(out, '}');
}
