-- name:   run_metrics
-- params: 1 runId uuid
-- result: zero or one row: id, status, source_ref, then the counters (null without a metrics row)
select r.id, r.status, r.source_ref, m.event_count, m.message_count, m.signal_count,
       m.proposal_count, m.tool_call_count, m.decision_count, m.stream_reconnect_count,
       m.prompt_tokens, m.completion_tokens, m.total_tokens, m.estimated_cost_usd,
       m.first_event_at, m.last_event_at, m.session_state
  from runs r
  left join run_metrics m using (run_key)
 where r.id = $1::uuid;
