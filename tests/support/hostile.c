#include "tests/support/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/macros.h"

#define DECISION "macp.mode.decision.v1"
#define PLANNER  "agent://planner"

enum { ANSWER_MS = 30000, GARBAGE = 400, GARBAGE_BYTES = 80, LONG_ID = 100000 };

struct attack {
    struct world *w;
    const char *session;
    int sent;
    uint32_t random;
    struct err *err;
};

static bool
command(struct world *w, json_t *args, struct err *err)
{
    json_t *answer = runtime_ctl_call(&w->ctl, args, ANSWER_MS, err);

    json_decref(answer);
    return answer != NULL;
}

/* key: "text" or "hex". */
static bool
say(struct attack *a, const char *type, const char *sender, const char *key, const char *payload)
{
    bool ok = command(a->w,
                      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "cmd", "send", "session",
                                a->session, "mode", DECISION, "type", type, "sender", sender, key,
                                payload, "forced", 1),
                      a->err);

    a->sent += ok;
    return ok;
}

static void
repeat(struct buf *out, const char *text, size_t n)
{
    while (n--)
        buf_str(out, text);
}

/* --- the ways -------------------------------------------------------------------------------- */

/* Not really random: the same every time. */
static void
random_hex(struct attack *a, struct buf *out, int n)
{
    for (int i = 0; i < n; i++) {
        a->random = a->random * 1664525 + 1013904223;
        buf_printf(out, "%02x", a->random >> 24);
    }
}

static bool
garbage(struct attack *a)
{
    static const char *const types[] = {"Proposal", "Evaluation", "Objection", "Vote", "Unheard"};

    for (int i = 0; i < GARBAGE; i++) {
        AUTO_BUF hex = {0};

        random_hex(a, &hex, i % GARBAGE_BYTES);
        if (!say(a, types[i % (int)ARRAY_LEN(types)], PLANNER, "hex", buf_cstr(&hex)))
            return false;
    }
    return true;
}

static bool
deep_json(struct attack *a)
{
    static const size_t depths[] = {255, 256, 257, 258, 1000, 100000};

    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        AUTO_BUF arrays = {0}, objects = {0}, open = {0};

        repeat(&arrays, "[", depths[i]);
        repeat(&arrays, "]", depths[i]);
        repeat(&objects, "{\"a\":", depths[i]);
        buf_lit(&objects, "1");
        repeat(&objects, "}", depths[i]);
        repeat(&open, "[{\"a\":", depths[i]);
        if (!say(a, "Vote", PLANNER, "text", buf_cstr(&arrays)) ||
            !say(a, "Proposal", PLANNER, "text", buf_cstr(&objects)) ||
            !say(a, "Evaluation", PLANNER, "text", buf_cstr(&open)))
            return false;
    }
    return true;
}

/* In the sender's name, in the type, bare in a JSON text, escaped in one, and in bytes. */
static bool
control_characters(struct attack *a)
{
    for (int c = 0; c <= 0x9f; c = c == 0x1f ? 0x7f : c + 1) {
        AUTO_BUF hex = {0}, bare = {0}, escaped = {0}, name = {0}, type = {0};
        char text[3] = {(char)c, '\0', '\0'};

        if (c >= 0x80) { /* in UTF-8 */
            text[0] = (char)0xc2;
            text[1] = (char)c;
        }
        buf_printf(&hex, "0a03%02x%02x%02x", c, c, c);
        buf_printf(&bare, "{\"reason\":\"%s\"}", text);
        buf_printf(&escaped, "{\"reason\":\"\\u%04x\",\"\\u%04x\":1}", c, c);
        buf_printf(&name, "agent://%s", text);
        buf_printf(&type, "Type%s", text);
        if (!say(a, "Vote", PLANNER, "hex", buf_cstr(&hex)) ||
            !say(a, "Vote", PLANNER, "text", buf_cstr(&escaped)) ||
            !say(a, buf_cstr(&type), buf_cstr(&name), "text", buf_cstr(&bare)))
            return false;
    }
    return true;
}

