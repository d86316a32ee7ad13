#!/bin/bash
# lint.sh BUILD        check every C file: both compilers, the format, and the house rules below
# lint.sh --self-test  plant one violation of each rule in a scratch tree and see that it is found
#
# Generated headers are expected in BUILD; LINT_CFLAGS holds the compiler flags (shell quoting).
# Findings are printed as path:line: text. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 2
here=$PWD
passed=0
failed=0
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

# --- scanning ----------------------------------------------------------------------------------
# Rules read two copies of every source, line for line the same: "text" without comments, and
# "code" without comments and with empty string literals.

strip='
undef $/;
my ($text, $code) = @ARGV; @ARGV = ();
my $s = <STDIN>;
sub lines { my $n = ($_[0] =~ tr/\n//); return " " . ("\n" x $n) }
$s =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}
       {defined $1 ? lines($1) : $2}gse;
open(my $t, ">", $text) or die; print $t $s; close $t;
$s =~ s{^([ \t]*#[ \t]*include[^\n]*)|"(?:\\.|[^"\\\n])*"}{defined $1 ? $1 : "\"\""}gme;
open(my $c, ">", $code) or die; print $c $s; close $c;
'

sources() { # all C files below the current folder, without generated ones
    find fcgi observerd shared tests -type f -name '*.[ch]' 2>/dev/null | LC_ALL=C sort
}

prepare() { # fills $work/text and $work/code from the current folder
    rm -rf "$work/text" "$work/code"
    while read -r f; do
        mkdir -p "$work/text/$(dirname "$f")" "$work/code/$(dirname "$f")"
        perl -e "$strip" "$work/text/$f" "$work/code/$f" <"$f"
    done < <(sources)
}

# search COPY REGEX WHERE [EXCEPT]: lines of files whose path matches WHERE but not EXCEPT.
search() {
    (cd "$work/$1" 2>/dev/null && find . -type f | sed 's|^\./||' | LC_ALL=C sort |
        grep -E "$3" | grep -vE "${4:-^$}" | xargs -r grep -nHP -- "$2")
}

# --- the rules: each prints its findings, nothing when it holds ----------------------------------

rule_environment_is_read_in_one_place() {
    search code '\b(secure_)?getenv\s*\(' . '^shared/config\.c$'
    # Tests hand an environment to the programs they start.
    search code '\b(environ|setenv|putenv|unsetenv)\b' '^(fcgi|observerd|shared)/' '^shared/config\.c$'
}
rule_libpq_is_used_in_one_place() {
    search text '^\s*#\s*include\s*[<"]([^>"]*/)?(libpq-fe|libpq-events|postgres_ext)\.h' . '^shared/db\.c$'
}
rule_grpc_is_used_in_one_place() {
    search text '^\s*#\s*include\s*[<"]grpc/' . '^(observerd/runtime\.c$|observerd/runtime_channel\.[ch]$|tests/runtime/)'
}
rule_curl_is_used_in_one_place() {
    search text '^\s*#\s*include\s*[<"]curl/' . '^observerd/outbound\.c$'
}
rule_no_banned_functions() {
    search code '\b(sprintf|vsprintf|strcpy|strcat|strtok|atoi|gets)\s*\(' .
}
rule_tests_do_not_sleep() {
    search code '\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep)\s*\(' '^tests/' |
        while IFS=: read -r f n rest; do
            sed -n "${n}p" "$f" | grep -qF '/* load shape */' || echo "$f:$n:$rest"
        done
}
rule_sql_lives_in_sql() {
    search text '"[^"]*\b(SELECT|INSERT INTO|DELETE FROM|UPDATE\s+\w[\w.]*\s+SET|(CREATE|ALTER|DROP)\s+(OR REPLACE\s+)?(TABLE|INDEX|VIEW|SCHEMA|ROLE|TYPE|FUNCTION|TRIGGER)|TRUNCATE)\s' \
        '^(fcgi|observerd|shared)/'
    search text '"\s*(select\s[^"]*\bfrom\b|insert into\s|delete from\s|update\s+\w[\w.]*\s+set\s)' \
        '^(fcgi|observerd|shared)/'
}
rule_no_umbrella_header() {
    while read -r f; do
        n=$(grep -cE '^#include "' "$work/text/$f")
        if [ "$n" -gt 10 ] || { [ "$n" -ge 2 ] && ! grep -q '[;{]' "$work/code/$f"; }; then
            echo "$f:1: includes $n of our headers: an umbrella"
        fi
    done < <(sources | grep '\.h$')
}
rule_include_guards() {
    while read -r f; do
        up=$(echo "${f%.h}" | tr 'a-z/.-' 'A-Z___')
        # Below tests/ the word TESTS may be left out.
        guard=$(grep -m1 -oE '^#ifndef [A-Z0-9_]+' "$work/code/$f" | cut -d' ' -f2)
        if [ "$guard" != "MACP_${up}_H" ] && [ "$guard" != "MACP_${up#TESTS_}_H" ]; then
            echo "$f:1: include guard is '$guard', not MACP_${up}_H"
        elif ! grep -qE "^#define $guard\$" "$work/code/$f"; then
            echo "$f:1: include guard $guard is never defined"
        fi
    done < <(sources | grep '\.h$')
}
rule_rooms_know_only_what_is_below() {
    search text '^\s*#\s*include\s*"(fcgi|observerd|tests)/' '^shared/'
    search text '^\s*#\s*include\s*"(observerd|tests)/' '^fcgi/'
    search text '^\s*#\s*include\s*"(fcgi|tests)/' '^observerd/'
}
rule_files_are_named_by_a_noun() {
    sources | grep -E '/(utils?|helpers?|managers?|common|misc)\.[ch]$' |
        sed 's/$/:1: name the file by what it is about/'
}
rule_no_file_over_1000_lines() {
    while read -r f; do
        n=$(wc -l <"$f")
        [ "$n" -le 1000 ] || echo "$f:1001: has $n lines"
    done < <(sources)
}

rules() {
    declare -F | awk '{print $3}' | grep '^rule_'
}

# --- compilers and format ------------------------------------------------------------------------

if [ -n "${LINT_CFLAGS:-}" ]; then
    eval "flags=($LINT_CFLAGS)"
else
    b=${1:-build}
    # shellcheck disable=SC2207
    flags=(-std=gnu17 -D_GNU_SOURCE '-DMACP_VERSION="lint"' -I. "-I$b" "-I$b/proto" -O2
        $(pkg-config --cflags jansson libpq libprotobuf-c libpcre2-8 libcurl libmicrohttpd libsystemd 2>/dev/null)
        -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef
        -Wconversion)
fi

check_gcc() { gcc "${flags[@]}" -Werror -fsyntax-only "$1"; }
# gcc-only warning flags must not fail clang.
check_clang() { clang "${flags[@]}" -Werror -Wno-unknown-warning-option -fsyntax-only "$1"; }
check_format() { clang-format --dry-run -Werror "$1"; }

# each NAME FILES...: run check_NAME on every file, two at a time, and count.
each() {
    local check=$1 out="$work/out.$1" n=0
    shift
    rm -rf "$out" && mkdir -p "$out"
    for f in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
        ("check_$check" "$f" >"$out/$n.log" 2>&1 && touch "$out/$n.ok") &
        n=$((n + 1))
    done
    wait
    for ((i = 0; i < n; i++)); do
        if [ -e "$out/$i.ok" ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            grep -E '^[^ ]+:[0-9]+(:[0-9]+)?: ' "$out/$i.log" || cat "$out/$i.log"
        fi
    done
}

# --- self-test -----------------------------------------------------------------------------------

# plant RULE PATH [HARMLESS]: standard input becomes PATH in an otherwise clean tree; the rule must
# report it, and must not report the file that holds what only looks like it.
plant() {
    local rule=$1 path=$2
    rm -rf "$work/tree" && mkdir -p "$work/tree/$(dirname "$path")"
    cat >"$work/tree/$path"
    cd "$work/tree" || exit 2
    prepare
    if "rule_$rule" | grep -qE "^$path:[0-9]+:"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$0:1: rule_$rule does not find its violation in $path"
    fi
    planted="$planted rule_$rule"
    cd "$here" || exit 2
}
spare() {
    local rule=$1 path=$2
    rm -rf "$work/tree" && mkdir -p "$work/tree/$(dirname "$path")"
    cat >"$work/tree/$path"
    cd "$work/tree" || exit 2
    prepare
    if [ -z "$("rule_$rule")" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$0:1: rule_$rule refuses what is allowed in $path"
    fi
    cd "$here" || exit 2
}
plant_check() { # CHECK: standard input is a file that check_CHECK must refuse
    cp .clang-format "$work/"
    cat >"$work/planted.c"
    if "check_$1" "$work/planted.c" >/dev/null 2>&1; then
        failed=$((failed + 1))
        echo "$0:1: check_$1 accepts its violation"
    else
        passed=$((passed + 1))
    fi
}

self_test() {
    planted=
    r=environment_is_read_in_one_place
    plant $r fcgi/a.c <<<'char *v = getenv("HOME");'
    plant $r tests/unit/a.c <<<'char *v = secure_getenv ("HOME");'
    plant $r observerd/a.c <<<'char **e = environ;'
    spare $r shared/config.c <<<'char *v = getenv("HOME"); char **e = environ;'
    spare $r shared/a.c <<<'/* getenv(x) */ const char *s = "getenv(x)"; // environ'
    spare $r tests/support/a.c <<<'posix_spawn(&pid, path, NULL, NULL, argv, environ);'
    r=libpq_is_used_in_one_place
    plant $r fcgi/a.c <<<'#include <libpq-fe.h>'
    plant $r shared/db.h <<<'#include <postgresql/libpq-fe.h>'
    spare $r shared/db.c <<<'#include <libpq-fe.h>'
    r=grpc_is_used_in_one_place
    plant $r observerd/session.c <<<'#include <grpc/grpc.h>'
    plant $r observerd/runtime.h <<<'#include <grpc/grpc.h>'
    spare $r observerd/runtime.c <<<'#include <grpc/grpc.h>'
    spare $r tests/runtime/server.c <<<'#include <grpc/grpc.h>'
    r=curl_is_used_in_one_place
    plant $r observerd/webhook.c <<<'#include <curl/curl.h>'
    plant $r tests/support/http.c <<<'#include <curl/curl.h>'
    spare $r observerd/outbound.c <<<'#include <curl/curl.h>'
    r=no_banned_functions
    for f in sprintf strcpy strcat strtok atoi gets vsprintf; do
        plant $r shared/a.c <<<"x = $f(a, b);"
    done
    spare $r shared/a.c <<<'snprintf(a); strtok_r(a); fgets(a); log("strcpy(x)"); /* atoi(x) */'
    r=tests_do_not_sleep
    for f in sleep usleep nanosleep; do
        plant $r tests/unit/a.c <<<"$f(1);"
    done
    spare $r tests/bench/a.c <<<'usleep(10); /* load shape */'
    spare $r observerd/a.c <<<'nanosleep(&ts, NULL);'
    r=sql_lives_in_sql
    for s in 'SELECT 1' 'INSERT INTO runs' 'UPDATE runs SET x' 'DELETE FROM runs' 'CREATE TABLE x' \
        'ALTER TABLE x' 'DROP TABLE x' 'TRUNCATE runs' 'select id from runs'; do
        plant $r observerd/a.c <<<"const char *q = \"$s y\";"
    done
    spare $r fcgi/a.c <<<'/* "SELECT 1 " */ const char *s = "select a run, then update it";'
    spare $r tests/unit/a.c <<<'const char *q = "SELECT 1 ";'
    plant no_umbrella_header shared/all.h <<<$'#include "shared/a.h"\n#include "shared/b.h"'
    spare no_umbrella_header shared/a.h <<<$'#include "shared/b.h"\n#include "shared/c.h"\nvoid f(void);'
    r=include_guards
    plant $r shared/a.h <<<$'#ifndef A_H\n#define A_H\n#endif'
    plant $r shared/b.h <<<$'#pragma once'
    plant $r fcgi/c.h <<<$'#ifndef MACP_FCGI_C_H\n#define MACP_FCGI_D_H\n#endif'
    spare $r fcgi/run_control.h <<<$'/* x */\n#ifndef MACP_FCGI_RUN_CONTROL_H\n#define MACP_FCGI_RUN_CONTROL_H\n#endif'
    r=rooms_know_only_what_is_below
    plant $r shared/a.c <<<'#include "fcgi/a.h"'
    plant $r shared/a.h <<<'#include "observerd/a.h"'
    plant $r fcgi/a.c <<<'#include "observerd/a.h"'
    plant $r observerd/a.c <<<'#include "fcgi/a.h"'
    spare $r tests/unit/a.c <<<$'#include "fcgi/a.h"\n#include "observerd/a.h"'
    for f in utils.c helpers.c manager.c; do
        plant files_are_named_by_a_noun "fcgi/$f" <<<'int x;'
    done
    spare files_are_named_by_a_noun fcgi/command.c <<<'int x;'
    plant no_file_over_1000_lines shared/a.c < <(yes '' | head -1001)
    spare no_file_over_1000_lines shared/a.c < <(yes '' | head -1000)
    plant_check gcc <<<'int f(void) { return 0; }'
    plant_check clang <<<'int f(void) { return 0; }'
    plant_check format <<<'int   x ;'
    for r in $(rules); do # a new rule must bring its violation
        case " $planted " in *" $r "*) ;; *)
            failed=$((failed + 1))
            echo "$0:1: $r has no planted violation"
            ;;
        esac
    done
}

# --- main ----------------------------------------------------------------------------------------

if [ "${1:-}" = --self-test ]; then
    self_test
else
    mapfile -t all < <(sources)
    mapfile -t c_files < <(sources | grep '\.c$')
    prepare
    for rule in $(rules); do
        findings=$("$rule")
        if [ -z "$findings" ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            sed "s|\$|  [${rule#rule_}]|" <<<"$findings"
        fi
    done
    each format "${all[@]}"
    each gcc "${c_files[@]}"
    each clang "${c_files[@]}"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
