#include "tests/runtime/judge.h"

#include <stdlib.h>
#include <string.h>

#include "shared/macros.h"
#include "tests/runtime/identity.h"
#include "tests/runtime/mode.h"
#include "tests/runtime/policy.h"
#include "tests/runtime/world.h"

enum { PAYLOAD_MAX = 1 << 20, PARTICIPANTS_MAX = 1000, TTL_MAX_MS = 86400000, TOKEN_ID_MIN = 22 };

/* Fills the judgement; returns nothing so that a refusal reads as one line. */
static void
refuse(struct judgement *j, const char *code, const char *name)
{
    j->code = code;
    j->name = name;
}

static bool
is_blank(const char *s)
{
    return s[strspn(s, " \t\r\n")] == '\0';
}

/* 36 characters are judged as a UUID when they look like one, else as a token. */
static bool
session_id_ok(const char *id)
{
    size_t len = strlen(id);
    const char *hex = "0123456789abcdefABCDEF";
    bool uuid = len == 36;

    for (size_t i = 0; uuid && i < len; i++)
        uuid = i == 8 || i == 13 || i == 18 || i == 23 ? id[i] == '-' : strchr(hex, id[i]) != NULL;
    if (uuid)
        return strpbrk(id, "ABCDEF") == NULL && (id[14] == '4' || id[14] == '7') &&
               strchr("89ab", id[19]) != NULL;
    return len >= TOKEN_ID_MIN &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static bool
decodes_as(const ProtobufCMessageDescriptor *d, const ProtobufCBinaryData *payload)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, payload->len, payload->data);

    protobuf_c_message_free_unpacked(m, NULL);
    return m != NULL;
}

static void
judge_ambient(const Macp__V1__Envelope *e, struct judgement *j)
{
    j->kind = JUDGED_AMBIENT;
    if (strcmp(e->message_type, "Signal") == 0) {
        if (*e->mode || *e->session_id)
            return refuse(j, "INVALID_ENVELOPE", "InvalidEnvelope");
        if (e->payload.len == 0)
            return;

        Macp__V1__SignalPayload *p =
            macp__v1__signal_payload__unpack(NULL, e->payload.len, e->payload.data);
        bool named = p && *p->signal_type;

        macp__v1__signal_payload__free_unpacked(p, NULL);
        if (!named)
            refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
        return;
    }
    if (!*e->mode != !*e->session_id)
        return refuse(j, "INVALID_ENVELOPE", "InvalidEnvelope");
    if (!decodes_as(&macp__v1__progress_payload__descriptor, &e->payload))
        refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
}

static bool
participants_ok(const Macp__V1__SessionStartPayload *p, bool required)
{
    if (p->n_participants > PARTICIPANTS_MAX || (required && p->n_participants == 0))
        return false;
    for (size_t i = 0; i < p->n_participants; i++) {
        if (is_blank(p->participants[i]))
            return false;
        for (size_t k = 0; k < i; k++) {
            if (strcmp(p->participants[i], p->participants[k]) == 0)
                return false;
        }
    }
    return true;
}

static int64_t
open_sessions_of(struct world *w, const char *sender)
{
    int64_t n = 0;

    for (size_t i = 0; i < w->sessions.cap; i++) {
        const struct session *s = w->sessions.slots[i].value;

        n += s && s->state == SESSION_OPEN && strcmp(s->initiator, sender) == 0;
    }
    return n;
}

static void
judge_start_payload(struct world *w, const struct mode *mode,
                    const Macp__V1__SessionStartPayload *p, struct judgement *j)
{
    const struct policy *policy =
        policy_find(&w->policies, *p->policy_version ? p->policy_version : POLICY_DEFAULT);
    bool version_ok = strcmp(p->mode_version, MODE_VERSION) == 0;

    if (p->ttl_ms < 1 || p->ttl_ms > TTL_MAX_MS)
        return refuse(j, "INVALID_ENVELOPE", "InvalidTtl");
    if (!participants_ok(p, !mode->passthrough) || p->max_suspend_ms < 0)
        return refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
    if (!mode->passthrough && (!version_ok || !*p->configuration_version))
        return refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
    if (!policy)
        return refuse(j, "UNKNOWN_POLICY_VERSION", "UnknownPolicyVersion");
    if (strcmp(policy->mode, "*") != 0 && strcmp(policy->mode, mode->name) != 0)
        refuse(j, "INVALID_POLICY_DEFINITION", "InvalidPolicyDefinition");
}

static void
judge_start(struct world *w, const struct identity *id, const Macp__V1__Envelope *e,
            const struct mode *mode, struct judgement *j)
{
    j->kind = JUDGED_START;
    if (j->session) {
        if (keymap_get(&j->session->seen, e->message_id))
            j->kind = JUDGED_DUPLICATE;
        else
            refuse(j, "SESSION_ALREADY_EXISTS", "SessionAlreadyExists");
        return;
    }
    if (!session_id_ok(e->session_id))
        return refuse(j, "INVALID_SESSION_ID", "InvalidSessionId");
    if (!id->can_start)
        return refuse(j, "FORBIDDEN", "Forbidden");
    if (id->max_open > 0 && open_sessions_of(w, id->sender) >= id->max_open)
        return refuse(j, "RATE_LIMITED", "RateLimited");

    Macp__V1__SessionStartPayload *p =
        macp__v1__session_start_payload__unpack(NULL, e->payload.len, e->payload.data);

    if (!p)
        return refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
    judge_start_payload(w, mode, p, j);
    if (j->code)
        macp__v1__session_start_payload__free_unpacked(p, NULL);
    else
        j->start = p;
}

