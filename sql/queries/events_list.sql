-- name:   events_list
-- params: 1 scenarioRef text, 2 afterTs timestamptz, 3 beforeTs timestamptz, 4 types json (null: no
--         such filter), 5 fromMs bigint, 6 skip bigint (from that millisecond on, without its first
--         events), 7 untilMs bigint, 8 skip bigint (up to the end of that millisecond, without its
--         last events; null: no such bound), 9 newest first boolean, 10 limit bigint, 11 how far to
--         count bigint
-- plan:   each time
-- result: first one row with the total of the filter, which ignores the bounds, behind nulls; then
--         events of all runs (the columns of enum event_column), then the run's id
--
-- Reads in the order of time and stops, and counts no further than it is told to; each event's run
-- is looked up, never the other way round. Events of removed runs may still be there: ask for none
-- that are older than every run. That time is an argument, because the planner must know how much
-- each bound leaves. Of the sort keys only those of the direction that is asked for
-- are left in the plan: index, page and result have one order, and nothing wide is sorted.
with filtered as not materialized (
    select e.seq, e.ts, e.type, e.subject_kind, e.subject_id, e.source_kind, e.source_name,
           e.raw_type, e.trace_id, e.span_id, e.parent_span_id, e.schema_version, e.data, e.id,
           e.created_at, r.id as run_id
      from run_events_canonical e
     cross join lateral (
           select l.id
             from run_list l
            where l.run_key = e.run_key and l.day = e.day
              and ($1::text is null or l.source_ref = $1
                   or l.scenario like '%' || like_escape(lower($1)) || '%')
            limit 1) r
     where ($2::timestamptz is null or e.ts >= $2)
       and ($3::timestamptz is null or e.ts < $3)
       and ($4::json is null or e.type = any (json_texts($4::json)))
), page as (
    select f.*
      from filtered f
     where f.ts >= 'epoch'::timestamptz + $5::bigint * interval '1 millisecond'
       and ($6::bigint = 0
            or f.ts >= 'epoch'::timestamptz + ($5 + 1) * interval '1 millisecond'
            -- Behind the last one that is skipped.
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
               (select count(*) from (select from filtered limit $11::bigint) c) as total
        union all
        select p.seq, p.ts, p.type, p.subject_kind, p.subject_id, p.source_kind, p.source_name,
               p.raw_type, p.trace_id, p.span_id, p.parent_span_id, p.schema_version, p.data, p.id,
               p.created_at, p.run_id, null
          from page p) a
 order by case when $9 then a.ts end desc, case when $9 then a.run_id end desc,
       case when $9 then a.seq end desc, a.ts, a.run_id, a.seq;
