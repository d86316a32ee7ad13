#!/usr/bin/env bash
# Plays sessions between the real MACP runtime and real agents and checks what our stack made of them.
#
#   tests/interop/run.sh BUILD      BUILD is the build folder; it must hold tests/stack. See README.md for the rest.
#
# Exit status: 0 passed, 1 failed, 77 skipped because something could not be fetched (a skip is not a pass).
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-${BUILD:-build}}
mkdir -p "$BUILD/interop"
BUILD=$(cd "$BUILD" && pwd)
cd "$HERE/../.." # the stack looks for migrations here
CACHE=$BUILD/interop
SESSIONS=${INTEROP_SESSIONS:-3}
OBSERVER=macp-observer
PLANNER=agent://planner REVIEWER=agent://reviewer TESTER=agent://tester

# Tried in this order when the newest release cannot be installed as its lock file demands.
OLDER_RELEASES=${INTEROP_OLDER_RELEASES:-0.12.1 0.12.0 0.11.0 0.10.1 0.10.0 0.9.0 0.8.8 0.7.0}

say() { printf 'interop: %s\n' "$*"; }
fail() {
    printf 'interop: FAILED: %s\n' "$*" >&2
    exit 1
}
skip() { # WHAT LOG
    printf '\n*** interop: SKIPPED, nothing was tested: %s\n' "$1" >&2
    sed 's/^/***   /' "$2" >&2
    printf '*** exit status 77: this is not a pass\n\n' >&2
    exit 77
}

# --- fetching -----------------------------------------------------------------------------------

# cargo itself skips what is installed already, so a second run costs a look at the index.
cargo_install() { # LOG [--version X]
    local log=$1
    shift
    local target=()
    [ -n "${CARGO_TARGET_DIR:-}" ] || target=(--target-dir "$CACHE/target")
    cargo install macp-runtime "$@" --locked --bin macp-runtime --root "$CACHE/runtime" "${target[@]}" >"$log" 2>&1
}

# An older release helps only against what is wrong with one release, not against a closed registry.
release_is_to_blame() {
    grep -Eq 'failed to select a version|failed to download|is yanked|requires rustc|could not (compile|find `macp-runtime)' "$1"
}

install_runtime() {
    local log=$CACHE/cargo.log older
    command -v cargo >/dev/null || {
        echo "cargo is not in PATH" >"$log"
        skip "the runtime is built with cargo (Rust 1.89 or later)" "$log"
    }
    say "installing the newest macp-runtime with $(cargo --version) (the first time takes minutes)"
    cargo_install "$log" && return
    for older in $OLDER_RELEASES; do
        release_is_to_blame "$log" || break
        say "NOT THE NEWEST RUNTIME: cargo install refused:"
        grep -E -A4 '^error' "$log" | sed 's/^/    /' || true
        say "trying macp-runtime $older"
        cargo_install "$log" --version "$older" && return
    done
    if ! release_is_to_blame "$log" && [ -x "$CACHE/runtime/bin/macp-runtime" ]; then
        say "REGISTRY REFUSED, using the runtime built earlier: $(grep -m1 '^error' "$log" || tail -n1 "$log")"
        return
    fi
    tail -n 20 "$log" >"$log.tail"
    skip "cargo install macp-runtime --locked gave no runtime" "$log.tail"
}

install_sdk() {
    local log=$CACHE/pip.log
    [ -x "$CACHE/venv/bin/python" ] || python3 -m venv "$CACHE/venv" >"$log" 2>&1 ||
        skip "python3 -m venv failed" "$log"
    "$CACHE/venv/bin/python" -m pip install --quiet --upgrade macp-sdk-python >"$log" 2>&1 && return
    if "$CACHE/venv/bin/python" -c 'import macp_sdk' 2>/dev/null; then
        say "REGISTRY REFUSED, using the SDK installed earlier: $(grep -m1 ERROR "$log" || tail -n1 "$log")"
        return
    fi
    skip "pip install macp-sdk-python gave no SDK" "$log"
}

# --- the world ----------------------------------------------------------------------------------

WORK=$(mktemp -d "${TMPDIR:-/tmp}/macp-interop.XXXXXX")
RUNTIME_PID='' STACK_PID='' AGENTS_PID=''

stop() { # PID SIGNAL
    [ -n "$1" ] && kill -s "$2" "$1" 2>/dev/null && wait "$1" 2>/dev/null || true
}

