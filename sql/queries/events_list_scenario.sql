-- name:   events_list_scenario
-- params: 1 scenarioRef text, 2 afterTs timestamptz, 3 beforeTs timestamptz, 4 types json (null: no
--         such filter), 5 fromMs bigint, 6 skip bigint, 7 limit bigint, 8 how far to count bigint,
--         as in events_list
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
             limit 1000) named
      join run_observers o using (run_key)
), few as materialized (
    select from chosen having count(*) < 1000 and coalesce(sum(last_seq), 0) < 50000
), filtered as materialized (
    select e.day, e.run_key, e.seq, e.ts, c.id as run_id, floor(extract(epoch from e.ts) * 1000)::bigint as
           ms
      from few
     cross join chosen c
     cross join lateral (
           select v.day, v.run_key, v.seq, v.ts
             from run_events_canonical v
            where v.day = c.day and v.run_key = c.run_key
              and ($2::timestamptz is null or v.ts >= $2)
              and ($3::timestamptz is null or v.ts < $3)
              and ($4::json is null or v.type = any (json_texts($4::json)))) e
), numbered as (
    select *, row_number() over (partition by ms order by ts, run_id, seq) as nth,
           row_number() over (order by ts, run_id, seq) as place
      from filtered
     where ts >= to_timestamp($5::bigint / 1000) + ($5::bigint % 1000) * interval '1 millisecond'
), page as (
    select day, run_key, seq, run_id, nth
      from numbered
     where place > $6::bigint
       -- A page that ends deeper in a millisecond than a cursor can say goes on to its end.
       and (place <= $6::bigint + $7::bigint
            or nth > 2047 and ms = (select l.ms from numbered l where l.place = $6::bigint + $7::bigint))
)
select p.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name, e.raw_type,
       e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id, e.created_at,
       p.run_id, t.total, p.nth
  from few
 cross join (select least(count(*), $8::bigint) as total from filtered) t
  left join (page p join run_events_canonical e using (day, run_key, seq)) on true
 order by e.ts, p.run_id, p.seq;
