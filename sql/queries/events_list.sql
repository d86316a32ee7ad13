-- name:   events_list
-- params: 1 runId uuid, 2 scenarioRef text, 3 afterTs timestamptz, 4 beforeTs timestamptz,
--         5 types json (null: no such filter), 6 afterSeq integer, with a run, 7 fromMs bigint,
--         8 skip bigint (without one: from that millisecond on, without its first rows), 9 limit
--         bigint
-- result: events (the columns of enum event_column), then the run's id, the total of the filter,
--         which ignores the cursor, and how many events of its millisecond stand up to this one;
--         for an empty page one row with the total only
with filtered as not materialized (
    select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name,
           e.raw_type, e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id,
           e.created_at, e.run_key, r.id as run_id, floor(extract(epoch from e.ts) * 1000)::bigint as
           ms
      from run_events_canonical e
      join runs r on r.run_key = e.run_key and r.day = e.day
     where ($1::uuid is null
            or (e.day = (select o.day from runs o where o.id = $1::uuid)
                and e.run_key = (select o.run_key from runs o where o.id = $1::uuid)))
       and ($2::text is null or r.source_ref = $2
            or position(lower($2) in lower(r.scenario_ref)) > 0)
       and ($3::timestamptz is null or e.ts >= $3)
       and ($4::timestamptz is null or e.ts < $4)
       and ($5::json is null or e.type = any (array(select json_array_elements_text($5::json))))
), of_run as (
    select *, 0::bigint as nth
      from filtered f
     where $1::uuid is not null and f.seq > $6::integer
     order by f.seq
     limit $9::bigint
), of_all as (
    select *, row_number() over (partition by f.ms order by f.run_id, f.seq) as nth
      from (select *
              from filtered f
             where $1::uuid is null
               and f.ts >= to_timestamp($7::bigint / 1000) + ($7::bigint % 1000) * interval '1 millisecond'
             order by f.ms, f.run_id, f.seq
             limit $8::bigint + $9::bigint) f
     order by f.ms, f.run_id, f.seq
    offset $8::bigint
), of_millisecond as (
    -- A page that ends deeper in a millisecond than a cursor can say goes on to its end.
    select f.*, l.nth
      from (select ms, run_id, seq, nth
              from of_all
             order by ms desc, run_id desc, seq desc
             limit 1) l
      join filtered f on f.ms = l.ms and (f.run_id, f.seq) > (l.run_id, l.seq)
     where l.nth > 2047
       and f.ts >= to_timestamp(l.ms / 1000) + (l.ms % 1000) * interval '1 millisecond'
       and f.ts < to_timestamp(l.ms / 1000) + (l.ms % 1000 + 1) * interval '1 millisecond'
)
select p.seq, p.ts, p.type, p.subject_kind, p.subject_id, p.source_kind, p.source_name,
       p.raw_type, p.trace_id, p.span_id, p.parent_span_id, p.schema_version, p.data, p.id,
       p.created_at, p.run_id, t.total, p.nth
  from (select count(*) as total from filtered) t
  left join (select * from of_run
              union all select * from of_all
              union all select * from of_millisecond) p on true
 order by case when $1::uuid is null then p.ms end, case when $1::uuid is null then p.run_id end,
          p.seq;
