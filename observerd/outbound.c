#include "observerd/outbound.h"

#include <curl/curl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "observerd/mailbox.h"
#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/destination.h"

enum {
    CONNECT_MAX_MS = 2000,
    HEADERS_MAX = 65536, /* of an answer */
    CACHED_MAX = 64,     /* connections that are kept for the next request */
    LOOK_MS = 1000,
};

struct transfer {
    struct mail mail; /* while it waits */
    struct transfer *prev, *next;
    struct outbound *outbound;
    outbound_done_fn *done;
    void *ctx;
    CURL *easy; /* NULL until it is under way */
    CURLU *parsed;
    struct curl_slist *headers;
    char *url, *body, *host;
    size_t body_len, header_bytes;
    struct buf reply;
    int timeout_ms;
    int64_t since_ms; /* monotonic */
    bool trusted;
    bool opened;    /* a socket to an address that is allowed */
    bool full;      /* the answer is longer than what is kept of it */
    struct err why; /* of the address that was refused last; ERR_NONE: none was */
};

struct outbound {
    const struct config *cfg;
    CURLM *multi;
    pthread_t thread;
    struct mailbox inbox;
    _Atomic size_t accepted; /* and not answered */
    atomic_bool stopping;
    struct transfer *under_way;
};

/* --- answers --------------------------------------------------------------------------------- */

static void
transfer_free(struct transfer *t)
{
    curl_easy_cleanup(t->easy);
    curl_url_cleanup(t->parsed);
    curl_slist_free_all(t->headers);
    buf_fini(&t->reply);
    curl_free(t->host);
    free(t->url);
    free(t->body);
    free(t);
}

/* The last thing that happens to a transfer; it is nowhere linked any more. */
static void
answer(struct transfer *t, struct outbound_reply *reply)
{
    int64_t took = clock_mono_ms() - t->since_ms;

    reply->took_ms = took < INT_MAX ? (int)took : INT_MAX;
    reply->body = buf_cstr(&t->reply);
    reply->body_len = t->reply.len;
    /* Its place is free before the answer, which may send the next one. */
    atomic_fetch_sub(&t->outbound->accepted, 1);
    t->done(t->ctx, reply);
    transfer_free(t);
}

static void
answer_stopped(struct transfer *t)
{
    buf_reset(&t->reply);
    answer(t, &(struct outbound_reply){.error = "the program is stopping", .stopped = true});
}

/* Curl's own words may quote the address. */
static const char *
failure_text(CURLcode code)
{
    static const struct {
        CURLcode code;
        const char *text;
    } texts[] = {
        {CURLE_UNSUPPORTED_PROTOCOL, "it does not speak HTTP"},
        {CURLE_COULDNT_RESOLVE_HOST, "its host name cannot be resolved"},
        {CURLE_COULDNT_CONNECT, "its host cannot be connected to"},
        {CURLE_OPERATION_TIMEDOUT, "no answer in time"},
        {CURLE_PEER_FAILED_VERIFICATION, "its certificate is not trusted"},
        {CURLE_SSL_CONNECT_ERROR, "no TLS connection could be made"},
        {CURLE_GOT_NOTHING, "the connection was closed without an answer"},
        {CURLE_RECV_ERROR, "the connection was lost"},
        {CURLE_SEND_ERROR, "the connection was lost"},
        {CURLE_PARTIAL_FILE, "the connection was closed within the answer"},
        {CURLE_WRITE_ERROR, "its answer is too long"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].code == code)
            return texts[i].text;
    return curl_easy_strerror(code);
}

static void
ended(struct transfer *t, CURLcode code)
{
    struct outbound_reply reply = {.error = ""};
    curl_off_t retry_after = 0;
    long status = 0;

    if (code == CURLE_WRITE_ERROR && t->full)
        code = CURLE_OK;
    if (code == CURLE_OK) {
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after);
        reply.status = (int)status;
        reply.retry_after_s = retry_after < INT_MAX ? (int)retry_after : INT_MAX;
        if (status == 0)
            reply.error = "it does not speak HTTP";
        answer(t, &reply);
        return;
    }
    reply.refused = t->why.code != ERR_NONE && !t->opened;
    reply.timed_out = code == CURLE_OPERATION_TIMEDOUT;
    reply.error = reply.refused ? t->why.msg : failure_text(code);
    buf_reset(&t->reply);
    answer(t, &reply);
}

