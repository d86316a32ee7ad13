/*
 * fuzz_descriptor.c - the body of POST /runs: parsed, checked against the field tables and, when
 * it passes, turned into the row that would be stored. What would be stored must be what Postgres
 * takes: clean UTF-8, and JSON where JSON is meant.
 */
#include <stdint.h>
#include <stdlib.h>

#include "fcgi/descriptor.h"
#include "fcgi/validate.h"
#include "shared/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct config *
settings(void)
{
    static struct config *cfg;
    static char env[] = "MACP_ENV=development", *envp[] = {env, NULL};
    struct config_report report = {0};

    if (!cfg && !config_load(CONFIG_FCGI, envp, &cfg, &report))
        BUG("no settings");
    config_report_fini(&report);
    return cfg;
}

static void
must_be_json(const char *text)
{
    json_error_t e;
    json_t *v = json_loads(text, JSON_DECODE_ANY, &e);

    if (!v)
        BUG("not JSON: %s", e.text);
    json_decref(v);
}

static void
must_be_clean(const char *text)
{
    if (text && !jv_is_clean(text, strlen(text)))
        BUG("not clean");
}

static void
check(const struct run_draft *d)
{
    must_be_json(d->tags);
    must_be_json(d->descriptor);
    must_be_json(d->metadata);
    must_be_json(d->event_data);
    must_be_clean(d->session_id);
    must_be_clean(d->idempotency_key);
    must_be_clean(d->mode_name);
    must_be_clean(d->source_ref);
    must_be_clean(d->callback_url);
    if (!descriptor_session_id_ok(d->session_id))
        BUG("a session id that no session can have");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {0};
    json_t *document = jv_parse((const char *)data, n);
    struct texts texts = {0};
    struct run_draft d;
    struct err err;

    if (json_is_object(document)) {
        body_validate(document, &descriptor_schema, &texts);
        if (texts.n == 0 && descriptor_draft(&arena, document, NULL, settings(), &d, &err))
            check(&d);
        else if (texts.n)
            must_be_clean(buf_cstr(&texts.json));
    }
    texts_fini(&texts);
    json_decref(document);
    arena_fini(&arena);
    return 0;
}
