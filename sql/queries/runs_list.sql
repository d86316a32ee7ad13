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
-- Absent filters vanish when the statement is planned with its arguments. Wide rows are read for the
-- page only.
with filtered as not materialized (
    select l.run_key, l.id,
           case when $10::text = 'createdAt' then l.created_at else l.updated_at end as at
      from run_list l
     where ($1::text is null or l.status = $1)
       and ($2::json is null or l.tags @> json_texts($2::json))
       -- Clients see and send milliseconds: "after" one means after its last microsecond.
       and ($3::timestamptz is null or l.created_at >= $3 + interval '1 millisecond')
       and ($4::timestamptz is null or l.created_at < $4)
       and ($5::boolean or not l.sandbox)
       and ($6::boolean or not l.archived)
       and ($7::text is null or l.environment = list_name($7))
       and ($8::text is null or l.scenario like '%' || like_escape(lower($8)) || '%')
       -- chr(1) stands between what is searched: no text reaches across.
       and ($9::text is null
            or l.words like '%' || like_escape(lower($9)) || '%' and position(chr(1) in $9) = 0)
), found as materialized (
    -- The page, and the last one counted. Of these keys only those of the direction that is asked for
    -- are left in the plan.
    select run_key, place
      from (select run_key, row_number() over w as place, lead(run_key) over w is null as last
              from (select run_key, at, id
                      from filtered
                     order by case when $11::text = 'desc' then at end desc,
                           case when $11 = 'desc' then id end, at, id desc
                     limit greatest(10001, $12::bigint + $13::bigint + 1)) f
            window w as (order by case when $11 = 'desc' then at end desc,
                         case when $11 = 'desc' then id end, at, id desc)) f
     where last or place > $13::bigint and place <= $12::bigint + $13::bigint
)
select r.id, r.status, r.mode, r.runtime_kind, r.runtime_version, r.session_id, r.trace_id,
       r.idempotency_key, o.last_seq, r.source_kind, r.source_ref, to_json(r.tags), r.descriptor,
       r.metadata, r.failure_reason, r.error_code, r.error_message, r.created_at, r.started_at,
       r.ended_at, r.updated_at, r.archived_at, t.total
  from (select coalesce(max(place), 0) as total from found) t
  left join (found p join runs r using (run_key) join run_observers o using (run_key))
    on p.place > $13::bigint and p.place <= $12::bigint + $13::bigint
 order by p.place;
