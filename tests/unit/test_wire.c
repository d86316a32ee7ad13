/*
 * The generated wire code against two independent witnesses: known byte strings, and a table of
 * every message and field (tests/golden/wire_table.txt). Runs from the top of the repository.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "macp/modes/decision/v1/decision.pb-c.h"
#include "macp/modes/handoff/v1/handoff.pb-c.h"
#include "macp/modes/multi_round/v1/multi_round.pb-c.h"
#include "macp/modes/proposal/v1/proposal.pb-c.h"
#include "macp/modes/quorum/v1/quorum.pb-c.h"
#include "macp/modes/task/v1/task.pb-c.h"
#include "macp/v1/core.pb-c.h"
#include "macp/v1/envelope.pb-c.h"
#include "macp/v1/policy.pb-c.h"
#include "shared/buf.h"
#include "shared/macros.h"

#define TABLE_PATH     "tests/golden/wire_table.txt"
#define FILES_TOTAL    9
#define MESSAGES_TOTAL 104
#define FIELDS_TOTAL   285
#define ENUMS_TOTAL    2
#define RPCS_TOTAL     24

/* Every message of the wire. The scan of proto/ below fails when one is missing here. */
// clang-format off
#define MESSAGE_LIST(X) \
    X(macp__v1__envelope) \
    X(macp__v1__macperror) \
    X(macp__v1__ack) \
    X(macp__v1__root) \
    X(macp__v1__client_info) \
    X(macp__v1__runtime_info) \
    X(macp__v1__sessions_capability) \
    X(macp__v1__cancellation_capability) \
    X(macp__v1__progress_capability) \
    X(macp__v1__manifest_capability) \
    X(macp__v1__mode_registry_capability) \
    X(macp__v1__roots_capability) \
    X(macp__v1__experimental_capabilities) \
    X(macp__v1__capabilities) \
    X(macp__v1__initialize_request) \
    X(macp__v1__initialize_response) \
    X(macp__v1__signal_payload) \
    X(macp__v1__progress_payload) \
    X(macp__v1__session_start_payload) \
    X(macp__v1__session_cancel_payload) \
    X(macp__v1__session_suspend_payload) \
    X(macp__v1__session_resume_payload) \
    X(macp__v1__commitment_ref) \
    X(macp__v1__commitment_payload) \
    X(macp__v1__participant_activity) \
    X(macp__v1__session_metadata) \
    X(macp__v1__get_session_request) \
    X(macp__v1__get_session_response) \
    X(macp__v1__cancel_session_request) \
    X(macp__v1__cancel_session_response) \
    X(macp__v1__suspend_session_request) \
    X(macp__v1__suspend_session_response) \
    X(macp__v1__resume_session_request) \
    X(macp__v1__resume_session_response) \
    X(macp__v1__send_request) \
    X(macp__v1__send_response) \
    X(macp__v1__stream_session_request) \
    X(macp__v1__stream_session_response) \
    X(macp__v1__list_sessions_request) \
    X(macp__v1__list_sessions_response) \
    X(macp__v1__watch_sessions_request) \
    X(macp__v1__session_lifecycle_event) \
    X(macp__v1__watch_sessions_response) \
    X(macp__v1__watch_signals_request) \
    X(macp__v1__watch_signals_response) \
    X(macp__v1__registry_changed) \
    X(macp__v1__watch_mode_registry_request) \
    X(macp__v1__watch_mode_registry_response) \
    X(macp__v1__roots_changed) \
    X(macp__v1__watch_roots_request) \
    X(macp__v1__watch_roots_response) \
    X(macp__v1__transport_endpoint) \
    X(macp__v1__agent_manifest) \
    X(macp__v1__get_manifest_request) \
    X(macp__v1__get_manifest_response) \
    X(macp__v1__mode_descriptor) \
    X(macp__v1__list_modes_request) \
    X(macp__v1__list_modes_response) \
    X(macp__v1__list_ext_modes_request) \
    X(macp__v1__list_ext_modes_response) \
    X(macp__v1__register_ext_mode_request) \
    X(macp__v1__register_ext_mode_response) \
    X(macp__v1__unregister_ext_mode_request) \
    X(macp__v1__unregister_ext_mode_response) \
    X(macp__v1__promote_mode_request) \
    X(macp__v1__promote_mode_response) \
    X(macp__v1__list_roots_request) \
    X(macp__v1__list_roots_response) \
    X(macp__v1__policy_descriptor) \
    X(macp__v1__policy_registry_capability) \
    X(macp__v1__register_policy_request) \
    X(macp__v1__register_policy_response) \
    X(macp__v1__unregister_policy_request) \
    X(macp__v1__unregister_policy_response) \
    X(macp__v1__get_policy_request) \
    X(macp__v1__get_policy_response) \
    X(macp__v1__list_policies_request) \
    X(macp__v1__list_policies_response) \
    X(macp__v1__watch_policies_request) \
    X(macp__v1__watch_policies_response) \
    X(macp__modes__quorum__v1__approval_request_payload) \
    X(macp__modes__quorum__v1__approve_payload) \
    X(macp__modes__quorum__v1__reject_payload) \
    X(macp__modes__quorum__v1__abstain_payload) \
    X(macp__modes__task__v1__task_request_payload) \
    X(macp__modes__task__v1__task_accept_payload) \
    X(macp__modes__task__v1__task_reject_payload) \
    X(macp__modes__task__v1__task_update_payload) \
    X(macp__modes__task__v1__task_complete_payload) \
    X(macp__modes__task__v1__task_fail_payload) \
    X(macp__modes__decision__v1__proposal_payload) \
    X(macp__modes__decision__v1__evaluation_payload) \
    X(macp__modes__decision__v1__objection_payload) \
    X(macp__modes__decision__v1__vote_payload) \
    X(macp__modes__proposal__v1__proposal_payload) \
    X(macp__modes__proposal__v1__counter_proposal_payload) \
    X(macp__modes__proposal__v1__accept_payload) \
    X(macp__modes__proposal__v1__reject_payload) \
    X(macp__modes__proposal__v1__withdraw_payload) \
    X(macp__modes__handoff__v1__handoff_offer_payload) \
    X(macp__modes__handoff__v1__handoff_context_payload) \
    X(macp__modes__handoff__v1__handoff_accept_payload) \
    X(macp__modes__handoff__v1__handoff_decline_payload) \
    X(macp__modes__multi_round__v1__contribute_payload)

