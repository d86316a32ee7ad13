#include "observerd/shard.h"

#include <stdlib.h>
#include <string.h>

#include "macp/v1/core.pb-c.h"
#include "observerd/ambient.h"
#include "observerd/decoder.h"
#include "observerd/heir.h"
#include "observerd/message_json.h"
#include "observerd/refold.h"
#include "observerd/session.h"
#include "observerd/spool.h"
#include "observerd/status.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/meter.h"

enum {
    POLLS_PER_SECOND = 200, /* GetSession for sessions that are not open yet */
    POLL_BURST = 50,
    HELLO_MAX_MS = 5000,
    HELLO_PAUSE_MS = 1000,
    HELLO_REFUSED_MS = 250,
    INBOX_MAX = 1 << 16,
    TICK_MAX_MS = 1000,
    WAIT_LOOK_MS = 20,
};

/* --- the runtime, as this shard sees it ---------------------------------------------------- */

static void
hello_answered(void *ctx, const struct rt_status *status, const ProtobufCMessage *reply)
{
    struct shard *s = ctx;
    const Macp__V1__InitializeResponse *answer = (const void *)reply;
    AUTO_BUF capabilities = {0};

    s->hello = NULL;
    if (status->code != RT_OK) {
        int64_t wait = 250;

        for (int i = 0; i < s->hello_failures && wait < HELLO_MAX_MS; i++)
            wait *= 2;
        if (status->by_breaker) /* it costs nobody anything, and must not be the last to know */
            wait = HELLO_REFUSED_MS;
        else if (s->hello_failures++ == 0)
            log_warn("the runtime does not answer: %s %s", rt_code_name(status->code),
                     status->text);
        timer_set(&s->timers, &s->hello_timer, clock_mono_ms() + wait + random() % 100);
        return;
    }
    if (s->hello_failures)
        log_info("the runtime answers again");
    s->hello_failures = 0;
    s->hello_at_ms = clock_mono_ms();
    s->ready = true;
    json_decref(s->modes);
    s->modes = json_array();
    for (size_t i = 0; i < answer->n_supported_modes; i++)
        json_array_append_new(
            s->modes, jv_string(answer->supported_modes[i], strlen(answer->supported_modes[i])));
    if (answer->capabilities)
        message_json(&capabilities, &answer->capabilities->base);
    free(s->capabilities);
    s->capabilities = capabilities.len ? buf_steal(&capabilities) : NULL;
    for (struct session *each = s->by_key, *next; each; each = next) {
        next = each->by_key.next;
        if (each->state == SESSION_AWAITING)
            session_wake(each);
    }
}

static void
hello_due(struct timer *t)
{
    struct shard *s = (struct shard *)((char *)t - offsetof(struct shard, hello_timer));
    Macp__V1__InitializeRequest request = MACP__V1__INITIALIZE_REQUEST__INIT;
    Macp__V1__ClientInfo client = MACP__V1__CLIENT_INFO__INIT;
    char *versions[] = {(char *)"1.0"};

    if (s->hello || s->draining)
        return;
    client.name = (char *)"macp-control-plane";
    client.version = (char *)MACP_VERSION;
    request.n_supported_protocol_versions = ARRAY_LEN(versions);
    request.supported_protocol_versions = versions;
    request.client_info = &client;
    s->hello = rt_call_start(s->queue, RT_INITIALIZE, &request.base, hello_answered, s);
}

void
shard_runtime_lost(struct shard *s)
{
    int64_t now = clock_mono_ms(), soonest = s->hello_at_ms + HELLO_PAUSE_MS;

    s->ready = false;
    /* A runtime that says hello but is away for everything else must not make us spin. */
    if (!s->hello && !s->hello_timer.place)
        timer_set(&s->timers, &s->hello_timer, s->hello_at_ms && soonest > now ? soonest : now);
}

bool
shard_mode_is_supported(const struct shard *s, const char *mode)
{
    json_t *offered;
    size_t i;

    if (!json_array_size(s->modes))
        return true;
    json_array_foreach (s->modes, i, offered)
        if (strcmp(jv_cstr(offered), mode) == 0)
            return true;
    return false;
}

bool
shard_may_poll(struct shard *s, int64_t *wait_ms)
{
    int64_t now = clock_mono_ms();

    s->tokens += (double)(now - s->tokens_at_ms) * POLLS_PER_SECOND / 1000;
    s->tokens_at_ms = now;
    if (s->tokens > POLL_BURST)
        s->tokens = POLL_BURST;
    /* The answer makes events: none is asked for that there is no room for. */
    if (s->tokens >= 1 && !writer_is_full(s->writers[LANE_ORDINARY])) {
        s->tokens -= 1;
        return true;
    }
    *wait_ms = 10 + random() % 500; /* spread: thousands may wait for the next one */
    return false;
}

