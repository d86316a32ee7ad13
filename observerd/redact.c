#include "observerd/redact.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "observerd/payload.h"
#include "observerd/redact_syntax.h"
#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/meter.h"

/*
 * PCRE2 counts its limits anew for every position a match may start at, and a step may be as long
 * as the text. So patterns are compiled with callouts, which look at the time between the steps.
 */
enum {
    MATCH_LIMIT = 1000 * 1000,
    HEAP_LIMIT_KIB = 64 * 1024,
    BUDGET_US = 500 * 1000,       /* of this thread's time, for all texts of one event */
    CLOCK_EVERY = 64,             /* steps or matches between two looks at the time */
    GROWTH_MAX = 16 * 1024 * 1024 /* bytes by which markers may lengthen a text */
};

struct redactor {
    pcre2_code **codes;
    size_t n;
    pcre2_match_context *limits;
    atomic_uint_fast64_t *blown; /* behind a pointer: the rest is read-only */
};

/* One application of a redactor: scratch memory of its thread. */
struct pass {
    const struct redactor *r;
    const ProtobufCMessageDescriptor *decoded_as;
    pcre2_match_data *match;
    pcre2_match_context *limits; /* a copy: its callout belongs to this pass */
    int64_t deadline_us;         /* first look at the cheap clock, then at the right one */
    int64_t cpu_end_us;
    unsigned steps;
};

/* --- building ---------------------------------------------------------------------------- */

static bool
compile(const char *pattern, pcre2_code **out, struct err *err)
{
    const uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS |
                             PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |
                             PCRE2_AUTO_CALLOUT;
    pcre2_compile_context *context;
    AUTO_BUF source = {0};
    struct err cause = {0};
    PCRE2_UCHAR text[128];
    PCRE2_SIZE at;
    int code;

    if (!redact_translate(pattern, &source, &cause))
        return err_set(err, ERR_CONFIG, "pattern \"%s\": %s", pattern, cause.msg);
    context = pcre2_compile_context_create(NULL);
    if (!context)
        BUG("out of memory");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *out = pcre2_compile((PCRE2_SPTR)buf_cstr(&source), source.len, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (*out)
        return true;
    pcre2_get_error_message(code, text, sizeof text);
    return err_set(err, ERR_CONFIG, "pattern \"%s\": %s", pattern, (const char *)text);
}

static char *
trimmed(const char *s)
{
    static const char space[] = " \t\n\r\v\f";
    size_t n;

    s += strspn(s, space);
    n = strlen(s);
    while (n && strchr(space, s[n - 1]))
        n--;
    return xstrndup(s, n);
}

bool
redact_new(const char *const *patterns, size_t n, struct redactor **out, struct err *err)
{
    struct redactor *r = xcalloc(1, sizeof *r);

    r->codes = xcalloc(n + 1, sizeof(pcre2_code *));
    r->blown = xcalloc(1, sizeof *r->blown);
    r->limits = pcre2_match_context_create(NULL);
    if (!r->limits)
        BUG("out of memory");
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KIB);
    for (size_t i = 0; i < n; i++) {
        char *pattern = trimmed(patterns[i]);
        bool ok = !*pattern || compile(pattern, &r->codes[r->n], err);

        r->n += ok && *pattern;
        free(pattern);
        if (!ok) {
            redact_free(r);
            return false;
        }
    }
    if (r->n == 0) {
        redact_free(r);
        r = NULL;
    }
    *out = r;
    return true;
}

void
redact_free(struct redactor *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        pcre2_code_free(r->codes[i]);
    pcre2_match_context_free(r->limits);
    free(r->codes);
    free(r->blown);
    free(r);
}

uint64_t
redact_blown(const struct redactor *r)
{
    return r ? atomic_load(r->blown) : 0;
}

/* --- one text ---------------------------------------------------------------------------- */

static int64_t
cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Waiting for a processor is no work: only then does the time that passed count. */
static bool
time_is_up(struct pass *pass)
{
    int64_t now_us = clock_mono_us(), left;

    if (now_us <= pass->deadline_us)
        return false;
    left = pass->cpu_end_us - cpu_us();
    pass->deadline_us = now_us + left;
    return left <= 0;
}