static bool
long_ids(struct attack *a)
{
    static const size_t lengths[] = {511, 512, 513, 3000, LONG_ID};

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        AUTO_BUF id = {0}, proposal = {0};

        repeat(&id, "x", lengths[i]);
        buf_printf(&proposal, "{\"proposal_id\":\"%s\",\"vote\":\"approve\"}", buf_cstr(&id));
        if (!say(a, buf_cstr(&id), buf_cstr(&id), "text", "{}") ||
            !say(a, "Vote", buf_cstr(&id), "text", buf_cstr(&proposal)) ||
            !command(a->w,
                     json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "cmd", "send", "session",
                               a->session, "mode", DECISION, "type", "Vote", "messageId",
                               buf_cstr(&id), "text", "", "forced", 1),
                     a->err))
            return false;
        a->sent++;
    }
    return true;
}

static bool
largest_payloads(struct attack *a)
{
    /* What the whole payload is made of, as JSON array items, bytes or text. */
    static const char *const texts[] = {"x", "\"", "\x01", "[", "1,", "{\"a\":\"b\"},", "\xc3\xa9"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_BUF plain = {0}, array = {0}, hex = {0};
        size_t n = strlen(texts[i]);

        repeat(&plain, texts[i], HOSTILE_PAYLOAD_MAX / n);
        buf_lit(&array, "[");
        repeat(&array, texts[i], (HOSTILE_PAYLOAD_MAX - 3) / n);
        buf_lit(&array, "1]");
        random_hex(a, &hex, HOSTILE_PAYLOAD_MAX);
        if (!say(a, "Proposal", PLANNER, "text", buf_cstr(&plain)) ||
            !say(a, "Evaluation", PLANNER, "text", buf_cstr(&array)) ||
            !say(a, "Vote", PLANNER, "hex", buf_cstr(&hex)))
            return false;
    }
    return true;
}

static bool
crowd(struct attack *a)
{
    for (int i = 0; i < HOSTILE_SENDERS; i++) {
        char sender[64];

        snprintf(sender, sizeof sender, "agent://one-of-many-%05d", i);
        if (!say(a, "Vote", sender, "text", "{\"proposal_id\":\"p1\",\"vote\":\"approve\"}"))
            return false;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*send)(struct attack *a);
} ways[HOSTILE__COUNT] = {
    [HOSTILE_GARBAGE] = {"garbage instead of messages", garbage},
    [HOSTILE_DEEP_JSON] = {"deep JSON", deep_json},
    [HOSTILE_CONTROL_CHARACTERS] = {"control characters", control_characters},
    [HOSTILE_LONG_IDS] = {"long ids", long_ids},
    [HOSTILE_LARGEST_PAYLOADS] = {"payloads of a mebibyte", largest_payloads},
    [HOSTILE_CROWD] = {"ten thousand senders", crowd},
};

const char *
hostile_name(enum hostile_way way)
{
    return ways[way].name;
}

/* --- a session ------------------------------------------------------------------------------- */

bool
hostile_open(struct world *w, const char *session, struct err *err)
{
    return command(w,
                   json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:[s,s], s:s, s:s, s:i}}", "cmd",
                             "send", "session", session, "mode", DECISION, "type", "SessionStart",
                             "sender", PLANNER, "payload", "intent", "harm", "participants",
                             PLANNER, "agent://reviewer", "mode_version", "1.0.0",
                             "configuration_version", "config.default", "ttl_ms", 600000),
                   err);
}

bool
hostile_send(struct world *w, const char *session, enum hostile_way way, int *sent, struct err *err)
{
    struct attack a = {.w = w, .session = session, .random = 1, .err = err};
    bool ok = ways[way].send(&a);

    *sent += a.sent;
    return ok;
}

bool
hostile_close(struct world *w, const char *session, struct err *err)
{
    return command(w,
                   json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:b}}",
                             "cmd", "send", "session", session, "mode", DECISION, "type",
                             "Commitment", "sender", PLANNER, "payload", "commitment_id", "c1",
                             "action", "decision.selected", "authority_scope", "session", "reason",
                             "survived", "mode_version", "1.0.0", "configuration_version",
                             "config.default", "outcome_positive", 1),
                   err);
}
