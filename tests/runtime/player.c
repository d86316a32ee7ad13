#include "tests/runtime/player.h"
#include "tests/runtime/borrow.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/clock.h"
#include "shared/uuid.h"
#include "tests/runtime/identity.h"
#include "tests/runtime/job.h"
#include "tests/runtime/mode.h"
#include "tests/runtime/payload.h"
#include "tests/runtime/script.h"
#include "tests/runtime/session.h"
#include "tests/runtime/world.h"

enum { CAST = 3, GAP_MS = 1000, IMPLICIT_LATE_MS = 1500 };

static const char *const cast_default[CAST] = {"agent://planner", "agent://reviewer",
                                               "agent://critic"};

struct play {
    struct world *world;
    const struct script *script;
    const char *cast[CAST];
    const char *session;
    char last_id[UUID_LEN];
    uint64_t accepted;
};

/* ' becomes ", $A $B $C $S $NOW their values. */
static void
expand(const struct play *p, const char *text, struct buf *out)
{
    for (; *text; text++) {
        if (*text == '\'') {
            buf_char(out, '"');
        } else if (strncmp(text, "$NOW", 4) == 0) {
            buf_int(out, clock_wall_ms());
            text += 3;
        } else if (text[0] == '$' && text[1] == 'S') {
            buf_str(out, p->session);
            text++;
        } else if (text[0] == '$' && text[1] >= 'A' && text[1] < 'A' + CAST) {
            buf_str(out, p->cast[text[1] - 'A']);
            text++;
        } else {
            buf_char(out, *text);
        }
    }
}

static bool
step_payload(const struct play *p, const struct step *step, struct buf *out, struct err *err)
{
    AUTO_BUF text = {0};
    json_auto_t *fields = NULL;
    const ProtobufCMessageDescriptor *d = mode_payload(p->script->mode, step->type);

    if (step->flags & STEP_HEX)
        return payload_from_hex(step->payload, out, err);
    expand(p, step->payload, &text);
    if (step->flags & STEP_TEXT) {
        buf_add(out, buf_cstr(&text), text.len);
        return true;
    }
    fields = json_loads(buf_cstr(&text), 0, NULL);
    if (!d || !fields)
        return err_set(err, ERR_VALIDATION, "step %s is not well written: %s", step->type,
                       buf_cstr(&text));
    return payload_encode(d, fields, out, err);
}

static bool
control(struct play *p, const char *verb, struct err *err)
{
    struct world *w = p->world;
    struct session *s;
    bool ok = false;

    world_lock(w);
    s = session_find(w, p->session);
    if (s && strcmp(verb, "cancel") == 0)
        ok = session_cancel(w, s);
    else if (s && strcmp(verb, "suspend") == 0)
        ok = session_suspend(w, s);
    else if (s && strcmp(verb, "resume") == 0)
        ok = session_resume(w, s);
    else if (s && strcmp(verb, "expire") == 0)
        ok = session_expire(w, s, true);
    world_unlock(w);
    return ok || err_set(err, ERR_CONFLICT, "%s is not possible now", verb);
}

static void
fill_envelope(struct play *p, const struct step *step, const struct buf *payload,
              Macp__V1__Envelope *e)
{
    bool ambient = step->flags & STEP_AMBIENT;

    e->macp_version = borrow("1.0");
    e->mode = borrow(ambient ? "" : p->script->mode);
    e->session_id = borrow(ambient ? "" : p->session);
    e->message_type = borrow(step->type);
    e->timestamp_unix_ms = p->world->settings.zero_timestamps ? 0 : clock_wall_ms();
    e->payload.data = (uint8_t *)payload->p;
    e->payload.len = payload->len;
    if (!(step->flags & STEP_AGAIN))
        uuid_v4(p->last_id);
    e->message_id = p->last_id;
    if (step->flags & STEP_RUNTIME) {
        /* Stamped with the deadline it missed, which lies before its neighbours. */
        e->message_id = borrow("implicit-accept:h1");
        e->timestamp_unix_ms = clock_wall_ms() - IMPLICIT_LATE_MS;
    }
}

static bool
perform(struct play *p, const struct step *step, struct err *err)
{
    AUTO_BUF payload = {0};
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;
    struct identity who = {.sender = borrow(p->cast[step->who - 'A']), .can_start = true};
    enum accept_flags flags =
        step->flags & (STEP_FORCED | STEP_RUNTIME) ? ACCEPT_FORCED : ACCEPT_PLAIN;
    struct verdict v;

    if (step->flags & STEP_CONTROL)
        return control(p, step->type, err);
    if (!step_payload(p, step, &payload, err))
        return false;
    world_lock(p->world);
    fill_envelope(p, step, &payload, &e);
    session_accept(p->world, &who, &e, flags, &v);
    world_unlock(p->world);
    p->accepted += v.ordinal > 0;
    if (v.ok == !!(step->flags & STEP_REFUSED))
        return err_set(err, ERR_CONFLICT, "%s by %c was %s", step->type, step->who,
                       v.ok ? "accepted, should have been refused" : v.code);
    return true;
}

