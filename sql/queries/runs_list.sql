-- name:   runs_list
-- params: 1 status text, 2 tags json, 3 createdAfter timestamptz, 4 createdBefore timestamptz
--         (null: no such filter), 5 includeSandbox boolean, 6 includeArchived boolean,
--         7 environment text, 8 scenarioRef text, 9 search text (null: no such filter),
--         10 sortBy createdAt|updatedAt, 11 sortOrder asc|desc, 12 limit bigint, 13 offset bigint
-- result: one row per run of the page (the columns of enum run_column) with the total of the
--         filter behind them; for an empty page one row with the total and no run
with filtered as not materialized (
    select r.run_key, r.id, r.created_at, r.updated_at
      from runs r
     where ($1::text is null or r.status = $1)
       and ($2::json is null or r.tags @> array(select json_array_elements_text($2::json)))
       -- Clients see and send milliseconds: "after" one means after its last microsecond.
       and ($3::timestamptz is null or r.created_at >= $3 + interval '1 millisecond')
       and ($4::timestamptz is null or r.created_at < $4)
       and ($5::boolean or r.mode <> 'sandbox')
       and ($6::boolean or r.archived_at is null)
       and ($7::text is null or r.environment = $7)
       and ($8::text is null or position(lower($8) in lower(r.scenario_ref)) > 0)
       and ($9::text is null
            or position(lower($9) in r.id::text) > 0
            or position(lower($9) in lower(r.scenario_ref)) > 0
            or position(lower($9) in lower(r.environment)) > 0
            or position(lower($9) in lower(to_json(r.tags)::text)) > 0
            or position(lower($9) in lower(r.descriptor #>> '{session,policyVersion}')) > 0)
), page as (
    -- One branch runs; each can read its index in order.
    (select run_key, row_number() over (order by created_at desc, id) as place
       from filtered where $10::text = 'createdAt' and $11::text = 'desc'
      order by created_at desc, id limit $12::bigint offset $13::bigint)
    union all
    (select run_key, row_number() over (order by created_at, id desc)
       from filtered where $10::text = 'createdAt' and $11::text = 'asc'
      order by created_at, id desc limit $12::bigint offset $13::bigint)
    union all
    (select run_key, row_number() over (order by updated_at desc, id)
       from filtered where $10::text = 'updatedAt' and $11::text = 'desc'
      order by updated_at desc, id limit $12::bigint offset $13::bigint)
    union all
    (select run_key, row_number() over (order by updated_at, id desc)
       from filtered where $10::text = 'updatedAt' and $11::text = 'asc'
      order by updated_at, id desc limit $12::bigint offset $13::bigint)
)
select r.id, r.status, r.mode, r.runtime_kind, r.runtime_version, r.session_id, r.trace_id,
       r.idempotency_key, o.last_seq, r.source_kind, r.source_ref, to_json(r.tags), r.descriptor,
       r.metadata, r.failure_reason, r.error_code, r.error_message, r.created_at, r.started_at,
       r.ended_at, r.updated_at, r.archived_at, t.total
  from (select count(*) as total from filtered) t
  left join (page p join runs r using (run_key) join run_observers o using (run_key)) on true
 order by p.place;