/* --- back-pressure ----------------------------------------------------------------------- */

void
shard_park(struct shard *s, struct session *session)
{
    if (session->parked)
        return;
    session->parked = true;
    session->next_parked = NULL;
    meter_add(METER_PARKINGS, 1);
    meter_add(METER_PARKED, 1);
    *s->parked_tail[session->lane] = session;
    s->parked_tail[session->lane] = &session->next_parked;
}

void
shard_forget_parked(struct shard *s, struct session *session)
{
    struct session **at = &s->parked_head[session->lane];

    while (*at && *at != session)
        at = &(*at)->next_parked;
    if (!*at)
        return;
    *at = session->next_parked;
    if (s->parked_tail[session->lane] == &session->next_parked)
        s->parked_tail[session->lane] = at;
    session->parked = false;
    meter_add(METER_PARKED, -1);
}

static bool
has_room(struct shard *s, int lane)
{
    return shard_is_spooling(s) ? shard_spool_has_room(s) : !writer_is_full(s->writers[lane]);
}

/* First parked, first read again; each may add one message before it is full again. */
static void
resume_parked(struct shard *s)
{
    for (int lane = 0; lane < LANE__COUNT; lane++)
        while (s->parked_head[lane] && has_room(s, lane)) {
            struct session *session = s->parked_head[lane];

            shard_forget_parked(s, session);
            session_unpark(session);
        }
}

/* --- the queue thread's turn --------------------------------------------------------------- */

struct session *
shard_find(struct shard *s, int64_t run_key)
{
    struct session *session;

    HASH_FIND(by_key, s->by_key, &run_key, sizeof run_key, session);
    return session;
}

void
shard_let_go(struct shard *s, struct session *session, bool soon)
{
    struct run_release *release = xcalloc(1, sizeof *release);

    release->mail.kind = CONTROL_RELEASE;
    release->run_key = session->run.run_key;
    release->fence = session->run.fence;
    release->soon = soon;
    writer_forget(session_writer(session), session->run.run_key, session->run.fence);
    session_drop(session);
    if (!mailbox_post(s->o.control, &release->mail))
        free(release); /* it is claimed when this instance is gone */
}

static void
take_results(struct shard *s, struct writer *writer)
{
    struct writer_result results[64];
    size_t n;

    do {
        n = writer_take_results(writer, results, ARRAY_LEN(results));
        for (size_t i = 0; i < n; i++) {
            struct session *session = shard_find(s, results[i].run_key);

            /* The run may have been let go and claimed anew since. */
            if (session && session->run.fence != results[i].fence)
                session = NULL;
            if (!session)
                writer_forget(writer, results[i].run_key, results[i].fence);
            else if (results[i].verdict == WRITER_COMMITTED)
                session_committed(session, &results[i]);
            else
                shard_let_go(s, session, results[i].verdict == WRITER_LOST);
        }
    } while (n == ARRAY_LEN(results));
}

static void
drain_all(struct shard *s)
{
    s->draining = true;
    timer_cancel(&s->timers, &s->hello_timer);
    if (s->hello)
        rt_call_cancel(s->hello);
    s->hello = NULL;
    heir_close_all(s);
    for (struct session *each = s->by_key; each; each = each->by_key.next)
        session_drain(each);
    atomic_store(&s->drained, true);
}

static void
drop_seed(struct shard *s, struct run_seed *seed)
{
    s->counts.runs--;
    run_seed_free(seed);
    free(seed);
}

static void
adopt(struct shard *s, struct run_seed *seed)
{
    struct session *held = shard_find(s, seed->run_key);

    if (s->draining || (held && held->run.fence >= seed->fence)) {
        drop_seed(s, seed); /* ours already: control only made sure */
        return;
    }
    if (held) { /* claimed again: what it has not stored was read under a fence that is over */
        writer_forget(session_writer(held), held->run.run_key, held->run.fence);
        session_drop(held);
    }
    session_adopt(s, seed);
}

static struct session *
find_session(struct shard *s, const char *session_id)
{
    struct session *session;

    HASH_FIND(by_session, s->by_session, session_id, strlen(session_id), session);
    return session;
}

/* A signal: an event of one of our runs, or somebody else's, or too early. */
static void
ambient_arrived(struct shard *s, struct ambient_mail *mail)
{
    struct session *session = find_session(s, mail->session_id);
    bool full = session && writer_is_full(session_writer(session));

    if (session && !full)
        session_ambient(session, mail);
    if (mail->taken || mail->ambient_key)
        free(mail); /* a row that was not taken stays where it is */
    else if (full)
        ambient_keep(s->o.ambient, mail);
    else
        ambient_pass(s->o.ambient, mail);
    if (full) /* no room for it now: it comes again out of the table */
        session_look_for_signals(session);
}

