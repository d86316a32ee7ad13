/*
 * settings.h - the switches that make the runtime misbehave or behave like another version.
 *
 * Purpose    one table: name, type, default, meaning. The command line (--set), the control socket
 *            ("set", "settings") and --help are all driven by it.
 * Ownership  struct settings is the world's; settings_fini frees its texts.
 * Errors     an unknown name or a value of the wrong type fails with *err and changes nothing.
 * Threads    under the world's lock.
 */
#ifndef MACP_RUNTIME_SETTINGS_H
#define MACP_RUNTIME_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"

// clang-format off
/* member, name, type, default, meaning */
#define SETTINGS_LIST(X)                                                                                      \
    X(compaction,         "compaction",        bool,    "false", "drop a session's history when it ends")     \
    X(compaction_race,    "compactionRace",    bool,    "false", "after the compaction error deliver the last envelope again") \
    X(lag,                "lag",               int64_t, "256",   "envelopes a subscriber may fall behind; 0: any number") \
    X(signal_lag,         "signalLag",         int64_t, "256",   "the same for WatchSignals")                 \
    X(watch_lag,          "watchLag",          int64_t, "64",    "the same for WatchSessions")                \
    X(page_cap,           "pageCap",           int64_t, "1000",  "largest page of ListSessions; 0: no paging") \
    X(page_default,       "pageDefault",       int64_t, "100",   "page size when none is asked for")          \
    X(sweep_ms,           "sweepMs",           int64_t, "1000",  "how often expiry and eviction look around") \
    X(retention_ms,       "retentionMs",       int64_t, "3600000", "ended sessions older than this are evicted") \
    X(headers_delay_ms,   "headersDelayMs",    int64_t, "0",     "delay before a call is answered or a stream opens") \
    X(resolved_first,     "resolvedFirst",     bool,    "false", "RESOLVED before the Commitment envelope")   \
    X(resolved_gap_ms,    "resolvedGapMs",     int64_t, "0",     "time between the two")                      \
    X(zero_timestamps,    "zeroTimestamps",    bool,    "false", "scripts and pump stamp envelopes with 0")   \
    X(omit_session,       "omitSession",       bool,    "false", "lifecycle events carry no session")         \
    X(unset_oneof,        "unsetOneof",        bool,    "false", "a subscription opens with an empty response") \
    X(unknown_enums,      "unknownEnums",      bool,    "false", "each lifecycle event is preceded by one of type 99, state 77") \
    X(overlap,            "overlap",           int64_t, "0",     "replay starts this many envelopes too early") \
    X(deny,               "deny",              bool,    "false", "refuse every subscription with an inline FORBIDDEN") \
    X(policies_read_only, "policiesReadOnly",  bool,    "false", "policies come from files and cannot be changed") \
    X(fail_method,        "failMethod",        text,    "",      "this RPC answers with failStatus (* for all)") \
    X(fail_status,        "failStatus",        int64_t, "14",    "gRPC status number for failMethod")         \
    X(fail_echo,          "failEcho",          bool,    "false", "failMethod's text repeats the caller's authorization") \
    X(version,            "version",           text,    "0.8.5", "release number told by Initialize")         \
    X(modes,              "modes",             text,    "",      "comma list of supported modes; empty: all")
// clang-format on

typedef char *settings_text; /* only so that the list above can name the type */

struct settings {
#define SETTINGS_TYPE_bool                   bool
#define SETTINGS_TYPE_int64_t                int64_t
#define SETTINGS_TYPE_text                   settings_text
#define X(member, name, type, fallback, doc) SETTINGS_TYPE_##type member;
    SETTINGS_LIST(X)
#undef X
};

void settings_init(struct settings *s);
void settings_fini(struct settings *s);
/* From text (command line). */
bool settings_set_text(struct settings *s, const char *name, const char *value,
                       struct err *err) MUST_CHECK;
/* From JSON (control socket). */
bool settings_set_json(struct settings *s, const char *name, const json_t *value,
                       struct err *err) MUST_CHECK;
json_t *settings_json(const struct settings *s) MUST_CHECK;
void settings_help(struct buf *out);

#endif
