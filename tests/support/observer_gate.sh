#!/bin/sh
# The observer only reads: neither program can call Send, build an envelope or pack a payload.
#
#   observer_gate.sh BUILD          check the programs in BUILD and the sources above this script
#   observer_gate.sh --self-test [BUILD]
#                                   plant a Send into a copy and make sure that the check notices
#
# Without an argument the self-test takes BUILD from the environment (make sets it), else build.
# Looks at the linked programs, because what is not in them cannot be called; and at the table of
# methods, because that is what people read. Needs sh, binutils, make and a compiler (self-test).
set -u

here=$(cd "$(dirname "$0")" && pwd)
top=${GATE_TOP:-$(cd "$here/../.." && pwd)}
passed=0
failed=0

# Methods that read, and those that people's commands may lead to. Send is the one that is missing.
reading='Initialize GetSession StreamSession WatchSessions WatchSignals ListSessions GetManifest
    ListModes ListExtModes WatchModeRegistry ListRoots WatchRoots GetPolicy ListPolicies WatchPolicies'
commanded='CancelSession SuspendSession ResumeSession RegisterPolicy UnregisterPolicy'

# verdict NAME FOUND: passes when nothing was found.
verdict() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n' "$1"
        printf '%s\n' "$2" | sed -n '1,5s/^/     /p'
    fi
}

# Words on standard input that are no method the observer may call.
strangers() {
    sort -u | while read -r word; do
        case " $(echo $reading $commanded) " in
        *" $word "*) ;;
        *) echo "$word" ;;
        esac
    done
}

check_program() {
    program=$1
    name=$(basename "$program")
    if [ ! -x "$program" ]; then
        verdict "$name is there" "no program $program"
        return
    fi
    texts=$(strings -a -n 4 "$program")
    symbols=$(nm "$program" 2>&1 | awk '{print $NF}')

    # An empty symbol table would pass every look for forbidden symbols.
    verdict "$name has a symbol table" \
        "$(printf '%s\n' "$symbols" | grep -qx main || echo 'no symbol main: stripped?')"
    verdict "$name: no path of Send" \
        "$(printf '%s\n' "$texts" | grep -E 'MACPRuntimeService/Send($|[^A-Za-z])')"

    verdict "$name: only known methods" \
        "$(printf '%s\n' "$texts" | grep -oE 'MACPRuntimeService/[A-Za-z]+' | sed 's,.*/,,' | strangers)"
    # Sanitizers keep unused data alive; only what could be called counts then. The description of
    # the service would allow calls by the position of a method.
    request='__send_request__|__macpruntime_service__'
    printf '%s\n' "$symbols" | grep -q '^__asan_init$' && request='__send_request__[a-z_]*pack'
    verdict "$name: nothing of a SendRequest or of the service" \
        "$(printf '%s\n' "$symbols" | grep -E "$request")"
    verdict "$name: packs no envelope and no payload" \
        "$(printf '%s\n' "$symbols" | grep -E '(send_request|envelope|_payload)__pack(_to_buffer)?$')"
    verdict "$name: no mock runtime, no kickoff" \
        "$(printf '%s\n' "$symbols" | grep -iE 'mock_?runtime|kickoff';
           printf '%s\n' "$texts" | grep -iE 'mock.?runtime')"
}

check_links() {
    verdict 'macp-fcgi links no gRPC and no HTTP client' \
        "$(readelf -d "$1/macp-fcgi" 2>&1 | grep NEEDED | grep -iE 'grpc|gpr|curl';
           nm "$1/macp-fcgi" 2>/dev/null | grep -E ' [TtUu] (grpc_|gpr_|curl_)')"
}