/* --- what curl asks -------------------------------------------------------------------------- */

/* Every address that a name has comes by here before anything is sent to it. */
static curl_socket_t
open_socket(void *ctx, curlsocktype purpose UNUSED, struct curl_sockaddr *to)
{
    struct transfer *t = ctx;
    struct address a;

    if (!t->trusted) {
        if (!address_of_socket(&to->addr, &a)) {
            err_set(&t->why, ERR_VALIDATION, "its host is not allowed");
            return CURL_SOCKET_BAD;
        }
        if (!destination_check_address(&a, t->host, t->outbound->cfg, &t->why))
            return CURL_SOCKET_BAD;
    }
    t->opened = true;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static size_t
take_header(char *p UNUSED, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;

    t->header_bytes += size * n;
    return t->header_bytes <= HEADERS_MAX ? size * n : 0;
}

static size_t
take_body(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t left = OUTBOUND_REPLY_MAX - t->reply.len;

    t->full = size * n > left;
    buf_add(&t->reply, p, t->full ? left : size * n);
    return t->full ? 0 : size * n; /* 0 ends the transfer */
}

/* --- the thread ------------------------------------------------------------------------------ */

static bool
parse(struct transfer *t, struct err *err)
{
    size_t n;

    if (!t->trusted && !destination_check_url(t->url, t->outbound->cfg, err))
        return false;
    t->parsed = curl_url();
    if (!t->parsed)
        BUG("out of memory");
    if (curl_url_set(t->parsed, CURLUPART_URL, t->url, 0) != CURLUE_OK ||
        curl_url_get(t->parsed, CURLUPART_HOST, &t->host, 0) != CURLUE_OK)
        return err_set(err, ERR_VALIDATION, "it is not a valid URL");
    n = strlen(t->host);
    if (n > 0 && t->host[n - 1] == '.') /* the same name, spelt absolutely */
        t->host[n - 1] = '\0';
    return true;
}

static void
begin(struct outbound *o, struct transfer *t)
{
    int64_t left = t->timeout_ms - (clock_mono_ms() - t->since_ms);
    long timeout = left > 1 ? (long)left : 1;
    long connect = t->trusted || timeout < CONNECT_MAX_MS ? timeout : CONNECT_MAX_MS;
    struct err err;
    CURL *c;

    if (!parse(t, &err)) {
        answer(t, &(struct outbound_reply){.error = err.msg, .refused = true});
        return;
    }
    c = t->easy = curl_easy_init();
    if (!c)
        BUG("out of memory");
    // clang-format off
    if (curl_easy_setopt(c, CURLOPT_PRIVATE, t) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_CURLU, t->parsed) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_PROXY, "") != CURLE_OK || /* not the environment's either */
        curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_USERAGENT, "macp-observerd/" MACP_VERSION) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        /* A resolver that hangs is left behind; to wait for it would stop all other transfers. */
        curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, connect) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_HEADERDATA, t) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEDATA, t) != CURLE_OK ||
        /* What only the operator may reach must not be left open for the others. */
        curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, t->trusted ? 1L : 0L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_FORBID_REUSE, t->trusted ? 1L : 0L) != CURLE_OK ||
        (t->body && (curl_easy_setopt(c, CURLOPT_POST, 1L) != CURLE_OK ||
            curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->body) != CURLE_OK ||
            curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_len) != CURLE_OK)))
        BUG("curl lacks an option");
    // clang-format on
    DL_APPEND(o->under_way, t);
    if (curl_multi_add_handle(o->multi, c) != CURLM_OK)
        BUG("curl takes no transfer");
}

