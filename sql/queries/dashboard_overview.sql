-- name:   dashboard_overview
-- params: 1 from timestamptz (null: the window before to), 2 windowMs bigint, 3 to timestamptz
--         (null: now), 4 bucket minute|hour|day, 5 scenarioRef text, 6 environment text (null: no
--         such filter)
-- result: one row: kpis jsonb, charts jsonb
--
-- Sandbox and archived runs are in no figure. Empty buckets are not filled.
with bounds as (
    select coalesce($3::timestamptz, now()) as till,
           coalesce($1::timestamptz, coalesce($3::timestamptz, now())
                                     - $2::bigint * interval '1 millisecond') as since
), chosen as not materialized (
    select r.run_key, r.day, r.status, r.source_ref, r.error_code, r.created_at, r.started_at,
           r.ended_at
      from runs r
     where r.mode <> 'sandbox'
       and r.archived_at is null
       and ($5::text is null or r.source_ref = $5
            or position(lower($5) in lower(r.scenario_ref)) > 0)
       and ($6::text is null or r.environment = $6)
), created as (
    select c.*, c.status in ('completed', 'failed', 'cancelled') as ended,
           m.total_tokens as tokens, m.estimated_cost_usd as cost_usd
      from bounds b
      join chosen c on c.created_at >= b.since and c.created_at < b.till
      left join run_metrics m using (run_key)
), finished as (
    select ended_at, extract(epoch from ended_at - started_at) * 1000 as took_ms
      from created
     where status = 'completed' and ended_at is not null and started_at is not null
), happened as (
    select e.type, e.ts,
           -- A flag that is not there means false.
           e.type = 'decision.finalized'
           and (e.data #> '{decodedPayload,outcomePositive}' = 'true'
                or e.data #> '{decodedPayload,outcome_positive}' = 'true') as positive
      from bounds b
      join run_events_canonical e on e.type in ('signal.emitted', 'decision.finalized')
       and e.ts >= b.since and e.ts < b.till
      join chosen c on c.run_key = e.run_key and c.day = e.day
)
select (select jsonb_build_object(
                   'totalRuns', count(*),
                   'activeRuns', count(*) filter (where not ended),
                   'completedRuns', count(*) filter (where status = 'completed'),
                   'failedRuns', count(*) filter (where status = 'failed'),
                   'cancelledRuns', count(*) filter (where status = 'cancelled'),
                   'suspendedRuns', count(*) filter (where status = 'suspended'),
                   'avgDurationMs', (select round(avg(took_ms)) from finished),
                   'totalSignals', (select count(*) from happened
                                     where type = 'signal.emitted'),
                   'totalTokens', coalesce(sum(tokens), 0),
                   'totalCostUsd', trim_scale(round(coalesce(sum(cost_usd), 0)::numeric, 2)))
          from created),
       jsonb_build_object(
           'runVolume', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, created_at) as b, count(*) as v
                         from created group by 1) s),
           'latency', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, ended_at) as b,
                              round(avg(took_ms)) as v
                         from finished group by 1) s),
           'latencyP50', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, ended_at) as b,
                              round(percentile_cont(0.5) within group (order by took_ms)) as v
                         from finished group by 1) s),
           'latencyP95', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, ended_at) as b,
                              round(percentile_cont(0.95) within group (order by took_ms)) as v
                         from finished group by 1) s),
           'latencyP99', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, ended_at) as b,
                              round(percentile_cont(0.99) within group (order by took_ms)) as v
                         from finished group by 1) s),
           'signalVolume', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, ts) as b, count(*) as v
                         from happened where type = 'signal.emitted' group by 1) s),
           'errorClasses', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(s.b order by s.v desc, s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.v desc, s.b), '[]'))
                 from (select coalesce(error_code, 'UNKNOWN') as b, count(*) as v
                         from created where status = 'failed'
                        group by 1 order by 2 desc, 1 limit 10) s),
           'throughput', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, ended_at) as b,
                              count(*) filter (where status = 'completed') as v
                         from chosen, bounds
                        where ended_at >= since and ended_at < till group by 1) s),
           'queueDepth', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, created_at) as b,
                              count(*) filter (where status in ('queued', 'starting',
                                                                'binding_session')) as v
                         from created group by 1) s),
           'cost', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, created_at) as b,
                              coalesce(sum(cost_usd), 0) as v
                         from created group by 1) s),
           'successRate', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, created_at) as b,
                              coalesce(round(100.0 * count(*) filter (where status = 'completed')
                                             / nullif(count(*) filter (where ended), 0), 2), 0)
                                  as v
                         from created group by 1) s),
           'decisionOutcome', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(to_char(s.b at time zone 'utc',
                                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                                             order by s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.b), '[]'))
                 from (select date_trunc($4::text, ts) as b, sum(case when positive then 1 else -1 end) as v
                         from happened where type = 'decision.finalized' group by 1) s),
           'perScenario', (
               select jsonb_build_object(
                          'labels', coalesce(jsonb_agg(s.b order by s.v desc, s.b), '[]'),
                          'data', coalesce(jsonb_agg(s.v order by s.v desc, s.b), '[]'))
                 from (select coalesce(source_ref, 'unknown') as b, count(*) as v
                         from created group by 1 order by 2 desc, 1 limit 10) s));
