#include "observerd/llm.h"

#include <math.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/json.h"

/* A candidate, and the usage object inside it that fills its gaps (NULL: none). */
struct source {
    const json_t *own, *usage;
};

static const char *const token_keys[] = {"promptTokens", "prompt_tokens", "completionTokens",
                                         "completion_tokens"};

static json_t *
lookup(const struct source *s, const char *const *keys, size_t n)
{
    json_t *v = jv_first(s->own, keys, n);

    return v ? v : jv_first(s->usage, keys, n);
}

#define lookup_of(s, ...)                                                                          \
    lookup((s), (const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static double
tokens(const struct source *s, const char *const keys[2])
{
    const json_t *v = lookup(s, keys, 2);

    return v ? jv_num(v) : 0;
}

/* Members of the result; how a value is copied into it. */
enum copy { COPY_TEXT, COPY_NUMBER, COPY_FINITE, COPY_VALUE };

static const struct {
    const char *key, *spelling; /* spelling: the other one, or the same */
    enum copy copy;
} members[] = {
    {"model", "model", COPY_TEXT},           {"latencyMs", "latency_ms", COPY_NUMBER},
    {"prompt", "prompt", COPY_VALUE},        {"response", "response", COPY_VALUE},
    {"provider", "provider", COPY_TEXT},     {"estimatedCostUsd", "estimatedCostUsd", COPY_FINITE},
    {"artifactId", "artifactId", COPY_TEXT},
};

static json_t *
copy_member(json_t *v, enum copy how)
{
    AUTO_BUF text = {0};
    double n;

    switch (how) {
    case COPY_TEXT:
        if (!jv_truthy(v))
            return NULL;
        if (json_is_string(v))
            return json_incref(v);
        jv_str(&text, v);
        return jv_string(buf_cstr(&text), text.len);
    case COPY_NUMBER:
        return v ? jv_real(jv_num(v)) : NULL;
    case COPY_FINITE:
        return jv_opt_num(v, &n) ? jv_real(n) : NULL;
    case COPY_VALUE:
        break;
    }
    return json_incref(v);
}

static json_t *
read_call(const json_t *candidate)
{
    struct source s = {.own = candidate};
    double prompt, completion;
    json_t *call;

    if (!jv_first(candidate, token_keys, ARRAY_LEN(token_keys)))
        s.usage = jv_get(candidate, "tokenUsage");
    prompt = tokens(&s, token_keys);
    completion = tokens(&s, token_keys + 2);
    if (!isfinite(prompt) || !isfinite(completion))
        return NULL;
    if (prompt == 0 && completion == 0 && !jv_truthy(lookup_of(&s, "model")) &&
        !jv_truthy(lookup_of(&s, "prompt")) && !jv_truthy(lookup_of(&s, "response")))
        return NULL;
    call = json_object();
    if (!call)
        BUG("out of memory");
    jv_put(call, "promptTokens", jv_real(prompt));
    jv_put(call, "completionTokens", jv_real(completion));
    jv_put(call, "totalTokens", jv_real(prompt + completion));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        jv_put(call, members[i].key,
               copy_member(lookup_of(&s, members[i].key, members[i].spelling), members[i].copy));
    return call;
}

/* The JSON inside a signal that reports a call; new reference or NULL. */
static json_t *
signal_data(const json_t *inner)
{
    const char *type = jv_cstr(jv_first_of(inner, "signalType", "signal_type"));
    const json_t *data = jv_get(inner, "data");
    AUTO_BUF raw = {0};

    if (!type || strcmp(type, "llm.call.completed") != 0 || !json_is_string(data))
        return NULL;
    if (!jv_base64_decode(json_string_value(data), json_string_length(data), &raw))
        return NULL;
    return jv_parse(buf_cstr(&raw), raw.len);
}

json_t *
llm_call_extract(const json_t *inner)
{
    const json_t *metadata = jv_get(inner, "metadata");
    AUTO_JSON *signal = signal_data(inner);
    const json_t *const candidates[] = {
        jv_get(inner, "llmCall"),
        jv_get(metadata, "llmCall"),
        jv_get(inner, "tokenUsage"),
        jv_get(metadata, "tokenUsage"),
        signal,
        jv_get(signal, "tokenUsage"),
    };

    for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
        json_t *call = json_is_object(candidates[i]) ? read_call(candidates[i]) : NULL;

        if (call) /* an array never holds a call: it has no members */
            return call;
    }
    return NULL;
}
