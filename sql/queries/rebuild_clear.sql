-- name:   rebuild_clear
-- params: run_key bigint
-- result: none; the run has no facts, and no former owner's writes match any more
with decisions as (
    delete from run_decisions where run_key = $1::bigint
), votes as (
    delete from run_votes where run_key = $1::bigint
), signals as (
    delete from run_signals where run_key = $1::bigint
), calls as (
    delete from run_llm_calls where run_key = $1::bigint
), participants as (
    delete from run_participants where run_key = $1::bigint
)
update run_observers set fence = fence + 1, owner = null
 where run_key = $1::bigint and not closed;
