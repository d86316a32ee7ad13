-- name:   dashboard_overview
-- params: 1 from timestamptz (null: the window before to), 2 windowMs bigint, 3 to timestamptz
--         (null: now), 4 bucket minute|hour|day, 5 scenarioRef text, 6 environment text (null: no
--         such filter)
-- plan:   each time
-- result: one row: kpis jsonb, charts jsonb
--
-- Sandbox and archived runs are in no figure. Empty buckets are not filled. Every run of the window
-- is read once, from an index that holds what the figures are made of; without a filter no row of
-- a run is touched.
with chosen as not materialized (
    select r.run_key, r.status, r.source_ref, r.error_code, r.created_at, r.started_at, r.ended_at
      from runs r
     where r.mode <> 'sandbox'
       and r.archived_at is null
       and ($5::text is null or r.source_ref = $5
            or position(lower($5) in lower(r.scenario_ref)) > 0)
       and ($6::text is null or r.environment = $6)
), created as materialized (
    select c.run_key, c.status, c.source_ref, c.error_code, c.ended_at,
           date_trunc($4::text, c.created_at) as bucket,
           case when c.status = 'completed'
                then date_part('epoch', c.ended_at - c.started_at) * 1000 end
               as took_ms
      from chosen c
     where c.created_at >= coalesce($1::timestamptz,
                             coalesce($3::timestamptz, now()) - $2::bigint * interval '1 millisecond')
       and c.created_at < coalesce($3::timestamptz, now())
), volume as materialized (
    select c.bucket, count(*) as runs,
           count(*) filter (where status in ('queued', 'starting', 'binding_session')) as waiting,
           count(*) filter (where status = 'suspended') as suspended,
           count(*) filter (where status = 'completed') as completed,
           count(*) filter (where status = 'failed') as failed,
           count(*) filter (where status = 'cancelled') as cancelled,
           sum(m.total_tokens) as tokens, coalesce(sum(m.estimated_cost_usd), 0) as usd
      from created c
      left join run_metrics m using (run_key)
     group by c.bucket
), latency as materialized (
    select date_trunc($4::text, ended_at) as bucket, count(*) as runs, avg(took_ms) as mean_ms,
           percentile_cont(array[0.5, 0.95, 0.99]) within group (order by took_ms) as ms
      from created
     where took_ms is not null
     group by 1
), throughput as (
    select date_trunc($4::text, ended_at) as bucket,
           count(*) filter (where status = 'completed') as completed
      from chosen
     where ended_at >= coalesce($1::timestamptz,
                             coalesce($3::timestamptz, now()) - $2::bigint * interval '1 millisecond')
       and ended_at < coalesce($3::timestamptz, now())
     group by 1
), signals as materialized (
    select date_trunc($4::text, s.ts) as bucket, count(*) as n
      from run_signals s
     where s.ts >= coalesce($1::timestamptz,
                             coalesce($3::timestamptz, now()) - $2::bigint * interval '1 millisecond')
       and s.ts < coalesce($3::timestamptz, now())
       and (case when $5::text is null and $6::text is null
                 then not exists (select from runs r
                                   where r.run_key = s.run_key
                                     and (r.mode = 'sandbox' or r.archived_at is not null))
                 else s.run_key in (select c.run_key from chosen c) end)
     group by 1
), decisions as (
    -- A flag that is not there means false.
    select date_trunc($4::text, d.ts) as bucket,
           sum(case when d.outcome_positive then 1 else -1 end) as n
      from run_decisions d
     where d.ts >= coalesce($1::timestamptz,
                             coalesce($3::timestamptz, now()) - $2::bigint * interval '1 millisecond')
       and d.ts < coalesce($3::timestamptz, now())
       and (case when $5::text is null and $6::text is null
                 then not exists (select from runs r
                                   where r.run_key = d.run_key
                                     and (r.mode = 'sandbox' or r.archived_at is not null))
                 else d.run_key in (select c.run_key from chosen c) end)
     group by 1
), points (chart, bucket, label, value) as (
    select v.chart, bucket, null::text, v.value
      from volume
     cross join lateral (values ('runVolume', runs::numeric), ('queueDepth', waiting),
                                ('cost', usd::numeric),
                                ('successRate', coalesce(round(100.0 * completed
                                    / nullif(completed + failed + cancelled, 0), 2), 0)))
                    as v (chart, value)
    union all
    select v.chart, bucket, null, round(v.value::numeric)
      from latency
     cross join lateral (values ('latency', mean_ms), ('latencyP50', ms[1]), ('latencyP95', ms[2]),
                                ('latencyP99', ms[3])) as v (chart, value)
    union all
    select 'throughput', bucket, null, completed from throughput
    union all
    select 'signalVolume', bucket, null, n from signals
    union all
    select 'decisionOutcome', bucket, null, n from decisions
    union all
    (select 'errorClasses', null, coalesce(error_code, 'UNKNOWN'), count(*)
       from created where status = 'failed'
      group by 3 order by 4 desc, 3 limit 10)
    union all
    (select 'perScenario', null, coalesce(source_ref, 'unknown'), count(*)
       from created
      group by 3 order by 4 desc, 3 limit 10)
), charts as (
    -- In order of time; what has no time, the largest first.
    select chart,
           jsonb_agg(coalesce(label, to_char(bucket at time zone 'utc',
                                             'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
                     order by bucket, value desc, label) as labels,
           jsonb_agg(value order by bucket, value desc, label) as data
      from points
     group by chart
)
select (select jsonb_build_object(
                   'totalRuns', coalesce(sum(runs), 0),
                   'activeRuns', coalesce(sum(runs - completed - failed - cancelled), 0),
                   'completedRuns', coalesce(sum(completed), 0),
                   'failedRuns', coalesce(sum(failed), 0),
                   'cancelledRuns', coalesce(sum(cancelled), 0),
                   'suspendedRuns', coalesce(sum(suspended), 0),
                   'avgDurationMs', (select round((sum(mean_ms * runs) / sum(runs))::numeric)
                                       from latency),
                   'totalSignals', (select coalesce(sum(n), 0) from signals),
                   'totalTokens', coalesce(sum(tokens), 0),
                   'totalCostUsd', trim_scale(round(coalesce(sum(usd), 0)::numeric, 2)))
          from volume),
       (select jsonb_object_agg(name, jsonb_build_object('labels', coalesce(c.labels, '[]'),
                                                         'data', coalesce(c.data, '[]')))
          from unnest(array['runVolume', 'latency', 'latencyP50', 'latencyP95', 'latencyP99',
                            'signalVolume', 'errorClasses', 'throughput', 'queueDepth', 'cost',
                            'successRate', 'decisionOutcome', 'perScenario']) as n (name)
          left join charts c on c.chart = n.name);
