#include "shared/meter.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "shared/json.h"

/*
 * The values of one set of labels: a number, or a histogram's sum and the counts of its buckets,
 * the last one of which is for what is above all bounds. Once made it stays.
 */
struct series {
    struct series *next;
    uint64_t hash; /* of the labels: most lookups compare no text */
    char *labels[METER_LABELS_MAX];
    _Atomic int64_t cells[];
};

struct meters {
    struct family {
        _Atomic(struct series *) first;
        atomic_int n;
    } families[METER__COUNT];
};

enum { LABEL_LEN = 64 };

static const struct meter_row rows[METER__COUNT] = {
#define X(key, name_, kind_, labels_, bounds_, help_)                                              \
    [METER_##key] = {name_, METER_##kind_, labels_, {METER_BOUNDS_##bounds_}, help_},
    METER_TABLE(X)
#undef X
};

static struct meters own;

const struct meter_row *
meter_row(enum meter_id id)
{
    return &rows[id];
}

static bool
is_histogram(enum meter_id id)
{
    return rows[id].kind == METER_SECONDS || rows[id].kind == METER_SIZES;
}

static size_t
bounds_of(enum meter_id id)
{
    size_t n = 0;

    while (rows[id].bounds[n])
        n++;
    return n;
}

static size_t
cells_of(enum meter_id id)
{
    return is_histogram(id) ? bounds_of(id) + 2 : 1;
}

static int
labels_of(enum meter_id id)
{
    return !rows[id].labels[0] ? 0 : strchr(rows[id].labels, ',') ? 2 : 1;
}

/* --- series -------------------------------------------------------------------------------- */

/* Printable and short, whatever somebody called himself: pages and rows must stay readable. */
static void
clean_label(const char *s, char out[LABEL_LEN])
{
    size_t n = 0;

    if (!s || !*s)
        s = "unknown";
    for (; *s && n < LABEL_LEN - 1; s++)
        out[n++] = *s >= ' ' && *s <= '~' ? *s : '?';
    out[n] = '\0';
}

static uint64_t
hash_of(char labels[][LABEL_LEN], int n)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (int i = 0; i < n; i++)
        for (const char *c = labels[i];; c++) {
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
            if (!*c)
                break;
        }
    return hash;
}

static struct series *
search(struct series *from, const struct series *end, uint64_t hash, char labels[][LABEL_LEN],
       int n)
{
    for (; from != end; from = from->next) {
        bool same = from->hash == hash;

        for (int i = 0; same && i < n; i++)
            same = strcmp(from->labels[i], labels[i]) == 0;
        if (same)
            return from;
    }
    return NULL;
}

static void
series_free(struct series *s)
{
    for (int i = 0; i < METER_LABELS_MAX; i++)
        free(s->labels[i]);
    free(s);
}

static struct series *
find(struct meters *m, enum meter_id id, const char *const *values)
{
    struct family *f = &m->families[id];
    char labels[METER_LABELS_MAX][LABEL_LEN];
    struct series *head = atomic_load_explicit(&f->first, memory_order_acquire), *s, *added;
    int n = labels_of(id);
    uint64_t hash;

    for (int i = 0; i < n; i++)
        clean_label(values[i], labels[i]);
    hash = hash_of(labels, n);
    s = search(head, NULL, hash, labels, n);
    if (s)
        return s;
    if (atomic_load(&f->n) >= METER_SERIES_MAX) {
        for (int i = 0; i < n; i++)
            snprintf(labels[i], LABEL_LEN, "other");
        hash = hash_of(labels, n);
        s = search(head, NULL, hash, labels, n);
        if (s)
            return s;
    }
    added = xcalloc(1, sizeof *added + cells_of(id) * sizeof added->cells[0]);
    added->hash = hash;
    for (int i = 0; i < n; i++)
        added->labels[i] = xstrdup(labels[i]);
    for (added->next = head; !atomic_compare_exchange_weak(&f->first, &head, added);
         added->next = head) {
        /* Somebody was first, perhaps with the same labels. */
        s = search(head, added->next, hash, labels, n);
        if (s) {
            series_free(added);
            return s;
        }
    }
    atomic_fetch_add(&f->n, 1);
    return added;
}

