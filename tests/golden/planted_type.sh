#!/bin/bash
# planted_type.sh BUILD: a canonical type without a reducer must not go unnoticed.
#
# Builds the unit test of the fold twice from copies of the sources: as they are, where it must
# pass, and with one more type in the list and nothing else, where it must fail and name that type.
# Last line: N passed, N failed.
set -u
library=$(realpath "$1/libshared.a") || exit 2
planted=planted.by.test
sanitize=
! nm "$library" 2>/dev/null | grep -q __asan_init || sanitize=-fsanitize=address,undefined
passed=0
failed=0
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

judge() { # NAME HOLDS
    if [ "$2" = yes ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1"
        tail -5 "$work/log" | sed 's/^/    /'
    fi
}

run() { # builds and runs what is in $work; its output in $work/log
    # The rest of the library does not depend on how many types there are.
    (cd "$work" && "${CC:-gcc}" -std=gnu17 -D_GNU_SOURCE $sanitize -I. -o test \
        tests/unit/test_projection.c shared/event.c shared/projection*.c "$library" -lcmocka -ljansson -luuid -lcrypto -lm &&
        ./test) >"$work/log" 2>&1
}

cp -r --parents shared tests/unit/test_projection.c "$work"
run
status=$?
judge "the fold's own test passes on an unchanged copy" \
    "$([ $status -eq 0 ] && grep -q 'OK \] test_every_type_has_a_reducer' "$work/log" && echo yes)"

sed -i "s/^#define EVENT_TYPE_LIST(X) .*/&\n    X(EVENT_PLANTED, \"$planted\") \\\\/" "$work/shared/event.h"
grep -q "$planted" "$work/shared/event.h" || echo "FAIL nothing was planted"
run
status=$?
judge "a type without a reducer fails the fold's test" \
    "$([ $status -ne 0 ] && grep -q "no reducer for $planted" "$work/log" && echo yes)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