// clang-format on

static const ProtobufCMessageDescriptor *const messages[] = {
#define X(name) &name##__descriptor,
    MESSAGE_LIST(X)
#undef X
};

/* ---- the table: every fact becomes one line of text, the two sets of lines must be equal ---- */

struct facts {
    char **line;
    size_t count;
};

static void
facts_add(struct facts *f, const char *line)
{
    f->line = xrealloc(f->line, (f->count + 1) * sizeof(*f->line));
    f->line[f->count++] = xstrdup(line);
}

static void
facts_fini(struct facts *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->line[i]);
    free(f->line);
}

static int
line_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t
facts_count(const struct facts *f, const char *prefix)
{
    size_t n = 0;

    for (size_t i = 0; i < f->count; i++)
        n += strncmp(f->line[i], prefix, strlen(prefix)) == 0;
    return n;
}

static const char *
scalar_name(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
        return "string";
    case PROTOBUF_C_TYPE_BYTES:
        return "bytes";
    case PROTOBUF_C_TYPE_BOOL:
        return "bool";
    case PROTOBUF_C_TYPE_INT32:
        return "int32";
    case PROTOBUF_C_TYPE_INT64:
        return "int64";
    case PROTOBUF_C_TYPE_UINT32:
        return "uint32";
    case PROTOBUF_C_TYPE_UINT64:
        return "uint64";
    case PROTOBUF_C_TYPE_DOUBLE:
        return "double";
    default:
        return "?";
    }
}