static int
on_step(pcre2_callout_block *block, void *data)
{
    struct pass *pass = data;

    (void)block;
    return ++pass->steps % CLOCK_EVERY == 0 && time_is_up(pass) ? PCRE2_ERROR_CALLOUT : 0;
}

/* Rewrite all matches of one pattern. False when a bound was hit. */
static bool
rewrite_pattern(struct pass *pass, const pcre2_code *code, const char *p, size_t n, struct buf *out)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(pass->match);
    size_t copied = 0;
    uint32_t not_empty = 0;
    int rc;

    if (time_is_up(pass))
        return false;
    while ((rc = pcre2_match(code, (PCRE2_SPTR)p, n, copied, PCRE2_NO_UTF_CHECK | not_empty,
                             pass->match, pass->limits)) >= 0) {
        buf_add(out, p + copied, at[0] - copied);
        buf_lit(out, REDACT_MARKER);
        copied = at[1];
        not_empty = at[0] == at[1] ? PCRE2_NOTEMPTY_ATSTART : 0; /* else the same for ever */
        if (out->len > n + GROWTH_MAX || (++pass->steps % CLOCK_EVERY == 0 && time_is_up(pass)))
            return false;
    }
    if (rc != PCRE2_ERROR_NOMATCH)
        return false;
    buf_add(out, p + copied, n - copied);
    return true;
}

/* All patterns in their order; *out gets the text. False when it is the one that came in. */
static bool
rewrite_text(struct pass *pass, const char *p, size_t n, struct buf *out)
{
    const char *now = p;
    size_t now_len = n;

    for (size_t i = 0; i < pass->r->n; i++) {
        AUTO_BUF next = {0};

        if (!rewrite_pattern(pass, pass->r->codes[i], now, now_len, &next)) {
            atomic_fetch_add(pass->r->blown, 1);
            meter_add(METER_REDACT_BLOWN, 1);
            buf_reset(out);
            buf_lit(out, REDACT_MARKER);
            break;
        }
        buf_fini(out);
        *out = next;
        next = (struct buf){0};
        now = buf_cstr(out);
        now_len = out->len;
    }
    return out->len != n || memcmp(buf_cstr(out), p, n) != 0;
}

/* --- values: what does not change is returned as it is, with a reference added ------------- */

static json_t *
rewrite_string(struct pass *pass, json_t *v)
{
    AUTO_BUF text = {0};

    if (!rewrite_text(pass, json_string_value(v), json_string_length(v), &text))
        return json_incref(v);
    return jv_string(buf_cstr(&text), text.len);
}

static json_t *rewrite_any(struct pass *pass, const char *key, json_t *v);
typedef json_t *rewrite_fn(struct pass *pass, const char *key, json_t *v);

static json_t *
rewrite_object(struct pass *pass, json_t *v, rewrite_fn *member)
{
    json_t *out = NULL, *old, *new;
    const char *key;

    json_object_foreach (v, key, old) {
        new = member(pass, key, old);
        if (new == old) {
            json_decref(new);
            continue;
        }
        if (!out && !(out = json_copy(v)))
            BUG("out of memory");
        jv_put(out, key, new); /* replaces in place: the order of members stays */
    }
    return out ? out : json_incref(v);
}

static json_t *
rewrite_array(struct pass *pass, json_t *v)
{
    json_t *out = NULL;

    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *old = json_array_get(v, i), *new = rewrite_any(pass, NULL, old);

        if (new == old) {
            json_decref(new);
            continue;
        }
        if (!out && !(out = json_copy(v)))
            BUG("out of memory");
        if (json_array_set_new(out, i, new) != 0)
            BUG("out of memory");
    }
    return out ? out : json_incref(v);
}

static json_t *
rewrite_any(struct pass *pass, const char *key, json_t *v)
{
    (void)key;
    switch (json_typeof(v)) {
    case JSON_STRING:
        return rewrite_string(pass, v);
    case JSON_ARRAY:
        return rewrite_array(pass, v);
    case JSON_OBJECT:
        return rewrite_object(pass, v, rewrite_any);
    default:
        return json_incref(v);
    }
}