static json_t *
play_one(struct world *w, const struct script *script, const char *session, const json_t *args)
{
    const json_t *names = json_object_get(args, "participants");
    int64_t delay_ms = json_integer_value(json_object_get(args, "delayMs"));
    char fresh[UUID_LEN];
    struct play p = {.world = w, .script = script, .session = session};
    struct session *s;
    struct err err = {0};
    json_t *out;

    if (!session) {
        uuid_v4(fresh);
        p.session = fresh;
    }
    for (size_t i = 0; i < CAST; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        p.cast[i] = name ? name : cast_default[i];
    }
    for (size_t i = 0; i < script->count; i++) {
        if (i > 0 && delay_ms > 0 && !world_sleep(w, delay_ms))
            return job_error("stopped");
        if (!perform(&p, &script->steps[i], &err))
            return job_error("%s, step %zu: %s", script->name, i + 1, err.msg);
    }
    world_lock(w);
    s = session_find(w, p.session);
    out = json_pack("{s:b, s:s, s:s, s:s, s:I, s:s}", "ok", 1, "script", script->name, "session",
                    p.session, "mode", script->mode, "accepted", (json_int_t)p.accepted, "state",
                    s ? session_state_name(s->state) : "EVICTED");
    world_unlock(w);
    return out;
}

static json_t *
play_all(struct world *w, const json_t *args)
{
    const json_t *gap = json_object_get(args, "gapMs");
    bool loop = json_is_true(json_object_get(args, "loop"));
    json_t *plays = json_array();
    bool ok = true;

    do {
        json_array_clear(plays);
        for (size_t i = 0; i < scripts_count; i++) {
            json_t *one = play_one(w, &scripts[i], NULL, args);

            ok = ok && json_is_true(json_object_get(one, "ok"));
            json_array_append_new(plays, one);
            if (loop && !world_sleep(w, gap ? json_integer_value(gap) : GAP_MS))
                loop = false;
        }
    } while (loop);
    return json_pack("{s:b, s:o}", "ok", ok, "plays", plays);
}

json_t *
player_play(struct world *w, const json_t *args)
{
    const char *name = json_string_value(json_object_get(args, "script"));
    const char *session = json_string_value(json_object_get(args, "session"));
    const struct script *script = name ? script_find(name) : NULL;

    if (name && strcmp(name, "all") == 0)
        return play_all(w, args);
    if (!script)
        return job_error("no script is called \"%s\"", name ? name : "");
    return play_one(w, script, session, args);
}

/* ---- one hand-written envelope ---- */

static const char *
text_arg(const json_t *args, const char *name, const char *fallback)
{
    const char *s = json_string_value(json_object_get(args, name));

    return s ? s : fallback;
}

static bool
send_payload(const json_t *args, const char *mode, const char *type, struct buf *out,
             struct err *err)
{
    const json_t *fields = json_object_get(args, "payload");
    const ProtobufCMessageDescriptor *d = mode_payload(mode, type);

    if (json_object_get(args, "hex"))
        return payload_from_hex(text_arg(args, "hex", ""), out, err);
    buf_str(out, text_arg(args, "text", ""));
    if (!fields)
        return true;
    if (!d)
        return err_set(err, ERR_VALIDATION, "%s %s has no payload message: use text or hex", mode,
                       type);
    return payload_encode(d, fields, out, err);
}

json_t *
player_send(struct world *w, const json_t *args)
{
    AUTO_BUF payload = {0};
    Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT;
    const char *type = text_arg(args, "type", "");
    const char *mode = text_arg(args, "mode", NULL);
    const char *session = text_arg(args, "session", "");
    const json_t *timestamp = json_object_get(args, "timestamp");
    struct identity who = {.sender = borrow(text_arg(args, "sender", cast_default[0])),
                           .can_start = true};
    char fresh[UUID_LEN];
    struct session *s;
    struct verdict v;
    struct err err = {0};

    uuid_v4(fresh);
    world_lock(w);
    s = session_find(w, session);
    if (!mode)
        mode = s && strcmp(type, "Signal") != 0 ? s->mode->name : "";
    world_unlock(w);
    if (!send_payload(args, mode, type, &payload, &err))
        return job_error("%s", err.msg);
    e.macp_version = borrow("1.0");
    e.mode = borrow(mode);
    e.message_type = borrow(type);
    e.message_id = borrow(text_arg(args, "messageId", fresh));
    e.session_id = borrow(session);
    e.timestamp_unix_ms = timestamp ? json_integer_value(timestamp) : clock_wall_ms();
    e.payload.data = (uint8_t *)payload.p;
    e.payload.len = payload.len;
    world_lock(w);
    session_accept(w, &who, &e,
                   json_is_true(json_object_get(args, "forced")) ? ACCEPT_FORCED : ACCEPT_PLAIN,
                   &v);
    world_unlock(w);
    return json_pack("{s:b, s:b, s:I, s:s, s:s?, s:s}", "ok", v.ok, "duplicate", v.duplicate,
                     "ordinal", (json_int_t)v.ordinal, "messageId", e.message_id, "error", v.code,
                     "state", session_state_name(v.state));
}
