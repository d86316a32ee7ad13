-- name:   metrics_published
-- params:
-- result: one row per living observer: what it published last, json
select i.metrics
  from observer_instances i
 where i.alive_until > now();
