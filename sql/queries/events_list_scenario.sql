-- name:   events_list_scenario
-- params: 1 scenarioRef text, 2 afterTs timestamptz, 3 beforeTs timestamptz, 4 types json (null: no
--         such filter), 5 fromMs bigint, 6 skip bigint, 7 untilMs bigint, 8 skip bigint, 9 newest
--         first boolean, 10 limit bigint, 11 how far to count bigint, as in events_list
-- plan:   each time
-- result: as events_list; without a row when the scenario has so many events that events_list is
--         quicker
--
-- Reads all events of the scenario's runs: walking through everybody's events would take long to
-- find few.
with chosen as materialized (
    select named.run_key, named.day, named.id, o.last_seq
      from (select l.run_key, l.day, l.id
              from run_list l
             where l.source_ref = $1::text or l.scenario like '%' || like_escape(lower($1)) || '%'
             limit 1500) named
      join run_observers o using (run_key)
), few as materialized (
    select from chosen having count(*) < 1500 and coalesce(sum(last_seq), 0) < 75000
), filtered as materialized (
    select e.day, e.run_key, e.seq, e.ts, c.id as run_id
      from few
     cross join chosen c
     cross join lateral (
           select v.day, v.run_key, v.seq, v.ts
             from run_events_canonical v
            where v.day = c.day and v.run_key = c.run_key
              and ($2::timestamptz is null or v.ts >= $2)
              and ($3::timestamptz is null or v.ts < $3)
              and ($4::json is null or v.type = any (json_texts($4::json)))) e
), page as materialized (
    select f.day, f.run_key, f.seq, f.run_id
      from filtered f
     where f.ts >= 'epoch'::timestamptz + $5::bigint * interval '1 millisecond'
       and ($6::bigint = 0
            or f.ts >= 'epoch'::timestamptz + ($5 + 1) * interval '1 millisecond'
            or (f.ts, f.run_id, f.seq)
                > (select s.ts, s.run_id, s.seq
                     from filtered s
                    where s.ts >= 'epoch'::timestamptz + $5 * interval '1 millisecond'
                      and s.ts < 'epoch'::timestamptz + ($5 + 1) * interval '1 millisecond'
                    order by s.ts, s.run_id, s.seq
                   offset $6 - 1
                    limit 1))
       and ($7::bigint is null
            or f.ts < 'epoch'::timestamptz + ($7 + 1) * interval '1 millisecond'
               and ($8::bigint = 0
                    or f.ts < 'epoch'::timestamptz + $7 * interval '1 millisecond'
                    or (f.ts, f.run_id, f.seq)
                        < (select s.ts, s.run_id, s.seq
                             from filtered s
                            where s.ts >= 'epoch'::timestamptz + $7 * interval '1 millisecond'
                              and s.ts < 'epoch'::timestamptz + ($7 + 1) * interval '1 millisecond'
                            order by s.ts desc, s.run_id desc, s.seq desc
                           offset $8 - 1
                            limit 1)))
     order by case when $9::boolean then f.ts end desc, case when $9 then f.run_id end desc,
           case when $9 then f.seq end desc, f.ts, f.run_id, f.seq
     limit $10::bigint
)
select a.seq, a.ts, a.type, a.subject_kind, a.subject_id, a.source_kind, a.source_name, a.raw_type,
       a.trace_id, a.span_id, a.parent_span_id, a.schema_version, a.data, a.id, a.created_at,
       a.run_id, a.total
  from (select null::integer as seq,
               case when $9 then 'infinity' else '-infinity' end::timestamptz as ts,
               null as type, null as subject_kind, null as subject_id, null as source_kind,
               null as source_name, null as raw_type, null as trace_id, null as span_id,
               null as parent_span_id, null::smallint as schema_version, null::jsonb as data,
               null::uuid as id, null::timestamptz as created_at, null::uuid as run_id,
               (select least(count(*), $11::bigint) from filtered) as total
          from few
        union all
        select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name,
               e.raw_type, e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id,
               e.created_at, p.run_id, null
          from page p
          join run_events_canonical e using (day, run_key, seq)) a
 order by case when $9 then a.ts end desc, case when $9 then a.run_id end desc,
       case when $9 then a.seq end desc, a.ts, a.run_id, a.seq;