/* The other one has it, or it is nobody's: then it is claimed anew. */
static void
handed(struct shard *s, const struct run_mail *m)
{
    struct session *session = shard_find(s, m->run_key);

    if (!session || session->run.fence != m->fence || session->state != SESSION_HANDING)
        return;
    if (m->yes)
        session_drop(session);
    else
        shard_let_go(s, session, true);
}

static void
leave(struct shard *s)
{
    for (struct session *each = s->by_key; each; each = each->by_key.next)
        session_leave(each);
}

static void
reload(struct shard *s, const struct shard_reload *mail)
{
    s->o.cfg = mail->cfg;
    s->o.redactor = mail->redactor;
    for (struct session *each = s->by_key; each; each = each->by_key.next)
        each->normalizer.redactor = mail->redactor;
}

static void
order_arrived(struct shard *s, struct shard_order *order)
{
    struct session *session = shard_find(s, order->run_key);

    order->answer = ORDER_UNKNOWN;
    if (session && !s->draining)
        session_order(session, order);
    order->mail.kind = order->reply_kind;
    if (!mailbox_post(order->reply, &order->mail))
        shard_order_free(order); /* whoever asked asks again */
}

void
shard_order_free(struct shard_order *order)
{
    refold_free(order->refold);
    free(order->args);
    free(order);
}

static void
decoded_arrived(struct shard *s, struct decoded *decoded)
{
    struct session *session = shard_find(s, decoded->run_key);

    if (session)
        session_decoded(session, decoded);
    else
        decoder_release(s->decoder, decoded);
}

static void
read_inbox(struct shard *s)
{
    struct mail *mail = mailbox_take_all(&s->inbox), *next;

    for (; mail; mail = next) {
        struct session *session = NULL;

        next = mail->next;
        switch ((enum shard_mail)mail->kind) {
        case SHARD_ADOPT:
            adopt(s, (struct run_seed *)mail);
            continue;
        case SHARD_WAKE:
            session = find_session(s, ((struct shard_wake *)mail)->session_id);
            if (session && !s->draining)
                session_wake(session);
            break;
        case SHARD_DRAIN:
            drain_all(s);
            break;
        case SHARD_AMBIENT:
            ambient_arrived(s, (struct ambient_mail *)mail);
            continue;
        case SHARD_LOOK:
            for (session = s->by_key; session; session = session->by_key.next)
                session_look_for_signals(session);
            break;
        case SHARD_INHERIT:
            if (!s->draining)
                heir_open(s, (struct heir_mail *)mail);
            break;
        case SHARD_UNHEIR:
            heir_close(s, ((struct run_mail *)mail)->run_key);
            break;
        case SHARD_LET_IN:
            session = shard_find(s, ((struct run_mail *)mail)->run_key);
            if (session && !s->draining)
                session_hand_over(session, ((struct run_mail *)mail)->ordinal);
            break;
        case SHARD_HANDED:
            handed(s, (struct run_mail *)mail);
            break;
        case SHARD_DECODED:
            decoded_arrived(s, (struct decoded *)mail);
            continue;
        case SHARD_SETTLED:
            s->settled = true;
            break;
        case SHARD_LEAVE:
            if (!s->draining)
                leave(s);
            break;
        case SHARD_RELOAD:
            reload(s, (struct shard_reload *)mail);
            break;
        case SHARD_ORDER:
            order_arrived(s, (struct shard_order *)mail);
            continue;
        }
        free(mail);
    }
}

static bool
writers_are_idle(const struct shard *s)
{
    for (int lane = 0; lane < LANE__COUNT; lane++)
        if (!writer_is_idle(s->writers[lane]))
            return false;
    return true;
}

/* Nothing is left to store. */
static bool
is_done(const struct shard *s)
{
    return writers_are_idle(s) && !shard_is_spooling(s);
}

/* A writer's silence must be noticed: it wakes for results and room only. So must the spool's. */
static bool
is_waiting(const struct shard *s)
{
    return s->draining ||
           (s->spool && (spool_bytes(s->spool) > 0 || s->parked_head[LANE_ORDINARY] ||
                         s->parked_head[LANE_BULK]));
}

static int64_t
tick(void *ctx)
{
    struct shard *s = ctx;
    int64_t now;

    status_turn(s->o.turned_ms);
    read_inbox(s);
    for (int lane = 0; lane < LANE__COUNT; lane++)
        take_results(s, s->writers[lane]);
    shard_spool_turn(s);
    resume_parked(s);
    timers_run(&s->timers, clock_mono_ms());
    if (s->draining && is_done(s))
        rt_queue_stop(s->queue);
    now = clock_mono_ms();
    return timers_next(&s->timers, now + (is_waiting(s) ? WAIT_LOOK_MS : TICK_MAX_MS));
}