/* --- counting ------------------------------------------------------------------------------ */

void
meter_add_labelled(enum meter_id id, int64_t n, const char *const *labels)
{
    atomic_fetch_add_explicit(&find(&own, id, labels)->cells[0], n, memory_order_relaxed);
}

void
meter_put_labelled(enum meter_id id, int64_t v, const char *const *labels)
{
    atomic_store_explicit(&find(&own, id, labels)->cells[0], v, memory_order_relaxed);
}

void
meter_observe_labelled(enum meter_id id, int64_t v, const char *const *labels)
{
    struct series *s = find(&own, id, labels);
    size_t b = 0;

    while (rows[id].bounds[b] && v > rows[id].bounds[b])
        b++;
    atomic_fetch_add_explicit(&s->cells[0], v, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->cells[1 + b], 1, memory_order_relaxed);
}

/* --- values as a whole --------------------------------------------------------------------- */

struct meters *
meters_own(void)
{
    return &own;
}

struct meters *
meters_new(void)
{
    return xcalloc(1, sizeof(struct meters));
}

void
meters_free(struct meters *m)
{
    if (!m)
        return;
    for (int id = 0; id < METER__COUNT; id++)
        for (struct series *s = m->families[id].first, *next; s; s = next) {
            next = s->next;
            series_free(s);
        }
    free(m);
}

static void
merge_cells(struct meters *m, enum meter_id id, const char *const *labels, const int64_t *cells)
{
    struct series *s = find(m, id, labels);

    if (rows[id].kind == METER_WORST) {
        if (cells[0] > s->cells[0])
            s->cells[0] = cells[0];
        return;
    }
    for (size_t i = 0; i < cells_of(id); i++)
        s->cells[i] += cells[i];
}

static void
take_cells(const struct series *s, enum meter_id id, int64_t *cells)
{
    for (size_t i = 0; i < cells_of(id); i++)
        cells[i] = atomic_load_explicit(&s->cells[i], memory_order_relaxed);
}

void
meters_add_all(struct meters *m, const struct meters *other)
{
    for (int id = 0; id < METER__COUNT; id++)
        for (const struct series *s = atomic_load(&other->families[id].first); s; s = s->next) {
            int64_t cells[METER_BOUNDS_MAX + 2];

            take_cells(s, (enum meter_id)id, cells);
            merge_cells(m, (enum meter_id)id, (const char *const *)s->labels, cells);
        }
}

/* --- published values: {"family": [[[label, ...], cell, ...], ...], ...} --------------------- */

void
meters_write_json(const struct meters *m, struct buf *out)
{
    bool first = true;

    buf_char(out, '{');
    for (int id = 0; id < METER__COUNT; id++) {
        const struct series *s = atomic_load(&m->families[id].first);

        if (!s)
            continue;
        buf_printf(out, "%s\"%s\":[", first ? "" : ",", rows[id].name);
        first = false;
        for (; s; s = s->next) {
            buf_lit(out, "[[");
            for (int i = 0; i < labels_of((enum meter_id)id); i++) {
                if (i)
                    buf_char(out, ',');
                buf_json(out, s->labels[i]);
            }
            buf_char(out, ']');
            for (size_t i = 0; i < cells_of((enum meter_id)id); i++) {
                buf_char(out, ',');
                buf_int(out, atomic_load_explicit(&s->cells[i], memory_order_relaxed));
            }
            buf_str(out, s->next ? "]," : "]");
        }
        buf_char(out, ']');
    }
    buf_char(out, '}');
}

