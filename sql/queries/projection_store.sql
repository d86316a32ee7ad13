-- name:   projection_store
-- params: 1 runId uuid, 2 version integer (last folded seq), 3 schemaVersion smallint, 4 to 14 the
--         sections as json in the order of the wire form, 15 actor text, 16 actorType text,
--         17 requestId text, 18 id of the audit row uuid: with the same one it is written once
-- result: zero or one row: the run exists
--
-- Overwrites what is stored, under the lock of the observer row. Only when a live owner has
-- stored a later state meanwhile, that one stays: it is newer and as true.
with held as (
    select o.run_key, o.closed, r.id
      from run_observers o
      join runs r using (run_key)
     where r.id = $1::uuid
       for update of o
), stored as (
    insert into run_projections as p (run_key, version, schema_version, run_summary, participants,
                                      graph, decision, signals, progress, timeline, trace_summary,
                                      outbound_messages, policy, llm)
    select run_key, $2::integer, $3::smallint, $4::json, $5::json, $6::json, $7::json, $8::json,
           $9::json, $10::json, $11::json, $12::json, $13::json, $14::json
      from held
    on conflict (run_key) do update
       set version = excluded.version, schema_version = excluded.schema_version,
           run_summary = excluded.run_summary, participants = excluded.participants,
           graph = excluded.graph, decision = excluded.decision, signals = excluded.signals,
           progress = excluded.progress, timeline = excluded.timeline,
           trace_summary = excluded.trace_summary,
           outbound_messages = excluded.outbound_messages, policy = excluded.policy,
           llm = excluded.llm, updated_at = now()
     where p.version <= excluded.version or (select closed from held)
), audit as (
    insert into audit_log (id, actor, actor_type, action, resource, resource_id, request_id)
    select $18::uuid, $15::text, $16::text, 'projection.rebuilt', 'run', id::text,
           $17::text
      from held
    on conflict (id) do nothing
)
select id
  from held;