static void
begin_new(struct outbound *o)
{
    for (struct mail *m = mailbox_take_all(&o->inbox), *behind; m; m = behind) {
        behind = m->next;
        begin(o, (struct transfer *)m);
    }
}

static void
unlink_transfer(struct outbound *o, struct transfer *t)
{
    curl_multi_remove_handle(o->multi, t->easy);
    DL_DELETE(o->under_way, t);
}

static void
answer_ended(struct outbound *o)
{
    struct transfer *t;
    const CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(o->multi, &left))) {
        CURLcode code = m->data.result;

        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        unlink_transfer(o, t); /* m is gone with it */
        ended(t, code);
    }
}

static void *
outbound_main(void *arg)
{
    struct outbound *o = arg;
    int running;

    while (!atomic_load(&o->stopping)) {
        begin_new(o);
        if (curl_multi_perform(o->multi, &running) != CURLM_OK)
            BUG("curl cannot go on");
        answer_ended(o);
        if (curl_multi_poll(o->multi, NULL, 0, LOOK_MS, NULL) != CURLM_OK)
            BUG("curl cannot wait");
    }
    while (o->under_way) {
        struct transfer *t = o->under_way;

        unlink_transfer(o, t);
        answer_stopped(t);
    }
    for (struct mail *m = mailbox_take_all(&o->inbox), *behind; m; m = behind) {
        behind = m->next;
        answer_stopped((struct transfer *)m);
    }
    return NULL;
}

/* --- for everybody --------------------------------------------------------------------------- */

static void
wake(void *ctx)
{
    curl_multi_wakeup(((struct outbound *)ctx)->multi);
}

bool
outbound_start(const struct config *cfg, struct outbound **out, struct err *err)
{
    struct outbound *o;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "cannot initialise the HTTP client");
    o = xcalloc(1, sizeof *o);
    o->cfg = cfg;
    o->multi = curl_multi_init();
    if (!o->multi || curl_multi_setopt(o->multi, CURLMOPT_MAXCONNECTS, (long)CACHED_MAX))
        BUG("out of memory");
    mailbox_init(&o->inbox, OUTBOUND_MAX, wake, o);
    if (pthread_create(&o->thread, NULL, outbound_main, o) != 0)
        BUG("cannot start a thread");
    *out = o;
    return true;
}

static void
add_header(struct transfer *t, const char *line)
{
    struct curl_slist *longer = curl_slist_append(t->headers, line);

    if (!longer)
        BUG("out of memory");
    t->headers = longer;
}

bool
outbound_send(struct outbound *o, const struct outbound_request *request, outbound_done_fn *done,
              void *ctx)
{
    struct transfer *t;

    if (atomic_fetch_add(&o->accepted, 1) >= OUTBOUND_MAX || atomic_load(&o->stopping)) {
        atomic_fetch_sub(&o->accepted, 1);
        return false;
    }
    t = xcalloc(1, sizeof *t);
    t->outbound = o;
    t->done = done;
    t->ctx = ctx;
    t->url = xstrdup(request->url);
    if (request->body)
        t->body = xstrndup(request->body, request->body_len);
    t->body_len = request->body_len;
    t->timeout_ms = request->timeout_ms;
    t->trusted = request->trusted;
    t->since_ms = clock_mono_ms();
    for (size_t i = 0; i < request->n_headers; i++)
        add_header(t, request->headers[i]);
    add_header(t, "Expect:");               /* none: the body goes at once */
    if (!mailbox_post(&o->inbox, &t->mail)) /* it has room for all that are accepted */
        BUG("no room for a request");
    return true;
}

void
outbound_stop(struct outbound *o)
{
    if (!o)
        return;
    atomic_store(&o->stopping, true);
    wake(o);
    pthread_join(o->thread, NULL);
    curl_multi_cleanup(o->multi);
    mailbox_fini(&o->inbox);
    free(o);
    curl_global_cleanup();
}