finish() {
    local status=$?
    trap - EXIT
    stop "$AGENTS_PID" TERM
    stop "$STACK_PID" TERM
    stop "$RUNTIME_PID" INT
    if [ "$status" -eq 0 ] || [ "$status" -eq 77 ]; then
        rm -rf "$WORK"
    else
        say "logs and answers are in $WORK"
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])
PY
}

# until_true SECONDS WHAT COMMAND...: polls; fails when the time is over. Two looks a second at most stay below the request
# limit of the HTTP API, which counts per minute.
until_true() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "$what"
        sleep 0.5
    done
}

# A port that was free may be taken before the runtime binds it; then another one is tried.
port_was_taken() {
    ! kill -0 "$RUNTIME_PID" 2>/dev/null && grep -q 'Address already in use' "$WORK/runtime.log"
}

runtime_listens() {
    port_was_taken && return 0
    kill -0 "$RUNTIME_PID" 2>/dev/null || fail "the runtime ended: $(tail -n 5 "$WORK/runtime.log")"
    (exec 3<>"/dev/tcp/127.0.0.1/$RPC_PORT") 2>/dev/null && curl -fsS "http://127.0.0.1:$METRICS_PORT/metrics" >/dev/null 2>&1
}

launch_runtime() {
    env NO_COLOR=1 RUST_LOG=info,macp_runtime=debug \
        MACP_BIND_ADDR="127.0.0.1:$RPC_PORT" MACP_METRICS_ADDR="127.0.0.1:$METRICS_PORT" \
        MACP_ALLOW_INSECURE=1 MACP_DATA_DIR="$WORK/runtime-data" MACP_SHUTDOWN_DRAIN_SECS=1 \
        MACP_AUTH_TOKENS_JSON="[
            {\"token\": \"tok-planner\", \"sender\": \"$PLANNER\"},
            {\"token\": \"tok-reviewer\", \"sender\": \"$REVIEWER\", \"can_start_sessions\": false},
            {\"token\": \"tok-tester\", \"sender\": \"$TESTER\", \"can_start_sessions\": false},
            {\"token\": \"tok-observer\", \"sender\": \"$OBSERVER\", \"can_start_sessions\": false, \"is_observer\": true,
             \"can_manage_mode_registry\": true}]" \
        "$CACHE/runtime/bin/macp-runtime" >>"$WORK/runtime.log" 2>&1 &
    RUNTIME_PID=$!
    until_true 20 "the runtime does not listen" runtime_listens
}

start_runtime() {
    local installed running tries=5
    while
        read -r RPC_PORT METRICS_PORT < <(free_ports 2)
        : >"$WORK/runtime.log"
        launch_runtime
        port_was_taken
    do
        [ $((tries -= 1)) -gt 0 ] || fail "no free port for the runtime"
    done
    installed=$(sed -n 's/^"macp-runtime \([^ ]*\) .*/\1/p' "$CACHE/runtime/.crates.toml")
    running=$(sed -n 's/.*macp-runtime v\([^ ]*\) listening.*/\1/p' "$WORK/runtime.log")
    [ "$running" = "$installed" ] || fail "cargo installed macp-runtime $installed, the program says it is '$running'"
    say "runtime: macp-runtime $running"
}

stack_ready() {
    kill -0 "$STACK_PID" 2>/dev/null || fail "our stack ended: $(tail -n 20 "$WORK/stack.log")"
    [ -s "$WORK/ready.json" ]
}

start_stack() {
    "$BUILD/tests/stack" --runtime "127.0.0.1:$RPC_PORT" --bearer tok-observer --ready-file "$WORK/ready.json" \
        >"$WORK/stack.log" 2>&1 &
    STACK_PID=$!
    until_true 60 "our stack does not become ready" stack_ready
    API=$(field apiUrl <"$WORK/ready.json")
    KEY=$(field apiKey <"$WORK/ready.json")
}

# --- one session --------------------------------------------------------------------------------

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
api() { curl -fsS --max-time 10 -H "Authorization: Bearer $KEY" "$@"; }

run_is() { # DIR STATUS...
    local dir=$1 status wanted
    shift
    api "$API/runs/$RUN" >"$dir/run.json" || fail "GET /runs/$RUN"
    status=$(field status <"$dir/run.json")
    for wanted in "$@"; do
        [ "$status" = "$wanted" ] && return
    done
    case $status in failed | cancelled) fail "the run ended $status: $(cat "$dir/run.json")" ;; esac
    return 1
}

compare() { # DIR
    local status=0
    api "$API/runs/$RUN/events?limit=1000" >"$1/events.json" || fail "GET /runs/$RUN/events"
    "$CACHE/venv/bin/python" "$HERE/check.py" session "$OBSERVER" "$1/run.json" "$1/events.json" "$1/sent.jsonl" \
        >"$1/check.txt" 2>&1 || status=$?
    case $status in
    0) cat "$1/check.txt" ;;
    3) return 1 ;; # signals travel on a stream of their own and may be stored after the end
    *) fail "$(cat "$1/check.txt")" ;;
    esac
}

