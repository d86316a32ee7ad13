-- name:   run_state
-- params: 1 runId uuid
-- result: zero or one row: id, last_seq, version, schema_version (both null without a stored
--         projection), then the sections in the order of the wire form
select r.id, o.last_seq, p.version, p.schema_version, p.run_summary, p.participants, p.graph,
       p.decision, p.signals, p.progress, p.timeline, p.trace_summary, p.outbound_messages,
       p.policy, p.llm
  from runs r
  join run_observers o using (run_key)
  left join run_projections p using (run_key)
 where r.id = $1::uuid;