static bool
ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

/* What the last word of the action promises must be what outcome_positive says. */
static bool
outcome_fits(const Macp__V1__CommitmentPayload *p)
{
    static const struct {
        const char *end;
        bool positive;
    } words[] = {
        {"rejected", false}, {"failed", false},   {"declined", false}, {"selected", true},
        {"accepted", true},  {"completed", true}, {"approved", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (ends_with(p->action, words[i].end))
            return !!p->outcome_positive == words[i].positive;
    }
    return true;
}

static bool
commitment_ok(const struct session *s, const Macp__V1__CommitmentPayload *p)
{
    const Macp__V1__SessionStartPayload *start = s->start;

    if (is_blank(p->commitment_id) || is_blank(p->action) || is_blank(p->authority_scope) ||
        is_blank(p->reason))
        return false;
    if (strcmp(p->mode_version, *start->mode_version ? start->mode_version : MODE_VERSION) != 0 ||
        strcmp(p->configuration_version, start->configuration_version) != 0)
        return false;
    if (*p->policy_version && strcmp(p->policy_version, s->policy_id) != 0)
        return false;
    if (p->supersedes && (!*p->supersedes->session_id || !*p->supersedes->commitment_hash))
        return false;
    return outcome_fits(p);
}

static void
judge_commitment(struct world *w, const struct identity *id, const Macp__V1__Envelope *e,
                 struct judgement *j)
{
    Macp__V1__CommitmentPayload *p =
        macp__v1__commitment_payload__unpack(NULL, e->payload.len, e->payload.data);

    j->kind = JUDGED_COMMITMENT;
    if (!p || !commitment_ok(j->session, p))
        refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
    else if (!session_controlled_by(w, j->session, id))
        refuse(j, "FORBIDDEN", "Forbidden");
    macp__v1__commitment_payload__free_unpacked(p, NULL);
}

static void
judge_message(const struct identity *id, const Macp__V1__Envelope *e, const struct mode *mode,
              struct judgement *j)
{
    const struct session *s = j->session;
    const struct mode_message *m = mode_message(mode, e->message_type);
    bool is_initiator = strcmp(s->initiator, id->sender) == 0;

    if (mode->passthrough) {
        if (s->start->n_participants && !session_has_participant(s, id->sender))
            refuse(j, "FORBIDDEN", "Forbidden");
        return;
    }
    if (!m)
        return refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
    if (m->role == ROLE_INITIATOR ? !is_initiator : !session_has_participant(s, id->sender))
        return refuse(j, "FORBIDDEN", "Forbidden");
    if (e->payload.len == 0)
        return refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
    /* Contributions may also be JSON, which need not decode as a message. */
    if (strcmp(mode->name, MODE_MULTI_ROUND) != 0 && !decodes_as(m->payload, &e->payload))
        refuse(j, "INVALID_ENVELOPE", "InvalidPayload");
}

void
judge_envelope(struct world *w, const struct identity *id, const Macp__V1__Envelope *e,
               enum accept_flags flags, struct judgement *j)
{
    const struct mode *mode = mode_find(e->mode);
    bool ambient =
        strcmp(e->message_type, "Signal") == 0 || strcmp(e->message_type, "Progress") == 0;
    bool forced = flags & ACCEPT_FORCED;

    *j = (struct judgement){0};
    if (*e->sender && strcmp(e->sender, id->sender) != 0)
        return refuse(j, "UNAUTHENTICATED", "Unauthenticated");
    if (strcmp(e->macp_version, "1.0") != 0)
        return refuse(j, "UNSUPPORTED_PROTOCOL_VERSION", "InvalidMacpVersion");
    if (!*e->message_type || !*e->message_id || (!ambient && is_blank(e->mode)))
        return refuse(j, "INVALID_ENVELOPE", "InvalidEnvelope");
    if (e->payload.len > PAYLOAD_MAX)
        return refuse(j, "PAYLOAD_TOO_LARGE", "PayloadTooLarge");
    if (!identity_may_send_in(id, e->mode))
        return refuse(j, "FORBIDDEN", "Forbidden");
    if (ambient)
        return judge_ambient(e, j);
    if (!mode || !mode_listed(w->settings.modes, e->mode))
        return refuse(j, "MODE_NOT_SUPPORTED", "UnknownMode");

    j->session = session_find(w, e->session_id);
    if (strcmp(e->message_type, "SessionStart") == 0)
        return judge_start(w, id, e, mode, j);
    if (!j->session)
        return refuse(j, "SESSION_NOT_FOUND", "UnknownSession");
    if (keymap_get(&j->session->seen, e->message_id)) {
        j->kind = JUDGED_DUPLICATE;
        return;
    }
    if (!forced && strncmp(e->message_id, "implicit-accept:", 16) == 0)
        return refuse(j, "INVALID_ENVELOPE", "InvalidEnvelope"); /* the runtime's own prefix */
    if (j->session->mode != mode)
        return refuse(j, "INVALID_ENVELOPE", "InvalidEnvelope");
    session_touch(w, j->session);
    if (j->session->state != SESSION_OPEN)
        return refuse(j, "SESSION_NOT_OPEN",
                      j->session->state == SESSION_EXPIRED ? "TtlExpired" : "SessionNotOpen");
    if (strcmp(e->message_type, "Commitment") == 0)
        return judge_commitment(w, id, e, j);
    if (!forced)
        judge_message(id, e, mode, j);
}
