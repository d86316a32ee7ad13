#!/bin/bash
# run.sh BUILD NAME COMMAND...: run test programs, as many at once as there are processors, and add
# up what they say.
#
# Understood are cmocka's closing lines and "N passed, N failed" alone on a line. A program that
# fails without saying how many failed counts as one failure. The output of each is kept in
# BUILD/logs; what failed is shown. Last line: N passed, N failed.
set -u
build=$1
name=$2
shift 2
logs=$build/logs/$name
mkdir -p "$logs"

run_one() { # COMMAND RESULT
    local command=$1 log p f skipped status begin
    log=$logs/$(basename "${command%% *}")$(printf %s "${command#"${command%% *}"}" | tr -c 'A-Za-z0-9' _).log
    begin=$(date +%s)
    timeout 900 $command >"$log" 2>&1 </dev/null
    status=$?
    p=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/\1/p; s/^([a-z -]+: )?([0-9]+) passed, [0-9]+ failed.*/\2/p' "$log" | awk '{n += $1} END {print n + 0}')
    f=$(sed -nE 's/^\[  FAILED  \] ([0-9]+) test.*/\1/p; s/^([a-z -]+: )?[0-9]+ passed, ([0-9]+) failed.*/\2/p' "$log" | awk '{n += $1} END {print n + 0}')
    skipped=$(grep -cE '^\[  SKIPPED \] [a-z]' "$log")
    [ $status -eq 0 ] || [ "$f" -gt 0 ] || f=1
    # A run that tested nothing proves nothing, and a skipped test is not a passed one.
    [ $((p + f)) -gt 0 ] || f=1
    f=$((f + skipped))
    {
        printf '  %-44s %4d passed %3d failed  %3ds\n' "${command#"$build"/}" "$p" "$f" $(($(date +%s) - begin))
        if [ "$f" -gt 0 ]; then
            grep -E 'FAILED|ERROR|runtime error|Sanitizer|BUG |^FAIL|[Ff]ailed' "$log" | head -40 | sed 's/^/      /'
            echo "      (all of it: $log)"
        fi
    } >"$2.text"
    cat "$2.text"
    echo "$p $f" >"$2"
}

results=$(mktemp -d "$logs/results.XXXXXX")
trap 'rm -rf "$results"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM
at_once=$(nproc)
started=0
for command in "$@"; do
    while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
    started=$((started + 1))
    run_one "$command" "$results/$started" &
done
wait
# One that left no result never came to its end.
cat "$results"/*[0-9] 2>/dev/null | awk -v started="$started" '
    {passed += $1; failed += $2}
    END {failed += started - NR; printf "%d passed, %d failed\n", passed, failed; exit failed > 0}'
