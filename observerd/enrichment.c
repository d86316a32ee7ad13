#include "observerd/enrichment.h"

#include <string.h>

#include "shared/buf.h"
#include "shared/json.h"
#include "shared/projection.h"

static json_t *
figures(const struct metrics *m)
{
    json_t *o = json_object();

    if (m->event_count)
        jv_put(o, "eventCount", json_integer(m->event_count));
    if (m->signal_count)
        jv_put(o, "signalCount", json_integer(m->signal_count));
    if (m->decision_count)
        jv_put(o, "decisionCount", json_integer(m->decision_count));
    if (m->total_tokens > 0)
        jv_put(o, "totalTokens", json_real(m->total_tokens));
    if (m->estimated_cost_usd > 0)
        jv_put(o, "estimatedCostUsd", json_real(m->estimated_cost_usd));
    return o;
}

static char *
text_of(const json_t *o)
{
    AUTO_BUF text = {0};

    jv_write(&text, o);
    return buf_steal(&text);
}

char *
enrichment_of(const struct run_seed *run, int64_t ended_ms, const char *message, const char *reason)
{
    AUTO_JSON *o = figures(&run->metrics);
    const char *action;
    bool has_confidence;
    double confidence;

    if (run->started_ms)
        jv_put(o, "durationMs", json_integer(ended_ms - run->started_ms));
    if (projection_final_decision(run->projection, &action, &has_confidence, &confidence)) {
        jv_put(o, "finalAction", jv_string(action, strlen(action)));
        if (has_confidence)
            jv_put(o, "finalConfidence", json_real(confidence));
    }
    if (message) {
        jv_put(o, "error", jv_string(message, strlen(message)));
        jv_put(o, "failureReason", jv_string(reason, strlen(reason)));
    }
    return text_of(o);
}

char *
enrichment_corrected(const char *said, const struct metrics *m)
{
    AUTO_JSON *o = said ? jv_parse(said, strlen(said)) : json_object();
    AUTO_JSON *now = figures(m);

    json_object_update(o, now);
    return text_of(o);
}
