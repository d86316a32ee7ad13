#!/bin/bash
# run.sh SECONDS TARGET...: each fuzz target for so long; a finding is kept and fails the run.
#
# Seeds come from tests/fuzz/corpus/<target> when there is one, and are made of random sessions for
# the targets that seeds.py knows. Last line: N passed, N failed.
set -u
seconds=$1
shift
passed=0
failed=0
for target in "$@"; do
    name=$(basename "$target")
    work=$target.work
    mkdir -p "$work/corpus" "$work/seeds"
    tests/fuzz/seeds.py "$name" "$work/seeds" || exit 2
    seeds=$work/seeds
    [ ! -d "tests/fuzz/corpus/$name" ] || seeds="$seeds tests/fuzz/corpus/$name"
    # shellcheck disable=SC2086
    if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work/corpus" $seeds >"$work/log" 2>&1; then
        passed=$((passed + 1))
        printf '  %-28s %s runs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")"
    else
        failed=$((failed + 1))
        printf '  %-28s FAILED, see %s\n' "$name" "$work/log"
        grep -m 5 -E 'ERROR|SUMMARY|runtime error|BUG ' "$work/log" | sed 's/^/      /'
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