/* protobuf-c has no maps: a map field is repeated and its message is "<parent>.<Name>Entry". */
static bool
is_map(const ProtobufCMessageDescriptor *parent, const ProtobufCFieldDescriptor *f)
{
    if (f->type != PROTOBUF_C_TYPE_MESSAGE || f->label != PROTOBUF_C_LABEL_REPEATED)
        return false;

    const char *name = ((const ProtobufCMessageDescriptor *)f->descriptor)->name;
    size_t len = strlen(parent->name);
    size_t total = strlen(name);

    return strncmp(name, parent->name, len) == 0 && name[len] == '.' && total > 5 &&
           strcmp(name + total - 5, "Entry") == 0;
}

static void
field_type(struct buf *b, const ProtobufCMessageDescriptor *parent,
           const ProtobufCFieldDescriptor *f)
{
    if (is_map(parent, f)) {
        const ProtobufCMessageDescriptor *entry = f->descriptor;

        assert_int_equal(entry->n_fields, 2);
        buf_printf(b, "map<%s,%s>", scalar_name(entry->fields[0].type),
                   scalar_name(entry->fields[1].type));
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        buf_printf(b, "message:%s", ((const ProtobufCMessageDescriptor *)f->descriptor)->name);
    } else if (f->type == PROTOBUF_C_TYPE_ENUM) {
        buf_printf(b, "enum:%s", ((const ProtobufCEnumDescriptor *)f->descriptor)->name);
    } else {
        buf_str(b, scalar_name(f->type));
    }
}

static const char *
field_label(const ProtobufCMessageDescriptor *parent, const ProtobufCFieldDescriptor *f)
{
    if (is_map(parent, f))
        return "map";
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return "repeated";
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        /* Descriptors do not name the oneof; the offset of its case member identifies it. */
        bool response =
            parent == &macp__v1__stream_session_response__descriptor &&
            f->quantifier_offset == offsetof(Macp__V1__StreamSessionResponse, response_case);
        return response ? "oneof:response" : "oneof:?";
    }
    return f->label == PROTOBUF_C_LABEL_NONE ? "singular" : "optional-or-required";
}

static void
facts_add_enum(struct facts *out, const ProtobufCEnumDescriptor *e)
{
    AUTO_BUF b = {0};

    for (unsigned i = 0; i < e->n_values; i++) {
        buf_reset(&b);
        buf_printf(&b, "enum %s %d %s", e->name, e->values[i].value, e->values[i].name);
        facts_add(out, buf_cstr(&b));
    }
}

static void
facts_add_message(struct facts *out, const ProtobufCMessageDescriptor *m)
{
    AUTO_BUF b = {0};

    buf_printf(&b, "message %s", m->name);
    facts_add(out, buf_cstr(&b));
    for (unsigned i = 0; i < m->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->fields[i];

        buf_reset(&b);
        buf_printf(&b, "field %s %u %s ", m->name, f->id, f->name);
        field_type(&b, m, f);
        buf_printf(&b, " %s", field_label(m, f));
        facts_add(out, buf_cstr(&b));
    }
}

static void
facts_from_code(struct facts *out)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        facts_add_message(out, messages[i]);
    facts_add_enum(out, &macp__v1__session_state__descriptor);
    facts_add_enum(out, &macp__v1__session_lifecycle_event__event_type__descriptor);
}

static FILE *
open_or_fail(const char *path)
{
    FILE *f = fopen(path, "re");

    if (!f)
        fail_msg("cannot open %s (tests run from the top of the repository)", path);
    return f;
}

static void
facts_from_table(struct facts *out)
{
    FILE *f = open_or_fail(TABLE_PATH);
    char line[512];

    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] && line[0] != '#')
            facts_add(out, line);
    }
    fclose(f);
}

