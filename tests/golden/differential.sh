#!/bin/bash
# differential.sh BUILD [SESSIONS]: random sessions through the oracle and through the C code.
#
# The oracle makes SESSIONS (500) sessions with what they must become; two programs check each:
# events, numbers, projection and metrics of the whole pipeline; and the fold of the events at
# once and stored and loaded after every event. SEED in the environment repeats a run; without it
# every run is a new one. What failed is kept. Last line: N passed, N failed.
set -u
build=$1
sessions=${2:-500}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
folder=$build/differential
vectors=$folder/$seed.jsonl
passed=0
failed=0
mkdir -p "$folder"

echo "seed $seed, $sessions sessions (repeat: SEED=$seed $0 $*)"
if ! python3 -B tests/golden/macp_model.py gen "$seed" "$sessions" >"$vectors"; then
    echo "FAIL the oracle made no sessions"
    echo "0 passed, 1 failed"
    exit 1
fi
for program in test_session_vectors test_reduce_vectors; do
    log=$folder/$seed.$program.log
    "$build/tests/golden/$program" "$vectors" >"$log" 2>&1
    status=$?
    read -r p f < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log")
    # A program that died, or saw fewer sessions than there are, has not passed.
    if [ "$((${p:-0} + ${f:-0}))" -ne "$sessions" ] || { [ $status -ne 0 ] && [ "${f:-0}" -eq 0 ]; }; then
        echo "FAIL $program: exit status $status after ${p:-0} of $sessions sessions, see $log"
        f=$((${f:-0} + 1))
    fi
    [ "${f:-0}" -eq 0 ] || grep -A 9 '^FAIL' "$log" | head -40
    passed=$((passed + ${p:-0}))
    failed=$((failed + ${f:-0}))
done
[ "$failed" -gt 0 ] || rm -f "$vectors" "$folder/$seed".*.log
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
