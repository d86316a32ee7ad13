#include "tests/runtime/command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/runtime/borrow.h"
#include "tests/runtime/job.h"
#include "tests/runtime/player.h"
#include "tests/runtime/policy.h"
#include "tests/runtime/pump.h"
#include "tests/runtime/rpc.h"
#include "tests/runtime/script.h"
#include "tests/runtime/server.h"
#include "tests/runtime/session.h"
#include "tests/runtime/world.h"

static json_t *
ok(void)
{
    return json_pack("{s:b}", "ok", 1);
}

static const char *
text_arg(const json_t *args, const char *name)
{
    const char *s = json_string_value(json_object_get(args, name));

    return s ? s : "";
}

/* ---- jobs ---- */

static json_t *
run_or_start(struct world *w, job_fn run, const json_t *args)
{
    if (!json_is_false(json_object_get(args, "wait")))
        return run(w, args);
    return json_pack("{s:b, s:I}", "ok", 1, "job", (json_int_t)job_start(w, run, args));
}

static json_t *
cmd_play(struct world *w, const json_t *args)
{
    return run_or_start(w, player_play, args);
}

static json_t *
cmd_pump(struct world *w, const json_t *args)
{
    return run_or_start(w, pump_run, args);
}

static json_t *
cmd_job(struct world *w, const json_t *args)
{
    return job_result(w, json_integer_value(json_object_get(args, "id")),
                      json_is_true(json_object_get(args, "wait")));
}

static json_t *
cmd_scripts(struct world *w, const json_t *args)
{
    json_t *list = json_array();

    (void)w;
    (void)args;
    for (size_t i = 0; i < scripts_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", scripts[i].name, "mode",
                                              scripts[i].mode, "doc", scripts[i].doc));
    return json_pack("{s:b, s:o}", "ok", 1, "scripts", list);
}

/* ---- sessions ---- */

typedef bool (*session_fn)(struct world *w, struct session *s);

static json_t *
on_session(struct world *w, const json_t *args, session_fn apply)
{
    const char *id = text_arg(args, "session");
    struct session *s;
    json_t *out;

    world_lock(w);
    s = session_find(w, id);
    if (!s)
        out = job_error("there is no session \"%s\"", id);
    else if (!apply(w, s))
        out = job_error("not possible: session is %s", session_state_name(s->state));
    else
        out = ok();
    world_unlock(w);
    return out;
}

static json_t *
cmd_cancel(struct world *w, const json_t *args)
{
    return on_session(w, args, session_cancel);
}

static json_t *
cmd_suspend(struct world *w, const json_t *args)
{
    return on_session(w, args, session_suspend);
}

static json_t *
cmd_resume(struct world *w, const json_t *args)
{
    return on_session(w, args, session_resume);
}

static bool
expire_now(struct world *w, struct session *s)
{
    return session_expire(w, s, true);
}

static bool
expire_when_touched(struct world *w, struct session *s)
{
    return session_expire(w, s, false);
}

static json_t *
cmd_expire(struct world *w, const json_t *args)
{
    bool lazy = json_is_true(json_object_get(args, "lazy"));

    return on_session(w, args, lazy ? expire_when_touched : expire_now);
}

static bool
evict(struct world *w, struct session *s)
{
    session_evict(w, s);
    return true;
}

static json_t *
cmd_evict(struct world *w, const json_t *args)
{
    return on_session(w, args, evict);
}

static json_t *
cmd_forget(struct world *w, const json_t *args)
{
    size_t cut;

    (void)args;
    world_lock(w);
    session_forget_all(w);
    cut = server_cut_connections(w);
    world_unlock(w);
    return json_pack("{s:b, s:I}", "ok", 1, "cut", (json_int_t)cut);
}

static json_t *
cmd_session(struct world *w, const json_t *args)
{
    const char *id = text_arg(args, *text_arg(args, "id") ? "id" : "session");
    struct session *s;
    json_t *out;

    world_lock(w);
    s = session_find(w, id);
    out = s ? session_json(s, true) : job_error("there is no session \"%s\"", id);
    if (s)
        json_object_set_new(out, "ok", json_true());
    world_unlock(w);
    return out;
}

static json_t *
cmd_sessions(struct world *w, const json_t *args)
{
    struct arena a = {0};
    json_t *list = json_array();
    struct session **all;
    size_t n;

    (void)args;
    world_lock(w);
    all = session_list(w, &a, &n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, session_json(all[i], false));
    world_unlock(w);
    arena_fini(&a);
    return json_pack("{s:b, s:o}", "ok", 1, "sessions", list);
}

