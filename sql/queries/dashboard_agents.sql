-- name:   dashboard_agents
-- params: none
-- result: participants of all runs, those of most runs first: id, runs, signals, messages, mean
--         confidence of their signals (0 without any), mean latency of their model calls (null
--         without any)
--
-- From the fact tables, and for blocks of runs that were summed up from these sums.
with blocks as materialized (
    select b as block, exists (select from agent_blocks_summed s where s.block = b) as summed
      from generate_series(0, (select max(run_key) from run_list) >> 14) b
), figures as (
    select a.participant_id, a.runs, a.messages, a.signals, a.confidences, a.confidence, a.latencies,
           a.latency_ms
      from agent_blocks a
      join blocks b using (block)
     where b.summed
    union all
    select a.participant_id, a.runs, a.messages, a.signals, a.confidences, a.confidence, a.latencies,
           a.latency_ms
      from blocks b
     cross join lateral agents_of_block(b.block) a
     where not b.summed
)
select participant_id, sum(runs)::bigint, sum(signals)::bigint, sum(messages)::bigint,
       coalesce(sum(confidence) / nullif(sum(confidences), 0), 0),
       round(sum(latency_ms) / nullif(sum(latencies), 0))
  from figures
 group by participant_id
having sum(runs) > 0
 order by 2 desc, participant_id;