static void
descriptors_equal_the_table_in_both_directions(void **state)
{
    struct facts code = {0};
    struct facts table = {0};
    size_t i = 0;
    size_t j = 0;
    size_t wrong = 0;

    (void)state;
    facts_from_code(&code);
    facts_from_table(&table);
    qsort(code.line, code.count, sizeof(*code.line), line_compare);
    qsort(table.line, table.count, sizeof(*table.line), line_compare);
    while (i < code.count || j < table.count) {
        int c = i == code.count ? 1 : j == table.count ? -1 : strcmp(code.line[i], table.line[j]);

        if (c == 0) {
            i++;
            j++;
            continue;
        }
        print_error("only in %s: %s\n", c < 0 ? "proto/" : TABLE_PATH,
                    c < 0 ? code.line[i] : table.line[j]);
        wrong++;
        if (c < 0)
            i++;
        else
            j++;
    }
    facts_fini(&code);
    facts_fini(&table);
    assert_int_equal(wrong, 0);
}

static void
counts_are_104_messages_285_fields_2_enums_24_calls(void **state)
{
    struct facts code = {0};

    (void)state;
    facts_from_code(&code);
    assert_int_equal(facts_count(&code, "message "), MESSAGES_TOTAL);
    assert_int_equal(facts_count(&code, "field "), FIELDS_TOTAL);
    facts_fini(&code);

    /* Every enum that a field uses is one of the two whose values the table compares. */
    const void *seen[ENUMS_TOTAL + 1] = {0};
    size_t enums = 0;

    for (size_t m = 0; m < ARRAY_LEN(messages); m++) {
        for (unsigned i = 0; i < messages[m]->n_fields; i++) {
            const ProtobufCFieldDescriptor *f = &messages[m]->fields[i];
            size_t k = 0;

            if (f->type != PROTOBUF_C_TYPE_ENUM)
                continue;
            while (k < enums && seen[k] != f->descriptor)
                k++;
            if (k == enums && enums <= ENUMS_TOTAL)
                seen[enums++] = f->descriptor;
        }
    }
    assert_int_equal(enums, ENUMS_TOTAL);
    assert_int_equal(macp__v1__macpruntime_service__descriptor.n_methods, RPCS_TOTAL);
    assert_string_equal(macp__v1__macpruntime_service__descriptor.name,
                        "macp.v1.MACPRuntimeService");
}

/* The list of messages in this file is complete: each `message X` of proto/ is in it, and only
 * those. */
static void
every_message_of_the_proto_files_is_compared(void **state)
{
    size_t found = 0;
    glob_t files = {0};

    (void)state;
    assert_int_equal(glob("proto/macp/v1/*.proto", 0, NULL, &files), 0);
    assert_int_equal(glob("proto/macp/modes/*/v1/*.proto", GLOB_APPEND, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, FILES_TOTAL);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        FILE *f = open_or_fail(files.gl_pathv[i]);
        char line[512];
        char package[128] = "";
        char name[128];

        while (fgets(line, sizeof(line), f)) {
            AUTO_BUF full = {0};
            size_t m = 0;

            (void)sscanf(line, "package %127[a-z0-9_.]", package);
            if (sscanf(line, " message %127[A-Za-z0-9]", name) != 1)
                continue;
            buf_printf(&full, "%s.%s", package, name);
            while (m < ARRAY_LEN(messages) && strcmp(messages[m]->name, buf_cstr(&full)) != 0)
                m++;
            if (m == ARRAY_LEN(messages))
                print_error("%s: %s is not in MESSAGE_LIST\n", files.gl_pathv[i], buf_cstr(&full));
            assert_true(m < ARRAY_LEN(messages));
            found++;
        }
        fclose(f);
    }
    globfree(&files);
    assert_int_equal(found, ARRAY_LEN(messages));
}

/* ---- known bytes ---- */