check_sources() {
    table=$top/observerd/runtime.c
    rows=$(grep -oE 'SERVICE "[A-Za-z]+"' "$table" 2>/dev/null | sed 's/.*"\(.*\)"/\1/')
    verdict 'the method table is where it is looked for' \
        "$([ -n "$rows" ] || echo "no SERVICE rows in $table")"
    verdict 'the method table holds only known methods' "$(printf '%s\n' "$rows" | strangers)"
    verdict 'no source spells the name of the method' \
        "$(grep -rnE '"([^"]*/)?Send"' "$top/observerd" "$top/fcgi" "$top/shared" \
            --include='*.[ch]' 2>/dev/null)"
    verdict 'nobody else names a method of the runtime' \
        "$(grep -rnE 'MACPRuntimeService|SERVICE "' "$top/observerd" "$top/fcgi" "$top/shared" \
            --include='*.[ch]' 2>/dev/null | grep -v "^$table:")"
    verdict 'only what people ask for leads to a method that changes something' \
        "$(grep -rnE 'RT_(CANCEL|SUSPEND|RESUME)_SESSION|RT_(UN)?REGISTER_POLICY' "$top/observerd" \
            --include='*.c' 2>/dev/null | grep -vE "^($table|$top/observerd/command_step.c):")"
    verdict 'no source packs an envelope, a payload or a SendRequest' \
        "$(grep -rnE '(send_request|envelope|_payload)__(pack|init)\b' "$top/observerd" "$top/fcgi" \
            "$top/shared" --include='*.[ch]' 2>/dev/null)"
}

check_all() {
    check_program "$1/macp-observerd"
    check_program "$1/macp-fcgi"
    check_links "$1"
    check_sources
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}

# --- self-test ------------------------------------------------------------------------------

# A constructor is linked in without anybody calling it.
plant_row='
static const char *const planted_path = SERVICE "Send";
__attribute__((constructor)) static void planted(void);
static void planted(void) { static const char *volatile keep; keep = planted_path; (void)keep; }'
plant_pack='
#include "macp/v1/envelope.pb-c.h"
__attribute__((constructor)) static void planted(void);
static void planted(void)
{ static uint8_t out[64]; Macp__V1__Envelope e = MACP__V1__ENVELOPE__INIT; macp__v1__envelope__pack(&e, out); }'

# planted NAME CODE EXPECTED: the gate must fail on a build with the code, naming what is expected.
planted() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/build/obj"
    (cd "$top" && cp -a Makefile fcgi observerd shared proto sql "$work/tree")
    (cd "$build" && cp -a macp-fcgi proto sql.gen.[ch] lib*.a "$work/tree/build")
    (cd "$build/obj" && cp -a observerd shared proto sql.gen.o "$work/tree/build/obj")
    # Only what is planted is compiled: everything else counts as built, whatever its age.
    make -s -t -C "$work/tree" BUILD=build build/macp-observerd >/dev/null 2>&1
    printf '%s\n' "$2" >>"$work/tree/observerd/runtime.c"
    sanitize=
    nm "$build/macp-observerd" | grep -q '__asan_init$' && sanitize=SANITIZE=address,undefined
    if ! make -s -C "$work/tree" BUILD=build $sanitize build/macp-observerd \
        >"$work/make.log" 2>&1; then
        verdict "$1: the planted copy builds" "$(tail -5 "$work/make.log")"
        return
    fi
    out=$(GATE_TOP="$work/tree" sh "$here/observer_gate.sh" "$work/tree/build")
    status=$?
    verdict "$1: the gate fails" "$([ "$status" -ne 0 ] || echo 'it passed')"
    verdict "$1: the gate says why" "$(printf '%s\n' "$out" | grep -q "$3" || printf '%s\n' "$out")"
}

self_test() {
    build=$(cd "$1" && pwd) || exit 2
    work=$(mktemp -d /tmp/observer-gate-XXXXXX) || exit 2
    trap 'rm -rf "$work"' EXIT
    planted 'a method row' "$plant_row" 'macp-observerd: no path of Send'
    planted 'a pack call' "$plant_pack" 'macp-observerd: packs no envelope'
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}

case ${1:-} in
--self-test) self_test "${2:-${BUILD:-$top/build}}" ;;
'') printf 'usage: %s BUILD | --self-test [BUILD]\n' "$0" >&2; exit 2 ;;
*) check_all "$1" ;;
esac
