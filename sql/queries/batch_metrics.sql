-- name:   batch_metrics
-- params: arrays, one element per run: its counters as folded
-- result: none
insert into run_metrics as m (run_key, event_count, message_count, signal_count, proposal_count,
                              tool_call_count, decision_count, stream_reconnect_count, prompt_tokens,
                              completion_tokens, total_tokens, estimated_cost_usd, first_event_at,
                              last_event_at, session_state, frozen, ended)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                     $7::bigint[], $8::bigint[], $9::double precision[], $10::double precision[],
                     $11::double precision[], $12::double precision[], $13::timestamptz[],
                     $14::timestamptz[], $15::text[], $16::boolean[], $17::boolean[])
on conflict (run_key) do update
   set event_count = excluded.event_count, message_count = excluded.message_count,
       signal_count = excluded.signal_count, proposal_count = excluded.proposal_count,
       tool_call_count = excluded.tool_call_count, decision_count = excluded.decision_count,
       stream_reconnect_count = excluded.stream_reconnect_count,
       prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,
       total_tokens = excluded.total_tokens, estimated_cost_usd = excluded.estimated_cost_usd,
       first_event_at = excluded.first_event_at, last_event_at = excluded.last_event_at,
       session_state = excluded.session_state, frozen = excluded.frozen, ended = excluded.ended,
       updated_at = now();