static void
assert_packs_to(const void *message, const char *hex)
{
    const ProtobufCMessage *m = message;
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *out = xmalloc(n + 1);
    AUTO_BUF got = {0};

    assert_int_equal(protobuf_c_message_pack(m, out), n);
    for (size_t i = 0; i < n; i++)
        buf_printf(&got, "%02x", out[i]);
    assert_string_equal(buf_cstr(&got), hex);

    /* And back: what the bytes decode to encodes to the same bytes again, with nothing unknown. */
    ProtobufCMessage *back = protobuf_c_message_unpack(m->descriptor, NULL, n, out);
    assert_non_null(back);
    assert_int_equal(back->n_unknown_fields, 0);
    assert_int_equal(protobuf_c_message_get_packed_size(back), n);

    uint8_t *again = xmalloc(n + 1);
    protobuf_c_message_pack(back, again);
    assert_memory_equal(again, out, n);
    protobuf_c_message_free_unpacked(back, NULL);
    free(again);
    free(out);
}

static ProtobufCBinaryData
bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

/* protobuf-c wants mutable strings and never writes to them while packing. */
#define STR(s) ((char *)(uintptr_t)(s))

static void
initialize_request_bytes(void **state)
{
    char *versions[] = {STR("1.0")};
    Macp__V1__ClientInfo client = MACP__V1__CLIENT_INFO__INIT;
    Macp__V1__InitializeRequest m = MACP__V1__INITIALIZE_REQUEST__INIT;

    (void)state;
    client.name = STR("observerd");
    client.version = STR("0.1.0");
    m.n_supported_protocol_versions = 1;
    m.supported_protocol_versions = versions;
    m.client_info = &client;
    assert_packs_to(&m, "0a03312e3012120a096f62736572766572641a05302e312e30");
}

#define SUBSCRIBE_HEX "122433663262386331652d356437612d346539622d386136632d306431653266336134623563"

static void
subscribe_frame_bytes_with_and_without_after_sequence(void **state)
{
    Macp__V1__StreamSessionRequest m = MACP__V1__STREAM_SESSION_REQUEST__INIT;

    (void)state;
    m.subscribe_session_id = STR("3f2b8c1e-5d7a-4e9b-8a6c-0d1e2f3a4b5c");
    assert_packs_to(&m, SUBSCRIBE_HEX);
    m.after_sequence = 300;
    assert_packs_to(&m, SUBSCRIBE_HEX "18ac02");
}

static void
session_start_bytes(void **state)
{
    char *participants[] = {STR("agent://a"), STR("agent://b")};
    Macp__V1__SessionStartPayload m = MACP__V1__SESSION_START_PAYLOAD__INIT;

    (void)state;
    m.intent = STR("pick");
    m.n_participants = 2;
    m.participants = participants;
    m.mode_version = STR("1.0.0");
    m.configuration_version = STR("config.default");
    m.policy_version = STR("policy.default");
    m.ttl_ms = 60000;
    assert_packs_to(&m, "0a047069636b12096167656e743a2f2f6112096167656e743a2f2f621a05312e302e30"
                        "220e636f6e6669672e64656661756c742a0e706f6c6963792e64656661756c7430e0d403");
}

static void
session_start_bytes_with_context_extensions_and_suspend_limit(void **state)
{
    char *participants[] = {STR("a")};
    uint8_t value[] = {0x01, 0x02};
    Macp__V1__SessionStartPayload__ExtensionsEntry entry =
        MACP__V1__SESSION_START_PAYLOAD__EXTENSIONS_ENTRY__INIT;
    Macp__V1__SessionStartPayload__ExtensionsEntry *entries[] = {&entry};
    Macp__V1__SessionStartPayload m = MACP__V1__SESSION_START_PAYLOAD__INIT;

    (void)state;
    entry.key = STR("x-k");
    entry.value = (ProtobufCBinaryData){.len = sizeof(value), .data = value};
    m.n_participants = 1;
    m.participants = participants;
    m.mode_version = STR("1.0.0");
    m.configuration_version = STR("c");
    m.ttl_ms = 1000;
    m.context_id = STR("ctx");
    m.n_extensions = 1;
    m.extensions = entries;
    m.max_suspend_ms = 5000;
    assert_packs_to(&m, "1201611a05312e302e3022016330e80742036374784a090a03782d6b12020102508827");
}