static void *
queue_main(void *arg)
{
    struct shard *s = arg;

    s->tokens_at_ms = clock_mono_ms();
    timer_set(&s->timers, &s->hello_timer, s->tokens_at_ms);
    rt_queue_run(s->queue, tick, s);
    for (struct session *each = s->by_key, *next; each; each = next) {
        next = each->by_key.next;
        each->call = NULL; /* the queue has ended them all */
        each->stream = NULL;
        session_drop(each);
    }
    heir_forget_all(s);
    return NULL;
}

/* --- from outside ------------------------------------------------------------------------ */

static const char *const lane_names[LANE__COUNT] = {
    [LANE_ORDINARY] = "macp-observerd writer",
    [LANE_BULK] = "macp-observerd bulk writer",
};

static void
wake_queue(void *ctx)
{
    rt_queue_wake(((struct shard *)ctx)->queue);
}

bool
shard_start(const struct shard_options *o, struct shard **out, struct err *err)
{
    struct shard *s = xcalloc(1, sizeof *s);

    s->o = *o;
    s->modes = json_array();
    for (int lane = 0; lane < LANE__COUNT; lane++)
        s->parked_tail[lane] = &s->parked_head[lane];
    s->hello_timer.fire = hello_due;
    if (!shard_spool_open(s, err) || !rt_queue_new(o->runtime, &s->queue, err)) {
        spool_close(s->spool);
        json_decref(s->modes);
        free(s);
        return false;
    }
    mailbox_init(&s->inbox, INBOX_MAX, wake_queue, s);
    s->decoder = decoder_start(&s->inbox, SHARD_DECODED);
    for (int lane = 0; lane < LANE__COUNT; lane++)
        s->writers[lane] = writer_start(
            &(struct writer_options){.name = lane_names[lane],
                                     .cfg = o->cfg,
                                     .notifier = o->notifier,
                                     .alive_until_ms = o->alive_until_ms,
                                     .after = lane == LANE_BULK ? s->writers[LANE_ORDINARY] : NULL,
                                     .wake = wake_queue,
                                     .ctx = s});
    if (pthread_create(&s->thread, NULL, queue_main, s) != 0)
        BUG("cannot start a thread");
    *out = s;
    return true;
}

bool
shard_post(struct shard *s, struct mail *mail)
{
    return mailbox_post(&s->inbox, mail);
}

bool
run_mail_post(struct mailbox *to, int kind, const struct run_mail *what)
{
    struct run_mail *m = xcalloc(1, sizeof *m);

    *m = *what;
    m->mail = (struct mail){.kind = kind};
    if (mailbox_post(to, &m->mail))
        return true;
    free(m);
    return false;
}

bool
shard_stop(struct shard *s, int64_t limit_ms)
{
    struct mail *drain = xcalloc(1, sizeof *drain);
    int64_t until = clock_mono_ms() + limit_ms;
    bool stored = true, kept = false; /* kept: what is not stored is in the spool */

    for (int lane = 0; lane < LANE__COUNT; lane++)
        writer_end_by(s->writers[lane], until);
    drain->kind = SHARD_DRAIN;
    if (!mailbox_post(&s->inbox, drain))
        free(drain);
    /* The queue thread ends when the writer is idle; Postgres may be away, so not for ever. */
    while (!(atomic_load(&s->drained) && is_done(s)) && clock_mono_ms() < until)
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    rt_queue_stop(s->queue);
    pthread_join(s->thread, NULL);
    decoder_stop(s->decoder);
    if (s->spool && !writers_are_idle(s))
        kept = shard_spool_batches(s);
    for (int lane = LANE__COUNT; lane-- > 0;) /* the bulk lane looks at the ordinary one */
        stored =
            writer_stop(s->writers[lane], until > clock_mono_ms() ? until - clock_mono_ms() : 0) &&
            stored;
    if (stored && s->spool && !shard_is_spooling(s))
        spool_clear(s->spool);
    spool_close(s->spool);
    return stored || kept;
}

void
shard_free(struct shard *s)
{
    if (!s)
        return;
    rt_queue_free(s->queue);
    for (struct mail *mail = mailbox_take_all(&s->inbox), *next; mail; mail = next) {
        next = mail->next;
        if (mail->kind == SHARD_ADOPT) /* owns more than its mail */
            drop_seed(s, (struct run_seed *)mail);
        else if (mail->kind == SHARD_DECODED)
            decoded_free((struct decoded *)mail);
        else if (mail->kind == SHARD_ORDER)
            shard_order_free((struct shard_order *)mail);
        else
            free(mail);
    }
    mailbox_fini(&s->inbox);
    timers_fini(&s->timers);
    event_list_fini(&s->events);
    arena_fini(&s->arena);
    json_decref(s->modes);
    free(s->capabilities);
    free(s);
}
