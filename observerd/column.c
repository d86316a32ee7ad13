#include "observerd/column.h"

#include <arpa/inet.h>
#include <endian.h>

#include "shared/uuid.h"

/*
 * Array header: dimensions, has-nulls flag, element oid, length, lower bound; five 32-bit words in
 * network order. Then each element: 32-bit length (-1 for null) and its bytes. The length word is
 * written when the arguments are made.
 */
enum { HEADER = 20, LENGTH_AT = 12 };

static const int64_t POSTGRES_EPOCH_DAYS = 10957; /* 2000-01-01 */

static void
put32(struct buf *b, int32_t v)
{
    uint32_t net = htonl((uint32_t)v);

    buf_add(b, &net, 4);
}

static void
put_header(struct buf *b, enum column_type type)
{
    put32(b, 1);
    put32(b, 1);
    put32(b, (int32_t)type);
    put32(b, 0);
    put32(b, 1);
}

void
rows_init(struct rows *r, const enum column_type *types, int n_columns)
{
    *r = (struct rows){.n_columns = n_columns};
    if (n_columns > ROWS_MAX_COLUMNS)
        BUG("%d columns", n_columns);
    for (int i = 0; i < n_columns; i++)
        put_header(&r->columns[i], types[i]);
}

void
rows_fini(struct rows *r)
{
    for (int i = 0; i < r->n_columns; i++)
        buf_fini(&r->columns[i]);
}

void
rows_reset(struct rows *r)
{
    enum { KEEP = 256 << 10 };

    for (int i = 0; i < r->n_columns; i++) {
        struct buf *b = &r->columns[i];

        if (b->cap > KEEP && b->len < b->cap / 8) /* large because of a burst that is over */
            buf_shrink(b);
        b->len = HEADER;
    }
    r->n = 0;
    r->at = 0;
}

size_t
rows_bytes(const struct rows *r)
{
    size_t n = 0;

    for (int i = 0; i < r->n_columns; i++)
        n += r->columns[i].len;
    return n;
}

static struct buf *
next_column(struct rows *r)
{
    struct buf *b = &r->columns[r->at++];

    if (r->at == r->n_columns) {
        r->at = 0;
        r->n++;
    }
    return b;
}

static void
put_value(struct rows *r, const void *p, size_t n)
{
    struct buf *b = next_column(r);

    put32(b, (int32_t)n);
    buf_add(b, p, n);
}

void
rows_null(struct rows *r)
{
    put32(next_column(r), -1);
}

void
rows_int8(struct rows *r, int64_t v)
{
    uint64_t net = htobe64((uint64_t)v);

    put_value(r, &net, sizeof net);
}

void
rows_int4(struct rows *r, int64_t v)
{
    uint32_t net = htonl((uint32_t)(int32_t)v);

    put_value(r, &net, sizeof net);
}

void
rows_bool(struct rows *r, bool v)
{
    put_value(r, &(uint8_t){v}, 1);
}

void
rows_float8(struct rows *r, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    bits = htobe64(bits);
    put_value(r, &bits, sizeof bits);
}

void
rows_date(struct rows *r, int64_t day)
{
    rows_int4(r, day - POSTGRES_EPOCH_DAYS);
}

void
rows_time(struct rows *r, int64_t wall_ms)
{
    rows_int8(r, (wall_ms - POSTGRES_EPOCH_DAYS * 86400000) * 1000);
}

void
rows_time_or_null(struct rows *r, int64_t wall_ms)
{
    if (wall_ms > 0 && wall_ms < (int64_t)200000000000000)
        rows_time(r, wall_ms);
    else
        rows_null(r);
}

void
rows_uuid(struct rows *r, const char *uuid)
{
    uint8_t bytes[16];

    uuid_bytes(uuid, bytes);
    put_value(r, bytes, sizeof bytes);
}

void
rows_text(struct rows *r, const char *s)
{
    if (s)
        put_value(r, s, strlen(s));
    else
        rows_null(r);
}

void
rows_bytes_value(struct rows *r, const void *p, size_t n)
{
    put_value(r, p, n);
}

void
rows_jsonb(struct rows *r, const char *text, size_t n)
{
    struct buf *b = next_column(r);

    put32(b, (int32_t)(n + 1));
    buf_char(b, 1); /* version of the binary form */
    buf_add(b, text, n);
}

/* Length of the element at p with its length word. */
static size_t
element_size(const char *p)
{
    uint32_t net;
    int32_t n;

    memcpy(&net, p, 4);
    n = (int32_t)ntohl(net);
    return 4 + (n > 0 ? (size_t)n : 0);
}

static size_t
element_at(const struct rows *r, int column, int row)
{
    const struct buf *b = &r->columns[column];
    size_t at = HEADER;

    for (int i = 0; i < row; i++)
        at += element_size(b->p + at);
    return at;
}

const char *
rows_value(const struct rows *r, int column, int row, size_t *n)
{
    const char *element = r->columns[column].p + element_at(r, column, row);

    *n = element_size(element) - 4;
    return element + 4;
}

void
rows_replace_jsonb(struct rows *r, int column, int row, const char *text, size_t n)
{
    struct buf *b = &r->columns[column], changed = {0};
    size_t at = element_at(r, column, row), behind = at + element_size(b->p + at);

    buf_add(&changed, b->p, at);
    put32(&changed, (int32_t)(n + 1));
    buf_char(&changed, 1);
    buf_add(&changed, text, n);
    buf_add(&changed, b->p + behind, b->len - behind);
    buf_fini(b);
    *b = changed;
}

static int64_t
key_at(const char *p)
{
    uint64_t net;

    memcpy(&net, p + 4, 8);
    return (int64_t)be64toh(net);
}

int64_t
rows_int8_at(const struct rows *r, int column, int row)
{
    return key_at(r->columns[column].p + element_at(r, column, row));
}

/* Walk all columns row by row; keep says which rows go to `to` (which may be `from` itself). */
static void
filter(const struct rows *from, int64_t run_key, bool keep_equal, struct rows *to)
{
    size_t at[ROWS_MAX_COLUMNS];
    int rows = from->n;

    for (int c = 0; c < from->n_columns; c++)
        at[c] = HEADER;
    if (to == from)
        rows_reset(to);
    for (int row = 0; row < rows; row++) {
        bool keep = (key_at(from->columns[0].p + at[0]) == run_key) == keep_equal;

        for (int c = 0; c < from->n_columns; c++) {
            const char *element = from->columns[c].p + at[c];
            size_t n = element_size(element);

            at[c] += n;
            if (!keep)
                continue;
            if (to == from) { /* moves towards the front only */
                struct buf *b = &to->columns[c];

                memmove(b->p + b->len, element, n);
                b->len += n;
            } else {
                buf_add(&to->columns[c], element, n);
            }
        }
        to->n += keep;
    }
}

void
rows_drop_run(struct rows *r, int64_t run_key)
{
    filter(r, run_key, false, r);
}

void
rows_copy_run(const struct rows *from, int64_t run_key, struct rows *to)
{
    filter(from, run_key, true, to);
}

void
rows_args(struct rows *r, struct db_args *args)
{
    uint32_t n = htonl((uint32_t)r->n);

    for (int i = 0; i < r->n_columns; i++) {
        memcpy(r->columns[i].p + LENGTH_AT, &n, 4);
        db_arg_bin(args, r->columns[i].p, r->columns[i].len);
    }
}
