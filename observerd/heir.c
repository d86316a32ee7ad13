#include "observerd/heir.h"

#include <stdlib.h>
#include <uthash.h>

#include "observerd/runtime.h"
#include "observerd/shard.h"
#include "shared/wire.h"

struct heir {
    int64_t run_key, at;
    struct shard *shard;
    struct rt_stream *stream;
    UT_hash_handle hh;
};

static void
forget(struct heir *h)
{
    HASH_DEL(h->shard->heirs, h);
    free(h);
}

static bool
tell(struct heir *h, bool yes)
{
    return run_mail_post(h->shard->o.control, CONTROL_HEIR,
                         &(struct run_mail){.run_key = h->run_key, .ordinal = h->at, .yes = yes});
}

/* Control looks after heirs that it hears nothing of. */
static void
give_up(struct heir *h)
{
    bool told = tell(h, false);

    (void)told;
    forget(h);
}

static bool
proof(void *ctx, const void *bytes, size_t n)
{
    struct heir *h = ctx;
    struct wire_reader reader = wire_read(bytes, n);
    struct wire_field f, body = {0};

    while (wire_next(&reader, &f) == WIRE_FIELD)
        if (f.type == WIRE_LEN && (f.number == 1 || f.number == 2))
            body = f;
    if (body.number == 0)
        return true;
    h->at++;
    if (body.number == 2 || !tell(h, true)) {
        rt_stream_cancel(h->stream);
        give_up(h);
    }
    return false;
}

static void
closed(void *ctx, const struct rt_status *status)
{
    (void)status;
    give_up(ctx);
}

void
heir_open(struct shard *s, const struct heir_mail *m)
{
    static const struct rt_stream_ops ops = {.message = proof, .closed = closed};
    struct heir *h;

    HASH_FIND(hh, s->heirs, &m->run_key, sizeof m->run_key, h);
    if (h)
        return;
    h = xcalloc(1, sizeof *h);
    h->run_key = m->run_key;
    h->shard = s;
    h->at = m->cursor > 0 ? m->cursor - 1 : 0;
    h->stream = rt_session_subscribe(s->queue, m->session_id, h->at, &ops, h);
    HASH_ADD(hh, s->heirs, run_key, sizeof h->run_key, h);
}

bool
heir_take(struct shard *s, int64_t run_key, struct rt_stream **stream, int64_t *at)
{
    struct heir *h;

    HASH_FIND(hh, s->heirs, &run_key, sizeof run_key, h);
    if (!h)
        return false;
    *stream = h->stream;
    *at = h->at;
    forget(h);
    return true;
}

void
heir_close(struct shard *s, int64_t run_key)
{
    struct rt_stream *stream;
    int64_t at;

    if (heir_take(s, run_key, &stream, &at))
        rt_stream_cancel(stream);
}

void
heir_close_all(struct shard *s)
{
    while (s->heirs)
        heir_close(s, s->heirs->run_key);
}

void
heir_forget_all(struct shard *s)
{
    while (s->heirs)
        forget(s->heirs);
}
