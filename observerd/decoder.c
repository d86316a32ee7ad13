#include "observerd/decoder.h"

#include <pthread.h>
#include <stdlib.h>

#include "observerd/envelope.h"
#include "shared/arena.h"
#include "shared/json.h"

enum { WAITING_MAX = 64 }; /* of a mebibyte or so */

enum errand { ERRAND_DECODE, ERRAND_FREE };

struct decoder {
    pthread_t thread;
    struct mailbox *reply, errands;
    int kind;
    pthread_mutex_t mu;
    pthread_cond_t ring;
    bool rung, stopping;
};

static void
wake(void *ctx)
{
    struct decoder *d = ctx;

    pthread_mutex_lock(&d->mu);
    d->rung = true;
    pthread_mutex_unlock(&d->mu);
    pthread_cond_signal(&d->ring);
}

void
decoded_free(struct decoded *decoded)
{
    json_decref(decoded->payload.value);
    buf_fini(&decoded->text);
    buf_fini(&decoded->bytes);
    free(decoded);
}

static void
decode(struct decoder *d, struct decoded *job)
{
    struct arena arena = {0};
    struct envelope e;

    /* Malformed bytes give an envelope without a payload, as they do elsewhere. */
    if (envelope_read(job->bytes.p, job->bytes.len, &arena, &e)) {
        job->payload = payload_decode(e.mode, e.message_type, e.payload, e.payload_len);
        jv_write(&job->text, payload_inner(job->payload.value));
    }
    arena_fini(&arena);
    job->mail.kind = d->kind;
    if (!mailbox_post(d->reply, &job->mail))
        decoded_free(job); /* the shard is gone */
}

/* False: it is time to stop. */
static bool
wait_for_errands(struct decoder *d)
{
    bool more;

    pthread_mutex_lock(&d->mu);
    while (!d->rung && !d->stopping)
        pthread_cond_wait(&d->ring, &d->mu);
    d->rung = false;
    more = !d->stopping;
    pthread_mutex_unlock(&d->mu);
    return more;
}

static void
run_errands(struct decoder *d, bool stopping)
{
    struct mail *mail = mailbox_take_all(&d->errands), *next;

    for (; mail; mail = next) {
        next = mail->next;
        if (mail->kind == ERRAND_DECODE && !stopping)
            decode(d, (struct decoded *)mail);
        else
            decoded_free((struct decoded *)mail);
    }
}

static void *
decoder_main(void *arg)
{
    struct decoder *d = arg;

    while (wait_for_errands(d))
        run_errands(d, false);
    run_errands(d, true);
    return NULL;
}

static bool
send(struct decoder *d, enum errand what, struct decoded *job)
{
    job->mail = (struct mail){.kind = (int)what};
    return mailbox_post(&d->errands, &job->mail);
}

bool
decoder_ask(struct decoder *d, int64_t run_key, uint64_t token, const void *bytes, size_t n)
{
    struct decoded *job = xcalloc(1, sizeof *job);

    job->run_key = run_key;
    job->token = token;
    buf_add(&job->bytes, bytes, n);
    if (send(d, ERRAND_DECODE, job))
        return true;
    decoded_free(job);
    return false;
}

void
decoder_release(struct decoder *d, struct decoded *decoded)
{
    if (decoded && !send(d, ERRAND_FREE, decoded))
        decoded_free(decoded);
}

void
decoder_stop(struct decoder *d)
{
    pthread_mutex_lock(&d->mu);
    d->stopping = true;
    pthread_mutex_unlock(&d->mu);
    pthread_cond_signal(&d->ring);
    pthread_join(d->thread, NULL);
    run_errands(d, true);
    mailbox_fini(&d->errands);
    pthread_cond_destroy(&d->ring);
    pthread_mutex_destroy(&d->mu);
    free(d);
}

struct decoder *
decoder_start(struct mailbox *reply, int kind)
{
    struct decoder *d = xcalloc(1, sizeof *d);

    d->reply = reply;
    d->kind = kind;
    pthread_mutex_init(&d->mu, NULL);
    pthread_cond_init(&d->ring, NULL);
    mailbox_init(&d->errands, WAITING_MAX, wake, d);
    if (pthread_create(&d->thread, NULL, decoder_main, d) != 0)
        BUG("cannot start a thread");
    return d;
}
