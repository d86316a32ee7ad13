-- name:   batch_refolded
-- params: arrays with one element run_key bigint per run whose facts all follow, made anew
-- result: none
with given as (
    select run_key from unnest($1::bigint[]) as g (run_key)
), decisions as (
    delete from run_decisions where run_key in (select run_key from given)
), votes as (
    delete from run_votes where run_key in (select run_key from given)
), signals as (
    delete from run_signals where run_key in (select run_key from given)
), calls as (
    delete from run_llm_calls where run_key in (select run_key from given)
)
delete from run_participants where run_key in (select run_key from given);
