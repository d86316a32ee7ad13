-- name:   instance_heartbeat
-- params: instance_id uuid, lease_ms int, host text, version text, draining bool, runs int, streams_wanted int, streams_open int, config json, config_hash text
-- result: one row: instances alive, live runs
with me as (
    insert into observer_instances as i (instance_id, alive_until, host, version, draining, runs,
                                         streams_wanted, streams_open, config, config_hash)
    values ($1::uuid, now() + $2::integer * interval '1 millisecond', $3, $4, $5::boolean, $6::integer,
            $7::integer, $8::integer, $9::json, $10)
    on conflict (instance_id) do update
       set alive_until = excluded.alive_until, draining = excluded.draining, runs = excluded.runs,
           streams_wanted = excluded.streams_wanted, streams_open = excluded.streams_open,
           config = excluded.config, config_hash = excluded.config_hash
    returning instance_id)
select (select count(*) from observer_instances o
         where o.alive_until > now() and not o.draining and o.instance_id not in (select instance_id from me)) + 1,
       (select count(*) from run_observers where not closed);
