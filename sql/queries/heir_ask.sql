-- name:   heir_ask
-- params: instance_id uuid, draining bool (of instances that leave, or of others), runs int (their
--         owner has more than so many), limit int
-- result: run_key, session_id, cursor of the runs that we shall inherit
with donors as (
    select array_agg(i.instance_id) as ids
      from observer_instances i
     where i.alive_until > now() and i.instance_id <> $1::uuid
       and i.draining = $2::boolean and i.runs > $3::integer
), wanted as (
    select o.run_key
      from donors d
      join run_observers o on o.owner = any (d.ids)
      join runs r using (run_key)
     where d.ids is not null and not o.closed and r.status in ('running', 'suspended')
       and not exists (select
                         from run_heirs h
                         join observer_instances i on i.instance_id = h.heir
                        where h.run_key = o.run_key and i.alive_until > now())
     order by o.run_key
     limit $4::integer
), asked as (
    insert into run_heirs as h (run_key, heir)
    select run_key, $1::uuid
      from wanted
        on conflict (run_key) do update
       set heir = excluded.heir, from_ordinal = null
     where not exists (select from observer_instances i
                        where i.instance_id = h.heir and i.alive_until > now())
    returning h.run_key
)
select a.run_key, r.session_id, o.cursor
  from asked a
  join runs r using (run_key)
  join run_observers o using (run_key);
