#include "fcgi/event_row.h"

#include <string.h>

#include "shared/clock.h"
#include "shared/json.h"
#include "shared/uuid.h"

void
row_text(const struct db_result *r, int row, int col, struct buf *out)
{
    if (db_null(r, row, col))
        buf_lit(out, "null");
    else
        buf_json_n(out, db_text(r, row, col), db_len(r, row, col));
}

void
row_json(const struct db_result *r, int row, int col, struct buf *out)
{
    const char *p = db_text(r, row, col), *end = p + db_len(r, row, col);
    char *to = buf_reserve(out, (size_t)(end - p));

    while (p < end) {
        if (*p == ' ') {
            p++;
            continue;
        }
        if (*p != '"') {
            *to++ = *p++;
            continue;
        }
        /* A string, to its closing quote. */
        do {
            if (*p == '\\' && p + 1 < end)
                *to++ = *p++;
            *to++ = *p++;
        } while (p < end && *p != '"');
        if (p < end)
            *to++ = *p++;
    }
    out->len = (size_t)(to - out->p);
    *to = '\0';
}

/* What a connection in UTC writes differs in punctuation only: large pages have many times. */
static bool
take_utc(const char *p, size_t n, char out[CLOCK_TEXT_LEN])
{
    enum { SECONDS = sizeof "2026-03-01 10:00:00" - 1, ZONE = sizeof "+00" - 1, DIGITS = 6 };
    size_t digits = n > SECONDS + 1 + ZONE ? n - SECONDS - 1 - ZONE : 0;

    if (n < SECONDS + ZONE || digits > DIGITS || (digits == 0 && n > SECONDS + ZONE) ||
        (digits > 0 && p[SECONDS] != '.') || p[4] != '-' || p[10] != ' ' ||
        strcmp(p + n - ZONE, "+00") != 0)
        return false;
    memcpy(out, p, SECONDS);
    out[10] = 'T';
    memcpy(out + SECONDS, ".000Z", sizeof ".000Z");
    memcpy(out + SECONDS + 1, p + SECONDS + 1, digits < 3 ? digits : 3);
    return true;
}

void
row_time(const struct db_result *r, int row, int col, struct buf *out)
{
    const char *stored = db_text(r, row, col);
    char text[CLOCK_TEXT_LEN];
    int64_t ms;

    if (!take_utc(stored, db_len(r, row, col), text)) {
        /* infinity and the like have no place on the wire */
        if (db_null(r, row, col) || !clock_parse(stored, &ms)) {
            buf_lit(out, "null");
            return;
        }
        clock_text(ms, text);
    }
    buf_char(out, '"');
    buf_str(out, text);
    buf_char(out, '"');
}

/* Rows of older releases carry the former name of this source. */
static const char *
source_kind(const struct db_result *r, int row)
{
    const char *kind = db_text(r, row, EVENT_COL_SOURCE_KIND);

    return strcmp(kind, "control-plane") == 0 ? EVENT_SOURCE_SELF : kind;
}

static void
write_nested(const struct db_result *r, int row, struct buf *out)
{
    static const struct {
        int col;
        const char *open;
    } trace[] = {
        {EVENT_COL_TRACE_ID, "\"traceId\":"},
        {EVENT_COL_SPAN_ID, "\"spanId\":"},
        {EVENT_COL_PARENT_SPAN_ID, "\"parentSpanId\":"},
    };
    const char *before = ",\"trace\":{";

    if (!db_null(r, row, EVENT_COL_SUBJECT_KIND) && !db_null(r, row, EVENT_COL_SUBJECT_ID)) {
        buf_lit(out, ",\"subject\":{\"kind\":");
        row_text(r, row, EVENT_COL_SUBJECT_KIND, out);
        buf_lit(out, ",\"id\":");
        row_text(r, row, EVENT_COL_SUBJECT_ID, out);
        buf_char(out, '}');
    }
    buf_lit(out, ",\"source\":{\"kind\":");
    buf_json(out, source_kind(r, row));
    buf_lit(out, ",\"name\":");
    row_text(r, row, EVENT_COL_SOURCE_NAME, out);
    if (!db_null(r, row, EVENT_COL_RAW_TYPE)) {
        buf_lit(out, ",\"rawType\":");
        row_text(r, row, EVENT_COL_RAW_TYPE, out);
    }
    buf_char(out, '}');
    for (size_t i = 0; i < ARRAY_LEN(trace); i++) {
        if (db_null(r, row, trace[i].col))
            continue;
        buf_str(out, before);
        buf_str(out, trace[i].open);
        row_text(r, row, trace[i].col, out);
        before = ",";
    }
    if (*before == ',' && !before[1])
        buf_char(out, '}');
}

