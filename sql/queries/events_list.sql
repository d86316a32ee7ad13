-- name:   events_list
-- params: 1 scenarioRef text, 2 afterTs timestamptz, 3 beforeTs timestamptz, 4 types json (null: no
--         such filter), 5 fromMs bigint, 6 skip bigint (from that millisecond on, without its first
--         rows), 7 limit bigint, 8 how far to count bigint
-- plan:   each time
-- result: events of all runs (the columns of enum event_column), then the run's id, the total of the
--         filter, which ignores the cursor, and how many events of its millisecond stand up to this
--         one; for an empty page one row with the total only
--
-- Reads in the order of time and stops, and counts no further than it is told to; each event's run
-- is looked up, never the other way round. Events of removed runs may still be there: what is older
-- than every run is not looked at.
with filtered as not materialized (
    select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name,
           e.raw_type, e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id,
           e.created_at, r.id as run_id, floor(extract(epoch from e.ts) * 1000)::bigint as ms
      from run_events_canonical e
     cross join lateral (
           select l.id
             from run_list l
            where l.run_key = e.run_key and l.day = e.day
              and ($1::text is null or l.source_ref = $1
                   or l.scenario like '%' || like_escape(lower($1)) || '%')
            limit 1) r
     where e.ts >= (select min(l.created_at) - interval '1 hour' from run_list l)
       and ($2::timestamptz is null or e.ts >= $2)
       and ($3::timestamptz is null or e.ts < $3)
       and ($4::json is null or e.type = any (json_texts($4::json)))
), page as (
    select *, row_number() over (partition by f.ms order by f.ts, f.run_id, f.seq) as nth
      from (select *
              from filtered f
             where f.ts >= to_timestamp($5::bigint / 1000) + ($5::bigint % 1000) * interval '1 millisecond'
             order by f.ts
             fetch first ($6::bigint + $7::bigint) rows with ties) f
     order by f.ts, f.run_id, f.seq
    offset $6::bigint
     limit $7::bigint
), of_millisecond as (
    -- A page that ends deeper in a millisecond than a cursor can say goes on to its end.
    select f.*, l.nth
      from (select ms, ts, run_id, seq, nth
              from page
             order by ts desc, run_id desc, seq desc
             limit 1) l
      join filtered f on f.ms = l.ms and (f.ts, f.run_id, f.seq) > (l.ts, l.run_id, l.seq)
     where l.nth > 2047
       and f.ts >= to_timestamp(l.ms / 1000) + (l.ms % 1000) * interval '1 millisecond'
       and f.ts < to_timestamp(l.ms / 1000) + (l.ms % 1000 + 1) * interval '1 millisecond'
)
select p.seq, p.ts, p.type, p.subject_kind, p.subject_id, p.source_kind, p.source_name,
       p.raw_type, p.trace_id, p.span_id, p.parent_span_id, p.schema_version, p.data, p.id,
       p.created_at, p.run_id, t.total, p.nth
  from (select count(*) as total from (select from filtered limit $8::bigint) c) t
  left join (select * from page
              union all select * from of_millisecond) p on true
 order by p.ts, p.run_id, p.seq;