/* Of another release perhaps: what does not fit the row is left out. */
static void
merge_series(struct meters *m, enum meter_id id, const json_t *series)
{
    const json_t *names = json_array_get(series, 0);
    const char *labels[METER_LABELS_MAX + 1] = {NULL};
    int64_t cells[METER_BOUNDS_MAX + 2];
    int n = labels_of(id);

    if (json_array_size(names) != (size_t)n || json_array_size(series) != cells_of(id) + 1)
        return;
    for (int i = 0; i < n; i++) {
        labels[i] = json_string_value(json_array_get(names, (size_t)i));
        if (!labels[i])
            return;
    }
    for (size_t i = 0; i < cells_of(id); i++)
        cells[i] = json_integer_value(json_array_get(series, i + 1));
    merge_cells(m, id, labels, cells);
}

bool
meters_merge(struct meters *m, const char *json, size_t n)
{
    AUTO_JSON *all = json_loadb(json, n, 0, NULL);

    if (!json_is_object(all))
        return false;
    for (int id = 0; id < METER__COUNT; id++) {
        const json_t *family = json_object_get(all, rows[id].name);

        for (size_t i = 0; i < json_array_size(family); i++)
            merge_series(m, (enum meter_id)id, json_array_get(family, i));
    }
    return true;
}

/* --- the page ------------------------------------------------------------------------------ */

/* Names and values, without braces. */
static void
write_labels(enum meter_id id, const struct series *s, struct buf *out)
{
    const char *name = rows[id].labels;

    for (int i = 0; i < labels_of(id); i++) {
        size_t n = strcspn(name, ",");

        if (i)
            buf_char(out, ',');
        buf_add(out, name, n);
        buf_lit(out, "=\"");
        buf_prom(out, s->labels[i]);
        buf_char(out, '"');
        name += n + 1;
    }
}

static void
write_histogram(enum meter_id id, const char *labels, const int64_t *cells, struct buf *out)
{
    const struct meter_row *row = &rows[id];
    double unit = row->kind == METER_SECONDS ? 1e6 : 1;
    const char *comma = *labels ? "," : "", *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    int64_t below = 0;

    for (size_t b = 0; b <= bounds_of(id); b++) {
        below += cells[1 + b];
        buf_printf(out, "%s_bucket{%s%sle=\"", row->name, labels, comma);
        if (row->bounds[b])
            buf_printf(out, "%g", (double)row->bounds[b] / unit);
        else
            buf_lit(out, "+Inf");
        buf_printf(out, "\"} %lld\n", (long long)below);
    }
    buf_printf(out, "%s_sum%s%s%s %.6f\n", row->name, open, labels, close, (double)cells[0] / unit);
    buf_printf(out, "%s_count%s%s%s %lld\n", row->name, open, labels, close, (long long)below);
}

static void
write_series(enum meter_id id, const struct series *s, struct buf *out)
{
    int64_t cells[METER_BOUNDS_MAX + 2] = {0};
    AUTO_BUF labels = {0};

    if (s) {
        take_cells(s, id, cells);
        write_labels(id, s, &labels);
    }
    if (is_histogram(id))
        write_histogram(id, buf_cstr(&labels), cells, out);
    else if (labels.len)
        buf_printf(out, "%s{%s} %lld\n", rows[id].name, buf_cstr(&labels), (long long)cells[0]);
    else
        buf_printf(out, "%s %lld\n", rows[id].name, (long long)cells[0]);
}

void
meters_write_page(const struct meters *m, struct buf *out)
{
    static const char *const types[] = {
        [METER_COUNTER] = "counter",   [METER_GAUGE] = "gauge",     [METER_WORST] = "gauge",
        [METER_SECONDS] = "histogram", [METER_SIZES] = "histogram",
    };

    for (int id = 0; id < METER__COUNT; id++) {
        const struct series *s = atomic_load(&m->families[id].first);

        buf_printf(out, "# HELP %s %s.\n# TYPE %s %s\n", rows[id].name, rows[id].help,
                   rows[id].name, types[rows[id].kind]);
        if (!s && !labels_of((enum meter_id)id))
            write_series((enum meter_id)id, NULL, out);
        for (; s; s = s->next)
            write_series((enum meter_id)id, s, out);
    }
}