static void
commitment_bytes(void **state)
{
    Macp__V1__CommitmentPayload m = MACP__V1__COMMITMENT_PAYLOAD__INIT;

    (void)state;
    m.commitment_id = STR("c1");
    m.action = STR("decision.selected");
    m.authority_scope = STR("test");
    m.reason = STR("done");
    m.mode_version = STR("1.0.0");
    m.configuration_version = STR("config.default");
    m.outcome_positive = 1;
    assert_packs_to(&m, "0a02633112116465636973696f6e2e73656c65637465641a04746573742204646f6e65"
                        "2a05312e302e303a0e636f6e6669672e64656661756c744001");
}

static void
vote_bytes_alone_and_inside_an_envelope(void **state)
{
    uint8_t payload[32];
    Macp__Modes__Decision__V1__VotePayload vote = MACP__MODES__DECISION__V1__VOTE_PAYLOAD__INIT;
    Macp__V1__Envelope m = MACP__V1__ENVELOPE__INIT;

    (void)state;
    vote.proposal_id = STR("p1");
    vote.vote = STR("APPROVE");
    assert_packs_to(&vote, "0a0270311207415050524f5645");

    m.macp_version = STR("1.0");
    m.mode = STR("macp.mode.decision.v1");
    m.message_type = STR("Vote");
    m.message_id = STR("m1");
    m.session_id = STR("s");
    m.sender = STR("agent://b");
    m.timestamp_unix_ms = 1700000000000;
    m.payload.len = macp__modes__decision__v1__vote_payload__pack(&vote, payload);
    m.payload.data = payload;
    assert_packs_to(&m, "0a03312e3012156d6163702e6d6f64652e6465636973696f6e2e76311a04566f746522"
                        "026d312a017332096167656e743a2f2f623880d095ffbc31420d0a0270311207415050"
                        "524f5645");
}

static void
inline_error_bytes(void **state)
{
    Macp__V1__MACPError error = MACP__V1__MACPERROR__INIT;
    Macp__V1__StreamSessionResponse m = MACP__V1__STREAM_SESSION_RESPONSE__INIT;

    (void)state;
    error.code = STR("X");
    error.message = STR("X");
    error.session_id = STR("s");
    m.response_case = MACP__V1__STREAM_SESSION_RESPONSE__RESPONSE_ERROR;
    m.error = &error;
    assert_packs_to(&m, "12090a01581201581a0173");
}

static void
lifecycle_event_bytes(void **state)
{
    Macp__V1__SessionMetadata session = MACP__V1__SESSION_METADATA__INIT;
    Macp__V1__SessionLifecycleEvent event = MACP__V1__SESSION_LIFECYCLE_EVENT__INIT;
    Macp__V1__WatchSessionsResponse m = MACP__V1__WATCH_SESSIONS_RESPONSE__INIT;

    (void)state;
    session.session_id = STR("s");
    session.mode = STR("macp.mode.task.v1");
    session.state = MACP__V1__SESSION_STATE__SESSION_STATE_CANCELLED;
    session.started_at_unix_ms = 1700000000000;
    session.initiator = STR("agent://a");
    event.event_type = MACP__V1__SESSION_LIFECYCLE_EVENT__EVENT_TYPE__EVENT_TYPE_CANCELLED;
    event.session = &session;
    event.observed_at_unix_ms = 1700000000001;
    m.event = &event;
    assert_packs_to(&m, "0a350806122a0a017312116d6163702e6d6f64652e7461736b2e763118052080d095ff"
                        "bc315a096167656e743a2f2f611881d095ffbc31");
}

