-- name:   instance_heartbeat
-- params: instance_id uuid, lease_ms int, host text, version text, draining bool, runs int, streams_wanted int, streams_open int, config json, config_hash text, metrics json
-- result: one row: instances alive that do not leave, live runs, claimable runs (told by the first
--         of the living instances only, so that sums over instances are right), other instances alive
with me as (
    insert into observer_instances as i (instance_id, alive_until, host, version, draining, runs,
                                         streams_wanted, streams_open, config, config_hash, metrics)
    values ($1::uuid, now() + $2::integer * interval '1 millisecond', $3, $4, $5::boolean, $6::integer,
            $7::integer, $8::integer, $9::json, $10, $11::json)
    on conflict (instance_id) do update
       set alive_until = excluded.alive_until, draining = excluded.draining, runs = excluded.runs,
           streams_wanted = excluded.streams_wanted, streams_open = excluded.streams_open,
           config = excluded.config, config_hash = excluded.config_hash,
           metrics = excluded.metrics
    returning instance_id),
others as (
    select o.instance_id, o.draining
      from observer_instances o
     where o.alive_until > now() and o.instance_id not in (select instance_id from me)),
live as (
    select count(*) as runs,
           count(*) filter (where r.owner is null
                               or (r.owner not in (select instance_id from me)
                                   and r.owner not in (select instance_id from others))) as free
      from run_observers r
     where not r.closed)
select (select count(*) from others where not draining) + 1, live.runs,
       case when exists (select from others o, me where o.instance_id < me.instance_id) then 0
            else live.free end,
       (select count(*) from others)
  from live;
