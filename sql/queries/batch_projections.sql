-- name:   batch_projections
-- params: arrays run_key bigint, version int, then the sections as json in their wire order
-- result: none
insert into run_projections as p (run_key, version, run_summary, participants, graph, decision, signals,
                                  progress, timeline, trace_summary, outbound_messages, policy, llm,
                                  schema_version)
select b.*, 3
  from unnest($1::bigint[], $2::integer[], $3::json[], $4::json[], $5::json[], $6::json[], $7::json[],
              $8::json[], $9::json[], $10::json[], $11::json[], $12::json[], $13::json[]) as b
on conflict (run_key) do update
   set version = excluded.version, schema_version = excluded.schema_version,
       run_summary = excluded.run_summary, participants = excluded.participants,
       graph = excluded.graph, decision = excluded.decision, signals = excluded.signals,
       progress = excluded.progress, timeline = excluded.timeline,
       trace_summary = excluded.trace_summary, outbound_messages = excluded.outbound_messages,
       policy = excluded.policy, llm = excluded.llm, updated_at = now();
