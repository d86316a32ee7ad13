-- name:   batch_fact_llm_calls
-- params: arrays, one element per model call
-- result: none
--
-- Money is cut to what the column holds; a call must not fail its batch.
insert into run_llm_calls (run_key, seq, ts, participant_id, model, provider, prompt_tokens,
                           completion_tokens, total_tokens, latency_ms, estimated_cost_usd,
                           reported_cost_usd)
select c.run_key, c.seq, c.ts, c.participant_id, c.model, c.provider, c.prompt_tokens,
       c.completion_tokens, c.total_tokens, c.latency_ms,
       case when c.estimated is not null then
           least(greatest(c.estimated::numeric, -999999999999.999999), 999999999999.999999) end,
       case when c.reported is not null then
           least(greatest(c.reported::numeric, -999999999999.999999), 999999999999.999999) end
  from unnest($1::bigint[], $2::integer[], $3::timestamptz[], $4::text[], $5::text[], $6::text[],
              $7::double precision[], $8::double precision[], $9::double precision[],
              $10::double precision[], $11::double precision[], $12::double precision[])
           as c (run_key, seq, ts, participant_id, model, provider, prompt_tokens,
                 completion_tokens, total_tokens, latency_ms, estimated, reported);
