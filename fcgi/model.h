/*
 * model.h - the objects that the API answers with.
 *
 * Purpose    one table of members per object, from which documentation takes its schemas and its
 *            sample values; tests hold every answer against them.
 * Ownership  constant data. Errors: none. Threads: any.
 */
#ifndef MACP_FCGI_MODEL_H
#define MACP_FCGI_MODEL_H

#include <stddef.h>

enum model_kind {
    MODEL_TEXT,
    MODEL_UUID,
    MODEL_TIME, /* ISO 8601 in UTC, with milliseconds */
    MODEL_INT,
    MODEL_NUMBER,
    MODEL_BOOL,
    MODEL_ONE_OF, /* one of values */
    MODEL_TEXTS,
    MODEL_NUMBERS,
    MODEL_OBJECT, /* of another model */
    MODEL_LIST,   /* of objects of another model */
    MODEL_MAP,    /* names to objects of another model */
    MODEL_FREE,   /* an object with whatever its maker put in */
    MODEL_ANY,
};

enum model_flags {
    MODEL_OPTIONAL = 1, /* may be left out */
    MODEL_NULLABLE = 2,
};

struct model_member {
    const char *name; /* NULL ends a table */
    enum model_kind kind;
    unsigned flags;
    const struct model *model;
    const char *const *values; /* NULL-terminated */
    const char *example;       /* JSON; NULL: what its kind suggests */
};

struct model {
    const char *name;
    const char *doc;
    const struct model *base; /* has the members of that one too; NULL: none */
    const struct model_member *members;
};

extern const struct model model_run, model_run_page, model_run_created, model_validation,
    model_state, model_state_trace, model_rebuilt, model_event, model_event_page, model_metrics,
    model_traces, model_artifact, model_artifact_made, model_replay, model_comparison, model_export,
    model_export_line, model_batch_result, model_webhook, model_webhook_listed, model_delivery,
    model_delivery_page, model_audit_page, model_overview, model_agent, model_manifest, model_mode,
    model_root, model_runtime_health, model_policy, model_policy_done, model_breaker,
    model_breaker_reset, model_live, model_ready, model_message, model_failure;

#endif