static void
list_sessions_request_bytes(void **state)
{
    Macp__V1__ListSessionsRequest m = MACP__V1__LIST_SESSIONS_REQUEST__INIT;

    (void)state;
    m.page_size = 100;
    m.page_token = STR("t");
    assert_packs_to(&m, "0864120174");
}

static void
implicit_handoff_accept_bytes(void **state)
{
    Macp__Modes__Handoff__V1__HandoffAcceptPayload m =
        MACP__MODES__HANDOFF__V1__HANDOFF_ACCEPT_PAYLOAD__INIT;

    (void)state;
    m.handoff_id = STR("h1");
    m.accepted_by = STR("agent://b");
    m.reason = STR("implicit accept (timeout)");
    m.implicit = 1;
    assert_packs_to(&m, "0a02683112096167656e743a2f2f621a19696d706c6963697420616363657074202874"
                        "696d656f7574292001");
}

static void
contribute_bytes(void **state)
{
    Macp__Modes__MultiRound__V1__ContributePayload m =
        MACP__MODES__MULTI_ROUND__V1__CONTRIBUTE_PAYLOAD__INIT;

    (void)state;
    m.value = STR("deploy");
    assert_packs_to(&m, "0a066465706c6f79");
}

static void
signal_bytes(void **state)
{
    Macp__V1__SignalPayload m = MACP__V1__SIGNAL_PAYLOAD__INIT;

    (void)state;
    m.signal_type = STR("heartbeat");
    m.data = bytes_of("{}");
    m.confidence = 0.75;
    m.correlation_session_id = STR("s");
    assert_packs_to(&m, "0a0968656172746265617412027b7d19000000000000e83f220173");
}

static void
capabilities_bytes_with_field_number_100(void **state)
{
    Macp__V1__SessionsCapability sessions = MACP__V1__SESSIONS_CAPABILITY__INIT;
    Macp__V1__ExperimentalCapabilities__FeaturesEntry entry =
        MACP__V1__EXPERIMENTAL_CAPABILITIES__FEATURES_ENTRY__INIT;
    Macp__V1__ExperimentalCapabilities__FeaturesEntry *entries[] = {&entry};
    Macp__V1__ExperimentalCapabilities experimental = MACP__V1__EXPERIMENTAL_CAPABILITIES__INIT;
    Macp__V1__Capabilities m = MACP__V1__CAPABILITIES__INIT;

    (void)state;
    sessions.stream = sessions.list_sessions = sessions.watch_sessions = 1;
    entry.key = STR("ext_mode_lifecycle");
    entry.value = STR("true");
    experimental.n_features = 1;
    experimental.features = entries;
    m.sessions = &sessions;
    m.experimental = &experimental;
    assert_packs_to(&m, "0a06080110011801a2061c0a1a0a126578745f6d6f64655f6c6966656379636c651204"
                        "74727565");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_equal_the_table_in_both_directions),
        cmocka_unit_test(counts_are_104_messages_285_fields_2_enums_24_calls),
        cmocka_unit_test(every_message_of_the_proto_files_is_compared),
        cmocka_unit_test(initialize_request_bytes),
        cmocka_unit_test(subscribe_frame_bytes_with_and_without_after_sequence),
        cmocka_unit_test(session_start_bytes),
        cmocka_unit_test(session_start_bytes_with_context_extensions_and_suspend_limit),
        cmocka_unit_test(commitment_bytes),
        cmocka_unit_test(vote_bytes_alone_and_inside_an_envelope),
        cmocka_unit_test(inline_error_bytes),
        cmocka_unit_test(lifecycle_event_bytes),
        cmocka_unit_test(list_sessions_request_bytes),
        cmocka_unit_test(implicit_handoff_accept_bytes),
        cmocka_unit_test(contribute_bytes),
        cmocka_unit_test(signal_bytes),
        cmocka_unit_test(capabilities_bytes_with_field_number_100),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