/* ---- counters ---- */

static void
add_int(json_t *object, const char *name, uint64_t n)
{
    json_int_t old = json_integer_value(json_object_get(object, name));

    json_object_set_new(object, name, json_integer(old + (json_int_t)n));
}

static void
add_tally(json_t *object, const struct tally *t)
{
    add_int(object, "streamFrames", t->frames);
    add_int(object, "streamEnvelopes", t->envelope_frames);
    add_int(object, "subscribes", t->subscribes);
    add_int(object, "halfCloses", t->half_closes);
    for (size_t i = 0; i < methods_count; i++)
        add_int(object, methods[i].name, t->calls[i]);
}

static void
add_caller(json_t *callers, const char *sender, const struct tally *t)
{
    json_t *one = json_object_get(callers, sender);

    if (!one) {
        one = json_object();
        json_object_set_new(callers, sender, one);
    }
    add_tally(one, t);
}

static json_t *
cmd_counters(struct world *w, const json_t *args)
{
    json_t *total = json_object();
    json_t *callers = json_object();
    size_t subscribers = 0;
    json_t *traceparent;

    (void)args;
    world_lock(w);
    traceparent = json_string(w->traceparent);
    for (size_t i = 0; i < w->identities.count; i++) {
        const struct identity *id = w->identities.list[i];

        add_caller(callers, id->sender, &id->tally);
        add_tally(total, &id->tally);
    }
    add_caller(callers, "", &w->anonymous);
    add_tally(total, &w->anonymous);
    for (const struct call *c = w->calls; c; c = c->next)
        subscribers += c->at.session != NULL;
    world_unlock(w);
    return json_pack("{s:b, s:I, s:o, s:o, s:o}", "ok", 1, "subscribers", (json_int_t)subscribers,
                     "total", total, "callers", callers, "traceparent", traceparent);
}

static json_t *
cmd_reset_counters(struct world *w, const json_t *args)
{
    (void)args;
    world_lock(w);
    for (size_t i = 0; i < w->identities.count; i++)
        w->identities.list[i]->tally = (struct tally){0};
    w->anonymous = (struct tally){0};
    world_unlock(w);
    return ok();
}

/* ---- policies ---- */

static json_t *
cmd_policy(struct world *w, const json_t *args)
{
    Macp__V1__PolicyDescriptor d = MACP__V1__POLICY_DESCRIPTOR__INIT;
    const json_t *version = json_object_get(args, "schemaVersion");
    const char *refused;

    d.policy_id = borrow(text_arg(args, "id"));
    d.mode = borrow(text_arg(args, "mode"));
    d.description = borrow(text_arg(args, "description"));
    d.rules = borrow(text_arg(args, "rules"));
    d.schema_version = version ? (uint32_t)json_integer_value(version) : 1;
    world_lock(w);
    refused = json_is_true(json_object_get(args, "remove"))
                  ? policy_remove(&w->policies, d.policy_id)
                  : policy_register(&w->policies, &d);
    if (!refused)
        rpc_policies_changed(w);
    world_unlock(w);
    return refused ? job_error("%s", refused) : ok();
}

/* ---- tokens ---- */

static json_t *
cmd_grant(struct world *w, const json_t *args)
{
    struct err err = {0};
    bool granted;

    world_lock(w);
    granted = identity_grant(&w->identities, args, &err);
    world_unlock(w);
    return granted ? ok() : job_error("%s", err.msg);
}

static json_t *
cmd_revoke(struct world *w, const json_t *args)
{
    struct identity *id;
    size_t ended = 0;

    world_lock(w);
    id = identity_revoke(&w->identities, text_arg(args, "token"));
    if (id && json_is_true(json_object_get(args, "streams")))
        ended = server_expel(w, id);
    world_unlock(w);
    if (!id)
        return job_error("nobody has this token");
    return json_pack("{s:b, s:I}", "ok", 1, "ended", (json_int_t)ended);
}

/* ---- switches ---- */

static void
wake_mode_watchers(struct world *w)
{
    w->modes_version++;
    for (struct call *c = w->calls; c; c = c->next) {
        if (c->method && c->method->pull == rpc_watch_modes_pull)
            call_wake(c);
    }
}

static json_t *
cmd_set(struct world *w, const json_t *args)
{
    struct err err = {0};
    const char *name;
    json_t *value;
    json_t *out = NULL;

    world_lock(w);
    json_object_foreach ((json_t *)(uintptr_t)args, name, value) {
        if (strcmp(name, "cmd") == 0)
            continue;
        if (!settings_set_json(&w->settings, name, value, &err)) {
            out = job_error("%s", err.msg);
            break;
        }
        if (strcmp(name, "modes") == 0)
            wake_mode_watchers(w);
    }
    world_unlock(w);
    return out ? out : ok();
}