play() { # DIR
    mkdir -p "$1"
    api -X POST -H 'Content-Type: application/json' "$API/runs" >"$1/created.json" -d "{
        \"mode\": \"live\", \"runtime\": {\"kind\": \"rust\"},
        \"session\": {\"modeName\": \"macp.mode.decision.v1\", \"modeVersion\": \"1.0.0\",
            \"configurationVersion\": \"config.default\", \"ttlMs\": 120000,
            \"participants\": [{\"id\": \"$PLANNER\"}, {\"id\": \"$REVIEWER\"}, {\"id\": \"$TESTER\"}]}}" ||
        fail "POST /runs"
    RUN=$(field runId <"$1/created.json")
    SESSION=$(field sessionId <"$1/created.json")
    say "run $RUN, session $SESSION"

    "$CACHE/venv/bin/python" "$HERE/agents.py" --runtime "127.0.0.1:$RPC_PORT" --session "$SESSION" \
        --agent "$PLANNER=tok-planner" --agent "$REVIEWER=tok-reviewer" --agent "$TESTER=tok-tester" \
        --go "$1/go" --timeout 60 >"$1/sent.jsonl" 2>"$1/agents.log" &
    AGENTS_PID=$!
    # The runtime compacts a session's history when it ends: the agents go on when it is being observed.
    until_true 30 "the open session is not observed: $1/run.json" run_is "$1" running
    : >"$1/go"
    wait "$AGENTS_PID" || fail "the agents failed: $(grep '^agents:' "$1/agents.log")"
    AGENTS_PID=''

    until_true 30 "the run did not end: $1/run.json" run_is "$1" completed
    until_true 10 "signals of the session are not stored: $1/check.txt" compare "$1"
}

# --- what people do to a run ------------------------------------------------------------------------

control() { # SCENE
    "$CACHE/venv/bin/python" "$HERE/control.py" --runtime "127.0.0.1:$RPC_PORT" --api "$API" --key "$KEY" \
        --agent "$PLANNER=tok-planner" --state "$WORK/restart.json" "$1" 2>"$WORK/control.log" ||
        fail "$(grep '^control:' "$WORK/control.log" || tail -n 3 "$WORK/control.log")"
}

# Killed, and started again on the same port with what is on its disk.
restart_runtime() {
    stop "$RUNTIME_PID" KILL
    launch_runtime
}

never_spoke() {
    sed 's/\x1b\[[0-9;]*m//g' "$WORK/runtime.log" |
        grep -E 'session started|message accepted' | grep -E "sender=$OBSERVER( |\$)" >"$WORK/spoke.txt" || return 0
    fail "the runtime accepted envelopes of $OBSERVER: $(head -n 1 "$WORK/spoke.txt")"
}

# --- all of it ----------------------------------------------------------------------------------

install_runtime
install_sdk
[ -x "$BUILD/tests/stack" ] || fail "$BUILD/tests/stack is not built"
say "agents:  $("$CACHE/venv/bin/python" -m pip freeze | grep -Ei '^(macp|grpcio|protobuf)' | tr '\n' ' ')"

start_runtime
start_stack
say "observing as $OBSERVER, which may observe and may not start sessions"
sent=()
for ((n = 1; n <= SESSIONS; n++)); do
    play "$WORK/$n"
    sent+=("$WORK/$n/sent.jsonl")
done
curl -fsS "http://127.0.0.1:$METRICS_PORT/metrics" >"$WORK/metrics.txt" || fail "the runtime's metrics"
"$CACHE/venv/bin/python" "$HERE/check.py" runtime "$OBSERVER" "$WORK/metrics.txt" "$WORK/runtime.log" "${sent[@]}" ||
    fail "the runtime's own account differs"
for scene in discover delegate callback before; do
    control "$scene"
done
restart_runtime
control after
never_spoke
say "PASSED: $SESSIONS sessions, and what people do to a run"
