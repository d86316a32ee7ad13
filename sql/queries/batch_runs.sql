-- name:   batch_runs
-- params: arrays, one element per run that changed its status or got metadata; nulls leave a value alone
-- result: none
update runs r
   set status = b.status,
       version = r.version + b.transitions,
       started_at = coalesce(b.started_at, r.started_at),
       ended_at = coalesce(b.ended_at, r.ended_at),
       error_code = case when b.error_message is null then r.error_code else 'RUN_FAILED' end,
       error_message = coalesce(b.error_message, r.error_message),
       failure_reason = coalesce(b.failure_reason, r.failure_reason),
       outcome_positive = coalesce(b.outcome_positive, r.outcome_positive),
       metadata = r.metadata || coalesce(b.metadata::jsonb, '{}'),
       updated_at = case when b.transitions > 0 then now() else r.updated_at end
  from unnest($1::bigint[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[],
              $6::text[], $7::text[], $8::boolean[], $9::json[])
       as b (run_key, status, transitions, started_at, ended_at, error_message, failure_reason,
             outcome_positive, metadata)
 where r.run_key = b.run_key;
