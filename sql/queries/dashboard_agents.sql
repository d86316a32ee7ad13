-- name:   dashboard_agents
-- params: none
-- result: participants of all runs, those of most runs first: id, runs, signals, messages, mean
--         confidence of their signals (0 without any), mean latency of their model calls (null
--         without any)
--
-- From the fact tables: one row per participant and run instead of all events.
with took_part as (
    select participant_id, count(*) as runs, sum(messages)::bigint as messages
      from run_participants
     group by participant_id
), signalled as (
    select participant_id, count(*) as signals, avg(confidence) as confidence
      from run_signals
     where participant_id is not null
     group by participant_id
), called as (
    select participant_id, avg(latency_ms) as latency_ms
      from run_llm_calls
     where latency_ms is not null and participant_id is not null
     group by participant_id
)
select p.participant_id, p.runs, coalesce(s.signals, 0), p.messages, coalesce(s.confidence, 0),
       round(c.latency_ms)
  from took_part p
  left join signalled s using (participant_id)
  left join called c using (participant_id)
 order by p.runs desc, p.participant_id;
