#include "fcgi/http_metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "fcgi/route.h"

/* Upper bounds in microseconds and as they are printed; one more bucket is for the rest. */
static const struct {
    int64_t us;
    const char *text;
} bounds[] = {
    {10000, "0.01"}, {50000, "0.05"},  {100000, "0.1"}, {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},  {2500000, "2.5"}, {5000000, "5"},  {10000000, "10"},
};

/* Statuses that are answered; the last one stands for any other. */
static const int statuses[] = {200, 201, 202, 204, 400, 401, 403, 404, 408, 409,
                               410, 413, 415, 429, 500, 501, 502, 503, 504, 0};

enum {
    BUCKETS = ARRAY_LEN(bounds) + 1,
    STATUSES = ARRAY_LEN(statuses),
    METHODS = HTTP_OPTIONS + 1,
    PER_ROUTE = 2, /* its own method, and HEAD */
};

struct cell {
    atomic_ullong buckets[BUCKETS];
    atomic_ullong sum_us;
};

/* Routes first, then the requests that match none, by method. */
struct http_metrics {
    size_t slots;
    struct cell cells[][STATUSES];
};

static const char *const method_names[METHODS] = {
    [HTTP_OTHER] = "other",     [HTTP_GET] = "GET",     [HTTP_HEAD] = "HEAD",
    [HTTP_POST] = "POST",       [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS",
};

struct http_metrics *
http_metrics_new(void)
{
    size_t slots = routes_n * PER_ROUTE + METHODS;
    struct http_metrics *m = xcalloc(1, sizeof *m + slots * sizeof m->cells[0]);

    m->slots = slots;
    return m;
}

void
http_metrics_free(struct http_metrics *m)
{
    free(m);
}

static size_t
slot_of(const struct request *rq)
{
    if (!rq->route)
        return routes_n * PER_ROUTE + rq->method;
    return (size_t)(rq->route - routes) * PER_ROUTE + (rq->method == HTTP_HEAD);
}

void
http_metrics_count(struct http_metrics *m, const struct request *rq, int status, int64_t took_us)
{
    size_t s = 0, b = 0;
    struct cell *cell;

    if (rq->method == HTTP_OPTIONS)
        return;
    while (statuses[s] && statuses[s] != status)
        s++;
    while (b < ARRAY_LEN(bounds) && took_us > bounds[b].us)
        b++;
    cell = &m->cells[slot_of(rq)][s];
    atomic_fetch_add_explicit(&cell->buckets[b], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cell->sum_us, (unsigned long long)took_us, memory_order_relaxed);
}

/* --- the page
 * ------------------------------------------------------------------------------------- */

/* One series: its labels without braces, and a snapshot of its counters. */
struct series {
    struct buf labels;
    unsigned long long buckets[BUCKETS], count;
    double sum_s;
};

static void
name_series(size_t slot, size_t s, struct buf *out)
{
    const char *path = "unmatched", *method;

    if (slot < routes_n * PER_ROUTE) {
        const struct route *route = &routes[slot / PER_ROUTE];

        path = route->path;
        method = method_names[slot % PER_ROUTE ? HTTP_HEAD : route->method];
    } else {
        method = method_names[slot - routes_n * PER_ROUTE];
    }
    buf_reset(out);
    buf_printf(out, "method=\"%s\",path=\"%s\",status_code=", method, path);
    if (statuses[s])
        buf_printf(out, "\"%d\"", statuses[s]);
    else
        buf_lit(out, "\"other\"");
}

/* False when nothing has been counted. */
static bool
take_series(const struct http_metrics *m, size_t slot, size_t s, struct series *out)
{
    const struct cell *cell = &m->cells[slot][s];

    out->count = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        out->buckets[b] = atomic_load_explicit(&cell->buckets[b], memory_order_relaxed);
        out->count += out->buckets[b];
    }
    if (out->count == 0)
        return false;
    out->sum_s = (double)atomic_load_explicit(&cell->sum_us, memory_order_relaxed) / 1e6;
    name_series(slot, s, &out->labels);
    return true;
}

static void
write_histogram(const struct series *one, struct buf *out)
{
    unsigned long long below = 0;

    for (size_t b = 0; b < BUCKETS; b++) {
        below += one->buckets[b];
        buf_printf(out, "http_request_duration_seconds_bucket{%s,le=\"%s\"} %llu\n",
                   buf_cstr(&one->labels), b < ARRAY_LEN(bounds) ? bounds[b].text : "+Inf", below);
    }
    buf_printf(out, "http_request_duration_seconds_sum{%s} %.6f\n", buf_cstr(&one->labels),
               one->sum_s);
    buf_printf(out, "http_request_duration_seconds_count{%s} %llu\n", buf_cstr(&one->labels),
               one->count);
}

void
http_metrics_write(const struct http_metrics *m, struct buf *out)
{
    AUTO_BUF totals = {0};
    struct series one = {0};

    buf_lit(out, "# HELP http_request_duration_seconds Time from request to answer.\n"
                 "# TYPE http_request_duration_seconds histogram\n");
    buf_lit(&totals, "# HELP http_requests_total Requests answered.\n"
                     "# TYPE http_requests_total counter\n");
    for (size_t slot = 0; slot < m->slots; slot++)
        for (size_t s = 0; s < STATUSES; s++) {
            if (!take_series(m, slot, s, &one))
                continue;
            write_histogram(&one, out);
            buf_printf(&totals, "http_requests_total{%s} %llu\n", buf_cstr(&one.labels), one.count);
        }
    buf_add(out, totals.p, totals.len);
    buf_fini(&one.labels);
}
