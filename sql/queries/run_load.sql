-- name:   run_load
-- params: run keys bigint[]
-- result: one row per run: what its owner needs; day in days since 1970, times in ms since 1970; sections last
select r.run_key, o.fence, o.day - date '1970-01-01', r.id, r.session_id, r.trace_id, r.runtime_kind,
       r.mode_name,
       coalesce(r.descriptor -> 'session' ->> 'modeVersion', ''),
       coalesce(r.descriptor -> 'session' ->> 'configurationVersion', ''),
       coalesce(r.descriptor -> 'session' ->> 'policyVersion', ''),
       coalesce((select json_agg(p ->> 'id')
                   from json_array_elements(r.descriptor -> 'session' -> 'participants') p), '[]'),
       r.origin <> 'discovered',
       exists (select
                 from run_artifacts a
                where a.run_key = r.run_key and a.kind = 'trace' and a.label = 'Root run trace'),
       r.status, (extract(epoch from r.started_at) * 1000)::bigint,
       o.epoch, o.cursor, o.last_seq, o.session_state, o.session_started_ms, o.session_expires_ms,
       greatest(0, (extract(epoch from o.poll_deadline - now()) * 1000)::bigint),
       m.event_count, m.message_count, m.signal_count, m.proposal_count, m.tool_call_count,
       m.decision_count, m.stream_reconnect_count, m.prompt_tokens, m.completion_tokens,
       m.total_tokens, m.estimated_cost_usd, (extract(epoch from m.first_event_at) * 1000)::bigint,
       (extract(epoch from m.last_event_at) * 1000)::bigint, m.session_state, m.frozen, m.ended,
       p.version, p.schema_version, p.run_summary, p.participants, p.graph, p.decision, p.signals,
       p.progress, p.timeline, p.trace_summary, p.outbound_messages, p.policy, p.llm
  from runs r
  join run_observers o using (run_key)
  left join run_metrics m using (run_key)
  left join run_projections p using (run_key)
 where r.run_key = any ($1::bigint[]);
