-- name:   dashboard_overview
-- params: 1 from timestamptz (null: the window before to), 2 windowMs bigint, 3 to timestamptz
--         (null: now), 4 bucket minute|hour|day, 5 scenarioRef text, 6 environment text (null: no
--         such filter)
-- plan:   each time
-- result: one row: kpis jsonb, charts jsonb
--
-- Sandbox and archived runs are in no figure. Empty buckets are not filled. Everything is read bucket
-- by bucket from indexes that hold what the figures are made of, without a sort over the whole span;
-- only a filter by scenario looks at rows, the narrow ones of run_list, once.
with named as materialized (
    select l.run_key
      from run_list l
     where not l.sandbox
       and not l.archived
       and (l.source_ref = $5::text or l.scenario like '%' || like_escape(lower($5)) || '%')
       and ($6::text is null or l.environment = list_name($6))
), chosen as not materialized (
    select l.run_key, l.status, l.source, l.error_code, l.created_at, l.ended_at, l.took_ms, l.tokens,
           l.cost_usd
      from run_list l
     where not l.sandbox
       and not l.archived
       and ($5::text is null or l.run_key in (select n.run_key from named n))
       and ($6::text is null or l.environment = list_name($6))
), span as materialized (
    select coalesce($1::timestamptz, coalesce($3::timestamptz, now())
                                         - $2::bigint * interval '1 millisecond') as since,
           coalesce($3::timestamptz, now()) as until, ('1 ' || $4::text)::interval as step
), known as materialized (
    -- Where there is nothing, there are no buckets to look into.
    select least((select min(created_at) from run_list), (select min(ended_at) from run_list),
                 (select min(ts) from run_signals), (select min(ts) from run_decisions)) as since,
           greatest((select max(created_at) from run_list), (select max(ended_at) from run_list),
                    (select max(ts) from run_signals), (select max(ts) from run_decisions)) as until
), buckets as materialized (
    select b as bucket, greatest(b, s.since) as since, least(b + s.step, s.until) as until
      from span s
     cross join known k
     cross join lateral generate_series(
               date_bin(s.step, greatest(s.since, k.since), 'epoch'),
               least(s.until, k.until), s.step) b
), created as materialized (
    select b.bucket, c.*
      from span s
     cross join buckets b
     cross join lateral (
           select c.source, c.status, c.error_code, count(*) as runs, max(c.run_key) as example,
                  -- What may still change stands elsewhere.
                  sum(coalesce(c.tokens, (select m.total_tokens
                                            from run_metrics m
                                           where m.run_key = c.run_key))) as tokens,
                  sum(coalesce(c.cost_usd, (select m.estimated_cost_usd
                                              from run_metrics m
                                             where m.run_key = c.run_key))) as usd,
                  -- How many ended in no bucket that ended looks into.
                  count(c.took_ms) filter (
                      where c.ended_at < date_bin(s.step, s.since, 'epoch')
                         or c.ended_at >= date_bin(s.step, s.until, 'epoch') + s.step) as elsewhere
             from chosen c
            where c.created_at >= b.since and c.created_at < b.until
            group by c.source, c.status, c.error_code) c
), volume as materialized (
    select bucket, sum(runs) as runs,
           coalesce(sum(runs) filter (where status in ('queued', 'starting', 'binding_session')), 0)
               as waiting,
           coalesce(sum(runs) filter (where status = 'suspended'), 0) as suspended,
           coalesce(sum(runs) filter (where status = 'completed'), 0) as completed,
           coalesce(sum(runs) filter (where status = 'failed'), 0) as failed,
           coalesce(sum(runs) filter (where status = 'cancelled'), 0) as cancelled,
           sum(tokens) as tokens, coalesce(sum(usd), 0) as usd
      from created
     group by bucket
), kinds as materialized (
    select source, status = 'failed' as failed, error_code, sum(runs) as runs,
           max(example) as example
      from created
     group by source, status = 'failed', error_code
), ended as materialized (
    -- Whole buckets: what began in the span may have ended behind it.
    select b.bucket, e.*
      from span s
     cross join buckets b
     cross join lateral (
           select count(*) filter (where c.in_span) as runs,
                  count(*) filter (where c.in_span and c.status = 'completed') as completed,
                  count(*) filter (where c.began_in_span) as timed,
                  avg(c.took_ms) filter (where c.began_in_span) as mean_ms,
                  percentile_cont(array[0.5, 0.95, 0.99])
                      within group (order by c.took_ms) filter (where c.began_in_span) as ms
             from (select c.status, c.took_ms, c.ended_at >= b.since and c.ended_at < b.until as in_span,
                          c.took_ms is not null and c.created_at >= s.since
                              and c.created_at < s.until as began_in_span
                     from chosen c
                    where c.ended_at >= b.bucket and c.ended_at < b.bucket + s.step) c) e
), latency as materialized (
    select bucket, timed as runs, mean_ms, ms
      from ended
     where timed > 0
    union all
    select date_bin(s.step, c.ended_at, 'epoch'), count(*), avg(c.took_ms),
           percentile_cont(array[0.5, 0.95, 0.99]) within group (order by c.took_ms)
      from span s
      join chosen c on c.created_at >= s.since and c.created_at < s.until
     where c.took_ms is not null
       and (c.ended_at < date_bin(s.step, s.since, 'epoch')
            or c.ended_at >= date_bin(s.step, s.until, 'epoch') + s.step)
       and (select sum(elsewhere) from created) > 0
     group by 1
), marks as materialized (
    select b.bucket, m.signals, m.decisions
      from buckets b
     cross join lateral (
           select count(m.signal) as signals, sum(m.decision) as decisions
             from (select s.run_key, 1 as signal, null::integer as decision
                     from run_signals s
                    where s.ts >= b.since and s.ts < b.until
                   union all
                   -- A flag that is not there means false.
                   select d.run_key, null, case when d.outcome_positive then 1 else -1 end
                     from run_decisions d
                    where d.ts >= b.since and d.ts < b.until
                   offset 0) m -- so that both are held against the same list of runs
            where case when $5::text is not null then m.run_key in (select n.run_key from named n)
                       when $6::text is not null then m.run_key in (select c.run_key from chosen c)
                       else not exists (select from run_list l
                                         where l.run_key = m.run_key and (l.sandbox or l.archived))
                  end) m
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
    select 'throughput', bucket, null, completed from ended where runs > 0
    union all
    select 'signalVolume', bucket, null, signals from marks where signals > 0
    union all
    select 'decisionOutcome', bucket, null, decisions from marks where decisions is not null
    union all
    (select 'errorClasses', null, coalesce(error_code, 'UNKNOWN'), sum(runs)
       from kinds where failed
      group by 3 order by 4 desc, 3 limit 10)
    union all
    (select 'perScenario', null, coalesce(l.source_ref, 'unknown') as label, s.runs
       from (select sum(runs) as runs, max(example) as example
               from kinds
              group by source
              order by 1 desc
              fetch first 10 rows with ties) s
       join run_list l on l.run_key = s.example
      order by s.runs desc, label limit 10)
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
                   'totalSignals', (select coalesce(sum(signals), 0) from marks),
                   'totalTokens', coalesce(sum(tokens), 0),
                   'totalCostUsd', trim_scale(round(coalesce(sum(usd), 0)::numeric, 2)))
          from volume),
       (select jsonb_object_agg(name, jsonb_build_object('labels', coalesce(c.labels, '[]'),
                                                         'data', coalesce(c.data, '[]')))
          from unnest(array['runVolume', 'latency', 'latencyP50', 'latencyP95', 'latencyP99',
                            'signalVolume', 'errorClasses', 'throughput', 'queueDepth', 'cost',
                            'successRate', 'decisionOutcome', 'perScenario']) as n (name)
          left join charts c on c.chart = n.name);