static json_t *
rewrite_base64(struct pass *pass, json_t *v)
{
    AUTO_BUF raw = {0}, text = {0}, encoded = {0};
    AUTO_JSON *json = NULL, *rewritten = NULL;

    if (!json_is_string(v) ||
        !jv_base64_decode(json_string_value(v), json_string_length(v), &raw) || !raw.len ||
        !jv_is_utf8(raw.p, raw.len))
        return json_incref(v);
    json = jv_parse(raw.p, raw.len);
    if (json) {
        rewritten = rewrite_any(pass, NULL, json);
        if (rewritten == json)
            return json_incref(v);
        jv_write(&text, rewritten);
    } else if (!rewrite_text(pass, raw.p, raw.len, &text)) {
        return json_incref(v);
    }
    buf_base64(&encoded, buf_cstr(&text), text.len);
    return jv_string(buf_cstr(&encoded), encoded.len);
}

static json_t *
rewrite_base64_member(struct pass *pass, const char *key, json_t *v)
{
    (void)key;
    return rewrite_base64(pass, v);
}

/* A member of a message decoded from protobuf. */
static json_t *
rewrite_field(struct pass *pass, const char *key, json_t *v)
{
    switch (payload_member_kind(pass->decoded_as, key)) {
    case PAYLOAD_BYTES:
        return rewrite_base64(pass, v);
    case PAYLOAD_BYTES_MAP:
        return json_is_object(v) ? rewrite_object(pass, v, rewrite_base64_member)
                                 : rewrite_any(pass, key, v);
    case PAYLOAD_PLAIN:
        break;
    }
    return rewrite_any(pass, key, v);
}

static bool
has_text(const json_t *v, const char *key, const char *text)
{
    const char *have = jv_cstr(jv_get(v, key));

    return have && strcmp(have, text) == 0;
}

static json_t *
rewrite_payload(struct pass *pass, json_t *v)
{
    AUTO_JSON *without = NULL;

    /* The bytes behind a text would tell what the text hides. */
    if (has_text(v, "encoding", "text") && jv_get(v, "payloadBase64")) {
        without = json_copy(v);
        if (!without)
            BUG("out of memory");
        json_object_del(without, "payloadBase64");
        v = without;
    }
    if (!json_is_object(v) || !pass->decoded_as)
        return rewrite_any(pass, NULL, v);
    return rewrite_object(pass, v, rewrite_field);
}

/* A member of an event's data. */
static json_t *
rewrite_data_member(struct pass *pass, const char *key, json_t *v)
{
    bool payload = strcmp(key, "payload") == 0;

    /* What an empty payload shows is ours, not the sender's. */
    if (payload && json_object_size(v) == 1 && has_text(v, "payloadBase64", ""))
        return json_incref(v);
    if (payload || strcmp(key, "decodedPayload") == 0)
        return rewrite_payload(pass, v);
    return rewrite_any(pass, key, v);
}

static void
pass_open(struct pass *pass)
{
    pass->match = pcre2_match_data_create(1, NULL);
    pass->limits = pcre2_match_context_copy(pass->r->limits);
    pass->deadline_us = clock_mono_us() + BUDGET_US;
    pass->cpu_end_us = cpu_us() + BUDGET_US;
    if (!pass->match || !pass->limits)
        BUG("out of memory");
    pcre2_set_callout(pass->limits, on_step, pass);
}

static void
pass_close(struct pass *pass)
{
    pcre2_match_data_free(pass->match);
    pcre2_match_context_free(pass->limits);
}

json_t *
redact_value(const struct redactor *r, json_t *v)
{
    struct pass pass = {.r = r};
    json_t *out;

    if (!r)
        return json_incref(v);
    pass_open(&pass);
    out = rewrite_any(&pass, NULL, v);
    pass_close(&pass);
    return out;
}

json_t *
redact_data(const struct redactor *r, json_t *data, const ProtobufCMessageDescriptor *decoded_as)
{
    struct pass pass = {.r = r, .decoded_as = decoded_as};
    json_t *out;

    if (!r)
        return json_incref(data);
    pass_open(&pass);
    out = rewrite_object(&pass, data, rewrite_data_member);
    pass_close(&pass);
    return out;
}
