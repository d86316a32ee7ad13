#include "fcgi/route.h"

#include <string.h>
#include <strings.h>

enum { SEGMENTS_MAX = 8 };

struct segment {
    const char *p;
    size_t n;
};

/* Split behind the leading slash, without one trailing slash. -1: nothing we could know. */
static int
split(const char *path, struct segment out[SEGMENTS_MAX])
{
    int n = 0;

    if (*path != '/')
        return -1;
    for (path++; *path;) {
        size_t len = strcspn(path, "/");

        if (n == SEGMENTS_MAX)
            return -1;
        out[n++] = (struct segment){path, len};
        path += len;
        if (*path == '/')
            path++;
    }
    return n;
}

/*
 * How well a template fits: -1 not at all, else one bit per segment, set where the segment is
 * static, the leftmost most significant.
 */
static int
fit(const char *template, const struct segment *segments, int n)
{
    int score = 0;

    for (int i = 0; i < n; i++) {
        size_t len;

        if (*template != '/')
            return -1;
        template ++;
        len = strcspn(template, "/");
        score <<= 1;
        if (segments[i].n == 0)
            return -1;
        if (*template != ':') {
            if (len != segments[i].n || strncasecmp(template, segments[i].p, len) != 0)
                return -1;
            score |= 1;
        }
        template += len;
    }
    return *template ? -1 : score;
}

static bool
take_params(struct request *rq, const char *template, const struct segment *segments,
            struct err *err)
{
    int n = 0;

    for (int i = 0; *template; i++) {
        template ++;
        if (*template == ':') {
            const struct segment *s = &segments[i];
            char *value = request_decode(rq->arena, s->p, s->n, false);

            if (!value)
                return err_set(err, ERR_VALIDATION, "Failed to decode param '%.*s'",
                               (int)(s->n < 400 ? s->n : 400), s->p);
            rq->params[n++] = value;
        }
        template += strcspn(template, "/");
    }
    return true;
}

enum route_match
route_find(struct request *rq, struct err *err)
{
    enum http_method method = rq->method == HTTP_HEAD ? HTTP_GET : rq->method;
    struct segment segments[SEGMENTS_MAX];
    int n = split(rq->path, segments), best = -1;

    if (n <= 0)
        return ROUTE_NONE;
    for (size_t i = 0; i < routes_n; i++) {
        int score;

        if (routes[i].method != method)
            continue;
        score = fit(routes[i].path, segments, n);
        if (score > best) {
            best = score;
            rq->route = &routes[i];
        }
    }
    if (best < 0)
        return ROUTE_NONE;
    return take_params(rq, rq->route->path, segments, err) ? ROUTE_FOUND : ROUTE_BAD_PARAM;
}