static json_t *
cmd_settings(struct world *w, const json_t *args)
{
    json_t *out;

    (void)args;
    world_lock(w);
    out = json_pack("{s:b, s:o, s:i}", "ok", 1, "settings", settings_json(&w->settings), "port",
                    w->port);
    world_unlock(w);
    return out;
}

static json_t *
cmd_cut(struct world *w, const json_t *args)
{
    const char *what = text_arg(args, "what");
    size_t n;

    if (*what && strcmp(what, "streams") != 0 && strcmp(what, "connections") != 0)
        return job_error("what must be streams or connections");
    world_lock(w);
    n = *what == 'c' ? server_cut_connections(w) : server_cut_streams(w);
    world_unlock(w);
    return json_pack("{s:b, s:I}", "ok", 1, "cut", (json_int_t)n);
}

static json_t *
cmd_stop(struct world *w, const json_t *args)
{
    (void)w;
    (void)args;
    kill(getpid(), SIGTERM);
    return ok();
}

static json_t *cmd_help(struct world *w, const json_t *args);

struct command {
    const char *name;
    const char *args;
    json_t *(*run)(struct world *w, const json_t *args);
    const char *doc;
};

// clang-format off
static const struct command commands[] = {
    {"play",     "script session delayMs participants loop gapMs wait", cmd_play, "perform a script; \"all\": every one"},
    {"pump",     "sessions envelopes rate payloadBytes ids|prefix waitSubscribers timeoutMs commit wait", cmd_pump, "load"},
    {"job",      "id wait",       cmd_job,            "result of what was started with wait:false"},
    {"send",     "session mode type sender payload|text|hex messageId timestamp forced", player_send, "one envelope"},
    {"scripts",  "",              cmd_scripts,        "list the scripts"},
    {"session",  "id",            cmd_session,        "state and every accepted envelope"},
    {"sessions", "",              cmd_sessions,       "all sessions"},
    {"cancel",   "session",       cmd_cancel,         "as if the initiator had"},
    {"suspend",  "session",       cmd_suspend,        ""},
    {"resume",   "session",       cmd_resume,         ""},
    {"expire",   "session lazy",  cmd_expire,         "now, or (lazy) when somebody looks"},
    {"evict",    "session",       cmd_evict,          "forget one session"},
    {"forget",   "",              cmd_forget,         "forget all sessions and drop all connections: a memory-only restart"},
    {"policy",   "id mode description rules schemaVersion remove", cmd_policy, "register one, or remove it; rules are a JSON text"},
    {"cut",      "what",          cmd_cut,            "abort all session streams, or \"connections\": drop every client"},
    {"counters", "",              cmd_counters,       "calls and frames, in total and per caller"},
    {"reset",    "",              cmd_reset_counters, "counters to zero"},
    {"grant",    "token sender is_observer ...", cmd_grant, "a token more, as if an issuer had signed it"},
    {"revoke",   "token streams", cmd_revoke,         "a token less; streams: end what was opened with it"},
    {"set",      "<name>:<value>", cmd_set,           "change settings"},
    {"settings", "",              cmd_settings,       "show settings and port"},
    {"stop",     "",              cmd_stop,           "end the program"},
    {"help",     "",              cmd_help,           "this list"},
};
// clang-format on

static json_t *
cmd_help(struct world *w, const json_t *args)
{
    json_t *list = json_array();

    (void)w;
    (void)args;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "cmd", commands[i].name, "args",
                                              commands[i].args, "doc", commands[i].doc));
    return json_pack("{s:b, s:o}", "ok", 1, "commands", list);
}

json_t *
command_run(struct world *w, const char *line)
{
    json_error_t where;
    json_auto_t *args = json_loads(line, 0, &where);
    const char *name = text_arg(args, "cmd");

    if (!json_is_object(args))
        return job_error("not a JSON object: %s", args ? "" : where.text);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            json_t *out = commands[i].run(w, args);

            return out ? out : job_error("the answer cannot be written as JSON");
        }
    }
    return job_error("no command is called \"%s\"", name);
}

void
command_help(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        buf_printf(out, "  %-9s %s\n%12s%s\n", commands[i].name,
                   *commands[i].doc ? commands[i].doc : "as if the initiator had", "",
                   *commands[i].args ? commands[i].args : "(no arguments)");
}
