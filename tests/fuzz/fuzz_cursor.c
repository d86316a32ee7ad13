/*
 * fuzz_cursor.c - what a client of an event stream may send: the query of both streams and the
 * Last-Event-ID header. Input: the header, a line end, the query. Whatever is accepted must make
 * a plan within its bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/stream.h"
#include "shared/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_follow(const struct query_value *q, const char *header)
{
    struct stream_plan p = {0};

    stream_follow_plan(q, header, 15000, 7, &p);
    if (p.after < 1 || p.after > EVENT_SEQ_MAX)
        BUG("a cursor that no column can hold: %lld", (long long)p.after);
    if (p.heartbeat_ms < 1000 || p.heartbeat_ms > 60000)
        BUG("a heartbeat every %d ms", p.heartbeat_ms);
}

static void
check_replay(const struct query_value *q, const char *header)
{
    struct stream_plan p = {0};

    stream_replay_plan(q, header, &p);
    if (p.after < 0 || p.after > EVENT_SEQ_MAX || p.to < 1 || p.to > EVENT_SEQ_MAX)
        BUG("bounds %lld to %lld", (long long)p.after, (long long)p.to);
    if (!(p.speed >= 0.1))
        BUG("speed %g", p.speed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct {
        const struct query_field *fields;
        void (*check)(const struct query_value *q, const char *header);
    } streams[] = {{run_stream_query, check_follow}, {run_replay_stream_query, check_replay}};
    char *header = xstrndup((const char *)data, n), *query = strchr(header, '\n');

    if (query)
        *query++ = '\0';
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct arena arena = {0};
        struct texts texts = {0};
        const struct query_value *q =
            query_parse(&arena, query ? query : "", streams[i].fields, &texts);

        if (texts.n == 0)
            streams[i].check(q, header);
        texts_fini(&texts);
        arena_fini(&arena);
    }
    free(header);
    return 0;
}