static void
write_row(const struct db_result *r, int row, const char *run_id, const char *type, struct buf *out)
{
    static const struct {
        int col;
        const char *open;
    } flat[] = {
        {EVENT_COL_SUBJECT_KIND, ",\"subjectKind\":"},
        {EVENT_COL_SUBJECT_ID, ",\"subjectId\":"},
        {EVENT_COL_SOURCE_NAME, ",\"sourceName\":"},
        {EVENT_COL_RAW_TYPE, ",\"rawType\":"},
        {EVENT_COL_TRACE_ID, ",\"traceId\":"},
        {EVENT_COL_SPAN_ID, ",\"spanId\":"},
        {EVENT_COL_PARENT_SPAN_ID, ",\"parentSpanId\":"},
    };
    char id[UUID_LEN];

    buf_lit(out, "{\"id\":\"");
    if (db_null(r, row, EVENT_COL_ID)) {
        uuid_of_event(run_id, db_int(r, row, EVENT_COL_SEQ), id);
        buf_str(out, id);
    } else {
        buf_str(out, db_text(r, row, EVENT_COL_ID));
    }
    buf_lit(out, "\",\"runId\":\"");
    buf_str(out, run_id);
    buf_lit(out, "\",\"seq\":");
    buf_str(out, db_text(r, row, EVENT_COL_SEQ));
    buf_lit(out, ",\"ts\":");
    row_time(r, row, EVENT_COL_TS, out);
    buf_str(out, type);
    row_text(r, row, EVENT_COL_TYPE, out);
    buf_lit(out, ",\"schemaVersion\":");
    buf_str(out, db_text(r, row, EVENT_COL_SCHEMA_VERSION));
    write_nested(r, row, out);
    buf_lit(out, ",\"data\":");
    row_json(r, row, EVENT_COL_DATA, out);
    buf_lit(out, ",\"sourceKind\":");
    buf_json(out, source_kind(r, row));
    for (size_t i = 0; i < ARRAY_LEN(flat); i++) {
        buf_str(out, flat[i].open);
        row_text(r, row, flat[i].col, out);
    }
    buf_lit(out, ",\"createdAt\":");
    row_time(r, row, EVENT_COL_CREATED_AT, out);
    buf_char(out, '}');
}

void
event_row_write(const struct db_result *r, int row, const char *run_id, struct buf *out)
{
    write_row(r, row, run_id, ",\"type\":", out);
}

void
event_row_write_line(const struct db_result *r, int row, const char *run_id, struct buf *out)
{
    write_row(r, row, run_id, ",\"type\":\"canonical_event\",\"eventType\":", out);
}

static const char *
text_or_null(const struct db_result *r, int row, int col)
{
    return db_null(r, row, col) ? NULL : db_text(r, row, col);
}

bool
event_row_read(const struct db_result *r, int row, struct event *out)
{
    struct event e = {.seq = db_int(r, row, EVENT_COL_SEQ)};
    const char *type = db_text(r, row, EVENT_COL_TYPE);

    if (!clock_parse(db_text(r, row, EVENT_COL_TS), &e.ts_ms))
        return false;
    e.data = jv_parse(db_text(r, row, EVENT_COL_DATA), db_len(r, row, EVENT_COL_DATA));
    if (!json_is_object(e.data)) {
        json_decref(e.data);
        return false;
    }
    clock_text(e.ts_ms, e.ts);
    e.id = text_or_null(r, row, EVENT_COL_ID);
    e.type = event_type_parse(type);
    e.type_name = e.type == EVENT_UNKNOWN ? type : NULL;
    event_set_subject(&e, text_or_null(r, row, EVENT_COL_SUBJECT_KIND),
                      text_or_null(r, row, EVENT_COL_SUBJECT_ID));
    e.source_kind = source_kind(r, row);
    e.source_name = db_text(r, row, EVENT_COL_SOURCE_NAME);
    e.raw_type = text_or_null(r, row, EVENT_COL_RAW_TYPE);
    e.trace_id = text_or_null(r, row, EVENT_COL_TRACE_ID);
    e.span_id = text_or_null(r, row, EVENT_COL_SPAN_ID);
    e.parent_span_id = text_or_null(r, row, EVENT_COL_PARENT_SPAN_ID);
    *out = e;
    return true;
}
