#include "fcgi/row_members.h"

#include "fcgi/event_row.h"

static void
write_value(const struct db_result *r, int row, const struct member *m, struct buf *out)
{
    if (m->kind == MEMBER_FIXED) {
        buf_str(out, m->fixed);
        return;
    }
    if (db_null(r, row, m->col)) {
        buf_lit(out, "null");
        return;
    }
    switch (m->kind) {
    case MEMBER_TEXT:
        row_text(r, row, m->col, out);
        break;
    case MEMBER_BOOL:
        buf_str(out, db_bool(r, row, m->col) ? "true" : "false");
        break;
    case MEMBER_TIME:
        row_time(r, row, m->col, out);
        break;
    case MEMBER_JSONB:
        row_json(r, row, m->col, out);
        break;
    default:
        buf_add(out, db_text(r, row, m->col), db_len(r, row, m->col));
        break;
    }
}

void
row_members(const struct db_result *r, int row, const struct member *members, struct buf *out)
{
    const char *comma = "";

    for (const struct member *m = members; m->name; m++) {
        if (m->optional && db_null(r, row, m->col))
            continue;
        buf_str(out, comma);
        buf_json(out, m->name);
        buf_char(out, ':');
        write_value(r, row, m, out);
        comma = ",";
    }
}

void
row_object(const struct db_result *r, int row, const struct member *members, struct buf *out)
{
    buf_char(out, '{');
    row_members(r, row, members, out);
    buf_char(out, '}');
}

void
rows_array(const struct db_result *r, const struct member *members, struct buf *out)
{
    buf_char(out, '[');
    for (int i = 0; i < db_rows(r); i++) {
        if (i)
            buf_char(out, ',');
        row_object(r, i, members, out);
    }
    buf_char(out, ']');
}
