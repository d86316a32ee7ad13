-- name:   runs_list
-- params: 1 status text, 2 tags json, 3 createdAfter timestamptz, 4 createdBefore timestamptz
--         (null: no such filter), 5 includeSandbox boolean, 6 includeArchived boolean,
--         7 environment text, 8 scenarioRef text, 9 search text (null: no such filter),
--         10 sortBy createdAt|updatedAt, 11 sortOrder asc|desc, 12 limit bigint, 13 offset bigint
-- plan:   each time
-- result: one row per run of the page (the columns of enum run_column) with the total of the
--         filter behind them; for an empty page one row with the total and no run
--
-- Counting ends at 10001 runs, or one behind the page when that is further: then there are more.
-- Absent filters vanish when the statement is planned with its arguments, the join with them.
with filtered as not materialized (
    select r.run_key, r.id, r.created_at, r.updated_at
      from runs r
      left join run_search s using (run_key)
     where ($1::text is null or r.status = $1)
       and ($2::json is null or r.tags @> json_texts($2::json))
       -- Clients see and send milliseconds: "after" one means after its last microsecond.
       and ($3::timestamptz is null or r.created_at >= $3 + interval '1 millisecond')
       and ($4::timestamptz is null or r.created_at < $4)
       and ($5::boolean or r.mode <> 'sandbox')
       and ($6::boolean or r.archived_at is null)
       and ($7::text is null
            or r.environment = $7 and left(r.environment, 100) = left($7, 100))
       -- The narrow table first: whatever does not occur there is not in the wide one.
       and ($8::text is null
            or (s.words like '%' || like_escape(lower($8)) || '%'
                and position(lower($8) in lower(r.scenario_ref)) > 0))
       -- chr(1) stands between what is searched: no text reaches across.
       and ($9::text is null
            or s.words like '%' || like_escape(lower($9)) || '%' and position(chr(1) in $9) = 0)
), found as materialized (
    -- One branch runs; each can read its index in order and stop.
    (select run_key, row_number() over (order by created_at desc, id) as place
       from filtered where $10::text = 'createdAt' and $11::text = 'desc'
      order by created_at desc, id limit greatest(10001, $12::bigint + $13::bigint + 1))
    union all
    (select run_key, row_number() over (order by created_at, id desc)
       from filtered where $10::text = 'createdAt' and $11::text = 'asc'
      order by created_at, id desc limit greatest(10001, $12::bigint + $13::bigint + 1))
    union all
    (select run_key, row_number() over (order by updated_at desc, id)
       from filtered where $10::text = 'updatedAt' and $11::text = 'desc'
      order by updated_at desc, id limit greatest(10001, $12::bigint + $13::bigint + 1))
    union all
    (select run_key, row_number() over (order by updated_at, id desc)
       from filtered where $10::text = 'updatedAt' and $11::text = 'asc'
      order by updated_at, id desc limit greatest(10001, $12::bigint + $13::bigint + 1))
)
select r.id, r.status, r.mode, r.runtime_kind, r.runtime_version, r.session_id, r.trace_id,
       r.idempotency_key, o.last_seq, r.source_kind, r.source_ref, to_json(r.tags), r.descriptor,
       r.metadata, r.failure_reason, r.error_code, r.error_message, r.created_at, r.started_at,
       r.ended_at, r.updated_at, r.archived_at, t.total
  from (select count(*) as total from found) t
  left join (found p join runs r using (run_key) join run_observers o using (run_key))
    on p.place > $13::bigint and p.place <= $12::bigint + $13::bigint
 order by p.place;
