-- name:   run_adopt
-- params: 1 runKey bigint, 2 idempotencyKey text, 3 mode text, 4 runtimeVersion text,
--         5 sourceKind text, 6 sourceRef text, 7 environment text, 8 scenarioRef text,
--         9 tags json, 10 descriptor json, 11 metadata jsonb, 12 callbackUrl text,
--         13 callbackBearer text, 14 cancelDelegated boolean
-- result: the run (id, session_id, status, trace_id), or no row when it is no discovered one
--         any more
update runs
   set origin = 'adopted',
       idempotency_key = $2::text,
       mode = $3::text,
       runtime_version = coalesce($4::text, runtime_version),
       source_kind = $5::text,
       source_ref = $6::text,
       environment = $7::text,
       scenario_ref = $8::text,
       tags = array(select json_array_elements_text($9::json)),
       descriptor = $10::json,
       -- What the observer noted about the run's end stays.
       metadata = metadata || $11::jsonb,
       callback_url = $12::text,
       callback_bearer = $13::text,
       cancel_delegated = $14::boolean,
       updated_at = now()
 where run_key = $1::bigint
   and origin = 'discovered'
returning id, session_id, status, trace_id;
